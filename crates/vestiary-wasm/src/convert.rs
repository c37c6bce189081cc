//! Numbers and errors across the boundary.

use alloc::string::String;

use vestiary::{Moment, Ttl, UnixMillis};

/// Converts `Date.now()`, or a duration. A negative number and NaN become 0.
pub(crate) fn millis(value: f64) -> UnixMillis {
    UnixMillis(value as u64)
}

/// Converts `Date.now()` and `performance.now()`.
pub(crate) fn moment(now: f64, elapsed: f64) -> Moment {
    Moment { now: millis(now), elapsed: (elapsed * 1_000.0) as u64 }
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

pub(crate) fn thrown(error: vestiary::Error) -> String {
    [error.code(), "\n", &error.message()].concat()
}

pub(crate) fn decimal(number: u32) -> String {
    let (mut digits, mut rest) = (String::new(), number);
    loop {
        digits.insert(0, char::from_digit(rest % 10, 10).unwrap_or_default());
        rest /= 10;
        if rest == 0 {
            return digits;
        }
    }
}
