use std::sync::{Mutex, PoisonError};

use vestiary::{RecentIds, SessionId, protocol::Seen};

use crate::{Sessions, clock};

/// IDs that this process remembers for a while.
pub(crate) struct Recent {
    /// IDs that this process has taken out of use.
    out_of_use: Mutex<RecentIds>,
    /// IDs of rolling sessions that were refreshed.
    touched: Mutex<RecentIds>,
}

impl Default for Recent {
    fn default() -> Self {
        let recent = || Mutex::new(RecentIds::new(RecentIds::MOST));
        Self { out_of_use: recent(), touched: recent() }
    }
}

impl Sessions {
    /// Whether this process took the ID out of use while its cookie was on the way to a response.
    #[must_use]
    pub fn is_out_of_use(&self, id: &SessionId) -> bool {
        lock(&self.inner.recent.out_of_use).knows(id.expose(), clock::now())
    }

    /// Whether a rolling session was refreshed so recently that no touch is due.
    #[must_use]
    pub fn is_touched(&self, id: &SessionId) -> bool {
        lock(&self.inner.recent.touched).knows(id.expose(), clock::now())
    }

    /// Remembers that this ID is out of use: no response of this process sets its cookie any more.
    pub fn take_out_of_use(&self, id: &SessionId) {
        lock(&self.inner.recent.out_of_use).remember(
            id.expose(),
            RecentIds::OUT_OF_USE,
            clock::now(),
        );
    }

    /// Remembers that the record of this session got its full TTL at the time when the store was asked, however long
    /// the store took.
    pub(crate) fn note_touch(&self, Seen { id, record, at }: &Seen) {
        let life = self.inner.rules.options.for_session(record.meta()).touch_after();
        if life > 0 {
            lock(&self.inner.recent.touched).remember(id.expose(), life, *at);
        }
    }
}

/// A table is consistent after each call, so a panic elsewhere does not spoil it.
fn lock(table: &Mutex<RecentIds>) -> std::sync::MutexGuard<'_, RecentIds> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vestiary::{Limits, Record, UnixMillis};

    use super::*;
    use crate::{Config, MemoryStore};

    #[test]
    fn a_touch_counts_from_when_the_store_was_asked_however_long_it_took() {
        let config = Config::new("0123456789abcdef0123456789abcdef");
        let config = config.max_age(Duration::from_secs(60)).rolling(true);
        let sessions = Sessions::new(&config, MemoryStore::default()).unwrap();
        let now = clock::now().0;
        for (ago, expected) in [(0, true), (6_000, false)] {
            let record = Record::decode(r#"{"data":{}}"#, Limits::LOAD).unwrap();
            let session =
                Seen { id: sessions.new_id().unwrap(), record, at: UnixMillis(now - ago) };
            sessions.note_touch(&session);
            assert_eq!(sessions.is_touched(&session.id), expected, "{ago}");
        }
    }
}
