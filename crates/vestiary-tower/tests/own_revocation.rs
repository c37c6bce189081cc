//! Sessions that a request of this process revokes: its own, those of other requests, and those of connections that
//! outlive their request.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::sync::{Arc, Mutex};

use axum::{Extension, Router, http::Method, routing::get};
use vestiary::Handle;
use vestiary_store::{SessionError, Sessions};
use vestiary_tower::{Session, SessionLayer, UserList};

use crate::support::{Browser, Events, Faulty, config, set_cookies, text};

type Held = Arc<Mutex<Option<Session>>>;

/// How a request revokes: by its session or by the service's sessions; and which.
const ENDS: [(bool, &str); 6] = [
    (true, "all"),
    (false, "all"),
    (true, "own"),
    (false, "own"),
    (true, "others"),
    (false, "others"),
];

/// The list of the user, by the session or by the service.
fn ada(session: &Session, service: &Sessions, by_session: bool) -> UserList {
    if by_session { session.sessions_of("ada") } else { service.of("ada") }
}

/// Ends this session; `others` keeps another one, which is there already.
async fn end(session: &Session, list: &UserList, which: &str) -> Result<(), SessionError> {
    let own = session.handle().await?.unwrap();
    end_by(&own, list, which).await
}

async fn end_by(own: &Handle, list: &UserList, which: &str) -> Result<(), SessionError> {
    match which {
        "all" => list.revoke_all().await,
        "own" => list.revoke(own).await,
        _ => {
            let listed = list.list().await?;
            let other = listed.iter().find(|one| one.handle != *own).unwrap();
            list.revoke_others(&other.handle).await
        }
    }
}

/// Until the clock has moved on.
async fn later(service: &Sessions) {
    let now = service.now();
    while service.now() == now {
        tokio::task::yield_now().await;
    }
}

struct App {
    router: Router,
    service: Sessions,
    store: Faulty,
    events: Events,
    held: Held,
}

fn app() -> App {
    let (store, events, held) = (Faulty::default(), Events::default(), Held::default());
    let service = Sessions::new(&config().on_event(events.listener()), store.clone()).unwrap();
    let mut router = Router::new()
        .route("/login", get(|session: Session| async move { session.login("ada").await }))
        .route("/login-eve", get(|session: Session| async move { session.login("eve").await }))
        .route(
            "/whoami",
            get(async |session: Session| {
                Ok::<_, SessionError>(session.user_id().await?.unwrap_or_default())
            }),
        )
        .route("/write", get(|session: Session| async move { session.insert("n", 1).await }))
        .route("/renew", get(|session: Session| async move { session.renew().await }))
        .route(
            "/keep",
            get(async |Extension(held): Extension<Held>, session: Session| {
                let user = session.user_id().await?;
                *held.lock().unwrap() = Some(session);
                Ok::<_, SessionError>(user.unwrap_or_default())
            }),
        );
    for (number, (by_session, which)) in ENDS.into_iter().enumerate() {
        router = router
            .route(
                &format!("/end/{number}"),
                get(async move |Extension(service): Extension<Sessions>, session: Session| {
                    session.insert("n", 1).await?;
                    end(&session, &ada(&session, &service, by_session), which).await?;
                    assert_eq!(session.user_id().await?, None);
                    assert_eq!(session.handle().await?, None);
                    assert!(session.id().await?.is_none());
                    assert!(session.data().await?.is_empty());
                    assert!(session.is_new().await?);
                    session.insert("n", 2).await?;
                    assert!(!session.save().await?);
                    assert!(!session.update(|data| drop(data.insert("n".into(), 3.into()))).await?);
                    session.touch().await?;
                    session.renew().await
                }),
            )
            .route(
                &format!("/again/{number}"),
                get(async move |Extension(service): Extension<Sessions>, session: Session| {
                    later(&service).await;
                    end(&session, &ada(&session, &service, by_session), which).await?;
                    later(&service).await;
                    session.login("ada").await?;
                    session.insert("n", 1).await
                }),
            )
            .route(
                &format!("/only-end/{number}"),
                get(async move |Extension(service): Extension<Sessions>, session: Session| {
                    end(&session, &ada(&session, &service, by_session), which).await
                }),
            );
    }
    for (number, (by_session, which)) in ENDS.into_iter().enumerate() {
        for path in ["save", "touch", "renew", "update"] {
            let store = store.clone();
            let handler = async move |Extension(service): Extension<Sessions>, session: Session| {
                let own = session.handle().await?.unwrap();
                let list = ada(&session, &service, by_session);
                let gate = store.holds("read");
                let act = async {
                    match path {
                        "save" => session.save().await.map(drop),
                        "touch" => session.touch().await,
                        "renew" => session.renew().await,
                        _ => session.update(|_| ()).await.map(drop),
                    }
                };
                let revoke = async {
                    gate.reached.notified().await;
                    let ended = end_by(&own, &list, which).await;
                    gate.open.notify_one();
                    ended
                };
                let (acted, revoked) = tokio::join!(act, revoke);
                acted.and(revoked)
            };
            router = router.route(&format!("/{path}/{number}"), get(handler));
        }
    }
    let router = router
        .layer(Extension(service.clone()))
        .layer(Extension(Arc::clone(&held)))
        .layer(SessionLayer::of(service.clone()));
    App { router, service, store, events, held }
}

async fn logged_in(app: &App) -> Browser {
    let mut browser = Browser::new(&app.router);
    browser.ok("/login").await;
    browser
}

#[tokio::test]
async fn a_request_that_revokes_its_own_session_loses_it_at_once_and_removes_the_cookie() {
    for number in 0..ENDS.len() {
        for path in ["end", "only-end"] {
            let app = app();
            logged_in(&app).await;
            let mut browser = logged_in(&app).await;
            let cookie = browser.cookie();
            app.events.take();
            let response = browser.send(Method::GET, &format!("/{path}/{number}")).await;
            assert!(response.status().is_success(), "{number}");
            let [removal] = &set_cookies(&response)[..] else { panic!("{number}") };
            assert!(removal.contains("Max-Age=0"), "{removal}");
            let dropped = usize::from(path == "end") * 4;
            assert_eq!(app.events.take(), vec!["gone"; dropped], "{number}");
            assert_eq!(Browser::with(&app.router, cookie).ok("/whoami").await, "");
        }
    }
}

#[tokio::test]
async fn an_operation_that_finds_its_session_revoked_by_the_same_request_removes_the_cookie() {
    for number in 0..ENDS.len() {
        for path in ["save", "touch", "renew", "update"] {
            let app = app();
            logged_in(&app).await;
            let mut browser = logged_in(&app).await;
            app.events.take();
            let response = browser.send(Method::GET, &format!("/{path}/{number}")).await;
            assert!(response.status().is_success(), "{path} {number}");
            let [removal] = &set_cookies(&response)[..] else { panic!("{path} {number}") };
            assert!(removal.contains("Max-Age=0"), "{removal}");
            assert_eq!(app.events.take(), ["gone"], "{path} {number}");
        }
    }
}

#[tokio::test]
async fn a_request_that_has_revoked_its_own_session_may_log_in_again() {
    for number in 0..ENDS.len() {
        let app = app();
        logged_in(&app).await;
        let mut browser = logged_in(&app).await;
        let before = browser.cookie();
        let response = browser.send(Method::GET, &format!("/again/{number}")).await;
        assert!(response.status().is_success(), "{number}: {}", text(response).await);
        assert_eq!(set_cookies(&response).len(), 1);
        assert_eq!(browser.ok("/whoami").await, "ada");
        assert_eq!(Browser::with(&app.router, before).ok("/whoami").await, "");
    }
}

#[tokio::test]
async fn another_request_and_a_connection_that_stays_lose_the_session_at_once_and_no_cookie_is_set()
{
    for (number, (by_session, which)) in ENDS.into_iter().enumerate() {
        let app = app();
        logged_in(&app).await;
        let mut browser = logged_in(&app).await;
        assert_eq!(browser.ok("/keep").await, "ada");
        let kept = app.held.lock().unwrap().take().unwrap();
        // The other request is about to store its renewed session when this one revokes it.
        let open = app.store.holds("create");
        let mut other = browser.clone();
        let renewal = async { other.send(Method::GET, "/renew").await };
        let revocation = async {
            open.reached.notified().await;
            let list = if by_session { kept.sessions_of("ada") } else { app.service.of("ada") };
            end(&kept, &list, which).await.unwrap();
            open.open.notify_one();
        };
        let (response, ()) = tokio::join!(renewal, revocation);
        assert_eq!(set_cookies(&response), Vec::<String>::new(), "{number}");
        assert_eq!(kept.user_id().await.unwrap(), None, "{number}");
        assert!(kept.data().await.unwrap().is_empty());
        assert!(!kept.save().await.unwrap());
    }
}

#[tokio::test]
async fn sessions_of_other_users_and_one_that_is_kept_stay() {
    let app = app();
    let mut eve = Browser::new(&app.router);
    eve.ok("/login-eve").await;
    eve.ok("/keep").await;
    let eves = app.held.lock().unwrap().take().unwrap();
    let mut browser = logged_in(&app).await;
    browser.ok("/keep").await;
    let kept = app.held.lock().unwrap().take().unwrap();
    let own = kept.handle().await.unwrap().unwrap();
    kept.sessions_of("ada").revoke_others(&own).await.unwrap();
    assert_eq!(kept.user_id().await.unwrap().as_deref(), Some("ada"));
    assert_eq!(eves.user_id().await.unwrap().as_deref(), Some("eve"));
    app.service.of("ada").revoke_all().await.unwrap();
    assert_eq!(kept.user_id().await.unwrap(), None);
    assert_eq!(eves.user_id().await.unwrap().as_deref(), Some("eve"));
}

#[tokio::test]
async fn a_login_is_refused_if_another_request_has_ended_all_sessions_since() {
    let app = app();
    let mut browser = logged_in(&app).await;
    browser.ok("/keep").await;
    let kept = app.held.lock().unwrap().take().unwrap();
    let proven = app.service.now();
    later(&app.service).await;
    kept.sessions_of("ada").revoke_all().await.unwrap();
    later(&app.service).await;
    kept.sessions_of("ada").revoke_all().await.unwrap();
    let login = vestiary_store::Login { proven: Some(proven), ..vestiary_store::Login::default() };
    // Both ends were its own.
    kept.sessions_of("ada").admit(&login).await.unwrap();
    later(&app.service).await;
    app.service.of("ada").revoke_all().await.unwrap();
    later(&app.service).await;
    kept.sessions_of("ada").revoke_all().await.unwrap();
    let refused = kept.sessions_of("ada").admit(&login).await;
    assert!(matches!(refused, Err(SessionError::LoginOutdated)));
}
