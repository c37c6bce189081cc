use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use vestiary::{
    CacheOptions, NearCache, Reading, Ticket,
    protocol::{Call, Reply},
};

use crate::{
    AnyStore, Store as _,
    clock::{self, Stopwatch},
};

/// The near cache of a process, between its requests and the store.
pub(crate) struct Near {
    cache: Mutex<NearCache>,
    clock: Stopwatch,
    /// When an entry was last added, in milliseconds by the clock; 0 before the first one.
    added: AtomicU64,
}

/// The reads of a store call that are in progress, with the keys: of a record, and of a user's session list.
pub(crate) type Readings<'a> = [Option<(&'a str, Reading)>; 2];

/// The time after its last entry in which the feed of the store stays connected, in milliseconds: as long as an entry may
/// answer.
#[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
const WARM: u64 = vestiary::constants::LONGEST_STALE as u64;

impl Near {
    pub(crate) fn new(options: CacheOptions) -> Self {
        Self {
            cache: Mutex::new(NearCache::new(options.max_entries)),
            clock: Stopwatch::start(),
            added: AtomicU64::new(0),
        }
    }

    /// The text under a key, with its ticket.
    pub(crate) fn get(&self, key: &str, max_stale: u64) -> Option<(String, Ticket)> {
        let at = clock::moment(&self.clock);
        let mut cache = self.cache();
        cache.get(key, max_stale, at).map(|(text, ticket)| (text.to_owned(), ticket))
    }

    /// Begins the reads of a call.
    pub(crate) fn readings<'a>(&self, store: &AnyStore, call: Call<'a>) -> Readings<'a> {
        let keys = match call {
            Call::Read(key) | Call::ReadTimed(key) => [Some(key), None],
            Call::ReadTwo(key, list) => [Some(key), Some(list)],
            _ => return [None, None],
        };
        let at = clock::moment(&self.clock);
        keys.map(|key| {
            let key = key?;
            let name = store.name_of(key);
            Some((key, self.cache().reading(key, name.as_deref().unwrap_or(key), at)))
        })
    }

    /// Keeps the texts in a reply.
    pub(crate) fn keep(&self, readings: Readings<'_>, reply: &Reply) {
        let [text, list] = match reply {
            Reply::Text(text) | Reply::Timed(Some(text), _) => [Some(text), None],
            Reply::Two(text, list) => [text.as_ref(), list.as_ref().and_then(Option::as_ref)],
            _ => return,
        };
        let mut cache = self.cache();
        for (reading, text) in readings.into_iter().zip([text, list]) {
            if let (Some((key, reading)), Some(text)) = (reading, text) {
                cache.put(key, text, reading);
            }
        }
        self.added.store(self.millis().max(1), Ordering::Relaxed);
    }

    /// Records that the record with this key, or with this name in the feed, may have changed.
    pub(crate) fn changed(&self, key: &str) {
        self.cache().changed(key);
    }

    /// Records that all records may have changed.
    #[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
    pub(crate) fn clear(&self) {
        self.cache().clear();
    }

    /// Whether an entry may still answer, so that the feed of the store is of use.
    #[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
    pub(crate) fn is_warm(&self) -> bool {
        let added = self.added.load(Ordering::Relaxed);
        added > 0 && self.millis().saturating_sub(added) < WARM
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The cache is consistent after each call, so a panic elsewhere does not spoil it.
    fn cache(&self) -> MutexGuard<'_, NearCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows no session.
impl fmt::Debug for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Near").finish_non_exhaustive()
    }
}
