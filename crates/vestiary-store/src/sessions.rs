use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use vestiary::{
    Error, KeyRing, Meta, Options, SealRing, SessionId, Ttl, UnixMillis, UserRef,
    protocol::{self, Change, CookieEdit, Rules, Seen},
    session,
};

use crate::{
    AnyStore, Config, Cookies, Encrypt, Event, Found, OnStoreError, SessionError, Store,
    StoreOperation, Stored, UserList, Written, clock,
    event::Listener,
    host::{Compute, StoreHost},
    migration::Migration,
    near::Near,
    recent::Recent,
    revocations::{RequestId, Revocations, RevokedBy},
    turns::Turns,
    watched::Watched,
};

/// The sessions of a service: options, keys and store. Cheap to clone.
///
/// Frameworks (such as `vestiary-tower`) and operators' tools build on it. It knows cookies and records, but no HTTP.
///
/// ```
/// use vestiary_store::{Config, Found, MemoryStore, Sessions};
///
/// # futures_executor::block_on(async {
/// let config = Config::new("a long random secret, from the environment");
/// let sessions = Sessions::new(&config, MemoryStore::default())?;
///
/// let new = sessions.create(r#"{"cart":["book"]}"#, None).await?;
/// let cookie = format!("connect.sid={}", sessions.sign(new.id()));
///
/// let found = sessions.find(&sessions.cookies([cookie.as_bytes()])).await?;
/// let Found::Session(session) = found else { panic!() };
/// assert_eq!(session.stored.data(), r#"{"cart":["book"]}"#);
/// sessions.destroy(&session.stored).await?;
/// # Ok::<(), vestiary_store::SessionError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Sessions {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: AnyStore,
    pub(crate) timeout: Option<Duration>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) rules: Rules,
    pub(crate) migration: Option<Migration>,
    on_store_error: OnStoreError,
    listener: Option<Listener>,
    pub(crate) recent: Recent,
    pub(crate) revocations: Revocations,
    pub(crate) watched: Watched,
    pub(crate) turns: Turns,
    pub(crate) near: Option<Near>,
}

impl Sessions {
    /// Creates the sessions of this store, with these options.
    ///
    /// # Errors
    /// [`Error`] if an option is invalid, or a secret is too short: encryption requires 32 bytes. A release build requires
    /// 16, and refuses secrets that can be guessed; a debug build warns of them with the feature `tracing`.
    #[cfg_attr(
        target_arch = "wasm32",
        expect(clippy::arc_with_non_send_sync, reason = "there are no threads to send it to")
    )]
    pub fn new(config: &Config, store: impl Store) -> Result<Self, Error> {
        let options = config.options()?;
        let namespace = options.namespace();
        let production = !cfg!(debug_assertions);
        let keys = Arc::new(KeyRing::checked(&config.secrets, namespace, production)?);
        #[cfg(all(debug_assertions, feature = "tracing"))]
        if let Err(error) = KeyRing::checked(&config.secrets, None, true) {
            crate::trace::refused_in_release(&error);
        }
        let seals = match config.encrypt {
            Encrypt::Off => None,
            Encrypt::On | Encrypt::Migrate => {
                Some(Arc::new(SealRing::new(&config.secrets, namespace)?))
            }
        };
        let store = AnyStore::new(store);
        let watched = Watched::new(options.recheck_after());
        let near = options.cache().map(Near::new);
        let options = Arc::new(options);
        let rules = Rules {
            options,
            keys: Some(Arc::clone(&keys)),
            seals,
            atomic: true,
            migrates: config.encrypt == Encrypt::Migrate,
            resends: store.resends(),
            default_ttl: store.default_ttl(),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                timeout: config.store_timeout,
                keys,
                rules,
                migration: config.migration.clone(),
                on_store_error: config.on_store_error,
                listener: config.on_event.clone(),
                recent: Recent::default(),
                revocations: Revocations::default(),
                watched,
                turns: Turns::default(),
                near,
            }),
        })
    }

    /// The validated options.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.inner.rules.options
    }

    /// The rules that the core's operations follow.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.inner.rules
    }

    /// The host on which the core's operations ([`vestiary::visit`], [`vestiary::session`]) run for these sessions. Its
    /// errors name this store operation.
    #[must_use]
    pub fn host<'c>(&self, operation: StoreOperation) -> StoreHost<'_, 'c> {
        StoreHost::new(self, operation)
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &AnyStore {
        &self.inner.store
    }

    /// How to treat requests while the store is unavailable ([`Config::on_store_error`]).
    #[must_use]
    pub fn on_store_error(&self) -> OnStoreError {
        self.inner.on_store_error
    }

    /// The current time, by the clock of these sessions.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        clock::now()
    }

    /// Generates a session ID.
    ///
    /// # Errors
    /// [`SessionError::Entropy`].
    pub fn new_id(&self) -> Result<SessionId, SessionError> {
        Ok(SessionId::from_entropy(&entropy()?))
    }

    /// Finds the session of these cookies. With [`Config::cache`], the store is not asked about a session that this process
    /// has read just now.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed. An unreadable record is not an error but [`Found::Unreadable`] or an
    /// event.
    pub async fn find(&self, cookies: &Cookies) -> Result<Found, SessionError> {
        if cookies.present && cookies.ids.is_empty() {
            self.emit(&Event::Rejected);
        }
        let mut host = StoreHost::new(self, StoreOperation::Read);
        let rules = &self.inner.rules;
        let opening = session::open(&mut host, rules, &cookies.ids, &cookies.shown).await?;
        for spent in &opening.spent {
            let mut host = StoreHost::new(self, StoreOperation::Remove);
            Box::pin(session::tidy(&mut host, rules, spent)).await;
        }
        Ok(opening.found.into())
    }

    /// As [`Sessions::find`], for code that answers no request, such as a WebSocket upgrade or a job: it only reads.
    /// Removes no record, and does not note the use of the session. `None` if there is no valid session.
    ///
    /// # Errors
    /// As [`Sessions::find`].
    pub async fn read(&self, cookies: &Cookies) -> Result<Option<Stored>, SessionError> {
        if cookies.present && cookies.ids.is_empty() {
            self.emit(&Event::Rejected);
        }
        let mut host = StoreHost::new(self, StoreOperation::Read);
        let rules = &self.inner.rules;
        let reading = session::read(&mut host, rules, &cookies.ids, &cookies.shown);
        match reading.await.map(|read| read.found) {
            Ok(session::Found::Session(loaded)) => Ok(Some(loaded.session.into())),
            Ok(_) => Ok(None),
            Err(error) => {
                self.emit(&Event::StoreFailed { code: error.code() });
                Err(error)
            }
        }
    }

    /// The session under its current ID, if it was neither ended nor revoked and has not expired. Only reads. Call it
    /// every few minutes with its last result, because it follows a session to its next ID only for ten minutes.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed, or a record or the user's session list is unreadable.
    pub async fn alive(&self, stored: &Stored) -> Result<Option<Stored>, SessionError> {
        let mut host = StoreHost::new(self, StoreOperation::Read);
        let alive = session::alive(&mut host, &self.inner.rules, &stored.id).await?;
        Ok(alive.map(|session| Stored::from(*session)))
    }

    /// Loads the record under this ID, a tombstone included.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed or the record is unreadable.
    pub async fn load(&self, id: &SessionId) -> Result<Option<Stored>, SessionError> {
        let mut host = StoreHost::new(self, StoreOperation::Read);
        Ok(session::load(&mut host, &self.inner.rules, id).await?.map(Stored::from))
    }

    /// Stores a new session, which belongs to `owner` if there is one.
    ///
    /// # Errors
    /// [`SessionError`] if the data is no JSON object within the limits, or the store failed.
    pub async fn create(&self, data: &str, owner: Option<UserRef>) -> Result<Stored, SessionError> {
        let mut host = StoreHost::new(self, StoreOperation::Write);
        let rules = &self.inner.rules;
        let record = session::new_record(&mut host, rules, data, Meta::owned(owner))?;
        Ok(Stored::from(*session::create(&mut host, rules, record).await?))
    }

    /// Merges the changes between `base` and `mine`, two JSON objects, into the stored data, key by key. `None` if the
    /// session was ended meanwhile.
    ///
    /// # Errors
    /// [`SessionError::Unconfirmed`] if the record is gone and was read at least ten minutes ago: it may have been
    /// ended, or have another ID. Other errors if the result is too large or too deep, or the store failed.
    pub async fn commit(
        &self,
        stored: &Stored,
        base: String,
        mine: String,
    ) -> Result<Option<Written>, SessionError> {
        let mut none = |_: &str| Err(SessionError::Busy);
        self.change(stored, Change::Merge { base, mine }, &mut none).await
    }

    /// Applies a function to the stored data and writes its result; argument and result are JSON text. The function
    /// may run more than once. `None` if nothing was written, because the session has ended or may have ended.
    ///
    /// # Errors
    /// Errors of the function, and [`SessionError`] if the result is too large or too deep, or the store failed.
    pub async fn update(
        &self,
        stored: &Stored,
        compute: &mut Compute<'_>,
    ) -> Result<Option<Written>, SessionError> {
        match self.change(stored, Change::Rerun, compute).await {
            // The result `None` already says that nothing was written.
            Err(SessionError::Unconfirmed) => Ok(None),
            written => written,
        }
    }

    async fn change(
        &self,
        stored: &Stored,
        change: Change,
        compute: &mut Compute<'_>,
    ) -> Result<Option<Written>, SessionError> {
        let mut host = StoreHost::new(self, StoreOperation::Write).computing(compute);
        let saving = session::save(
            &mut host,
            &self.inner.rules,
            stored.into(),
            &change,
            CookieEdit::default(),
        );
        Ok(match self.traced(stored, saving.await)? {
            protocol::Written::Gone => None,
            protocol::Written::Saved { session, merged, .. } => {
                Some(Written { stored: Stored::from(*session), merged })
            }
        })
    }

    /// Restores the full TTL of a session's record, under the session's current ID. `None` if the session was ended
    /// meanwhile.
    ///
    /// # Errors
    /// [`SessionError::Unconfirmed`] as for [`Sessions::commit`]; others if the store failed.
    pub async fn touch(&self, stored: &Stored) -> Result<Option<Stored>, SessionError> {
        let mut host = StoreHost::new(self, StoreOperation::Touch);
        let touching = session::touch(&mut host, &self.inner.rules, stored.into(), false, false);
        Ok(self.traced(stored, touching.await)?.map(|touched| Stored::from(*touched)))
    }

    /// Marks the ID as out of use if its record is gone, wherever its session went.
    fn traced<T>(&self, stored: &Stored, done: Result<T, SessionError>) -> Result<T, SessionError> {
        if matches!(done, Err(SessionError::Unconfirmed)) {
            self.take_out_of_use(&stored.id);
        }
        done
    }

    /// Ends a session, whatever its current ID, after removing it from its user's session list. Returns whether the
    /// replicas have confirmed the removal; `None` if the store cannot tell.
    ///
    /// If the list cannot be read, or the store refuses to write it (because its memory is full, for example), the
    /// record is removed all the same. The event is `store_failed`, and the entry stays on the list until the session
    /// would have expired.
    ///
    /// # Errors
    /// [`SessionError`] if the store did not confirm the removal: the session may still exist.
    pub async fn destroy(&self, stored: &Stored) -> Result<Option<bool>, SessionError> {
        let mut host = StoreHost::new(self, StoreOperation::Remove);
        Box::pin(session::destroy(&mut host, &self.inner.rules, stored.into())).await
    }

    /// Gives a session another ID and keeps its data. Returns the session under its current ID, even if another request
    /// renewed it first; `None` if it was ended meanwhile.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn renew(&self, stored: &Stored) -> Result<Option<Stored>, SessionError> {
        let mut host = StoreHost::new(self, StoreOperation::Write);
        let renewed = session::renew(&mut host, &self.inner.rules, stored.into()).await?;
        Ok(renewed.map(|renewed| Stored::from(*renewed)))
    }

    /// Gives a session another ID and other data; the old ID dies at once. `None` if the session was ended meanwhile:
    /// nothing was stored.
    ///
    /// # Errors
    /// [`SessionError`] if the data is no JSON object within the limits, or the store failed.
    pub async fn rotate(
        &self,
        stored: &Stored,
        data: &str,
        owner: Option<UserRef>,
    ) -> Result<Option<Stored>, SessionError> {
        let mut host = StoreHost::new(self, StoreOperation::Write);
        let rules = &self.inner.rules;
        let record = session::new_record(&mut host, rules, data, Meta::owned(owner))?;
        let next = session::rotate(&mut host, rules, stored.into(), &record, Ttl::Infinite).await?;
        Ok(next.map(|next| Stored::from(*next)))
    }

    /// Whether this is the current ID of a stored session: it was neither ended nor given another ID.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn is_current(&self, id: &SessionId) -> Result<bool, SessionError> {
        let mut host = StoreHost::new(self, StoreOperation::Read);
        session::is_current(&mut host, &self.inner.rules, id).await
    }

    /// The session list of a user, whom the application knows by this name.
    #[must_use]
    pub fn of(&self, user: &str) -> UserList {
        UserList::new(self.clone(), user)
    }

    /// The number of revocations in this process so far, of single sessions and of whole lists. While it stays the
    /// same, there is no need to call [`Sessions::revoked_since`].
    #[must_use]
    pub fn revocations(&self) -> u64 {
        self.inner.revocations.count()
    }

    /// Whether this process has revoked the session after the first `seen` revocations ([`Sessions::revocations`]).
    /// Each write detects revocations by other processes.
    ///
    /// # Errors
    /// [`SessionError`] if there were too many revocations since, so that the store was asked, and that failed.
    pub async fn revoked_since(
        &self,
        seen: u64,
        stored: &Stored,
        request: RequestId,
    ) -> Result<Option<RevokedBy>, SessionError> {
        let Some(user) = &stored.record.meta().user else { return Ok(None) };
        let list = self.of(&user.decoded_name());
        if let Ok(by) = self.inner.revocations.since(seen, list.key(), &user.handle, request) {
            return Ok(by);
        }
        let mut host = StoreHost::new(self, StoreOperation::Read);
        let is_listed = session::is_listed(&mut host, &self.inner.rules, stored.meta()).await?;
        Ok((!is_listed).then_some(RevokedBy::Another))
    }

    /// Emits an event to the listener and to `tracing`.
    pub fn emit(&self, event: &Event) {
        #[cfg(feature = "tracing")]
        crate::trace::event(event);
        if let Some(listener) = &self.inner.listener {
            let _ = catch_unwind(AssertUnwindSafe(|| listener(event)));
        }
    }

    /// Records in the user's session list that the session is in use, when [`Loaded::unseen`](crate::Loaded::unseen)
    /// asks for it. It can run after the response. `false` if the list no longer has the session: it was revoked, and
    /// has ended.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed. The session stays valid; the next request tries again.
    pub async fn note_use(&self, stored: &Stored) -> Result<bool, SessionError> {
        let mut host = StoreHost::new(self, StoreOperation::Write);
        let seen = Seen::from(stored);
        Ok(!session::is_revoked(&mut host, &self.inner.rules, &seen).await?)
    }

    pub(crate) async fn ask<T>(
        &self,
        operation: StoreOperation,
        answer: impl Future<Output = Result<T, crate::StoreError>>,
    ) -> Result<T, SessionError> {
        match (clock::within(self.inner.timeout, answer).await, self.inner.timeout) {
            (Some(Ok(answer)), _) => Ok(answer),
            (Some(Err(source)), _) => Err(SessionError::Store { operation, source }),
            (None, after) => {
                Err(SessionError::Timeout { operation, after: after.unwrap_or_default() })
            }
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("options", &self.inner.rules.options)
            .finish_non_exhaustive()
    }
}

pub(crate) fn entropy<const N: usize>() -> Result<[u8; N], SessionError> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), SessionError> {
    getrandom::fill(bytes).map_err(|_| SessionError::Entropy)
}
