//! The data of sessions, in the store, in events and in errors.

use std::{
    error::Error as _,
    fmt::Write as _,
    sync::{Arc, Mutex, Once},
};

use axum::{
    http::{Method, StatusCode},
    routing::get,
};
use vestiary::{SessionId, WriteId};
use vestiary_store::{
    AnyStore, Config, Encrypt, Login, MemoryStore, Outcome, Sessions, Store as _, write_id_of,
};
use vestiary_tower::{Session, SessionError, SessionLayer};

use super::{Browser, Told, app, app_and_sessions, id_of, planted, put, record, routes};
use crate::support::{Events, Fault, Faulty, config, set_cookies};

#[tokio::test]
async fn a_visitor_who_only_looks_or_logs_out_leaves_nothing() {
    let store = Faulty::default();
    let touch = |session: Session| async move { session.touch().await };
    let nothing = |session: Session| async move {
        session.insert("user", "ada").await?;
        session.remove::<String>("user").await?;
        session.clear().await
    };
    let app = routes()
        .route("/touch", get(touch))
        .route("/nothing", get(nothing))
        .layer(SessionLayer::new(&config(), store.clone()).unwrap());
    for path in ["/look", "/logout", "/whoami", "/renew", "/touch", "/nothing"] {
        for _ in 0..50 {
            let response = Browser::new(&app).send(Method::GET, path).await;
            assert_eq!(set_cookies(&response), Vec::<String>::new(), "{path}");
        }
    }
    assert_eq!((store.calls(), store.len()), (vec![], 0));
}

#[tokio::test]
async fn data_that_is_too_large_or_too_deep_is_refused_without_a_store_call() {
    let large = |session: Session| async move {
        session.insert("text", "x".repeat(70_000)).await?;
        session.save().await.map(drop)
    };
    let deep = |session: Session| async move {
        let mut value = serde_json::json!(1);
        for _ in 0..40 {
            value = serde_json::json!([value]);
        }
        session.insert("deep", value).await?;
        session.save().await.map(drop)
    };
    let store = Faulty::default();
    let app = routes()
        .route("/large", get(large))
        .route("/deep", get(deep))
        .layer(SessionLayer::new(&config(), store.clone()).unwrap());
    for path in ["/large", "/deep"] {
        let response = Browser::new(&app).send(Method::GET, path).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert_eq!(set_cookies(&response), Vec::<String>::new(), "{path}");
        assert_eq!(store.calls(), [], "{path}");
        // The stored record stays unchanged.
        let mut browser = Browser::new(&app);
        browser.ok("/write").await;
        store.calls();
        assert_eq!(browser.get(path).await.0, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert_eq!(store.calls(), [("read", 1)], "{path}");
        assert_eq!(browser.ok("/look").await, "ada", "{path}");
        store.calls();
    }
}

#[tokio::test]
async fn metadata_lies_outside_of_the_data() {
    let forge = |session: Session| async move {
        let handle = "AAAAAAAAAAAAAAAA";
        for key in ["user", "handle", "v", "next", "grace", "created", "absolute", "idle"] {
            session.insert(key, "eve").await?;
        }
        session.insert("meta", serde_json::json!({"user": "eve", "handle": handle})).await?;
        session.insert("cookie", serde_json::json!({"maxAge": 1e9})).await?;
        session.insert("sealed", "AAAA").await
    };
    let (events, store) = (Events::default(), Faulty::default());
    let config = config().on_event(events.listener());
    let layer = SessionLayer::new(&config, store.clone()).unwrap();
    let app = routes().route("/forge", get(forge)).layer(layer.clone());
    let mut browser = Browser::new(&app);
    browser.ok("/forge").await;
    assert_eq!(browser.ok("/whoami").await, "");
    assert_eq!(browser.ok("/look").await, "eve", "it is data like other data");
    let id = SessionId::parse(&id_of(&browser)).unwrap();
    let stored = layer.sessions().load(&id).await.unwrap().unwrap();
    assert!(stored.user().is_none() && stored.meta().next.is_none());
    assert_eq!(events.take(), ["created"]);
}

#[tokio::test]
async fn no_key_becomes_a_prototype_written_or_read() {
    let (events, store) = (Events::default(), Faulty::default());
    let write = |session: Session| async move {
        session.insert("a", serde_json::json!({"__proto__": {"admin": true}})).await?;
        let refused = session.save().await;
        assert_eq!(refused.as_ref().map_err(SessionError::code), Err("forbidden_key"));
        session.clear().await
    };
    let layer = SessionLayer::new(&config().on_event(events.listener()), store.clone()).unwrap();
    let app = routes().route("/proto", get(write)).layer(layer.clone());
    Browser::new(&app).ok("/proto").await;
    assert_eq!((store.calls(), store.len()), (vec![], 0));
    for data in [
        r#"{"user":"eve","a":{"__proto__":{"admin":true}}}"#,
        r#"{"user":"eve","constructor":1}"#,
        r#"{"user":"eve","a":[{"prototype":1}]}"#,
        r#"{"user":"eve","__pr\u006fto__":1}"#,
    ] {
        let cookie = planted(layer.sessions(), &record("{}", data)).await;
        assert_eq!(Browser::with(&app, cookie).ok("/look").await, "", "{data}");
        assert_eq!(events.take(), ["unreadable"], "{data}");
    }
}

#[tokio::test]
async fn an_unreadable_record_is_no_session() {
    let events = Events::default();
    let config = config().on_event(events.listener());
    let (app, sessions) = app_and_sessions(&config, MemoryStore::default());
    for text in [
        "",
        "null",
        "[]",
        "\u{0}",
        r#"{"data":{"user":"eve"}"#,
        r#"{"data":"user"}"#,
        r#"{"cookie":{"path":"/"},"data":{"user":"eve"},"meta":{"user":5,"handle":"AAAAAAAAAAAAAAAA"}}"#,
    ] {
        let cookie = planted(&sessions, text).await;
        assert_eq!(Browser::with(&app, &cookie).ok("/look").await, "", "{text}");
        assert_eq!(events.take(), ["unreadable"], "{text}");
        // The record stays unchanged, and the visitor gets another session.
        let mut visitor = Browser::with(&app, &cookie);
        visitor.ok("/write").await;
        assert_ne!(visitor.cookie(), cookie);
        events.take();
    }
}

#[tokio::test]
async fn with_encryption_a_plain_or_changed_record_is_no_session() {
    let (store, events) = (Told::default(), Events::default());
    let config = config().on_event(events.listener());
    let sealed = config.clone().encrypt(Encrypt::On);
    let (app, sessions) = app_and_sessions(&sealed, store.clone());
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    let text = store.records().into_iter().find(|record| record.contains("sealed")).unwrap();
    assert!(!store.knows("ada"));
    let id = SessionId::parse(&id_of(&browser)).unwrap();
    let plain = record("{}", r#"{"user":"eve"}"#);
    let write_id = text.split('"').nth(3).unwrap().to_owned();
    let place = text.find("sealed").unwrap() + 40;
    let other = if text.as_bytes()[place] == b'A' { "B" } else { "A" };
    for forged in [
        plain.clone(),
        plain.replace("AAAAAAAAAAAAAAAA", &write_id),
        text.replace(&write_id, "AAAAAAAAAAAAAAAA"),
        format!("{}{other}{}", &text[..place], &text[place + 1..]),
        format!("{}\"}}", &text[..text.len() - 8]),
    ] {
        events.take();
        replaced(&store, &sessions, &id, &forged).await;
        assert_eq!(browser.clone().ok("/look").await, "", "{forged}");
        assert_eq!(events.take(), ["unreadable"], "{forged}");
    }
    // Members beside the encrypted part are ignored.
    let beside = text.replace("\"sealed\"", r#""data":{"user":"eve"},"sealed""#);
    replaced(&store, &sessions, &id, &beside).await;
    assert_eq!(browser.clone().ok("/look").await, "ada");
    // A record is only valid under its own ID.
    let elsewhere = planted(&sessions, &text).await;
    assert_eq!(Browser::with(&app, elsewhere).ok("/look").await, "");
    // While the service migrates, a plain record is read, and encrypted when it is written next.
    let migrating = config.encrypt(Encrypt::Migrate);
    let (migrating, _) = app_and_sessions(&migrating, store.clone());
    let cookie = planted(&sessions, &plain).await;
    assert_eq!(Browser::with(&app, &cookie).ok("/look").await, "");
    let mut old = Browser::with(&migrating, cookie);
    assert_eq!(old.ok("/look").await, "eve");
    old.ok("/write").await;
    assert_eq!(Browser::with(&app, old.cookie()).ok("/look").await, "ada");
}

/// Puts this in place of the record of a session.
async fn replaced(store: &Told, sessions: &Sessions, id: &SessionId, record: &str) {
    let key = sessions.options().store_key(id);
    let found = store.inner.read(&key).await.unwrap().unwrap();
    let expected = write_id_of(&found).map(|write_id| WriteId::parse(write_id).unwrap());
    let done = store.inner.remove(&key, expected.as_ref()).await.unwrap();
    assert_eq!(done, Outcome::Done);
    put(sessions, id, record).await;
}

#[tokio::test]
async fn the_first_secret_writes_all_read_and_bad_ones_are_refused() {
    let [old, new] =
        ["the old secret", "the new secret"].map(|name| format!("{name} {}", "x".repeat(32)));
    for encrypt in [Encrypt::Off, Encrypt::On] {
        let shared = AnyStore::new(MemoryStore::default());
        let config = |secret: &str| Config::new(secret).name("sid").encrypt(encrypt);
        let before = app(&config(&old), shared.clone());
        let both = app(&config(&new).previous_secret(&old), shared.clone());
        let after = app(&config(&new), shared.clone());
        let mut browser = Browser::new(&before);
        browser.ok("/write").await;
        assert_eq!(Browser::with(&both, browser.cookie()).ok("/look").await, "ada");
        assert_eq!(Browser::with(&after, browser.cookie()).ok("/look").await, "");
        let mut fresh = Browser::new(&both);
        fresh.ok("/write").await;
        assert_eq!(Browser::with(&after, fresh.cookie()).ok("/look").await, "ada");
        assert_eq!(Browser::with(&before, fresh.cookie()).ok("/look").await, "");
    }
    let code = |config: &Config| {
        Sessions::new(config, MemoryStore::default()).err().map(|error| error.code())
    };
    assert_eq!(code(&Config::new("")), Some("secret_missing"));
    assert_eq!(code(&Config::new(new.clone()).previous_secret("")), Some("secret_missing"));
    // A debug build accepts it, but never for encryption.
    let in_release = (!cfg!(debug_assertions)).then_some("secret_short");
    assert_eq!(code(&Config::new("hunter2")), in_release);
    let sealed = Config::new("x".repeat(31)).encrypt(Encrypt::On);
    assert_eq!(code(&sealed), Some("secret_short"));
    let error = Sessions::new(&sealed, MemoryStore::default()).unwrap_err();
    assert!(!error.to_string().contains("xxx"), "{error}");
}

/// Collects the output of `tracing`.
struct Traced(Arc<Mutex<String>>);

impl tracing::Subscriber for Traced {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            let _ = writeln!(self.0.lock().unwrap(), "{field}={value:?}");
        });
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// Collects the output of `tracing` on this thread.
fn traced(log: &Arc<Mutex<String>>) -> tracing::subscriber::DefaultGuard {
    static EVERYWHERE: Once = Once::new();
    // `tracing` remembers of each event whether it is wanted. If a thread without a subscriber comes upon it first, it
    // is wanted nowhere, so all threads have one.
    EVERYWHERE.call_once(|| {
        tracing::subscriber::set_global_default(Traced(Arc::default())).unwrap();
    });
    tracing::subscriber::set_default(Traced(Arc::clone(log)))
}

#[tokio::test]
async fn why_a_response_was_replaced_is_logged() {
    let log = Arc::new(Mutex::new(String::new()));
    let _guard = traced(&log);
    let store = Faulty::default();
    let app = routes()
        .route(
            "/large",
            get(async |session: Session| session.insert("n", "n".repeat(70_000)).await),
        )
        .layer(SessionLayer::new(&config(), store.clone()).unwrap());
    assert_eq!(
        Browser::new(&app).get("/large").await,
        (StatusCode::INTERNAL_SERVER_ERROR, String::new())
    );
    store.breaks("create", Fault::Fails);
    assert_eq!(Browser::new(&app).get("/write").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let log = log.lock().unwrap().clone();
    for said in
        ["more than the 65536 allowed", "too_large", "could not write the session", "store_failed"]
    {
        assert!(log.contains(said), "{said}: {log}");
    }
}

#[tokio::test]
async fn no_id_secret_or_value_is_logged_or_in_an_error_or_event() {
    let log = Arc::new(Mutex::new(String::new()));
    let _guard = traced(&log);
    let told = Arc::new(Mutex::new(String::new()));
    let listener = {
        let told = Arc::clone(&told);
        move |event: &vestiary_store::Event| {
            let _ = writeln!(told.lock().unwrap(), "{event:?}");
        }
    };
    let secrets = |session: Session| async move {
        session.insert("canary-key", "canary-value").await?;
        let wrong = session.get::<u64>("canary-key").await.unwrap_err();
        session.insert("large", "canary-value".repeat(9_000)).await?;
        let large = session.save().await.unwrap_err();
        session.remove::<String>("large").await?;
        Ok::<_, SessionError>(format!(
            "{wrong} {wrong:?} {large} {large:?} {session:?} {:?} {:?} {:?}",
            session.login("canary-user"),
            session.sessions_of("canary-user"),
            Login { label: Some("canary-label".to_owned()), ..Login::default() }
        ))
    };
    let store = Faulty::default();
    let config = config().on_event(listener);
    let layer = SessionLayer::new(&config, store.clone()).unwrap();
    let app = routes().route("/secrets", get(secrets)).layer(layer.clone());
    let mut browser = Browser::new(&app);
    let mut ids = Vec::new();
    let mut shown = format!("{config:?} {layer:?}");
    for path in ["/secrets", "/renew", "/login", "/write", "/renew", "/logout", "/secrets"] {
        shown.push_str(&browser.ok(path).await);
        ids.extend(browser.cookie.clone());
    }
    // A planted cookie, one that is out of use, an unreadable record, and a store that is down.
    for cookie in [format!("{}x", ids[0]), ids[0].clone(), ids[1].clone()] {
        shown.push_str(&Browser::with(&app, cookie).get("/look").await.1);
    }
    let cookie = planted(layer.sessions(), r#"{"data":"canary-value"}"#).await;
    shown.push_str(&Browser::with(&app, cookie).get("/look").await.1);
    for operation in ["read", "create", "replace"] {
        store.breaks(operation, Fault::Fails);
        shown.push_str(&browser.clone().get("/write").await.1);
        let id = SessionId::parse(&id_of(&browser)).unwrap();
        if let Err(error) = layer.sessions().load(&id).await {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            let _ = write!(shown, "{error} {error:?}");
            assert!(cause.contains("the disk is full"), "{cause}");
        }
        store.is_well();
    }
    let (log, told) = (log.lock().unwrap().clone(), told.lock().unwrap().clone());
    for name in ["rotated", "destroyed", "unreadable", "reuse", "store_failed"] {
        assert!(log.contains(name), "{name}: {log}");
    }
    let all = [log, told, shown].join("\n");
    let ids = ids.iter().flat_map(|cookie| cookie.split('.'));
    let canaries = ["canary-value", "canary-user", "canary-label", "a secret of the tests"];
    for secret in ids.chain(canaries) {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}

#[tokio::test]
async fn events_report_the_life_of_a_session() {
    let events = Events::default();
    let config = config().on_event(events.listener());
    let (app, sessions) = app_and_sessions(&config, MemoryStore::default());
    let mut browser = Browser::new(&app);
    let mut lived = async |path: &str, names: &[&str]| {
        browser.ok(path).await;
        assert_eq!(events.take(), names, "{path}");
        browser.cookie.clone().unwrap_or_default()
    };
    let first = lived("/write", &["created"]).await;
    lived("/renew", &["rotated"]).await;
    let third = lived("/login", &["rotated"]).await;
    lived("/logout", &["destroyed"]).await;
    let read = async |cookie: &str, names: &[&str]| {
        Browser::with(&app, cookie).ok("/look").await;
        assert_eq!(events.take(), names);
    };
    read(&third, &["unknown"]).await;
    read("forged", &["rejected"]).await;
    let mut again = Browser::new(&app);
    again.ok("/login").await;
    sessions.of("ada").revoke_all().await.unwrap();
    events.take();
    let read = async |cookie: &str, names: &[&str]| {
        Browser::with(&app, cookie).ok("/look").await;
        assert_eq!(events.take(), names);
    };
    read(&again.cookie(), &["revoked"]).await;
    assert_ne!(first, third);
}
