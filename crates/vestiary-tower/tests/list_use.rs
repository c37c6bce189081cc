//! The use of a session is written in its user's list now and then, when the response is ready.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{sync::Arc, time::Duration};

use axum::{Router, http::Method, routing::get};
use serde_json::Value;
use tokio::sync::Notify;
use vestiary::{Ttl, WriteId};
use vestiary_store::{Outcome, SessionError, Sessions, Store as _};
use vestiary_tower::{Session, SessionLayer};

use crate::support::{Browser, Events, Fault, Faulty, config, set_cookies, text};

/// A browser that is logged in, whose use was written in the list ten minutes ago.
async fn logged_in(store: &Faulty, events: &Events) -> (Browser, Sessions, Arc<Notify>) {
    logged_in_with(store, events, true).await
}

async fn logged_in_with(
    store: &Faulty,
    events: &Events,
    rolling: bool,
) -> (Browser, Sessions, Arc<Notify>) {
    let config = config().on_event(events.listener());
    let config = config.rolling(rolling).max_age(Duration::from_secs(86_400));
    let layer = SessionLayer::new(&config, store.clone()).unwrap();
    let sessions = layer.sessions().clone();
    let read = Arc::new(Notify::new());
    let told = read.clone();
    let whoami = async move |session: Session| -> Result<String, SessionError> {
        let user = session.user_id().await?.unwrap_or_default();
        told.notify_one();
        Ok(user)
    };
    let app = Router::new()
        .route("/login", get(|session: Session| async move { session.login("ada").await }))
        .route("/touch", get(|session: Session| async move { session.touch().await }))
        .route("/whoami", get(whoami))
        .layer(layer);
    let mut browser = Browser::new(&app);
    browser.ok("/login").await;
    age(store, &sessions).await;
    events.take();
    (browser, sessions, read)
}

async fn age(store: &Faulty, sessions: &Sessions) {
    let key = sessions.options().user_key("ada");
    let text = store.read(&key).await.unwrap().unwrap();
    let mut list: Value = serde_json::from_str(&text).unwrap();
    for entry in list["sessions"].as_object_mut().unwrap().values_mut() {
        let seen = entry["seen"].as_u64().unwrap();
        entry["seen"] = (seen - 600_000).into();
    }
    let write_id = list["v"].as_str().and_then(WriteId::parse);
    // The write ID comes first in the text.
    let rest = list.as_object_mut().unwrap();
    rest.remove("v");
    let rest = serde_json::to_string(rest).unwrap();
    let aged = format!(
        r#"{{"v":"{}",{}"#,
        write_id.as_ref().unwrap().as_str(),
        rest.strip_prefix('{').unwrap()
    );
    let written = store.replace(&key, write_id.as_ref(), &aged, Ttl::Millis(86_400_000)).await;
    assert_eq!(written.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn a_handler_does_not_wait_for_it_and_a_session_that_was_revoked_meanwhile_has_ended() {
    let (store, events) = (Faulty::default(), Events::default());
    let (browser, sessions, read) = logged_in(&store, &events).await;
    let gate = store.holds("replace");
    let mut visiting = browser.clone();
    let visit = tokio::spawn(async move { visiting.send(Method::GET, "/whoami").await });
    // The handler is done, and only then is the list written.
    read.notified().await;
    gate.reached.notified().await;
    sessions.of("ada").revoke_all().await.unwrap();
    gate.open.notify_one();
    let response = visit.await.unwrap();
    assert_eq!(set_cookies(&response), Vec::<String>::new());
    assert_eq!(text(response).await, "ada");
    assert_eq!(events.take(), ["revoked"]);
    let cookie = format!("sid={}", browser.cookie());
    let [id] = &sessions.cookies([cookie.as_bytes()]).ids[..] else { panic!() };
    assert!(sessions.load(id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_store_that_fails_is_no_reason_to_refuse_the_session() {
    let (store, events) = (Faulty::default(), Events::default());
    let (mut browser, _, _) = logged_in(&store, &events).await;
    store.breaks("replace", Fault::Fails);
    assert_eq!(browser.ok("/whoami").await, "ada");
    assert_eq!(events.take(), ["store_failed"]);
}

#[tokio::test]
async fn a_session_that_is_only_read_or_touched_stays_in_the_list() {
    for (rolling, path) in
        [(true, "/whoami"), (true, "/touch"), (false, "/whoami"), (false, "/touch")]
    {
        let (store, events) = (Faulty::default(), Events::default());
        let (mut browser, sessions, _) = logged_in_with(&store, &events, rolling).await;
        age(&store, &sessions).await;
        let [before] = &sessions.of("ada").list().await.unwrap()[..] else { panic!() };
        browser.ok(path).await;
        let [after] = &sessions.of("ada").list().await.unwrap()[..] else { panic!() };
        assert!(after.seen > before.seen, "{path}");
        assert_eq!(events.take(), Vec::<&str>::new());
    }
}
