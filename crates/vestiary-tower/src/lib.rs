//! Server-side sessions for axum, hyper and everything else that speaks tower. The data stays in a store, the
//! browser has a signed ID; the rules, the cookies and the records are those of the SvelteKit package
//! `vestiary`, so a SvelteKit app and a Rust service share a login.
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
//! | for                                | there is                                             |
//! | ---------------------------------- | ---------------------------------------------------- |
//! | the layer                          | [`SessionLayer`], configured by [`Config`]           |
//! | what a handler has                 | [`Session`], `Session<T>` for a type of your own     |
//! | logins                             | [`Session::login`], `UserId`, [`RequireLogin`]       |
//! | a user's sessions                  | [`Session::sessions_of`]                             |
//! | what goes wrong                    | [`SessionError`], `Rejection`, [`Failure`]           |
//! | what happens                       | [`Event`], and `tracing`                             |
//! | Redis, `SQLite`, Postgres, others  | the crate `vestiary-store`                           |
//!
//! What a handler changed is stored when its response is ready, whatever its status; a request that is dropped
//! stores nothing more. A response whose session could not be stored does not leave.
//!
//! # Features
//! `axum` (default): extractors for axum 0.8. `tokio`: waits for a store by tokio's clock, where tokio runs and has
//! its time enabled; with Redis, `SQLite` or Postgres that is so anyway.
#![forbid(unsafe_code)]

mod contents;
#[cfg(feature = "axum")]
mod extract;
mod layer;
mod require;
mod session;
mod typed;
mod view;
mod visit;

pub use contents::Data;
#[cfg(feature = "axum")]
pub use extract::{Rejection, UserId};
pub use layer::{Failure, ResponseFuture, SessionLayer, SessionService, Unavailable};
pub use require::{RequireLogin, RequireLoginFuture, RequireLoginService};
pub use session::{LogIn, Session};
pub use vestiary::{Error, Format, Handle, MemoryLimits, SessionId, UnixMillis};
pub use vestiary_store::{
    Config, Encrypt, Event, MemoryStore, OnStoreError, Reason, SameSite, SessionError, Sessions,
    UserList, UserSession, WrongType,
};

/// The samples of the documentation.
#[cfg(all(doctest, feature = "axum"))]
mod documentation {
    #[doc = include_str!("../../../docs/rust.md")]
    struct RustServices;

    #[doc = include_str!("../../../README.md")]
    struct Readme;
}
