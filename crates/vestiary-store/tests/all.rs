//! All tests of this crate, as one program. As a program each, they would link the drivers thirteen times.

#![allow(clippy::missing_docs_in_private_items, reason = "the modules say it")]

#[cfg(all(feature = "mysql", feature = "postgres", feature = "sqlite", feature = "testing"))]
mod both_products;
#[cfg(feature = "testing")]
mod broken;
mod contention;
#[cfg(feature = "mysql")]
mod galera;
#[cfg(all(feature = "mysql", feature = "postgres", feature = "redis", feature = "sqlite"))]
mod health;
#[cfg(feature = "testing")]
mod memory;
#[cfg(all(feature = "mysql", feature = "testing"))]
mod mysql;
#[cfg(feature = "clock")]
mod near;
#[cfg(all(feature = "postgres", feature = "testing"))]
mod pgbouncer;
#[cfg(any(feature = "mysql", feature = "sqlite"))]
mod polling;
#[cfg(all(feature = "postgres", feature = "testing"))]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_feed;
#[cfg(all(feature = "redis", feature = "testing"))]
mod redis;
#[cfg(all(feature = "redis", feature = "testing"))]
mod redis_feed;
#[cfg(all(feature = "redis", feature = "testing"))]
mod redis_near;
#[cfg(all(feature = "redis", feature = "testing"))]
mod redis_refusals;
mod servers;
#[path = "sessions/main.rs"]
mod sessions;
#[cfg(all(feature = "sqlite", feature = "testing"))]
mod sqlite;
mod timeout;
mod watched;
