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
/// let (text, ticket) = cache.get("sid", 1_000, at(1_004)).unwrap();
/// assert_eq!((text, ticket.read), ("{}", UnixMillis(5)));
/// assert!(cache.get("sid", 1_000, at(1_005)).is_none());
///
/// let reading = cache.reading("sid", "sid", at(2_000));
/// cache.changed("sid");
/// cache.put("sid", "{}", reading);
/// assert!(cache.get("sid", 1_000, at(2_001)).is_none());
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
    /// The number of slots that are checked when an entry is added.
    looks: usize,
}

#[derive(Default)]
struct Slot {
    entry: Option<Box<Entry>>,
    /// The number of changes of the records whose key, or name in the feed, falls into this slot. Records that share a slot
    /// are only read once more.
    changes: u32,
    /// As `changes`, but it also grows when an entry is added or evicted.
    uses: u32,
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

/// Proves that the entries from which an answer was made are still there, and still young enough, so that it can be given
/// again without a look at them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ticket {
    /// When the store was asked for the first entry.
    pub read: UnixMillis,
    /// The slots of the entries: of the key and the name of each. The second ones do not exist if there is one entry.
    pub slots: [[usize; 2]; 2],
    /// The sum of the counters of these slots.
    pub stamp: u32,
    /// For how long the answer may be given again, in microseconds.
    pub left: u32,
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

/// The number of slots up to which there are sixteen for each entry. They take 3 MiB in WebAssembly.
const SPARE: usize = 1 << 18;

/// The number of slots that are checked when an entry is added, for each slot that an entry could have. So old entries are
/// freed without a timer.
const LOOKS: usize = 4;

impl NearCache {
    /// Creates an empty cache for this many entries, which take 2 KiB each on average, at most.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        // Most slots stay empty, because two entries that share one evict each other again and again.
        let spare = most.saturating_mul(16).min(SPARE);
        let slots = most.saturating_mul(2).max(spare).next_power_of_two();
        let looks = LOOKS.saturating_mul(slots / most);
        let slots = (0..slots).map(|_| Slot::default()).collect();
        Self { slots, most, count: 0, bytes: 0, hand: 0, looks }
    }

    /// The text under a key, and a ticket for answers from it; `None` if it has to be read now, because no entry is younger
    /// than `max_stale` milliseconds.
    pub fn get(&mut self, key: &str, max_stale: u64, at: Moment) -> Option<(&str, Ticket)> {
        let slot = self.slot(key);
        let Entry { reading, .. } = &**self.slots.get(slot)?.entry.as_ref()?;
        let most = max_stale.saturating_mul(1_000);
        let left = if self.is_unchanged(reading) { left(reading.at, most, at) } else { 0 };
        if left == 0 && !(seeded(Fault::RereadsCache) && max_stale == u64::MAX) {
            return None;
        }
        let slots = [reading.slots, [usize::MAX; 2]];
        let ticket = Ticket { read: reading.at.now, slots, stamp: self.stamp(slots), left };
        let entry = self.slots.get_mut(slot)?.entry.as_mut()?;
        if seeded(Fault::CacheCountsFromHit) {
            entry.reading.at = at;
        }
        Some((entry.text_of(key)?, ticket))
    }

    /// Whether an answer can be given again: its entries are still there, and its age by each clock allows it. The ages are in
    /// milliseconds, and negative if the clock was set back.
    #[must_use]
    pub fn holds(&self, ticket: &Ticket, ages: [f64; 2]) -> bool {
        let is_there = self.stamp(ticket.slots) == ticket.stamp;
        let is_young = ages.iter().all(|age| (0.0..ticket.left.into()).contains(&(age * 1_000.0)));
        (is_there || seeded(Fault::TicketIgnoresChanges))
            && (is_young || seeded(Fault::TicketNeverEnds))
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
        for _ in 0..self.looks {
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
            slot.uses = slot.uses.wrapping_add(1);
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
            slot.changed();
        }
    }

    /// Records that all records may have changed, because a change may have been missed.
    pub fn clear(&mut self) {
        self.slots.iter_mut().for_each(Slot::changed);
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
        let Some(slot) = self.slots.get_mut(slot) else { return };
        if let Some(entry) = slot.entry.take() {
            slot.uses = slot.uses.wrapping_add(1);
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
        own.wrapping_add(name)
    }

    /// The sum of the counters on which an answer from these slots depends. Each of them only grows.
    fn stamp(&self, slots: [[usize; 2]; 2]) -> u32 {
        slots.into_iter().fold(0, |stamp: u32, [own, name]| {
            let uses = self.slots.get(own).map_or(0, |slot| slot.uses);
            let changes = self.slots.get(name).map_or(0, |slot| slot.changes);
            stamp.wrapping_add(uses).wrapping_add(changes)
        })
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

impl Slot {
    fn changed(&mut self) {
        self.changes = self.changes.wrapping_add(1);
        self.uses = self.uses.wrapping_add(1);
    }
}

impl Ticket {
    /// The ticket of an answer from both entries.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let ([own, _], [others, _]) = (self.slots, other.slots);
        let stamp = self.stamp.wrapping_add(other.stamp);
        Self { slots: [own, others], stamp, left: self.left.min(other.left), ..self }
    }

    /// The last time by the wall clock at which the answer that is made now can be given again.
    pub(crate) fn last(&self, now: UnixMillis) -> UnixMillis {
        now.plus((self.left.saturating_sub(1) / 1_000).into())
    }
}

/// The rest of `micros` microseconds, by the clock that is further; 0 if a clock was set back.
fn left(since: Moment, micros: u64, at: Moment) -> u32 {
    if at.now < since.now || at.elapsed < since.elapsed {
        return 0;
    }
    let age = at.now.since(since.now).saturating_mul(1_000);
    micros.saturating_sub(age.max(at.elapsed - since.elapsed)).try_into().unwrap_or(u32::MAX)
}

/// Shows no session.
impl fmt::Debug for NearCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NearCache").field("entries", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
