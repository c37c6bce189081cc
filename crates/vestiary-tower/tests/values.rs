//! Values of a session: which change is one, and the words for a value that has another type.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use axum::{Router, extract::Path, routing::get};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vestiary_tower::{Session, SessionError, SessionLayer};

use crate::support::{Browser, Faulty, config};

/// A browser with a session that holds this data, and its store.
async fn with_data(data: &str) -> (Browser, Faulty) {
    let store = Faulty::default();
    let layer = SessionLayer::new(&config(), store.clone()).unwrap();
    let sessions = layer.sessions().clone();
    let stored = sessions.create(data, None).await.unwrap();
    let set = async |Path(text): Path<String>, session: Session| {
        session.insert("x", serde_json::from_str::<Value>(&text).unwrap()).await
    };
    let app = Router::new()
        .route("/set/{text}", get(set))
        .route("/get", get(async |session: Session| wrong(session.get::<u8>("x").await)))
        .route("/text", get(async |session: Session| wrong(session.get::<String>("x").await)))
        .route("/typed", get(async |session: Session| wrong(session.typed::<Typed>().read().await)))
        .route(
            "/list",
            get(async |session: Session| wrong(session.typed::<Vec<u8>>().read().await)),
        )
        .route(
            "/remove",
            get(async |session: Session| session.remove::<Value>("x").await.map(drop)),
        )
        .route(
            "/begun",
            get(async |session: Session| {
                Ok::<_, SessionError>(session.typed::<Typed>().read().await?.x.to_string())
            }),
        )
        .layer(layer);
    store.calls();
    (Browser::with(&app, sessions.sign(stored.id())), store)
}

fn wrong<T: std::fmt::Debug>(read: Result<T, SessionError>) -> String {
    read.map_or_else(|error| error.to_string(), |value| format!("{value:?}"))
}

#[derive(Debug, Deserialize, Serialize)]
struct Typed {
    #[serde(default)]
    x: u8,
}

impl Default for Typed {
    fn default() -> Self {
        Self { x: 7 }
    }
}

#[tokio::test]
async fn another_spelling_of_a_value_is_no_change_and_another_value_is_one() {
    for (stored, set, is_changed) in [
        ("[1, 2]", "[1,2]", false),
        ("[ 1, 2, 3, 4, 5, 6, 7, 8, 9 ]", "[1,2,3,4,5,6,7,8,9]", false),
        ("[1, 2]", "[1]", true),
        ("[1, 2]", "[2,1]", true),
        (r#"{"b": 2, "a": 1}"#, r#"{"a":1,"b":2}"#, false),
        (r#"{"a": 1, "b": 2}"#, r#"{"a":1}"#, true),
        (r#"{"a": 1}"#, r#"{"a":2}"#, true),
        (r#"{"a": 1}"#, r#"{"c":1}"#, true),
        (r#""\u0061""#, r#""a""#, false),
        (r#""\u0061bcdefghijklmnopqrstuvwxyz""#, r#""abcdefghijklmnopqrstuvwxyz""#, false),
        (r#""\u0061""#, r#""b""#, true),
        ("1.50", "1.5", false),
        ("1.50", "1.25", true),
        ("true", "false", true),
        ("null", "0", true),
    ] {
        let (mut browser, store) = with_data(&format!(r#"{{"x":{stored}}}"#)).await;
        let escapes = [('{', "%7B"), ('}', "%7D"), ('"', "%22"), ('[', "%5B"), (']', "%5D")];
        let path =
            escapes.iter().fold(set.to_owned(), |path, (char, code)| path.replace(*char, code));
        browser.ok(&format!("/set/{path}")).await;
        let is_written = store.calls().iter().any(|(operation, _)| *operation == "replace");
        assert_eq!(is_written, is_changed, "{stored} {set}");
    }
}

#[tokio::test]
async fn an_error_names_the_kind_of_the_value_and_the_type_that_was_expected() {
    for (stored, kind) in [
        (r#""text""#, "a string"),
        ("{}", "an object"),
        ("[]", "an array"),
        ("true", "a boolean"),
        ("false", "a boolean"),
        ("null", "null"),
    ] {
        let (mut browser, _) = with_data(&format!(r#"{{"x":{stored}}}"#)).await;
        for path in ["/get", "/typed"] {
            let said = browser.ok(path).await;
            let said = (said.contains(&format!(", {kind},")), said.contains("expected u8"), said);
            assert!(said.0 && said.1, "{path} {}", said.2);
        }
    }
    let (mut browser, _) = with_data(r#"{"x":1}"#).await;
    let said = browser.ok("/text").await;
    assert!(said.contains(", a number,") && said.contains("expected a string"), "{said}");
    let said = browser.ok("/list").await;
    assert!(said.contains("expected a sequence"), "{said}");
}

#[tokio::test]
async fn the_last_of_two_equal_members_counts() {
    let (mut browser, store) = with_data(r#"{"x":1,"x":2}"#).await;
    assert_eq!(browser.ok("/get").await, "Some(2)");
    browser.ok("/remove").await;
    assert!(store.calls().contains(&("replace", 1)));
    assert_eq!(browser.ok("/get").await, "None");
}

#[tokio::test]
async fn a_session_without_data_is_the_default_of_the_type() {
    let (mut browser, _) = with_data("{}").await;
    assert_eq!(browser.ok("/begun").await, "7");
}

#[tokio::test]
async fn a_session_has_one_name_for_logs_until_it_ends() {
    let name = async |session: Session| {
        let name = session.log_id().await?;
        Ok::<_, SessionError>(name.unwrap_or_else(|| "none".to_owned()))
    };
    let app = Router::new()
        .route("/name", get(name))
        .route("/begin", get(async |session: Session| session.insert("n", 1).await))
        .route("/renew", get(async |session: Session| session.renew().await))
        .route("/login", get(async |session: Session| session.login("ada").await))
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap());
    let mut browser = Browser::new(&app);
    assert_eq!(browser.ok("/name").await, "none");
    for path in ["/begin", "/login"] {
        browser.ok(path).await;
        let (named, cookie) = (browser.ok("/name").await, browser.cookie());
        assert_eq!(named.len(), 16);
        assert!(!cookie.contains(named.get(..4).unwrap()));
        browser.ok("/renew").await;
        assert_eq!(browser.ok("/name").await, named);
        assert_ne!(browser.cookie(), cookie);
    }
}
