use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use vestiary::{MemoryLimits, MemoryTable, Ttl, UnixMillis, WriteId};

use crate::{Cursor, Entry, Outcome, Page, ReadTwo, Scan, Store, StoreError, StoreInfo, clock};

/// Keeps sessions in the memory of this process: for tests, for development, and for a single process whose
/// sessions may end with it.
///
/// Expired records are freed in passing, without a timer or a task. A full store refuses new records, or evicts
/// anonymous sessions for the write of a user's session. The store is sharded; no lock is held across an `await`.
///
/// ```
/// use vestiary_store::{MemoryLimits, MemoryStore};
///
/// let store = MemoryStore::new(MemoryLimits { entries: 1_000_000, bytes: 1 << 30, ..Default::default() });
/// assert_eq!(store.len(), 0);
/// ```
pub struct MemoryStore {
    shards: Box<[Mutex<MemoryTable>]>,
    /// Not the hasher of the tables, or all keys of a shard would collide there.
    hasher: RandomState,
    clock: fn() -> UnixMillis,
    /// Whether the clock is not the system's.
    has_own_clock: bool,
    default_ttl: Ttl,
}

/// More shards than processors, so that two requests seldom contend for one.
const SHARDS: usize = 64;

impl MemoryStore {
    /// Creates an empty store with these limits, over all shards together.
    #[must_use]
    pub fn new(limits: MemoryLimits) -> Self {
        Self { has_own_clock: false, ..Self::with_clock(limits, clock::now) }
    }

    /// Creates a store as [`MemoryStore::new`] does, with another clock for tests.
    #[must_use]
    pub fn with_clock(limits: MemoryLimits, clock: fn() -> UnixMillis) -> Self {
        // Shards never fill evenly, so each may hold somewhat more than its share. A small store has one shard.
        let shards = if limits.entries < 64 * SHARDS { 1 } else { SHARDS };
        let share = |whole: usize| whole / shards + usize::from(shards > 1) * whole / shards / 8;
        let each =
            MemoryLimits { entries: share(limits.entries), bytes: share(limits.bytes), ..limits };
        let shards = (0..shards).map(|_| Mutex::new(MemoryTable::new(each))).collect();
        let default_ttl = Ttl::Millis(limits.default_ttl);
        let hasher = RandomState::new();
        Self { shards, hasher, clock, has_own_clock: true, default_ttl }
    }

    /// The number of records, including expired ones that are not freed yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Whether the store has no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn table(&self, key: &str) -> MutexGuard<'_, MemoryTable> {
        let places = self.shards.len() as u64;
        let place = usize::try_from(self.hasher.hash_one(key) % places).unwrap_or_default();
        #[expect(clippy::indexing_slicing, reason = "less than their number")]
        lock(&self.shards[place])
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(MemoryLimits::default())
    }
}

impl Store for MemoryStore {
    fn default_ttl(&self) -> Ttl {
        self.default_ttl
    }

    async fn check(&self) -> Result<StoreInfo, StoreError> {
        Ok(StoreInfo::in_process())
    }

    async fn now(&self, _: &str) -> Result<Option<UnixMillis>, StoreError> {
        Ok(self.has_own_clock.then(self.clock))
    }

    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        let now = (self.clock)();
        Ok(self.table(key).get(key, now).map(str::to_owned))
    }

    async fn read_two(&self, one: &str, other: &str) -> ReadTwo {
        let now = (self.clock)();
        [one, other].map(|key| Ok(self.table(key).get(key, now).map(str::to_owned)))
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        owned: bool,
    ) -> Result<bool, StoreError> {
        let now = (self.clock)();
        let created = self.table(key).create(key, record, ttl, owned, now);
        Ok(created.map_err(StoreError::Full)? == Outcome::Done)
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        let expected = expected.map(WriteId::as_str);
        let now = (self.clock)();
        let replaced = self.table(key).replace(key, expected, record, ttl, now);
        replaced.map_err(StoreError::Full)
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        let now = (self.clock)();
        Ok(self.table(key).touch(key, ttl, now))
    }

    async fn touch_if(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        let expected = expected.map(WriteId::as_str);
        let now = (self.clock)();
        Ok(self.table(key).touch_by_write_id(key, expected, ttl, now))
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        let expected = expected.map(WriteId::as_str);
        let now = (self.clock)();
        Ok(self.table(key).remove_by_write_id(key, expected, now))
    }

    fn resends(&self) -> bool {
        false
    }
}

impl Scan for MemoryStore {
    /// Lists one shard per page and ignores `most`.
    async fn scan(&self, from: Option<&Cursor>, _most: usize) -> Result<Page, StoreError> {
        let at = from.map_or(Ok(0), |Cursor(text)| text.parse()).map_err(StoreError::failed)?;
        let Some(shard) = self.shards.get(at) else { return Ok(Page::default()) };
        let now = (self.clock)();
        let entries = lock(shard)
            .iter(now)
            .map(|(key, record, ttl)| Entry { key: key.to_owned(), record: record.to_owned(), ttl })
            .collect();
        let next = at + 1;
        let next = (next < self.shards.len()).then(|| Cursor(next.to_string()));
        Ok(Page { entries, next })
    }

    async fn entry(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let now = (self.clock)();
        let table = self.table(key);
        let found = table.iter(now).find(|(at, ..)| *at == key);
        Ok(found.map(|(key, record, ttl)| Entry {
            key: key.to_owned(),
            record: record.to_owned(),
            ttl,
        }))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// A table is consistent after each call, so a panic elsewhere does not spoil it.
fn lock(shard: &Mutex<MemoryTable>) -> MutexGuard<'_, MemoryTable> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
