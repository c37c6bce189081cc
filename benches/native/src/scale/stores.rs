//! The stores that are filled.

use std::{
    collections::HashMap,
    hint::black_box,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tower_sessions::cookie::time::OffsetDateTime;
use vestiary::{MemoryLimits, Record, SessionId, Ttl, WriteId};
use vestiary_store::{MemoryStore, Outcome, Store as _};

use crate::peers::LIFE;

/// A store with its keys.
pub(super) trait Filled {
    /// Stores the session with this number.
    async fn create(&self, index: usize);
    /// Whether it is there.
    async fn read(&self, index: usize) -> bool;
    async fn replace(&self, index: usize) -> bool;
    /// `None` if the store has no such thing.
    async fn touch(&self, index: usize) -> Option<bool>;
}

/// Far more than is stored here.
pub(super) const LIMITS: MemoryLimits =
    MemoryLimits { entries: 4_000_000, bytes: 4 << 30, default_ttl: 86_400_000 };
const TTL: Ttl = Ttl::Millis(LIFE as u64 * 1000);

/// Vestiary's store.
pub(super) struct Texts {
    pub(super) store: MemoryStore,
    keys: Vec<String>,
    record: String,
    write_id: WriteId,
}

impl Texts {
    pub(super) fn new(record: &str, sessions: usize) -> Self {
        Self {
            store: MemoryStore::new(LIMITS),
            keys: keys(sessions),
            record: record.to_owned(),
            write_id: Record::write_id_of(record)
                .and_then(WriteId::parse)
                .expect("it has a write ID"),
        }
    }
}

impl Filled for Texts {
    async fn create(&self, index: usize) {
        let key = &self.keys[index % self.keys.len()];
        let created = self.store.create(key, &self.record, TTL, false).await;
        black_box(created.expect("there is room"));
    }

    async fn read(&self, index: usize) -> bool {
        black_box(self.store.read(&self.keys[index]).await).is_ok_and(|record| record.is_some())
    }

    async fn replace(&self, index: usize) -> bool {
        let expected = Some(&self.write_id);
        let replaced = self.store.replace(&self.keys[index], expected, &self.record, TTL).await;
        replaced.is_ok_and(|outcome| outcome == Outcome::Done)
    }

    async fn touch(&self, index: usize) -> Option<bool> {
        self.store.touch(&self.keys[index], TTL).await.ok()
    }
}

/// The least.
pub(super) struct Map {
    records: Mutex<HashMap<String, String>>,
    keys: Vec<String>,
    record: String,
}

impl Map {
    pub(super) fn new(record: &str, sessions: usize) -> Self {
        Self { records: Mutex::default(), keys: keys(sessions), record: record.to_owned() }
    }

    fn records(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Filled for Map {
    async fn create(&self, index: usize) {
        self.records().insert(self.keys[index].clone(), self.record.clone());
    }

    async fn read(&self, index: usize) -> bool {
        black_box(self.records().get(&self.keys[index]).cloned()).is_some()
    }

    async fn replace(&self, index: usize) -> bool {
        let mut records = self.records();
        let record = records.get_mut(&self.keys[index]);
        record.map(|record| record.clone_from(&self.record)).is_some()
    }

    async fn touch(&self, _index: usize) -> Option<bool> {
        None
    }
}

/// The stores of tower-sessions, which keep trees of JSON values. The memory store and the moka store are
/// for different versions of its core.
macro_rules! trees {
    ($name:ident, $core:path, $store:path, $make:expr) => {
        pub(super) mod $name {
            use std::hint::black_box;

            use $core::{
                SessionStore as _,
                session::{Id, Record},
            };

            use super::{HashMap, Value, expires};

            pub(in crate::scale) struct Trees {
                store: $store,
                ids: Vec<Id>,
                data: HashMap<String, Value>,
            }

            impl Trees {
                pub(in crate::scale) fn new(data: HashMap<String, Value>, sessions: usize) -> Self {
                    let ids = (0..sessions).map(|_| Id(fastrand::i128(..))).collect();
                    Self { store: $make, ids, data }
                }

                fn record(&self, index: usize) -> Record {
                    let data = self.data.clone();
                    Record { id: self.ids[index], data, expiry_date: expires() }
                }
            }

            impl super::Filled for Trees {
                async fn create(&self, index: usize) {
                    self.store.create(&mut self.record(index)).await.expect("there is room");
                }

                async fn read(&self, index: usize) -> bool {
                    let loaded = black_box(self.store.load(&self.ids[index]).await);
                    loaded.is_ok_and(|record| record.is_some())
                }

                // Includes the creation of the record, which is a clone of its data.
                async fn replace(&self, index: usize) -> bool {
                    self.store.save(&self.record(index)).await.is_ok()
                }

                async fn touch(&self, _index: usize) -> Option<bool> {
                    None
                }
            }
        }
    };
}

trees!(tower, tower_sessions, tower_sessions::MemoryStore, tower_sessions::MemoryStore::default());
trees!(
    moka,
    tower_sessions_core,
    tower_sessions_moka_store::MokaStore,
    tower_sessions_moka_store::MokaStore::new(None)
);

fn expires() -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::from_secs(LIFE.into())
}

fn keys(sessions: usize) -> Vec<String> {
    let key = |_| {
        let mut entropy = [0; SessionId::ENTROPY];
        fastrand::fill(&mut entropy);
        SessionId::from_entropy(&entropy).expose().to_owned()
    };
    (0..sessions).map(key).collect()
}
