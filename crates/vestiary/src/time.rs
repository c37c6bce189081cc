use crate::cookie::MaxAge;

/// Milliseconds since the Unix epoch, as `Date.now()` counts them.
///
/// The core has no clock: whoever calls it says what time it is.
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
    /// This instant and `millis` milliseconds more, at most the end of time.
    #[must_use]
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds since `earlier`; 0 when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// How long a record may stay in the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ttl {
    /// Neither `maxAge` nor `expires` is set: the store decides (seed README, store `ttl`).
    Infinite,
    /// Milliseconds from now. 0 is over already, and so must not be stored.
    Millis(u64),
}

impl Ttl {
    /// The life of a record by the cookie's options: `maxAge` wins over `expires`, and neither is
    /// [`Ttl::Infinite`] (seed README, `cookie.maxAge`). What is left of `expires` is rounded up to
    /// whole seconds, as browsers count them.
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

    /// The shorter one of two.
    #[must_use]
    pub(crate) fn shorter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Infinite, ttl) | (ttl, Self::Infinite) => ttl,
            (Self::Millis(one), Self::Millis(other)) => Self::Millis(one.min(other)),
        }
    }

    /// When a record stored at `now` expires; `None` is never.
    #[must_use]
    pub fn deadline(self, now: UnixMillis) -> Option<UnixMillis> {
        match self {
            Self::Infinite => None,
            Self::Millis(millis) => Some(now.plus(millis)),
        }
    }

    /// Whether nothing may be stored for it any more.
    #[must_use]
    pub fn is_over(self) -> bool {
        self == Self::Millis(0)
    }
}
