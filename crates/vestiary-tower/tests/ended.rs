//! Streams that end when their session does.

#![allow(clippy::missing_docs_in_private_items, clippy::unwrap_used, reason = "a test may fail")]

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use axum::{
    Router,
    extract::ws::{WebSocket, WebSocketUpgrade},
    http::Method,
    response::{
        Response,
        sse::{Event, Sse},
    },
    routing::get,
};
use futures_core::Stream;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _, stream};
use http_body_util::BodyExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    client_async,
    tungstenite::{self, client::IntoClientRequest as _},
};
use vestiary_tower::{
    Config, Ended, MemoryStore, OnStoreError, ReadOnlySession, Session, SessionLayer, Sessions,
};

use crate::support::{Browser, Fault, Faulty, config};

type Held = Arc<Mutex<Option<Session>>>;

/// An application that hands the session of `/hold` to the test, and is otherwise a login and a logout.
fn app(config: &Config, store: Faulty) -> (Router, Held) {
    let held = Held::default();
    let [read, written] = [(); 2].map(|()| Arc::clone(&held));
    let hand_over = move |session: Session| async move { *read.lock().unwrap() = Some(session) };
    let write = move |session: Session| async move {
        *written.lock().unwrap() = Some(session.clone());
        session.insert("n", 1).await
    };
    let routes = Router::new()
        .route("/hold", get(hand_over))
        .route("/hold-and-write", get(write))
        .route("/begin", get(begins))
        .route("/events", get(events))
        .route("/socket", get(socket))
        .route("/login", get(|session: Session| async move { session.login("ada").await }))
        .route("/renew", get(|session: Session| async move { session.renew().await }))
        .route("/logout", get(|session: Session| async move { session.destroy().await }));
    (routes.layer(SessionLayer::new(config, store).unwrap()), held)
}

async fn held(browser: &mut Browser, held: &Held) -> Session {
    browser.ok("/hold").await;
    held.lock().unwrap().take().unwrap()
}

fn is_over(ended: &mut Ended) -> bool {
    ended.now_or_never().is_some()
}

/// Numbers without an end. Says when it is dropped.
struct Numbers(u64, Arc<AtomicBool>);

impl Stream for Numbers {
    type Item = u64;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<u64>> {
        self.0 += 1;
        Poll::Ready(Some(self.0))
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_session_and_its_source_is_dropped() {
    let (app, holder) = app(&config(), Faulty::default());
    for end in ["/logout", "/login"] {
        let mut browser = Browser::new(&app);
        browser.ok("/login").await;
        let session = held(&mut browser, &holder).await;
        let dropped = Arc::new(AtomicBool::new(false));
        let mut numbers = pin!(session.until(Numbers(0, Arc::clone(&dropped))));
        assert_eq!(numbers.next().await, Some(1));
        browser.ok("/renew").await;
        assert_eq!(numbers.next().await, Some(2));
        browser.ok(end).await;
        assert_eq!(numbers.next().await, None, "{end}");
        assert!(dropped.load(Ordering::SeqCst));
        assert_eq!(numbers.next().await, None);
        assert_eq!(numbers.size_hint(), (0, Some(0)));
    }
}

#[tokio::test]
async fn after_a_logout_nothing_is_delivered_while_the_store_has_not_answered() {
    let store = Faulty::default();
    let (app, holder) = app(&config(), store.clone());
    let mut browser = Browser::new(&app);
    browser.ok("/login").await;
    let session = held(&mut browser, &holder).await;
    let mut numbers = Box::pin(session.until(Numbers(0, Arc::default())));
    assert_eq!(numbers.next().await, Some(1));
    browser.ok("/logout").await;
    let gate = store.holds("read");
    assert_eq!(numbers.next().now_or_never(), None);
    assert_eq!(numbers.next().now_or_never(), None);
    gate.open.notify_one();
    assert_eq!(numbers.next().await, None);
}

#[tokio::test]
async fn a_source_that_ends_ends_the_stream() {
    let store = Faulty::default();
    let (app, holder) = app(&config(), store.clone());
    let mut browser = Browser::new(&app);
    browser.ok("/login").await;
    let session = held(&mut browser, &holder).await;
    let mut three = Box::pin(session.until(stream::iter(1..=3)));
    assert_eq!(three.size_hint(), (0, Some(3)));
    assert_eq!(three.by_ref().collect::<Vec<_>>().await, [1, 2, 3]);
    assert_eq!(three.next().await, None);
    // It does not ask the store any more.
    store.calls();
    browser.ok("/logout").await;
    store.calls();
    assert_eq!(three.next().await, None);
    assert_eq!(store.calls(), []);
}

#[tokio::test]
async fn an_anonymous_session_is_watched_from_when_it_is_stored() {
    let (app, _) = app(&config(), Faulty::default());
    Browser::new(&app).ok("/begin").await;
}

/// A handler whose session is stored and ended while streams of it wait.
async fn begins(session: Session) {
    let (mut ended, waiting) = (session.ended(), tokio::spawn(session.ended()));
    assert!(!is_over(&mut ended));
    tokio::task::yield_now().await;
    session.insert("n", 1).await.unwrap();
    assert!(!is_over(&mut ended));
    assert!(session.save().await.unwrap());
    assert!(!is_over(&mut ended));
    tokio::task::yield_now().await;
    session.destroy().await.unwrap();
    assert!(is_over(&mut ended));
    waiting.await.unwrap();
}

#[tokio::test]
async fn a_session_that_is_stored_with_the_response_is_watched() {
    let (app, holder) = app(&config(), Faulty::default());
    let mut browser = Browser::new(&app);
    browser.ok("/hold-and-write").await;
    let mut ended = holder.lock().unwrap().take().unwrap().ended();
    assert!(!is_over(&mut ended));
    browser.ok("/logout").await;
    assert!(is_over(&mut ended));
}

#[tokio::test]
async fn a_session_that_has_ended_or_cannot_be_read_is_over_at_once() {
    let store = Faulty::default();
    for policy in [OnStoreError::Error, OnStoreError::Anonymous] {
        let (app, holder) = app(&config().on_store_error(policy), store.clone());
        let mut browser = Browser::new(&app);
        browser.ok("/login").await;
        let session = held(&mut browser, &holder).await;
        assert!(session.is_alive().await.unwrap());
        browser.ok("/logout").await;
        assert!(is_over(&mut session.ended()));
        assert_eq!(Box::pin(session.until(Numbers(0, Arc::default()))).next().await, None);

        browser.ok("/login").await;
        let session = held(&mut browser, &holder).await;
        store.breaks("read", Fault::Fails);
        assert!(is_over(&mut session.ended()), "{policy:?}");
        store.is_well();
    }
}

#[tokio::test]
async fn a_session_that_was_read_without_a_request_is_watched_too() {
    let config = Config::new("0123456789abcdef0123456789abcdef").name("sid");
    let sessions = Sessions::new(&config, MemoryStore::default()).unwrap();
    let session = sessions.create("{}", None).await.unwrap();
    let cookie = format!("sid={}", sessions.sign(session.id()));
    let read = ReadOnlySession::read(&sessions, &cookie).await.unwrap().unwrap();
    let mut ended = read.ended();
    let mut numbers = Box::pin(read.until(Numbers(0, Arc::default())));
    assert!(!is_over(&mut ended));
    assert_eq!(numbers.next().await, Some(1));
    sessions.destroy(&session).await.unwrap();
    assert!(is_over(&mut ended));
    assert_eq!(numbers.next().await, None);
}

#[tokio::test]
async fn a_future_outlives_its_request_and_holds_no_lock() {
    fn is_sent<T: Send + 'static>(it: T) -> T {
        it
    }
    let (app, holder) = app(&config(), Faulty::default());
    let mut browser = Browser::new(&app);
    browser.ok("/login").await;
    let session = held(&mut browser, &holder).await;
    let mut ended = is_sent(session.ended());
    let until = is_sent(session.until(stream::pending::<()>()));
    assert!(!is_over(&mut ended));
    assert_eq!(session.user_id().await.unwrap().as_deref(), Some("ada"));
    assert_eq!(format!("{ended:?} {until:?}"), "Ended { .. } Until { .. }");
    drop(session);
    let poll = Pin::new(&mut ended).poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll.is_pending());
}

#[tokio::test]
async fn an_event_stream_and_a_web_socket_end_with_the_logout() {
    let (app, _) = app(&config(), Faulty::default());
    let mut browser = Browser::new(&app);
    browser.ok("/login").await;
    let mut events = browser.send(Method::GET, "/events").await.into_body();
    let first = events.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "data: 1\n\n");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut request = format!("ws://{address}/socket").into_client_request().unwrap();
    let cookie = format!("sid={}", browser.cookie()).parse().unwrap();
    request.headers_mut().insert("cookie", cookie);
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    socket.send(tungstenite::Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), tungstenite::Message::text("hello"));

    browser.ok("/logout").await;
    assert!(events.frame().await.is_none());
    // Without a message in between.
    assert!(!matches!(socket.next().await, Some(Ok(tungstenite::Message::Text(_)))));
}

async fn events(session: Session) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // It never waits, so an event too many would be seen.
    let numbers = Numbers(0, Arc::default());
    Sse::new(session.until(numbers.map(|n| Ok(Event::default().data(n.to_string())))))
}

async fn socket(session: Session, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| echo(socket, session))
}

async fn echo(mut socket: WebSocket, session: Session) {
    let mut ended = session.ended();
    loop {
        tokio::select! {
            () = &mut ended => break,
            message = socket.recv() => {
                let Some(Ok(message)) = message else { break };
                if socket.send(message).await.is_err() {
                    break;
                }
            }
        }
    }
}
