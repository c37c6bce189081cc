//! `Debug` output and error messages contain no ID and no part of a cookie.

#![allow(clippy::missing_docs_in_private_items, clippy::unwrap_used, reason = "a test may fail")]

use vestiary::{CookieValue, Format, KeyRing, SessionId, WriteId};

const SECRET: &str = "a secret of the tests, of more than 32 bytes";

#[test]
fn an_id_and_a_cookie_are_not_shown_and_the_write_id_is() {
    let id = SessionId::from_entropy(&[7; 24]);
    assert_eq!(format!("{id:?}"), "SessionId(…)");
    let cookie = KeyRing::checked(&[SECRET.to_owned()], None, true)
        .unwrap()
        .sign(&id, Format::SvelteKitSessions);
    let shown = format!("{:?}", CookieValue::parse(cookie.as_bytes()).unwrap());
    assert_eq!(shown, "CookieValue { format: SvelteKitSessions, .. }");
    let write = WriteId::from_entropy(&[7; 12]);
    assert_eq!(format!("{write:?}"), format!("WriteId(\"{}\")", write.as_str()));
}

#[test]
fn an_invalid_cookie_is_described_without_its_value() {
    let signature = "A".repeat(43);
    for (value, said) in [
        ("x".repeat(9_000), "longer than a cookie"),
        ("canary".to_owned(), "a signature of 43 characters"),
        (format!("\u{1}.{signature}"), "cannot be a session ID"),
    ] {
        let error = CookieValue::parse(value.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains("canary"), "{error}");
    }
}
