//! Two layers around one handler, and listeners that panic.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

mod support;

use axum::{
    Router,
    extract::Request,
    http::{Method, StatusCode},
    middleware::{Next, from_fn},
    response::Response,
    routing::get,
};
use support::{Browser, Fault, Faulty, config, set_cookies};
use vestiary_tower::{Session, SessionLayer};

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
async fn of_two_layers_with_one_cookie_name_the_outer_one_keeps_its_cookie() {
    let (shop, admin) = (Faulty::default(), Faulty::default());
    let outer = SessionLayer::new(&config(), shop.clone()).unwrap();
    let inner = SessionLayer::new(&config().namespace("admin"), admin).unwrap();
    let app = app(inner, outer.clone());
    let mut browser = Browser::new(&app);
    let response = browser.send(Method::GET, "/").await;
    assert_eq!(set_cookies(&response).len(), 1);
    let cookie = format!("sid={}", browser.cookie());
    let ids = outer.sessions().cookies([cookie.as_bytes()]).ids;
    assert_eq!(ids.len(), 1, "it is that of the outer layer");
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
