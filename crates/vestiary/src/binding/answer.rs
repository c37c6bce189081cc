use alloc::string::String;

use super::{Binding, Challenge, cookie, name_of};
use crate::{DeviceBoundOptions, Meta, UnixMillis, json, protocol::Rules};

/// The response to a browser that registers or refreshes. It must not be cached.
#[derive(Clone, Eq, PartialEq)]
pub struct Answer {
    /// The status: 200; 403 with a challenge, which the browser answers at once; or 400, after which the browser forgets
    /// the binding.
    pub status: u16,
    /// The header `Secure-Session-Challenge`.
    pub challenge: Option<String>,
    /// The header `Set-Cookie` of the bound cookie.
    pub cookie: Option<String>,
    /// The instructions for the browser: JSON text, or empty.
    pub body: String,
}

/// The header `Secure-Session-Registration` for the response to a login, which asks the browser to bind the session with
/// this metadata. `None` if it is not to be bound. Only the response to the login itself may have it, or the next one of the
/// session if that response could have no header: an attacker who has the challenge can register.
#[must_use]
pub fn registration(rules: &Rules, meta: &Meta) -> Option<String> {
    let device = rules.options.device_bound()?;
    let Some(Binding::Offered(challenge)) = Binding::of(meta) else { return None };
    let parts =
        ["(ES256);path=\"", device.path(), "/register\";challenge=\"", &challenge.text, "\""];
    Some(parts.concat())
}

impl Answer {
    /// The refusal.
    pub(crate) fn refused() -> Self {
        Self { status: 400, challenge: None, cookie: None, body: String::new() }
    }

    /// The demand for a proof.
    pub(crate) fn asked(key: &str, next: &Challenge) -> Self {
        Self { status: 403, challenge: Some(header(key, next)), ..Self::refused() }
    }

    /// The bound cookie of the session with this metadata, which lasts from `now` on; and the next challenge.
    pub(crate) fn bound(
        rules: &Rules,
        device: &DeviceBoundOptions,
        meta: &Meta,
        now: UnixMillis,
    ) -> Self {
        let (Some(Binding::Bound { key, next, .. }), Some(keys)) = (Binding::of(meta), &rules.keys)
        else {
            return Self::refused();
        };
        let options = rules.options.for_session(meta);
        let set = device.cookie(options.set_cookie(true));
        let value = cookie::value(keys, &key, now.plus(device.max_age()));
        let body = [
            "{\"session_identifier\":\"",
            &name_of(&key),
            "\",\"refresh_url\":\"",
            device.path(),
            "/refresh\",\"scope\":{\"include_site\":false},\"credentials\":[{\"type\":\"cookie\",\"name\":",
            &json::quoted(device.name().as_str()),
            ",\"attributes\":",
            &json::quoted(&set.attributes()),
            "}]}",
        ];
        Self {
            status: 200,
            challenge: Some(header(&key, &next)),
            cookie: Some(set.with_value(&value)),
            body: body.concat(),
        }
    }
}

/// The header with the challenge of the next proof.
fn header(key: &str, next: &Challenge) -> String {
    ["\"", &next.text, "\";id=\"", &name_of(key), "\""].concat()
}

/// Hides the challenge and the cookie.
impl core::fmt::Debug for Answer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}
