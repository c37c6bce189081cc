//! The tests of this crate, as one program. As a program each, they would link axum and its server sixteen times. Programs
//! of their own are the random schedules, which run for long and are called by name, and `shown`, which sets the
//! subscriber of its whole process.

#![allow(clippy::missing_docs_in_private_items, reason = "the modules say it")]

#[cfg(feature = "axum")]
mod behaviours;
#[cfg(all(feature = "axum", feature = "device-bound"))]
mod device_sessions;
#[cfg(feature = "axum")]
mod ended;
#[cfg(feature = "axum")]
mod examples;
#[cfg(feature = "axum")]
mod form_post;
#[cfg(feature = "axum")]
mod late_cookie;
#[cfg(feature = "axum")]
mod layer;
#[cfg(feature = "axum")]
mod list_use;
#[cfg(feature = "axum")]
mod nested_update;
#[cfg(feature = "axum")]
mod once;
#[cfg(feature = "axum")]
mod own_revocation;
#[cfg(all(feature = "axum", feature = "openid-connect"))]
mod provider_logout;
mod read_only;
#[cfg(feature = "axum")]
mod round_trips;
#[cfg(feature = "axum")]
mod scenario;
#[cfg(feature = "axum")]
mod scenarios;
#[cfg(feature = "axum")]
#[path = "security/main.rs"]
mod security;
mod support;
#[cfg(feature = "axum")]
mod tokens;
#[cfg(feature = "axum")]
mod two_layers;
#[cfg(feature = "axum")]
mod typed;
#[cfg(feature = "axum")]
mod users;
#[cfg(feature = "axum")]
mod values;
#[cfg(feature = "axum")]
mod versions;
#[cfg(feature = "axum")]
mod write_protocol;
