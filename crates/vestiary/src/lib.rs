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

pub mod binding;
pub mod constants;
pub mod decide;
pub mod jwt;
pub mod protocol;
pub mod response;
pub mod session;
pub mod visit;

mod cache;
mod cookie;
mod crypto;
mod device;
mod error;
mod event;
mod id;
mod json;
mod memory;
mod options;
mod record;
mod time;
mod tokens;
mod way_back;

pub use cache::{Moment, NearCache, Reading, Ticket};
pub use cookie::{
    CookieName, CookieOptions, CookieOverrides, Domain, MaxAge, Path, Priority, SameSite,
    SameSiteOption, SetCookie, header as cookie_header,
};
pub use crypto::{CookieValue, KeyRing, MalformedCookie, SealRing, VerifiedCookies};
pub use device::Device;
pub use error::Error;
pub use event::{BoundReason, Event, Reason};
pub use id::{Handle, RecentIds, SessionId, StoreKey, WriteId, user_key};
pub use json::{json_members, merge};
pub use memory::{MemoryLimits, MemoryTable, Outcome};
pub use options::{
    CacheOptions, DeviceBoundOptions, OnReuse, OptionType, Options, OptionsInput, OptionsText,
    SessionsPerUser, Timeouts, WhenFull,
};
pub use record::{
    Follower, Format, HiddenId, Inspection, Lead, Limits, Meta, Next, Record, Slots, UserRef,
};
pub use time::{Ttl, UnixMillis};
pub use way_back::{login_page, way_back};

/// Compiles the sample of the crate's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
