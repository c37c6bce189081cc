//! Nested layers whose cookies have the same name. A browser has one cookie per name, so a request can begin only one
//! session.

use std::sync::atomic::Ordering;

use vestiary::{SessionId, visit::Outgoing};
use vestiary_store::SessionError;

use super::Visit;

impl Visit {
    /// Reserves the cookie for the session that this visit is about to begin in place of `session`. If that fails, the
    /// cookie must be released ([`Visit::release_cookie`]).
    ///
    /// # Errors
    /// [`SessionError::CookieNameTaken`] if one of the two cookies would overwrite the other.
    pub(super) async fn take_cookie(
        &self,
        session: Option<&SessionId>,
    ) -> Result<(), SessionError> {
        if self.outer.is_none() && !self.is_taken_inside.load(Ordering::SeqCst) {
            return Ok(());
        }
        // Reserved before the other layers are checked, so that a concurrent login finds it taken.
        self.set_taken_inside(true);
        let mut is_taken = self.is_taken_inside.load(Ordering::SeqCst);
        for outer in self.outer_of_this_name() {
            is_taken |= outer.has_cookie(session).await;
        }
        if !is_taken {
            return Ok(());
        }
        self.set_taken_inside(false);
        let name = self.sessions.options().name().as_str().to_owned();
        Err(SessionError::CookieNameTaken { name })
    }

    /// Releases the cookie, because the session was not begun.
    pub(super) fn release_cookie(&self) {
        self.set_taken_inside(false);
    }

    fn set_taken_inside(&self, is_taken: bool) {
        for outer in self.outer_of_this_name() {
            outer.is_taken_inside.store(is_taken, Ordering::SeqCst);
        }
    }

    pub(super) fn outer_of_this_name(&self) -> impl Iterator<Item = &Visit> {
        let name = self.sessions.options().name();
        std::iter::successors(self.outer.as_deref(), |visit| visit.outer.as_deref())
            .filter(move |visit| visit.sessions.options().name() == name)
    }

    /// Whether the browser has, or will be sent, a cookie of this visit's session. Two layers with the same options
    /// have the same session.
    async fn has_cookie(&self, inner: Option<&SessionId>) -> bool {
        let state = self.state.lock().await;
        match (&state.visit.cookie, state.session()) {
            (Outgoing::Session { id, .. }, _) => Some(id) != inner,
            (Outgoing::Nothing, Some(session)) => Some(&session.id) != inner,
            (Outgoing::Nothing, None) => state.contents.is_changed(),
            _ => true,
        }
    }
}
