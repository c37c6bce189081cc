//! Sessions that are bound to a device.

use vestiary::binding::Shown;
use vestiary_store::{DeviceBound, Found, MemoryStore, Sessions};

use super::{config, planted};

/// A session whose binding has this text.
async fn with_binding(sessions: &Sessions, binding: &str) -> Found {
    let slots = format!(r#"{{"vestiary:device":{{"until":253402300799999,"value":{binding}}}}}"#);
    let id = planted(sessions, &format!(r#"{{"slots":{slots}}}"#)).await;
    let cookie = format!("sid={}; sid.bound=1.x", sessions.sign(&id));
    sessions.find(&sessions.cookies([cookie.as_bytes()])).await.unwrap()
}

const BOUND: &str = r#"{"key":"AAAA","first":"a","since":1,"challenge":"b","at":1}"#;

#[tokio::test]
async fn a_bound_session_needs_its_device_where_the_option_is_on() {
    let config = config().device_bound(DeviceBound::default());
    let sessions = Sessions::new(&config, MemoryStore::default()).unwrap();
    let Found::Unbound(session) = with_binding(&sessions, BOUND).await else { panic!() };
    assert!(session.is_bound());
    // A job may still end it.
    sessions.destroy(&session).await.unwrap();
    assert!(sessions.load(session.id()).await.unwrap().is_none());
    let without = Sessions::new(&super::config(), MemoryStore::default()).unwrap();
    assert!(matches!(with_binding(&without, BOUND).await, Found::Session(_)));
}

#[tokio::test]
async fn a_binding_that_cannot_be_read_admits_no_request() {
    let config = config().device_bound(DeviceBound::default());
    let sessions = Sessions::new(&config, MemoryStore::default()).unwrap();
    for binding in [
        "null",
        "1",
        "[]",
        "{}",
        r#"{"key":"AAAA"}"#,
        r#"{"challenge":"b"}"#,
        r#"{"challenge":"b","at":"1"}"#,
        r#"{"key":1,"first":"a","since":1,"challenge":"b","at":1}"#,
        r#"{"key":"AAAA","first":"a","challenge":"b","at":1}"#,
        r#"{"challenge":"b","at":1,"challenge":"c"}"#,
    ] {
        let found = with_binding(&sessions, binding).await;
        assert!(matches!(found, Found::Unbound(_)), "{binding}");
    }
    // What a login offers binds nothing yet.
    let offered = with_binding(&sessions, r#"{"challenge":"b","at":1}"#).await;
    assert!(matches!(offered, Found::Session(_)));
}

#[tokio::test]
async fn each_header_is_searched_for_the_bound_cookie() {
    let config = config().device_bound(DeviceBound::default());
    let sessions = Sessions::new(&config, MemoryStore::default()).unwrap();
    // A browser may send each cookie in a header of its own, and other domains may have planted cookies (HTTP/2).
    let planted = ["sid=a", "sid=b", "sid=c", "sid=d", "sid=e", "sid.bound=1.x"];
    let cookies = sessions.cookies(planted.map(str::as_bytes));
    assert!(cookies.present);
    assert_eq!(cookies.shown, Shown::Cookies(vec!["1.x".into()]));
}
