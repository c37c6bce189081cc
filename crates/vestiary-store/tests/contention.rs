//! The meaning of a refused write depends on the store: if the client resends, a write may conflict with itself. Many
//! writers of one session take turns.

#![allow(
    clippy::expect_used,
    clippy::missing_docs_in_private_items,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use vestiary::{Ttl, WriteId};
use vestiary_store::{
    AnyStore, Config, MemoryStore, Outcome, SessionError, Sessions, Store, StoreError, Stored,
};

const SECRET: &str = "a secret of more than 32 bytes, for the tests";

/// Delays one write while others write.
#[derive(Clone)]
struct Slow {
    memory: AnyStore,
    resends: bool,
    /// The number of other writes: after many of them, the record no longer remembers the slow one.
    rivals: usize,
    reads: Arc<AtomicUsize>,
    others: Arc<OnceLock<(Sessions, Stored)>>,
    done: Arc<AtomicBool>,
}

impl Store for Slow {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.memory.read(key).await
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        owned: bool,
    ) -> Result<bool, StoreError> {
        self.memory.create(key, record, ttl, owned).await
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
            for _ in 0..self.rivals {
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

/// The reply to the slow write, the stored record, and the number of reads.
async fn slow_among(rivals: usize, resends: bool) -> (Result<bool, SessionError>, String, usize) {
    let memory = AnyStore::new(MemoryStore::default());
    let config = Config::new(SECRET);
    let others = Sessions::new(&config, memory.clone()).unwrap();
    let store = Slow {
        memory,
        resends,
        rivals,
        reads: Arc::default(),
        others: Arc::default(),
        done: Arc::default(),
    };
    let sessions = Sessions::new(&config, store.clone()).unwrap();
    let stored = others.create(r#"{"n":0}"#, None).await.unwrap();
    let id = stored.id().clone();
    store.others.set((others.clone(), stored)).unwrap();

    let loaded = sessions.load(&id).await.unwrap().unwrap();
    store.reads.store(0, Ordering::SeqCst);
    let told = sessions
        .update(&loaded, &mut |data| Ok(increment(data)))
        .await
        .map(|written| written.is_some());
    let data = others.load(&id).await.unwrap().unwrap().data().to_owned();
    (told, data, store.reads.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_slow_write_may_conflict_with_itself_if_the_client_resends() {
    let (told, data, _) = slow_among(20, true).await;
    assert_eq!(told.unwrap_err().code(), "store_failed");
    assert_eq!(data, r#"{"n":20}"#);
}

#[tokio::test]
async fn but_not_if_nothing_is_sent_twice() {
    let (told, data, _) = slow_among(20, false).await;
    assert!(told.unwrap());
    assert_eq!(data, r#"{"n":21}"#);
}

#[tokio::test]
async fn a_slow_write_that_succeeded_is_not_read_back() {
    let (told, data, reads) = slow_among(0, true).await;
    assert!(told.unwrap());
    assert_eq!((&*data, reads), (r#"{"n":1}"#, 0));
}

/// Lets the other tasks run before each reply.
#[derive(Clone)]
struct Remote(AnyStore);

impl Store for Remote {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        tokio::task::yield_now().await;
        self.0.read(key).await
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        owned: bool,
    ) -> Result<bool, StoreError> {
        self.0.create(key, record, ttl, owned).await
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        tokio::task::yield_now().await;
        self.0.replace(key, expected, record, ttl).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        self.0.touch(key, ttl).await
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        self.0.remove(key, expected).await
    }

    /// Otherwise a refusal that is slow, as on a busy machine, may have met a write of the same request.
    fn resends(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn of_a_hundred_writers_none_is_too_slow_each_time() {
    let store = Remote(AnyStore::new(MemoryStore::default()));
    let sessions = Sessions::new(&Config::new(SECRET), store).unwrap();
    let stored = sessions.create(r#"{"n":0}"#, None).await.unwrap();
    let id = stored.id().clone();
    let writers = (0..100).map(|_| {
        let (sessions, id) = (sessions.clone(), id.clone());
        tokio::spawn(async move {
            for _ in 0..10 {
                let loaded = sessions.load(&id).await.unwrap().unwrap();
                let written = sessions.update(&loaded, &mut |data| Ok(increment(data))).await;
                assert!(written.unwrap().is_some());
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(sessions.load(&id).await.unwrap().unwrap().data(), r#"{"n":1000}"#);
}
