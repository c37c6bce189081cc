//! The timers of watched sessions: one for all that are due in the same slice of time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use super::bell::Bell;
use crate::clock::{Alarm, Stopwatch};

/// The timers, by the slice of time in which they fire.
pub(super) struct Wheel {
    began: Stopwatch,
    /// The length of a slice, in milliseconds.
    slice: u64,
    slots: Mutex<BTreeMap<u64, Weak<Slot>>>,
}

/// A timer. It exists as long as a session waits for it.
pub(super) struct Slot {
    ring: Arc<Ring>,
    _alarm: Alarm,
}

/// The sessions that a timer wakes.
struct Ring {
    has_fired: AtomicBool,
    bells: Mutex<Vec<Weak<Bell>>>,
}

impl Wheel {
    /// Creates a wheel whose timers fire up to `slice` milliseconds late.
    pub(super) fn new(slice: u64) -> Self {
        Self { began: Stopwatch::start(), slice: slice.max(1), slots: Mutex::default() }
    }

    pub(super) fn slice(&self) -> u64 {
        self.slice
    }

    /// Sets a timer that rings in so many milliseconds, or up to a slice later.
    pub(super) fn ring(&self, bell: &Arc<Bell>, after: u64) -> Arc<Slot> {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let number = now.saturating_add(after) / self.slice + 1;
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let known = slots.get(&number).and_then(Weak::upgrade);
        let slot = known.filter(|slot| !slot.has_fired()).unwrap_or_else(|| {
            slots.retain(|_, slot| slot.strong_count() > 0);
            let delay = number.saturating_mul(self.slice).saturating_sub(now);
            let slot = Arc::new(Slot::new(Duration::from_millis(delay.max(1))));
            slots.insert(number, Arc::downgrade(&slot));
            slot
        });
        slot.ring.bells().push(Arc::downgrade(bell));
        slot
    }
}

impl Slot {
    fn new(delay: Duration) -> Self {
        let bells = Mutex::default();
        let ring = Arc::new(Ring { has_fired: AtomicBool::new(false), bells });
        let mut alarm = Alarm::after(delay);
        let waker = Waker::from(Arc::clone(&ring));
        if alarm.start(&mut Context::from_waker(&waker)) == Poll::Ready(()) {
            ring.has_fired.store(true, Ordering::Release);
        }
        Self { ring, _alarm: alarm }
    }

    pub(super) fn has_fired(&self) -> bool {
        self.ring.has_fired.load(Ordering::Acquire)
    }
}

impl Ring {
    fn bells(&self) -> MutexGuard<'_, Vec<Weak<Bell>>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A timer wakes once: when its time has come, or when its runtime ends.
impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.has_fired.store(true, Ordering::Release);
        let bells = std::mem::take(&mut *self.bells());
        bells.iter().filter_map(Weak::upgrade).for_each(|bell| bell.ring());
    }
}
