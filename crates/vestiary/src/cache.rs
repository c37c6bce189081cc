//! The near cache of a process: texts that it has recently read from its store.

use alloc::boxed::Box;
use core::{fmt, hash::BuildHasher as _};

use rustc_hash::FxBuildHasher;

use crate::{
    UnixMillis, constants,
    protocol::{Fault, seeded},
};

/// Texts that a process has recently read from its store, so that it need not read them again for each request.
///
/// An entry answers until its age reaches a limit, and no longer once its record may have changed: because the process has
/// written it, or the feed of the store says so. A read that began before a change adds no entry, however late it ends.
///
/// ```
/// # use vestiary::{Moment, NearCache, UnixMillis};
/// let at = |millis| Moment { now: UnixMillis(millis), elapsed: millis * 1_000 };
/// let mut cache = NearCache::new(10_000);
///
/// let reading = cache.reading("sid", "sid", at(5));
/// cache.put("sid", "{}", reading);
/// assert_eq!(cache.get("sid", 1_000, at(1_004)), Some(("{}", UnixMillis(5))));
/// assert_eq!(cache.get("sid", 1_000, at(1_005)), None);
///
/// let reading = cache.reading("sid", "sid", at(2_000));
/// cache.changed("sid");
/// cache.put("sid", "{}", reading);
/// assert_eq!(cache.get("sid", 1_000, at(2_001)), None);
/// ```
pub struct NearCache {
    /// The slots in which records fall by the hash of their keys; their number is a power of two. A later entry evicts the
    /// one in its slot.
    slots: Box<[Slot]>,
    /// The maximum number of entries.
    most: usize,
    /// The number of entries.
    count: usize,
    /// The bytes of all entries.
    bytes: usize,
    /// The position of the next slot to check.
    hand: usize,
    /// How often all records may have changed.
    all: u32,
}

#[derive(Default)]
struct Slot {
    entry: Option<Box<Entry>>,
    /// The number of changes of the records whose key, or name in the feed, falls into this slot. Records that share a slot
    /// are only read once more.
    changes: u32,
}

/// A moment. The wall clock can be set back, and a monotonic clock can stop while the machine sleeps, so an age counts by
/// both.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Moment {
    /// The time by the wall clock.
    pub now: UnixMillis,
    /// The time by a monotonic clock, in microseconds since any fixed instant.
    pub elapsed: u64,
}

/// The read of a record, since before the store was asked.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The slots of the record's key, and of its name in the feed.
    slots: [usize; 2],
    /// The number of changes before the read.
    pub changes: u32,
    at: Moment,
}

struct Entry {
    /// The key, followed by the text.
    text: Box<str>,
    key: usize,
    reading: Reading,
}

/// The approximate size of an entry without key and text.
const OVERHEAD: usize = 96;

/// The bytes for each of the most entries. All entries together have no more, whatever the size of one.
const BYTES: usize = 2_048;

/// The number of slots that are checked when an entry is added, so that old ones are freed without a timer.
const LOOKS: usize = 8;

impl NearCache {
    /// Creates an empty cache for this many entries, which take 2 KiB each on average, at most.
    #[must_use]
    pub fn new(most: usize) -> Self {
        // Half of the slots stay empty, so that few entries share one.
        let slots = most.max(1).saturating_mul(2).next_power_of_two();
        let slots = (0..slots).map(|_| Slot::default()).collect();
        Self { slots, most: most.max(1), count: 0, bytes: 0, hand: 0, all: 0 }
    }

    /// The text under a key, and when it was read; `None` if it has to be read now, because no entry is younger than
    /// `max_stale` milliseconds.
    pub fn get(&mut self, key: &str, max_stale: u64, at: Moment) -> Option<(&str, UnixMillis)> {
        let slot = self.slot(key);
        let entry = self.slots.get(slot)?.entry.as_ref()?;
        let fits = self.is_unchanged(&entry.reading) && is_younger(entry.reading.at, max_stale, at);
        if !(fits || seeded(Fault::RereadsCache) && max_stale == u64::MAX) {
            return None;
        }
        let entry = self.slots.get_mut(slot)?.entry.as_mut()?;
        if seeded(Fault::CacheCountsFromHit) {
            entry.reading.at = at;
        }
        Some((entry.text_of(key)?, entry.reading.at.now))
    }

    /// Begins a read. Call it before the store is asked. `name` is the record's name in the feed of the store, or its key
    /// if there is no feed.
    #[must_use]
    pub fn reading(&self, key: &str, name: &str, at: Moment) -> Reading {
        let slots = [self.slot(key), self.slot(name)];
        Reading { slots, changes: self.changes(slots), at }
    }

    /// Adds the text that the store has returned, unless the record may have changed since the read began. If the cache is
    /// full, another entry is evicted.
    pub fn put(&mut self, key: &str, text: &str, reading: Reading) {
        let is_late = !self.is_unchanged(&reading);
        if is_late && !seeded(Fault::CacheKeepsLateReads) {
            return;
        }
        for _ in 0..LOOKS {
            self.look(reading.at);
        }
        let [own, _] = reading.slots;
        let there = self.slots.get(own).and_then(|slot| slot.entry.as_ref());
        if let Some(entry) = there {
            let is_newer = entry.reading.at.elapsed > reading.at.elapsed;
            if is_newer && self.is_unchanged(&entry.reading) && entry.text_of(key).is_some() {
                return;
            }
            self.evict(own);
        }
        let (size, limit) = (OVERHEAD + key.len() + text.len(), self.most.saturating_mul(BYTES));
        if size > limit {
            return;
        }
        while self.count >= self.most || self.bytes + size > limit {
            self.advance();
            self.evict(self.hand);
        }
        // With a fault, a late read counts as one that begins now.
        let reading = Reading { changes: self.changes(reading.slots), ..reading };
        if let Some(slot) = self.slots.get_mut(own) {
            let text = [key, text].concat().into();
            slot.entry = Some(Box::new(Entry { text, key: key.len(), reading }));
            (self.count, self.bytes) = (self.count + 1, self.bytes + size);
        }
    }

    /// Records that the record with this key, or with this name in the feed, may have changed.
    pub fn changed(&mut self, key: &str) {
        let slot = self.slot(key);
        if let Some(slot) = self.slots.get_mut(slot)
            && !seeded(Fault::CacheSparesChanged)
        {
            slot.changes = slot.changes.wrapping_add(1);
        }
    }

    /// Records that all records may have changed, because a change may have been missed.
    pub fn clear(&mut self) {
        self.all = self.all.wrapping_add(1);
    }

    /// The number of entries, including those that answer no longer and are not freed yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Checks the next slot, and frees its entry if it answers no longer.
    fn look(&mut self, at: Moment) {
        self.advance();
        let Some(entry) = self.slots.get(self.hand).and_then(|slot| slot.entry.as_ref()) else {
            return;
        };
        let age = at.now.since(entry.reading.at.now);
        if age >= constants::LONGEST_STALE.into() || !self.is_unchanged(&entry.reading) {
            self.evict(self.hand);
        }
    }

    fn advance(&mut self) {
        self.hand = (self.hand + 1) & (self.slots.len() - 1);
    }

    #[inline(never)]
    fn evict(&mut self, slot: usize) {
        if let Some(entry) = self.slots.get_mut(slot).and_then(|slot| slot.entry.take()) {
            self.count -= 1;
            self.bytes -= OVERHEAD + entry.text.len();
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
    #[inline(never)]
    fn slot(&self, key: &str) -> usize {
        FxBuildHasher.hash_one(key) as usize & (self.slots.len() - 1)
    }

    /// The number of changes that concern a record. It grows with each of them.
    fn changes(&self, slots: [usize; 2]) -> u32 {
        let [own, name] = slots.map(|slot| self.slots.get(slot).map_or(0, |slot| slot.changes));
        self.all.wrapping_add(own).wrapping_add(name)
    }

    #[inline(never)]
    fn is_unchanged(&self, reading: &Reading) -> bool {
        self.changes(reading.slots) == reading.changes
    }
}

impl Entry {
    /// The text, if it has this key.
    fn text_of(&self, key: &str) -> Option<&str> {
        let (own, text) = self.text.split_at_checked(self.key)?;
        (own == key).then_some(text)
    }
}

fn is_younger(read: Moment, millis: u64, at: Moment) -> bool {
    let is_past = read.now <= at.now && read.elapsed <= at.elapsed;
    is_past
        && at.now.since(read.now) < millis
        && at.elapsed - read.elapsed < millis.saturating_mul(1_000)
}

/// Shows no session.
impl fmt::Debug for NearCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NearCache").field("entries", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment { now: UnixMillis(millis), elapsed: millis * 1_000 }
    }

    fn text(cache: &mut NearCache, key: &str, millis: u64) -> Option<alloc::string::String> {
        cache.get(key, 1_000, at(millis)).map(|(text, _)| text.into())
    }

    #[test]
    fn an_entry_ends_by_whichever_clock_is_further() {
        let mut cache = NearCache::new(10);
        let reading = cache.reading("a", "a", at(5_000));
        cache.put("a", "1", reading);
        assert!(text(&mut cache, "a", 5_999).is_some());
        assert!(text(&mut cache, "a", 6_000).is_none());
        let moment = |now, elapsed| Moment { now: UnixMillis(now), elapsed };
        // The wall clock was set back; the monotonic clock has stopped; each has gone on alone.
        for wrong in
            [(4_999, 5_000_000), (5_000, 4_999_999), (6_000, 5_000_000), (5_000, 6_000_000)]
        {
            assert!(cache.get("a", 1_000, moment(wrong.0, wrong.1)).is_none(), "{wrong:?}");
        }
        assert!(cache.get("a", 1_000, moment(5_999, 5_999_999)).is_some());
    }

    #[test]
    fn a_hit_makes_no_entry_younger() {
        let mut cache = NearCache::new(10);
        let reading = cache.reading("a", "a", at(0));
        cache.put("a", "1", reading);
        for millis in (0..1_000).step_by(100) {
            assert_eq!(cache.get("a", 1_000, at(millis)), Some(("1", UnixMillis(0))));
        }
        assert!(text(&mut cache, "a", 1_000).is_none());
    }

    #[test]
    fn a_change_drops_the_entry_and_the_reads_under_way() {
        for how in ["by its key", "by its name", "with all others"] {
            let change = |cache: &mut NearCache| match how {
                "by its key" => cache.changed("a"),
                "by its name" => cache.changed("name of a"),
                _ => cache.clear(),
            };
            let mut cache = NearCache::new(1_000);
            let reading = cache.reading("a", "name of a", at(0));
            cache.put("a", "1", reading);
            let other = cache.reading("b", "b", at(0));
            cache.put("b", "2", other);
            let under_way = cache.reading("a", "name of a", at(1));
            change(&mut cache);
            assert!(text(&mut cache, "a", 2).is_none(), "{how}");
            assert_eq!(text(&mut cache, "b", 2).is_some(), how != "with all others");
            cache.put("a", "1", under_way);
            assert!(text(&mut cache, "a", 2).is_none(), "{how}");
            let later = cache.reading("a", "name of a", at(2));
            cache.put("a", "3", later);
            assert_eq!(text(&mut cache, "a", 3).as_deref(), Some("3"), "{how}");
        }
    }

    #[test]
    fn the_later_of_two_reads_counts() {
        let mut cache = NearCache::new(10);
        let [early, late] = [at(1), at(2)].map(|at| cache.reading("a", "a", at));
        cache.put("a", "late", late);
        cache.put("a", "early", early);
        assert_eq!(text(&mut cache, "a", 3).as_deref(), Some("late"));
        // An entry that answers no longer is in no one's way.
        cache.changed("a");
        let reading = cache.reading("a", "a", at(1));
        cache.put("a", "again", reading);
        assert_eq!(text(&mut cache, "a", 3).as_deref(), Some("again"));
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn entries_and_bytes_are_bounded() {
        let mut cache = NearCache::new(16);
        for number in 0..1_000 {
            let key = format!("key {number}");
            let reading = cache.reading(&key, &key, at(0));
            cache.put(&key, &"x".repeat(number * 5), reading);
            assert!(cache.len() <= 16);
            let entries = cache.slots.iter().filter_map(|slot| slot.entry.as_ref());
            let sizes = entries.map(|entry| OVERHEAD + entry.text.len());
            assert_eq!(cache.bytes, sizes.clone().sum::<usize>());
            assert_eq!(cache.count, sizes.count());
            assert!(cache.bytes <= 16 * BYTES);
        }
        let huge = "x".repeat(16 * BYTES);
        let reading = cache.reading("huge", "huge", at(0));
        cache.put("huge", &huge, reading);
        assert!(text(&mut cache, "huge", 0).is_none());
        assert!(!cache.is_empty());
    }

    #[test]
    fn entries_that_answer_no_longer_are_freed() {
        let mut cache = NearCache::new(1_000);
        for number in 0..500 {
            let key = format!("key {number}");
            let reading = cache.reading(&key, &key, at(0));
            cache.put(&key, "{}", reading);
        }
        let later = constants::LONGEST_STALE.into();
        // Each looks at a few of the slots, of which there are 2,048.
        for _ in 0..256 {
            let reading = cache.reading("another", "another", at(later));
            cache.put("another", "{}", reading);
        }
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn nothing_of_a_session_is_shown() {
        let mut cache = NearCache::new(10);
        let reading = cache.reading("secret key", "", at(0));
        cache.put("secret key", "secret text", reading);
        assert_eq!(format!("{cache:?}"), "NearCache { entries: 1, .. }");
    }
}
