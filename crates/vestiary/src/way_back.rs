use alloc::{borrow::ToOwned as _, string::String};

/// The longest way back, in bytes. Longer ones would not fit into a query that servers accept.
const LONGEST: usize = 2_048;

/// Returns `text` if it is a path of the origin that it is sent from, with or without a query: a page to which a login may
/// send its visitor back. `None` for all else. Anyone can write a link to a login page, and a browser must not be led from
/// there to another site.
///
/// ```
/// # use vestiary::way_back;
/// assert_eq!(way_back("/orders?page=2"), Some("/orders?page=2"));
/// for elsewhere in ["https://evil.example/", "//evil.example", "/\\evil.example", "orders", ""] {
///     assert_eq!(way_back(elsewhere), None);
/// }
/// ```
#[must_use]
pub fn way_back(text: &str) -> Option<&str> {
    let (mut before, mut in_path) = (0, true);
    for byte in text.bytes() {
        in_path &= !matches!(byte, b'?' | b'#');
        // Browsers drop tabs and line ends, and no `Location` has other characters than these. They read `\` as `/`, and two
        // slashes begin a host, also once the segments `.` and `..` before them are resolved.
        let is_safe = byte.is_ascii_graphic() && byte != b'\\' && (byte, before) != (b'/', b'/');
        if !is_safe && (in_path || !byte.is_ascii_graphic()) {
            return None;
        }
        before = byte;
    }
    (text.starts_with('/') && text.len() <= LONGEST).then_some(text)
}

/// The address of a login page `at` this path, with the way back to the page that was `asked` for in a parameter of its
/// query. Without the way back if that is no [`way_back`], or the login page itself.
///
/// ```
/// # use vestiary::login_page;
/// assert_eq!(login_page("/login", "next", "/orders?page=2"), "/login?next=/orders%3Fpage%3D2");
/// assert_eq!(login_page("/login?by=mail", "to", "/orders"), "/login?by=mail&to=/orders");
/// assert_eq!(login_page("/login", "next", "//evil.example"), "/login");
/// ```
#[must_use]
pub fn login_page(at: &str, parameter: &str, asked: &str) -> String {
    let mut page = at.to_owned();
    let path = |page: &str| page.bytes().take_while(|byte| *byte != b'?').count();
    let is_itself = at.get(..path(at)) == asked.get(..path(asked));
    let Some(back) = way_back(asked).filter(|_| !is_itself) else { return page };
    page.push(if path(at) < at.len() { '&' } else { '?' });
    page.extend([parameter, "="]);
    for byte in back.bytes() {
        // All other characters could end the value of a parameter, or be read as something else.
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            page.push(byte.into());
        } else {
            page.push('%');
            for digit in [byte >> 4, byte & 15] {
                page.extend(char::from_digit(digit.into(), 16).map(|it| it.to_ascii_uppercase()));
            }
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::*;

    #[test]
    fn paths_of_this_origin_lead_back() {
        for path in
            ["/", "/a", "/a/b/?q=1&r=%20", "/a?to=https://b.example//", "/a#b", "/~a/.b/..c"]
        {
            assert_eq!(way_back(path), Some(path));
        }
    }

    #[test]
    fn nothing_leads_to_another_origin() {
        let long = format!("/{}", "a".repeat(LONGEST));
        for text in [
            "",
            "a",
            "?q",
            "https://evil.example",
            "javascript:alert(1)",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "\u{0}/a",
            " /a",
            "/a b",
            "/.//evil.example",
            "/%2e//evil.example",
            "/a/..//evil.example",
            "/a\\..\\\\evil.example",
            "/\u{e9}",
            "/\u{ff0f}evil.example",
            &long,
        ] {
            assert_eq!(way_back(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_login_page_does_not_lead_to_itself() {
        for (at, asked) in [("/login", "/login"), ("/in?by=mail", "/in?x"), ("/in", "/in?x=/y")] {
            assert_eq!(login_page(at, "next", asked), at);
        }
        assert_eq!(login_page("/login", "next", "/login/help"), "/login?next=/login/help");
    }

    #[test]
    fn what_could_end_the_parameter_is_encoded() {
        let page = login_page("/login", "next", "/a?b=%20&c='\"#d+e!(*)~-._");
        assert_eq!(page, "/login?next=/a%3Fb%3D%2520%26c%3D%27%22%23d%2Be%21%28%2A%29~-._");
    }

    #[test]
    fn no_text_panics() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let text: String = ['/', char::from(first), char::from(second)].iter().collect();
                let leads = way_back(&text).is_some();
                assert!(!leads || text.is_ascii(), "{text:?}");
            }
        }
    }
}
