//! Server-side sessions for axum, hyper and other tower services. The data stays in a store, and the browser has only a
//! signed ID. Rules, cookies and records are those of the SvelteKit package `vestiary`, so a SvelteKit app and a Rust
//! service can share a login.
//!
//! ```
//! use axum::{Router, routing::get};
//! use vestiary_tower::{Config, MemoryStore, Session, SessionError, SessionLayer};
//!
//! async fn hello(session: Session) -> Result<String, SessionError> {
//!     let visits: u64 = session.get("visits").await?.unwrap_or(0) + 1;
//!     session.insert("visits", visits).await?;
//!     Ok(format!("Hello! This is visit number {visits}."))
//! }
//!
//! let config = Config::new("a long random secret, from the environment");
//! let sessions = SessionLayer::new(&config, MemoryStore::default())?;
//! let app: Router = Router::new().route("/", get(hello)).layer(sessions);
//! # Ok::<(), vestiary_tower::Error>(())
//! ```
//!
//! | task                               | API                                                  |
//! | ---------------------------------- | ---------------------------------------------------- |
//! | add sessions to a service          | [`SessionLayer`], configured by [`Config`]           |
//! | use a session in a handler         | [`Session`], `Session<T>` for a type of your own     |
//! | log users in, protect routes       | [`Session::login`], `UserId`, [`RequireLogin`]       |
//! | ask for the password again         | [`Session::confirm`], [`RequireFresh`]               |
//! | keep a value for a while, once     | [`Session::put`], [`Session::flash`]                 |
//! | do something in one request only   | [`Session::once`]                                    |
//! | refresh a provider's tokens once   | [`Session::tokens`]                                  |
//! | list and revoke a user's sessions  | [`Session::sessions_of`]                             |
//! | let an OpenID provider log out     | [`LogIn::provider`], `BackChannelLogout`             |
//! | bind sessions to their device      | [`Config::device_bound`], `DeviceSessions`           |
//! | read a session without a request   | [`ReadOnlySession`]                                  |
//! | end a stream with its session      | [`Session::until`], [`Session::ended`]               |
//! | handle errors                      | [`SessionError`], `Rejection`, [`Failure`]           |
//! | observe sessions                   | [`Event`], and `tracing`                             |
//! | use Redis, Postgres, MySQL, …      | the crate `vestiary-store`                           |
//!
//! A handler's changes are stored when its response is ready, whatever the status. A request that is dropped stores
//! nothing more. A response whose session could not be stored is replaced ([`SessionLayer::on_failure`]).
//!
//! # Features
//! - `axum` (default): extractors for axum 0.8.
//! - `device-bound`: sessions that are bound to their device, whose proofs are checked with `ring`.
//! - `openid-connect`: logout by a provider of OpenID Connect, whose signatures are checked with `ring`.
//! - `tokio`: store timeouts use tokio's timer where tokio runs, and its time driver must be enabled. The stores for
//!   Redis, `SQLite`, Postgres and MySQL enable this feature.
#![forbid(unsafe_code)]

mod availability;
mod bound;
mod contents;
#[cfg(feature = "device-bound")]
mod device_sessions;
mod ended;
#[cfg(feature = "axum")]
mod extract;
mod freshness;
mod layer;
mod log_id;
mod once;
mod provider;
#[cfg(feature = "openid-connect")]
mod provider_keys;
#[cfg(feature = "openid-connect")]
mod provider_logout;
mod read_only;
mod require;
mod session;
mod slots;
mod tokens;
mod typed;
mod view;
mod visit;

pub use contents::Data;
#[cfg(feature = "device-bound")]
pub use device_sessions::{DeviceFuture, DeviceService, DeviceSessions};
pub use ended::{Ended, Until};
#[cfg(feature = "axum")]
pub use extract::{Rejection, UserId};
pub use layer::{Failure, ResponseFuture, SessionLayer, SessionService, Unavailable};
pub use once::OnceError;
#[cfg(feature = "openid-connect")]
pub use provider_logout::{BackChannelLogout, FrontChannelLogout, ProviderLogoutError};
pub use read_only::ReadOnlySession;
pub use require::{GuardFuture, GuardService, RequireFresh, RequireLogin};
pub use session::{LogIn, Session};
pub use tokens::{TokenOptions, TokenResponse, Tokens};
pub use vestiary::{Error, Format, Handle, MemoryLimits, OnReuse, SessionId, UnixMillis, way_back};
pub use vestiary_store::{
    BoundReason, Config, Device, DeviceBound, Encrypt, Event, LoginDevice, MemoryStore,
    OnStoreError, Provider, Reason, SameSite, SessionError, Sessions, SessionsPerUser, UserList,
    UserSession, WhenFull, WrongType,
};

/// Compiles the samples of the documentation.
#[cfg(all(doctest, feature = "axum"))]
mod documentation {
    #[doc = include_str!("../../../docs/reference/rust.md")]
    struct RustServices;

    #[doc = include_str!("../../../docs/how-to/one-time-values.md")]
    struct OneTimeValues;

    #[doc = include_str!("../../../docs/how-to/refresh-tokens.md")]
    struct RefreshTokens;

    #[doc = include_str!("../../../docs/how-to/confirm.md")]
    struct Confirm;

    #[doc = include_str!("../../../docs/how-to/form-post.md")]
    struct FormPost;

    #[doc = include_str!("../../../docs/how-to/stolen-cookies.md")]
    struct StolenCookies;

    #[cfg(feature = "device-bound")]
    #[doc = include_str!("../../../docs/how-to/device-bound-sessions.md")]
    struct DeviceBoundSessions;

    #[doc = include_str!("../../../docs/how-to/limit-devices.md")]
    struct LimitDevices;

    #[doc = include_str!("../../../docs/how-to/live-streams.md")]
    struct LiveStreams;

    #[cfg(feature = "openid-connect")]
    #[doc = include_str!("../../../docs/how-to/provider-logout.md")]
    struct ProviderLogout;

    #[doc = include_str!("../../../README.md")]
    struct Readme;

    #[doc = include_str!("../README.md")]
    struct CrateReadme;
}
