//! The number of checks at a time, which is limited: a store that was down is not asked about all sessions at once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, atomic::Ordering},
    time::Duration,
};

use super::bell::{Bell, Hint};
use crate::{Sessions, clock::Stopwatch};

/// The maximum number of checks at a time.
const MOST: usize = 64;

/// The time after which a check does not count any more. It waits for its stream, which may not be polled.
const LONGEST: Duration = Duration::from_secs(2);

pub(super) struct Turns {
    began: Stopwatch,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    next: u64,
    /// The checks in progress, and since when.
    asking: VecDeque<(u64, Duration)>,
    waiting: VecDeque<Weak<Bell>>,
}

/// The permission for one check.
pub(super) struct Turn {
    sessions: Sessions,
    number: u64,
}

impl Turns {
    /// The permission for a check. Without one, the bell rings when there may be one; first those of hints at writes of this
    /// process.
    pub(super) fn take(sessions: &Sessions, bell: &Arc<Bell>, hint: Hint) -> Option<Turn> {
        let turns = &sessions.inner.watched.turns;
        let mut line = turns.line();
        if let Some(number) = line.admit(turns.began.elapsed()) {
            return Some(Turn { sessions: sessions.clone(), number });
        }
        if !bell.is_queued.swap(true, Ordering::AcqRel) {
            let bell = Arc::downgrade(bell);
            if hint == Hint::Written {
                line.waiting.push_front(bell);
            } else {
                line.waiting.push_back(bell);
            }
        }
        None
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self { began: Stopwatch::start(), line: Mutex::default() }
    }
}

impl Line {
    /// The number of a new check, if there may be one more.
    fn admit(&mut self, now: Duration) -> Option<u64> {
        while self.asking.front().is_some_and(|(_, since)| now.saturating_sub(*since) > LONGEST) {
            self.asking.pop_front();
        }
        if self.asking.len() >= MOST {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.asking.push_back((number, now));
        Some(number)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut line = self.sessions.inner.watched.turns.line();
        if let Ok(at) = line.asking.binary_search_by_key(&self.number, |(number, _)| *number) {
            line.asking.remove(at);
        }
        while let Some(next) = line.waiting.pop_front() {
            if let Some(bell) = next.upgrade() {
                bell.is_queued.store(false, Ordering::Release);
                drop(line);
                bell.ring();
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_that_wait_for_their_streams_keep_no_other_one_waiting() {
        let mut line = Line::default();
        let at = Duration::from_millis;
        let admitted: Vec<_> = (0..70).map(|n| line.admit(at(n * 10))).collect();
        assert_eq!(admitted.iter().flatten().count(), MOST);
        assert_eq!(line.admit(at(2_000)), None);
        assert_eq!(line.admit(at(2_005)), Some(64));
        assert_eq!(line.admit(at(2_005)), None);
        assert_eq!(line.admit(at(10_000)), Some(65));
    }
}
