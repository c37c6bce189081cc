use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::lock::{Mutex as Line, OwnedMutexGuard};

use vestiary::SessionId;

use crate::{Sessions, clock};

/// The turns of this process's operations under the keys where two of them have met a conflict.
///
/// Without them, of many requests that change one session at the same time, some would meet a conflict in each of their
/// attempts. Correctness does not depend on a turn: the store compares each write. So an operation whose turn does not
/// come within the store's timeout goes on without it.
#[derive(Default)]
pub(crate) struct Turns {
    /// By key. An operation without a conflict looks here only if this is not empty.
    lines: Mutex<HashMap<String, Arc<Line<()>>>>,
    /// The number of lines.
    count: AtomicUsize,
}

/// The turn of an operation.
#[derive(Default)]
pub(crate) enum Turn<'a> {
    /// No conflict, so far.
    #[default]
    Free,
    /// A conflict: it takes a turn before its next call.
    Needed,
    /// No other operation of this process that waits for a turn writes under the key, until this is dropped.
    Taken { _held: OwnedMutexGuard<()>, _place: Place<'a> },
    /// It did not come in time.
    Missed,
}

impl<'a> Turn<'a> {
    /// Waits for the turn before a call, if this operation has met a conflict, or is to write where others have met one.
    pub(crate) async fn wait(&mut self, sessions: &'a Sessions, key: &str, writes: bool) {
        let turns = &sessions.inner.turns;
        let place = match self {
            Self::Free if writes => turns.place(key),
            Self::Needed => Some(turns.new_place(key)),
            Self::Free | Self::Taken { .. } | Self::Missed => None,
        };
        if let Some(place) = place {
            self.take(sessions, place).await;
        }
    }

    /// Waits for the turn to write this session, if other operations have met a conflict there. Returns whether it had to
    /// wait, so that another operation has probably written meanwhile.
    pub(crate) async fn wait_behind(&mut self, sessions: &'a Sessions, id: &SessionId) -> bool {
        let turns = &sessions.inner.turns;
        if !matches!(self, Self::Free) || turns.is_empty() {
            return false;
        }
        let Some(place) = turns.place(&sessions.options().store_key(id)) else { return false };
        self.take(sessions, place).await
    }

    /// Takes this place in a line. Returns whether another operation had the turn.
    async fn take(&mut self, sessions: &'a Sessions, place: Place<'a>) -> bool {
        if let Some(held) = place.line.try_lock_owned() {
            *self = Self::Taken { _held: held, _place: place };
            return false;
        }
        let line = Arc::clone(&place.line);
        *self = match clock::within(sessions.inner.timeout, line.lock_owned()).await {
            Some(held) => Self::Taken { _held: held, _place: place },
            None => Self::Missed,
        };
        true
    }

    /// Notes that the operation has met a conflict.
    pub(crate) fn conflicted(&mut self) {
        if matches!(self, Self::Free) {
            *self = Self::Needed;
        }
    }
}

impl Turns {
    /// Whether there are no lines.
    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// A place in the line of a key, if there is one.
    fn place(&self, key: &str) -> Option<Place<'_>> {
        if self.is_empty() {
            return None;
        }
        let line = Arc::clone(self.lines().get(key)?);
        Some(Place { turns: self, key: key.to_owned(), line })
    }

    /// A place in the line of a key.
    fn new_place(&self, key: &str) -> Place<'_> {
        let mut lines = self.lines();
        let line = Arc::clone(lines.entry(key.to_owned()).or_default());
        self.count.store(lines.len(), Ordering::Relaxed);
        Place { turns: self, key: key.to_owned(), line }
    }

    /// A panic elsewhere does not spoil a map, which is consistent after each call.
    fn lines(&self) -> MutexGuard<'_, HashMap<String, Arc<Line<()>>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a line. The last one that is dropped ends the line.
pub(crate) struct Place<'a> {
    turns: &'a Turns,
    key: String,
    line: Arc<Line<()>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lines = self.turns.lines();
        // The map has one, and this place the other. New ones are made only while the map is locked.
        if Arc::strong_count(&self.line) == 2 {
            lines.remove(&self.key);
            self.turns.count.store(lines.len(), Ordering::Relaxed);
        }
    }
}

/// Shows no key, because a key has an ID.
impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("count", &self.count).finish_non_exhaustive()
    }
}
