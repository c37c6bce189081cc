//! The request as the core's operations see it.

use std::sync::atomic::Ordering;

use vestiary::{
    SessionId,
    visit::{Purpose, Request},
};
use vestiary_store::{Compute, SessionError, StoreHost, StoreOperation};

use super::Visit;

impl Visit {
    /// The core's view of this request.
    pub(super) fn asking(&self) -> Asking<'_, '_> {
        Asking { visit: self, host: self.sessions.host(StoreOperation::Read) }
    }

    /// As [`Visit::asking`], for an operation that runs a function of the application.
    pub(super) fn asking_to<'a, 'c>(&'a self, compute: &'a mut Compute<'c>) -> Asking<'a, 'c> {
        Asking { visit: self, host: self.sessions.host(StoreOperation::Read).computing(compute) }
    }
}

/// The request as the core's operations see it.
pub(super) struct Asking<'a, 'c> {
    visit: &'a Visit,
    host: StoreHost<'a, 'c>,
}

impl<'a, 'c> Request for Asking<'a, 'c> {
    type Host = StoreHost<'a, 'c>;

    fn host(&mut self) -> &mut Self::Host {
        &mut self.host
    }

    fn begin(&mut self, purpose: Purpose) {
        self.host.asks_to(match purpose {
            Purpose::Read => StoreOperation::Read,
            Purpose::Write => StoreOperation::Write,
            Purpose::Touch => StoreOperation::Touch,
            Purpose::Remove => StoreOperation::Remove,
        });
    }

    fn has_left(&self) -> bool {
        self.visit.left.load(Ordering::Relaxed)
    }

    fn is_out_of_use(&self, id: &SessionId) -> bool {
        self.visit.sessions.is_out_of_use(id)
    }

    fn is_touched(&self, id: &SessionId) -> bool {
        self.visit.sessions.is_touched(id)
    }

    async fn reserve(&mut self, session: Option<&SessionId>) -> Result<(), SessionError> {
        self.visit.take_cookie(session).await
    }

    fn release(&mut self) {
        self.visit.release_cookie();
    }

    fn response_sent(&self) -> SessionError {
        SessionError::ResponseSent
    }

    fn is_untraced(error: &SessionError) -> bool {
        matches!(error, SessionError::Unconfirmed)
    }
}
