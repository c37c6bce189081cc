//! The headers of a response: the cookie, and those for caches.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use vestiary::{binding::registration, protocol::Rules, response, visit::Outgoing};

use super::{State, Visit};

/// Asks the browser to bind the session to its device.
const REGISTRATION: HeaderName = HeaderName::from_static("secure-session-registration");

impl State {
    /// Whether the session is bound to its device.
    pub(crate) fn is_bound(&self, of: &Visit) -> bool {
        self.visit.is_bound(of.sessions.rules())
    }

    /// Asks the browser to bind the session that was logged in just now. Only this response does: an attacker
    /// who has the challenge can bind the session.
    pub(super) fn offer_binding(&mut self, rules: &Rules) {
        let meta = self.session().map(|session| session.record.meta());
        let header = meta.and_then(|meta| registration(rules, meta));
        self.registration = header.and_then(|header| HeaderValue::try_from(header).ok());
    }
}

impl Visit {
    /// Adds the cookie and the headers for caches to a response.
    pub(super) fn add_cookie(&self, state: &State, headers: &mut HeaderMap) {
        vary_by_cookie(headers);
        let cookie = self.outgoing(state);
        if cookie.is_some() || self.is_private() {
            let control = list_of(headers, header::CACHE_CONTROL);
            if let Some(control) = response::cache_control(Some(&control)) {
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(control));
            }
        }
        let Some(cookie) = cookie else { return };
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
        if let (Some(value), Outgoing::Session { .. }) = (&state.registration, &state.visit.cookie)
        {
            headers.insert(REGISTRATION, value.clone());
        }
    }

    fn outgoing(&self, state: &State) -> Option<HeaderValue> {
        let (id, own) = match state.visit.outgoing(&self.asking()) {
            Outgoing::Nothing => return None,
            Outgoing::Session { id, own } => (Some(id), own),
            Outgoing::Removal { own } | Outgoing::Expired { own, .. } => (None, own),
        };
        let header = self.sessions.set_cookie_with(own.as_ref(), id, self.secure_here);
        HeaderValue::try_from(header).ok()
    }
}

/// Tells caches that the response depends on the cookie.
fn vary_by_cookie(headers: &mut HeaderMap) {
    let Some(vary) = response::vary(Some(&list_of(headers, header::VARY))) else { return };
    let is_text = headers.get_all(header::VARY).iter().all(|value| value.to_str().is_ok());
    // A header that cannot be read stays beside the new one.
    if vary == response::VARY || !is_text {
        headers.append(header::VARY, HeaderValue::from_static(response::VARY));
    } else if let Ok(vary) = HeaderValue::try_from(vary) {
        headers.insert(header::VARY, vary);
    }
}

fn list_of(headers: &HeaderMap, name: HeaderName) -> String {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(", ")
}

fn is_named(set_cookie: &HeaderValue, name: &str) -> bool {
    let rest = set_cookie.as_bytes().strip_prefix(name.as_bytes());
    rest.is_some_and(|rest| rest.first() == Some(&b'='))
}
