use alloc::{string::String, vec::Vec};

use super::Outgoing;
use crate::{
    CookieOverrides, SessionId,
    decide::{Policy, Stage},
    protocol::{self, Host, Seen, seeded},
};

/// A request's view of its visitor's session, from [`open`](super::open) on.
#[derive(Clone, Debug)]
pub struct Visit<E> {
    /// The session.
    pub state: State<E>,
    /// The fate of the application's data. The driver does it after each operation, also after one that failed, and
    /// sets it back ([`View::Kept`]).
    pub view: View,
    /// The fate of the cookie. [`Visit::outgoing`] says whether it may leave.
    pub cookie: Outgoing,
    /// The own cookie attributes of the session that was ended meanwhile, in case that this request has revoked it.
    pub parted: Option<CookieOverrides>,
    /// The browser has a cookie of this name, or will be sent one.
    pub cookie_out: bool,
    /// The IDs that the browser has sent.
    pub received: Vec<SessionId>,
    /// Those of them whose sessions have ended, under each of their IDs. Once the visitor has another session, no late
    /// response may remove its cookie because of them.
    pub lost: Vec<SessionId>,
    /// An ID that needs no question before it is sent: this request has created it, and no other one can know it, or the
    /// store has confirmed it when the application was done.
    pub certain: Option<SessionId>,
}

/// The session of a [`Visit`].
#[derive(Clone, Debug)]
pub enum State<E> {
    /// None: what is saved begins one.
    Anonymous,
    /// None, but the record of one that [`regenerate`](super::regenerate) has begun waits for what is saved.
    Reserved(Seen),
    /// A session that is stored.
    Stored {
        /// As the store has it.
        session: Seen,
        /// The record has to get another TTL, or other deadlines, when the response is ready, unless it is written until
        /// then.
        due: bool,
        /// The use of the session has to be written in its user's session list, unless the session is written until then.
        unseen: bool,
    },
    /// One that was ended meanwhile: nothing is written, and no cookie set, which could overwrite a newer one.
    Ended,
    /// The same, since the visitor's ID is out of use. The tombstone leads a logout to the session.
    Tombstone(Seen),
    /// One that cannot be read here, but perhaps by another instance of the application: neither its record nor its
    /// cookie is overwritten, unless by a login or a logout.
    Unreadable(E),
    /// It is unknown which, since the store has failed: nothing is written.
    Unavailable(E),
}

/// The fate of the data that the application has of a session.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum View {
    /// It stays as it is. The record may have more: its changes are still told by what the application has seen.
    #[default]
    Kept,
    /// It was stored: the record has what the application has, and nothing else.
    Written,
    /// It becomes what the record has.
    Read,
    /// It is dropped, with the cookie attributes: there is no session any more.
    Dropped,
}

/// The application's changes since the session was read or written.
#[derive(Clone, Eq, PartialEq)]
pub struct Changes {
    /// The data that was read or written: text of a JSON object.
    pub base: String,
    /// The data as it is now: text of a JSON object.
    pub mine: String,
    /// The session's own cookie attributes, if they were changed: to these, or to none.
    pub cookie: Option<Option<CookieOverrides>>,
    /// The data was replaced as a whole, which counts as a change whatever the data is.
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

    pub(super) fn stage(&self) -> Stage {
        if self.session().is_some() { Stage::Stored } else { Stage::New }
    }

    pub(super) fn id(&self) -> Option<&SessionId> {
        self.session().map(|session| &session.id)
    }

    /// The session's own cookie attributes.
    pub(super) fn own_cookie(&self) -> Option<&CookieOverrides> {
        self.session()?.record.meta().cookie.as_ref()
    }

    /// The session was written just now: nothing is left to do for it.
    pub(super) fn holds(&mut self, session: Seen, view: View) {
        self.state = State::Stored { session, due: false, unseen: false };
        self.view = match view {
            View::Kept => return,
            // The application still has the data of the session before.
            View::Written if self.view == View::Dropped => View::Read,
            view => view,
        };
    }

    /// There is no session any more.
    pub(super) fn forget(&mut self, state: State<E>) {
        (self.state, self.view) = (state, View::Dropped);
    }

    /// Another request has ended the session: nothing more is written, and no cookie set.
    pub(super) fn ended(&mut self) {
        self.parted = self.own_cookie().cloned();
        self.forget(State::Ended);
        // A logout that the store did not confirm takes the cookie away all the same.
        if !matches!(self.cookie, Outgoing::Removal { .. }) {
            self.cookie = Outgoing::Nothing;
        }
        if seeded(protocol::Fault::EndRemovesCookie) {
            self.cookie = Outgoing::Removal { own: None };
        }
    }

    /// The same, for a write that found it out.
    pub(super) fn gone<H: Host>(&mut self, host: &mut H) {
        if let Some(id) = self.id() {
            host.take_out_of_use(id);
        }
        host.emit(crate::Event::Gone);
        self.ended();
    }
}

impl<E: Clone> Visit<E> {
    /// Checks that the session may be read, or counts as none, so that a login may replace it. `anonymous` if the visitor
    /// has none while the store cannot be read.
    ///
    /// # Errors
    /// Why it could not be read.
    pub fn readable(&self, anonymous: bool) -> Result<(), E> {
        match &self.state {
            State::Unavailable(error) if !anonymous => Err(error.clone()),
            // A session that cannot be read here is no fault of the store.
            _ => Ok(()),
        }
    }

    /// Checks that the session may be written.
    ///
    /// # Errors
    /// Why it could not be read.
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
        }
    }
}

impl Changes {
    /// Whether there is anything to write before an update.
    pub(super) fn is_any(&self) -> bool {
        self.assigned || self.cookie.is_some() || self.base != self.mine
    }

    /// Whether there is anything that is written without a `save()`.
    pub(super) fn is_saved_by_itself(&self, policy: Policy) -> bool {
        self.assigned || self.cookie.is_some() || policy.auto_save && self.base != self.mine
    }

    pub(super) fn none() -> Self {
        let nothing = || String::from("{}");
        Self { base: nothing(), mine: nothing(), cookie: None, assigned: false }
    }
}

/// Session data is the application's secret, so it is not shown.
impl core::fmt::Debug for Changes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Changes").field("assigned", &self.assigned).finish_non_exhaustive()
    }
}
