//! The session cookie: found in a request's headers, configured, and written as a `Set-Cookie` header.

pub mod header;

mod options;
mod overrides;
mod set_cookie;

pub use options::{CookieOptions, SameSiteOption};
pub(crate) use options::{secure, set_attribute};
pub use overrides::CookieOverrides;
pub(crate) use overrides::Value;
pub use set_cookie::{CookieName, Domain, MaxAge, Path, Priority, SameSite, SetCookie};
