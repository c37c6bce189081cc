//! A store that lets other requests go first at each of its operations, and fails a request on demand: for schedules of
//! requests that a seeded scheduler polls.

use std::{
    cell::RefCell,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use axum::{body::Body, http::Response};
use vestiary::{Ttl, WriteId};
use vestiary_store::{MemoryStore, Outcome, Store, StoreError};

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

/// How the store fails the request that is polled: from one operation on, so many times.
#[derive(Clone, Copy, Default)]
pub struct Trouble {
    pub after: usize,
    pub times: usize,
    /// It does what it was asked, and its reply is lost.
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
        bound: bool,
    ) -> Result<bool, StoreError> {
        self.ask(self.0.create(key, record, ttl, bound)).await
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
            let mark = present.split_once("\"v\":\"").and_then(|(_, rest)| rest.split_once('"'));
            let mark = mark.and_then(|(mark, _)| WriteId::parse(mark));
            self.0.replace(key, mark.as_ref(), record, ttl).await
        })
        .await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        self.ask(self.0.touch(key, ttl)).await
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        self.ask(self.0.remove(key, expected)).await
    }
}

pub type Answering = Pin<Box<dyn Future<Output = Response<Body>>>>;

/// A request that is being answered, and what the schedule knows of it.
pub struct Task<T> {
    pub of: T,
    pub trouble: Trouble,
    pub answering: Answering,
}

/// The requests of a schedule.
pub struct Tasks<T> {
    under_way: Vec<Task<T>>,
    /// Those that have yet to begin.
    left: usize,
    /// The most that are under way at once.
    most: usize,
    /// One step in so many begins another one while others are under way.
    seldom: usize,
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
        Self { under_way: Vec::new(), left, most, seldom }
    }

    pub fn send(&mut self, task: Task<T>) {
        self.under_way.push(task);
    }

    /// Goes on with one request at a time, until there is something to do for the schedule. `None` at its end.
    pub fn step(&mut self, chance: &mut Chance) -> Option<Step<T>> {
        loop {
            let under_way = self.under_way.len();
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
            if chance.below(250) == 0 {
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

/// Those of these faults that no schedule of so many finds. Prints the rows of the table in docs/reliability.md.
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
