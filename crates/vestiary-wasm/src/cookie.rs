//! The session cookie: read, signed, set and removed; and the headers for caches.

use alloc::{borrow::ToOwned as _, string::String, vec::Vec};

use vestiary::{CookieOverrides, SessionId, binding::Shown, cookie_header, response, way_back};
use wasm_bindgen::prelude::*;

use crate::{convert::thrown, options::Core};

#[wasm_bindgen]
impl Core {
    /// Reads a `Cookie` header: `length` bytes in the input, or `long` if it does not fit there. Writes the IDs with a valid
    /// signature to the output, one a line. If there are any, a line with a comma and the value follows for each bound
    /// cookie. Returns their length, or -1 if no cookie has our name.
    #[wasm_bindgen(js_name = readCookies)]
    pub fn read_cookies(&mut self, length: usize, long: Option<String>) -> i32 {
        let Some((ids, shown)) = self.ids(length, long) else { return -1 };
        let mut lines = String::new();
        for id in &ids {
            if !lines.is_empty() {
                lines.push('\n');
            }
            lines.push_str(id.expose());
        }
        for value in shown.iter().filter(|_| !ids.is_empty()) {
            lines.extend(["\n,", value]);
        }
        put(&mut self.output, &lines) as i32
    }

    /// Makes an ID of the 24 random bytes in the input, and writes it to the output. Returns its length.
    #[wasm_bindgen(js_name = newId)]
    pub fn new_id(&mut self) -> usize {
        let id = self.input.first_chunk().map(SessionId::from_entropy);
        id.map_or(0, |id| put(&mut self.output, id.expose()))
    }

    /// Signs the ID of `length` bytes in the input, and writes the cookie's value to the output. Returns its length; 0
    /// without keys or an ID.
    pub fn sign(&mut self, length: usize) -> usize {
        self.signed(length).map_or(0, |value| put(&mut self.output, &value))
    }

    /// The `Set-Cookie` header of the signed ID of `length` bytes in the input; undefined without keys or an ID. `own` is
    /// the JSON text of the session's own cookie attributes.
    #[wasm_bindgen(js_name = setId)]
    pub fn set_id(&self, length: usize, secure_here: bool, own: Option<String>) -> Option<String> {
        let value = self.signed(length)?;
        Some(self.own(own.as_deref()).set_cookie(secure_here).with_value(&value))
    }

    /// The `Set-Cookie` header of a value; `encoded` if the application's own encoder made it. `own` is the JSON text of the
    /// session's own cookie attributes.
    #[wasm_bindgen(js_name = setCookie)]
    pub fn set_cookie(
        &self,
        value: &str,
        encoded: bool,
        secure_here: bool,
        own: Option<String>,
    ) -> Result<String, String> {
        let cookie = self.own(own.as_deref()).set_cookie(secure_here);
        if encoded {
            cookie.with_encoded(value).map_err(thrown)
        } else {
            Ok(cookie.with_value(value))
        }
    }

    /// The `Set-Cookie` header that removes the cookie.
    #[wasm_bindgen(js_name = removeCookie)]
    pub fn remove_cookie(&self, secure_here: bool, own: Option<String>) -> String {
        self.own(own.as_deref()).set_cookie(secure_here).removal()
    }

    /// The option `Secure` for a session with these cookie attributes of its own.
    #[wasm_bindgen(js_name = secureOf)]
    pub fn secure_of(&self, own: Option<String>) -> Option<bool> {
        self.own(own.as_deref()).secure()
    }

    /// Validates the JSON text of a session's own cookie attributes.
    #[wasm_bindgen(js_name = checkCookie)]
    pub fn check_cookie(&self, own: &str) -> Result<(), String> {
        match CookieOverrides::parse(own).map_err(thrown)? {
            Some(own) => self.options.overridden(&own).map(drop).map_err(thrown),
            None => Ok(()),
        }
    }
}

/// `login_page`
#[wasm_bindgen(js_name = loginPage)]
#[must_use]
pub fn login_page(at: &str, parameter: &str, asked: &str) -> String {
    vestiary::login_page(at, parameter, asked)
}

/// Whether a login may send its visitor back there: a page of this app.
#[wasm_bindgen(js_name = isWayBack)]
#[must_use]
pub fn is_way_back(text: &str) -> bool {
    way_back(text).is_some()
}

impl Core {
    fn signed(&self, length: usize) -> Option<String> {
        let id = self.input.get(..length).and_then(SessionId::from_bytes)?;
        Some(self.rules.keys.as_ref()?.sign(&id, self.options.format()))
    }

    /// The IDs with a valid signature in the cookies of a header, and the values of its bound cookies: `length` bytes in the
    /// input, or `long`. `None` if no cookie has our name.
    pub(crate) fn ids(
        &mut self,
        length: usize,
        long: Option<String>,
    ) -> Option<(Vec<SessionId>, Vec<String>)> {
        let header =
            long.as_ref().map_or(self.input.get(..length), |long| Some(long.as_bytes()))?;
        let mut candidates = cookie_header::candidates(header, self.options.name()).peekable();
        candidates.peek()?;
        let mut ids = Vec::new();
        for id in candidates.filter_map(|value| self.cookies.as_mut()?.verify(value)) {
            ids.push(id);
        }
        Some((ids, Shown::of(header, &self.options)))
    }
}

/// Whether an ID that the application made is valid.
#[wasm_bindgen(js_name = checkId)]
pub fn check_id(id: &str) -> Result<(), String> {
    SessionId::parse(id).map(drop).map_err(thrown)
}

/// The `Cache-Control` of a response that sets the cookie; undefined if the present value suffices.
#[wasm_bindgen(js_name = cacheControl)]
pub fn cache_control(present: Option<String>) -> Option<String> {
    response::cache_control(present.as_deref()).map(str::to_owned)
}

/// The `Vary` of a response that sets the cookie; undefined if the present value suffices.
#[wasm_bindgen]
pub fn vary(present: Option<String>) -> Option<String> {
    response::vary(present.as_deref())
}

/// Writes text to a buffer; returns the position of its end.
fn put(buffer: &mut [u8], text: &str) -> usize {
    if let Some(place) = buffer.get_mut(..text.len()) {
        place.copy_from_slice(text.as_bytes());
    }
    text.len()
}
