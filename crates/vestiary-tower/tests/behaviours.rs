//! Known faults of sessions in Rust services that this crate avoids: one test for each.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
    routing::get,
};
use tokio::sync::Notify;
use tower::ServiceExt as _;
use vestiary::{MemoryLimits, SessionId, UnixMillis};
use vestiary_store::{MemoryStore, Sessions, Store as _};
use vestiary_tower::{Config, OnStoreError, Session, SessionError, SessionLayer};

use crate::support::{Browser, Events, Fault, Faulty, config, set_cookies, text};

type Answer = Result<String, SessionError>;

async fn write(session: Session) -> Answer {
    session.insert("user", "alice").await?;
    Ok(String::new())
}

async fn clear_and_write(session: Session) -> Answer {
    session.clear().await?;
    write(session).await
}

async fn destroy_and_write(session: Session) -> Answer {
    session.destroy().await?;
    write(session).await
}

async fn write_and_destroy(session: Session) -> Answer {
    write(session.clone()).await?;
    session.destroy().await?;
    look(session).await
}

async fn look(session: Session) -> Answer {
    Ok(session.get::<String>("user").await?.unwrap_or_default())
}

fn routes() -> Router {
    Router::new()
        .route("/write", get(write))
        .route("/clear", get(clear_and_write))
        .route("/destroy", get(destroy_and_write))
        .route("/write-and-destroy", get(write_and_destroy))
        .route("/look", get(look))
        .route("/login", get(|session: Session| async move { session.login("alice").await }))
        .route("/logout", get(|session: Session| async move { session.destroy().await }))
}

fn app(config: &Config, store: Faulty) -> Router {
    routes().layer(SessionLayer::new(config, store).unwrap())
}

#[tokio::test]
async fn an_id_that_the_store_does_not_know_is_never_adopted() {
    let app = app(&config(), Faulty::default());
    let id = SessionId::from_entropy(&[7; SessionId::ENTROPY]);
    let signed = Sessions::new(&config(), MemoryStore::default()).unwrap().sign(&id);
    for planted in [signed, id.expose().to_owned(), "attacker-chosen".to_owned()] {
        for path in ["/write", "/clear", "/destroy", "/login"] {
            let mut victim = Browser::with(&app, &planted);
            victim.ok(path).await;
            assert!(!victim.cookie().contains(id.expose()), "{path}");
            assert_eq!(Browser::with(&app, &planted).ok("/look").await, "", "{path}");
        }
    }
}

#[tokio::test]
async fn destroy_then_write_in_one_request_begins_another_session() {
    let app = app(&config(), Faulty::default());
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    let before = browser.cookie();
    browser.ok("/destroy").await;
    assert_ne!(browser.cookie(), before);
    assert_eq!(browser.ok("/look").await, "alice");
    assert_eq!(Browser::with(&app, before).ok("/look").await, "");
}

#[tokio::test]
async fn a_new_session_that_is_destroyed_before_it_was_stored_leaves_nothing() {
    let (store, events) = (Faulty::default(), Events::default());
    let app = app(&config().on_event(events.listener()), store.clone());
    let response = Browser::new(&app).send(Method::GET, "/write-and-destroy").await;
    let cookies = set_cookies(&response);
    assert!(cookies.iter().all(|cookie| cookie.contains("Max-Age=0")), "{cookies:?}");
    assert_eq!(text(response).await, "");
    assert_eq!(store.calls(), []);
    assert_eq!(events.take(), Vec::<&str>::new());
}

#[tokio::test]
async fn a_first_login_asks_the_store_nothing_about_a_cookie_that_no_other_request_can_know() {
    let store = Faulty::default();
    let app = app(&config(), store.clone());
    // The user's list, and nothing else.
    Browser::new(&app).ok("/login").await;
    assert!(store.calls().contains(&("read", 1)));
}

#[tokio::test]
async fn a_refresh_that_finds_the_session_renewed_by_another_process_sets_its_new_id() {
    const MINUTE: u64 = 60_000;
    let store = Faulty::default();
    let timed = config().idle_timeout(Duration::from_secs(600));
    let others = Sessions::new(&timed, store.clone()).unwrap();
    let is_renewed = Arc::new(AtomicU64::new(0));
    let handler = {
        let (others, is_renewed) = (others.clone(), Arc::clone(&is_renewed));
        async move |session: Session| {
            let id = session.id().await?.unwrap();
            if is_renewed.load(Ordering::SeqCst) == 1 {
                let stored = others.load(&id).await?.unwrap();
                others.renew(&stored).await?;
            }
            Ok::<_, SessionError>(())
        }
    };
    let layer = SessionLayer::new(&timed, store.clone()).unwrap();
    let app = Router::new().route("/", get(handler)).layer(layer);
    for renewed in [0, 1] {
        is_renewed.store(renewed, Ordering::SeqCst);
        // Less than its idle time is left, so the request writes the next deadline.
        let now = others.now().0;
        let meta = format!(r#"{{"created":{now},"idle":{}}}"#, now + 8 * MINUTE);
        let id = others.new_id().unwrap();
        let record = format!(
            r#"{{"v":"AAAAAAAAAAAAAAAA","cookie":{{"path":"/"}},"data":{{}},"meta":{meta}}}"#
        );
        let key = others.options().store_key(&id);
        others.store().create(&key, &record, vestiary::Ttl::Infinite, false).await.unwrap();
        let mut browser = Browser::with(&app, others.sign(&id));
        let response = browser.send(Method::GET, "/").await;
        assert!(response.status().is_success());
        assert_eq!(set_cookies(&response).len() as u64, renewed);
        assert_eq!(browser.cookie() == others.sign(&id), renewed == 0);
    }
}

#[tokio::test]
async fn a_slow_response_to_an_expired_cookie_does_not_remove_that_of_a_login() {
    let store = Faulty::default();
    // Both requests thus find the expired record.
    store.breaks("remove", Fault::Fails);
    let timed = config().absolute_timeout(Duration::from_secs(600));
    let layer = SessionLayer::new(&timed, store.clone()).unwrap();
    let sessions = layer.sessions().clone();
    let (looked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (looked, go) = (Arc::clone(&looked), Arc::clone(&go));
        async move |session: Session| {
            session.user_id().await?;
            looked.notify_one();
            go.notified().await;
            Ok::<_, SessionError>(())
        }
    };
    let app = routes().route("/slow", get(slow)).layer(layer);
    let id = sessions.new_id().unwrap();
    let record =
        r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{"path":"/"},"data":{},"meta":{"absolute":1}}"#;
    let key = sessions.options().store_key(&id);
    sessions.store().create(&key, record, vestiary::Ttl::Infinite, false).await.unwrap();
    let mut browser = Browser::with(&app, sessions.sign(&id));
    let mut waiting = browser.clone();
    let slow = async { waiting.send(Method::GET, "/slow").await };
    let login = async {
        looked.notified().await;
        browser.ok("/login").await;
        go.notify_one();
    };
    let (response, ()) = tokio::join!(slow, login);
    assert_eq!(set_cookies(&response), Vec::<String>::new());
}

#[tokio::test]
async fn a_slow_request_brings_no_session_back_and_sets_no_cookie() {
    for ends in ["/logout", "/login"] {
        let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (entered, leave) = (entered.clone(), leave.clone());
            |session: Session| async move {
                session.insert("slow", true).await?;
                entered.notify_one();
                leave.notified().await;
                Ok::<_, SessionError>(())
            }
        };
        let (events, store) = (Events::default(), Faulty::default());
        let layer = SessionLayer::new(&config().on_event(events.listener()), store.clone());
        let app = routes().route("/slow", get(slow)).layer(layer.unwrap());
        let mut browser = Browser::new(&app);
        browser.ok("/write").await;
        let cookie = browser.cookie();
        let mut other = browser.clone();
        let slow =
            tokio::spawn(async move { set_cookies(&other.send(Method::GET, "/slow").await) });
        entered.notified().await;
        browser.ok(ends).await;
        let records = store.len();
        leave.notify_one();
        assert_eq!(slow.await.unwrap(), Vec::<String>::new(), "{ends}");
        assert_eq!(store.len(), records, "{ends}");
        assert_eq!(Browser::with(&app, cookie).ok("/look").await, "", "{ends}");
        assert!(events.take().contains(&"gone"), "{ends}");
    }
}

#[tokio::test]
async fn a_change_of_the_id_that_fails_leaves_the_session() {
    for operation in ["create", "replace"] {
        let store = Faulty::default();
        let app = app(&config(), store.clone());
        let mut browser = Browser::new(&app);
        browser.ok("/write").await;
        store.breaks(operation, Fault::Fails);
        assert_eq!(browser.get("/login").await.0, StatusCode::SERVICE_UNAVAILABLE);
        store.is_well();
        assert_eq!(browser.ok("/look").await, "alice", "{operation}");
    }
}

#[tokio::test]
async fn a_login_whose_handler_fails_afterwards_is_a_login() {
    let fails = |session: Session| async move {
        session.login("alice").keep(["user"]).await.unwrap();
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let app = routes()
        .route("/fails", get(fails))
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap());
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    assert_eq!(browser.get("/fails").await.0, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(browser.ok("/look").await, "alice");
}

#[tokio::test]
async fn a_cookie_of_another_path_or_domain_does_not_hide_the_session() {
    let app = app(&config(), Faulty::default());
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    let valid = format!("sid={}", browser.cookie());
    for header in [
        format!("sid=tossed; {valid}"),
        format!("{valid}; sid=tossed"),
        format!("a=1; sid=; sid=x.y; {valid}; b=2"),
    ] {
        let request = Request::get("/look").header(header::COOKIE, &header);
        let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(text(response).await, "alice", "{header}");
    }
    // HTTP/2 may send a header for each cookie.
    let request = Request::get("/look")
        .header(header::COOKIE, "sid=tossed")
        .header(header::COOKIE, &valid)
        .body(Body::empty());
    assert_eq!(text(app.oneshot(request.unwrap()).await.unwrap()).await, "alice");
}

#[tokio::test]
async fn a_prefixed_cookie_is_read_back_and_removed_with_what_the_prefix_demands() {
    let app =
        app(&Config::new("a secret of more than 16 bytes").name("__Host-id"), Faulty::default());
    let send = async |path: &str, cookie: &str| {
        let request = Request::get(path).header(header::COOKIE, cookie).body(Body::empty());
        app.clone().oneshot(request.unwrap()).await.unwrap()
    };
    let set = set_cookies(&send("/write", "").await).remove(0);
    assert!(set.starts_with("__Host-id=") && set.contains("; Secure"), "{set}");
    let cookie = set.split_once(';').unwrap().0.to_owned();
    assert_eq!(text(send("/look", &cookie).await).await, "alice");
    let removal = set_cookies(&send("/logout", &cookie).await).remove(0);
    for attribute in ["__Host-id=;", "; Max-Age=0", "; Path=/;", "; Secure"] {
        assert!(removal.contains(attribute), "{removal}");
    }
}

#[tokio::test]
async fn a_removal_repeats_path_and_domain_wherever_the_logout_is() {
    let config = config().domain("example.com").path("/app").max_age(Duration::from_secs(9));
    let app = routes()
        .nest("/app/account", routes())
        .layer(SessionLayer::new(&config, Faulty::default()).unwrap());
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    let removal = set_cookies(&browser.send(Method::GET, "/app/account/logout").await).remove(0);
    assert!(removal.contains("; Domain=example.com; Path=/app;"), "{removal}");
}

#[tokio::test]
async fn every_kind_of_change_is_stored() {
    let change = |session: Session| async move {
        session.insert("a", 1).await?;
        session.insert("a", 2).await?;
        session.modify(|data| data["list"].as_array_mut().unwrap().push(9.into())).await?;
        session.remove::<u64>("b").await?;
        Ok::<_, SessionError>(())
    };
    let begin = |session: Session| async move {
        session.insert("list", [1]).await?;
        session.insert("b", 1).await?;
        Ok::<_, SessionError>(())
    };
    let all = |session: Session| async move {
        Ok::<_, SessionError>(serde_json::Value::Object(session.data().await?).to_string())
    };
    let app = Router::new()
        .route("/begin", get(begin))
        .route("/change", get(change))
        .route("/all", get(all))
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap());
    let mut browser = Browser::new(&app);
    browser.ok("/begin").await;
    browser.ok("/change").await;
    assert_eq!(browser.ok("/all").await, r#"{"a":2,"list":[1,9]}"#);
}

#[tokio::test]
async fn a_copied_cookie_is_worthless_after_its_session_has_expired() {
    static NOW: AtomicU64 = AtomicU64::new(1_000);
    let store = MemoryStore::with_clock(MemoryLimits::default(), || {
        UnixMillis(NOW.load(Ordering::Relaxed))
    });
    let config = config().max_age(Duration::from_secs(60));
    let app = routes().layer(SessionLayer::new(&config, store).unwrap());
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    assert_eq!(browser.ok("/look").await, "alice");
    NOW.store(61_000, Ordering::Relaxed);
    assert_eq!(browser.ok("/look").await, "");
}

#[tokio::test]
async fn a_write_does_not_change_the_lifetime_of_the_cookie() {
    let config = config().max_age(Duration::from_secs(60));
    let app = app(&config, Faulty::default());
    let mut browser = Browser::new(&app);
    let first = browser.send(Method::GET, "/login").await;
    assert!(set_cookies(&first)[0].contains("Max-Age=60"));
    assert_eq!(set_cookies(&browser.send(Method::GET, "/write").await), Vec::<String>::new());
}

#[tokio::test]
async fn nothing_secret_is_shown() {
    let app = Router::new()
        .route(
            "/",
            get(|session: Session| async move {
                session.insert("user", "alice").await?;
                session.save().await?;
                let id = session.id().await?.unwrap();
                let shown = format!("{session:?} {:?} {id:?}", session.sessions());
                Ok::<_, SessionError>(format!("{}\n{shown}", id.expose()))
            }),
        )
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap());
    let said = Browser::new(&app).ok("/").await;
    let (id, shown) = said.split_once('\n').unwrap();
    for secret in [id, "alice", "a secret of the tests"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(!format!("{:?}", config()).contains("secret of"));
}

#[tokio::test]
async fn a_handler_can_tell_a_store_that_is_down_from_a_visitor_without_a_session() {
    let asks =
        async |session: Session| -> Answer { Ok(session.is_unavailable().await?.to_string()) };
    for policy in [OnStoreError::Error, OnStoreError::Anonymous] {
        let store = Faulty::default();
        let layer = SessionLayer::new(&config().on_store_error(policy), store.clone()).unwrap();
        let app = routes().route("/asks", get(asks)).layer(layer);
        let mut browser = Browser::new(&app);
        assert_eq!(browser.ok("/asks").await, "false");
        browser.ok("/write").await;
        assert_eq!(browser.ok("/asks").await, "false");
        store.breaks("read", Fault::Fails);
        assert_eq!(browser.ok("/asks").await, "true");
        store.is_well();
        assert_eq!(browser.ok("/asks").await, "false");
    }
}
