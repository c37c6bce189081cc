//! Sessions that streams watch, on a store that the test holds, cuts off and lets go.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use vestiary::{Ttl, WriteId};
use vestiary_store::{
    Config, Ended, Login, MemoryStore, Outcome, Sessions, Store, StoreError, Stored, write_id_of,
};

/// A memory store between whose replies and the caller the test stands.
#[derive(Clone, Default)]
struct Held {
    store: Arc<MemoryStore>,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    /// Replies to reads wait.
    holds: AtomicBool,
    /// Replies to removals wait.
    holds_removals: AtomicBool,
    /// Every operation fails.
    fails: AtomicBool,
    /// The replies to writes are lost.
    loses: AtomicBool,
    reads: AtomicUsize,
}

impl Held {
    fn holds(&self, holds: bool) {
        self.gate.holds.store(holds, Ordering::SeqCst);
    }

    fn fails(&self, fails: bool) {
        self.gate.fails.store(fails, Ordering::SeqCst);
    }

    fn reads(&self) -> usize {
        self.gate.reads.load(Ordering::SeqCst)
    }

    async fn writes<T>(
        &self,
        write: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        fails_if(&self.gate.fails)?;
        let written = write.await;
        fails_if(&self.gate.loses)?;
        written
    }
}

impl Store for Held {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.gate.reads.fetch_add(1, Ordering::SeqCst);
        let read = self.store.read(key).await;
        while_on(&self.gate.holds).await;
        fails_if(&self.gate.fails)?;
        read
    }

    async fn create(&self, key: &str, text: &str, ttl: Ttl, o: bool) -> Result<bool, StoreError> {
        self.writes(self.store.create(key, text, ttl, o)).await
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        self.writes(self.store.replace(key, expected, record, ttl)).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        self.writes(self.store.touch(key, ttl)).await
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        let removed = self.writes(self.store.remove(key, expected)).await;
        while_on(&self.gate.holds_removals).await;
        removed
    }
}

/// Waits, and leaves it to the test to poll again.
async fn while_on(is_on: &AtomicBool) {
    let is_on = || is_on.load(Ordering::SeqCst);
    poll_fn(|_| if is_on() { Poll::Pending } else { Poll::Ready(()) }).await;
}

fn fails_if(is_on: &AtomicBool) -> Result<(), StoreError> {
    if is_on.load(Ordering::SeqCst) {
        return Err(StoreError::failed("the connection was lost"));
    }
    Ok(())
}

fn config() -> Config {
    Config::new("0123456789abcdef0123456789abcdef")
}

fn sessions(store: &Held) -> Sessions {
    Sessions::new(&config(), store.clone()).unwrap()
}

async fn login(sessions: &Sessions) -> Stored {
    let owner = sessions.of("ada").admit(&Login::default()).await.unwrap();
    sessions.create("{}", Some(owner)).await.unwrap()
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Woken {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn polls(self: &Arc<Self>, ended: &mut Ended) -> Poll<()> {
        let waker = Waker::from(Arc::clone(self));
        Pin::new(ended).poll(&mut Context::from_waker(&waker))
    }
}

fn polls(ended: &mut Ended) -> bool {
    Pin::new(ended).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn a_session_that_this_process_ends_is_over_at_the_next_poll() {
    futures_executor::block_on(async {
        let store = Held::default();
        let sessions = sessions(&store);
        for way in 0..5 {
            let [session, other] = [login(&sessions).await, login(&sessions).await];
            let (woken, mut stays) = (Arc::new(Woken::default()), sessions.ended(&other));
            let mut ended = sessions.ended(&session);
            assert!(woken.polls(&mut ended).is_pending());
            assert!(!polls(&mut stays));
            let list = sessions.of("ada");
            match way {
                0 => drop(sessions.destroy(&session).await.unwrap()),
                1 => list.revoke(session.handle().unwrap()).await.unwrap(),
                2 => list.revoke_others(other.handle().unwrap()).await.unwrap(),
                // A login under another ID.
                3 => drop(sessions.rotate(&session, "{}", None).await.unwrap().unwrap()),
                _ => list.revoke_all().await.unwrap(),
            }
            assert!(woken.count() > 0, "{way}");
            assert!(woken.polls(&mut ended).is_ready(), "{way}");
            assert!(woken.polls(&mut ended).is_ready(), "{way}");
            assert_eq!(polls(&mut stays), way == 4, "{way}");
            list.revoke_all().await.unwrap();
        }
    });
}

#[test]
fn a_session_is_followed_to_its_next_id() {
    futures_executor::block_on(async {
        let sessions = sessions(&Held::default());
        let mut session = login(&sessions).await;
        let mut ended = sessions.ended(&session);
        for _ in 0..3 {
            assert!(!polls(&mut ended));
            session = sessions.renew(&session).await.unwrap().unwrap();
        }
        assert!(!polls(&mut ended));
        let mut later = sessions.ended(&session);
        assert!(!polls(&mut later));
        sessions.destroy(&session).await.unwrap();
        assert!(polls(&mut ended) && polls(&mut later));
    });
}

#[test]
fn a_session_that_ended_before_it_was_watched_is_over_at_once() {
    futures_executor::block_on(async {
        let sessions = sessions(&Held::default());
        let session = login(&sessions).await;
        sessions.destroy(&session).await.unwrap();
        assert!(polls(&mut sessions.ended(&session)));
    });
}

#[test]
fn a_write_during_a_check_causes_another_one() {
    futures_executor::block_on(async {
        let store = Held::default();
        let sessions = sessions(&store);
        let session = login(&sessions).await;
        let (woken, mut ended) = (Arc::new(Woken::default()), sessions.ended(&session));
        let key = sessions.options().store_key(session.id());
        let text = store.store.read(&key).await.unwrap().unwrap();
        let write_id = write_id_of(&text).and_then(WriteId::parse);
        store.holds(true);
        // The check has read the session, and waits for the reply.
        assert!(woken.polls(&mut ended).is_pending());
        assert!(!ended.is_in_doubt());
        assert_eq!(store.store.remove(&key, write_id.as_ref()).await.unwrap(), Outcome::Done);
        let mut ending = Box::pin(sessions.destroy(&session));
        assert!(ending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        store.holds(false);
        ending.await.unwrap();
        // Not one item of a stream is delivered until the store has answered.
        assert!(ended.is_in_doubt());
        assert!(woken.count() > 0);
        assert!(woken.polls(&mut ended).is_ready());
    });
}

#[test]
fn a_write_whose_reply_is_lost_or_awaited_no_longer_causes_a_check() {
    futures_executor::block_on(async {
        let store = Held::default();
        let sessions = sessions(&store);
        let [lost, dropped] = [(); 2].map(|()| sessions.create("{}", None));
        let (lost, dropped) = (lost.await.unwrap(), dropped.await.unwrap());
        let [mut one, mut two] = [&lost, &dropped].map(|session| sessions.ended(session));
        assert!(!polls(&mut one) && !polls(&mut two));
        store.gate.loses.store(true, Ordering::SeqCst);
        let _ = sessions.destroy(&lost).await;
        assert!(polls(&mut one) && !polls(&mut two));
        store.gate.loses.store(false, Ordering::SeqCst);
        store.gate.holds_removals.store(true, Ordering::SeqCst);
        let mut ending = Box::pin(sessions.destroy(&dropped));
        assert!(ending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(!polls(&mut two));
        drop(ending);
        assert!(polls(&mut two));
    });
}

#[test]
fn streams_of_one_session_share_a_check() {
    futures_executor::block_on(async {
        let store = Held::default();
        let sessions = sessions(&store);
        let session = sessions.create("{}", None).await.unwrap();
        let wakers: [_; 3] = std::array::from_fn(|_| Arc::new(Woken::default()));
        let mut tabs = [(); 3].map(|()| sessions.ended(&session));
        for (tab, woken) in tabs.iter_mut().zip(&wakers) {
            assert!(woken.polls(tab).is_pending());
        }
        let checks = store.reads();
        sessions.renew(&session).await.unwrap().unwrap();
        let renewed = store.reads();
        for (tab, woken) in tabs.iter_mut().zip(&wakers) {
            assert!(woken.count() > 0);
            assert!(woken.polls(tab).is_pending());
        }
        assert!(checks > 0);
        // The old ID leads to the new one, and the new one is asked about again, because it was not watched before.
        assert_eq!(store.reads() - renewed, 3);
        // A stream that is gone leaves the check to the others.
        let [_, two, mut three] = tabs;
        drop(two);
        sessions.destroy(&session).await.unwrap();
        assert!(polls(&mut three));
    });
}

#[test]
fn the_store_is_asked_about_at_most_64_sessions_at_a_time() {
    futures_executor::block_on(async {
        let store = Held::default();
        let sessions = sessions(&store);
        let mut all = Vec::new();
        for _ in 0..200 {
            all.push(sessions.create("{}", None).await.unwrap());
        }
        let (last, written) = (all.pop().unwrap(), all.pop().unwrap());
        store.holds(true);
        let before = store.reads();
        let woken: Vec<_> = all.iter().map(|_| Arc::new(Woken::default())).collect();
        let mut ended: Vec<_> = all.iter().map(|session| sessions.ended(session)).collect();
        for (ended, woken) in ended.iter_mut().zip(&woken) {
            assert!(woken.polls(ended).is_pending());
        }
        assert_eq!(store.reads() - before, 64);
        // One that this process has written comes before the others that wait.
        let (mut urgent, mut waits) = (sessions.ended(&written), sessions.ended(&last));
        let [first, second] = [(); 2].map(|()| Arc::new(Woken::default()));
        assert!(second.polls(&mut waits).is_pending());
        store.holds(false);
        sessions.destroy(&written).await.unwrap();
        store.holds(true);
        assert!(first.polls(&mut urgent).is_pending());
        assert_eq!(store.reads() - before, 64);
        store.holds(false);
        assert!(woken[0].polls(&mut ended[0]).is_pending());
        assert!(first.count() > 0 && second.count() == 0);
        assert!(first.polls(&mut urgent).is_ready());
        // A stream that goes away makes room, too.
        drop(ended.drain(..32));
        for (ended, woken) in ended.iter_mut().zip(&woken[32..]) {
            assert!(woken.polls(ended).is_pending());
        }
        assert!(second.polls(&mut waits).is_pending());
        for session in &all[32..] {
            sessions.destroy(session).await.unwrap();
        }
        sessions.destroy(&last).await.unwrap();
        assert!(ended.iter_mut().all(polls) && polls(&mut waits));
    });
}

#[cfg(feature = "tokio")]
mod by_time {
    use tokio::time::Instant;

    use super::*;

    /// Two processes with one store.
    fn processes(store: &Held, config: &Config) -> [Sessions; 2] {
        [(); 2].map(|()| Sessions::new(config, store.clone()).unwrap())
    }

    // Tokio's paused clock advances when all tasks wait.
    #[tokio::test(start_paused = true)]
    async fn a_logout_in_another_process_is_noticed_within_the_time_of_the_options() {
        for (recheck, seconds) in [(None, 10), (Some(1), 1), (Some(300), 300)] {
            let config = match recheck {
                Some(recheck) => config().recheck_after(Duration::from_secs(recheck)),
                None => config(),
            };
            let [here, there] = processes(&Held::default(), &config);
            let session = login(&here).await;
            let mut ended = here.ended(&session);
            assert!(!polls(&mut ended));
            there.destroy(&session).await.unwrap();
            assert!(!polls(&mut ended));
            let began = Instant::now();
            ended.await;
            let took = began.elapsed();
            // The time that passes outside of the paused clock moves the timer by up to a slice of it.
            assert!(took <= Duration::from_millis(seconds * 1_032), "{took:?}");
            assert!(took >= Duration::from_millis(seconds * 850), "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_lives_is_asked_about_again_and_again() {
        let store = Held::default();
        let [here, there] = processes(&store, &config());
        let session = here.create("{}", None).await.unwrap();
        let mut tabs = [(); 3].map(|()| here.ended(&session));
        assert!(tabs.iter_mut().all(|tab| !polls(tab)));
        let before = store.reads();
        let wait = poll_fn(|context| {
            for tab in &mut tabs {
                assert!(Pin::new(tab).poll(context).is_pending());
            }
            Poll::<()>::Pending
        });
        tokio::time::timeout(Duration::from_secs(100), wait).await.unwrap_err();
        let checks = store.reads() - before;
        assert!((10..=12).contains(&checks), "{checks}");
        there.destroy(&session).await.unwrap();
        for tab in tabs {
            tab.await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_down_ends_nothing_and_is_asked_until_it_is_back() {
        let store = Held::default();
        let failures = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&failures);
        let config = config().on_event(move |event| {
            counted.fetch_add(usize::from(event.name() == "store_failed"), Ordering::SeqCst);
        });
        let [here, there] = processes(&store, &config);
        let session = login(&here).await;
        let mut ended = here.ended(&session);
        assert!(!polls(&mut ended));
        store.fails(true);
        tokio::time::timeout(Duration::from_secs(100), &mut ended).await.unwrap_err();
        assert_eq!(failures.load(Ordering::SeqCst), 1);
        store.fails(false);
        there.destroy(&session).await.unwrap();
        let began = Instant::now();
        ended.await;
        assert!(began.elapsed() <= Duration::from_secs(11));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_does_not_answer_holds_no_check_for_longer_than_their_time() {
        let store = Held::default();
        let config = config().store_timeout(None);
        let [here, there] = processes(&store, &config);
        let session = login(&here).await;
        let mut ended = here.ended(&session);
        store.holds(true);
        tokio::time::timeout(Duration::from_secs(30), &mut ended).await.unwrap_err();
        store.holds(false);
        there.destroy(&session).await.unwrap();
        ended.await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_polled_no_longer_keeps_no_other_one_waiting() {
        let [here, there] = processes(&Held::default(), &config());
        let session = login(&here).await;
        let [mut stalled, mut other] = [(); 2].map(|()| here.ended(&session));
        // This one has started the timer.
        assert!(!polls(&mut stalled) && !polls(&mut other));
        there.destroy(&session).await.unwrap();
        other.await;
    }
}
