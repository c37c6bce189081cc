//! One request's view of its visitor's session: the lock, the data and the headers around the core's visit.

mod asking;
#[cfg(feature = "device-bound")]
mod bind;
mod headers;
mod once;
mod same_name;
mod stored;

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_lock::{Mutex, MutexGuard};
use http::{HeaderMap, HeaderValue, Request, header, uri::PathAndQuery};
use vestiary::{
    UnixMillis,
    protocol::{Ends, Seen},
    session::tidy,
    visit::{self, Purpose, Request as _, View},
};
use vestiary_store::{Event, Login, OnStoreError, RequestId, RevokedBy, SessionError, Sessions};

use crate::contents::Contents;

/// The session of one request.
pub(crate) struct Visit {
    pub(crate) sessions: Sessions,
    pub(crate) request: RequestId,
    headers: Vec<HeaderValue>,
    /// The path and the query, as they came in.
    page: Option<PathAndQuery>,
    secure_here: bool,
    /// When the request arrived.
    began: UnixMillis,
    /// Whether the application has looked at the session, so that the response may depend on it.
    looked: AtomicBool,
    /// Whether no cache may keep the response: [`Session::private`](crate::Session::private).
    private: AtomicBool,
    /// Whether the head of the response has left.
    left: AtomicBool,
    /// Whether the request does not count as use of the session.
    passive: bool,
    /// The visit of a surrounding layer for the same request.
    outer: Option<Arc<Visit>>,
    /// Whether an inner layer has begun a session whose cookie has the same name.
    is_taken_inside: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    is_loaded: bool,
    visit: visit::Visit<SessionError>,
    pub(crate) contents: Contents,
    /// Notified when the session is stored.
    stored: event_listener::Event,
    /// The number of this process's revocations that are known not to concern this session.
    seen: u64,
    /// The header that asks the browser to bind the session of a login.
    registration: Option<HeaderValue>,
}

impl Visit {
    pub(crate) fn new<Q>(
        sessions: Sessions,
        request: &Request<Q>,
        secure_here: bool,
        began: UnixMillis,
        passive: bool,
        outer: Option<Arc<Self>>,
    ) -> Self {
        Self {
            sessions,
            request: RequestId::current_or_new(),
            headers: request.headers().get_all(header::COOKIE).iter().cloned().collect(),
            page: request.uri().path_and_query().cloned(),
            secure_here,
            began,
            looked: AtomicBool::new(false),
            private: AtomicBool::new(false),
            left: AtomicBool::new(false),
            passive,
            outer,
            is_taken_inside: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// The path and the query of the request, before any router removed a part.
    pub(crate) fn page(&self) -> Option<&str> {
        self.page.as_ref().map(PathAndQuery::as_str)
    }

    /// Opens the session: reads the store at the first call. Fails if that failed and the options do not allow for it.
    pub(crate) async fn open(&self) -> Result<MutexGuard<'_, State>, SessionError> {
        let state = self.load().await?;
        state.visit.readable(self.sessions.on_store_error() == OnStoreError::Anonymous)?;
        Ok(state)
    }

    /// Whether the store could not be read.
    pub(crate) async fn is_unavailable(&self) -> Result<bool, SessionError> {
        Ok(matches!(self.load().await?.visit.state, visit::State::Unavailable(_)))
    }

    /// As [`Visit::open`], for a write: also fails if the session could not be read.
    pub(crate) async fn open_to_write(&self) -> Result<MutexGuard<'_, State>, SessionError> {
        let state = self.load().await?;
        state.visit.writable()?;
        Ok(state)
    }

    /// As [`Visit::open_to_write`], for a login, which begins another session and leaves an unreadable one alone.
    pub(crate) async fn open_to_log_in(&self) -> Result<MutexGuard<'_, State>, SessionError> {
        let state = self.load().await?;
        state.visit.readable(false)?;
        Ok(state)
    }

    async fn load(&self) -> Result<MutexGuard<'_, State>, SessionError> {
        self.looked.store(true, Ordering::Relaxed);
        if Changing::is_under_way(self) {
            return Err(SessionError::UpdateNested);
        }
        let mut state = self.state.lock().await;
        if !state.is_loaded {
            // Counted before the user's session list is read.
            state.seen = self.sessions.revocations();
            let headers = self.headers.iter().map(HeaderValue::as_bytes);
            let vestiary_store::Cookies { present, ids, shown } = self.sessions.cookies(headers);
            // Without a cookie there is nothing to find, and no option of a Rust service begins a session.
            if present {
                let shared = self.outer_of_this_name().next().is_some();
                let passive = self.passive;
                let cookies =
                    visit::Cookies { present, ids, shown, shared, passive, reads_only: false };
                apart(self.find(&mut state, cookies)).await;
            }
            state.is_loaded = true;
        }
        // A cancelled operation may have left the state in the middle.
        state.settle(&self.sessions);
        self.apply_revocations(&mut state).await;
        Ok(state)
    }

    /// Finds the session of these cookies.
    async fn find(&self, state: &mut State, cookies: visit::Cookies) {
        let mut asking = self.asking();
        let rules = self.sessions.rules();
        let spent = visit::open(&mut asking, rules, &mut state.visit, cookies).await;
        // Only after the store's answer: if the request is cancelled before, the next use reads again.
        state.is_loaded = true;
        for spent in &spent {
            asking.begin(Purpose::Remove);
            Box::pin(tidy(asking.host(), rules, spent)).await;
        }
    }

    /// Ends the session at once if this process has revoked it.
    async fn apply_revocations(&self, state: &mut State) {
        let Some(session) = state.session().filter(|_| self.may_be_revoked(state)) else { return };
        let count = self.sessions.revocations();
        let stored = session.clone().into();
        match apart(self.sessions.revoked_since(state.seen, &stored, self.request)).await {
            Ok(None) => state.seen = count,
            Ok(Some(by)) => {
                state.visit.revoked(&mut self.asking(), by == RevokedBy::Itself);
                state.settle(&self.sessions);
            }
            // Each write asks again.
            Err(error) => self.sessions.emit(&Event::StoreFailed { code: error.code() }),
        }
    }

    /// Gives the application the result of an operation. `before` is the session of the user before the operation.
    async fn after(&self, state: &mut State, before: Option<Seen>) {
        self.clear_if_revoked(state, before).await;
        state.settle(&self.sessions);
    }

    /// Removes the cookie of a session that an operation has found gone, if this request itself has revoked it
    /// meanwhile.
    async fn clear_if_revoked(&self, state: &mut State, before: Option<Seen>) {
        let Some(before) = before.filter(|_| matches!(state.visit.state, visit::State::Ended))
        else {
            return;
        };
        let seen = state.seen;
        let before = before.into();
        let by = apart(self.sessions.revoked_since(seen, &before, self.request)).await;
        if matches!(by, Ok(Some(RevokedBy::Itself))) {
            state.visit.revoked(&mut self.asking(), true);
        }
    }

    /// Whether this process has revoked sessions since, possibly this one.
    fn may_be_revoked(&self, state: &State) -> bool {
        self.sessions.revocations() != state.seen
            && state.session().is_some_and(|session| session.record.meta().user.is_some())
    }

    /// Finishes a request that needs no store call; `false` if the store must be awaited.
    pub(crate) fn finish_at_once(&self, headers: &mut HeaderMap) -> bool {
        let Some(state) = self.state.try_lock() else { return false };
        let is_finished = !state.is_loaded
            || !state.contents.is_changed()
                && !self.may_be_revoked(&state)
                && state.visit.is_finished(&self.asking());
        if is_finished {
            self.add_cookie(&state, headers);
            self.leave();
        }
        is_finished
    }

    /// Whether the application has looked at the session, so that there may be something to finish.
    pub(crate) fn was_looked_at(&self) -> bool {
        self.looked.load(Ordering::Relaxed)
    }

    /// Keeps the response out of every cache.
    pub(crate) fn keep_private(&self) {
        self.looked.store(true, Ordering::Relaxed);
        self.private.store(true, Ordering::Relaxed);
    }

    fn is_private(&self) -> bool {
        self.private.load(Ordering::Relaxed)
    }

    /// Records that the response has left: no cookie reaches this browser any more.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// Stores the session and sets its cookie.
    pub(crate) async fn save(&self, state: &mut State) -> Result<bool, SessionError> {
        let changes = state.contents.changes();
        let mut asking = self.asking();
        let rules = self.sessions.rules();
        let before = state.session_of_user();
        let saved = apart(visit::save(&mut asking, rules, &mut state.visit, changes)).await;
        self.after(state, before).await;
        saved
    }

    /// Restarts the session's lifetime, in store and cookie.
    pub(crate) async fn touch(&self, state: &mut State) -> Result<(), SessionError> {
        let mut asking = self.asking();
        let rules = self.sessions.rules();
        let before = state.session_of_user();
        let touched = apart(visit::touch(&mut asking, rules, &mut state.visit)).await;
        self.after(state, before).await;
        touched
    }

    /// Whether the session is still valid.
    pub(crate) async fn is_alive(&self, state: &mut State) -> Result<bool, SessionError> {
        let rules = self.sessions.rules();
        let mut asking = self.asking();
        apart(visit::is_alive(&mut asking, rules, &mut state.visit)).await
    }

    /// Puts a value, given as JSON text, into a slot.
    pub(crate) async fn put(
        &self,
        state: &mut State,
        key: &str,
        text: String,
        millis: u64,
    ) -> Result<bool, SessionError> {
        let (mut asking, rules) = (self.asking(), self.sessions.rules());
        let before = state.session_of_user();
        let key = key.to_owned();
        let putting = visit::put(&mut asking, rules, &mut state.visit, key, text, millis);
        let put = apart(putting).await;
        self.after(state, before).await;
        put
    }

    /// Takes the value out of a slot: JSON text.
    pub(crate) async fn take(
        &self,
        state: &mut State,
        key: &str,
    ) -> Result<Option<String>, SessionError> {
        let (mut asking, rules) = (self.asking(), self.sessions.rules());
        let before = state.session_of_user();
        let taking = visit::take(&mut asking, rules, &mut state.visit, key.to_owned());
        let taken = apart(taking).await;
        self.after(state, before).await;
        taken.map(|()| state.visit.taken.take())
    }

    /// Records that the user has just proven their identity.
    pub(crate) async fn confirm_user(&self, state: &mut State) -> Result<bool, SessionError> {
        let (mut asking, rules) = (self.asking(), self.sessions.rules());
        let before = state.session_of_user();
        let confirming = visit::confirm_user(&mut asking, rules, &mut state.visit);
        let confirmed = apart(confirming).await;
        self.after(state, before).await;
        confirmed
    }

    /// Ends the session.
    pub(crate) async fn destroy(&self) -> Result<(), SessionError> {
        let state = &mut *self.load().await?;
        let mut asking = self.asking();
        let rules = self.sessions.rules();
        let ended = apart(visit::destroy(&mut asking, rules, &mut state.visit)).await;
        state.settle(&self.sessions);
        ended
    }

    /// Gives the session another ID and keeps its data.
    pub(crate) async fn renew(&self, state: &mut State) -> Result<(), SessionError> {
        let mut asking = self.asking();
        let rules = self.sessions.rules();
        let before = state.session_of_user();
        let renewed = apart(visit::renew(&mut asking, rules, &mut state.visit)).await;
        self.after(state, before).await;
        renewed
    }

    /// Applies a function to the stored data. Earlier changes are stored first.
    pub(crate) async fn update(
        &self,
        state: &mut State,
        mut change: impl FnMut(&mut Contents) -> Result<(), SessionError> + Send,
    ) -> Result<bool, SessionError> {
        let changes = state.contents.is_changed().then(|| state.contents.changes());
        let mut compute = |text: &str| {
            let mut contents = Contents::of_text(text);
            self.run(|| change(&mut contents))?;
            Ok(contents.text().into_owned())
        };
        let mut asking = self.asking_to(&mut compute);
        let rules = self.sessions.rules();
        let before = state.session_of_user();
        let updated = apart(visit::update(&mut asking, rules, &mut state.visit, changes)).await;
        self.after(state, before).await;
        updated
    }

    /// Runs a function of the application that changes the data. If it waits for this session, whose lock is held,
    /// [`Visit::load`] fails at once.
    pub(crate) fn run<R>(&self, change: impl FnOnce() -> R) -> R {
        let _changing = Changing::begin(self);
        change()
    }

    /// Logs a user in: another ID, and only the data that is to be kept.
    pub(crate) async fn login(
        &self,
        state: &mut State,
        user: &str,
        data: &str,
        login: Login,
    ) -> Result<(), SessionError> {
        let login = Login { proven: login.proven.or(Some(self.began)), ..login };
        let list = self.sessions.of(user).by(self.request);
        let seen = self.sessions.revocations();
        let mut asking = self.asking();
        let rules = self.sessions.rules();
        let join = list.join(&login);
        let logging_in = visit::log_in(&mut asking, rules, &mut state.visit, &join, data);
        let logged_in = match apart(logging_in).await {
            Ok(true) => {
                state.seen = seen;
                state.offer_binding(rules);
                Ok(())
            }
            Ok(false) => Err(SessionError::LoginOutdated),
            Err(error) => Err(error),
        };
        state.settle(&self.sessions);
        logged_in
    }
}

impl State {
    /// The session, if it is stored.
    pub(crate) fn session(&self) -> Option<&Seen> {
        self.visit.session()
    }

    /// When the session ends unless it is used.
    pub(crate) fn ends(&self, of: &Visit) -> Ends {
        self.visit.ends(of.sessions.rules())
    }

    /// The session's name for logs.
    pub(crate) fn log_id(&self) -> Option<String> {
        self.visit.log_id()
    }

    /// Whether the user has proven their identity within this time.
    pub(crate) fn is_fresh(&self, millis: u64, now: UnixMillis) -> bool {
        self.visit.is_fresh(millis, now)
    }

    /// The session, if it is stored and owned by a user.
    fn session_of_user(&self) -> Option<Seen> {
        self.session().filter(|session| session.record.meta().user.is_some()).cloned()
    }

    /// Applies the outcome of an operation to the contents.
    fn settle(&mut self, sessions: &Sessions) {
        match (std::mem::take(&mut self.visit.view), self.visit.session()) {
            (View::Kept, _) => {}
            (View::Read | View::Written, Some(session)) => {
                let stored = session.clone().into();
                let migrated = sessions.migrated(&stored).as_deref().map(Contents::of_text);
                self.contents = migrated.unwrap_or_else(|| Contents::of(stored));
            }
            _ => self.contents = Contents::default(),
        }
        self.announce();
    }
}

thread_local! {
    /// The visits whose data a function of the application is changing on this thread.
    static CHANGING: RefCell<Vec<*const Visit>> = const { RefCell::new(Vec::new()) };
}

/// Flags a visit while a function of the application changes its data. Such functions are not async, so everything that
/// runs on this thread meanwhile runs inside of it.
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

/// Boxes a future and erases its type, so that the future of a handler that awaits it stays small. The compiler proves
/// here, once, that the future is `Send`. To prove it again for each handler took half of the time in which the tests of
/// this crate compile.
fn apart<'a, T>(
    future: impl Future<Output = T> + Send + 'a,
) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(future)
}

/// Records on every way out, cancellation included, that the response has left.
pub(crate) struct Leaving(pub(crate) Arc<Visit>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Finishes a request, and adds the cookie and the headers for caches to the response.
pub(crate) async fn finished(
    visit: Arc<Visit>,
    mut headers: HeaderMap,
) -> (HeaderMap, Result<(), SessionError>) {
    let state = &mut *visit.state.lock().await;
    let rules = visit.sessions.rules();
    let mut asking = visit.asking();
    visit.apply_revocations(state).await;
    let changes = state.contents.is_changed().then(|| state.contents.changes());
    let before = state.session_of_user();
    let finished = visit::finish(&mut asking, rules, &mut state.visit, changes).await;
    visit.clear_if_revoked(state, before).await;
    state.announce();
    visit.leave();
    visit::confirm(&mut asking, rules, &mut state.visit).await;
    visit.apply_revocations(state).await;
    visit.add_cookie(state, &mut headers);
    (headers, finished)
}
