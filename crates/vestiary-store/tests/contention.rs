//! The meaning of a refused write depends on the store: if the client resends, a write may conflict with itself. Many
//! writers of one session take turns.

#![allow(
    clippy::expect_used,
    clippy::missing_docs_in_private_items,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::sync::Semaphore;
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

/// Notes the calls, and lets none of them through without a permit.
#[derive(Clone)]
struct Gate {
    memory: AnyStore,
    permits: Arc<Semaphore>,
    calls: Arc<Mutex<Vec<&'static str>>>,
}

impl Gate {
    async fn passes(&self) {
        self.permits.acquire().await.unwrap().forget();
    }

    fn note(&self, call: &'static str) {
        self.calls.lock().unwrap().push(call);
    }
}

impl Store for Gate {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.passes().await;
        self.note("read");
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
        self.passes().await;
        let outcome = self.memory.replace(key, expected, record, ttl).await?;
        self.note(if outcome == Outcome::Done { "done" } else { "conflict" });
        Ok(outcome)
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        self.memory.touch(key, ttl).await
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        self.memory.remove(key, expected).await
    }
}

/// Whether this has not ended after another step.
async fn is_pending(future: &mut Pin<&mut impl Future>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

#[tokio::test]
async fn a_writer_that_has_waited_for_its_turn_reads_before_it_writes() {
    let memory = AnyStore::new(MemoryStore::default());
    let (permits, calls) = (Arc::new(Semaphore::new(0)), Arc::default());
    let store = Gate { memory, permits, calls };
    let sessions = Sessions::new(&Config::new(SECRET), store.clone()).unwrap();
    let stored = sessions.create(r#"{"n":0}"#, None).await.unwrap();
    // How often the function of an update has run.
    let write = async || {
        let mut runs = 0;
        let mut change = |data: &str| {
            runs += 1;
            Ok(increment(data))
        };
        assert!(sessions.update(&stored, &mut change).await.unwrap().is_some());
        runs
    };
    let (mut first, mut second, mut third) = (pin!(write()), pin!(write()), pin!(write()));

    // The first two write at the same time, and the second one meets a conflict. From then on, writers take turns.
    assert!(is_pending(&mut first).await);
    assert!(is_pending(&mut second).await);
    store.permits.add_permits(2);
    assert_eq!(first.await, 1);
    assert!(is_pending(&mut second).await);
    // The third one has read the session before the second one writes.
    assert!(is_pending(&mut third).await);
    store.permits.add_permits(10);
    assert_eq!(second.await, 2);
    assert_eq!(third.await, 1);
    assert_eq!(*store.calls.lock().unwrap(), ["done", "conflict", "read", "done", "read", "done"]);
    assert_eq!(sessions.load(stored.id()).await.unwrap().unwrap().data(), r#"{"n":3}"#);
}
