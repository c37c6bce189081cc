use std::{collections::BTreeMap, fmt};

use vestiary::{
    CookieOverrides, Handle, UnixMillis, UserRef,
    protocol::{self, OwnEnd},
    session::{self, Join, Provider},
    visit::Grant,
};

use crate::{
    Device, LoginDevice, SessionError, Sessions, StoreOperation, clock, host::StoreHost,
    revocations::RequestId,
};

/// The session list of one user: [`Sessions::of`].
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
/// // After a change of password: log out every device, in one write.
/// ada.revoke_all().await?;
/// # Ok::<(), vestiary_store::SessionError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct UserList {
    sessions: Sessions,
    name: String,
    key: String,
    /// The request on whose behalf it acts, if the caller has named one.
    request: Option<RequestId>,
}

/// One session of a user, as a page of devices shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct UserSession {
    /// The public name of the session, for [`UserList::revoke`]. It is not an ID and opens no session.
    pub handle: Handle,
    /// When the user logged in.
    pub created: UnixMillis,
    /// When the session was last used, as far as the list records it.
    pub seen: UnixMillis,
    /// The label given at the login ([`Login::label`]).
    pub label: Option<String>,
    /// The device given at the login ([`Login::device`]).
    pub device: Option<Device>,
    /// Whether the session is bound to its device ([`Config::device_bound`](crate::Config::device_bound)), as far as the list
    /// records it.
    pub bound: bool,
}

/// Options of a login.
#[derive(Clone, Default)]
pub struct Login {
    /// A label by which the user recognises the session: a device or a place. Truncated to 256 characters.
    pub label: Option<String>,
    /// The device by which the user recognises the session. Default (`None`): unknown.
    pub device: Option<LoginDevice>,
    /// When the visitor proved their identity. The login is refused if all sessions of the user were ended since, or if
    /// the proof is more than a day old. Default (`None`): now.
    pub proven: Option<UnixMillis>,
    /// The cookie attributes of the session alone, such as how long it lasts ([`CookieOverrides::lasting`]). Default
    /// (`None`): those of the options.
    pub cookie: Option<CookieOverrides>,
    /// The provider of OpenID Connect at which the visitor has logged in, so that it can end the session
    /// ([`Sessions::logged_out`]). Default (`None`): none.
    pub provider: Option<Provider>,
    /// The tokens that the provider has given, which the record of the new session keeps beside its data. Default (`None`):
    /// none. [`UserList::admit`] makes no record, and ignores them.
    pub tokens: Option<Grant>,
}

impl UserList {
    pub(crate) fn new(sessions: Sessions, name: &str) -> Self {
        let key = sessions.options().user_key(name);
        Self { sessions, name: name.to_owned(), key, request: None }
    }

    /// Acts on behalf of a request: if the request revokes its own session, it loses it at once, and may log in again.
    /// Default: the request for which the calling code runs ([`RequestId::within`]).
    #[must_use]
    pub fn by(self, request: RequestId) -> Self {
        Self { request: Some(request), ..self }
    }

    /// The key of the list in the store.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The user's active sessions, the most recently used first.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn list(&self) -> Result<Vec<UserSession>, SessionError> {
        let mut host = StoreHost::new(&self.sessions, StoreOperation::Read);
        let sessions = session::list(&mut host, &self.sessions.inner.rules, &self.name).await?;
        Ok(sessions.iter().map(UserSession::of).collect())
    }

    /// Revokes one session.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed: the session may still be valid.
    pub async fn revoke(&self, handle: &Handle) -> Result<(), SessionError> {
        self.revoke_each(vec![handle.clone()]).await
    }

    /// Revokes several sessions, in one write.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed: the sessions may still be valid.
    pub async fn revoke_each(&self, handles: Vec<Handle>) -> Result<(), SessionError> {
        let by = self.request();
        let mut host = StoreHost::new(&self.sessions, StoreOperation::Write);
        let rules = &self.sessions.inner.rules;
        session::revoke_each(&mut host, rules, &self.name, handles.clone()).await?;
        for handle in &handles {
            self.sessions.inner.revocations.one(&self.key, handle, by);
        }
        Ok(())
    }

    /// Revokes all sessions except this one, and rejects logins that are in progress.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed: the sessions may still be valid.
    pub async fn revoke_others(&self, keep: &Handle) -> Result<(), SessionError> {
        self.end(Some(keep)).await
    }

    /// Revokes all sessions, however many, in one write, and rejects logins that are in progress. If the store does not
    /// reply, the write may still happen later, and then also ends sessions that began in between.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed: the sessions may still be valid.
    pub async fn revoke_all(&self) -> Result<(), SessionError> {
        self.end(None).await
    }

    /// Adds a new session to the list, before it is stored.
    ///
    /// # Errors
    /// [`SessionError::LoginOutdated`] as described at [`Login::proven`]; [`SessionError::TooManySessions`] if the list is
    /// full and refuses logins; other errors if the store failed.
    pub async fn admit(&self, login: &Login) -> Result<UserRef, SessionError> {
        let mut host = StoreHost::new(&self.sessions, StoreOperation::Write);
        let join = self.join(login);
        let user = session::enter(&mut host, &self.sessions.inner.rules, &join).await?;
        user.ok_or(SessionError::LoginOutdated)
    }

    /// The arguments of the core's operation [`session::log_in`].
    #[must_use]
    pub fn join<'a>(&'a self, login: &'a Login) -> Join<'a> {
        Join {
            name: &self.name,
            label: login.label.as_deref(),
            device: login.device.as_ref().map(LoginDevice::known).unwrap_or_default(),
            proven: login.proven.unwrap_or_else(clock::now),
            own_end: self.own_end(),
            cookie: login.cookie.clone(),
            provider: login.provider.clone(),
            tokens: login.tokens.clone(),
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

    /// The revocation of all sessions of the user by this request itself.
    fn own_end(&self) -> Option<OwnEnd> {
        self.sessions.inner.revocations.ended(&self.key, self.request()?)
    }
}

impl Sessions {
    /// Revokes the sessions in a list of a provider ([`session::provider_list`]), which were logged in with
    /// [`Login::provider`], and refuses logins in progress. Returns whether the provider's token, for which `receipt` stands
    /// ([`session::provider_receipt`]), was used before.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed: the sessions may still be valid.
    pub async fn logged_out(
        &self,
        hash: &str,
        receipt: Option<Handle>,
    ) -> Result<bool, SessionError> {
        let mut host = StoreHost::new(self, StoreOperation::Write);
        let ended = session::logged_out(&mut host, &self.inner.rules, hash, receipt).await?;
        let mut users: BTreeMap<String, Vec<Handle>> = BTreeMap::new();
        for entry in ended.entries {
            // An entry without a label is no session.
            let user = entry.label.as_deref().and_then(|label| serde_json::from_str(label).ok());
            if let Some(user) = user {
                users.entry(user).or_default().push(entry.handle);
            }
        }
        for (user, handles) in users {
            self.of(&user).revoke_each(handles).await?;
        }
        Ok(ended.is_replayed)
    }
}

impl UserSession {
    fn of(session: &protocol::UserSession) -> Self {
        // The list stores labels and devices as JSON text.
        let label = session.label.as_deref().and_then(|label| serde_json::from_str(label).ok());
        let device = session.device.as_deref().and_then(Device::of_json);
        let handle = session.handle.clone();
        let created = session.created;
        let (seen, bound) = (session.seen, session.bound);
        Self { handle, created, seen, label, device, bound }
    }
}

/// Hides the user, which is the application's secret.
impl fmt::Debug for UserList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserList").finish_non_exhaustive()
    }
}

/// Hides the label and the device, which are application data.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("proven", &self.proven).finish_non_exhaustive()
    }
}
