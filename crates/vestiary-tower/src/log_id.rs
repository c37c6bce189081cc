//! The name of a session for logs.

use vestiary_store::SessionError;

use crate::{ReadOnlySession, Session};

impl<T> Session<T> {
    /// A name of the session for logs: 16 characters that stay the same until the session ends, even over renewals, and
    /// reveal nothing about its ID. For the session of a user, it is the handle. `None` if the session is not stored.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn log_id(&self) -> Result<Option<String>, SessionError> {
        Ok(self.visit().open().await?.log_id())
    }
}

impl ReadOnlySession {
    /// A name of the session for logs: see [`Session::log_id`].
    #[must_use]
    pub fn log_id(&self) -> String {
        self.stored().log_id()
    }
}
