//! What a refused write means depends on the store: one that was sent twice may be in its own way.

#![allow(
    clippy::expect_used,
    clippy::missing_docs_in_private_items,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use vestiary::{Ttl, WriteId};
use vestiary_store::{
    AnyStore, Config, MemoryStore, Outcome, SessionError, Sessions, Store, StoreError, Stored,
};

const SECRET: &str = "a secret of more than 32 bytes, for the tests";

/// Of one write it takes its time, until the record has forgotten what was there before.
#[derive(Clone)]
struct Slow {
    memory: AnyStore,
    resends: bool,
    others: Arc<OnceLock<(Sessions, Stored)>>,
    done: Arc<AtomicBool>,
}

impl Store for Slow {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.memory.read(key).await
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        bound: bool,
    ) -> Result<bool, StoreError> {
        self.memory.create(key, record, ttl, bound).await
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        if let Some((others, stored)) =
            self.others.get().filter(|_| !self.done.swap(true, Ordering::SeqCst))
        {
            for _ in 0..20 {
                others.update(stored, &mut |data| Ok(increment(data))).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        self.memory.replace(key, expected, record, ttl).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        self.memory.touch(key, ttl).await
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        self.memory.remove(key, expected).await
    }

    fn resends(&self) -> bool {
        self.resends
    }
}

fn increment(data: &str) -> String {
    let n: u64 = data.trim_start_matches(r#"{"n":"#).trim_end_matches('}').parse().unwrap();
    format!(r#"{{"n":{}}}"#, n + 1)
}

/// What the slow one of 21 writes was told, and what is there.
async fn slow_among_twenty(resends: bool) -> (Result<bool, SessionError>, String) {
    let memory = AnyStore::new(MemoryStore::default());
    let config = Config::new(SECRET);
    let others = Sessions::new(&config, memory.clone()).unwrap();
    let store = Slow { memory, resends, others: Arc::default(), done: Arc::default() };
    let sessions = Sessions::new(&config, store.clone()).unwrap();
    let stored = others.create(r#"{"n":0}"#, None).await.unwrap();
    let id = stored.id().clone();
    store.others.set((others.clone(), stored)).unwrap();

    let loaded = sessions.load(&id).await.unwrap().unwrap();
    let told = sessions
        .update(&loaded, &mut |data| Ok(increment(data)))
        .await
        .map(|written| written.is_some());
    (told, others.load(&id).await.unwrap().unwrap().data().to_owned())
}

#[tokio::test]
async fn what_is_in_the_way_of_a_slow_write_may_be_the_same_sent_twice() {
    let (told, data) = slow_among_twenty(true).await;
    assert_eq!(told.unwrap_err().code(), "store_failed");
    assert_eq!(data, r#"{"n":20}"#);
}

#[tokio::test]
async fn but_not_if_nothing_is_sent_twice() {
    let (told, data) = slow_among_twenty(false).await;
    assert!(told.unwrap());
    assert_eq!(data, r#"{"n":21}"#);
}
