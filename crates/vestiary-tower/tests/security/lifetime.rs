//! The lifetime of a session, and the ways to end it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    http::{Method, StatusCode},
    routing::get,
};
use tokio::sync::Notify;
use vestiary::{MemoryLimits, SessionId, UnixMillis};
use vestiary_store::{Config, MemoryStore, Sessions};
use vestiary_tower::{Session, SessionError, SessionLayer};

use super::{Browser, app, app_and_sessions, id_of, planted, record, routes};
use crate::support::{Events, Fault, Faulty, config, set_cookies};

const HOUR: u64 = 3_600_000;

/// The time of the memory store that has a clock of its own.
static NOW: AtomicU64 = AtomicU64::new(1_000_000);

#[tokio::test]
async fn idle_and_absolute_deadlines_of_the_record_are_looked_at_each_time() {
    let hour = Duration::from_millis(HOUR);
    let both = config().idle_timeout(hour).absolute_timeout(hour);
    let events = Events::default();
    let data = r#"{"user":"ada"}"#;
    let (app, sessions) =
        app_and_sessions(&both.on_event(events.listener()), MemoryStore::default());
    let now = sessions.now().0;
    for (meta, is_expired) in [
        (format!(r#"{{"created":{now},"idle":{}}}"#, now + HOUR / 2), false),
        (format!(r#"{{"created":{now},"idle":{now}}}"#), true),
        (format!(r#"{{"created":{now},"idle":{},"absolute":{now}}}"#, now + HOUR), true),
        (format!(r#"{{"created":{},"idle":{}}}"#, now - HOUR, now + HOUR), true),
        (format!(r#"{{"created":{},"idle":{}}}"#, now - HOUR / 2, now + HOUR), false),
    ] {
        // The store would keep it for ever.
        let cookie = planted(&sessions, &record(&meta, data)).await;
        let found = Browser::with(&app, cookie).ok("/look").await;
        assert_eq!(found.is_empty(), is_expired, "{meta}");
        assert_eq!(events.take().contains(&"expired"), is_expired, "{meta}");
    }
}

/// The absolute deadline of the session of this browser.
async fn deadline(sessions: &Sessions, browser: &Browser) -> Option<UnixMillis> {
    let id = SessionId::parse(&id_of(browser)).unwrap();
    sessions.load(&id).await.unwrap().unwrap().meta().absolute
}

#[tokio::test]
async fn nothing_extends_the_absolute_deadline() {
    let store = Faulty::default();
    let config = |hours: u32| {
        let hour = Duration::from_millis(HOUR);
        config()
            .absolute_timeout(hour * hours)
            .idle_timeout(hour)
            .max_age(hour * 100)
            .rolling(true)
            .touch_after(Duration::ZERO)
    };
    let (_, sessions) = app_and_sessions(&config(2), store.clone());
    let end = sessions.now().0 + HOUR / 2;
    let meta = format!(r#"{{"created":{},"absolute":{end}}}"#, sessions.now().0);
    let cookie = planted(&sessions, &record(&meta, "{}")).await;
    let mut browser = Browser::with(&app(&config(2), store.clone()), cookie);
    for (hours, path) in [(2, "/look"), (2, "/write"), (100, "/renew"), (100, "/look")] {
        browser = Browser::with(&app(&config(hours), store.clone()), browser.cookie());
        browser.ok(path).await;
        assert_eq!(deadline(&sessions, &browser).await, Some(UnixMillis(end)), "{path}");
    }
}

#[tokio::test]
async fn a_session_that_is_used_gets_another_idle_deadline() {
    let hour = Duration::from_millis(HOUR);
    let (app, sessions) = app_and_sessions(&config().idle_timeout(hour), MemoryStore::default());
    let now = sessions.now().0;
    let meta = format!(r#"{{"created":{now},"idle":{}}}"#, now + HOUR / 2);
    let mut browser = Browser::with(&app, planted(&sessions, &record(&meta, "{}")).await);
    browser.ok("/look").await;
    let id = SessionId::parse(&id_of(&browser)).unwrap();
    let stored = sessions.load(&id).await.unwrap().unwrap();
    assert!(stored.meta().idle >= Some(UnixMillis(now + HOUR)));
}

#[tokio::test]
async fn no_number_overflows_and_no_clock_that_steps_back_revives_a_session() {
    for time in [Duration::MAX, Duration::from_secs(u64::MAX / 1_000), Duration::from_secs(1 << 53)]
    {
        let options: [fn(Config, Duration) -> Config; 6] = [
            Config::max_age,
            Config::idle_timeout,
            Config::absolute_timeout,
            Config::renew_after,
            |config, time| config.renew_after(Duration::from_secs(60)).renew_grace(time),
            |config, time| config.rolling(true).max_age(Duration::from_secs(9)).touch_after(time),
        ];
        for option in options {
            let Ok(layer) = SessionLayer::new(&option(config(), time), Faulty::default()) else {
                continue;
            };
            let mut browser = Browser::new(&routes().layer(layer));
            browser.ok("/write").await;
            assert_eq!(browser.ok("/look").await, "ada");
        }
    }
    let clock = || UnixMillis(NOW.load(Ordering::Relaxed));
    let store = MemoryStore::with_clock(MemoryLimits::default(), clock);
    let app = app(&config().max_age(Duration::from_secs(60)), store);
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    NOW.store(1_060_000, Ordering::Relaxed);
    assert_eq!(browser.ok("/look").await, "");
    NOW.store(1_000_001, Ordering::Relaxed);
    assert_eq!(browser.ok("/look").await, "");
}

#[tokio::test]
async fn a_listener_that_panics_stops_no_logout() {
    let store = Faulty::default();
    let config = config().on_event(|_| panic!("a listener of the application"));
    let app = app(&config, store.clone());
    let mut browser = Browser::new(&app);
    browser.ok("/login").await;
    let cookie = browser.cookie();
    browser.ok("/logout").await;
    assert_eq!(browser.cookie, None);
    assert_eq!(Browser::with(&app, cookie).ok("/whoami").await, "");
}

#[tokio::test]
async fn a_logout_that_the_store_did_not_confirm_is_an_error_and_the_cookie_goes_all_the_same() {
    for broken in [&["remove"][..], &["read"], &["read", "remove", "replace"]] {
        for fault in [Fault::Fails, Fault::Hangs] {
            if fault == Fault::Hangs && broken != ["read"] {
                continue;
            }
            let store = Faulty::default();
            let events = Events::default();
            let config =
                config().store_timeout(Duration::from_millis(10)).on_event(events.listener());
            let app = app(&config, store.clone());
            let mut browser = Browser::new(&app);
            browser.ok("/login").await;
            for operation in broken {
                store.breaks(operation, fault);
            }
            let response = browser.send(Method::GET, "/logout").await;
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{broken:?}");
            let cookies = set_cookies(&response);
            assert!(cookies.len() == 1 && cookies[0].contains("Max-Age=0"), "{cookies:?}");
            assert!(!events.take().contains(&"destroyed"), "{broken:?}");
        }
    }
}

#[tokio::test]
async fn a_logout_by_an_old_cookie_that_the_store_did_not_confirm_is_an_error_too() {
    let store = Faulty::default();
    let app = app(&config(), store.clone());
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    let mut old = browser.clone();
    browser.ok("/login").await;
    store.breaks("remove", Fault::Fails);
    let response = old.send(Method::GET, "/logout").await;
    let cookies = set_cookies(&response);
    assert!(cookies.len() == 1 && cookies[0].contains("Max-Age=0"), "{cookies:?}");
    assert_eq!(old.cookie, None);
}

#[tokio::test]
async fn a_login_after_the_response_has_left_is_refused_and_leaves_nothing() {
    let late = |session: Session| async move {
        let body = futures_util::stream::once(async move {
            let login = session.login("ada").await;
            Ok::<_, std::io::Error>(login.map_or_else(|error| error.code(), |()| "in"))
        });
        Body::from_stream(body)
    };
    let store = Faulty::default();
    let layer = SessionLayer::new(&config(), store.clone()).unwrap();
    let app = routes().route("/late", get(late)).layer(layer.clone());
    assert_eq!(Browser::new(&app).ok("/late").await, "response_sent");
    assert_eq!(store.len(), 0);
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    assert_eq!(browser.ok("/late").await, "response_sent");
    assert_eq!(browser.ok("/look").await, "ada");
    assert_eq!(layer.sessions().of("ada").list().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_renewal_after_the_response_has_left_changes_no_id_that_the_browser_cannot_learn() {
    let late = |session: Session| async move {
        session.get::<String>("user").await?;
        let body = futures_util::stream::once(async move {
            // Whether or not it fails.
            let _ = session.renew().await;
            Ok::<_, std::io::Error>("")
        });
        Ok::<_, SessionError>(Body::from_stream(body))
    };
    let store = Faulty::default();
    let layer = SessionLayer::new(&config().renew_grace(Duration::ZERO), store.clone());
    let app = routes().route("/late", get(late)).layer(layer.unwrap());
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    browser.ok("/late").await;
    assert_eq!(store.len(), 1);
    assert_eq!(browser.ok("/look").await, "ada");
}

#[tokio::test]
async fn a_logout_is_final_for_a_request_under_way() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    for (path, write) in [("/save", true), ("/touch", false)] {
        let (inside, go) = (entered.clone(), leave.clone());
        let slow = async move |session: Session| {
            session.insert("user", "revived").await?;
            inside.notify_one();
            go.notified().await;
            if write {
                assert!(!session.save().await?);
            } else {
                session.touch().await?;
            }
            // A later write does not begin another session.
            session.insert("user", "revived").await?;
            assert!(!write || !session.save().await?);
            assert!(!write || !session.update(serde_json::Map::clear).await?);
            Ok::<_, SessionError>(())
        };
        let store = Faulty::default();
        let layer = SessionLayer::new(&config().max_age(Duration::from_secs(60)), store.clone());
        let app = routes().route(path, get(slow)).layer(layer.unwrap());
        let mut browser = Browser::new(&app);
        browser.ok("/write").await;
        let (cookie, mut other) = (browser.cookie(), browser.clone());
        let slow = tokio::spawn(async move { other.send(Method::GET, path).await });
        entered.notified().await;
        browser.ok("/logout").await;
        leave.notify_one();
        assert_eq!(set_cookies(&slow.await.unwrap()), Vec::<String>::new(), "{path}");
        assert_eq!(store.len(), 0, "{path}");
        assert_eq!(Browser::with(&app, cookie).ok("/look").await, "", "{path}");
    }
}

#[tokio::test]
async fn a_response_that_is_slower_than_a_login_does_not_overwrite_the_new_cookie() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (entered, leave) = (entered.clone(), leave.clone());
        |session: Session| async move {
            session.get::<String>("user").await?;
            entered.notify_one();
            leave.notified().await;
            Ok::<_, SessionError>(())
        }
    };
    let config = config().max_age(Duration::from_secs(60)).rolling(true);
    let layer = SessionLayer::new(&config, MemoryStore::default()).unwrap();
    let app = routes().route("/slow", get(slow)).layer(layer);
    for (meanwhile, cookies) in [("/login", 0), ("/renew", 0), ("/logout", 0), ("/look", 1)] {
        let mut browser = Browser::new(&app);
        browser.ok("/write").await;
        let mut other = browser.clone();
        let late = tokio::spawn(async move { other.send(Method::GET, "/slow").await });
        entered.notified().await;
        browser.ok(meanwhile).await;
        leave.notify_one();
        assert_eq!(set_cookies(&late.await.unwrap()).len(), cookies, "{meanwhile}");
    }
}

#[tokio::test]
async fn a_write_that_finds_the_session_under_another_id_sets_the_cookie() {
    for how in ["update", "save", "finish"] {
        let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (inside, go) = (entered.clone(), leave.clone());
        let slow = async move |session: Session| {
            session.get::<String>("user").await?;
            inside.notify_one();
            go.notified().await;
            if how == "update" {
                let change = |data: &mut vestiary_tower::Data| {
                    data.insert("user".to_owned(), "eve".into());
                };
                return session.update(change).await.map(|is_known| assert!(is_known));
            }
            session.insert("user", "eve").await?;
            if how == "finish" {
                return Ok(());
            }
            session.save().await.map(|is_known| assert!(is_known))
        };
        let store = Faulty::default();
        let layer = SessionLayer::new(&config(), store.clone()).unwrap();
        let app = routes().route("/slow", get(slow)).layer(layer);
        // Another process renews it meanwhile.
        let elsewhere = super::app(&config(), store.clone());
        let mut browser = Browser::new(&app);
        browser.ok("/write").await;
        let mut other = Browser::with(&elsewhere, browser.cookie());
        let late = tokio::spawn(async move {
            browser.ok("/slow").await;
            browser
        });
        entered.notified().await;
        other.ok("/renew").await;
        leave.notify_one();
        let mut browser = late.await.unwrap();
        assert_eq!(browser.cookie(), other.cookie(), "{how}");
        assert_eq!(browser.ok("/look").await, "eve", "{how}");
    }
}

#[tokio::test]
async fn all_sessions_of_a_user_end_at_once_and_a_login_under_way_is_refused() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (entered, leave) = (entered.clone(), leave.clone());
        |session: Session| async move {
            entered.notify_one();
            leave.notified().await;
            session.login("ada").await
        }
    };
    let again = |session: Session| async move {
        session.login("ada").proven_at(UnixMillis(u64::MAX / 2)).await
    };
    let old =
        |session: Session| async move { session.login("ada").proven_at(UnixMillis(1_000)).await };
    let store = Faulty::default();
    let layer = SessionLayer::new(&config(), store.clone()).unwrap();
    let app = routes()
        .route("/slow", get(slow))
        .route("/again", get(again))
        .route("/old", get(old))
        .layer(layer.clone());
    let (mut phone, mut laptop) = (Browser::new(&app), Browser::new(&app));
    phone.ok("/login").await;
    laptop.ok("/login").await;
    let mut late = Browser::new(&app);
    let under_way = tokio::spawn(async move {
        let status = late.get("/slow").await.0;
        (status, late.cookie)
    });
    entered.notified().await;
    // The clock has gone on since the request began.
    let began = layer.sessions().now();
    while layer.sessions().now() <= began {
        tokio::task::yield_now().await;
    }
    layer.sessions().of("ada").revoke_all().await.unwrap();
    for browser in [&mut phone, &mut laptop] {
        assert_eq!(browser.ok("/whoami").await, "");
    }
    leave.notify_one();
    assert_eq!(under_way.await.unwrap(), (StatusCode::CONFLICT, None));
    let mut visitor = Browser::new(&app);
    assert_eq!(visitor.get("/old").await.0, StatusCode::CONFLICT);
    assert_eq!(layer.sessions().of("ada").list().await.unwrap().len(), 0);
    // A visitor with a new proof is admitted.
    visitor.ok("/again").await;
    assert_eq!(visitor.ok("/whoami").await, "ada");
}

#[tokio::test]
async fn a_list_of_sessions_shows_neither_ids_nor_keys() {
    let config = config().hash_ids(true);
    let (app, sessions) = app_and_sessions(&config, MemoryStore::default());
    let mut browser = Browser::new(&app);
    browser.ok("/login").await;
    let id = SessionId::parse(&id_of(&browser)).unwrap();
    let list = sessions.of("ada").list().await.unwrap();
    let [one] = &list[..] else { panic!("{list:?}") };
    let shown = format!("{list:?} {} {:?}", one.handle.as_str(), one.label);
    for secret in [id.expose(), &sessions.options().store_key(&id), &browser.cookie()] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("canary-label"));
}

#[tokio::test]
async fn beyond_sessions_per_user_the_longest_unused_one_ends() {
    let app = app(&config().sessions_per_user(2), MemoryStore::default());
    let mut browsers = Vec::new();
    for _ in 0..3 {
        let mut browser = Browser::new(&app);
        browser.ok("/login").await;
        browsers.push(browser);
    }
    let mut alive = Vec::new();
    for browser in &mut browsers {
        alive.push(browser.ok("/whoami").await);
    }
    assert_eq!(alive, ["", "ada", "ada"]);
}

#[tokio::test]
async fn a_login_as_another_user_leaves_nothing_in_the_list_of_the_one_before() {
    let eve = |session: Session| async move { session.login("eve").await };
    let layer = SessionLayer::new(&config(), MemoryStore::default()).unwrap();
    let app = routes().route("/eve", get(eve)).layer(layer.clone());
    let mut browser = Browser::new(&app);
    browser.ok("/login").await;
    browser.ok("/eve").await;
    assert_eq!(browser.ok("/whoami").await, "eve");
    assert_eq!(layer.sessions().of("ada").list().await.unwrap().len(), 0);
    assert_eq!(layer.sessions().of("eve").list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn revoking_one_session_leaves_the_others() {
    let one = |session: Session| async move {
        let current = session.handle().await?;
        for other in session.siblings().await? {
            if Some(&other.handle) != current.as_ref() {
                session.sessions_of("ada").revoke(&other.handle).await?;
            }
        }
        Ok::<_, SessionError>(())
    };
    let layer = SessionLayer::new(&config(), MemoryStore::default()).unwrap();
    let app = routes().route("/one", get(one)).layer(layer.clone());
    let (mut phone, mut laptop) = (Browser::new(&app), Browser::new(&app));
    phone.ok("/login").await;
    laptop.ok("/login").await;
    phone.ok("/one").await;
    assert_eq!(laptop.ok("/whoami").await, "");
    assert_eq!(phone.ok("/whoami").await, "ada");
    assert_eq!(layer.sessions().of("ada").list().await.unwrap().len(), 1);
    // A logout removes the last session from the list.
    phone.ok("/logout").await;
    assert_eq!(layer.sessions().of("ada").list().await.unwrap().len(), 0);
}
