//! The rules of server-side sessions.
//!
//! Session data stays in a store; the browser has only a signed ID. This crate contains every rule: how an ID is
//! generated and signed, which cookies of a request are valid, the form of a stored record, when it expires, and what a
//! request does to the store and to the cookie. It performs none of it: it has no socket, clock or random source. Time
//! ([`UnixMillis`]) and entropy (byte arrays) are arguments, and an operation that asks a store is an `async fn` that
//! awaits its [host](protocol::Host). So every rule can be tested at a chosen instant, and the same code serves native
//! servers and WebAssembly.
//!
//! ```
//! use vestiary::{CookieName, Format, KeyRing, SessionId, cookie_header};
//!
//! let keys = KeyRing::new(&["a long random secret, from the environment"])?;
//! let name = CookieName::new("connect.sid")?;
//!
//! // The 24 bytes come from the caller's random source.
//! let id = SessionId::from_entropy(&[7; SessionId::ENTROPY]);
//! let header = format!("theme=dark; {}={}", name.as_str(), keys.sign(&id, Format::SvelteKitSessions));
//!
//! let found = cookie_header::candidates(header.as_bytes(), &name).find_map(|value| keys.verify(value));
//! assert_eq!(found, Some(id));
//! # Ok::<(), vestiary::Error>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "seeded-faults"))]
extern crate std;

pub mod constants;
pub mod cookie_header;
pub mod decide;
pub mod protocol;
pub mod response;
pub mod session;
pub mod visit;

mod base64;
mod cookie;
mod cookie_options;
mod cookie_overrides;
mod date;
mod error;
mod event;
mod format;
mod hash;
mod id;
mod json;
mod key;
mod memory;
mod merge;
mod meta;
mod options;
mod options_text;
mod recent;
mod record;
mod seal;
mod store_key;
mod time;
mod timeouts;

pub use cookie::{CookieName, Domain, MaxAge, Path, Priority, SameSite, SetCookie};
pub use cookie_options::{CookieOptions, SameSiteOption};
pub use cookie_overrides::CookieOverrides;
pub use error::Error;
pub use event::{Event, Reason};
pub use format::Format;
pub use id::{Handle, SessionId, WriteId, user_key};
pub use json::json_members;
pub use key::{CookieValue, KeyRing, MalformedCookie};
pub use memory::{MemoryLimits, MemoryTable, Outcome};
pub use merge::merge;
pub use meta::{HiddenId, Meta, Next, UserRef};
pub use options::{Options, OptionsInput};
pub use options_text::{OptionType, OptionsText};
pub use recent::RecentIds;
pub use record::{Follower, Inspection, Lead, Limits, Record};
pub use seal::SealRing;
pub use store_key::StoreKey;
pub use time::{Ttl, UnixMillis};
pub use timeouts::Timeouts;

/// Compiles the sample of the crate's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
