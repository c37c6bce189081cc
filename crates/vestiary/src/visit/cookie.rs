use super::{Fault, Purpose, Request, State, Visit, host_for};
use crate::{
    CookieOverrides, SessionId,
    decide::CookieStep,
    protocol::{self, Host as _, Rules, seeded},
    session,
};

/// The fate of the cookie in a response.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Outgoing {
    /// It is left alone.
    #[default]
    Nothing,
    /// It is set to this ID.
    Session {
        /// The ID, to be signed.
        id: SessionId,
        /// The session's own cookie attributes.
        own: Option<CookieOverrides>,
    },
    /// It is removed.
    Removal {
        /// The own cookie attributes of the session that it led to.
        own: Option<CookieOverrides>,
    },
    /// It is removed because its session has expired, unless another request of the visitor has begun a new session.
    Expired {
        /// The ID of the session.
        id: SessionId,
        /// The session's own cookie attributes.
        own: Option<CookieOverrides>,
    },
}

impl<E> Visit<E> {
    /// The fate of the cookie when the response leaves. If a faster request has taken its ID out of use, the cookie is not
    /// sent, because it could overwrite a newer one.
    #[must_use]
    pub fn outgoing<R: Request>(&self, request: &R) -> &Outgoing {
        match &self.cookie {
            Outgoing::Session { id, .. } | Outgoing::Expired { id, .. }
                if request.is_out_of_use(id) && !seeded(protocol::Fault::SendsOutOfUseCookie) =>
            {
                &Outgoing::Nothing
            }
            cookie => cookie,
        }
    }

    /// The ID in the cookie, if it must be confirmed: another request may have ended or replaced its session since, and no
    /// store reply has shown the contrary.
    pub(super) fn unconfirmed<R: Request>(&self, request: &R) -> Option<&SessionId> {
        match &self.cookie {
            Outgoing::Session { id, .. } if self.certain.as_ref() != Some(id) => {
                (!request.is_out_of_use(id)).then_some(id)
            }
            _ => None,
        }
    }

    pub(super) fn cookie_step<R: Request>(&mut self, request: &mut R, step: CookieStep) {
        match step {
            CookieStep::Set if !request.has_left() => {
                let Some(id) = self.id().cloned() else { return };
                self.cookie = Outgoing::Session { id, own: self.own_cookie().cloned() };
                // The visitor has this session now: no other response may remove its cookie.
                for lost in core::mem::take(&mut self.lost) {
                    if !seeded(protocol::Fault::ForgetsLost) {
                        request.host().take_out_of_use(&lost);
                    }
                }
                self.cookie_out = true;
            }
            CookieStep::Clear => {
                self.cookie = Outgoing::Removal { own: self.own_cookie().cloned() }
            }
            CookieStep::Set | CookieStep::Keep | CookieStep::Late => {}
        }
    }

    /// Ends the session at once, because this process has revoked it. The request that revoked it (`by_itself`) removes the
    /// cookie, even if one of its operations has found the session gone before. In another request, the removal could hit a
    /// newer cookie.
    pub fn revoked<R: Request>(&mut self, request: &mut R, by_itself: bool) {
        if let Some(id) = self.id() {
            request.host().take_out_of_use(id);
            self.ended();
        }
        if by_itself && matches!((&self.state, &self.cookie), (State::Ended, Outgoing::Nothing)) {
            self.cookie = Outgoing::Removal { own: self.parted.take() };
        }
    }
}

/// Asks the store whether the ID in the cookie is still in use. This is the last operation of a request, after which no
/// other cookie reaches the browser. Each process knows only the IDs that it has taken out of use itself.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn confirm<R: Request>(request: &mut R, rules: &Rules, visit: &mut Visit<Fault<R>>) {
    let Some(id) = visit.unconfirmed(request).cloned() else { return };
    if seeded(protocol::Fault::ConfirmsNothing) {
        return;
    }
    let host = host_for(request, Purpose::Read);
    let is_current = match session::is_current(host, rules, &id).await {
        Ok(is_current) => is_current,
        Err(error) => {
            host.failed(error);
            // The browser can do without a refresh of its cookie, but not without a new ID.
            !visit.received.contains(&id)
        }
    };
    if !is_current {
        visit.cookie = Outgoing::Nothing;
    }
}
