use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use crate::{Error, Ttl, UnixMillis};

/// Records in memory, with a life each, a cap on their number and a cap on their bytes.
///
/// Every call first removes what has expired, so memory is freed without a timer, and the cost of
/// that is paid by the writes that filled it. A full table refuses what is new: it never logs
/// anybody out to make room.
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
    entries: BTreeMap<Arc<str>, Entry>,
    deadlines: BTreeSet<(UnixMillis, Arc<str>)>,
    bytes: usize,
}

/// How much a [`MemoryTable`] holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MemoryLimits {
    /// Records; 100,000 unless said otherwise.
    pub entries: usize,
    /// Bytes of keys and records with their bookkeeping; 64 MiB unless said otherwise.
    pub bytes: usize,
    /// The life of a record that is stored with [`Ttl::Infinite`], in milliseconds; a day unless
    /// said otherwise, as in the seed's stores.
    pub default_ttl: u64,
}

struct Entry {
    text: String,
    deadline: UnixMillis,
}

/// Both trees' nodes and headers, roughly. Counted so that many tiny records are not free.
const OVERHEAD: usize = 160;

impl MemoryTable {
    /// An empty table.
    #[must_use]
    pub fn new(limits: MemoryLimits) -> Self {
        Self { limits, entries: BTreeMap::new(), deadlines: BTreeSet::new(), bytes: 0 }
    }

    /// The record under `key`, if it is there and alive.
    pub fn get(&mut self, key: &str, now: UnixMillis) -> Option<&str> {
        self.sweep(now);
        self.entries.get(key).map(|entry| entry.text.as_str())
    }

    /// Writes a record, new or over an old one. With a life that is over, removes it.
    ///
    /// # Errors
    /// [`Error::StoreFull`]; what was there before is there still.
    pub fn set(&mut self, key: &str, text: &str, ttl: Ttl, now: UnixMillis) -> Result<(), Error> {
        self.sweep(now);
        if ttl.is_over() {
            self.remove(key);
            return Ok(());
        }
        let old = self.entries.get(key).map(|entry| cost(key, &entry.text));
        let bytes = self.bytes - old.unwrap_or(0) + cost(key, text);
        if bytes > self.limits.bytes {
            return Err(Error::StoreFull { limit: self.limits.bytes, unit: "bytes" });
        }
        if old.is_none() && self.entries.len() >= self.limits.entries {
            return Err(Error::StoreFull { limit: self.limits.entries, unit: "entries" });
        }
        self.remove(key);
        let deadline = self.deadline(ttl, now);
        let key: Arc<str> = key.into();
        self.deadlines.insert((deadline, Arc::clone(&key)));
        self.entries.insert(key, Entry { text: text.to_owned(), deadline });
        self.bytes = bytes;
        Ok(())
    }

    /// Gives a record a new life from `now` on. Never creates one: `false` if it is not there.
    pub fn touch(&mut self, key: &str, ttl: Ttl, now: UnixMillis) -> bool {
        self.sweep(now);
        if ttl.is_over() {
            return self.remove(key);
        }
        let deadline = self.deadline(ttl, now);
        let Some((key, _)) = self.entries.get_key_value(key) else { return false };
        let key = Arc::clone(key);
        let Some(entry) = self.entries.get_mut(&key) else { return false };
        self.deadlines.remove(&(entry.deadline, Arc::clone(&key)));
        entry.deadline = deadline;
        self.deadlines.insert((deadline, key));
        true
    }

    /// Removes a record; whether there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        let Some((key, entry)) = self.entries.remove_entry(key) else { return false };
        self.bytes -= cost(&key, &entry.text);
        self.deadlines.remove(&(entry.deadline, key));
        true
    }

    /// Removes what has expired.
    pub fn sweep(&mut self, now: UnixMillis) {
        while let Some((deadline, key)) = self.deadlines.first() {
            if *deadline > now {
                break;
            }
            let key = Arc::clone(key);
            self.remove(&key);
        }
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes that count towards [`MemoryLimits::bytes`].
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn deadline(&self, ttl: Ttl, now: UnixMillis) -> UnixMillis {
        ttl.deadline(now).unwrap_or_else(|| now.plus(self.limits.default_ttl))
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
        Self { entries: 100_000, bytes: 64 << 20, default_ttl: 86_400_000 }
    }
}

fn cost(key: &str, text: &str) -> usize {
    OVERHEAD + key.len() + text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMillis = UnixMillis(1_700_000_000_000);

    fn table(entries: usize, bytes: usize) -> MemoryTable {
        MemoryTable::new(MemoryLimits { entries, bytes, default_ttl: 5_000 })
    }

    #[test]
    fn expiry_frees() {
        let mut table = table(10_000, 1 << 24);
        for n in 0..1_000u64 {
            table.set(&n.to_string(), "{}", Ttl::Millis(1 + n), T0).unwrap();
        }
        table.set("forever", "{}", Ttl::Infinite, T0).unwrap();
        assert_eq!(table.len(), 1_001);
        // Any call frees them, also one about another key.
        assert_eq!(table.get("none", T0.plus(1_000)), None);
        assert_eq!((table.len(), table.deadlines.len()), (1, 1));
        assert_eq!(table.bytes(), cost("forever", "{}"));
        table.sweep(T0.plus(5_000));
        assert_eq!((table.len(), table.deadlines.len(), table.bytes()), (0, 0, 0));
    }

    #[test]
    fn touch_extends_and_never_creates() {
        let mut table = table(10, 1 << 20);
        assert!(!table.touch("sid", Ttl::Millis(50), T0));
        assert!(table.is_empty());
        table.set("sid", "{}", Ttl::Millis(10), T0).unwrap();
        assert!(table.touch("sid", Ttl::Millis(50), T0.plus(9)));
        assert_eq!(table.get("sid", T0.plus(58)), Some("{}"));
        assert_eq!(table.get("sid", T0.plus(59)), None);
        assert!(!table.touch("sid", Ttl::Millis(50), T0.plus(59)));
    }

    #[test]
    fn a_life_that_is_over_is_the_end() {
        let mut table = table(10, 1 << 20);
        table.set("sid", "{}", Ttl::Millis(10), T0).unwrap();
        table.set("sid", "{}", Ttl::Millis(0), T0).unwrap();
        assert!(table.is_empty());
        table.set("sid", "{}", Ttl::Millis(10), T0).unwrap();
        assert!(table.touch("sid", Ttl::Millis(0), T0));
        assert!(table.is_empty());
    }

    #[test]
    fn a_full_table_refuses_what_is_new_and_keeps_what_it_has() {
        let mut table = table(2, 1_000);
        table.set("a", "1", Ttl::Infinite, T0).unwrap();
        table.set("b", "1", Ttl::Infinite, T0).unwrap();
        let full = table.set("c", "1", Ttl::Infinite, T0);
        assert_eq!(full, Err(Error::StoreFull { limit: 2, unit: "entries" }));
        table.set("a", "2", Ttl::Infinite, T0).unwrap();
        let full = table.set("a", &"x".repeat(1_000), Ttl::Infinite, T0);
        assert_eq!(full, Err(Error::StoreFull { limit: 1_000, unit: "bytes" }));
        assert_eq!(table.get("a", T0), Some("2"));
        // What expires makes room.
        assert_eq!(table.set("c", "1", Ttl::Infinite, T0.plus(5_000)), Ok(()));
    }

    #[test]
    fn a_clock_that_steps_back_revives_nothing() {
        let mut table = table(10, 1 << 20);
        table.set("sid", "{}", Ttl::Millis(10), T0).unwrap();
        assert_eq!(table.get("sid", T0.plus(10)), None);
        assert_eq!(table.get("sid", T0), None);
    }
}
