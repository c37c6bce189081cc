use std::sync::{Mutex, PoisonError};

use vestiary::{RecentIds, SessionId, protocol::Seen};

use crate::{Sessions, clock};

/// IDs that this process remembers for a while.
pub(crate) struct Recent {
    /// Those that it has taken out of use.
    retired: Mutex<RecentIds>,
    /// Those of rolling sessions that were refreshed.
    touched: Mutex<RecentIds>,
}

impl Default for Recent {
    fn default() -> Self {
        let recent = || Mutex::new(RecentIds::new(RecentIds::MOST));
        Self { retired: recent(), touched: recent() }
    }
}

impl Sessions {
    /// Whether this process took the ID out of use while its cookie was on the way to a response.
    #[must_use]
    pub fn is_retired(&self, id: &SessionId) -> bool {
        lock(&self.inner.recent.retired).knows(id.expose(), clock::now())
    }

    /// Whether a rolling session was refreshed so recently that it need not be.
    #[must_use]
    pub fn is_touched(&self, id: &SessionId) -> bool {
        lock(&self.inner.recent.touched).knows(id.expose(), clock::now())
    }

    /// Remembers that this ID is out of use: no response of this process sets its cookie any more.
    pub fn retire(&self, id: &SessionId) {
        lock(&self.inner.recent.retired).remember(id.expose(), RecentIds::RETIRED, clock::now());
    }

    pub(crate) fn note_touch(&self, Seen { id, record, .. }: &Seen) {
        let life = self.inner.rules.options.for_session(record.meta()).touch_after();
        if life > 0 {
            lock(&self.inner.recent.touched).remember(id.expose(), life, clock::now());
        }
    }
}

/// A table is whole after each of its calls, so a panic elsewhere does not spoil it.
fn lock(table: &Mutex<RecentIds>) -> std::sync::MutexGuard<'_, RecentIds> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
