use alloc::{borrow::ToOwned as _, boxed::Box};
use core::fmt;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

use crate::UnixMillis;

/// Session IDs that a process remembers for a while: those it has taken out of use, or has touched.
///
/// There is always room for another ID: a full table evicts the oldest one.
///
/// ```
/// # use vestiary::{RecentIds, UnixMillis};
/// let mut replaced = RecentIds::new(RecentIds::MOST);
/// replaced.remember("sid", 1_000, UnixMillis(0));
/// assert!(replaced.knows("sid", UnixMillis(999)));
/// assert!(!replaced.knows("sid", UnixMillis(1_000)));
/// ```
pub struct RecentIds {
    most: usize,
    entries: IndexMap<Box<str>, UnixMillis, FxBuildHasher>,
    /// The oldest entry. The entry at the last position is the exception: it is the newest.
    oldest: usize,
}

impl RecentIds {
    /// The number of IDs that both products remember. Each takes about 100 bytes.
    pub const MOST: usize = 10_000;

    /// The time for which an ID that was taken out of use is remembered, in milliseconds. It is longer than any response
    /// takes that still has the cookie of this ID.
    pub const OUT_OF_USE: u64 = 600_000;

    /// Creates an empty table for this many IDs, at least one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let entries = IndexMap::with_hasher(FxBuildHasher);
        Self { most: most.max(1), entries, oldest: 0 }
    }

    /// Remembers an ID for this many milliseconds.
    pub fn remember(&mut self, id: &str, millis: u64, now: UnixMillis) {
        let until = now.plus(millis);
        if let Some(known) = self.entries.get_mut(id) {
            *known = until;
            return;
        }
        // Two checks per new ID free expired IDs without a timer.
        for _ in 0..2 {
            let first = self.entries.get_index(self.oldest);
            let over = first.is_some_and(|(_, until)| *until <= now);
            if over || self.entries.len() >= self.most {
                self.evict();
            }
        }
        self.entries.insert(id.to_owned().into_boxed_str(), until);
    }

    /// Whether the ID is remembered.
    #[must_use]
    pub fn knows(&self, id: &str, now: UnixMillis) -> bool {
        self.entries.get(id).is_some_and(|until| now < *until)
    }

    /// Forgets the ID.
    pub fn forget(&mut self, id: &str) {
        self.entries.swap_remove(id);
    }

    /// The number of IDs, including expired ones that are not freed yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the table is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Drops the oldest entry. The newest one moves to its place, and the next position has the next oldest: a ring.
    fn evict(&mut self) {
        if self.entries.swap_remove_index(self.oldest).is_none() {
            self.oldest = 0;
            self.entries.swap_remove_index(0);
        }
        self.oldest += 1;
        if self.oldest >= self.entries.len() {
            self.oldest = 0;
        }
    }
}

impl fmt::Debug for RecentIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecentIds").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{format, string::ToString as _};

    use super::*;

    const NOW: UnixMillis = UnixMillis(5);

    #[test]
    fn a_full_table_forgets_the_oldest_id_and_never_refuses_a_new_one() {
        for most in [1, 2, 3, 10] {
            let mut ids = RecentIds::new(most);
            for n in 0..5 * most {
                ids.remember(&n.to_string(), 1_000, NOW);
                for earlier in 0..=n {
                    let kept = n - earlier < most;
                    assert_eq!(ids.knows(&earlier.to_string(), NOW), kept, "{most} {n} {earlier}");
                }
                assert!(ids.len() <= most);
            }
        }
    }

    #[test]
    fn an_id_is_remembered_until_it_expires() {
        let mut ids = RecentIds::new(10);
        assert!(ids.is_empty());
        ids.remember("a", 10, NOW);
        assert!(!ids.is_empty());
        assert!(ids.knows("a", UnixMillis(14)) && !ids.knows("a", UnixMillis(15)));
        ids.remember("a", 20, NOW);
        assert!(ids.knows("a", UnixMillis(24)) && !ids.knows("a", UnixMillis(25)));
        ids.forget("a");
        assert!(!ids.knows("a", NOW));
    }

    #[test]
    fn expired_ids_are_freed() {
        let mut ids = RecentIds::new(1_000);
        for n in 0..1_000 {
            ids.remember(&n.to_string(), 10, NOW);
        }
        for n in 0..1_000 {
            ids.remember(&format!("later {n}"), 10_000, UnixMillis(n + 100));
        }
        assert_eq!(ids.len(), 1_000);
        for n in 0..500 {
            ids.remember(&format!("last {n}"), 10, UnixMillis(50_000));
        }
        assert!(ids.len() < 1_000, "{}", ids.len());
        assert_eq!(format!("{:?}", RecentIds::new(3)), "RecentIds { len: 0, .. }");
    }
}
