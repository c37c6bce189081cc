use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Wake, Waker},
};

/// Wakes the streams of one watched session, and remembers why.
#[derive(Default)]
pub(super) struct Bell {
    asked: AtomicU8,
    /// Whether the session is in the queue for a check.
    pub(super) is_queued: AtomicBool,
    sleepers: Mutex<Sleepers>,
}

/// The reason for a check besides the time that has passed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Hint {
    None = 0,
    /// The session may have ended.
    Maybe = 1,
    /// This process has written one of its records, so a caller may know already that it has ended.
    Written = 2,
}

/// The streams that wait. Most sessions have one, and a list would take twice the memory for it.
#[derive(Default)]
struct Sleepers {
    next: u32,
    streams: Streams,
}

#[derive(Default)]
enum Streams {
    #[default]
    None,
    One(Sleeper),
    Many(Vec<Sleeper>),
}

/// A stream, by its number. It has a waker once it was polled.
struct Sleeper {
    number: u32,
    waker: Option<Waker>,
}

impl Bell {
    /// Adds a stream, and returns its number.
    pub(super) fn join(&self) -> u32 {
        let mut sleepers = self.sleepers();
        let number = sleepers.next;
        sleepers.next = number.wrapping_add(1);
        let sleeper = Sleeper { number, waker: None };
        sleepers.streams = match std::mem::take(&mut sleepers.streams) {
            Streams::None => Streams::One(sleeper),
            Streams::One(first) => Streams::Many(vec![first, sleeper]),
            Streams::Many(mut all) => {
                all.push(sleeper);
                Streams::Many(all)
            }
        };
        number
    }

    /// Sets the waker of a stream.
    pub(super) fn wait(&self, number: u32, waker: &Waker) {
        let mut sleepers = self.sleepers();
        let all = sleepers.streams.all_mut();
        let sleeper = all.iter_mut().find(|sleeper| sleeper.number == number);
        if let Some(Sleeper { waker: known, .. }) = sleeper
            && !known.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            *known = Some(waker.clone());
        }
    }

    /// Removes a stream.
    pub(super) fn leave(&self, number: u32) {
        let mut sleepers = self.sleepers();
        match &mut sleepers.streams {
            Streams::One(one) if one.number == number => sleepers.streams = Streams::None,
            Streams::Many(all) => all.retain(|sleeper| sleeper.number != number),
            Streams::None | Streams::One(_) => {}
        }
    }

    /// Asks for a check.
    pub(super) fn hint(&self, hint: Hint) {
        self.keep(hint);
        self.ring();
    }

    /// Keeps the reason for a check that cannot be made yet.
    pub(super) fn keep(&self, hint: Hint) {
        self.asked.fetch_max(hint as u8, Ordering::AcqRel);
    }

    /// Takes the reason for a check. A later hint asks for another one.
    pub(super) fn take(&self) -> Hint {
        match self.asked.swap(0, Ordering::AcqRel) {
            0 => Hint::None,
            1 => Hint::Maybe,
            _ => Hint::Written,
        }
    }

    /// Whether a hint of this kind is left.
    pub(super) fn has(&self, hint: Hint) -> bool {
        self.asked.load(Ordering::Acquire) >= hint as u8
    }

    /// Wakes all streams. Each one that is polled goes on with the check, so none depends on another one.
    pub(super) fn ring(&self) {
        // Not under the lock: a waker may run anything.
        let wakers: Vec<_> = {
            let mut sleepers = self.sleepers();
            sleepers.streams.all_mut().iter().filter_map(|sleeper| sleeper.waker.clone()).collect()
        };
        wakers.iter().for_each(Waker::wake_by_ref);
    }

    fn sleepers(&self) -> MutexGuard<'_, Sleepers> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    fn all_mut(&mut self) -> &mut [Sleeper] {
        match self {
            Self::None => &mut [],
            Self::One(one) => std::slice::from_mut(one),
            Self::Many(all) => all,
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}
