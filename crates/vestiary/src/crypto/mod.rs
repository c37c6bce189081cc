//! Signatures of cookies, encryption of records, and the algorithms below them.

pub(crate) mod base64;
pub(crate) mod hash;

mod key;
mod seal;
mod strength;
mod verified;

pub use key::{CookieValue, KeyRing, MalformedCookie};
pub(crate) use key::{hide, reveal};
pub use seal::SealRing;
pub use verified::VerifiedCookies;
