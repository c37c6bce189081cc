use vestiary::{CookieOverrides, SessionId, binding::Shown, cookie_header, protocol::Rules};

use crate::{Sessions, Stored, sessions::Inner};

/// The session cookies of a request.
#[derive(Clone, Debug, Default)]
pub struct Cookies {
    /// Whether the request has a cookie of the session cookie's name, valid or not.
    pub present: bool,
    /// The IDs of the validly signed cookies, in their order, at most four.
    pub ids: Vec<SessionId>,
    /// The device of the request, if the options bind sessions: [`Config::device_bound`](crate::Config::device_bound).
    pub shown: Shown,
}

impl Sessions {
    /// Verifies the session cookies in these `Cookie` headers.
    pub fn cookies<'h>(&self, headers: impl IntoIterator<Item = &'h [u8]>) -> Cookies {
        let Inner { rules: Rules { options, .. }, keys, .. } = &*self.inner;
        let (mut cookies, mut bound) = (Cookies::default(), Vec::new());
        let mut left = cookie_header::MOST_CANDIDATES;
        for header in headers {
            bound.extend(Shown::of(header, options));
            for value in cookie_header::candidates(header, options.name()).take(left) {
                left = left.saturating_sub(1);
                cookies.present = true;
                cookies.ids.extend(keys.verify(value));
            }
        }
        cookies.shown = Shown::Cookies(bound);
        cookies
    }

    /// The cookie value for this ID.
    #[must_use]
    pub fn sign(&self, id: &SessionId) -> String {
        self.inner.keys.sign(id, self.inner.rules.options.format())
    }

    /// The `Set-Cookie` header for this ID, or the one that removes the cookie if there is none. `secure_here` is the
    /// value of `Secure` if the options leave it open.
    #[must_use]
    pub fn set_cookie(&self, id: Option<&SessionId>, secure_here: bool) -> String {
        self.set_cookie_with(None, id, secure_here)
    }

    /// The `Set-Cookie` header for this session with its own cookie attributes, or the one that removes its cookie.
    #[must_use]
    pub fn set_cookie_of(&self, stored: &Stored, removes: bool, secure_here: bool) -> String {
        let id = (!removes).then_some(&stored.id);
        self.set_cookie_with(stored.meta().cookie.as_ref(), id, secure_here)
    }

    /// As [`Sessions::set_cookie`], for a session with cookie attributes of its own.
    #[must_use]
    pub fn set_cookie_with(
        &self,
        own: Option<&CookieOverrides>,
        id: Option<&SessionId>,
        secure_here: bool,
    ) -> String {
        let options = &self.inner.rules.options;
        let own = own.and_then(|own| options.overridden(own).ok());
        let cookie = own.as_ref().unwrap_or(options).set_cookie(secure_here);
        id.map_or_else(|| cookie.removal(), |id| cookie.with_value(&self.sign(id)))
    }
}
