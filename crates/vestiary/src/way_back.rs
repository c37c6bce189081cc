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
