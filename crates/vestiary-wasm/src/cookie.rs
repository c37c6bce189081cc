//! The session cookie: read, signed, set and removed, and what caches are told about it.

use alloc::{borrow::ToOwned as _, string::String};

use vestiary::{CookieOverrides, KeyRing, Options, SessionId, cookie_header, response};
use wasm_bindgen::prelude::*;

use crate::{convert::thrown, options::Core};

/// Tag bit of what `readCookies` returns: the rest of the number packs the offset and length of the ID in the input.
pub(crate) const SPOT: i32 = 1 << 28;

/// More than the length of any ID.
pub(crate) const SPOT_LENGTHS: i32 = 1 << 9;

#[wasm_bindgen]
impl Core {
    /// Reads the `Cookie` header of `length` bytes in the input. The output gets the IDs that one
    /// of our secrets signed, a line feed after each. Returns their length, or -1 if no cookie has
    /// our name.
    ///
    /// If there is one ID, and nothing but ASCII before it, the output gets nothing: it is read out of the
    /// header itself, `2**28 + 512 * start + length`.
    #[wasm_bindgen(js_name = readCookies)]
    pub fn read_cookies(&mut self, length: usize) -> i32 {
        let Self { options, rules, input, output, .. } = self;
        input
            .get(..length)
            .map_or(-1, |header| read(options, rules.keys.as_deref(), header, output))
    }

    /// As `readCookies`, for a header that does not fit into the input.
    #[wasm_bindgen(js_name = readLongCookies)]
    pub fn read_long_cookies(&mut self, header: &str) -> i32 {
        read(&self.options, self.rules.keys.as_deref(), header.as_bytes(), &mut self.output)
    }

    /// Makes an ID of the 24 random bytes in the input; returns its length in the output.
    #[wasm_bindgen(js_name = newId)]
    pub fn new_id(&mut self) -> usize {
        let id = self.input.first_chunk().map(SessionId::from_entropy);
        id.map_or(0, |id| put(&mut self.output, 0, id.expose()))
    }

    /// Signs the ID of `length` bytes in the input; returns the length of the cookie's value in
    /// the output, 0 without keys or an ID.
    pub fn sign(&mut self, length: usize) -> usize {
        let id = self.input.get(..length).and_then(SessionId::from_bytes);
        let value = id.and_then(|id| {
            self.rules.keys.as_ref().map(|keys| keys.sign(&id, self.options.format()))
        });
        value.map_or(0, |value| put(&mut self.output, 0, &value))
    }

    /// The `Set-Cookie` header of a value; `encoded` if the application's own encoder made it. `own` is the
    /// session's own cookie attributes, JSON text.
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

    /// The option `Secure` for a session with these attributes of its own.
    #[wasm_bindgen(js_name = secureOf)]
    pub fn secure_of(&self, own: Option<String>) -> Option<bool> {
        self.own(own.as_deref()).secure()
    }

    /// Validates a session's own cookie attributes: JSON text.
    #[wasm_bindgen(js_name = checkCookie)]
    pub fn check_cookie(&self, own: &str) -> Result<(), String> {
        match CookieOverrides::parse(own).map_err(thrown)? {
            Some(own) => self.options.overridden(&own).map(drop).map_err(thrown),
            None => Ok(()),
        }
    }
}

/// Whether an ID of the application's own making may be one.
#[wasm_bindgen(js_name = checkId)]
pub fn check_id(id: &str) -> Result<(), String> {
    SessionId::parse(id).map(drop).map_err(thrown)
}

/// The `Cache-Control` of a response that sets the cookie; undefined if the present one will do.
#[wasm_bindgen(js_name = cacheControl)]
pub fn cache_control(present: Option<String>) -> Option<String> {
    response::cache_control(present.as_deref()).map(str::to_owned)
}

/// The `Vary` of a response that sets the cookie; undefined if the present one will do.
#[wasm_bindgen]
pub fn vary(present: Option<String>) -> Option<String> {
    response::vary(present.as_deref())
}

fn read(options: &Options, keys: Option<&KeyRing>, header: &[u8], output: &mut [u8]) -> i32 {
    let (mut end, mut ids, mut spot) = (-1, 0, None);
    for value in cookie_header::candidates(header, options.name()) {
        end = end.max(0);
        if let Some(id) = keys.and_then(|keys| keys.verify(value)) {
            ids += 1;
            spot = spot_of(header, value, id.expose());
            let id_end = put(output, end as usize, id.expose());
            end = put(output, id_end, "\n") as i32;
        }
    }
    spot.filter(|_| ids == 1).unwrap_or(end)
}

/// Where in the header the ID stands, if it does so as it is, and bytes are characters up to there.
fn spot_of(header: &[u8], value: &[u8], id: &str) -> Option<i32> {
    let at = value.windows(id.len()).position(|part| part == id.as_bytes())?;
    let start = value.as_ptr().addr() - header.as_ptr().addr() + at;
    let length = i32::try_from(id.len()).ok()?;
    let spot = i32::try_from(start).ok()?.checked_mul(SPOT_LENGTHS)?.checked_add(length)?;
    (header.get(..start)?.is_ascii() && spot < SPOT).then_some(SPOT + spot)
}

/// Puts text into a buffer at `start`; returns where it ends.
fn put(buffer: &mut [u8], start: usize, text: &str) -> usize {
    let end = start + text.len();
    if let Some(place) = buffer.get_mut(start..end) {
        place.copy_from_slice(text.as_bytes());
    }
    end
}
