//! Layers around each other whose cookies have the same name. The browser has one cookie of a name, so a request can
//! begin only one session.

use std::sync::atomic::Ordering;

use vestiary_store::{SessionError, Stored};

use super::{Outgoing, State, Visit};

impl Visit {
    /// Takes the cookie for the session that this visit is about to begin. It must be given back
    /// ([`Visit::release_cookie`]) if that fails.
    ///
    /// # Errors
    /// [`SessionError::CookieNameTaken`] if it would take the place of another layer's cookie, or be lost to it.
    pub(super) async fn take_cookie(&self, state: &State) -> Result<(), SessionError> {
        if self.outer.is_none() && !self.is_taken_inside.load(Ordering::SeqCst) {
            return Ok(());
        }
        // Before the others are looked at: one that begins a session at the same time finds it taken.
        self.mark_outer(true);
        let mut is_taken = self.is_taken_inside.load(Ordering::SeqCst);
        for outer in self.outer_of_this_name() {
            is_taken |= outer.has_cookie(state.record.as_ref()).await;
        }
        if !is_taken {
            return Ok(());
        }
        self.mark_outer(false);
        let name = self.sessions.options().name().as_str().to_owned();
        Err(SessionError::CookieNameTaken { name })
    }

    /// The session was not begun, after all.
    pub(super) fn release_cookie(&self) {
        self.mark_outer(false);
    }

    fn mark_outer(&self, is_taken: bool) {
        for outer in self.outer_of_this_name() {
            outer.is_taken_inside.store(is_taken, Ordering::SeqCst);
        }
    }

    fn outer_of_this_name(&self) -> impl Iterator<Item = &Visit> {
        let name = self.sessions.options().name();
        std::iter::successors(self.outer.as_deref(), |visit| visit.outer.as_deref())
            .filter(move |visit| visit.sessions.options().name() == name)
    }

    /// Whether the browser has a cookie of this visit's session, or will be sent one. Two layers of the same options
    /// have the same session.
    async fn has_cookie(&self, inner: Option<&Stored>) -> bool {
        let state = self.state.lock().await;
        let is_another = |stored: &Stored| Some(stored.id()) != inner.map(Stored::id);
        match (&state.cookie, &state.record) {
            (Outgoing::Session(stored), _) => is_another(stored),
            (Outgoing::Nothing, Some(stored)) => is_another(stored),
            (Outgoing::Nothing, None) => state.contents.is_changed(),
            _ => true,
        }
    }
}
