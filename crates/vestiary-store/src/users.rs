use std::fmt;

use vestiary::{
    Error, Handle, Meta, SessionId, UnixMillis, UserRef,
    protocol::{self, Changed, OwnEnd, Proof, UserChange, UserSessions},
};

use crate::{
    SessionError, Sessions, Store as _, StoreOperation, clock, host::StoreHost,
    revocations::RequestId, sessions::new_handle,
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

/// Whether a session is in the list of its user.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Admission {
    /// It is not: it was revoked.
    Revoked,
    Listed,
    /// It is, and its use has to be written there, or the list drops it.
    Stale,
}

/// A list that was read together with a record, because the session's ID hints at it.
pub(crate) struct ListAhead {
    pub(crate) key: String,
    /// The text, as the store has it.
    pub(crate) text: Option<String>,
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
        let mut list = self.read(None).await?;
        list.sweep(clock::now());
        let sessions = list.sessions().iter().rev();
        Ok(sessions.map(UserSession::of).collect())
    }

    /// Ends one of them.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed: it may be good yet.
    pub async fn revoke(&self, handle: &Handle) -> Result<(), SessionError> {
        let by = self.request();
        self.remove(handle).await?;
        self.sessions.inner.revocations.one(&self.key, handle, by);
        Ok(())
    }

    /// Takes a session out of the list that has ended, or was never stored.
    pub(crate) async fn remove(&self, handle: &Handle) -> Result<(), SessionError> {
        self.change(&UserChange::Remove(handle.clone()), None).await.map(drop)
    }

    /// Ends all but this one, and keeps logins out that are under way.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed: they may be good yet.
    pub async fn revoke_others(&self, keep: &Handle) -> Result<(), SessionError> {
        self.end(Some(keep)).await
    }

    /// Ends all of them, and keeps logins out that are under way. However many there are, it is one write.
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
        self.check_name()?;
        let handle = new_handle()?;
        let store = self.store_clock().await?;
        let here = clock::now();
        let proof =
            Proof { at: login.proven.unwrap_or(here), here, store, own_end: self.own_end() };
        let since = proof.since().ok_or(SessionError::LoginOutdated)?;
        let change = UserChange::Add {
            handle: handle.clone(),
            label: login.label.as_deref().map(UserSessions::label),
            since,
            most: self.sessions.inner.sessions_per_user,
        };
        match self.change(&change, None).await {
            Ok(Changed { made: true, .. }) => {}
            Ok(_) => return Err(SessionError::LoginOutdated),
            Err(error) => {
                // It may have been listed, but there is no session.
                if error.is_store() {
                    let _ = self.remove(&handle).await;
                }
                return Err(error);
            }
        }
        Ok(UserRef { name: quoted(&self.name), handle })
    }

    /// Whether this session is in the list, and whether its use has to be written there.
    pub(crate) async fn admits(
        &self,
        handle: &Handle,
        meta: &Meta,
        ahead: Option<ListAhead>,
    ) -> Result<Admission, SessionError> {
        let list = self.read(ahead).await?;
        if !list.knows(handle) {
            // A replica may not have heard of the login yet, so it is asked again, by a write.
            let seen = self.seen(handle, meta).await?;
            return Ok(if seen { Admission::Listed } else { Admission::Revoked });
        }
        let now = clock::now();
        let is_stale =
            list.is_stale(handle, self.sessions.inner.rules.lifetime(Some(meta), now).ttl, now);
        Ok(if is_stale { Admission::Stale } else { Admission::Listed })
    }

    /// Writes that a session is used. False if it is not in the list: it was revoked.
    pub(crate) async fn seen(&self, handle: &Handle, meta: &Meta) -> Result<bool, SessionError> {
        Ok(self.change(&UserChange::Seen(handle.clone()), Some(meta)).await?.made)
    }

    /// The list; as it was read ahead, if that is this one.
    async fn read(&self, ahead: Option<ListAhead>) -> Result<UserSessions, SessionError> {
        self.check_name()?;
        let text = if let Some(ahead) = ahead.filter(|ahead| ahead.key == self.key) {
            ahead.text
        } else {
            let read = self.sessions.inner.store.read(&self.key);
            self.sessions.ask(StoreOperation::Read, read).await?
        };
        let Some(text) = text else { return Ok(UserSessions::default()) };
        let text = self.sessions.opened(&SessionId::parse(&self.key)?, &self.key, text)?;
        Ok(UserSessions::decode(&text)?)
    }

    async fn end(&self, keep: Option<&Handle>) -> Result<(), SessionError> {
        self.check_name()?;
        let by = self.request();
        let at = self.store_clock().await?.unwrap_or_else(clock::now);
        let changed = self.change(&UserChange::End { keep: keep.cloned(), at }, None).await?;
        let ended = OwnEnd { at, before: changed.ended_before.unwrap_or_default() };
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

    /// A change, perhaps of a session with this metadata.
    async fn change(
        &self,
        change: &UserChange,
        meta: Option<&Meta>,
    ) -> Result<Changed, SessionError> {
        self.check_name()?;
        let mut host = StoreHost::new(&self.sessions, StoreOperation::Write);
        let rules = &self.sessions.inner.rules;
        protocol::change_list(&mut host, rules, &self.key, change, meta).await
    }

    /// The store's clock, which dates the end of all sessions, if it has one. Otherwise this server's does.
    async fn store_clock(&self) -> Result<Option<UnixMillis>, SessionError> {
        let now = self.sessions.inner.store.now(&self.key);
        self.sessions.ask(StoreOperation::Read, now).await
    }

    fn check_name(&self) -> Result<(), Error> {
        UserSessions::check_name(&self.name)
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

/// The application's name for a user. Empty, and so nobody's, if the record has another one.
pub(crate) fn name_of(user: &UserRef) -> String {
    serde_json::from_str(&user.name).unwrap_or_default()
}

/// JSON text of a string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
