//! Reads the `Cookie` request header, byte by byte.
//!
//! A name prefix such as `__Host-` only protects if the server sees the same name as the browser. So names are compared
//! as bytes: never decoded, and trimmed of spaces and tabs only. A parser that decodes names or trims Unicode white
//! space would let a sibling domain plant a cookie (docs/explanation/security.md, requirement 27).

use crate::CookieName;

/// The maximum number of cookies of one name that are tried per request.
///
/// A sibling domain or a deeper path can add a cookie of the same name, before or after the valid one. Each is tried,
/// but the limit keeps an attacker from making the server try thousands.
pub const MOST_CANDIDATES: usize = 4;

/// The values under `name` in a `Cookie` header, in order, at most [`MOST_CANDIDATES`].
///
/// Join several `Cookie` headers with `;` first. Other cookies may have any form, and the time is linear in the length
/// of the header (RFC 6265bis section 5.6).
///
/// ```
/// # use vestiary::{CookieName, cookie_header};
/// let name = CookieName::new("sid")?;
/// let found: Vec<_> = cookie_header::candidates(b"a=1; sid=x;sid = y ; SID=no; %73id=no", &name).collect();
/// assert_eq!(found, [b"x", b"y"]);
/// # Ok::<(), vestiary::Error>(())
/// ```
pub fn candidates<'h>(header: &'h [u8], name: &CookieName) -> impl Iterator<Item = &'h [u8]> {
    pairs(header)
        .filter_map(move |pair| {
            let equals = place_of(b'=', pair)?;
            let (key, value) = pair.split_at_checked(equals)?;
            let (_, value) = value.split_first()?;
            (trim(key) == name.as_str().as_bytes()).then(|| trim(value))
        })
        .take(MOST_CANDIDATES)
}

/// Splits the header at semicolons.
fn pairs(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut left = Some(header);
    core::iter::from_fn(move || {
        let header = left?;
        let end = place_of(b';', header).unwrap_or(header.len());
        left = header.get(end + 1..);
        header.get(..end)
    })
}

/// The first position of a byte. Headers of many kilobytes are searched on every request.
#[cfg(not(target_arch = "wasm32"))]
fn place_of(byte: u8, bytes: &[u8]) -> Option<usize> {
    memchr::memchr(byte, bytes)
}

/// The first position of a byte. A library for this would be larger than most headers.
#[cfg(target_arch = "wasm32")]
fn place_of(byte: u8, bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|other| *other == byte)
}

/// Trims spaces and tabs, and nothing else (RFC 6265bis section 5.6 step 4).
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn values(header: &[u8]) -> Vec<&[u8]> {
        candidates(header, &CookieName::new("__Host-id").unwrap()).collect()
    }

    #[test]
    fn only_the_exact_name_counts() {
        for imposter in [
            &b"%5F%5FHost-id=evil"[..],
            "\u{2000}__Host-id=evil".as_bytes(),
            "\u{A0}__Host-id=evil".as_bytes(),
            b"\xA0__Host-id=evil",
            b"__host-id=evil",
            b"\x0B__Host-id=evil",
            b"\0__Host-id=evil",
            b"\"__Host-id\"=evil",
            b"x__Host-id=evil",
            b"__Host-id",
            b"=__Host-id=evil",
        ] {
            assert!(values(imposter).is_empty(), "{imposter:?}");
            let both = [imposter, b"; __Host-id=good; ", imposter].concat();
            assert_eq!(values(&both), [b"good"], "{imposter:?}");
        }
    }

    #[test]
    fn neighbours_that_are_no_text_do_no_harm() {
        assert_eq!(values(b"\xFF\xFE=\xA0; __Host-id=good; \xC3("), [b"good"]);
    }

    #[test]
    fn planted_cookies_do_not_hide_the_valid_one() {
        assert_eq!(values(b"__Host-id=evil; __Host-id=good"), [&b"evil"[..], b"good"]);
        assert_eq!(values(b"__Host-id=good; __Host-id=evil"), [&b"good"[..], b"evil"]);
        assert_eq!(values(&b"__Host-id=x; ".repeat(9)).len(), MOST_CANDIDATES);
    }

    #[test]
    fn values_keep_everything_but_the_blanks_around_them() {
        assert_eq!(values(b"__Host-id=\t a=b%3D\"c\" \t"), [b"a=b%3D\"c\""]);
        assert_eq!(values(b"__Host-id="), [b""]);
    }
}
