//! Numbers, IDs and errors across the boundary.

use alloc::string::String;

use vestiary::{SessionId, Ttl, UnixMillis};

/// `Date.now()`, or a duration. A negative number and NaN are 0.
pub(crate) fn millis(value: f64) -> UnixMillis {
    UnixMillis(value as u64)
}

pub(crate) fn ttl_of(value: f64) -> Ttl {
    if value == f64::INFINITY { Ttl::Infinite } else { Ttl::Millis(millis(value).0) }
}

pub(crate) fn ttl_number(ttl: Ttl) -> f64 {
    match ttl {
        Ttl::Infinite => f64::INFINITY,
        Ttl::Millis(millis) => millis as f64,
    }
}

pub(crate) fn session_id(id: &str) -> Result<SessionId, String> {
    SessionId::parse(id).map_err(thrown)
}

pub(crate) fn thrown(error: vestiary::Error) -> String {
    [error.code(), "\n", &error.message()].concat()
}
