//! The headers that tell caches about the session cookie.
//!
//! A shared cache that stores a `Set-Cookie` gives one visitor's session to another. So such a response must not be
//! stored, and varies by `Cookie` (docs/explanation/security.md, requirement 24).

use alloc::{borrow::ToOwned as _, string::String};

/// The `Cache-Control` of a response that sets the cookie; `None` if the present value suffices.
///
/// ```
/// # use vestiary::response;
/// assert_eq!(response::cache_control(Some("public, max-age=60")), Some("no-store"));
/// assert_eq!(response::cache_control(Some("no-store, must-revalidate")), None);
/// ```
#[must_use]
pub fn cache_control(present: Option<&str>) -> Option<&'static str> {
    (!has_member(present, "no-store")).then_some("no-store")
}

/// The `Vary` of a response that depends on the session and has no `Vary` yet.
pub const VARY: &str = "Cookie";

/// The `Vary` of a response that depends on the session; `None` if the present value suffices.
///
/// ```
/// # use vestiary::response;
/// assert_eq!(response::vary(Some("Accept")).as_deref(), Some("Accept, Cookie"));
/// assert_eq!(response::vary(Some("accept, cookie")), None);
/// ```
#[must_use]
pub fn vary(present: Option<&str>) -> Option<String> {
    if has_member(present, "cookie") || has_member(present, "*") {
        return None;
    }
    Some(match present.map(str::trim_ascii) {
        None | Some("") => VARY.to_owned(),
        Some(present) => [present, ", Cookie"].concat(),
    })
}

fn has_member(list: Option<&str>, member: &str) -> bool {
    list.is_some_and(|list| {
        let mut items = list.as_bytes().split(|byte| *byte == b',');
        items.any(|item| item.trim_ascii().eq_ignore_ascii_case(member.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_shared_cache_may_keep_is_left() {
        for present in
            [None, Some(""), Some("public, s-maxage=9"), Some("private"), Some("x-no-store")]
        {
            assert_eq!(cache_control(present), Some("no-store"), "{present:?}");
        }
    }

    #[test]
    fn vary_is_merged() {
        assert_eq!(vary(None).as_deref(), Some("Cookie"));
        assert_eq!(vary(Some(" ")).as_deref(), Some("Cookie"));
        assert_eq!(vary(Some("*")), None);
        assert_eq!(vary(Some("X-Cookie")).as_deref(), Some("X-Cookie, Cookie"));
    }
}
