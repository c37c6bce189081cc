//! Asks a store that has no feed about the changes of all watched records, again and again.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

use super::{Entry, bell::Hint};
use crate::{Polling, Store as _, StoreError, sessions::Inner};

/// The longest pause after a failure, unless the store is asked less often anyway.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The time after which a question counts as failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks until it is dropped. Its failures reach no request: without it, the store is only asked less often.
pub(super) async fn run(inner: &Arc<Inner>, polling: Polling) {
    let Polling { every, .. } = polling;
    let (mut failures, mut took, mut known) = (0, Duration::ZERO, None);
    loop {
        let longer = every.saturating_mul(1 << failures).min(every.max(LONGEST_PAUSE));
        // With jitter, so that not all processes ask at once.
        let part = u32::from(u8::try_from(inner.watched.random() % 64).unwrap_or_default());
        sleep((longer * (640 - part) / 640).saturating_sub(took)).await;
        let began = Instant::now();
        failures = match round(inner, polling, &mut known).await {
            Ok(()) => 0,
            Err(_) => (failures + 1).min(16),
        };
        took = began.elapsed();
    }
}

/// Asks about all records, in questions of a limited size. Between them it leaves the store alone for as long as they took.
async fn round(
    inner: &Inner,
    polling: Polling,
    known: &mut Option<String>,
) -> Result<(), StoreError> {
    let mut entries = inner.watched.entries();
    if entries.is_empty() {
        return Ok(());
    }
    // Before the records: what is written meanwhile shows in the next round.
    let state = within(inner.store.state()).await?;
    if state.is_some() && state == *known {
        return Ok(());
    }
    *known = None;
    let mut wait = Duration::ZERO;
    for some in entries.chunks_mut((polling.most / 2).max(1)) {
        sleep(wait).await;
        let began = Instant::now();
        question(inner, some).await?;
        wait = began.elapsed();
    }
    *known = state;
    Ok(())
}

/// Asks about the records of some sessions.
async fn question(inner: &Inner, entries: &[Weak<Entry>]) -> Result<(), StoreError> {
    let entries: Vec<_> = entries.iter().filter_map(Weak::upgrade).collect();
    let mut keys: Vec<String> = entries.iter().flat_map(|entry| entry.keys()).collect();
    let of_each: Vec<_> = keys.chunks_exact(2).map(<[String]>::to_vec).collect();
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return Ok(());
    }
    let found = within(inner.store.write_ids(&keys)).await?;
    for (entry, of_entry) in entries.iter().zip(of_each) {
        let digests = [0, 1].map(|place| {
            let at = of_entry.get(place).and_then(|key| keys.binary_search(key).ok());
            let written = at.and_then(|at| found.get(at)?.as_deref());
            // Neither 0, which is unknown, nor 1, which is none. One of a billion changes goes unnoticed.
            written.map_or(1, |written| inner.watched.hash_of(written) | 2)
        });
        entry.polled(digests);
    }
    Ok(())
}

async fn within<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let late = |_| Err(StoreError::failed("the store did not answer"));
    timeout(PATIENCE, answer).await.unwrap_or_else(late)
}

impl Entry {
    /// The keys of the session's record and of its user's list; twice the same without a user.
    fn keys(&self) -> [String; 2] {
        let (options, state) = (self.sessions.options(), self.state());
        let own = options.store_key(&state.id);
        let told = || self.sessions.inner.keys.hint(&state.id).map(|hash| options.list_key(&hash));
        let list = state.list.as_ref().map(|list| list.0.clone()).or_else(told);
        [own.clone(), list.unwrap_or(own)]
    }

    /// Has the session checked if the write IDs of its records have changed.
    fn polled(&self, digests: [u32; 2]) {
        let before = std::mem::replace(&mut self.state().digests, digests);
        if before != digests {
            self.bell.hint(Hint::Maybe);
        }
    }
}
