//! A store that could not be read.

use vestiary_store::SessionError;

use crate::Session;

impl<T> Session<T> {
    /// Whether the store could not be read, so that the session is empty and cannot be stored. The answer does not depend on
    /// [`Config::on_store_error`](crate::Config::on_store_error). Ask before a page says that the visitor has no account, or
    /// no items.
    ///
    /// # Errors
    /// [`SessionError::UpdateNested`] in the function of an update.
    pub async fn is_unavailable(&self) -> Result<bool, SessionError> {
        self.visit().is_unavailable().await
    }
}
