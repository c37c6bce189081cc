//! Two layers around one handler, the tenants of one layer, and listeners that panic.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Method, StatusCode, Version, header},
    middleware::{Next, from_fn},
    response::Response,
    routing::get,
};
use tower::ServiceExt as _;
use vestiary_tower::{Session, SessionLayer, Sessions};

use crate::support::{Browser, Fault, Faulty, config, set_cookies, text};

/// A handler that changes the session of the inner layer, and a middleware between the two that changes that of the
/// outer one.
fn app(inner: SessionLayer, outer: SessionLayer) -> Router {
    let between = async |request: Request, next: Next| -> Response {
        let session = Session::of(request.extensions()).unwrap();
        session.insert("outer", true).await.unwrap();
        next.run(request).await
    };
    Router::new()
        .route("/", get(async |session: Session| session.insert("inner", true).await))
        .layer(inner)
        .layer(from_fn(between))
        .layer(outer)
}

#[tokio::test]
async fn two_layers_have_a_session_and_a_cookie_each() {
    let (shop, admin) = (Faulty::default(), Faulty::default());
    let app = app(
        SessionLayer::new(&config().name("admin"), admin.clone()).unwrap(),
        SessionLayer::new(&config(), shop.clone()).unwrap(),
    );
    let response = Browser::new(&app).send(Method::GET, "/").await;
    let cookies = set_cookies(&response);
    let names: Vec<_> = cookies.iter().filter_map(|cookie| cookie.split('=').next()).collect();
    assert_eq!(names, ["admin", "sid"]);
    assert_eq!((shop.len(), admin.len()), (1, 1));
}

#[tokio::test]
async fn the_outer_of_two_layers_with_one_cookie_name_keeps_its_cookie() {
    let (shop, admin) = (Faulty::default(), Faulty::default());
    let outer = SessionLayer::new(&config(), shop.clone()).unwrap();
    let inner = SessionLayer::new(&config().namespace("admin"), admin).unwrap();
    let app = app(inner, outer.clone());
    let mut browser = Browser::new(&app);
    let response = browser.send(Method::GET, "/").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(set_cookies(&response).len(), 1);
    let cookie = format!("sid={}", browser.cookie());
    let ids = outer.sessions().cookies([cookie.as_bytes()]).ids;
    assert_eq!(ids.len(), 1, "it is that of the outer layer");
}

/// Runs an operation on the inner layer's session, and one on the outer one's before or after it. Returns the numbers
/// of records in both stores, the cookies, and the errors.
async fn with_one_name(
    inside: &'static str,
    outside: &'static str,
) -> ((usize, usize), Vec<String>, Vec<String>) {
    let (shop, admin) = (Faulty::default(), Faulty::default());
    let outer = SessionLayer::new(&config(), shop.clone()).unwrap();
    let inner = SessionLayer::new(&config().namespace("admin"), admin.clone()).unwrap();
    let errors = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&errors);
    let act = move |session: Session, does: &'static str| {
        let told = Arc::clone(&told);
        async move {
            let done = match does {
                "save" => session.save().await.map(drop),
                "login" => session.login("ada").await,
                "insert" => session.insert("n", 1).await,
                _ => Ok(()),
            };
            if let Err(error) = done {
                assert_eq!(error.code(), "options");
                told.lock().unwrap().push(error.to_string());
            }
        }
    };
    let (before, after) = outside.split_once('|').unwrap();
    let around = {
        let act = act.clone();
        move |request: Request, next: Next| {
            let act = act.clone();
            async move {
                let session = Session::of(request.extensions()).unwrap();
                act(session.clone(), before).await;
                let response = next.run(request).await;
                act(session, after).await;
                response
            }
        }
    };
    let app = Router::new()
        .route("/", get(async move |session: Session| act(session, inside).await))
        .layer(inner)
        .layer(from_fn(around))
        .layer(outer);
    let response = Browser::new(&app).send(Method::GET, "/").await;
    let cookies = set_cookies(&response);
    let mut errors = std::mem::take(&mut *errors.lock().unwrap());
    errors.extend((!response.status().is_success()).then(|| response.status().to_string()));
    ((shop.len(), admin.len()), cookies, errors)
}

#[tokio::test]
async fn only_one_of_two_layers_with_one_cookie_name_stores_a_session_and_the_other_explains_the_fix()
 {
    let cure = "two session layers use the cookie `sid`, and the visitor has a session of the other one: give one of \
                them another name (`Config::name`)";
    let failed = "500 Internal Server Error";
    // A login also creates the user's list.
    for (inside, outside, records, error) in [
        ("save", "save|", (1, 0), cure),
        ("login", "save|", (1, 0), cure),
        ("save", "login|", (2, 0), cure),
        ("login", "insert|", (1, 0), cure),
        ("insert", "save|", (1, 0), failed),
        ("insert", "insert|", (1, 0), failed),
        ("save", "|save", (0, 1), cure),
        ("save", "|login", (0, 1), cure),
        ("login", "|insert", (0, 2), failed),
        ("insert", "|insert", (0, 1), failed),
    ] {
        let (stored, cookies, errors) = with_one_name(inside, outside).await;
        let what = format!("{inside} inside, {outside} outside");
        assert_eq!(stored, records, "{what}");
        assert_eq!(errors, [error], "{what}");
        assert_eq!(cookies.len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_session_that_could_not_be_stored_leaves_the_cookie_to_the_other_layer() {
    let (shop, admin) = (Faulty::default(), Faulty::default());
    let outer = SessionLayer::new(&config(), shop.clone()).unwrap();
    let inner = SessionLayer::new(&config().namespace("admin"), admin.clone()).unwrap();
    admin.breaks("create", Fault::Fails);
    let around = async |request: Request, next: Next| -> Response {
        let session: Session = Session::of(request.extensions()).unwrap();
        let response = next.run(request).await;
        session.save().await.unwrap();
        response
    };
    let fails = async |session: Session| {
        assert_eq!(session.save().await.unwrap_err().code(), "store_failed");
        assert_eq!(session.login("ada").await.unwrap_err().code(), "store_failed");
    };
    let app = Router::new().route("/", get(fails)).layer(inner).layer(from_fn(around)).layer(outer);
    let response = Browser::new(&app).send(Method::GET, "/").await;
    assert_eq!((set_cookies(&response).len(), shop.len()), (1, 1));
}

#[tokio::test]
async fn a_logout_of_the_inner_layer_leaves_the_cookie_of_the_outer_one() {
    let shop = Faulty::default();
    let outer = SessionLayer::new(&config(), shop.clone()).unwrap();
    let inner = SessionLayer::new(&config().namespace("admin"), Faulty::default()).unwrap();
    let around = async |request: Request, next: Next| -> Response {
        let session: Session = Session::of(request.extensions()).unwrap();
        let visits = session.get("visits").await.unwrap().unwrap_or(0) + 1;
        if visits == 1 {
            session.insert("visits", visits).await.unwrap();
            return Response::default();
        }
        next.run(request).await
    };
    let app = Router::new()
        .route("/", get(async |session: Session| session.destroy().await))
        .layer(inner)
        .layer(from_fn(around))
        .layer(outer);
    let mut browser = Browser::new(&app);
    browser.ok("/").await;
    let response = browser.send(Method::GET, "/").await;
    assert_eq!((response.status(), set_cookies(&response)), (StatusCode::OK, Vec::new()));
    assert!(browser.cookie.is_some());
}

/// The user of the session at a host, who logs in at `/login`. Returns the user and the cookies of the response.
async fn at(
    app: &Router,
    version: Version,
    host: &str,
    path: &str,
    cookie: &str,
) -> (String, Vec<String>) {
    let request = match version {
        Version::HTTP_2 => Request::builder().uri(format!("https://{host}{path}")),
        _ => Request::builder().uri(path).header(header::HOST, host),
    };
    let request = request.header(header::COOKIE, cookie).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let cookies = set_cookies(&response);
    (text(response).await, cookies)
}

#[tokio::test]
async fn each_tenant_has_its_own_sessions_and_a_host_without_a_tenant_those_of_the_layer() {
    let store = Faulty::default();
    let tenants = ["blue.example", "green.example"].map(|host| {
        let config = config().namespace(host).domain(host);
        (host, Sessions::new(&config, store.clone()).unwrap())
    });
    let layer = SessionLayer::new(&config(), store).unwrap().tenant(move |request| {
        // As the guide does.
        let named = request.headers.get("host").and_then(|host| host.to_str().ok());
        let host = request.uri.host().or(named)?;
        tenants.iter().find(|(name, _)| host == *name).map(|(_, sessions)| sessions.clone())
    });
    let user = async |session: Session| session.user_id().await.unwrap().unwrap_or_default();
    let app = Router::new()
        .route("/", get(user))
        .route("/login", get(async |session: Session| session.login("ada").await))
        .layer(layer);
    let hosts = [
        ("blue.example", "; Domain=blue.example"),
        ("green.example", "; Domain=green.example"),
        ("red.example", ""),
    ];
    let versions = [Version::HTTP_11, Version::HTTP_2];
    for (version, (host, domain)) in
        versions.into_iter().flat_map(|it| hosts.map(|host| (it, host)))
    {
        let (_, cookies) = at(&app, version, host, "/login", "").await;
        let [cookie] = &cookies[..] else { panic!("{host}: {cookies:?}") };
        assert!(domain.is_empty() != cookie.contains("; Domain="), "{host}: {cookie}");
        assert!(cookie.contains(domain), "{host}: {cookie}");
        let (cookie, _) = cookie.split_once(';').unwrap();
        for (other, _) in hosts {
            let (user, _) = at(&app, version, other, "/", cookie).await;
            assert_eq!(user, if other == host { "ada" } else { "" }, "{host} at {other}");
        }
    }
}

#[tokio::test]
async fn a_layer_that_is_applied_twice_has_one_session() {
    let store = Faulty::default();
    let layer = SessionLayer::new(&config(), store.clone()).unwrap();
    let looks = async |request: Request, next: Next| -> Response {
        let session: Session = Session::of(request.extensions()).unwrap();
        session.user_id().await.unwrap();
        next.run(request).await
    };
    let app = Router::new()
        .route("/login", get(async |session: Session| session.login("ada").await))
        .route("/count", get(async |session: Session| session.insert("n", 1).await))
        .layer(layer.clone())
        .layer(from_fn(looks))
        .layer(layer);
    let mut browser = Browser::new(&app);
    for path in ["/count", "/login", "/count", "/login"] {
        browser.ok(path).await;
    }
}

#[tokio::test]
async fn a_listener_that_panics_stops_neither_a_login_nor_a_logout() {
    let store = Faulty::default();
    let layer = SessionLayer::new(
        &config().on_event(|event| panic!("of the application: {}", event.name())),
        store.clone(),
    );
    let app = Router::new()
        .route("/login", get(async |session: Session| session.login("ada").await))
        .route("/logout", get(async |session: Session| session.destroy().await))
        .layer(layer.unwrap());
    let mut browser = Browser::with(&app, "forged.cookie");
    browser.ok("/login").await;
    browser.ok("/logout").await;
    assert_eq!(browser.cookie, None);
    browser.ok("/login").await;
    store.breaks("remove", Fault::Fails);
    assert_eq!(browser.get("/logout").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(browser.cookie, None);
}
