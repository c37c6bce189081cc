use crate::{Ttl, UnixMillis};

/// The lifetime, from now on, of a session that is in use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lifetime {
    /// The TTL of its record.
    pub ttl: Ttl,
    /// The absolute timeout, in milliseconds since the login.
    pub absolute: Option<u64>,
}

/// The maximum time between two records of a session's use, in milliseconds.
const SEEN_EVERY: u64 = 300_000;

impl Lifetime {
    /// The time from which a session that is used now has certainly ended. Its record may get its TTL again as long as its
    /// use need not be recorded.
    pub(super) fn end(self, created: UnixMillis, now: UnixMillis) -> UnixMillis {
        let unused = match self.ttl {
            Ttl::Infinite => UnixMillis(u64::MAX),
            Ttl::Millis(millis) => now.plus(millis.saturating_add(seen_every(self.ttl))),
        };
        self.absolute.map_or(unused, |absolute| unused.min(created.plus(absolute)))
    }
}

/// The time between two records of a session's use, in milliseconds.
pub(super) fn seen_every(ttl: Ttl) -> u64 {
    match ttl {
        Ttl::Infinite => SEEN_EVERY,
        Ttl::Millis(millis) => SEEN_EVERY.min(millis / 10),
    }
}
