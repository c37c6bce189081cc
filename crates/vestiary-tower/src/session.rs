use std::{fmt, future::IntoFuture, marker::PhantomData, pin::Pin, sync::Arc};

use http::Extensions;
use serde::{Serialize, de::DeserializeOwned};
use vestiary::{Handle, SessionId, UnixMillis, UserRef};
use vestiary_store::{Login, SessionError, Sessions, UserSession};

use crate::{
    contents::{Data, text_of, value_of},
    visit::Visit,
};

/// A visitor's session. Cheap to clone; all clones, of whatever type, are the same session.
///
/// Nothing is read before somebody asks, and nothing is stored before something was changed. Changes are
/// stored when the handler has made its response, whatever its status; what other requests have changed
/// meanwhile is kept, top-level key by top-level key ([`Session::update`] for counters and lists).
///
/// `Session` is a map of JSON values. `Session<T>` sees the same JSON object as a type of the application's. A type
/// need not have all members of the object: another service, or another part of the application, may have stored
/// some. Reading ignores those, and [`update`](Session::update), [`modify`](Session::modify) and
/// [`write`](Session::write) leave them as they are, byte for byte.
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
///     // Run on what the store has now, so that two tabs lose nothing.
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

    pub(crate) fn into_visit(self) -> Arc<Visit> {
        self.visit
    }

    /// The session of a request, if the [`SessionLayer`](crate::SessionLayer) is there.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Session>().map(Session::typed)
    }

    /// The same session, as another type.
    #[must_use]
    pub fn typed<U>(&self) -> Session<U> {
        Session::new(Arc::clone(&self.visit))
    }

    /// Whether the store does not know it (yet).
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn is_new(&self) -> Result<bool, SessionError> {
        Ok(self.visit.open().await?.session().is_none())
    }

    /// Its ID, if it is stored: whoever has it, signed, has the session.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn id(&self) -> Result<Option<SessionId>, SessionError> {
        Ok(self.visit.open().await?.session().map(|session| session.id.clone()))
    }

    /// Whose session it is, after [`Session::login`].
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn user_id(&self) -> Result<Option<String>, SessionError> {
        let state = self.visit.open().await?;
        let user = state.session().and_then(|session| session.record.meta().user.as_ref());
        Ok(user.map(UserRef::decoded_name))
    }

    /// What the list of its user calls it.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn handle(&self) -> Result<Option<Handle>, SessionError> {
        let state = self.visit.open().await?;
        let user = state.session().and_then(|session| session.record.meta().user.as_ref());
        Ok(user.map(|user| user.handle.clone()))
    }

    /// Stores the changes now, and not when the response is ready, and sets the cookie. `false` if the session was
    /// ended meanwhile: nothing was written.
    ///
    /// # Errors
    /// [`SessionError::Unconfirmed`] if the record is gone and this request has read it ten minutes ago or more: then it
    /// cannot be told whether the session was ended, or has another ID; others if the changes cannot be stored.
    pub async fn save(&self) -> Result<bool, SessionError> {
        self.visit.save(&mut *self.visit.open_to_write().await?).await
    }

    /// Gives the session its whole life again, in store and cookie, without writing its data.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn touch(&self) -> Result<(), SessionError> {
        self.visit.touch(&mut *self.visit.open_to_write().await?).await
    }

    /// Gives the session another ID and keeps what it holds. For a while the old ID still leads to it, for
    /// requests that are under way. With [`Config::renew_after`](crate::Config::renew_after) this
    /// happens by itself.
    ///
    /// # Errors
    /// [`SessionError::ResponseSent`] if the response has left, so that the browser would not learn of the new ID;
    /// others if the store failed.
    pub async fn renew(&self) -> Result<(), SessionError> {
        self.visit.renew(&mut *self.visit.open_to_write().await?).await
    }

    /// Ends the session: removes it from the store, and the cookie from the browser. What is written
    /// afterwards begins another one.
    ///
    /// # Errors
    /// [`SessionError`] if the store did not confirm it. The cookie goes all the same, so that whoever sits
    /// at the browser is logged out; but somebody who has copied the cookie may not be.
    pub async fn destroy(&self) -> Result<(), SessionError> {
        self.visit.destroy().await
    }

    /// Removes the value under this key, whatever it is. `false` if there is none.
    ///
    /// Needs no type, and so removes a value that [`SessionError::Type`] complains about.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn remove_key(&self, key: &str) -> Result<bool, SessionError> {
        Ok(self.visit.open_to_write().await?.contents.remove(key)?.is_some())
    }

    /// Logs a user in: gives the session another ID, so that whoever knew the old one knows nothing, and
    /// binds it to the user, whose sessions can be listed and ended ([`Session::sessions_of`]). It
    /// keeps nothing that is not named, and is stored at once.
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
    /// [`SessionError::LoginOutdated`] if all sessions of the user were ended while the login was under
    /// way; others if the store failed. The visitor has the session of before then.
    #[must_use = "a login does nothing unless it is awaited"]
    pub fn login(&self, user: impl Into<String>) -> LogIn {
        LogIn {
            visit: Arc::clone(&self.visit),
            user: user.into(),
            keep: Vec::new(),
            login: Login::default(),
        }
    }

    /// The sessions of a user, the last one used first: to show them, and end one, the others or all. If that ends this
    /// session, it is over at once, its cookie is removed, and [`Session::login`] may begin another one.
    #[must_use]
    pub fn sessions_of(&self, user: &str) -> vestiary_store::UserList {
        self.sessions().of(user).by(self.visit.request)
    }

    /// The sessions of the session's own user, the last one used first; none if it has no user.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn siblings(&self) -> Result<Vec<UserSession>, SessionError> {
        match self.user_id().await? {
            Some(user) => self.sessions_of(&user).list().await,
            None => Ok(Vec::new()),
        }
    }

    /// All sessions of the service.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.visit.sessions
    }
}

impl Session {
    /// What the session holds under this key, if anything.
    ///
    /// # Errors
    /// [`SessionError::Type`], which names the key, if it is of another type; others if the store failed.
    pub async fn get<V: DeserializeOwned>(&self, key: &str) -> Result<Option<V>, SessionError> {
        self.visit.open().await?.contents.get(key)
    }

    /// Puts a value under this key.
    ///
    /// # Errors
    /// [`SessionError::Type`] if it has no JSON; others if the store failed.
    pub async fn insert(&self, key: &str, value: impl Serialize) -> Result<(), SessionError> {
        let text = text_of(key, &value)?;
        self.visit.open_to_write().await?.contents.set(key, text)
    }

    /// Removes the value under this key, and returns it.
    ///
    /// # Errors
    /// [`SessionError::Type`] if it is of another type: it is removed all the same; others if the store failed.
    pub async fn remove<V: DeserializeOwned>(&self, key: &str) -> Result<Option<V>, SessionError> {
        let removed = self.visit.open_to_write().await?.contents.remove(key)?;
        removed.as_deref().map(|text| value_of(key, text)).transpose()
    }

    /// Removes all values, those that no type of the application has too. The session stays, and its ID: see [`Session::destroy`].
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn clear(&self) -> Result<(), SessionError> {
        self.visit.open_to_write().await?.contents.clear()
    }

    /// All values of the session.
    ///
    /// # Errors
    /// [`SessionError::Type`], which names the key, if a value is none of Rust's: a number of `1e400`, or half of a
    /// UTF-16 pair, which JavaScript stores; others if the store failed.
    pub async fn data(&self) -> Result<Data, SessionError> {
        self.visit.open().await?.contents.read()
    }
}

impl<T: Serialize + DeserializeOwned + Default> Session<T> {
    /// The session as this type, which ignores the members that it lacks; the type's default if the session has none
    /// of its members.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use vestiary_tower::{Session, SessionError};
    /// # #[derive(Default, Deserialize, Serialize)]
    /// # #[serde(default)]
    /// # struct Visitor { clicks: u64 }
    /// /// Older sessions have a `clicks` of another type: removes it, so that it begins with the default.
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
    /// [`SessionError::Type`], which names the key, if one of its members has another type or is missing. It stays
    /// so until the application removes or rewrites that key; others if the store failed.
    pub async fn read(&self) -> Result<T, SessionError> {
        self.visit.open().await?.contents.read()
    }

    /// Puts a value in place of the members that its type has, also if what is there cannot be read as that type.
    /// Members that the type lacks stay; [`Session::clear`] removes all.
    ///
    /// # Errors
    /// [`SessionError::Type`] if it has no JSON, [`SessionError::Data`] if that is no object; others if the store
    /// failed.
    pub async fn write(&self, value: &T) -> Result<(), SessionError> {
        self.visit.open_to_write().await?.contents.write(value)
    }

    /// Changes the session as the store has it **now**, stores it, and sets the cookie: for values that are made of those
    /// before, such as counters and lists, which requests at the same time change, too. None of them is lost. The
    /// function may run more than once. `false` if the session was ended meanwhile: nothing was written.
    /// Earlier changes of the request are stored first.
    ///
    /// Only the members that the function changes, adds or drops are written; those that the type lacks stay.
    ///
    /// # Errors
    /// [`SessionError::UpdateNested`] to code of the function that waits for this session;
    /// [`SessionError::Type`], which names the key, if the store has something else; [`SessionError::Data`] if the
    /// result is no JSON object; others if the store failed.
    pub async fn update(
        &self,
        mut change: impl FnMut(&mut T) + Send,
    ) -> Result<bool, SessionError> {
        let mut state = self.visit.open_to_write().await?;
        self.visit.update(&mut state, |contents| contents.change(&mut change)).await
    }

    /// Changes the session as this request has seen it, and stores that with the response. Changes that other
    /// requests make meanwhile are kept, top-level key by top-level key; members that the type lacks stay.
    ///
    /// # Errors
    /// [`SessionError::Type`], which names the key, if it holds something else; [`SessionError::Data`] if the result
    /// is no JSON object; others if the store failed.
    pub async fn modify<R: Send>(
        &self,
        change: impl FnOnce(&mut T) -> R + Send,
    ) -> Result<R, SessionError> {
        let mut state = self.visit.open_to_write().await?;
        self.visit.run(|| state.contents.change(change))
    }
}

/// A login that waits to be awaited: [`Session::login`].
#[must_use = "a login does nothing unless it is awaited"]
pub struct LogIn {
    visit: Arc<Visit>,
    user: String,
    keep: Vec<String>,
    login: Login,
}

impl LogIn {
    /// Keys of the old session that the new one keeps, such as a cart. None, unless said.
    pub fn keep<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.keep.extend(keys.into_iter().map(Into::into));
        self
    }

    /// What the user will recognise the session by: a device, a place.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.login.label = Some(label.into());
        self
    }

    /// When the visitor proved who it is. If another request has ended all sessions of the user since, or if that
    /// was more than a day ago, the login is refused. Default: when the request began.
    pub fn proven_at(mut self, at: UnixMillis) -> Self {
        self.login.proven = Some(at);
        self
    }
}

impl IntoFuture for LogIn {
    type Output = Result<(), SessionError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { visit, user, keep, login } = self;
        Box::pin(async move {
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

/// What a session holds is the application's secret.
impl<T> fmt::Debug for Session<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// Who logs in is the application's secret.
impl fmt::Debug for LogIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogIn").finish_non_exhaustive()
    }
}
