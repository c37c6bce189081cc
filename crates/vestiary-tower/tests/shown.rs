//! The words of errors, what `Debug` shows, and the levels at which events are logged.

#![allow(clippy::missing_docs_in_private_items, clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    error::Error as _,
    fmt,
    future::{Ready, ready},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use axum::{
    Router,
    body::Body,
    http::{Request, Response},
    routing::get,
};
use support::{Browser, Fault, Faulty, config};
use tower::{Layer as _, Service};
use tracing::{Level, Metadata, field::Field, span};
use vestiary::{Ttl, WriteId};
use vestiary_store::Store as _;
use vestiary_tower::{Rejection, RequireLogin, Session, SessionError, SessionLayer};

#[test]
fn a_rejection_says_why_and_has_the_error_of_the_store_as_its_source() {
    let failed = Rejection::Failed(SessionError::Busy);
    assert_eq!(failed.to_string(), SessionError::Busy.to_string());
    assert_eq!(failed.source().unwrap().to_string(), SessionError::Busy.to_string());
    for (rejection, said) in
        [(Rejection::MissingLayer, "`SessionLayer`"), (Rejection::LoggedOut, "logged in")]
    {
        assert!(rejection.to_string().contains(said));
        assert!(rejection.source().is_none());
    }
}

/// A service that only becomes ready when the test says so.
#[derive(Clone, Debug)]
struct Inner {
    is_ready: bool,
}

impl Service<Request<Body>> for Inner {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.is_ready { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

#[test]
fn a_service_is_ready_when_the_service_below_it_is() {
    let layer = SessionLayer::new(&config(), Faulty::default()).unwrap();
    let context = &mut Context::from_waker(Waker::noop());
    for is_ready in [true, false] {
        let inner = Inner { is_ready };
        assert_eq!(layer.layer(inner.clone()).poll_ready(context).is_ready(), is_ready);
        let mut guarded = RequireLogin::new().layer(inner);
        let polled: Poll<Result<(), Infallible>> = guarded.poll_ready(context);
        assert_eq!(polled.is_ready(), is_ready);
    }
}

#[tokio::test]
async fn debug_output_names_the_type_and_shows_no_session() {
    let layer = SessionLayer::new(&config(), Faulty::default()).unwrap();
    let mut service = layer.layer(Inner { is_ready: true });
    let mut guarded = RequireLogin::new().layer(Inner { is_ready: true });
    let future = service.call(Request::new(Body::empty()));
    let asking = guarded.call(Request::new(Body::empty()));
    for (shown, name) in [
        (format!("{layer:?}"), "SessionLayer { sessions: Sessions {"),
        (format!("{service:?}"), "SessionService { inner: Inner {"),
        (format!("{future:?}"), "ResponseFuture { .. }"),
        (format!("{asking:?}"), "GuardFuture { .. }"),
    ] {
        assert!(shown.starts_with(name), "{shown}");
    }
    let show = async |session: Session| format!("{session:?} {:?}", session.login("canary"));
    let app = Router::new().route("/", get(show)).layer(layer);
    assert_eq!(Browser::new(&app).ok("/").await, "Session { .. } LogIn { .. }");
}

/// The level at which each event was logged.
#[derive(Clone, Default)]
struct Levels(Arc<Mutex<BTreeMap<String, Level>>>);

impl tracing::Subscriber for Levels {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "vestiary"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut |field: &Field, value: &dyn fmt::Debug| {
            if field.name() == "event" {
                let name = format!("{value:?}").trim_matches('"').to_owned();
                self.0.lock().unwrap().insert(name, *event.metadata().level());
            }
        });
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn events_for_operators_are_logged_as_warnings() {
    let levels = Levels::default();
    // For the whole process: a subscriber of one thread could miss what other tests have logged before.
    tracing::subscriber::set_global_default(levels.clone()).unwrap();
    let store = Faulty::default();
    let config = config().device_bound(vestiary_tower::DeviceBound::default());
    let layer = SessionLayer::new(&config, store.clone()).unwrap();
    let sessions = layer.sessions().clone();
    let app = Router::new()
        .route("/write", get(|session: Session| async move { session.insert("n", 1).await }))
        .route("/look", get(async |session: Session| session.is_new().await.map(|_| ())))
        .route("/login", get(|session: Session| async move { session.login("ada").await }))
        .route("/logout", get(|session: Session| async move { session.destroy().await }))
        .layer(layer);
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    let anonymous = browser.cookie();
    browser.ok("/login").await;
    // An ID that the login took out of use, a device that is not shown, and a record that cannot be read.
    Browser::with(&app, anonymous).ok("/look").await;
    let device = r#""meta":{"slots":{"vestiary:device":{"until":253402300799999,"value":1}},"#;
    for other in [device, "{"] {
        let session = sessions.create("{}", None).await.unwrap();
        let key = sessions.options().store_key(session.id());
        let text = store.read(&key).await.unwrap().unwrap();
        let write_id = vestiary_store::write_id_of(&text).and_then(WriteId::parse);
        let other = if other == "{" { other.into() } else { text.replace(r#""meta":{"#, other) };
        store.replace(&key, write_id.as_ref(), &other, Ttl::Infinite).await.unwrap();
        Browser::with(&app, sessions.sign(session.id())).ok("/look").await;
    }
    store.breaks("read", Fault::Fails);
    browser.clone().get("/look").await;
    store.is_well();
    browser.ok("/logout").await;
    let levels = levels.0.lock().unwrap().clone();
    for (event, level) in [
        ("reuse", Level::WARN),
        ("bound", Level::WARN),
        ("unreadable", Level::WARN),
        ("store_failed", Level::WARN),
        ("rotated", Level::INFO),
        ("destroyed", Level::INFO),
        ("created", Level::DEBUG),
    ] {
        assert_eq!(levels.get(event), Some(&level), "{event}");
    }
}
