//! Values beside the data of a session, each for a while, to be taken once.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use vestiary::Error;
use vestiary_store::SessionError;

use crate::{
    Session,
    contents::{text_of, value_of},
};

/// Values beside the session data, each with an end of its own.
impl<T> Session<T> {
    /// Keeps a value beside the session's data for a while, until [`Session::take`] takes it: a `WebAuthn` challenge, an
    /// `OAuth` state, the page to return to after a login. It is stored at once, and replaces the value under this key. An
    /// anonymous visitor gets a session. Changes of the data are not stored by it. `false` if the session was ended
    /// meanwhile: nothing was stored.
    ///
    /// A login drops all of these values; [`Session::renew`] keeps them. A session has at most 32, of 16 KiB of JSON in
    /// all.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use vestiary_tower::{Session, SessionError};
    ///
    /// async fn challenge(session: Session) -> Result<(), SessionError> {
    ///     session.put("challenge", "random", Duration::from_secs(300)).await?;
    ///     Ok(())
    /// }
    ///
    /// async fn answer(session: Session) -> Result<bool, SessionError> {
    ///     let challenge: Option<String> = session.take("challenge").await?;
    ///     Ok(challenge.is_some())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`SessionError::Type`] if the value has no JSON form; [`SessionError::Data`] if the session has no room for it, or if
    /// `lifetime` is zero; [`SessionError::ResponseSent`] if the session is new and the response has left. Other errors if
    /// the store failed.
    pub async fn put(
        &self,
        key: &str,
        value: impl Serialize,
        lifetime: Duration,
    ) -> Result<bool, SessionError> {
        let lifetime = millis_of("lifetime", lifetime)?;
        let text = text_of(key, &value)?;
        self.visit().put(&mut *self.visit().open_to_write().await?, key, text, lifetime).await
    }

    /// Takes the value under a key: removes it from the store, and returns it. If several requests take it at the same
    /// time, in any process, only one gets it. `None` if there is no value: it was never put, has expired, or another
    /// request has taken it. If the session that this request has read has no value, this makes no store call.
    ///
    /// # Errors
    /// [`SessionError::Type`] if the value has another type; it is removed nevertheless. Other errors if the store failed;
    /// if it did not say whether it wrote, the value may be gone.
    pub async fn take<V: DeserializeOwned>(&self, key: &str) -> Result<Option<V>, SessionError> {
        let taken = self.visit().take(&mut *self.visit().open().await?, key).await?;
        taken.as_deref().map(|text| value_of(key, text)).transpose()
    }

    /// Keeps a message for the next page: [`Session::put`] under the key `flash`, for ten minutes. The SvelteKit package
    /// takes the same message.
    ///
    /// # Errors
    /// As [`Session::put`].
    pub async fn flash(&self, message: impl Serialize) -> Result<bool, SessionError> {
        self.put(FLASH, message, FLASH_LIFETIME).await
    }

    /// Takes the message of [`Session::flash`], if there is one.
    ///
    /// # Errors
    /// As [`Session::take`].
    pub async fn take_flash<V: DeserializeOwned>(&self) -> Result<Option<V>, SessionError> {
        self.take(FLASH).await
    }
}

/// The key of a message, and its lifetime; the npm package has the same.
const FLASH: &str = "flash";
const FLASH_LIFETIME: Duration = Duration::from_secs(600);

/// A time in milliseconds, at least one.
///
/// # Errors
/// [`SessionError::Data`] if it is zero. The npm package refuses that, too.
pub(crate) fn millis_of(name: &'static str, time: Duration) -> Result<u64, SessionError> {
    if time.is_zero() {
        return Err(Error::OptionType { name, expected: "greater than 0" }.into());
    }
    Ok(u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1))
}
