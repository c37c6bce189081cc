use alloc::{rc::Rc, vec::Vec};
use core::cell::{Cell, RefCell};

use super::{Purpose, Request};
use crate::{
    SessionId,
    protocol::{Doubt, Post, Stopped},
};

/// The [`Request`] of a [`Pending`](crate::protocol::Pending) operation, for a driver that is not written in Rust, such as
/// JavaScript, or for a test.
#[derive(Debug)]
pub struct Page {
    host: Post,
    facts: Rc<Facts>,
}

/// Facts that a driver and the operation on its [`Page`] share.
#[derive(Debug, Default)]
pub struct Facts {
    /// The driver's facts, for each poll of the operation.
    known: RefCell<Vec<Known>>,
    /// Whether the operation is about to begin a session, whose cookie no other handle or layer may take.
    pub reserved: Cell<bool>,
    /// The purpose of the store calls.
    pub purpose: Cell<Purpose>,
}

/// Facts that a driver knows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Known {
    /// Whether the response has left, so that no cookie reaches the browser any more.
    pub left: bool,
    /// Whether the visitor has a session of another handle or layer whose cookie has the same name.
    pub taken: bool,
    /// The IDs of the visit that this process has recently taken out of use.
    pub out_of_use: Vec<SessionId>,
    /// The IDs of the visit whose sessions need not be touched.
    pub touched: Vec<SessionId>,
}

impl Facts {
    /// Takes the facts that the driver knows now. The driver calls it before each
    /// [`Pending::poll`](crate::protocol::Pending::poll).
    pub fn learn(&self, known: Known) {
        let mut all = self.known.borrow_mut();
        if cfg!(not(plain)) {
            all.clear();
        }
        all.push(known);
    }

    /// Resets the facts, and keeps their memory.
    pub fn renew(&self) {
        self.known.borrow_mut().clear();
        self.reserved.set(false);
        self.purpose.set(Purpose::default());
    }
}

impl Page {
    /// Creates the page of an operation on this host.
    #[must_use]
    pub fn new(host: Post, facts: Rc<Facts>) -> Self {
        Self { host, facts }
    }

    fn knows(&self, fact: impl FnOnce(&Known) -> bool) -> bool {
        self.facts.known.borrow().get(self.host.poll()).is_some_and(fact)
    }
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
impl Request for Page {
    type Host = Post;

    fn host(&mut self) -> &mut Post {
        &mut self.host
    }

    fn begin(&mut self, purpose: Purpose) {
        if !self.host.waits() {
            self.facts.purpose.set(purpose);
        }
    }

    fn has_left(&self) -> bool {
        self.knows(|known| known.left)
    }

    fn is_out_of_use(&self, id: &SessionId) -> bool {
        self.knows(|known| known.out_of_use.contains(id))
    }

    fn is_touched(&self, id: &SessionId) -> bool {
        self.knows(|known| known.touched.contains(id))
    }

    async fn reserve(&mut self, _: Option<&SessionId>) -> Result<(), Stopped> {
        if self.knows(|known| known.taken) {
            return Err(Stopped::CookieTaken);
        }
        if !self.host.waits() {
            self.facts.reserved.set(true);
        }
        Ok(())
    }

    fn release(&mut self) {
        if !self.host.waits() {
            self.facts.reserved.set(false);
        }
    }

    fn response_sent(&self) -> Stopped {
        Stopped::ResponseSent
    }

    fn is_untraced(error: &Stopped) -> bool {
        *error == Stopped::Doubt(Doubt::Untraced)
    }
}
