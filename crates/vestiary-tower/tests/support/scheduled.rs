//! A store that yields to other requests at each operation, and fails a request on demand: for schedules of requests
//! that a seeded scheduler polls.

use std::{
    cell::RefCell,
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use axum::{body::Body, http::Response};
use vestiary::{Ttl, UnixMillis, WriteId};
use vestiary_store::{Entry, MemoryStore, Outcome, Scan as _, Store, StoreError, set_clock};

/// A repeatable source of chance (`SplitMix64`).
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }
}

/// How the store fails the polled request: from which operation on, and how often.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    pub after: usize,
    pub times: usize,
    /// The operation is performed, but its reply is lost.
    pub loses: bool,
}

thread_local! {
    static TROUBLE: RefCell<Trouble> = RefCell::default();
}

#[derive(Clone, Default)]
pub struct Scheduled(pub Arc<MemoryStore>, pub Care);

/// Whether the store compares write IDs. One that does not is broken, and the checks must say so.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Care {
    #[default]
    Compares,
    /// It replaces any record: `SET XX`.
    Overwrites,
}

impl Scheduled {
    /// All records and lists.
    pub fn entries(&self) -> Vec<Entry> {
        let (mut entries, mut from) = (Vec::new(), None);
        loop {
            let page = now(self.0.scan(from.as_ref(), 100)).unwrap();
            entries.extend(page.entries);
            from = page.next;
            if from.is_none() {
                return entries;
            }
        }
    }

    async fn ask<T>(
        &self,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        // Other requests may go first.
        let mut waited = false;
        std::future::poll_fn(|_| {
            if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let failure = TROUBLE.with_borrow_mut(|trouble| {
            if trouble.after > 0 {
                trouble.after -= 1;
                return None;
            }
            trouble.times = trouble.times.checked_sub(1)?;
            Some(trouble.loses)
        });
        if failure != Some(false) {
            let answer = answer.await;
            if failure.is_none() {
                return answer;
            }
        }
        Err(StoreError::failed("connection reset"))
    }
}

impl Store for Scheduled {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.ask(self.0.read(key)).await
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        owned: bool,
    ) -> Result<bool, StoreError> {
        self.ask(self.0.create(key, record, ttl, owned)).await
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        self.ask(async {
            if self.1 == Care::Compares {
                return self.0.replace(key, expected, record, ttl).await;
            }
            let Some(present) = self.0.read(key).await? else { return Ok(Outcome::Gone) };
            let write_id =
                present.split_once("\"v\":\"").and_then(|(_, rest)| rest.split_once('"'));
            let write_id = write_id.and_then(|(write_id, _)| WriteId::parse(write_id));
            self.0.replace(key, write_id.as_ref(), record, ttl).await
        })
        .await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        self.ask(self.0.touch(key, ttl)).await
    }

    async fn touch_if(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        self.ask(self.0.touch_if(key, expected, ttl)).await
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        self.ask(self.0.remove(key, expected)).await
    }
}

pub type Answering = Pin<Box<dyn Future<Output = Response<Body>>>>;

/// A request in progress, with the scheduler's notes.
pub struct Task<T> {
    pub of: T,
    pub trouble: Trouble,
    pub answering: Answering,
}

/// The time of a schedule: that of the sessions and the store on this thread. It passes only when the scheduler goes
/// on.
pub struct Clock {
    /// The time in milliseconds.
    pub now: u64,
    /// Time steps: half of the steps without a request in progress take one of these, and a thirtieth of the others.
    /// All other steps take a millisecond.
    times: &'static [u64],
}

impl Clock {
    /// One whose steps all take a millisecond.
    pub fn steady() -> Self {
        Self::new(&[])
    }

    pub fn new(times: &'static [u64]) -> Self {
        let clock = Self { now: 1_800_000_000_000, times };
        clock.set();
        clock
    }

    /// Lets time pass.
    pub fn pass(&mut self, millis: u64) {
        self.now += millis;
        self.set();
    }

    fn tick(&mut self, chance: &mut Chance, is_idle: bool) {
        let mut millis = 1;
        if !self.times.is_empty() && chance.below(if is_idle { 2 } else { 30 }) == 0 {
            millis = self.times[chance.below(self.times.len())];
        }
        self.pass(millis);
    }

    fn set(&self) {
        set_clock(Some(UnixMillis(self.now)));
    }
}

/// The requests of a schedule.
pub struct Tasks<T> {
    pub clock: Clock,
    under_way: Vec<Task<T>>,
    /// Requests that were answered without waiting for the store.
    answered: VecDeque<(T, Response<Body>)>,
    /// The number of requests that have not begun.
    left: usize,
    /// The maximum number of requests in progress.
    most: usize,
    /// One step in this many begins another request while others are in progress.
    seldom: usize,
    /// The process of a request dies in one step of this many; 0 for never.
    dies: usize,
}

/// An event in a schedule.
pub enum Step<T> {
    /// The next request is to begin.
    Begins,
    /// Its process has died.
    Dies(T),
    Answers(T, Response<Body>),
}

impl<T> Tasks<T> {
    pub fn new(left: usize, most: usize, seldom: usize) -> Self {
        let (under_way, answered) = (Vec::new(), VecDeque::new());
        Self { clock: Clock::steady(), under_way, answered, left, most, seldom, dies: 250 }
    }

    /// The same, in which no process dies.
    pub fn without_deaths(self) -> Self {
        Self { dies: 0, ..self }
    }

    /// The number of requests in progress.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Sends a request: it runs until it waits for the store.
    pub fn send(&mut self, mut task: Task<T>) {
        match poll(&mut task.trouble, &mut task.answering) {
            Poll::Ready(response) => self.answered.push_back((task.of, response)),
            Poll::Pending => self.under_way.push(task),
        }
    }

    /// Goes on with one request at a time, until there is something to do for the schedule. `None` at its end.
    pub fn step(&mut self, chance: &mut Chance) -> Option<Step<T>> {
        if let Some((of, response)) = self.answered.pop_front() {
            return Some(Step::Answers(of, response));
        }
        loop {
            let under_way = self.under_way.len();
            self.clock.tick(chance, under_way == 0);
            if self.left > 0
                && (under_way == 0 || under_way < self.most && chance.below(self.seldom) == 0)
            {
                self.left -= 1;
                return Some(Step::Begins);
            }
            if under_way == 0 {
                return None;
            }
            let place = chance.below(under_way);
            if self.dies > 0 && chance.below(self.dies) == 0 {
                return Some(Step::Dies(self.under_way.swap_remove(place).of));
            }
            let task = &mut self.under_way[place];
            if let Poll::Ready(response) = poll(&mut task.trouble, &mut task.answering) {
                return Some(Step::Answers(self.under_way.swap_remove(place).of, response));
            }
        }
    }
}

/// Polls a request whose store is in this trouble.
pub fn poll<T>(
    trouble: &mut Trouble,
    answering: &mut (impl Future<Output = T> + Unpin),
) -> Poll<T> {
    TROUBLE.set(*trouble);
    let polled = Pin::new(answering).poll(&mut Context::from_waker(Waker::noop()));
    *trouble = TROUBLE.take();
    polled
}

/// Returns the seeded faults that no schedule finds. Prints the rows of the table in
/// docs/explanation/reliability-tests.md.
#[cfg(feature = "seeded-faults")]
pub fn missed<C: Ord + std::fmt::Display>(
    seeded: &[vestiary::protocol::Fault],
    count: u64,
    play: impl Fn(u64) -> std::collections::BTreeSet<C>,
) -> Vec<vestiary::protocol::Fault> {
    use vestiary::protocol::Fault;
    let is_missed = |fault: &Fault| {
        Fault::seed(Some(*fault));
        let found = (0..count).map(|seed| (seed + 1, play(seed))).find(|(_, all)| !all.is_empty());
        Fault::seed(None);
        if let Some((schedules, checks)) = &found {
            let checks: Vec<_> = checks.iter().map(ToString::to_string).collect();
            println!("| `{fault:?}` | {schedules} | {} |", checks.join(", "));
        }
        found.is_none()
    };
    seeded.iter().copied().filter(is_missed).collect()
}

/// The work of a slow handler: other requests go first, several times.
pub async fn work() {
    let mut left = 12;
    std::future::poll_fn(|_| {
        left -= 1;
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// The answer of a future that waits only for the scheduled store.
pub fn now<T>(answer: impl Future<Output = T>) -> T {
    let mut answer = std::pin::pin!(answer);
    loop {
        if let Poll::Ready(answer) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return answer;
        }
    }
}
