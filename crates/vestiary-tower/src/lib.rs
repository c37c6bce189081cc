//! Sessions for axum, hyper and everything else that speaks tower.
#![forbid(unsafe_code)]

#[cfg(feature = "axum")]
mod extract;
mod layer;
mod require;
mod session;
mod visit;

#[cfg(feature = "axum")]
pub use extract::{Rejection, UserId};
pub use layer::{Failure, ResponseFuture, SessionLayer, SessionService, Unavailable};
pub use require::{RequireLogin, RequireLoginFuture, RequireLoginService};
pub use session::{LogIn, Session};
pub use vestiary::Error;
pub use vestiary_store::{
    Config, Encrypt, Event, MemoryStore, OnStoreError, SameSite, SessionError, Sessions,
};
pub use visit::Data;
