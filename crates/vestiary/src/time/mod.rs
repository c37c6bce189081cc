//! Instants and lifetimes, and dates as text.

pub(crate) mod date;

use crate::MaxAge;

/// Milliseconds since the Unix epoch, as `Date.now()` counts them.
///
/// The core has no clock: each caller passes the time.
///
/// ```
/// # use vestiary::UnixMillis;
/// let now = UnixMillis(1_700_000_000_000);
/// assert_eq!(now.plus(1_500), UnixMillis(1_700_000_001_500));
/// // A clock that stepped back makes nothing negative.
/// assert_eq!(UnixMillis(5).since(UnixMillis(9)), 0);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// Adds milliseconds, saturating at the end of time.
    #[must_use]
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// The milliseconds since `earlier`; 0 if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The earlier one of those that are known.
    #[inline(never)]
    pub(crate) fn first_of(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            _ => one.or(other),
        }
    }
}

/// The time to live of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ttl {
    /// Neither `maxAge` nor `expires` is set: the store chooses, as in svelte-kit-sessions.
    Infinite,
    /// Milliseconds from now. 0 has already passed, so nothing is stored.
    Millis(u64),
}

impl Ttl {
    /// The TTL of a record by the cookie's options. `maxAge` takes precedence over `expires`; without both it is
    /// [`Ttl::Infinite`]. The time until `expires` is rounded up to whole seconds, as browsers do.
    ///
    /// ```
    /// # use vestiary::{MaxAge, Ttl, UnixMillis};
    /// let now = UnixMillis(10_000);
    /// assert_eq!(Ttl::of(None, None, now), Ttl::Infinite);
    /// assert_eq!(Ttl::of(Some(MaxAge::from_seconds(0.0)?), None, now), Ttl::Millis(0));
    /// assert_eq!(Ttl::of(Some(MaxAge::from_seconds(60.0)?), Some(now), now), Ttl::Millis(60_000));
    /// assert_eq!(Ttl::of(None, Some(UnixMillis(10_001)), now), Ttl::Millis(1_000));
    /// # Ok::<(), vestiary::Error>(())
    /// ```
    #[must_use]
    pub fn of(max_age: Option<MaxAge>, expires: Option<UnixMillis>, now: UnixMillis) -> Self {
        match (max_age, expires) {
            (Some(max_age), _) => Self::Millis(max_age.millis()),
            (None, Some(expires)) => {
                Self::Millis(expires.since(now).div_ceil(1_000).saturating_mul(1_000))
            }
            (None, None) => Self::Infinite,
        }
    }

    /// The shorter of two TTLs.
    #[must_use]
    pub(crate) fn shorter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Infinite, ttl) | (ttl, Self::Infinite) => ttl,
            (Self::Millis(one), Self::Millis(other)) => Self::Millis(one.min(other)),
        }
    }

    /// The expiry of a record that is stored at `now`; `None` for never.
    #[must_use]
    pub fn deadline(self, now: UnixMillis) -> Option<UnixMillis> {
        match self {
            Self::Infinite => None,
            Self::Millis(millis) => Some(now.plus(millis)),
        }
    }

    /// Whether the TTL has passed, so that nothing may be stored.
    #[must_use]
    pub fn is_expired(self) -> bool {
        self == Self::Millis(0)
    }
}
