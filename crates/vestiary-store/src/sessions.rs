use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use vestiary::{
    Error, KeyRing, Options, SealRing, SessionId, Ttl, UnixMillis, UserRef,
    protocol::{self, Change, Rules, Seen},
    session,
};

use crate::{
    AnyStore, Config, Cookies, Encrypt, Event, Found, OnStoreError, SessionError, Store,
    StoreOperation, Stored, UserList, Written, clock,
    event::Listener,
    host::{Compute, StoreHost},
    recent::Recent,
    revocations::{RequestId, Revocations, RevokedBy},
};

/// The sessions of a service: configuration, keys and store. Cheap to clone.
///
/// This is what frameworks are built on (`vestiary-tower` is), and operators' tools; it knows cookies and
/// records, and no HTTP.
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
    pub(crate) sessions_per_user: usize,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) rules: Rules,
    on_store_error: OnStoreError,
    listener: Option<Listener>,
    pub(crate) recent: Recent,
    pub(crate) revocations: Revocations,
}

impl Sessions {
    /// Sessions in this store.
    ///
    /// # Errors
    /// [`Error`] if an option is wrong, or a secret too short: of 16 bytes in a release build, and of 32
    /// to encrypt.
    #[cfg_attr(
        target_arch = "wasm32",
        expect(clippy::arc_with_non_send_sync, reason = "there are no threads to send it to")
    )]
    pub fn new(config: &Config, store: impl Store) -> Result<Self, Error> {
        let options = config.options()?;
        let namespace = options.namespace();
        let production = !cfg!(debug_assertions);
        let keys = Arc::new(KeyRing::checked(&config.secrets, namespace, production)?);
        let seals = match config.encrypt {
            Encrypt::Off => None,
            Encrypt::On | Encrypt::Migrate => {
                Some(Arc::new(SealRing::new(&config.secrets, namespace)?))
            }
        };
        let (store, options) = (AnyStore::new(store), Arc::new(options));
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
                sessions_per_user: config.sessions_per_user,
                keys,
                rules,
                on_store_error: config.on_store_error,
                listener: config.on_event.clone(),
                recent: Recent::default(),
                revocations: Revocations::default(),
            }),
        })
    }

    /// The options, as the core has checked them.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.inner.rules.options
    }

    /// The rules that the core's operations follow.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.inner.rules
    }

    /// The host of the core's operations ([`vestiary::visit`], [`vestiary::session`]) on these sessions. Errors name this
    /// operation.
    #[must_use]
    pub fn host<'c>(&self, operation: StoreOperation) -> StoreHost<'_, 'c> {
        StoreHost::new(self, operation)
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &AnyStore {
        &self.inner.store
    }

    /// How a visitor counts while the store cannot be read.
    #[must_use]
    pub fn on_store_error(&self) -> OnStoreError {
        self.inner.on_store_error
    }

    /// What time it is for these sessions.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        clock::now()
    }

    /// A new ID.
    ///
    /// # Errors
    /// [`SessionError::Entropy`].
    pub fn new_id(&self) -> Result<SessionId, SessionError> {
        Ok(SessionId::from_entropy(&entropy()?))
    }

    /// The session of one of these cookies, if there is one that is good.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed. What it has and cannot be read is no session.
    pub async fn find(&self, cookies: &Cookies) -> Result<Found, SessionError> {
        if cookies.present && cookies.ids.is_empty() {
            self.tell(Event::Rejected);
        }
        let mut host = StoreHost::new(self, StoreOperation::Read);
        let rules = &self.inner.rules;
        let opening = session::open(&mut host, rules, &cookies.ids).await?;
        for spent in &opening.spent {
            let mut host = StoreHost::new(self, StoreOperation::Remove);
            Box::pin(session::tidy(&mut host, rules, spent)).await;
        }
        Ok(opening.found.into())
    }

    /// What the store has under this ID, whatever it is.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed, or has what cannot be read.
    pub async fn load(&self, id: &SessionId) -> Result<Option<Stored>, SessionError> {
        let mut host = StoreHost::new(self, StoreOperation::Read);
        Ok(session::load(&mut host, &self.inner.rules, id).await?.map(Stored::from))
    }

    /// Stores a new session, of this user if there is one.
    ///
    /// # Errors
    /// [`SessionError`] if the data is no JSON object within the limits, or the store failed.
    pub async fn create(&self, data: &str, owner: Option<UserRef>) -> Result<Stored, SessionError> {
        let (mut host, rules) = (StoreHost::new(self, StoreOperation::Write), &self.inner.rules);
        let record = session::new_record(&mut host, rules, data, owner, None)?;
        Ok(Stored::from(*session::create(&mut host, rules, record).await?))
    }

    /// Writes the difference between `base` and `mine`, two JSON objects, to what the store has now, member
    /// by member. `None` if the session was ended meanwhile.
    ///
    /// # Errors
    /// [`SessionError::Unconfirmed`] if the record is gone and was read ten minutes ago or more: then it cannot be told
    /// whether the session was ended, or has another ID; others if the result is too large or too deep, or the store
    /// failed.
    pub async fn commit(
        &self,
        stored: &Stored,
        base: String,
        mine: String,
    ) -> Result<Option<Written>, SessionError> {
        let mut none = |_: &str| Err(SessionError::Busy);
        self.change(stored, Change::Merge { base, mine }, &mut none).await
    }

    /// Writes what a function makes of what the store has now: JSON text of JSON text. It may run more than
    /// once. `None` if nothing was written, because the session was ended meanwhile or that cannot be told.
    ///
    /// # Errors
    /// Those of the function; and [`SessionError`] if the result is too large or too deep, or the store failed.
    pub async fn update(
        &self,
        stored: &Stored,
        compute: &mut Compute<'_>,
    ) -> Result<Option<Written>, SessionError> {
        match self.change(stored, Change::Rerun, compute).await {
            // Its result says that nothing was written.
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
        let saving = session::save(&mut host, &self.inner.rules, stored.into(), &change, None);
        Ok(match self.traced(stored, saving.await)? {
            protocol::Written::Gone => None,
            protocol::Written::Saved { session, merged, .. } => {
                Some(Written { stored: Stored::from(*session), merged })
            }
        })
    }

    /// Gives a session its whole TTL again, in the store: under the ID that it has now. `None` if it was ended
    /// meanwhile.
    ///
    /// # Errors
    /// [`SessionError::Unconfirmed`] as for [`Sessions::commit`]; others if the store failed.
    pub async fn touch(&self, stored: &Stored) -> Result<Option<Stored>, SessionError> {
        let mut host = StoreHost::new(self, StoreOperation::Touch);
        let touching = session::touch(&mut host, &self.inner.rules, stored.into(), false);
        Ok(self.traced(stored, touching.await)?.map(|touched| Stored::from(*touched)))
    }

    /// Retires an ID whose record is gone, wherever its session is.
    fn traced<T>(&self, stored: &Stored, done: Result<T, SessionError>) -> Result<T, SessionError> {
        if matches!(done, Err(SessionError::Unconfirmed)) {
            self.retire(&stored.id);
        }
        done
    }

    /// Takes a session out of its user's list, and then ends it, under whatever ID it is. Returns whether replicas know
    /// that it has ended, if the store can say so.
    ///
    /// If the list cannot be read, or the store refuses to write it, such as one whose memory is full, the record is
    /// removed all the same: the event is `store_failed`, and the list has the entry until the session would have
    /// expired.
    ///
    /// # Errors
    /// [`SessionError`] if the store did not confirm it: it may be there yet.
    pub async fn destroy(&self, stored: &Stored) -> Result<Option<bool>, SessionError> {
        let mut host = StoreHost::new(self, StoreOperation::Remove);
        Box::pin(session::destroy(&mut host, &self.inner.rules, stored.into())).await
    }

    /// Gives a session another ID, and keeps what it holds. The session as it is now, also if another
    /// request was faster; `None` if it was ended meanwhile.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn renew(&self, stored: &Stored) -> Result<Option<Stored>, SessionError> {
        let mut host = StoreHost::new(self, StoreOperation::Write);
        let renewed = session::renew(&mut host, &self.inner.rules, stored.into()).await?;
        Ok(renewed.map(|renewed| Stored::from(*renewed)))
    }

    /// Gives a session another ID and other data, and whoever has the old ID has nothing. `None` if it was
    /// ended meanwhile: nothing was stored.
    ///
    /// # Errors
    /// [`SessionError`] if the data is no JSON object within the limits, or the store failed.
    pub async fn supersede(
        &self,
        stored: &Stored,
        data: &str,
        owner: Option<UserRef>,
    ) -> Result<Option<Stored>, SessionError> {
        let (mut host, rules) = (StoreHost::new(self, StoreOperation::Write), &self.inner.rules);
        let record = session::new_record(&mut host, rules, data, owner, None)?;
        let next =
            session::supersede(&mut host, rules, stored.into(), &record, Ttl::Infinite).await?;
        Ok(next.map(|next| Stored::from(*next)))
    }

    /// Whether the store still knows a session by this ID: it was neither ended nor given another ID.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn is_current(&self, id: &SessionId) -> Result<bool, SessionError> {
        let mut host = StoreHost::new(self, StoreOperation::Read);
        session::is_current(&mut host, &self.inner.rules, id).await
    }

    /// The sessions of a user, by the application's name for the user.
    #[must_use]
    pub fn of(&self, user: &str) -> UserList {
        UserList::new(self.clone(), user)
    }

    /// Number of sessions, and of users' sessions together, that this process has revoked so far. As long as it is the
    /// same, [`Sessions::revoked_since`] need not be asked.
    #[must_use]
    pub fn revocations(&self) -> u64 {
        self.inner.revocations.count()
    }

    /// Whether this process has revoked a session that a request has open: since the first `seen` revocations
    /// ([`Sessions::revocations`]). What other processes revoke, each write finds out.
    ///
    /// # Errors
    /// [`SessionError`] if there were so many since that the store has to be asked, and that failed.
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

    /// Tells the application, and `tracing`.
    pub fn tell(&self, event: Event) {
        #[cfg(feature = "tracing")]
        crate::trace::event(event);
        if let Some(listener) = &self.inner.listener {
            let _ = catch_unwind(AssertUnwindSafe(|| listener(&event)));
        }
    }

    /// Writes in the user's list that a session is used: what [`Loaded::unseen`](crate::Loaded::unseen) asks for. It may be
    /// done after the response was made. `false` if the session is not in the list any more: it was revoked, and has ended.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed. It is no reason to refuse the session: the next request tries again.
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
