//! Whether a session is bound to its device.

use vestiary_store::SessionError;

use crate::{ReadOnlySession, Session};

impl<T> Session<T> {
    /// Whether the session is bound to its device ([`Config::device_bound`](crate::Config::device_bound)), so that a stolen
    /// cookie is dead after some minutes. `false` while the browser of a login has not answered yet, for a browser that
    /// cannot bind sessions, and without the option. Ask before an action for which a stolen cookie must not suffice.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn is_bound(&self) -> Result<bool, SessionError> {
        let visit = self.visit();
        Ok(visit.open().await?.is_bound(visit))
    }
}

impl ReadOnlySession {
    /// Whether the session was bound to its device when it was read: see [`Session::is_bound`].
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.sessions().options().is_bound(self.stored().meta())
    }
}
