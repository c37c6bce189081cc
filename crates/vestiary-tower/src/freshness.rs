//! How long ago the user has proven their identity.

use std::time::Duration;

use vestiary_store::SessionError;

use crate::{ReadOnlySession, Session};

impl<T> Session<T> {
    /// Whether the user has logged in or confirmed their identity ([`Session::confirm`]) within this time. `false` for an
    /// anonymous visitor. Ask before an action that needs more than a session, such as a change of the password;
    /// [`RequireFresh`](crate::RequireFresh) asks for a group of routes.
    ///
    /// Only a login and `confirm()` make a session fresh. The age is that in the session as this request has read it, by the
    /// clock of this server.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn is_fresh(&self, within: Duration) -> Result<bool, SessionError> {
        let now = self.sessions().now();
        Ok(self.visit().open().await?.is_fresh(millis(within), now))
    }

    /// Records that the user has just proven their identity again, for [`Session::is_fresh`]: call it after the password, or
    /// another proof, was checked. It is stored at once. Changes of the data are not stored by it. A renewal keeps it, the
    /// next login drops it. `false` if no user is logged in, or the session was ended meanwhile: nothing was stored.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use vestiary_tower::{Session, SessionError};
    /// # fn is_right(_: &str) -> bool { true }
    /// async fn confirm(session: Session, password: String) -> Result<bool, SessionError> {
    ///     Ok(is_right(&password) && session.confirm().await?)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn confirm(&self) -> Result<bool, SessionError> {
        self.visit().confirm_user(&mut *self.visit().open_to_write().await?).await
    }
}

impl ReadOnlySession {
    /// Whether the user has logged in or confirmed their identity ([`Session::confirm`]) within this time before now. The
    /// age is that in the session as it was read, or found by [`is_alive`](Self::is_alive).
    #[must_use]
    pub fn is_fresh(&self, within: Duration) -> bool {
        self.stored().meta().is_fresh(millis(within), self.sessions().now())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
