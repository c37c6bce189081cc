//! The near cache, on a store whose reads are counted, and whose replies the test holds back or loses.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use vestiary::{Error, Ttl, UnixMillis, WriteId};
use vestiary_store::{
    Cache, Config, Found, Login, MemoryStore, Outcome, Sessions, Store, StoreError, Stored,
    set_clock,
};

#[derive(Clone, Default)]
struct Counted {
    store: Arc<MemoryStore>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    reads: AtomicUsize,
    /// The replies to reads wait.
    holds: AtomicBool,
    /// The replies to writes wait.
    holds_writes: AtomicBool,
    /// The replies to writes are lost.
    loses: AtomicBool,
}

impl Counted {
    /// The number of reads since the last call.
    fn reads(&self) -> usize {
        self.state.reads.swap(0, Ordering::SeqCst)
    }

    async fn wrote<T>(&self, written: Result<T, StoreError>) -> Result<T, StoreError> {
        while_on(&self.state.holds_writes).await;
        if self.state.loses.load(Ordering::SeqCst) {
            return Err(StoreError::failed("the connection was lost"));
        }
        written
    }
}

impl Store for Counted {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.state.reads.fetch_add(1, Ordering::SeqCst);
        let read = self.store.read(key).await;
        while_on(&self.state.holds).await;
        read
    }

    async fn create(&self, key: &str, text: &str, ttl: Ttl, o: bool) -> Result<bool, StoreError> {
        self.wrote(self.store.create(key, text, ttl, o).await).await
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        self.wrote(self.store.replace(key, expected, record, ttl).await).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        self.wrote(self.store.touch(key, ttl).await).await
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        self.wrote(self.store.remove(key, expected).await).await
    }
}

/// Waits, and leaves it to the test to poll again.
async fn while_on(is_on: &AtomicBool) {
    let is_on = || is_on.load(Ordering::SeqCst);
    poll_fn(|_| if is_on() { Poll::Pending } else { Poll::Ready(()) }).await;
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn cached() -> Config {
    Config::new(SECRET).cache(Cache::new(Duration::from_secs(1)))
}

/// A process on this store.
fn process(store: &Counted, config: &Config) -> Sessions {
    set_clock(Some(NOW));
    Sessions::new(config, store.clone()).unwrap()
}

async fn login(sessions: &Sessions) -> Stored {
    let owner = sessions.of("ada").admit(&Login::default()).await.unwrap();
    sessions.create("{}", Some(owner)).await.unwrap()
}

/// The session that a request with this session's cookie has.
async fn request(sessions: &Sessions, session: &Stored) -> Option<Stored> {
    let cookie = format!("connect.sid={}", sessions.sign(session.id()));
    match sessions.find(&sessions.cookies([cookie.as_bytes()])).await.unwrap() {
        Found::Session(session) => Some(session.stored),
        _ => None,
    }
}

#[test]
fn the_store_is_asked_once_in_the_time_of_the_cache_for_a_users_session_and_for_an_anonymous_one() {
    futures_executor::block_on(async {
        let store = Counted::default();
        let sessions = process(&store, &cached());
        for session in [login(&sessions).await, sessions.create("{}", None).await.unwrap()] {
            set_clock(Some(NOW));
            let least = if session.handle().is_some() { 2 } else { 1 };
            store.reads();
            for (millis, reads) in [(0, least), (0, 0), (999, 0), (1_000, least), (1_999, 0)] {
                set_clock(Some(NOW.plus(millis)));
                let found = request(&sessions, &session).await.unwrap();
                assert_eq!(found.data(), "{}");
                assert_eq!(store.reads(), reads, "after {millis} ms");
            }
            // Set back.
            set_clock(Some(UnixMillis(NOW.0 - 1)));
            assert!(request(&sessions, &session).await.is_some());
            assert_eq!(store.reads(), least);
        }
        set_clock(None);
    });
}

#[test]
fn without_the_option_each_request_asks_the_store() {
    futures_executor::block_on(async {
        let store = Counted::default();
        let sessions = process(&store, &Config::new(SECRET));
        let session = login(&sessions).await;
        store.reads();
        for _ in 0..3 {
            assert!(request(&sessions, &session).await.is_some());
            assert_eq!(store.reads(), 2);
        }
    });
}

#[test]
fn whatever_this_process_writes_counts_at_once() {
    futures_executor::block_on(async {
        let sessions = process(&Counted::default(), &cached());
        for way in 0..5 {
            let session = login(&sessions).await;
            assert!(request(&sessions, &session).await.is_some());
            let list = sessions.of("ada");
            match way {
                0 => drop(sessions.destroy(&session).await.unwrap()),
                1 => list.revoke(session.handle().unwrap()).await.unwrap(),
                2 => list.revoke_all().await.unwrap(),
                3 => drop(sessions.rotate(&session, "{}", None).await.unwrap().unwrap()),
                _ => {
                    let data = r#"{"n":1}"#;
                    sessions.update(&session, &mut |_| Ok(data.to_owned())).await.unwrap().unwrap();
                    let found = request(&sessions, &session).await.unwrap();
                    assert_eq!(found.data(), data);
                    continue;
                }
            }
            assert!(request(&sessions, &session).await.is_none(), "{way}");
            // Past the second of the revocation.
            set_clock(Some(sessions.now().plus(2_000)));
        }
        set_clock(None);
    });
}

#[test]
fn a_logout_by_another_process_is_noticed_when_the_entry_is_too_old() {
    futures_executor::block_on(async {
        let store = Counted::default();
        let (here, there) = (process(&store, &cached()), process(&store, &cached()));
        for way in 0..2 {
            let session = login(&there).await;
            let began = here.now();
            assert!(request(&here, &session).await.is_some());
            set_clock(Some(began.plus(500)));
            match way {
                0 => drop(there.destroy(&session).await.unwrap()),
                _ => there.of("ada").revoke_all().await.unwrap(),
            }
            assert!(request(&there, &session).await.is_none());
            // The stated bound, and no more.
            set_clock(Some(began.plus(999)));
            assert!(request(&here, &session).await.is_some());
            // Code that asks whether the session is alive asks the store.
            assert!(here.alive(&session).await.unwrap().is_none());
            set_clock(Some(began.plus(1_000)));
            assert!(request(&here, &session).await.is_none());
            set_clock(Some(began.plus(3_000)));
        }
        set_clock(None);
    });
}

#[test]
fn a_write_of_another_process_is_not_lost_when_the_cached_data_is_older() {
    futures_executor::block_on(async {
        let store = Counted::default();
        let (here, there) = (process(&store, &cached()), process(&store, &cached()));
        let session = login(&there).await;
        assert!(request(&here, &session).await.is_some());
        let data = || r#"{"there":1}"#.to_owned();
        there.commit(&session, "{}".to_owned(), data()).await.unwrap().unwrap();
        let stale = request(&here, &session).await.unwrap();
        assert_eq!(stale.data(), "{}");
        let mine = r#"{"here":1}"#.to_owned();
        let saved = here.commit(&stale, "{}".to_owned(), mine).await.unwrap().unwrap();
        assert_eq!(saved.stored.data(), r#"{"there":1,"here":1}"#);
        assert!(saved.merged);
        set_clock(None);
    });
}

#[test]
fn a_read_that_began_before_a_logout_and_ended_after_it_is_not_kept() {
    futures_executor::block_on(async {
        let store = Counted::default();
        let sessions = process(&store, &cached());
        let session = sessions.create("{}", None).await.unwrap();
        store.state.holds.store(true, Ordering::SeqCst);
        let mut reading = pin!(request(&sessions, &session));
        let context = &mut Context::from_waker(Waker::noop());
        assert!(reading.as_mut().poll(context).is_pending());
        sessions.destroy(&session).await.unwrap();
        store.state.holds.store(false, Ordering::SeqCst);
        // This one began before.
        assert!(reading.await.is_some());
        assert!(request(&sessions, &session).await.is_none());
        set_clock(None);
    });
}

#[test]
fn a_write_whose_reply_is_lost_or_not_awaited_drops_the_entry() {
    futures_executor::block_on(async {
        let store = Counted::default();
        let sessions = process(&store, &cached());
        for is_lost in [true, false] {
            let session = sessions.create("{}", None).await.unwrap();
            assert!(request(&sessions, &session).await.is_some());
            if is_lost {
                store.state.loses.store(true, Ordering::SeqCst);
                assert!(sessions.destroy(&session).await.is_err());
                store.state.loses.store(false, Ordering::SeqCst);
            } else {
                store.state.holds_writes.store(true, Ordering::SeqCst);
                let mut ending = Box::pin(sessions.destroy(&session));
                let context = &mut Context::from_waker(Waker::noop());
                assert!(ending.as_mut().poll(context).is_pending());
                drop(ending);
                store.state.holds_writes.store(false, Ordering::SeqCst);
            }
            assert!(request(&sessions, &session).await.is_none(), "{is_lost}");
        }
        set_clock(None);
    });
}

#[test]
fn a_session_that_must_be_written_is_read_from_the_store_first() {
    futures_executor::block_on(async {
        let store = Counted::default();
        let config = cached().idle_timeout(Duration::from_secs(100));
        let sessions = process(&store, &config);
        let session = sessions.create("{}", None).await.unwrap();
        assert!(request(&sessions, &session).await.is_some());
        store.reads();
        assert!(request(&sessions, &session).await.is_some());
        assert_eq!(store.reads(), 0);
        // A tenth of the idle timeout later its deadline must move. Nothing has been written yet.
        set_clock(Some(NOW.plus(10_001)));
        for _ in 0..2 {
            assert!(request(&sessions, &session).await.is_some());
            assert_eq!(store.reads(), 1);
        }
        set_clock(None);
    });
}

#[test]
fn a_cache_has_bounds() {
    let refused = |cache| Sessions::new(&Config::new(SECRET).cache(cache), MemoryStore::default());
    for millis in [0, 60_001] {
        let error = refused(Cache::new(Duration::from_millis(millis))).unwrap_err();
        assert!(matches!(error, Error::OptionType { name: "cache.maxStale", .. }), "{error}");
    }
    let error = refused(Cache::new(Duration::from_secs(1)).max_entries(0)).unwrap_err();
    assert!(matches!(error, Error::OptionType { name: "cache.maxEntries", .. }), "{error}");
    assert!(refused(Cache::new(Duration::from_micros(999))).is_err());
    assert!(refused(Cache::new(Duration::from_secs(60)).max_entries(1_000_000)).is_ok());
}

#[test]
fn a_full_cache_drops_entries_and_no_session() {
    futures_executor::block_on(async {
        let store = Counted::default();
        let config = Config::new(SECRET).cache(Cache::new(Duration::from_secs(1)).max_entries(4));
        let sessions = process(&store, &config);
        let mut all = Vec::new();
        for _ in 0..10 {
            all.push(sessions.create("{}", None).await.unwrap());
        }
        for session in all.iter().chain(&all) {
            assert!(request(&sessions, session).await.is_some());
        }
        store.reads();
        assert!(request(&sessions, &all[9]).await.is_some());
        assert_eq!(store.reads(), 0);
        set_clock(None);
    });
}
