//! One request's view of its visitor's session. It does what the core decides, and knows no type of the
//! application's.

mod same_name;

use std::{
    borrow::Cow,
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_lock::{Mutex, MutexGuard};
use http::{HeaderMap, HeaderValue, header};
use vestiary::{
    SessionId, UnixMillis, UserRef,
    decide::{CookieStep, Known, Operation, Plan, Stage, StoreStep, decide},
    response,
};
use vestiary_store::{
    Cookies, Event, Found, Loaded, Login, OnStoreError, RequestId, RevokedBy, SessionError,
    Sessions, Stored, Written,
};

use crate::contents::Contents;

/// A request, as far as its session goes.
pub(crate) struct Visit {
    pub(crate) sessions: Sessions,
    pub(crate) request: RequestId,
    headers: Vec<HeaderValue>,
    secure_here: bool,
    /// When the request came.
    began: UnixMillis,
    /// The application has looked at the session, so the response may depend on it.
    looked: AtomicBool,
    /// The head of the response has left.
    left: AtomicBool,
    /// The same request as another layer around this one sees it.
    outer: Option<Arc<Visit>>,
    /// A layer inside of this one has begun a session whose cookie has the same name.
    is_taken_inside: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    opened: bool,
    /// Why the session could not be read; it cannot be written then, either.
    failure: Option<SessionError>,
    /// The record as the store has it; none of a new session.
    record: Option<Stored>,
    pub(crate) contents: Contents,
    barred: Barred,
    cookie: Outgoing,
    /// The browser sent a cookie of our name, or was sent one in this request.
    cookie_out: bool,
    /// The store is to be told that the session is used.
    due: Due,
    /// The use of the session has to be written in its user's list when the response is ready.
    unseen: bool,
    /// The IDs that the browser has sent.
    received: Vec<SessionId>,
    /// Those of them whose sessions have ended. Once the visitor has another session, no late response may remove its
    /// cookie because of them.
    lost: Vec<SessionId>,
    /// An ID that needs no question before it is sent: this request has created it, and no other one can
    /// know it, or the store has confirmed it when the handler was done.
    certain: Option<SessionId>,
    /// Number of revocations by this process that are known not to concern this session.
    seen: u64,
}

/// Whether nothing may be written, nor a cookie set, which could overwrite a newer one.
#[derive(Default)]
enum Barred {
    #[default]
    No,
    /// The session was ended meanwhile.
    Ended,
    /// The visitor's ID is out of use. The record leads a logout to the session.
    Retired(Box<Stored>),
}

/// What is to become of the cookie in this response.
#[derive(Default)]
enum Outgoing {
    #[default]
    Nothing,
    Session(Box<Stored>),
    Removal,
    /// Of a session whose cookie may have attributes of its own.
    RemovalOf(Box<Stored>),
    /// The same, unless another request of the visitor has begun a new session meanwhile.
    Expired(Box<Stored>),
}

/// What the store is to be told when the response is ready, if nothing else is written until then.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Due {
    #[default]
    Nothing,
    /// Another life for the record.
    Touch,
    /// Another deadline in the record.
    Deadline,
}

impl Visit {
    pub(crate) fn new(
        sessions: Sessions,
        headers: &HeaderMap,
        secure_here: bool,
        began: UnixMillis,
        outer: Option<Arc<Self>>,
    ) -> Self {
        Self {
            sessions,
            request: RequestId::current_or_new(),
            headers: headers.get_all(header::COOKIE).iter().cloned().collect(),
            secure_here,
            began,
            looked: AtomicBool::new(false),
            left: AtomicBool::new(false),
            outer,
            is_taken_inside: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// The session, read from the store if it was not yet; the error if that failed and nothing may go on.
    pub(crate) async fn open(&self) -> Result<MutexGuard<'_, State>, SessionError> {
        let state = self.opened().await?;
        match &state.failure {
            // A session that cannot be read here is no fault of the store: the visitor is anonymous in this request.
            Some(SessionError::Data(_)) => Ok(state),
            Some(error) if self.sessions.on_store_error() == OnStoreError::Error => {
                Err(error.clone())
            }
            _ => Ok(state),
        }
    }

    /// As [`Visit::open`], for what writes: not over what could not be read.
    pub(crate) async fn open_to_write(&self) -> Result<MutexGuard<'_, State>, SessionError> {
        let state = self.opened().await?;
        state.failure.clone().map_or(Ok(state), Err)
    }

    /// As [`Visit::open_to_write`], for a login: it begins another session, and leaves alone what cannot be read here.
    pub(crate) async fn open_to_log_in(&self) -> Result<MutexGuard<'_, State>, SessionError> {
        let state = self.opened().await?;
        match &state.failure {
            None | Some(SessionError::Data(_)) => Ok(state),
            Some(error) => Err(error.clone()),
        }
    }

    async fn opened(&self) -> Result<MutexGuard<'_, State>, SessionError> {
        self.looked.store(true, Ordering::Relaxed);
        if Changing::is_under_way(self) {
            return Err(SessionError::UpdateNested);
        }
        let mut state = self.state.lock().await;
        if state.opened {
            self.heed(&mut state).await;
            return Ok(state);
        }
        // Before the user's list is read.
        state.seen = self.sessions.revocations();
        let cookies = self.sessions.cookies(self.headers.iter().map(HeaderValue::as_bytes));
        state.cookie_out = cookies.present;
        if cookies.present {
            // In a box, so that the future of each handler is not as large as all that can happen here.
            Box::pin(self.find(&mut state, &cookies)).await;
        }
        state.opened = true;
        state.received = cookies.ids;
        self.heed(&mut state).await;
        Ok(state)
    }

    /// Ends the session at once if this process has revoked it. The request that did so removes its cookie; in others,
    /// that could remove a newer one.
    async fn heed(&self, state: &mut State) {
        let Some(record) = state.record.as_ref().filter(|_| self.is_unheeded(state)) else {
            return;
        };
        let count = self.sessions.revocations();
        // In a box, so that the future of each handler is not as large as all that can happen here.
        match Box::pin(self.sessions.revoked_since(state.seen, record, self.request)).await {
            Ok(None) => state.seen = count,
            Ok(Some(by)) => {
                let record = Box::new(record.clone());
                self.sessions.retire(record.id());
                state.forget();
                state.barred = Barred::Ended;
                state.cookie = match by {
                    RevokedBy::Itself => Outgoing::RemovalOf(record),
                    RevokedBy::Another => Outgoing::Nothing,
                };
            }
            // Nothing is written without asking it again.
            Err(error) => self.sessions.tell(Event::StoreFailed { code: error.code() }),
        }
    }

    /// Whether this process has revoked sessions, and this one may be among them.
    fn is_unheeded(&self, state: &State) -> bool {
        state.record.as_ref().is_some_and(|record| record.handle().is_some())
            && self.sessions.revocations() != state.seen
    }

    /// Looks for the session of these cookies.
    async fn find(&self, state: &mut State, cookies: &Cookies) {
        let found = match self.sessions.find(cookies).await {
            Ok(found) => found,
            Err(error) => {
                self.sessions.tell(Event::StoreFailed { code: error.code() });
                state.failure = Some(error);
                Found::Nobody
            }
        };
        // Not before it was answered: whoever was cancelled leaves it to the next one.
        state.opened = true;
        if matches!(found, Found::Nobody | Found::Expired(_)) {
            state.lost.clone_from(&cookies.ids);
        }
        match found {
            Found::Nobody => {}
            Found::Unreadable(error) => state.failure = Some(error.into()),
            Found::Retired(record) => state.barred = Barred::Retired(record),
            Found::Expired(record) => state.cookie = Outgoing::Expired(record),
            Found::Session(session) => self.begin(state, *session).await,
        }
    }

    /// Becomes what was found for this visitor.
    async fn begin(&self, state: &mut State, loaded: Loaded) {
        let Loaded { stored, renewed, due, stale, unseen } = loaded;
        state.holds(stored);
        state.unseen = unseen;
        if renewed {
            self.cookie_step(state, CookieStep::Set);
        }
        if due && !self.has_left() {
            // The session could be read, so a store that fails now is no reason to fail: the next request
            // tries again.
            if let Err(error) = Box::pin(self.renew(state)).await {
                self.sessions.tell(Event::StoreFailed { code: error.code() });
            }
        } else if stale {
            state.due = Due::Deadline;
        }
        let plan = self.plan(state, Operation::Open);
        if plan.store == StoreStep::Touch && state.due == Due::Nothing {
            state.due = Due::Touch;
        }
        self.cookie_step(state, plan.cookie);
    }

    /// Finishes a request that leaves nothing to do for the store; `false` if there is something to wait for.
    pub(crate) fn finish_at_once(&self, headers: &mut HeaderMap) -> bool {
        let Some(state) = self.state.try_lock() else { return false };
        let is_finished = !state.is_good()
            || !self.is_unheeded(&state) && {
                let Plan { store, cookie, .. } = self.plan(&state, Operation::Finish);
                (store, cookie, state.due) == (StoreStep::Keep, CookieStep::Keep, Due::Nothing)
                    && !state.unseen
                    && self.doubtful(&state).is_none()
            };
        if is_finished {
            self.seal(&state, headers);
            self.leave();
        }
        is_finished
    }

    /// What a request leaves behind when its response is ready.
    async fn finish(&self, state: &mut State) -> Result<(), SessionError> {
        if !state.is_good() {
            return Ok(());
        }
        Box::pin(self.note_use(state)).await;
        let writes = self.plan(state, Operation::Finish).store != StoreStep::Keep;
        let finished = self.execute(state, Operation::Finish).await;
        if writes && finished.is_ok() {
            state.certain = state.record.as_ref().map(|record| record.id().clone());
        }
        let refreshed = match (std::mem::take(&mut state.due), &state.record) {
            (Due::Touch, Some(record)) => Box::pin(self.sessions.touch(record)).await,
            (Due::Deadline, Some(record)) => {
                let nothing = || "{}".to_owned();
                let commit = self.sessions.commit(record, nothing(), nothing());
                Box::pin(commit).await.map(|written| written.map(|written| written.stored))
            }
            _ => return finished,
        };
        match refreshed {
            Ok(Some(stored)) => {
                // The store has compared the record, and its user's list was read: no more need be asked.
                state.certain = Some(stored.id().clone());
                self.moved(state, stored);
            }
            Ok(None) => self.end(state),
            // The session could be read, after all, and the next request tries again.
            Err(error) => self.sessions.tell(Event::StoreFailed { code: error.code() }),
        }
        finished
    }

    /// Writes in the user's list that the session is used. If it is not in the list any more, it was revoked.
    async fn note_use(&self, state: &mut State) {
        let Some(record) = state.record.clone().filter(|_| std::mem::take(&mut state.unseen))
        else {
            return;
        };
        match self.sessions.note_use(&record).await {
            Ok(true) => {}
            Ok(false) => state.ended(),
            // The session could be read, after all, and the next request tries again.
            Err(error) => self.sessions.tell(Event::StoreFailed { code: error.code() }),
        }
    }

    /// The ID in the cookie, if another request can have ended its session or replaced it while the handler
    /// worked, and nothing has shown since that it has not.
    fn doubtful<'s>(&self, state: &'s State) -> Option<&'s SessionId> {
        match &state.cookie {
            Outgoing::Session(stored) if state.certain.as_ref() != Some(stored.id()) => {
                (!self.sessions.is_retired(stored.id())).then_some(stored.id())
            }
            _ => None,
        }
    }

    /// Asks the store whether the ID in the cookie is still in use: which IDs are not is known to each process
    /// for itself.
    async fn confirm(&self, state: &mut State) {
        let Some(id) = self.doubtful(state) else { return };
        let is_current = match self.sessions.is_current(id).await {
            Ok(is_current) => is_current,
            Err(error) => {
                self.sessions.tell(Event::StoreFailed { code: error.code() });
                // The browser does without a refresh, but not without an ID that it does not have yet.
                !state.received.contains(id)
            }
        };
        if !is_current {
            state.cookie = Outgoing::Nothing;
        }
    }

    /// Whether the session was looked at, so that there may be something to finish.
    pub(crate) fn was_looked_at(&self) -> bool {
        self.looked.load(Ordering::Relaxed)
    }

    /// No cookie reaches this browser any more.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// Puts the cookie onto a response, and says what caches have to know.
    fn seal(&self, state: &State, headers: &mut HeaderMap) {
        vary_by_cookie(headers);
        let Some(cookie) = self.outgoing(state) else { return };
        let control = list_of(headers, header::CACHE_CONTROL);
        if let Some(control) = response::cache_control(Some(&control)) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(control));
        }
        let name = self.sessions.options().name().as_str();
        let others: Vec<_> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .filter(|value| !is_named(value, name))
            .cloned()
            .collect();
        headers.remove(header::SET_COOKIE);
        for other in others {
            headers.append(header::SET_COOKIE, other);
        }
        headers.append(header::SET_COOKIE, cookie);
    }

    /// A cookie whose ID was taken out of use before the response leaves, by a request that was faster,
    /// stays here: it could overwrite the newer one.
    fn outgoing(&self, state: &State) -> Option<HeaderValue> {
        let header = match &state.cookie {
            Outgoing::Nothing => return None,
            Outgoing::Session(stored) | Outgoing::Expired(stored)
                if self.sessions.is_retired(stored.id()) =>
            {
                return None;
            }
            Outgoing::Session(stored) => {
                self.sessions.set_cookie_of(stored, false, self.secure_here)
            }
            Outgoing::RemovalOf(stored) | Outgoing::Expired(stored) => {
                self.sessions.set_cookie_of(stored, true, self.secure_here)
            }
            Outgoing::Removal => self.sessions.set_cookie(None, self.secure_here),
        };
        HeaderValue::try_from(header).ok()
    }

    /// Stores the session and sets its cookie.
    pub(crate) async fn save(&self, state: &mut State) -> Result<bool, SessionError> {
        self.execute(state, Operation::Save).await?;
        Ok(state.record.is_some())
    }

    /// Gives it its whole life again, in store and cookie.
    pub(crate) async fn touch(&self, state: &mut State) -> Result<(), SessionError> {
        self.execute(state, Operation::Touch).await
    }

    /// Ends the session.
    pub(crate) async fn destroy(&self) -> Result<(), SessionError> {
        let state = &mut *self.opened().await?;
        if let Some(error) = state.failure.clone() {
            // A logout that cannot be confirmed takes the cookie away all the same.
            state.cookie = Outgoing::Removal;
            return Err(error);
        }
        self.execute(state, Operation::Destroy).await
    }

    /// Changes what the store has now. Changes that were made before are stored first.
    pub(crate) async fn update(
        &self,
        state: &mut State,
        mut change: impl FnMut(&mut Contents) -> Result<(), SessionError> + Send,
    ) -> Result<bool, SessionError> {
        if state.record.is_some() {
            self.execute(state, Operation::Flush).await?;
        }
        let Some(record) = state.record.clone() else {
            if !matches!(state.barred, Barred::No) {
                self.sessions.tell(Event::Gone);
                return Ok(false);
            }
            self.run(|| change(&mut state.contents))?;
            return self.save(state).await;
        };
        let mut compute = |text: &str| {
            let mut contents = Contents::of_text(text);
            self.run(|| change(&mut contents))?;
            Ok(contents.text().into_owned())
        };
        let written = Box::pin(self.sessions.update(&record, &mut compute)).await?;
        let known = self.written(state, written);
        if known {
            self.cookie_step(state, CookieStep::Set);
        }
        Ok(known)
    }

    /// Runs a function of the application that changes the data. It must not wait for this session, whose lock is
    /// held: [`Visit::opened`] says so at once.
    pub(crate) fn run<R>(&self, change: impl FnOnce() -> R) -> R {
        let _changing = Changing::begin(self);
        change()
    }

    /// Logs a user in: another ID, and nothing of the old session but what is kept.
    pub(crate) async fn login(
        &self,
        state: &mut State,
        user: &str,
        data: &str,
        login: Login,
    ) -> Result<(), SessionError> {
        if self.has_left() {
            return Err(SessionError::ResponseSent);
        }
        self.take_cookie(state).await?;
        let logged_in = self.log_in(state, user, data, login).await;
        logged_in.inspect_err(|_| self.release_cookie())
    }

    async fn log_in(
        &self,
        state: &mut State,
        user: &str,
        data: &str,
        login: Login,
    ) -> Result<(), SessionError> {
        let login = Login { proven: login.proven.or(Some(self.began)), ..login };
        let list = self.sessions.of(user).by(self.request);
        let owner = list.admit(&login).await?;
        let seen = self.sessions.revocations();
        let handle = owner.handle.clone();
        let stored = match self.rotate(state, data, owner).await {
            Ok(stored) => stored,
            Err(error) => {
                // Its record was not stored, or nobody has its ID: it has no place on the list.
                if let Err(error) = list.revoke(&handle).await {
                    self.sessions.tell(Event::StoreFailed { code: error.code() });
                }
                return Err(error);
            }
        };
        if self.has_left() {
            // Left while the store worked: no browser will learn of it. The session before it has ended.
            Box::pin(self.sessions.destroy(&stored)).await?;
            state.forget();
            return Err(SessionError::ResponseSent);
        }
        // By the old session's record a logout of another request finds the new one.
        let certain = state.record.is_none().then(|| stored.id().clone());
        let received = std::mem::take(&mut state.received);
        let ended = std::mem::take(&mut state.lost);
        let cookie = std::mem::take(&mut state.cookie);
        *state = State {
            opened: true,
            cookie_out: state.cookie_out,
            received,
            lost: ended,
            certain,
            cookie,
            seen,
            ..State::default()
        };
        state.holds(stored);
        self.cookie_step(state, CookieStep::Set);
        Ok(())
    }

    async fn rotate(
        &self,
        state: &State,
        data: &str,
        owner: UserRef,
    ) -> Result<Stored, SessionError> {
        let next = match &state.record {
            None => None,
            Some(old) => self.sessions.supersede(old, data, Some(owner.clone())).await?,
        };
        let stored = if let Some(stored) = next {
            stored
        } else {
            let stored = self.sessions.create(data, Some(owner)).await?;
            self.sessions.tell(Event::Created);
            stored
        };
        // Who was logged in before is not any more.
        if let Some(old) = &state.record
            && let (Some(user), Some(handle)) = (old.user(), old.handle())
        {
            self.sessions.of(&user).revoke(handle).await?;
        }
        Ok(stored)
    }

    /// Gives the session another ID, and keeps what it holds.
    pub(crate) async fn renew(&self, state: &mut State) -> Result<(), SessionError> {
        let Some(record) = state.record.clone() else { return Ok(()) };
        if self.has_left() {
            return Err(SessionError::ResponseSent);
        }
        let renewed = match self.sessions.renew(&record).await {
            Ok(Some(renewed)) => renewed,
            Err(error) if !matches!(error, SessionError::Unconfirmed) => return Err(error),
            ended => {
                self.end(state);
                return ended.map(drop);
            }
        };
        // What the application has changed is told by what it has seen; what others have written
        // meanwhile it has not: the contents stay those of before.
        state.record = Some(renewed);
        self.cookie_step(state, CookieStep::Set);
        Ok(())
    }

    /// Does what the core decides. The store comes first, so that no cookie promises too much.
    async fn execute(&self, state: &mut State, operation: Operation) -> Result<(), SessionError> {
        if self.is_barred(state, operation).await? {
            return Ok(());
        }
        let plan = self.plan(state, operation);
        if plan.cookie == CookieStep::Late {
            return Err(SessionError::ResponseSent);
        }
        let before = state.record.as_ref().map(|record| record.id().clone());
        let mut confirmed = None;
        match self.store_step(state, plan.store, &mut confirmed).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                // A logout that the store did not confirm still takes the cookie away.
                if plan.cookie == CookieStep::Clear {
                    self.cookie_step(state, CookieStep::Clear);
                } else if matches!(error, SessionError::Unconfirmed) {
                    self.end(state);
                }
                return Err(error);
            }
        }
        let now = state.record.as_ref().map(Stored::id);
        // It was renewed meanwhile, and may be known by its old ID to this browser.
        let moved = before.is_some() && now.is_some() && before.as_ref() != now;
        let cookie = if moved { CookieStep::Set } else { plan.cookie };
        self.cookie_step(state, cookie);
        if plan.stage == Stage::New && (before.is_some() || operation == Operation::Destroy) {
            state.forget();
        }
        if before.is_some() && plan.stage == Stage::New && operation == Operation::Destroy {
            self.sessions.tell(Event::Destroyed { confirmed });
        }
        Ok(())
    }

    /// Whether this operation is dropped, for the visitor's cookie is not that of a session any more.
    async fn is_barred(
        &self,
        state: &mut State,
        operation: Operation,
    ) -> Result<bool, SessionError> {
        if matches!(state.barred, Barred::No) {
            return Ok(false);
        }
        if operation == Operation::Destroy {
            if let Barred::Retired(record) = &state.barred
                && let Err(error) = Box::pin(self.sessions.destroy(record)).await
            {
                state.cookie = Outgoing::Removal;
                return Err(error);
            }
            state.barred = Barred::No;
            return Ok(false);
        }
        let plan = self.plan(state, operation);
        let writes = plan.store != StoreStep::Keep
            || plan.cookie == CookieStep::Late
            || operation == Operation::Touch;
        if writes {
            self.sessions.tell(Event::Gone);
        }
        Ok(writes)
    }

    /// Asks the store. False if it says that the session was ended meanwhile. `confirmed` gets whether replicas
    /// know that it was ended here.
    async fn store_step(
        &self,
        state: &mut State,
        step: StoreStep,
        confirmed: &mut Option<bool>,
    ) -> Result<bool, SessionError> {
        match (step, state.record.clone()) {
            (StoreStep::Keep, _) | (StoreStep::Touch | StoreStep::Take, None) => Ok(true),
            (StoreStep::Create | StoreStep::Replace, None) => {
                self.take_cookie(state).await?;
                let text = state.contents.text();
                let created = Box::pin(self.sessions.create(&text, None)).await;
                let created = created.inspect_err(|_| self.release_cookie())?;
                if self.has_left() {
                    // Left while the store worked: no browser will learn of it.
                    Box::pin(self.sessions.destroy(&created)).await?;
                    return Err(SessionError::ResponseSent);
                }
                state.certain = Some(created.id().clone());
                state.holds(created);
                self.sessions.tell(Event::Created);
                Ok(true)
            }
            (StoreStep::Create | StoreStep::Replace, Some(record)) => {
                let base = state.contents.before().to_owned();
                let mine = state.contents.text().into_owned();
                let written = Box::pin(self.sessions.commit(&record, base, mine)).await?;
                Ok(self.written(state, written))
            }
            (StoreStep::Touch, Some(record)) => {
                let Some(stored) = Box::pin(self.sessions.touch(&record)).await? else {
                    self.end(state);
                    return Ok(false);
                };
                state.record = Some(stored);
                state.due = Due::Nothing;
                Ok(true)
            }
            (StoreStep::Take, Some(record)) => {
                *confirmed = Box::pin(self.sessions.destroy(&record)).await?;
                Ok(true)
            }
        }
    }

    /// The session is this one after a refresh. Another request may have renewed it: then this browser may know it
    /// by its old ID.
    fn moved(&self, state: &mut State, stored: Stored) {
        let before = state.record.replace(stored);
        if before.as_ref().map(Stored::id) != state.record.as_ref().map(Stored::id) {
            self.cookie_step(state, CookieStep::Set);
        }
    }

    /// Takes over what the store has now. False if that is nothing.
    fn written(&self, state: &mut State, written: Option<Written>) -> bool {
        let Some(Written { stored, merged }) = written else {
            self.end(state);
            return false;
        };
        if merged {
            self.sessions.tell(Event::Conflict);
        }
        state.holds(stored);
        (state.due, state.unseen) = (Due::Nothing, false);
        true
    }

    /// The session was ended by somebody else: nothing more is written, and no cookie set.
    fn end(&self, state: &mut State) {
        self.sessions.tell(Event::Gone);
        state.ended();
    }

    fn plan(&self, state: &State, operation: Operation) -> Plan {
        let left = self.has_left();
        let id = state.record.as_ref().map(Stored::id);
        let options = state.record.as_ref().map_or_else(
            || Cow::Borrowed(self.sessions.options()),
            |record| self.sessions.options_of(record),
        );
        let known = Known {
            cookie_out: state.cookie_out,
            unsaved: matches!(operation, Operation::Finish | Operation::Flush)
                && state.contents.is_changed(),
            over: options.ttl(self.began).is_over(),
            finishes: !left,
            left,
            touched: operation == Operation::Open
                && id.is_some_and(|id| self.sessions.is_touched(id)),
        };
        let at = if state.record.is_some() { Stage::Stored } else { Stage::New };
        decide(options.policy(), at, operation, known)
    }

    fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    fn cookie_step(&self, state: &mut State, step: CookieStep) {
        match step {
            CookieStep::Set if !self.has_left() => {
                let Some(record) = &state.record else { return };
                let cookie = Outgoing::Session(Box::new(record.clone()));
                if let Outgoing::Expired(expired) = std::mem::replace(&mut state.cookie, cookie) {
                    self.sessions.retire(expired.id());
                }
                for lost in std::mem::take(&mut state.lost) {
                    self.sessions.retire(&lost);
                }
                state.cookie_out = true;
            }
            CookieStep::Clear => {
                let record = state.record.clone().map(Box::new);
                state.cookie = record.map_or(Outgoing::Removal, Outgoing::RemovalOf);
            }
            CookieStep::Set | CookieStep::Keep | CookieStep::Late => {}
        }
    }
}

impl State {
    /// The record as the store has it.
    pub(crate) fn record(&self) -> Option<&Stored> {
        self.record.as_ref()
    }

    /// Whether it was read, and could be.
    fn is_good(&self) -> bool {
        self.opened && self.failure.is_none()
    }

    /// What the store has.
    fn holds(&mut self, record: Stored) {
        self.contents = Contents::of(record.clone());
        self.record = Some(record);
    }

    fn forget(&mut self) {
        (self.record, self.contents) = (None, Contents::default());
        (self.due, self.unseen) = (Due::Nothing, false);
    }

    /// Another request has ended the session: nothing more is written, and no cookie set.
    fn ended(&mut self) {
        self.forget();
        self.cookie = Outgoing::Nothing;
        self.barred = Barred::Ended;
    }
}

thread_local! {
    /// The visits whose data a function of the application is changing on this thread.
    static CHANGING: RefCell<Vec<*const Visit>> = const { RefCell::new(Vec::new()) };
}

/// As long as it lives, a function of the application is changing the data of a visit on this thread. Such functions
/// are not async, so all that runs on this thread meanwhile runs inside of it.
struct Changing;

impl Changing {
    fn begin(visit: &Visit) -> Self {
        CHANGING.with_borrow_mut(|changing| changing.push(visit));
        Self
    }

    fn is_under_way(visit: &Visit) -> bool {
        CHANGING.with_borrow(|changing| changing.contains(&std::ptr::from_ref(visit)))
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        CHANGING.with_borrow_mut(Vec::pop);
    }
}

/// Runs something on every way out, also when a request is cancelled.
pub(crate) struct Leaving(pub(crate) Arc<Visit>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Finishes a request, and puts what comes of it onto the response.
pub(crate) async fn finished(
    visit: Arc<Visit>,
    mut headers: HeaderMap,
) -> (HeaderMap, Result<(), SessionError>) {
    let state = &mut *visit.state.lock().await;
    visit.heed(state).await;
    let finished = visit.finish(state).await;
    visit.leave();
    visit.confirm(state).await;
    visit.heed(state).await;
    visit.seal(state, &mut headers);
    (headers, finished)
}

/// Says to caches that the response depends on the cookie.
fn vary_by_cookie(headers: &mut HeaderMap) {
    let Some(vary) = response::vary(Some(&list_of(headers, header::VARY))) else { return };
    let is_text = headers.get_all(header::VARY).iter().all(|value| value.to_str().is_ok());
    // What cannot be read stays, beside it.
    if vary == response::VARY || !is_text {
        headers.append(header::VARY, HeaderValue::from_static(response::VARY));
    } else if let Ok(vary) = HeaderValue::try_from(vary) {
        headers.insert(header::VARY, vary);
    }
}

fn list_of(headers: &HeaderMap, name: header::HeaderName) -> String {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(", ")
}

fn is_named(set_cookie: &HeaderValue, name: &str) -> bool {
    let rest = set_cookie.as_bytes().strip_prefix(name.as_bytes());
    rest.is_some_and(|rest| rest.first() == Some(&b'='))
}
