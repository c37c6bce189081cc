//! Whether the session of a request is stored, for streams that wait for it.

use event_listener::{EventListener, IntoNotification as _};
use vestiary::visit;

use super::State;

impl State {
    /// Whether the session has ended, so that nothing will be stored under its ID.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(
            self.visit.state,
            visit::State::Ended | visit::State::Tombstone(_) | visit::State::Unbound(_)
        )
    }

    /// Waits until the session is stored or has ended.
    pub(crate) fn listen(&self) -> EventListener {
        self.stored.listen()
    }

    /// Wakes the streams that wait, if the session is stored or has ended. They read the state again under its lock.
    pub(super) fn announce(&self) {
        if self.session().is_some() || self.has_ended() {
            self.stored.notify(usize::MAX.relaxed());
        }
    }
}
