//! Sessions that streams watch: the store is asked about each of them when it may have ended.

mod bell;
#[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
mod feed;
#[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
mod poll;
mod turns;
mod wheel;

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    fmt,
    future::Future,
    hash::BuildHasher as _,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use vestiary::{SessionId, protocol::Seen, session};

use self::{
    bell::{Bell, Hint},
    turns::{Turn, Turns},
    wheel::{Slot, Wheel},
};
use crate::{
    AnyStore, Event, SessionError, Sessions, Store as _, StoreOperation, Stored,
    clock::{self, Stopwatch},
    host::StoreHost,
};

/// The sessions that streams of this process watch.
pub(crate) struct Watched {
    /// Their number, so that a write looks into the table only if there are any.
    count: AtomicUsize,
    table: Mutex<Table>,
    hasher: RandomState,
    wheel: Wheel,
    turns: Turns,
    #[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
    feed: feed::Feed,
    /// The maximum time between two checks, in milliseconds.
    recheck: u64,
}

#[derive(Default)]
struct Table {
    /// The number of the next session.
    next: u32,
    /// By the hash of a record's name, and the number of the session that depends on the record. Two names with one hash
    /// only cause a check more.
    sessions: BTreeMap<(u32, u32), Weak<Entry>>,
}

/// A watched session.
struct Entry {
    sessions: Sessions,
    number: u32,
    bell: Arc<Bell>,
    state: Mutex<State>,
}

struct State {
    /// The session's ID when it was last found.
    id: SessionId,
    records: Records,
    /// Numbers for the write IDs that the two records had when the store was polled; 0 before that.
    digests: [u32; 2],
    /// The key of the user's list, if the store is polled and the ID does not tell it.
    list: Option<Box<ListKey>>,
    /// How often the store has failed since it last gave an answer.
    failures: u8,
    step: Step,
}

/// The key of a user's session list. Boxed, because few sessions need it.
#[derive(Eq, PartialEq)]
struct ListKey(String);

/// The hashes of the names of the records on which a session depends: its own, and its user's session list.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Records {
    own: u32,
    list: u32,
}

enum Step {
    /// Waits for its first check, of which a hint tells.
    New,
    /// Waits for the next check, or for a hint.
    Waiting(Arc<Slot>),
    /// Waits for the store. Boxed, because few sessions do at a time.
    Asking(Box<Question>),
    Over,
}

#[cfg(not(target_arch = "wasm32"))]
type Asking = Pin<Box<dyn Future<Output = Result<Option<Alive>, SessionError>> + Send>>;
#[cfg(target_arch = "wasm32")]
type Asking = Pin<Box<dyn Future<Output = Result<Option<Alive>, SessionError>>>>;

struct Question {
    /// Its reason. With [`Hint::Written`], the streams wait, too.
    hint: Hint,
    asking: Asking,
    _turn: Turn,
}

/// A session that the store has.
struct Alive {
    id: SessionId,
    records: Records,
    list: Option<Box<ListKey>>,
    /// The milliseconds until the next check.
    wait: u64,
}

impl Sessions {
    /// Waits until this session has ended: until it was destroyed or revoked, was replaced by a login, or has expired.
    /// Follows it over renewals. Only reads, so an open stream does not extend the session.
    ///
    /// The store is asked again at once when this process writes a record of the session by these [`Sessions`] or their
    /// clones, and at the latest after [`Config::recheck_after`](crate::Config::recheck_after). So a logout ends the future
    /// at once in this process, and within that time in others. While the store cannot be reached, nothing is known, and
    /// the future goes on waiting.
    ///
    /// It holds no connection and no lock, and needs no executor: the store is asked while the future is polled.
    ///
    /// ```
    /// use vestiary_store::{Config, MemoryStore, Sessions};
    ///
    /// # futures_executor::block_on(async {
    /// let config = Config::new("a long random secret, from the environment");
    /// let sessions = Sessions::new(&config, MemoryStore::default())?;
    /// let session = sessions.create("{}", None).await?;
    ///
    /// let ended = sessions.ended(&session);
    /// sessions.destroy(&session).await?;
    /// ended.await;
    /// # Ok::<(), vestiary_store::SessionError>(())
    /// # }).unwrap();
    /// ```
    pub fn ended(&self, stored: &Stored) -> Ended {
        let entry = self.inner.watched.enter(self, &Seen::from(stored));
        let number = entry.bell.join();
        // It may have ended since it was read.
        entry.bell.hint(Hint::Maybe);
        Ended { entry, number }
    }

    /// Asks the store whether the session is still valid.
    async fn recheck(self, id: SessionId) -> Result<Option<Alive>, SessionError> {
        let (watch, watched) = (Stopwatch::start(), &self.inner.watched);
        let rules = &self.inner.rules;
        let mut host = StoreHost::new(&self, StoreOperation::Read);
        let asking = session::alive(&mut host, rules, &id);
        let after = Duration::from_millis(watched.recheck);
        let Some(alive) = clock::within(Some(after), asking).await else {
            return Err(SessionError::Timeout { operation: StoreOperation::Read, after });
        };
        let Some(seen) = alive? else { return Ok(None) };
        let now = clock::now();
        let end = rules.ends(&seen.record, seen.at, false, false).expires;
        // The store keeps a record for longer than its cookie lasts.
        if end.is_some_and(|end| end <= now) {
            return Ok(None);
        }
        // It counts from when the store was asked, however long that took.
        let took = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
        let next = watched.pause(&seen.id).saturating_sub(took);
        let wait = end.map_or(next, |end| next.min(end.since(now)));
        let (records, list) = (self.records(&seen), self.list_of(&seen));
        Ok(Some(Alive { id: seen.id, records, list, wait }))
    }

    /// The key of the session's list, if it must be kept: the store is polled, and the ID does not tell it.
    fn list_of(&self, seen: &Seen) -> Option<Box<ListKey>> {
        self.inner.store.polling()?;
        let name = seen.record.meta().user.as_ref()?.decoded_name();
        let hash = vestiary::user_key(&name);
        let is_known = self.inner.keys.hint(&seen.id).is_some_and(|hint| hint == hash);
        (!is_known).then(|| Box::new(ListKey(self.options().list_key(&hash))))
    }

    fn records(&self, seen: &Seen) -> Records {
        let options = self.options();
        let hash = |key: String| {
            let name = self.inner.store.name_of(&key).unwrap_or(key);
            self.inner.watched.hash_of(&name)
        };
        let own = hash(options.store_key(&seen.id));
        let user = seen.record.meta().user.as_ref();
        let list = user.map_or(own, |user| hash(options.user_key(&user.decoded_name())));
        Records { own, list }
    }
}

impl Watched {
    pub(crate) fn new(recheck: u64) -> Self {
        let wheel = Wheel::new((recheck / 64).min(250));
        Self {
            count: AtomicUsize::new(0),
            table: Mutex::default(),
            hasher: RandomState::new(),
            wheel,
            turns: Turns::default(),
            #[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
            feed: feed::Feed::default(),
            recheck,
        }
    }

    /// Has the sessions checked that depend on this record, because this process has written it.
    pub(crate) fn written(&self, store: &AnyStore, key: &str) {
        if self.is_any() {
            let name = store.name_of(key);
            self.hint(name.as_deref().unwrap_or(key), Hint::Written);
        }
    }

    /// Whether any session is watched.
    fn is_any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// A number that another process or another moment has not.
    #[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
    fn random(&self) -> u64 {
        self.hasher.hash_one(clock::now())
    }

    /// All sessions.
    #[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
    fn entries(&self) -> Vec<Weak<Entry>> {
        let mut entries: Vec<_> = {
            let table = self.table();
            table.sessions.iter().map(|((_, number), entry)| (*number, entry.clone())).collect()
        };
        entries.sort_unstable_by_key(|(number, _)| *number);
        entries.dedup_by_key(|(number, _)| *number);
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Has all sessions checked.
    #[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
    fn hint_all(&self) {
        let entries: Vec<_> = self.table().sessions.values().filter_map(Weak::upgrade).collect();
        for entry in &entries {
            entry.bell.hint(Hint::Maybe);
        }
    }

    fn hint(&self, name: &str, hint: Hint) {
        let hash = self.hash_of(name);
        // The last reference to an entry must not be dropped under the lock.
        let entries: Vec<_> = {
            let table = self.table();
            let found = table.sessions.range((hash, 0)..=(hash, u32::MAX));
            found.filter_map(|(_, entry)| entry.upgrade()).collect()
        };
        for entry in &entries {
            entry.bell.hint(hint);
        }
    }

    /// A hash of a text. Half of its bits, because sessions have several of them.
    fn hash_of(&self, text: &str) -> u32 {
        u32::try_from(self.hasher.hash_one(text) >> 32).unwrap_or_default()
    }

    /// The entry of this session: the one that another stream has made, or a new one.
    #[cfg_attr(
        target_arch = "wasm32",
        expect(clippy::arc_with_non_send_sync, reason = "there are no threads to send it to")
    )]
    fn enter(&self, sessions: &Sessions, seen: &Seen) -> Arc<Entry> {
        let records = sessions.records(seen);
        let known: Vec<_> = {
            let table = self.table();
            let found = table.sessions.range((records.own, 0)..=(records.own, u32::MAX));
            found.filter_map(|(_, entry)| entry.upgrade()).collect()
        };
        if let Some(entry) = known.into_iter().find(|entry| entry.is_of(&seen.id)) {
            return entry;
        }
        let bell = Arc::new(Bell::default());
        let (id, list) = (seen.id.clone(), sessions.list_of(seen));
        let state = State { id, records, digests: [0; 2], list, failures: 0, step: Step::New };
        let mut table = self.table();
        let number = table.next;
        table.next = number.wrapping_add(1);
        let (sessions, state) = (sessions.clone(), Mutex::new(state));
        let entry = Arc::new(Entry { sessions, number, bell, state });
        table.add(&entry, records);
        drop(table);
        self.count.fetch_add(1, Ordering::AcqRel);
        #[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
        if feed::is_there(&entry.sessions.inner.store) {
            self.feed.open(&entry.sessions);
        }
        entry
    }

    /// Connects the feed of the store, if it has one and it is not connected.
    pub(crate) fn open_feed(&self, sessions: &Sessions) {
        #[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
        if sessions.inner.store.name_of("").is_some() {
            self.feed.open(sessions);
        }
        let _ = (self, sessions);
    }

    /// Records that a session is not watched any more.
    fn leave(&self, number: u32, records: Records) {
        self.table().remove(number, records);
        let left = self.count.fetch_sub(1, Ordering::AcqRel) - 1;
        #[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
        if left == 0 {
            self.feed.close();
        }
        let _ = left;
    }

    /// The time from one check to the next, in milliseconds. It differs by up to a tenth, so that streams that began
    /// together do not ask together for ever.
    fn pause(&self, id: &SessionId) -> u64 {
        let part = self.hasher.hash_one(id.expose()) % 64;
        (self.recheck - self.recheck / 10 * part / 64).saturating_sub(self.wheel.slice())
    }

    /// The time until the next attempt after the store has failed, in milliseconds.
    fn back_off(&self, failures: u8) -> u64 {
        (100 << failures.min(20)).min(self.recheck)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn add(&mut self, entry: &Arc<Entry>, records: Records) {
        for record in [records.own, records.list] {
            self.sessions.insert((record, entry.number), Arc::downgrade(entry));
        }
    }

    fn remove(&mut self, number: u32, records: Records) {
        for record in [records.own, records.list] {
            self.sessions.remove(&(record, number));
        }
    }
}

impl Entry {
    /// Goes on with the check, or waits for the next one. Whichever stream is polled does it for all.
    fn poll(self: &Arc<Self>) -> Poll<()> {
        let waker = Waker::from(Arc::clone(&self.bell));
        let context = &mut Context::from_waker(&waker);
        let state = &mut *self.state();
        loop {
            match &mut state.step {
                Step::Over => return Poll::Ready(()),
                Step::New | Step::Waiting(_) => {
                    // Taken before the store is asked: a later hint asks again.
                    let hint = self.bell.take();
                    let is_due = matches!(&state.step, Step::Waiting(slot) if slot.has_fired());
                    if hint == Hint::None && !is_due {
                        return Poll::Pending;
                    }
                    let watched = &self.sessions.inner.watched;
                    let Some(turn) = Turns::take(&self.sessions, &self.bell, hint) else {
                        // Another question that is answered wakes it, or this timer.
                        self.bell.keep(hint.max(Hint::Maybe));
                        state.step = Step::Waiting(watched.wheel.ring(&self.bell, RETRY));
                        return Poll::Pending;
                    };
                    let asking = Box::pin(self.sessions.clone().recheck(state.id.clone()));
                    state.step = Step::Asking(Box::new(Question { hint, asking, _turn: turn }));
                }
                Step::Asking(question) => {
                    let Poll::Ready(answer) = question.asking.as_mut().poll(context) else {
                        return Poll::Pending;
                    };
                    self.settle(state, answer);
                }
            }
        }
    }

    fn settle(self: &Arc<Self>, state: &mut State, answer: Result<Option<Alive>, SessionError>) {
        let watched = &self.sessions.inner.watched;
        let wait = match answer {
            Ok(None) => return self.end(state),
            Ok(Some(Alive { id, records, list, wait })) => {
                if state.id != id || state.list != list {
                    state.digests = [0; 2];
                }
                (state.id, state.list, state.failures) = (id, list, 0);
                if records != state.records {
                    let mut table = watched.table();
                    table.remove(self.number, state.records);
                    table.add(self, records);
                    state.records = records;
                    // It may have been written after it was read, and before it was entered.
                    self.bell.hint(Hint::Maybe);
                }
                wait
            }
            Err(error) => {
                if state.failures == 0 {
                    self.sessions.emit(&Event::StoreFailed { code: error.code() });
                }
                let wait = watched.back_off(state.failures);
                state.failures = state.failures.saturating_add(1);
                wait
            }
        };
        state.step = Step::Waiting(watched.wheel.ring(&self.bell, wait));
    }

    fn end(&self, state: &mut State) {
        let watched = &self.sessions.inner.watched;
        watched.leave(self.number, state.records);
        state.step = Step::Over;
        self.bell.ring();
    }

    /// Whether this is a session under its current ID, and it has not ended.
    fn is_of(&self, id: &SessionId) -> bool {
        let state = self.state();
        state.id == *id && !matches!(state.step, Step::Over)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !matches!(state.step, Step::Over) {
            let records = state.records;
            self.sessions.inner.watched.leave(self.number, records);
        }
    }
}

/// The milliseconds after which a check that was put off tries again.
const RETRY: u64 = 250;

/// Waits for the end of a session: [`Sessions::ended`].
#[must_use = "futures do nothing unless they are polled"]
pub struct Ended {
    entry: Arc<Entry>,
    number: u32,
}

impl Ended {
    /// Whether this process has written a record of the session and the store has not said yet whether it has ended. A
    /// stream that sends nothing meanwhile sends nothing after the logout has returned.
    #[doc(hidden)]
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.entry.bell.has(Hint::Written)
            || matches!(&self.entry.state().step, Step::Asking(question) if question.hint == Hint::Written)
    }
}

impl Future for Ended {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.entry.bell.wait(self.number, context.waker());
        self.entry.poll()
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.entry.bell.leave(self.number);
    }
}

/// Shows nothing of the session.
impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended").finish_non_exhaustive()
    }
}
