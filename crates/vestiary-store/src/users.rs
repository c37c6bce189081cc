use std::fmt;

use vestiary::{
    Handle, UnixMillis, UserRef,
    protocol::{self, OwnEnd},
    session::{self, Join},
};

use crate::{
    SessionError, Sessions, StoreOperation, clock, host::StoreHost, revocations::RequestId,
};

/// The sessions of one user: [`Sessions::of`].
///
/// ```
/// # use vestiary_store::{Config, MemoryStore, Sessions};
/// # futures_executor::block_on(async {
/// # let config = Config::new("a long random secret, from the environment");
/// # let sessions = Sessions::new(&config, MemoryStore::default())?;
/// let ada = sessions.of("ada");
/// for device in ada.list().await? {
///     println!("{} {}", device.handle.as_str(), device.label.unwrap_or_default());
/// }
/// // The password was changed: everybody out, in one write.
/// ada.revoke_all().await?;
/// # Ok::<(), vestiary_store::SessionError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct UserList {
    sessions: Sessions,
    name: String,
    key: String,
    /// The request that uses it, if it was said.
    request: Option<RequestId>,
}

/// One of a user's sessions, as a page of devices shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct UserSession {
    /// The public name of the session, to end it by ([`UserList::revoke`]). It is no ID: it opens no session.
    pub handle: Handle,
    /// When the user logged in.
    pub created: UnixMillis,
    /// When the session was last used, as far as that was written down.
    pub seen: UnixMillis,
    /// The name that the login gave it ([`Login::label`]).
    pub label: Option<String>,
}

/// What is said at a login.
#[derive(Clone, Default)]
pub struct Login {
    /// A name by which the user recognises the session: a device, a place. Cut after 256 characters.
    pub label: Option<String>,
    /// When the visitor proved who it is: a login is refused if all sessions of the user were ended since, or if that
    /// was more than a day ago. `None` is now.
    pub proven: Option<UnixMillis>,
}

impl UserList {
    pub(crate) fn new(sessions: Sessions, name: &str) -> Self {
        let key = sessions.options().user_key(name);
        Self { sessions, name: name.to_owned(), key, request: None }
    }

    /// The same, for a request: it loses its own session at once when it revokes it, and may log in again. Default: the
    /// request for which the calling code runs ([`RequestId::within`]).
    #[must_use]
    pub fn by(self, request: RequestId) -> Self {
        Self { request: Some(request), ..self }
    }

    /// The key of the list in the store.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// All of them that are alive, the one that was used last first.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn list(&self) -> Result<Vec<UserSession>, SessionError> {
        let mut host = StoreHost::new(&self.sessions, StoreOperation::Read);
        let sessions = session::list(&mut host, &self.sessions.inner.rules, &self.name).await?;
        Ok(sessions.iter().map(UserSession::of).collect())
    }

    /// Ends one of them.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed: it may be good yet.
    pub async fn revoke(&self, handle: &Handle) -> Result<(), SessionError> {
        let by = self.request();
        let mut host = StoreHost::new(&self.sessions, StoreOperation::Write);
        session::revoke(&mut host, &self.sessions.inner.rules, &self.name, handle).await?;
        self.sessions.inner.revocations.one(&self.key, handle, by);
        Ok(())
    }

    /// Ends all but this one, and keeps logins out that are under way.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed: they may be good yet.
    pub async fn revoke_others(&self, keep: &Handle) -> Result<(), SessionError> {
        self.end(Some(keep)).await
    }

    /// Ends all of them, and keeps logins out that are under way. However many there are, it is one write.
    /// It may be made later yet if the store does not answer, also to a session that began in between.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed: they may be good yet.
    pub async fn revoke_all(&self) -> Result<(), SessionError> {
        self.end(None).await
    }

    /// Puts a new session on the list, before it is stored.
    ///
    /// # Errors
    /// [`SessionError::LoginOutdated`] as [`Login::proven`] says; and [`SessionError`] if the store failed.
    pub async fn admit(&self, login: &Login) -> Result<UserRef, SessionError> {
        let mut host = StoreHost::new(&self.sessions, StoreOperation::Write);
        let join = self.join(login);
        let user = session::enter(&mut host, &self.sessions.inner.rules, &join).await?;
        user.ok_or(SessionError::LoginOutdated)
    }

    /// A login, as the core's operation [`session::log_in`] takes it.
    #[must_use]
    pub fn join<'a>(&'a self, login: &'a Login) -> Join<'a> {
        Join {
            name: &self.name,
            label: login.label.as_deref(),
            proven: login.proven.unwrap_or_else(clock::now),
            own_end: self.own_end(),
            most: self.sessions.inner.sessions_per_user,
        }
    }

    async fn end(&self, keep: Option<&Handle>) -> Result<(), SessionError> {
        let by = self.request();
        let mut host = StoreHost::new(&self.sessions, StoreOperation::Write);
        let rules = &self.sessions.inner.rules;
        let ended = session::end_all(&mut host, rules, &self.name, keep.cloned()).await?;
        self.sessions.inner.revocations.all(&self.key, keep, ended, by);
        Ok(())
    }

    fn request(&self) -> Option<RequestId> {
        self.request.or_else(RequestId::current)
    }

    /// The end of all sessions of the user by this request itself.
    fn own_end(&self) -> Option<OwnEnd> {
        self.sessions.inner.revocations.ended(&self.key, self.request()?)
    }
}

impl UserSession {
    fn of(session: &protocol::UserSession) -> Self {
        // A list has labels as JSON text.
        let label = session.label.as_deref().and_then(|label| serde_json::from_str(label).ok());
        let (handle, created, seen) = (session.handle.clone(), session.created, session.seen);
        Self { handle, created, seen, label }
    }
}

/// Whose sessions they are is the application's secret.
impl fmt::Debug for UserList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserList").finish_non_exhaustive()
    }
}

/// The label is a value of the application's.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("proven", &self.proven).finish_non_exhaustive()
    }
}
