//! The costs that a request may cause.

use std::{fmt::Write as _, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, StatusCode, header},
    routing::get,
};
use tower::ServiceExt as _;
use vestiary_store::MemoryStore;
use vestiary_tower::{RequireLogin, Session, SessionError, SessionLayer, UserId};

use super::{Browser, answered, app, app_and_sessions, has, planted, record, routes};
use crate::support::{Events, Fault, Faulty, config, text};

#[tokio::test]
async fn neither_numbers_nor_depth_nor_size_of_a_request_or_a_record_drive_a_loop() {
    let (events, store) = (Events::default(), Faulty::default());
    let config = config().on_event(events.listener()).store_timeout(Duration::from_secs(1));
    let (app, sessions) = app_and_sessions(&config, store.clone());
    let mut header = "sid.__chunked__=999999999".to_owned();
    for n in 0..5_000 {
        write!(header, "; sid={n}.{}", "A".repeat(43)).unwrap();
    }
    assert_eq!(text(answered(&app, "/look", &header).await).await, "");
    for garbage in ["=", ";", "sid=", "sid=;", "a", "%", "\t", "\u{ff}"] {
        let header = HeaderValue::from_bytes(garbage.repeat(1 << 19).as_bytes()).unwrap();
        let request = Request::get("/look").header(header::COOKIE, header).body(Body::empty());
        let response = app.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{garbage}");
    }
    assert_eq!(store.calls(), []);
    events.take();
    let deep = format!(r#"{{"deep":{}1{}}}"#, "[".repeat(2_000), "]".repeat(2_000));
    let large = format!(r#"{{"large":"{}"}}"#, "x".repeat(1_100_000));
    for data in [deep, large] {
        let cookie = planted(&sessions, &record("{}", &data)).await;
        assert_eq!(Browser::with(&app, cookie).ok("/look").await, "");
        assert_eq!(events.take(), ["unreadable"]);
    }
}

#[tokio::test]
async fn a_chain_of_renewals_is_followed_only_so_far() {
    let store = Faulty::default();
    let app = app(&config(), store.clone());
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    let first = browser.cookie();
    for renewals in 1..=12 {
        browser.ok("/renew").await;
        store.calls();
        let found = Browser::with(&app, &first).ok("/look").await;
        let reads = store.calls().into_iter().find(|(name, _)| *name == "read").unwrap().1;
        // The last one asks whether the cookie may leave.
        assert!(reads <= 6, "{renewals}: {reads}");
        assert_eq!(found == "ada", renewals <= 4, "{renewals}");
    }
    assert_eq!(browser.ok("/look").await, "ada");
}

#[tokio::test]
async fn a_guarded_route_does_not_run_for_anonymous_visitors() {
    let guarded = axum::Router::new()
        .route("/secret", get(|| async { "secret" }))
        .route_layer(RequireLogin::new());
    let layer = SessionLayer::new(&config(), MemoryStore::default()).unwrap();
    let app = routes().merge(guarded).layer(layer.clone());
    let mut browser = Browser::new(&app);
    assert_eq!(browser.get("/secret").await, (StatusCode::UNAUTHORIZED, String::new()));
    browser.ok("/write").await;
    assert_eq!(browser.get("/secret").await.0, StatusCode::UNAUTHORIZED);
    browser.ok("/login").await;
    assert_eq!(browser.ok("/secret").await, "secret");
    layer.sessions().of("ada").revoke_all().await.unwrap();
    assert_eq!(browser.get("/secret").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_guarded_route_runs_neither_without_the_layer_nor_while_the_store_is_down() {
    let guarded = |guard: RequireLogin| {
        axum::Router::new().route("/secret", get(|| async { "secret" })).route_layer(guard)
    };
    let (status, said) = Browser::new(&guarded(RequireLogin::new())).get("/secret").await;
    assert!(!status.is_success() && !said.contains("secret"), "{status}: {said}");
    let store = Faulty::default();
    let layer = SessionLayer::new(&config(), store.clone()).unwrap();
    let app = routes().merge(guarded(RequireLogin::at("/login-page"))).layer(layer);
    let mut browser = Browser::new(&app);
    for method in [Method::GET, Method::HEAD] {
        let response = browser.send(method, "/secret").await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert!(has(response.headers(), header::LOCATION, "/login-page"));
    }
    browser.ok("/login").await;
    store.breaks("read", Fault::Fails);
    let response = browser.send(Method::GET, "/secret").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(has(response.headers(), header::RETRY_AFTER, "1"));
    assert_ne!(text(response).await, "secret");
}

#[tokio::test]
async fn an_extracted_user_is_one_that_is_logged_in() {
    let user = |UserId(user): UserId| async move { user };
    let store = Faulty::default();
    let layer = SessionLayer::new(&config(), store.clone()).unwrap();
    let app = routes().route("/user", get(user)).layer(layer);
    let mut browser = Browser::new(&app);
    assert_eq!(browser.get("/user").await.0, StatusCode::UNAUTHORIZED);
    browser.ok("/write").await;
    assert_eq!(browser.get("/user").await.0, StatusCode::UNAUTHORIZED);
    browser.ok("/login").await;
    assert_eq!(browser.ok("/user").await, "ada");
    store.breaks("read", Fault::Fails);
    for path in ["/user", "/whoami"] {
        let response = browser.send(Method::GET, path).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(has(response.headers(), header::RETRY_AFTER, "1"), "{path}");
    }
}

/// A service that must be asked whether it is ready, each clone on its own.
#[derive(Default)]
struct Readied(bool);

impl Clone for Readied {
    fn clone(&self) -> Self {
        Self(false)
    }
}

impl tower::Service<Request<Body>> for Readied {
    type Response = axum::response::Response;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.0 = true;
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        assert!(std::mem::take(&mut self.0), "it was not ready");
        std::future::ready(Ok(axum::response::Response::new(Body::from("ready"))))
    }
}

#[tokio::test]
async fn a_guard_calls_the_service_that_was_ready() {
    let layer = SessionLayer::new(&config(), MemoryStore::default()).unwrap();
    let guarded = tower::Layer::layer(&RequireLogin::new(), Readied::default());
    let app = routes().route_service("/ready", guarded).layer(layer);
    let mut browser = Browser::new(&app);
    browser.ok("/login").await;
    assert_eq!(browser.ok("/ready").await, "ready");
}

#[tokio::test]
async fn a_response_whose_session_cannot_be_stored_says_nothing_of_the_handlers() {
    let promises = |session: Session| async move {
        session.insert("user", "ada").await?;
        let headers = [
            (header::LOCATION, "/done"),
            (header::CACHE_CONTROL, "public, max-age=60"),
            (header::CONTENT_TYPE, "text/html"),
            (header::CONTENT_ENCODING, "gzip"),
            (header::CONTENT_LENGTH, "7"),
            (header::ETAG, "\"promise\""),
            (header::LAST_MODIFIED, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ];
        Ok::<_, SessionError>((StatusCode::SEE_OTHER, headers, "promise"))
    };
    let store = Faulty::default();
    let layer = SessionLayer::new(&config(), store.clone()).unwrap();
    let app = routes().route("/promises", get(promises)).layer(layer);
    store.breaks("create", Fault::Fails);
    let response = Browser::new(&app).send(Method::GET, "/promises").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let headers = response.headers();
    assert!(has(headers, header::CACHE_CONTROL, "no-store"));
    assert!(has(headers, header::RETRY_AFTER, "1"));
    for name in [
        header::LOCATION,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::ETAG,
        header::LAST_MODIFIED,
    ] {
        assert!(!headers.contains_key(&name), "{name}");
    }
    assert!(headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0"));
    assert_eq!(text(response).await, "");
}
