use alloc::{rc::Rc, vec::Vec};
use core::cell::{Cell, RefCell};

use super::{Purpose, Request};
use crate::{
    SessionId,
    protocol::{Doubt, Post, Stopped},
};

/// The [`Request`] of an operation that is [`Pending`](crate::protocol::Pending): for a driver that is no Rust, such as
/// JavaScript, or a test.
#[derive(Debug)]
pub struct Page {
    host: Post,
    facts: Rc<Facts>,
}

/// Facts that a driver and the operation under way on its [`Page`] tell each other. The driver sets its own before each
/// poll.
#[derive(Debug, Default)]
pub struct Facts {
    /// No cookie reaches the browser any more.
    pub left: Cell<bool>,
    /// The visitor has a session of another handle or layer whose cookie has the same name.
    pub taken: Cell<bool>,
    /// The operation is about to begin a session, whose cookie no other handle or layer may take.
    pub reserved: Cell<bool>,
    /// The purpose for which the store is asked.
    pub purpose: Cell<Purpose>,
    /// Those of the visit's IDs that this process has taken out of use lately.
    pub retired: RefCell<Vec<SessionId>>,
    /// Those of them whose sessions need not be touched.
    pub touched: RefCell<Vec<SessionId>>,
}

impl Page {
    /// The page of an operation on this host.
    #[must_use]
    pub fn new(host: Post, facts: Rc<Facts>) -> Self {
        Self { host, facts }
    }
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
impl Request for Page {
    type Host = Post;

    fn host(&mut self) -> &mut Post {
        &mut self.host
    }

    fn begin(&mut self, purpose: Purpose) {
        self.facts.purpose.set(purpose);
    }

    fn has_left(&self) -> bool {
        self.facts.left.get()
    }

    fn is_retired(&self, id: &SessionId) -> bool {
        self.facts.retired.borrow().contains(id)
    }

    fn is_touched(&self, id: &SessionId) -> bool {
        self.facts.touched.borrow().contains(id)
    }

    async fn reserve(&mut self, _: Option<&SessionId>) -> Result<(), Stopped> {
        if self.facts.taken.get() {
            return Err(Stopped::CookieTaken);
        }
        self.facts.reserved.set(true);
        Ok(())
    }

    fn release(&mut self) {
        self.facts.reserved.set(false);
    }

    fn response_sent(&self) -> Stopped {
        Stopped::ResponseSent
    }

    fn is_untraced(error: &Stopped) -> bool {
        *error == Stopped::Doubt(Doubt::Untraced)
    }
}
