//! Cookie attributes of one session that override the options, and the accepted characters and lengths.

#![allow(clippy::missing_docs_in_private_items, clippy::unwrap_used, reason = "a test may fail")]

use vestiary::{
    CookieOptions, CookieOverrides, Options, OptionsInput, WriteId, protocol::UserSessions,
};

/// Whether a session with these attributes is refreshed whenever it is used, and after how long in the store.
fn rolling(rolls: bool, touch_after: Option<f64>, own: &str) -> (bool, u64) {
    let input = OptionsInput {
        rolling: rolls,
        touch_after,
        cookie: CookieOptions { max_age: Some(60.0), ..CookieOptions::default() },
        ..OptionsInput::default()
    };
    let options = Options::new(input).unwrap();
    let own = options.overridden(&CookieOverrides::parse(own).unwrap().unwrap()).unwrap();
    (own.policy().rolling, own.touch_after())
}

#[test]
fn a_rolling_session_with_a_lifetime_of_its_own_is_refreshed_by_that() {
    assert_eq!(rolling(true, None, r#"{"maxAge":120}"#), (true, 12_000));
    assert_eq!(rolling(true, Some(5.0), r#"{"maxAge":120}"#), (true, 5_000));
    // Without a lifetime there is nothing to refresh.
    assert_eq!(rolling(true, None, r#"{"maxAge":null}"#), (false, 0));
    assert_eq!(rolling(true, Some(5.0), r#"{"maxAge":null}"#), (false, 0));
    assert_eq!(rolling(false, None, r#"{"maxAge":120}"#), (false, 0));
    assert_eq!(rolling(false, Some(5.0), r#"{"maxAge":120}"#), (false, 0));
}

#[test]
fn a_session_may_have_its_own_secure_and_path() {
    let options = Options::new(OptionsInput::default()).unwrap();
    let cookie = |own: &str| {
        let own = CookieOverrides::parse(own).unwrap().unwrap();
        options.overridden(&own).unwrap().set_cookie(false).with_value("x")
    };
    let secure = cookie(r#"{"secure":true}"#);
    assert_eq!(secure, "connect.sid=x; Path=/; HttpOnly; Secure; SameSite=Lax");
    assert_eq!(cookie(r#"{"path":"/app"}"#), "connect.sid=x; Path=/app; HttpOnly; SameSite=Lax");
}

#[test]
fn name_and_value_fit_into_what_a_browser_keeps_together() {
    let cookie = Options::new(OptionsInput::default()).unwrap().set_cookie(false);
    let most = 4_096 - "connect.sid".len();
    assert!(cookie.with_encoded(&"x".repeat(most)).is_ok());
    assert!(cookie.with_encoded(&"x".repeat(most + 1)).is_err());
}

#[test]
fn a_write_id_has_no_other_characters_however_many_they_are() {
    for (text, is_good) in
        [("AAAAAAAAAAAAAA-_", true), ("AAAAAAAAAAAAAAA!", false), ("AAAAAAAAAAAAAA!!", false)]
    {
        assert_eq!(WriteId::parse(text).is_some(), is_good, "{text}");
    }
}

#[test]
fn a_control_character_in_a_label_is_escaped() {
    assert_eq!(UserSessions::label("\u{1f}"), "\"\\u001f\"");
}
