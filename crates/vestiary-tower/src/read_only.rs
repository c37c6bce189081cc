use std::fmt;

use http::{HeaderMap, HeaderValue, header};
use serde::de::DeserializeOwned;
use vestiary::Handle;
use vestiary_store::{SessionError, Sessions, Stored};

use crate::{Data, contents::Contents};

/// A session that was read from its cookie, without a request to answer: for a WebSocket, a job or a test. Nothing is
/// renewed, refreshed or written, and no cookie is set.
///
/// It is as it was when it was read; [`is_alive`](Self::is_alive) asks the store again. It shows no ID, because an ID is
/// all that an attacker needs to take over the session.
///
/// ```
/// use vestiary_tower::{Config, MemoryStore, ReadOnlySession, SessionError, Sessions};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let config = Config::new("a long random secret, from the environment");
/// let sessions = Sessions::new(&config, MemoryStore::default())?;
///
/// # let new = sessions.create(r#"{"name":"Ada"}"#, None).await?;
/// # let cookie = format!("connect.sid={}", sessions.sign(new.id()));
/// let read = ReadOnlySession::read(&sessions, &cookie).await?;
/// let mut session = read.expect("the cookie of a valid session");
/// assert_eq!(session.get::<String>("name")?.as_deref(), Some("Ada"));
/// assert!(session.is_alive().await?);
/// # sessions.destroy(&new).await?;
/// // After a logout, in whatever process:
/// assert!(!session.is_alive().await?);
/// # Ok::<(), SessionError>(())
/// # }).unwrap();
/// ```
pub struct ReadOnlySession {
    sessions: Sessions,
    stored: Stored,
    data: String,
}

impl ReadOnlySession {
    /// Reads the session of a request with these headers. `None` if they have no cookie of a valid session.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed, whatever [`Config::on_store_error`](crate::Config::on_store_error) says.
    pub async fn open(
        sessions: &Sessions,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, SessionError> {
        let headers = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
        Self::find(sessions, headers).await
    }

    /// Reads the session of a `Cookie` header. `None` if it has no cookie of a valid session.
    ///
    /// # Errors
    /// As [`ReadOnlySession::open`].
    pub async fn read(
        sessions: &Sessions,
        cookie_header: &str,
    ) -> Result<Option<Self>, SessionError> {
        Self::find(sessions, [cookie_header.as_bytes()]).await
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(crate) fn stored(&self) -> &Stored {
        &self.stored
    }

    async fn find<'h>(
        sessions: &Sessions,
        headers: impl IntoIterator<Item = &'h [u8]>,
    ) -> Result<Option<Self>, SessionError> {
        let cookies = sessions.cookies(headers);
        let read = sessions.read(&cookies).await?;
        Ok(read.map(|stored| {
            let (sessions, data) = (sessions.clone(), stored.data().to_owned());
            Self { sessions, stored, data }
        }))
    }

    /// The user who logged in; `None` for an anonymous visitor.
    #[must_use]
    pub fn user_id(&self) -> Option<String> {
        self.stored.user()
    }

    /// The session's handle in its user's session list, for [`UserList::revoke`](crate::UserList::revoke).
    #[must_use]
    pub fn handle(&self) -> Option<&Handle> {
        self.stored.handle()
    }

    /// The value under this key.
    ///
    /// # Errors
    /// [`SessionError::Type`], which names the key, if the value has another type.
    pub fn get<V: DeserializeOwned>(&self, key: &str) -> Result<Option<V>, SessionError> {
        Contents::of_text(&self.data).get(key)
    }

    /// All values of the session.
    ///
    /// # Errors
    /// As [`Session::data`](crate::Session::data).
    pub fn data(&self) -> Result<Data, SessionError> {
        self.view()
    }

    /// The data of the session as a type of the application.
    ///
    /// # Errors
    /// [`SessionError::Type`], which names the key, if a value has another type or is missing.
    pub fn view<T: DeserializeOwned + Default>(&self) -> Result<T, SessionError> {
        Contents::of_text(&self.data).read()
    }

    /// Asks the store whether the session is still valid: neither ended nor revoked nor expired. Writes nothing. Call it
    /// every few minutes, because it follows a session to its next ID only for ten minutes.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed, or the session cannot be read.
    pub async fn is_alive(&mut self) -> Result<bool, SessionError> {
        let Some(alive) = self.sessions.alive(&self.stored).await? else { return Ok(false) };
        self.stored = alive;
        Ok(true)
    }
}

/// Hides the data, which belongs to the application.
impl fmt::Debug for ReadOnlySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOnlySession").finish_non_exhaustive()
    }
}
