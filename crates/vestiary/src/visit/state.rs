use alloc::{string::String, vec::Vec};

use super::Outgoing;
use crate::{
    CookieOverrides, SessionId,
    decide::{Policy, Stage},
    protocol::{self, Ends, Host, Rules, Seen, seeded},
};

/// A request's view of its visitor's session, from [`open`](super::open) on.
#[derive(Clone, Debug)]
pub struct Visit<E> {
    /// The session.
    pub state: State<E>,
    /// The fate of the application's data. After each operation, even one that failed, the driver applies it and resets it
    /// to [`View::Kept`].
    pub view: View,
    /// The fate of the cookie. [`Visit::outgoing`] says whether it may leave.
    pub cookie: Outgoing,
    /// The own cookie attributes of a session that has ended meanwhile. They are needed if this request has revoked it.
    pub parted: Option<CookieOverrides>,
    /// Whether the browser has a cookie of this name, or will get one.
    pub cookie_out: bool,
    /// The IDs that the browser has sent.
    pub received: Vec<SessionId>,
    /// The IDs of ended sessions among them, including the other IDs of those sessions. Once the visitor has another
    /// session, no late response may remove its cookie because of them.
    pub lost: Vec<SessionId>,
    /// An ID that needs no confirmation before it is sent. Either this request has created it, so no other request can know
    /// it, or the store has confirmed it after the application's last operation.
    pub certain: Option<SessionId>,
    /// The value that the last [`take`](super::take) has removed from its slot, or a swap has put there, as JSON text. The
    /// driver takes it.
    pub taken: Option<String>,
}

/// The session of a [`Visit`].
#[derive(Clone, Debug)]
pub enum State<E> {
    /// No session. A save begins one.
    Anonymous,
    /// A new session of [`regenerate`](super::regenerate), whose empty record waits for the first save.
    Reserved(Seen),
    /// A stored session.
    Stored {
        /// The session, as the store has it.
        session: Seen,
        /// Whether the lifetime of the session must be restarted when the response is ready, unless it is written before.
        due: bool,
        /// Whether the use of the session must be recorded in its user's session list, unless it is written before.
        unseen: bool,
    },
    /// A session that has ended meanwhile. Nothing is written. No cookie is set, because it could overwrite a newer one.
    Ended,
    /// The visitor's ID is out of use. As [`State::Ended`], but a logout finds the session.
    Tombstone(Seen),
    /// The session is bound to a device that the request has not shown. As [`State::Tombstone`], but the browser may have
    /// the bound cookie again in its next request, so the session has not ended.
    Unbound(Seen),
    /// A session that cannot be read here, but perhaps by another instance of the application. Only a login or a logout
    /// overwrites its record and its cookie.
    Unreadable(E),
    /// An unknown session, because the store has failed. Nothing is written.
    Unavailable(E),
}

/// The fate of the session data that the application has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum View {
    /// The data stays. The record may have more, so the application's changes are still the difference from the data that
    /// it has read.
    #[default]
    Kept,
    /// The data was stored, and the record has nothing else.
    Written,
    /// The data is replaced by the record's.
    Read,
    /// The data and the cookie attributes are dropped, because there is no session any more.
    Dropped,
}

/// The application's changes since the session was read or written.
#[derive(Clone, Eq, PartialEq)]
pub struct Changes {
    /// The data that was read or written: text of a JSON object.
    pub base: String,
    /// The current data: text of a JSON object.
    pub mine: String,
    /// The session's own cookie attributes, if they were changed; `Some(None)` removes them.
    pub cookie: Option<Option<CookieOverrides>>,
    /// Whether the data was replaced as a whole, which counts as a change whatever the data is.
    pub assigned: bool,
}

impl<E> Visit<E> {
    /// The session, if it is stored.
    #[must_use]
    pub fn session(&self) -> Option<&Seen> {
        match &self.state {
            State::Stored { session, .. } => Some(session),
            _ => None,
        }
    }

    /// The session's name for logs ([`Seen::log_id`]), if it is stored.
    #[must_use]
    pub fn log_id(&self) -> Option<String> {
        self.session().map(Seen::log_id)
    }

    /// When the session ends unless it is used, this request included.
    #[must_use]
    pub fn ends(&self, rules: &Rules) -> Ends {
        let State::Stored { session, due, .. } = &self.state else { return Ends::default() };
        let is_set = matches!(self.cookie, Outgoing::Session { .. });
        rules.ends(&session.record, session.at, *due, is_set)
    }

    pub(super) fn stage(&self) -> Stage {
        if self.session().is_some() { Stage::Stored } else { Stage::New }
    }

    pub(super) fn id(&self) -> Option<&SessionId> {
        self.session().map(|session| &session.id)
    }

    /// The session's own cookie attributes.
    #[cfg_attr(plain, inline(never))]
    pub(super) fn own_cookie(&self) -> Option<&CookieOverrides> {
        self.session()?.record.meta().cookie.as_ref()
    }

    /// Takes over a session that was written just now, for which nothing is left to do.
    pub(super) fn holds(&mut self, session: Seen, view: View) {
        self.state = State::Stored { session, due: false, unseen: false };
        self.view = match view {
            View::Kept => return,
            // The application still has the data of the previous session.
            View::Written if self.view == View::Dropped => View::Read,
            view => view,
        };
    }

    /// Replaces the session by a state without data.
    pub(super) fn forget(&mut self, state: State<E>) {
        (self.state, self.view) = (state, View::Dropped);
    }

    /// Records that another request has ended the session. Nothing more is written, and no cookie is set.
    pub(super) fn ended(&mut self) {
        self.parted = self.own_cookie().cloned();
        self.forget(State::Ended);
        // A logout that the store did not confirm removes the cookie nevertheless.
        if !matches!(self.cookie, Outgoing::Removal { .. }) {
            self.cookie = Outgoing::Nothing;
        }
        if seeded(protocol::Fault::EndRemovesCookie) {
            self.cookie = Outgoing::Removal { own: None };
        }
    }

    /// Records that a write has found the session gone, and emits the event.
    pub(super) fn gone<H: Host>(&mut self, host: &mut H) {
        if let Some(id) = self.id() {
            host.take_out_of_use(id);
        }
        host.emit(crate::Event::Gone);
        self.ended();
    }
}

impl<E: Clone> Visit<E> {
    /// Checks that the session may be read, or counts as anonymous, so that a login may replace it. With `anonymous`, a
    /// visitor has no session while the store is unavailable.
    ///
    /// # Errors
    /// The error with which the store failed.
    pub fn readable(&self, anonymous: bool) -> Result<(), E> {
        match &self.state {
            State::Unavailable(error) if !anonymous => Err(error.clone()),
            // An unreadable session is not a failure of the store.
            _ => Ok(()),
        }
    }

    /// Checks that the session may be written.
    ///
    /// # Errors
    /// The error with which it could not be read.
    pub fn writable(&self) -> Result<(), E> {
        match &self.state {
            State::Unreadable(error) | State::Unavailable(error) => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

impl<E> Default for Visit<E> {
    fn default() -> Self {
        Self {
            state: State::Anonymous,
            view: View::default(),
            cookie: Outgoing::default(),
            parted: None,
            cookie_out: false,
            received: Vec::new(),
            lost: Vec::new(),
            certain: None,
            taken: None,
        }
    }
}

impl Changes {
    /// Whether an update has changes to write first.
    pub(super) fn is_any(&self) -> bool {
        self.assigned || self.cookie.is_some() || self.base != self.mine
    }

    /// Whether there are changes to write without a `save()`.
    pub(super) fn is_saved_by_itself(&self, policy: Policy) -> bool {
        self.assigned || self.cookie.is_some() || policy.auto_save && self.base != self.mine
    }

    pub(super) fn none() -> Self {
        let nothing = || String::from("{}");
        Self { base: nothing(), mine: nothing(), cookie: None, assigned: false }
    }
}

/// Hides the session data, which is the application's secret.
impl core::fmt::Debug for Changes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Changes").field("assigned", &self.assigned).finish_non_exhaustive()
    }
}
