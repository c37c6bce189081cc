//! A login whose provider posts its answer: the sample of docs/how-to/form-post.md.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

#[allow(unreachable_pub, reason = "the guide shows it as a module of an application")]
mod app;

use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response, StatusCode, header},
    routing::get,
};
use tower::ServiceExt as _;
use vestiary_tower::{SessionLayer, UserId};

use crate::support::{Faulty, config, set_cookies, text};

const CALLBACK: &str = "/login/callback";

/// The app of the guide, with a page that says who the visitor is.
fn app(store: &Faulty) -> Router {
    app::routes()
        .route(
            "/",
            get(async |user: Option<UserId>| user.map_or("no one".to_owned(), |UserId(user)| user)),
        )
        .layer(SessionLayer::new(&config(), store.clone()).unwrap())
}

/// Sends a request with these cookies.
async fn send(
    app: &Router,
    method: Method,
    path: &str,
    cookies: &str,
    body: &str,
) -> Response<Body> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::COOKIE, cookies)
        .body(Body::from(body.to_owned()))
        .unwrap();
    app.clone().oneshot(request).await.unwrap()
}

/// The pair of the only cookie that a response sets.
fn only_cookie(response: &Response<Body>) -> String {
    let cookies = set_cookies(response);
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    cookies.first().unwrap().split(';').next().unwrap().to_owned()
}

/// The session cookie of a visitor who has begun a login.
async fn begun(app: &Router) -> String {
    only_cookie(&send(app, Method::GET, "/login", "", "").await)
}

/// The provider's POST, which comes without the session cookie, and the cookie that keeps it.
async fn posted(app: &Router, body: &str) -> String {
    let response = send(app, Method::POST, CALLBACK, "", body).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers().get(header::LOCATION).unwrap(), CALLBACK);
    only_cookie(&response)
}

#[test]
fn the_guide_has_this_code() {
    let page = include_str!("../../../docs/how-to/form-post.md");
    assert!(page.contains(include_str!("form_post/app.rs")));
}

#[tokio::test]
async fn a_login_by_post_has_the_session_in_the_request_that_follows() {
    let store = Faulty::default();
    let app = app(&store);
    let session = begun(&app).await;
    store.calls();
    let answer = posted(&app, "code=code-of-ada&state=random").await;
    assert!(answer.starts_with("login-answer="));
    assert_eq!(store.calls(), []);
    let cookies = format!("{session}; {answer}");
    let response = send(&app, Method::GET, CALLBACK, &cookies, "").await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let user = only_cookie(&response);
    assert_ne!(user, session);
    let home = send(&app, Method::GET, "/", &user, "").await;
    assert_eq!(text(home).await, "ada");
}

#[tokio::test]
async fn answers_that_are_forged_repeated_or_of_another_browser_log_no_one_in() {
    let store = Faulty::default();
    let app = app(&store);
    for (has_begun, body) in [
        (true, "code=code-of-eve&state=another"),
        (true, "code=code-of-eve&state="),
        (true, "code=code-of-eve"),
        (true, "state=random"),
        (true, ""),
        (true, "%00=%&&=&state=random&state=random"),
        (false, "code=code-of-eve&state=random"),
    ] {
        let session = if has_begun { begun(&app).await } else { String::new() };
        let cookies = format!("{session}; {}", posted(&app, body).await);
        let response = send(&app, Method::GET, CALLBACK, &cookies, "").await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(set_cookies(&response), Vec::<String>::new(), "{body}");
    }
    let cookies =
        format!("{}; {}", begun(&app).await, posted(&app, "code=code-of-ada&state=random").await);
    let first = send(&app, Method::GET, CALLBACK, &cookies, "").await;
    assert_eq!(first.status(), StatusCode::SEE_OTHER);
    let user = only_cookie(&first);
    for session in [&cookies, &format!("{user}; {cookies}")] {
        let again = send(&app, Method::GET, CALLBACK, session, "").await;
        assert_eq!(again.status(), StatusCode::BAD_REQUEST);
        assert_eq!(set_cookies(&again), Vec::<String>::new());
    }
    let home = send(&app, Method::GET, "/", &user, "").await;
    assert_eq!(text(home).await, "ada");
}

#[tokio::test]
async fn a_body_that_is_no_form_becomes_no_cookie() {
    let app = app(&Faulty::default());
    for body in ["a=b; Path=/", "a=b\r\nSet-Cookie: sid=x", "a=\u{e9}", "a,b", &"a".repeat(4_001)] {
        let response = send(&app, Method::POST, CALLBACK, "", body).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(set_cookies(&response), Vec::<String>::new());
    }
}
