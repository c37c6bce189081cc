//! Versions of session data: older ones are migrated, newer ones are left alone.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::future::Future;

use axum::{Router, http::StatusCode, routing::get};
use serde::{Deserialize, Serialize};
use vestiary_store::{Config, Found, Sessions};
use vestiary_tower::{Session, SessionError, SessionLayer};

use crate::support::{Browser, Faulty, config};

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Visitor {
    name: String,
    clicks: u64,
}

/// An application of version 2, in which `first` and `last` are `name`.
fn version_2() -> Config {
    config().version(2).migrate(|data, version| {
        assert_eq!(version, 0);
        let [first, last] = ["first", "last"].map(|key| data.remove(key).unwrap_or_default());
        let name = [first.as_str().unwrap_or_default(), last.as_str().unwrap_or_default()];
        data.insert("name".to_owned(), name.join(" ").into());
    })
}

/// The data and the version of a session after a handler of this application. An application of `before` has stored it.
async fn after<F, Fut>(before: Config, data: &str, now: Config, handler: F) -> (String, Option<u32>)
where
    F: FnOnce(Session) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), SessionError>> + Send,
{
    let store = Faulty::default();
    let stored = Sessions::new(&before, store.clone()).unwrap().create(data, None).await.unwrap();
    let layer = SessionLayer::new(&now, store).unwrap();
    let sessions: Sessions = layer.sessions().clone();
    let app = Router::new().route("/", get(handler)).layer(layer);
    let (status, text) = Browser::with(&app, sessions.sign(stored.id())).get("/").await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let cookie = format!("sid={}", sessions.sign(stored.id()));
    match sessions.find(&sessions.cookies([cookie.as_bytes()])).await.unwrap() {
        Found::Session(session) => {
            let stored = session.stored;
            (stored.data().to_owned(), stored.meta().version)
        }
        _ => panic!("the session is gone"),
    }
}

/// Data of an application without versions.
const OLD: &str = r#"{"first":"Ada","o":1.50,"last":"Byron","clicks":1}"#;

async fn read(session: Session) -> Result<(), SessionError> {
    assert_eq!(session.get::<String>("name").await?.unwrap(), "Ada Byron");
    assert_eq!(session.typed::<Visitor>().read().await?.name, "Ada Byron");
    Ok(())
}

#[tokio::test]
async fn older_data_is_migrated_when_it_is_read_and_stored_with_the_next_change() {
    let seen = after(config(), OLD, version_2(), read).await;
    assert_eq!(seen, (OLD.to_owned(), None));
    let migrated = r#"{"o":1.50,"clicks":2,"name":"Ada Byron"}"#;
    let insert = |session: Session| async move {
        read(session.clone()).await?;
        session.insert("clicks", 2).await
    };
    assert_eq!(after(config(), OLD, version_2(), insert).await, (migrated.to_owned(), Some(2)));
    let update = |session: Session| async move {
        let visitors = session.typed::<Visitor>();
        assert!(
            visitors
                .update(|visitor| {
                    assert_eq!(visitor.name, "Ada Byron");
                    visitor.clicks += 1;
                })
                .await?
        );
        read(session).await
    };
    assert_eq!(after(config(), OLD, version_2(), update).await, (migrated.to_owned(), Some(2)));
    let save = |session: Session| async move { session.save().await.map(drop) };
    let saved = r#"{"o":1.50,"clicks":1,"name":"Ada Byron"}"#;
    assert_eq!(after(config(), OLD, version_2(), save).await, (saved.to_owned(), Some(2)));
}

#[tokio::test]
async fn a_new_session_has_the_version_of_the_application() {
    let new = after(version_2(), r#"{"name":"Ada"}"#, version_2(), async |_| Ok(())).await;
    assert_eq!(new, (r#"{"name":"Ada"}"#.to_owned(), Some(2)));
    let store = Faulty::default();
    let sessions = Sessions::new(&version_2(), store).unwrap();
    let stored = sessions.create("{}", None).await.unwrap();
    let renewed = sessions.renew(&stored).await.unwrap().unwrap();
    assert_eq!(renewed.meta().version, Some(2));
}

#[tokio::test]
async fn newer_data_keeps_its_version_and_what_an_older_application_does_not_know() {
    let data = r#"{"name":"Ada","new":[1.50],"clicks":1}"#;
    let update = |session: Session| async move {
        session.typed::<Visitor>().update(|visitor| visitor.clicks += 1).await.map(drop)
    };
    let expected = data.replace(r#""clicks":1"#, r#""clicks":2"#);
    for older in [config(), config().version(1)] {
        let seen = after(version_2(), data, older, update).await;
        assert_eq!(seen, (expected.clone(), Some(2)));
    }
}

#[tokio::test]
async fn data_that_rust_cannot_represent_is_not_migrated() {
    let data = r#"{"big":1e400,"clicks":1}"#;
    let insert = |session: Session| async move { session.insert("clicks", 2).await };
    let seen = after(config(), data, version_2(), insert).await;
    assert_eq!(seen, (r#"{"big":1e400,"clicks":2}"#.to_owned(), Some(2)));
}
