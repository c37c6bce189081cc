use alloc::{format, string::ToString as _, sync::Arc, vec};

use super::*;
use crate::{
    KeyRing, OptionsInput, Timeouts,
    crypto::base64,
    protocol::{Rules, testing::rules_of},
};

const NOW: UnixMillis = UnixMillis(1_000_000);

fn key(n: u8) -> String {
    base64::url(&[n; 64])
}

fn bound() -> Binding {
    let next = Challenge { text: "next".into(), at: NOW };
    Binding::Bound { key: key(1), since: NOW, first: "first".into(), next }
}

fn meta(binding: &Binding) -> Meta {
    let slots = Slots::default().put(SLOT, &binding.text(), FOREVER, NOW).unwrap();
    Meta { slots, ..Meta::default() }
}

fn rules(secrets: &[&str]) -> Rules {
    let rules = rules_of(OptionsInput {
        device_bound: true,
        timeouts: Timeouts::new(None, None, None, Some(5.0)).unwrap(),
        ..OptionsInput::default()
    });
    let keys = Some(Arc::new(KeyRing::new(secrets).unwrap()));
    Rules { keys, ..Arc::into_inner(rules).unwrap() }
}

#[test]
fn a_binding_is_read_as_it_was_written() {
    let offered = Binding::Offered(Challenge { text: "next".into(), at: NOW });
    assert_eq!(offered.text(), r#"{"challenge":"next","at":1000000}"#);
    let text = format!(
        r#"{{"key":"{}","first":"first","since":1000000,"challenge":"next","at":1000000}}"#,
        key(1)
    );
    assert_eq!(bound().text(), text);
    for binding in [offered, bound()] {
        let meta = meta(&binding);
        assert!(Binding::of(&meta) == Some(binding.clone()));
        assert_eq!(meta.is_bound(), binding == bound());
    }
    assert!(Binding::of(&Meta::default()).is_none() && !Meta::default().is_bound());
    assert!(meta(&Binding::Unreadable).is_bound());
}

#[test]
fn a_bound_cookie_is_signed_by_each_secret_and_for_one_key() {
    let (old, both) = (rules(&["the old secret"]), rules(&["the new secret", "the old secret"]));
    let later = NOW.plus(60_000);
    let cookie = |rules: &Rules, key: &str| {
        let value = cookie::value(rules.keys.as_ref().unwrap(), key, later);
        Shown::Cookies(vec!["x".into(), value])
    };
    let meta = meta(&bound());
    let at = NOW.plus(30_000);
    assert!(cookie(&old, &key(1)).admits(&old, &meta, at));
    assert!(cookie(&old, &key(1)).admits(&both, &meta, at));
    assert!(!cookie(&both, &key(1)).admits(&old, &meta, at));
    assert!(!cookie(&old, &key(2)).admits(&old, &meta, at));
    // Without keys, as while the application is built, nothing is admitted.
    let none = Rules { keys: None, ..rules(&["the old secret"]) };
    assert!(!cookie(&old, &key(1)).admits(&none, &meta, at));
    assert!(Shown::Proves.admits(&none, &meta, at));
    // Its own grace period, and that of the registration.
    let shown = cookie(&old, &key(1));
    assert!(shown.admits(&old, &meta, later.plus(4_999)));
    assert!(!shown.admits(&old, &meta, later.plus(5_000)));
    assert!(Shown::default().admits(&old, &meta, NOW.plus(4_999)));
    assert!(!Shown::default().admits(&old, &meta, NOW.plus(5_000)));
}

#[test]
fn the_known_answer_of_a_bound_cookie() {
    // node:crypto: createHmac('sha256', 'a secret').update('vestiary.bound.v1\0' + '1060000.' + key)
    let rules = rules(&["a secret"]);
    let value = cookie::value(rules.keys.as_ref().unwrap(), &key(1), UnixMillis(1_060_000));
    assert_eq!(value, "1060000.q9PPX8egNU5SsuI91-p6kKMYHDBWqYkQ_HD3c54rrKM");
}

#[test]
fn cookies_are_found_by_their_name_only_where_the_option_is_on() {
    let on = rules(&["a secret"]);
    let header =
        b"connect.sid=a; connect.sid.bound=1.x; Connect.sid.bound=2.x; connect.sid.bound=3.x";
    assert_eq!(Shown::of(header, &on.options), ["1.x", "3.x"]);
    let long = format!("connect.sid.bound={}", "9".repeat(65));
    assert!(Shown::of(long.as_bytes(), &on.options).is_empty());
    assert!(Shown::of(b"connect.sid.bound=\xFF", &on.options).is_empty());
    let off = rules_of(OptionsInput::default());
    assert!(Shown::of(header, &off.options).is_empty());
}

#[test]
fn only_an_offered_session_asks_for_a_registration() {
    let on = rules(&["a secret"]);
    let offered = Binding::Offered(Challenge { text: "next".into(), at: NOW });
    let header = r#"(ES256);path="/device-session/register";challenge="next""#;
    assert_eq!(registration(&on, &meta(&offered)).as_deref(), Some(header));
    assert_eq!(registration(&on, &meta(&bound())), None);
    assert_eq!(registration(&on, &Meta::default()), None);
    let off = rules_of(OptionsInput::default());
    assert_eq!(registration(&off, &meta(&offered)), None);
}

#[test]
fn debug_shows_nothing_of_a_proof_a_cookie_or_a_challenge() {
    let exchange = Exchange { registers: false, proof: "secret", session: "secret" };
    let shown = Shown::Cookies(vec!["secret".to_string()]);
    let answer = Answer::asked("secret", &Challenge { text: "secret".into(), at: NOW });
    let text = format!("{exchange:?} {shown:?} {:?} {answer:?}", Shown::Proves);
    assert_eq!(text, "Exchange { registers: false, .. } Cookies Proves Answer { status: 403, .. }");
}
