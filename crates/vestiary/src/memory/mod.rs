use alloc::{boxed::Box, string::String};
use core::{
    fmt,
    hash::{Hash, Hasher},
};

use indexmap::{Equivalent, IndexSet, set::MutableValues as _};
use rustc_hash::FxBuildHasher;

use crate::{Error, Ttl, UnixMillis, constants, record};

/// Records in memory, each with a TTL, with limits for their number and their bytes.
///
/// Expired records are freed without a timer: every call checks a few more records, in turn, and removes the expired
/// ones. A full table refuses an anonymous record, and evicts anonymous ones for a user's record, created or replaced.
/// It never evicts a user's session.
///
/// ```
/// # use vestiary::{MemoryLimits, MemoryTable, Ttl, UnixMillis};
/// let mut table = MemoryTable::new(MemoryLimits::default());
/// table.set("sid", "{}", Ttl::Millis(1_000), UnixMillis(0))?;
/// assert_eq!(table.get("sid", UnixMillis(999)), Some("{}"));
/// assert_eq!(table.get("sid", UnixMillis(1_000)), None);
/// assert_eq!(table.len(), 0);
/// # Ok::<(), vestiary::Error>(())
/// ```
pub struct MemoryTable {
    limits: MemoryLimits,
    // The hash needs no random seed: keys are IDs that we generated, or that carry our signature.
    entries: IndexSet<Entry, FxBuildHasher>,
    /// The position of the next entry to check.
    hand: usize,
    /// When all entries were last checked.
    swept: UnixMillis,
    bytes: usize,
    /// The bytes of owned records, which cannot be evicted.
    owned: Usage,
}

/// A number of entries, and their bytes.
#[derive(Clone, Copy, Default)]
struct Usage {
    entries: usize,
    bytes: usize,
}

/// The limits of a [`MemoryTable`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MemoryLimits {
    /// The maximum number of records. Default: 100,000.
    pub entries: usize,
    /// The maximum number of bytes of keys, records and bookkeeping. Default: 64 MiB.
    pub bytes: usize,
    /// The TTL of a record that is stored with [`Ttl::Infinite`], in milliseconds. Default: one day, as in the stores
    /// of svelte-kit-sessions.
    pub default_ttl: u64,
}

/// The outcome of a conditional write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// Nothing was done: there is another record.
    Conflict,
    /// Nothing was done: there is no record.
    Gone,
}

/// A record under its key, and known by it.
struct Entry {
    /// The key, followed by the record: two texts would double the bookkeeping of small records.
    text: Box<str>,
    key: u32,
    deadline: UnixMillis,
    /// Whether the session is owned by a user.
    owned: bool,
}

/// The key by which an entry is found.
struct Key<'k>(&'k str);

/// The approximate size of an entry without key and text, counted so that many tiny records are not free.
const OVERHEAD: usize = 96;

/// The number of entries that a call checks for expiry. More than one, so that freeing outruns filling.
const LOOKS: usize = 8;

/// A full table looks at all entries at most this often, in milliseconds.
const SWEEP_INTERVAL: u64 = 1_000;

impl MemoryTable {
    /// Creates an empty table.
    #[must_use]
    pub fn new(limits: MemoryLimits) -> Self {
        let entries = IndexSet::with_hasher(FxBuildHasher);
        let owned = Usage::default();
        Self { limits, entries, hand: 0, swept: UnixMillis(0), bytes: 0, owned }
    }

    /// The record under `key`, unless it has expired.
    pub fn get(&mut self, key: &str, now: UnixMillis) -> Option<&str> {
        let at = self.find(key, now)?;
        self.entries.get_index(at).map(Entry::record)
    }

    /// Writes a record, new or in place of an old one. Removes it if the TTL has passed.
    ///
    /// # Errors
    /// [`Error::StoreFull`]; the previous record stays.
    pub fn set(&mut self, key: &str, text: &str, ttl: Ttl, now: UnixMillis) -> Result<(), Error> {
        let at = self.find(key, now);
        self.write(at, key, text, ttl, false, now)
    }

    /// Writes a record if there is none. Does nothing, and is `Ok`, if the TTL has passed.
    ///
    /// `owned` says that the session is owned by a user: a full table evicts anonymous records for it, now and when it
    /// is replaced by a larger one.
    ///
    /// # Errors
    /// [`Error::StoreFull`]; nothing was evicted.
    pub fn create(
        &mut self,
        key: &str,
        text: &str,
        ttl: Ttl,
        owned: bool,
        now: UnixMillis,
    ) -> Result<Outcome, Error> {
        if self.find(key, now).is_some() {
            return Ok(Outcome::Conflict);
        }
        self.write(None, key, text, ttl, owned, now)?;
        Ok(Outcome::Done)
    }

    /// Replaces the record whose write ID is `expected` (`None`: no write ID).
    ///
    /// # Errors
    /// [`Error::StoreFull`]; the previous record stays.
    pub fn replace(
        &mut self,
        key: &str,
        expected: Option<&str>,
        text: &str,
        ttl: Ttl,
        now: UnixMillis,
    ) -> Result<Outcome, Error> {
        let at = self.find(key, now);
        let outcome = self.compare(at, expected);
        if outcome == Outcome::Done {
            self.write(at, key, text, ttl, false, now)?;
        }
        Ok(outcome)
    }

    /// Removes the record whose write ID is `expected` (`None`: no write ID).
    pub fn remove_by_write_id(
        &mut self,
        key: &str,
        expected: Option<&str>,
        now: UnixMillis,
    ) -> Outcome {
        let at = self.find(key, now);
        let outcome = self.compare(at, expected);
        if let (Outcome::Done, Some(at)) = (outcome, at) {
            self.remove_at(at);
        }
        outcome
    }

    fn compare(&self, at: Option<usize>, expected: Option<&str>) -> Outcome {
        match at.and_then(|at| self.entries.get_index(at)) {
            None => Outcome::Gone,
            Some(entry) if record::write_id_of(entry.record()) == expected => Outcome::Done,
            Some(_) => Outcome::Conflict,
        }
    }

    /// Restarts the TTL of a record. Never creates one: `false` if there is none.
    pub fn touch(&mut self, key: &str, ttl: Ttl, now: UnixMillis) -> bool {
        let Some(at) = self.find(key, now) else { return false };
        if ttl.is_expired() {
            self.remove_at(at);
            return true;
        }
        let deadline = self.deadline(ttl, now);
        self.change(at, |entry| entry.deadline = deadline);
        true
    }

    /// Restarts the TTL of the record whose write ID is `expected` (`None`: no write ID).
    pub fn touch_by_write_id(
        &mut self,
        key: &str,
        expected: Option<&str>,
        ttl: Ttl,
        now: UnixMillis,
    ) -> Outcome {
        let at = self.find(key, now);
        let outcome = self.compare(at, expected);
        if outcome == Outcome::Done {
            self.touch(key, ttl, now);
        }
        outcome
    }

    /// Removes a record; returns whether there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        let Some(at) = self.entries.get_index_of(&Key(key)) else { return false };
        self.remove_at(at);
        true
    }

    /// Removes all expired records.
    pub fn sweep(&mut self, now: UnixMillis) {
        self.swept = now;
        self.hand = 0;
        while self.look(now) {}
    }

    /// The keys, texts and remaining TTLs of all records.
    pub fn iter(&self, now: UnixMillis) -> impl Iterator<Item = (&str, &str, Ttl)> {
        let alive = self.entries.iter().filter(move |entry| entry.deadline > now);
        alive
            .map(move |entry| (entry.key(), entry.record(), Ttl::Millis(entry.deadline.since(now))))
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the table is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of bytes that count towards [`MemoryLimits::bytes`].
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The position of the entry of `key`, unless it has expired. Also checks the next few entries.
    fn find(&mut self, key: &str, now: UnixMillis) -> Option<usize> {
        for _ in 0..LOOKS {
            if !self.look(now) {
                self.hand = 0;
                break;
            }
        }
        let (at, entry) = self.entries.get_full(&Key(key))?;
        if entry.deadline <= now {
            self.remove_at(at);
            return None;
        }
        Some(at)
    }

    /// Checks the entry at the current position; `false` past the last one.
    fn look(&mut self, now: UnixMillis) -> bool {
        let Some(entry) = self.entries.get_index(self.hand) else { return false };
        if entry.deadline > now {
            self.hand += 1;
        } else {
            // The last entry takes this place, and is looked at next.
            self.remove_at(self.hand);
        }
        true
    }

    /// Writes a record in place of the one `at`, or a new one. `owned` says that it is owned; an owned record stays
    /// owned.
    fn write(
        &mut self,
        mut at: Option<usize>,
        key: &str,
        text: &str,
        ttl: Ttl,
        owned: bool,
        now: UnixMillis,
    ) -> Result<(), Error> {
        if ttl.is_expired() {
            if let Some(at) = at {
                self.remove_at(at);
            }
            return Ok(());
        }
        if self.refusal(at, key, text).is_some() && now.since(self.swept) >= SWEEP_INTERVAL {
            self.sweep(now);
            at = self.entries.get_index_of(&Key(key));
        }
        let owned = owned || self.entry(at).is_some_and(|entry| entry.owned);
        if let Some(refusal) = self.refusal(at, key, text) {
            if !owned || !self.make_room(at, key, text) {
                return Err(refusal);
            }
            at = self.entries.get_index_of(&Key(key));
        }
        let Some(entry) = Entry::new(key, text, self.deadline(ttl, now), owned) else {
            return Err(Error::StoreFull { limit: self.limits.bytes, unit: "bytes" });
        };
        self.count(&entry);
        let Some(at) = at else {
            self.entries.insert(entry);
            return Ok(());
        };
        if let Some(old) = self.change(at, |old| core::mem::replace(old, entry)) {
            self.uncount(&old);
        }
        Ok(())
    }

    /// Changes an entry, except its key.
    fn change<T>(&mut self, at: usize, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.entries.get_index_mut2(at).map(change)
    }

    fn remove_at(&mut self, at: usize) {
        if let Some(entry) = self.entries.swap_remove_index(at) {
            self.uncount(&entry);
        }
    }

    fn entry(&self, at: Option<usize>) -> Option<&Entry> {
        self.entries.get_index(at?)
    }

    fn count(&mut self, entry: &Entry) {
        self.bytes += entry.cost();
        if entry.owned {
            self.owned.entries += 1;
            self.owned.bytes += entry.cost();
        }
    }

    fn uncount(&mut self, entry: &Entry) {
        self.bytes -= entry.cost();
        if entry.owned {
            self.owned.entries -= 1;
            self.owned.bytes -= entry.cost();
        }
    }

    /// Evicts anonymous records until this owned one fits in place of the one `at`. `false`, and nothing is evicted, if
    /// it would not fit even without them.
    fn make_room(&mut self, at: Option<usize>, key: &str, text: &str) -> bool {
        let old = self.entry(at).filter(|entry| entry.owned).map(Entry::cost);
        let least = self.owned.bytes - old.unwrap_or(0) + cost(key.len() + text.len());
        let entries = self.owned.entries + usize::from(old.is_none());
        if least > self.limits.bytes || entries > self.limits.entries {
            return false;
        }
        let mut place = 0;
        while let Some(entry) = self.entries.get_index(place) {
            let at = self.entries.get_index_of(&Key(key));
            if self.refusal(at, key, text).is_none() {
                break;
            }
            if entry.owned || Some(place) == at {
                place += 1;
            } else {
                self.remove_at(place);
            }
        }
        true
    }

    /// The reason why this record cannot be stored in place of the one `at`, or as a new one.
    fn refusal(&self, at: Option<usize>, key: &str, text: &str) -> Option<Error> {
        let old = self.entry(at).map(Entry::cost);
        if self.bytes - old.unwrap_or(0) + cost(key.len() + text.len()) > self.limits.bytes {
            return Some(Error::StoreFull { limit: self.limits.bytes, unit: "bytes" });
        }
        let full = old.is_none() && self.entries.len() >= self.limits.entries;
        full.then_some(Error::StoreFull { limit: self.limits.entries, unit: "entries" })
    }

    fn deadline(&self, ttl: Ttl, now: UnixMillis) -> UnixMillis {
        ttl.deadline(now).unwrap_or_else(|| now.plus(self.limits.default_ttl))
    }
}

impl Entry {
    /// `None` for a key of 4 GiB.
    fn new(key: &str, record: &str, deadline: UnixMillis, owned: bool) -> Option<Self> {
        let length = u32::try_from(key.len()).ok()?;
        let mut text = String::with_capacity(key.len() + record.len());
        text.extend([key, record]);
        Some(Self { text: text.into(), key: length, deadline, owned })
    }

    #[inline]
    fn key(&self) -> &str {
        self.parts().0
    }

    #[inline]
    fn record(&self) -> &str {
        self.parts().1
    }

    #[inline]
    fn parts(&self) -> (&str, &str) {
        let key = usize::try_from(self.key).unwrap_or_default();
        self.text.split_at_checked(key).unwrap_or_default()
    }

    fn cost(&self) -> usize {
        cost(self.text.len())
    }
}

impl Eq for Entry {}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Key(self.key()).hash(state);
    }
}

impl Equivalent<Entry> for Key<'_> {
    fn equivalent(&self, entry: &Entry) -> bool {
        self.0 == entry.key()
    }
}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for MemoryTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTable")
            .field("entries", &self.entries.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { entries: 100_000, bytes: 64 << 20, default_ttl: constants::STORE_TTL }
    }
}

/// The cost of a key and a record of this many bytes.
fn cost(text: usize) -> usize {
    OVERHEAD + text
}

#[cfg(test)]
mod tests;
