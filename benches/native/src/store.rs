//! A store that counts its calls, and can delay them.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Counts calls to a store, and delays them. Adapted to the trait of each library.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    wait: Wait,
    counts: [AtomicU64; 5],
    records: Mutex<HashMap<String, String>>,
}

/// The delay of a store's answers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Wait {
    #[default]
    Not,
    /// Yields to all other ready tasks this many times: a delay without a timer.
    Turns(u32),
    /// For this time, on tokio's clock: with that clock paused, a request that waits twice in sequence
    /// takes exactly twice as long, however fast the machine is.
    Time(Duration),
}

/// A store operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    Load,
    Create,
    Save,
    Touch,
    Delete,
}

/// The number of calls to a store.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    pub(crate) loads: u64,
    pub(crate) creates: u64,
    pub(crate) saves: u64,
    pub(crate) touches: u64,
    pub(crate) deletes: u64,
}

impl Meter {
    pub(crate) fn new(wait: Wait) -> Self {
        Self { wait, ..Self::default() }
    }

    pub(crate) async fn ask(&self, operation: Operation) {
        self.counts[operation as usize].fetch_add(1, Ordering::Relaxed);
        match self.wait {
            Wait::Not => {}
            Wait::Turns(turns) => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
            Wait::Time(time) => tokio::time::sleep(time).await,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let [loads, creates, saves, touches, deletes] =
            [0, 1, 2, 3, 4].map(|index: usize| self.counts[index].load(Ordering::Relaxed));
        Counts { loads, creates, saves, touches, deletes }
    }

    /// The records: text under keys, as in Redis.
    pub(crate) fn records(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            loads: self.loads - before.loads,
            creates: self.creates - before.creates,
            saves: self.saves - before.saves,
            touches: self.touches - before.touches,
            deletes: self.deletes - before.deletes,
        }
    }

    pub(crate) fn total(self) -> u64 {
        self.loads + self.creates + self.saves + self.touches + self.deletes
    }
}
