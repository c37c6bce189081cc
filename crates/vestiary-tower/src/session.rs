use std::{fmt, future::IntoFuture, marker::PhantomData, pin::Pin, sync::Arc, time::Duration};

use http::Extensions;
use serde::{Serialize, de::DeserializeOwned};
use vestiary::{CookieOverrides, Error, Handle, SessionId, UnixMillis, UserRef};
use vestiary_store::{Login, LoginDevice, SessionError, Sessions, UserSession};

use crate::{
    contents::{Data, text_of, value_of},
    visit::Visit,
};

/// A visitor's session. Cheap to clone; all clones, of any type, are the same session.
///
/// The store is read when the session is first used, and written when the handler's response is ready, whatever its
/// status, if something was changed. Changes by other requests are merged per top-level key; use [`Session::update`]
/// for counters and lists.
///
/// `Session` is a map of JSON values. `Session<T>` reads and writes the same JSON object as a type of your own. The type
/// need not have all keys of the object, since another service or another part of the application may have stored some.
/// Reading ignores other keys, and [`update`](Session::update), [`modify`](Session::modify) and
/// [`write`](Session::write) keep them byte for byte.
///
/// ```
/// use vestiary_tower::{Session, SessionError};
///
/// async fn visits(session: Session) -> Result<String, SessionError> {
///     let visits: u64 = session.get("visits").await?.unwrap_or(0);
///     session.insert("visits", visits + 1).await?;
///     Ok(format!("You were here {visits} times."))
/// }
/// ```
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use vestiary_tower::{Session, SessionError};
///
/// #[derive(Default, Deserialize, Serialize)]
/// struct Cart {
///     #[serde(default)]
///     items: Vec<String>,
/// }
///
/// async fn add(session: Session<Cart>) -> Result<(), SessionError> {
///     // Runs on the stored data, so no change of another tab is lost.
///     session.update(|cart| cart.items.push("a coat".to_owned())).await?;
///     Ok(())
/// }
/// ```
pub struct Session<T = Data> {
    visit: Arc<Visit>,
    holds: PhantomData<fn() -> T>,
}

impl<T> Session<T> {
    pub(crate) fn new(visit: Arc<Visit>) -> Self {
        Self { visit, holds: PhantomData }
    }

    pub(crate) fn visit(&self) -> &Visit {
        &self.visit
    }

    pub(crate) fn into_visit(self) -> Arc<Visit> {
        self.visit
    }

    /// The session of a request, if a [`SessionLayer`](crate::SessionLayer) surrounds the service.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Session>().map(Session::typed)
    }

    /// The same session with another type for its data.
    #[must_use]
    pub fn typed<U>(&self) -> Session<U> {
        Session::new(Arc::clone(&self.visit))
    }

    /// Whether the session has not been stored yet.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn is_new(&self) -> Result<bool, SessionError> {
        Ok(self.visit.open().await?.session().is_none())
    }

    /// The session's ID, if it is stored. A browser that has it, signed, has the session.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn id(&self) -> Result<Option<SessionId>, SessionError> {
        Ok(self.visit.open().await?.session().map(|session| session.id.clone()))
    }

    /// The user who logged in with [`Session::login`].
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn user_id(&self) -> Result<Option<String>, SessionError> {
        let state = self.visit.open().await?;
        let user = state.session().and_then(|session| session.record.meta().user.as_ref());
        Ok(user.map(UserRef::decoded_name))
    }

    /// The session's handle in its user's session list, if a user is logged in.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn handle(&self) -> Result<Option<Handle>, SessionError> {
        let state = self.visit.open().await?;
        let user = state.session().and_then(|session| session.record.meta().user.as_ref());
        Ok(user.map(|user| user.handle.clone()))
    }

    /// When the session ends unless it is used, this request included: the first of its idle deadline, its absolute
    /// deadline and the end of its cookie. `None` if it has none of them, and for a session that is not stored.
    ///
    /// A rolling cookie counts if this response sets it. In [`Format::ExpressSession`](crate::Format::ExpressSession), the
    /// same holds for every cookie.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn expires(&self) -> Result<Option<UnixMillis>, SessionError> {
        Ok(self.visit.open().await?.ends(&self.visit).expires)
    }

    /// The idle deadline: when the session ends unless another request uses it.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn idle_until(&self) -> Result<Option<UnixMillis>, SessionError> {
        Ok(self.visit.open().await?.ends(&self.visit).idle)
    }

    /// Keeps the response out of every cache (`Cache-Control: no-store`), the browser's too. So the Back button does not show
    /// it after a logout, but asks the server again. [`RequireLogin`](crate::RequireLogin) does it for the routes that it
    /// guards.
    pub fn private(&self) {
        self.visit.keep_private();
    }

    /// Stores the changes and sets the cookie now, without waiting for the response. `false` if the session was ended
    /// meanwhile: nothing was written.
    ///
    /// # Errors
    /// [`SessionError::Unconfirmed`] if the record is gone and this request read it at least ten minutes ago: it may
    /// have been ended, or have another ID. Other errors if the changes cannot be stored.
    pub async fn save(&self) -> Result<bool, SessionError> {
        self.visit.save(&mut *self.visit.open_to_write().await?).await
    }

    /// Restarts the lifetime of the session, in store and cookie, without writing its data.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn touch(&self) -> Result<(), SessionError> {
        self.visit.touch(&mut *self.visit.open_to_write().await?).await
    }

    /// Asks the store whether the session is still valid, or was ended, revoked or expired in any request or process.
    /// Writes nothing. For code that outlives its request, such as a stream or a WebSocket: call it every few minutes
    /// there, because it follows a session to its next ID for only ten minutes.
    ///
    /// Also `false` for a session that is not stored. After a `false`, the session stays as this request has read it.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed, or the session cannot be read.
    pub async fn is_alive(&self) -> Result<bool, SessionError> {
        self.visit.is_alive(&mut *self.visit.open_to_write().await?).await
    }

    /// Gives the session another ID and keeps its data. During the grace period, the old ID still leads to the session,
    /// for requests in flight. [`Config::renew_after`](crate::Config::renew_after) does this automatically.
    ///
    /// # Errors
    /// [`SessionError::ResponseSent`] if the response has left, so that the browser could not learn the new ID. Other
    /// errors if the store failed.
    pub async fn renew(&self) -> Result<(), SessionError> {
        self.visit.renew(&mut *self.visit.open_to_write().await?).await
    }

    /// Ends the session: removes it from the store and its cookie from the browser. Later writes begin a new session.
    ///
    /// # Errors
    /// [`SessionError`] if the store did not confirm the removal. The cookie is removed nevertheless, so the browser is
    /// logged out; an attacker who has copied the cookie may not be.
    pub async fn destroy(&self) -> Result<(), SessionError> {
        self.visit.destroy().await
    }

    /// Removes the value under this key, whatever its type. `false` if there is none.
    ///
    /// It needs no type, so it can remove a value that caused a [`SessionError::Type`].
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn remove_key(&self, key: &str) -> Result<bool, SessionError> {
        Ok(self.visit.open_to_write().await?.contents.remove(key)?.is_some())
    }

    /// Logs a user in. The session gets a new ID, which makes the old one worthless, and joins the user's session list
    /// ([`Session::sessions_of`]). Data is dropped unless [`LogIn::keep`] names it. The new session is stored at once.
    ///
    /// ```
    /// # use vestiary_tower::{Session, SessionError};
    /// # async fn handler(session: Session) -> Result<(), SessionError> {
    /// session.login("ada").keep(["cart"]).label("Firefox on Linux").await?;
    /// session.insert("name", "Ada").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SessionError::LoginOutdated`] if all sessions of the user were revoked meanwhile, or
    /// [`SessionError::TooManySessions`]. Others if the store failed. After one, the visitor keeps the previous session.
    #[must_use = "a login does nothing unless it is awaited"]
    pub fn login(&self, user: impl Into<String>) -> LogIn {
        LogIn {
            visit: Arc::clone(&self.visit),
            user: user.into(),
            keep: Vec::new(),
            cookie: None,
            login: Login::default(),
        }
    }

    /// The session list of a user, the most recently used first: to show it, and to revoke one session, the others or
    /// all. If that revokes this session, it ends at once, its cookie is removed, and [`Session::login`] may begin
    /// another one.
    ///
    /// ```
    /// # use vestiary_tower::{Session, SessionError};
    /// # async fn handler(session: Session) -> Result<(), SessionError> {
    /// // After a change of password: log out every device.
    /// session.sessions_of("ada").revoke_all().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn sessions_of(&self, user: &str) -> vestiary_store::UserList {
        self.sessions().of(user).by(self.visit.request)
    }

    /// All sessions of the logged-in user, the most recently used first; none for an anonymous session.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn siblings(&self) -> Result<Vec<UserSession>, SessionError> {
        match self.user_id().await? {
            Some(user) => self.sessions_of(&user).list().await,
            None => Ok(Vec::new()),
        }
    }

    /// The sessions of the service, for operations on other sessions.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.visit.sessions
    }
}

impl Session {
    /// The value under this key.
    ///
    /// # Errors
    /// [`SessionError::Type`], which names the key, if the value has another type. Other errors if the store failed.
    pub async fn get<V: DeserializeOwned>(&self, key: &str) -> Result<Option<V>, SessionError> {
        self.visit.open().await?.contents.get(key)
    }

    /// Sets the value under this key.
    ///
    /// # Errors
    /// [`SessionError::Type`] if the value has no JSON form. Other errors if the store failed.
    pub async fn insert(&self, key: &str, value: impl Serialize) -> Result<(), SessionError> {
        let text = text_of(key, &value)?;
        self.visit.open_to_write().await?.contents.set(key, text)
    }

    /// Removes and returns the value under this key.
    ///
    /// # Errors
    /// [`SessionError::Type`] if the value has another type; it is removed nevertheless. Other errors if the store
    /// failed.
    pub async fn remove<V: DeserializeOwned>(&self, key: &str) -> Result<Option<V>, SessionError> {
        let removed = self.visit.open_to_write().await?.contents.remove(key)?;
        removed.as_deref().map(|text| value_of(key, text)).transpose()
    }

    /// Removes all values, including those that no type of the application has. The session and its ID stay; see
    /// [`Session::destroy`].
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn clear(&self) -> Result<(), SessionError> {
        self.visit.open_to_write().await?.contents.clear()
    }

    /// All values of the session.
    ///
    /// # Errors
    /// [`SessionError::Type`], which names the key, if Rust cannot represent a value that JavaScript has stored: the
    /// number `1e400`, or half of a UTF-16 surrogate pair. Other errors if the store failed.
    pub async fn data(&self) -> Result<Data, SessionError> {
        self.visit.open().await?.contents.read()
    }
}

impl<T: Serialize + DeserializeOwned + Default> Session<T> {
    /// The session data as this type; the type's default if the data has none of its keys.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use vestiary_tower::{Session, SessionError};
    /// # #[derive(Default, Deserialize, Serialize)]
    /// # #[serde(default)]
    /// # struct Visitor { clicks: u64 }
    /// /// Removes a `clicks` of another type that an older version stored; it then has its default.
    /// async fn visitor(session: &Session<Visitor>) -> Result<Visitor, SessionError> {
    ///     if let Err(SessionError::Type(wrong)) = session.read().await
    ///         && let Some(key) = wrong.key()
    ///     {
    ///         session.remove_key(key).await?;
    ///     }
    ///     session.read().await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`SessionError::Type`], which names the key, if a value has another type or is missing. It stays so until the
    /// application removes or rewrites that key. Other errors if the store failed.
    pub async fn read(&self) -> Result<T, SessionError> {
        self.visit.open().await?.contents.read()
    }

    /// Removes the keys whose values do not fit the type, so that no visitor is locked out after the type has changed. If a
    /// key is missing that the type needs, all keys of the type are removed, and it reads as its default. Other keys stay.
    /// Returns the removed keys; none if the data fits. The change is stored with the response.
    ///
    /// With `#[serde(default)]` on the type, a missing key has its default, and only values of another type are removed.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use vestiary_tower::{Session, SessionError};
    /// #[derive(Default, Deserialize, Serialize)]
    /// #[serde(default)]
    /// struct Visitor {
    ///     clicks: u64,
    ///     theme: Option<String>,
    /// }
    ///
    /// async fn visitor(session: &Session<Visitor>) -> Result<Visitor, SessionError> {
    ///     for key in session.discard_invalid().await? {
    ///         eprintln!("dropped `{key}` of a session");
    ///     }
    ///     session.read().await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`SessionError::Type`] if no data fits the type. Other errors if the store failed.
    pub async fn discard_invalid(&self) -> Result<Vec<String>, SessionError> {
        self.visit.open_to_write().await?.contents.discard::<T>()
    }

    /// Sets the keys that the type has, even if the stored values do not fit the type. Other keys stay;
    /// [`Session::clear`] removes all.
    ///
    /// # Errors
    /// [`SessionError::Type`] if the value has no JSON form, [`SessionError::Data`] if that is not an object. Other
    /// errors if the store failed.
    pub async fn write(&self, value: &T) -> Result<(), SessionError> {
        self.visit.open_to_write().await?.contents.write(value)
    }

    /// Applies a function to the **stored** data, stores the result, and sets the cookie. Use it for values that depend
    /// on their previous value, such as counters and lists: no concurrent change is lost. The function may run more
    /// than once. Earlier changes of the request are stored first. `false` if the session was ended meanwhile: nothing
    /// was written.
    ///
    /// Only the keys that the function changes, adds or removes are written; keys that the type lacks stay.
    ///
    /// # Errors
    /// [`SessionError::UpdateNested`] for a use of this session inside the function; [`SessionError::Type`], which
    /// names the key, if the stored data does not fit the type; [`SessionError::Data`] if the result is not a JSON
    /// object. Other errors if the store failed.
    pub async fn update(
        &self,
        mut change: impl FnMut(&mut T) + Send,
    ) -> Result<bool, SessionError> {
        let mut state = self.visit.open_to_write().await?;
        self.visit.update(&mut state, |contents| contents.change(&mut change)).await
    }

    /// Changes the session data as this request has read it, and stores it with the response. Changes by other requests
    /// are merged per top-level key; keys that the type lacks stay.
    ///
    /// # Errors
    /// [`SessionError::Type`], which names the key, if the data does not fit the type; [`SessionError::Data`] if the
    /// result is not a JSON object. Other errors if the store failed.
    pub async fn modify<R: Send>(
        &self,
        change: impl FnOnce(&mut T) -> R + Send,
    ) -> Result<R, SessionError> {
        let mut state = self.visit.open_to_write().await?;
        self.visit.run(|| state.contents.change(change))
    }
}

/// A login that runs when it is awaited: [`Session::login`].
#[must_use = "a login does nothing unless it is awaited"]
pub struct LogIn {
    visit: Arc<Visit>,
    user: String,
    keep: Vec<String>,
    /// The cookie attributes of the session alone, if they are valid.
    cookie: Option<Result<CookieOverrides, Error>>,
    pub(crate) login: Login,
}

impl LogIn {
    /// Keys of the anonymous session to keep, such as a cart. Default: none.
    pub fn keep<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.keep.extend(keys.into_iter().map(Into::into));
        self
    }

    /// A label by which the user recognises the session: a device or a place.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.login.label = Some(label.into());
        self
    }

    /// The device by which the user recognises the session. Default: unknown.
    pub fn device(mut self, device: LoginDevice) -> Self {
        self.login.device = Some(device);
        self
    }

    /// How long the cookie of this session lasts, in whole seconds; `None` for as long as the browser is open. It is kept
    /// in the record, so each later cookie of the session has it, whichever service sets it, until the next login.
    /// Default: [`Config::max_age`](crate::Config::max_age).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use vestiary_tower::{Session, SessionError};
    /// # async fn handler(session: Session, remember: bool) -> Result<(), SessionError> {
    /// let month = Duration::from_secs(30 * 86_400);
    /// session.login("ada").max_age(remember.then_some(month)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.cookie = Some(CookieOverrides::lasting(age.into().map(|age| age.as_secs())));
        self
    }

    /// When the visitor proved their identity. The login is refused if another request has revoked all sessions of the
    /// user since, or if the proof is more than a day old. Default: when the request began.
    pub fn proven_at(mut self, at: UnixMillis) -> Self {
        self.login.proven = Some(at);
        self
    }
}

impl IntoFuture for LogIn {
    type Output = Result<(), SessionError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { visit, user, keep, cookie, mut login } = self;
        Box::pin(async move {
            login.cookie = cookie.transpose()?;
            let mut state = visit.open_to_log_in().await?;
            let kept = state.contents.only(&keep)?;
            visit.login(&mut state, &user, &kept, login).await
        })
    }
}

impl<T> Clone for Session<T> {
    fn clone(&self) -> Self {
        self.typed()
    }
}

/// Hides the data, which belongs to the application.
impl<T> fmt::Debug for Session<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// Hides the user, which belongs to the application.
impl fmt::Debug for LogIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogIn").finish_non_exhaustive()
    }
}
