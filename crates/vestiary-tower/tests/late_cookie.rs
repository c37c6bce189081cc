//! A slow request in one process, and a faster one of the same visitor in another. Each process only knows the IDs that
//! it has taken out of use itself, so the store is asked before a cookie leaves.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Method, Response, StatusCode},
    routing::get,
};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use vestiary::Ttl;
use vestiary_store::{Sessions, Store as _};
use vestiary_tower::{Config, Session, SessionError, SessionLayer};

use crate::support::{Browser, Events, Fault, Faulty, config, set_cookies};

type Done = Result<(), SessionError>;

/// The work of a slow handler before it waits.
#[derive(Clone, Copy, Debug)]
enum Slow {
    Looks,
    Saves,
    Touches,
    Renews,
}

async fn act(session: &Session, slow: Slow) -> Done {
    match slow {
        Slow::Looks => session.data().await.map(drop),
        Slow::Saves => session.save().await.map(drop),
        Slow::Touches => session.touch().await,
        Slow::Renews => session.renew().await,
    }
}

/// Ends all sessions of the user, this one included, and logs in again.
async fn again(session: Session) -> Done {
    session.sessions_of("ada").revoke_all().await?;
    session.login("ada").await
}

/// A process of the service. Its slow handler acts, notifies `acted`, and waits for `faster`.
#[derive(Clone)]
struct Process {
    app: Router,
    acted: Arc<Notify>,
    faster: Arc<Notify>,
}

impl Process {
    fn new(config: &Config, store: Faulty, slow: Slow) -> Self {
        let (acted, faster) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let waiting = (Arc::clone(&acted), Arc::clone(&faster));
        let app = Router::new()
            .route(
                "/slow",
                get(move |session: Session| async move {
                    act(&session, slow).await?;
                    waiting.0.notify_one();
                    waiting.1.notified().await;
                    Done::Ok(())
                }),
            )
            .route("/set", get(async |session: Session| session.insert("n", 1).await))
            .route("/change", get(async |session: Session| session.insert("n", 2).await))
            .route("/look", get(async |session: Session| session.data().await.map(drop)))
            .route("/login", get(async |session: Session| session.login("ada").await))
            .route("/again", get(again))
            .route("/renew", get(async |session: Session| session.renew().await))
            .route("/logout", get(async |session: Session| session.destroy().await))
            .layer(SessionLayer::new(config, store).unwrap());
        Self { app, acted, faster }
    }
}

fn rolling() -> Config {
    config().max_age(Duration::from_secs(600)).rolling(true)
}

/// The cookies of a slow response, while a request to `path` in another process was answered.
async fn late(config: &Config, slow: Slow, path: &str) -> Vec<String> {
    late_of(config, slow, "/set", path).await
}

/// The same, of a session that began with a request to `first`.
async fn late_of(config: &Config, slow: Slow, first: &str, path: &str) -> Vec<String> {
    let store = Faulty::default();
    let process = Process::new(config, store.clone(), slow);
    let other = Process::new(config, store, slow);
    let mut browser = Browser::new(&process.app);
    browser.ok(first).await;
    let cookie = browser.cookie();
    let answer = tokio::spawn(async move { browser.send(Method::GET, "/slow").await });
    process.acted.notified().await;
    let mut second = Browser::with(&other.app, cookie.clone());
    second.ok(path).await;
    assert_ne!(second.cookie, Some(cookie), "{path} is to change the cookie");
    process.faster.notify_one();
    set_cookies(&answer.await.unwrap())
}

#[tokio::test]
async fn a_late_response_sets_no_id_that_another_process_took_out_of_use() {
    for path in ["/login", "/logout"] {
        for slow in [Slow::Looks, Slow::Saves, Slow::Touches, Slow::Renews] {
            assert_eq!(late(&rolling(), slow, path).await, [""; 0], "{slow:?}, {path}");
        }
        for slow in [Slow::Saves, Slow::Touches, Slow::Renews] {
            assert_eq!(late(&config(), slow, path).await, [""; 0], "{slow:?}, {path}");
        }
    }
    assert_eq!(late(&rolling(), Slow::Looks, "/renew").await, [""; 0]);
}

#[tokio::test]
async fn a_late_response_sets_no_id_of_a_session_that_its_user_has_ended() {
    for slow in [Slow::Looks, Slow::Saves, Slow::Touches, Slow::Renews] {
        assert_eq!(late_of(&rolling(), slow, "/login", "/again").await, [""; 0], "{slow:?}");
    }
}

#[tokio::test]
async fn the_store_is_asked_once_more_only_where_another_request_can_end_the_session() {
    let store = Faulty::default();
    let plain = Process::new(&config(), store.clone(), Slow::Looks);
    let mut browser = Browser::new(&plain.app);
    browser.ok("/set").await;
    // A session that no other request knows.
    assert_eq!(store.calls(), [("create", 1)]);
    browser.ok("/look").await;
    assert_eq!(store.calls(), [("read", 1)]);
    browser.ok("/change").await;
    assert_eq!(store.calls(), [("read", 1), ("replace", 1)]);
    let rolling = Process::new(&rolling(), store.clone(), Slow::Looks);
    let mut browser = Browser::with(&rolling.app, browser.cookie());
    browser.ok("/look").await;
    // A touch or a write when the handler is done is an answer.
    assert_eq!(store.calls(), [("read", 1), ("touch", 1)]);
    browser.ok("/look").await;
    assert_eq!(store.calls(), [("read", 2)]);
    browser.ok("/set").await;
    assert_eq!(store.calls(), [("read", 1), ("replace", 1)]);
}

#[tokio::test]
async fn a_store_that_fails_then_fails_no_response_and_keeps_a_new_id() {
    for (slow, cookies) in [(Slow::Looks, 0), (Slow::Renews, 1)] {
        let store = Faulty::default();
        let events = Events::default();
        let process = Process::new(&rolling().on_event(events.listener()), store.clone(), slow);
        let mut browser = Browser::new(&process.app);
        browser.ok("/set").await;
        browser.ok("/look").await;
        events.take();
        let answer = tokio::spawn(async move { browser.send(Method::GET, "/slow").await });
        process.acted.notified().await;
        store.breaks("read", Fault::Fails);
        process.faster.notify_one();
        assert_eq!(set_cookies(&answer.await.unwrap()).len(), cookies, "{slow:?}");
        assert_eq!(events.take().last(), Some(&"store_failed"));
    }
}

/// A handler that leaves a task behind, which saves or logs in.
fn leave_behind(
    store: &Faulty,
    login: bool,
    tasks: mpsc::UnboundedSender<JoinHandle<Done>>,
) -> JoinHandle<Response<Body>> {
    let handler = move |session: Session| async move {
        session.insert("n", 1).await?;
        let task = async move {
            if login { session.login("ada").await } else { session.save().await.map(drop) }
        };
        tasks.send(tokio::spawn(task)).unwrap();
        std::future::pending::<Done>().await
    };
    let layer = SessionLayer::new(&config(), store.clone()).unwrap();
    let app = Router::new().route("/", get(handler)).layer(layer);
    tokio::spawn(async move { Browser::new(&app).send(Method::GET, "/").await })
}

#[tokio::test]
async fn an_operation_in_progress_leaves_no_record_when_the_visitor_disconnects() {
    for (login, operations) in [(false, 1), (true, 2)] {
        let store = Faulty::default();
        let (tasks, mut spawned) = mpsc::unbounded_channel();
        let mut gate = store.holds("create");
        let request = leave_behind(&store, login, tasks);
        // A login creates the list of the user first.
        for _ in 1..operations {
            gate.reached.notified().await;
            let next = store.holds("create");
            gate.open.notify_one();
            gate = next;
        }
        gate.reached.notified().await;
        request.abort();
        assert!(request.await.is_err());
        gate.open.notify_one();
        let task = spawned.recv().await.unwrap();
        assert!(matches!(task.await.unwrap(), Err(SessionError::ResponseSent)), "{login}");
        let sessions = Sessions::new(&config(), store.clone()).unwrap();
        assert!(sessions.of("ada").list().await.unwrap().is_empty());
        // A login leaves the user's empty list.
        assert_eq!(store.len(), usize::from(login));
    }
}

#[tokio::test]
async fn a_task_that_the_handler_does_not_await_is_waited_for() {
    let store = Faulty::default();
    let handler = |session: Session| async move {
        let begun = Arc::new(Notify::new());
        let notify = Arc::clone(&begun);
        tokio::spawn(async move {
            let saving = session.save();
            notify.notify_one();
            saving.await
        });
        begun.notified().await;
        tokio::task::yield_now().await;
        Done::Ok(())
    };
    let layer = SessionLayer::new(&config(), store.clone()).unwrap();
    let app = Router::new().route("/", get(handler)).layer(layer);
    let gate = store.holds("create");
    let answer = tokio::spawn(async move { Browser::new(&app).send(Method::GET, "/").await });
    gate.reached.notified().await;
    tokio::task::yield_now().await;
    gate.open.notify_one();
    assert_eq!(set_cookies(&answer.await.unwrap()).len(), 1);
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn operations_at_once_leave_no_cookie_without_a_record() {
    let handler = async |session: Session| {
        let (saved, logged_in, again, ended) =
            tokio::join!(session.save(), session.login("ada"), session.login("eve"), async {
                session.insert("n", 1).await
            });
        saved?;
        logged_in?;
        again?;
        ended
    };
    let store = Faulty::default();
    let layer = SessionLayer::new(&config(), store.clone()).unwrap();
    let app = Router::new()
        .route("/", get(handler))
        .route("/user", get(async |session: Session| session.user_id().await.map(Option::unwrap)))
        .layer(layer);
    let mut browser = Browser::new(&app);
    browser.ok("/").await;
    // Operations run in the order of the calls, so the later login counts.
    assert_eq!(browser.ok("/user").await, "eve");
    let sessions = Sessions::new(&config(), store).unwrap();
    assert!(sessions.of("ada").list().await.unwrap().is_empty());
}

#[tokio::test]
async fn reading_changes_nothing_once_the_response_has_left() {
    let store = Faulty::default();
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3_600));
    let config = rolling().renew_after(minute).idle_timeout(hour);
    let (tasks, mut spawned) = mpsc::unbounded_channel();
    let handler = move |session: Session| async move {
        let left = Arc::new(Notify::new());
        let gate = Arc::clone(&left);
        let reading = tokio::spawn(async move {
            gate.notified().await;
            session.data().await?;
            session.renew().await
        });
        tasks.send((left, reading)).unwrap();
    };
    let app = Router::new()
        .route("/socket", get(handler))
        .layer(SessionLayer::new(&config, store.clone()).unwrap());
    // Old enough that a renewal and a new deadline are due.
    let sessions = Sessions::new(&config, store.clone()).unwrap();
    let id = sessions.new_id().unwrap();
    let record =
        r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{"path":"/"},"data":{},"meta":{"created":1000}}"#;
    store.create(id.expose(), record, Ttl::Millis(60_000), false).await.unwrap();
    store.calls();
    Browser::with(&app, sessions.sign(&id)).ok("/socket").await;
    let (left, reading) = spawned.recv().await.unwrap();
    left.notify_one();
    // A renewal needs a cookie.
    assert!(matches!(reading.await.unwrap(), Err(SessionError::ResponseSent)));
    assert_eq!(store.calls(), [("read", 1)]);
}

#[tokio::test]
async fn a_logout_that_the_store_does_not_confirm_takes_the_cookie_away_of_a_session_that_rolls() {
    let store = Faulty::default();
    let config = config().rolling(true).touch_after(Duration::ZERO);
    let sessions = Sessions::new(&config, store.clone()).unwrap();
    let app = Router::new()
        .route("/login", get(async |session: Session| session.login("ada").await))
        .route("/logout", get(async |session: Session| session.destroy().await))
        .layer(SessionLayer::of(sessions));
    for fault in [Fault::Loses, Fault::Fails] {
        let mut browser = Browser::new(&app);
        browser.ok("/login").await;
        store.breaks("remove", fault);
        let response = browser.send(Method::GET, "/logout").await;
        store.is_well();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{fault:?}");
        assert_eq!(browser.cookie, None, "{fault:?}");
    }
}
