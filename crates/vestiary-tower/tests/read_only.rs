//! Sessions that are read without a request. The rules that both products share are in `vectors/scenarios.json`.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use vestiary_store::Login;
use vestiary_tower::{Config, MemoryStore, ReadOnlySession, SessionError, Sessions};

fn sessions() -> Sessions {
    let config = Config::new("0123456789abcdef0123456789abcdef").name("sid");
    Sessions::new(&config, MemoryStore::default()).unwrap()
}

async fn cookie(sessions: &Sessions, data: &str) -> String {
    let owner = sessions.of("ada").admit(&Login::default()).await.unwrap();
    let session = sessions.create(data, Some(owner)).await.unwrap();
    format!("theme=dark; sid={}", sessions.sign(session.id()))
}

#[tokio::test]
async fn a_session_is_read_from_the_headers_of_a_request() {
    let sessions = sessions();
    let cookie = cookie(&sessions, r#"{"name":"Ada"}"#).await;
    let mut headers = HeaderMap::new();
    assert!(ReadOnlySession::open(&sessions, &headers).await.unwrap().is_none());
    headers.append(header::COOKIE, HeaderValue::from_static("other=1"));
    headers.append(header::COOKIE, HeaderValue::from_str(&cookie).unwrap());
    let session = ReadOnlySession::open(&sessions, &headers).await.unwrap().unwrap();
    assert_eq!(session.user_id().as_deref(), Some("ada"));
    let listed = sessions.of("ada").list().await.unwrap();
    assert_eq!(session.handle(), Some(&listed.first().unwrap().handle));
    assert_eq!(session.log_id(), listed.first().unwrap().handle.as_str());
    assert_eq!(format!("{session:?}"), "ReadOnlySession { .. }");
}

#[tokio::test]
async fn its_data_is_read_as_a_type_and_by_its_keys() {
    #[derive(Default, Deserialize)]
    struct Visitor {
        name: String,
    }

    let sessions = sessions();
    let cookie = cookie(&sessions, r#"{"name":"Ada","n":1}"#).await;
    let session = ReadOnlySession::read(&sessions, &cookie).await.unwrap().unwrap();
    assert_eq!(session.view::<Visitor>().unwrap().name, "Ada");
    assert_eq!(session.get::<u8>("n").unwrap(), Some(1));
    assert_eq!(session.get::<u8>("m").unwrap(), None);
    assert_eq!(session.data().unwrap().len(), 2);
    let wrong = session.get::<u8>("name").unwrap_err();
    let SessionError::Type(wrong) = wrong else { panic!("{wrong:?}") };
    assert_eq!(wrong.key(), Some("name"));
}

#[tokio::test]
async fn a_revoked_session_is_not_alive_and_stays_as_it_was_read() {
    let sessions = sessions();
    let cookie = cookie(&sessions, "{}").await;
    let mut session = ReadOnlySession::read(&sessions, &cookie).await.unwrap().unwrap();
    assert!(session.is_alive().await.unwrap());
    sessions.of("ada").revoke_all().await.unwrap();
    assert!(!session.is_alive().await.unwrap());
    assert_eq!(session.user_id().as_deref(), Some("ada"));
    assert!(ReadOnlySession::read(&sessions, &cookie).await.unwrap().is_none());
}

#[tokio::test]
async fn it_tells_how_long_ago_the_user_has_proven_their_identity() {
    let sessions = sessions();
    let cookie = cookie(&sessions, "{}").await;
    let session = ReadOnlySession::read(&sessions, &cookie).await.unwrap().unwrap();
    assert!(session.is_fresh(Duration::MAX) && session.is_fresh(Duration::from_secs(3_600)));
    assert!(!session.is_fresh(Duration::ZERO));
    let anonymous = sessions.create("{}", None).await.unwrap();
    let cookie = format!("sid={}", sessions.sign(anonymous.id()));
    let session = ReadOnlySession::read(&sessions, &cookie).await.unwrap().unwrap();
    assert!(!session.is_fresh(Duration::MAX));
}
