//! The session cookie, and the headers for caches.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header},
    response::{IntoResponse as _, Redirect},
    routing::get,
};
use tower::ServiceExt as _;
use vestiary_store::{Config, MemoryStore, SameSite};
use vestiary_tower::{Session, SessionError, SessionLayer};

use super::{Browser, Done, answered, app, app_and_sessions, has, routes};
use crate::support::{Faulty, config, set_cookies, text};

/// The error of a config that a browser would not obey.
fn refusal(config: &Config) -> String {
    let Err(error) = SessionLayer::new(config, MemoryStore::default()) else {
        panic!("accepted: {config:?}")
    };
    error.code().to_owned()
}

#[tokio::test]
async fn without_options_the_cookie_is_as_strict_as_it_can_be() {
    let app = app(&Config::new("a secret of the tests, of more than 32 bytes"), Faulty::default());
    let response = answered(&app, "/write", "").await;
    let cookies = set_cookies(&response);
    let [cookie] = &cookies[..] else { panic!("{cookies:?}") };
    let (value, attributes) = cookie.split_once(';').unwrap();
    assert!(value.starts_with("connect.sid="), "{cookie}");
    assert_eq!(attributes, " Path=/; HttpOnly; Secure; SameSite=Lax");
}

#[test]
fn options_that_contradict_a_prefix_are_rejected() {
    for config in [
        config().name("__Host-id").secure(false),
        config().name("__Host-id").path("/app"),
        config().name("__Host-id").domain("example.com"),
        config().name("__Secure-id").secure(false),
        config().name("__host-id").path("/app"),
    ] {
        assert_eq!(refusal(&config), "cookie_prefix", "{config:?}");
    }
}

#[tokio::test]
async fn cookies_that_a_browser_would_drop_become_secure() {
    for config in [
        config().same_site(SameSite::None),
        config().partitioned(true),
        config().name("__Host-id"),
        config().name("__Secure-id"),
    ] {
        let app = app(&config, Faulty::default());
        let request = Request::get("/write").header(header::HOST, "localhost").body(Body::empty());
        let response = app.oneshot(request.unwrap()).await.unwrap();
        assert!(set_cookies(&response)[0].contains("; Secure"), "{config:?}");
    }
}

#[tokio::test]
async fn the_cookie_is_secure_but_for_this_very_machine() {
    let app = app(&config(), Faulty::default());
    for (host, is_secure) in [
        ("[::1]", false),
        ("[::1]:3000", false),
        ("localhost", false),
        ("localhost:3000", false),
        ("[2001:db8::1]", true),
        ("localhost.", true),
        ("evillocalhost", true),
        ("", true),
    ] {
        let request = Request::get("/write").header(header::HOST, host).body(Body::empty());
        let response = app.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(set_cookies(&response)[0].contains("; Secure"), is_secure, "{host}");
    }
}

#[test]
fn no_option_can_add_an_attribute_or_a_header() {
    for name in ["sid; Domain=evil.example", "sid\r\nset-cookie: a=b", "sid=a", "", "s id", "sïd"]
    {
        assert_eq!(refusal(&config().name(name)), "cookie_name", "{name:?}");
    }
    for path in ["/; Domain=evil.example", "/\r\nset-cookie: a=b", "app", "/ä"] {
        assert_eq!(refusal(&config().path(path)), "cookie_option", "{path:?}");
    }
    for domain in ["a.example; Secure", "a.example\r\n", "http://a.example", "a..b"] {
        assert_eq!(refusal(&config().domain(domain)), "cookie_option", "{domain:?}");
    }
    for namespace in ["", "a b", "a:b", &"x".repeat(65)] {
        assert_eq!(refusal(&config().namespace(namespace)), "namespace_option", "{namespace:?}");
    }
    assert_eq!(refusal(&config().path(format!("/{}", "x".repeat(1_024)))), "cookie_option");
    assert!(SessionLayer::new(&config().path("/app"), MemoryStore::default()).is_ok());
}

#[tokio::test]
async fn a_removal_repeats_the_attributes_that_the_cookie_was_set_with() {
    let config = config()
        .name("__Secure-id")
        .domain("example.com")
        .path("/app")
        .max_age(Duration::from_secs(60))
        .same_site(SameSite::Strict);
    let app = app(&config, Faulty::default());
    let set = set_cookies(&answered(&app, "/write", "").await).remove(0);
    let cookie = set.split_once(';').unwrap().0;
    let removal = set_cookies(&answered(&app, "/logout", cookie).await).remove(0);
    let attributes = |text: &str| {
        let names = text.split("; ").skip(1).filter(|one| !one.starts_with("Max-Age"));
        names.filter(|one| !one.starts_with("Expires")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(attributes(&removal), attributes(&set));
    assert!(removal.starts_with("__Secure-id=;") && removal.contains("Max-Age=0"), "{removal}");
}

#[tokio::test]
async fn no_other_name_is_taken_for_ours() {
    let app = app(&config().name("__Host-id"), Faulty::default());
    let mut values = Vec::new();
    for path in ["/write", "/login"] {
        let set = set_cookies(&answered(&app, path, "").await).remove(0);
        values.push(set.split_once(';').unwrap().0.strip_prefix("__Host-id=").unwrap().to_owned());
    }
    let [own, evil] = &values[..] else { panic!("two") };
    for name in ["%5F%5FHost-id", "__host-id", "__Host-id\u{a0}", "\"__Host-id\"", "x__Host-id"] {
        for header in [
            format!("{name}={evil}"),
            format!("__Host-id={own}; {name}={evil}"),
            format!("{name}={evil}; __Host-id={own}"),
        ] {
            let request = Request::get("/whoami")
                .header(header::COOKIE, HeaderValue::from_bytes(header.as_bytes()).unwrap());
            let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(text(response).await, "", "{header}");
        }
    }
    // Spaces and tabs around a name or a value are not part of it.
    let spaced = format!("a=1;\t __Host-id \t=\t {own} ; b=2");
    assert_eq!(text(answered(&app, "/look", &spaced).await).await, "ada");
}

#[tokio::test]
async fn at_most_four_cookies_of_the_name_are_tried_wherever_they_stand() {
    let store = Faulty::default();
    let (app, sessions) = app_and_sessions(&config(), store.clone());
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    let valid = format!("sid={}", browser.cookie());
    // Signed, but unknown to the store.
    let unknown = || format!("sid={}", sessions.sign(&sessions.new_id().unwrap()));
    store.calls();
    for before in 0..4 {
        let mut all: Vec<String> = (0..before).map(|_| unknown()).collect();
        all.push(valid.clone());
        assert_eq!(text(answered(&app, "/look", &all.join("; ")).await).await, "ada", "{before}");
        assert_eq!(store.calls(), [("read", before + 1)]);
    }
    let many: Vec<String> = (0..50).map(|_| unknown()).collect();
    let response = answered(&app, "/look", &format!("{}; {valid}", many.join("; "))).await;
    assert_eq!(text(response).await, "");
    assert_eq!(store.calls(), [("read", 4)]);
    // Also over several headers, as HTTP/2 sends them.
    let mut request = Request::get("/look");
    for cookie in many.iter().chain([&valid]) {
        request = request.header(header::COOKIE, cookie);
    }
    let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(text(response).await, "");
    assert_eq!(store.calls(), [("read", 4)]);
}

/// Routes that look at the session in every possible way, on pages that declare themselves cacheable.
fn looks() -> Router {
    let page = || ([(header::CACHE_CONTROL, "public, max-age=60")], "page");
    Router::new()
        .route("/get", get(async move |s: Session| s.get::<u8>("n").await.map(|_| page())))
        .route("/data", get(async move |s: Session| s.data().await.map(|_| page())))
        .route("/new", get(async move |s: Session| s.is_new().await.map(|_| page())))
        .route("/id", get(async move |s: Session| s.id().await.map(|_| page())))
        .route("/user", get(async move |s: Session| s.user_id().await.map(|_| page())))
        .route("/handle", get(async move |s: Session| s.handle().await.map(|_| page())))
        .route("/option", get(async move |s: Option<Session>| (s.is_some(), page()).1))
        .route(
            "/insert",
            get(async move |s: Session| s.insert("user", "ada").await.map(|()| page())),
        )
        .route("/touch", get(async move |s: Session| s.touch().await.map(|()| page())))
        .route("/plain", get(async move || page()))
}

#[tokio::test]
async fn no_visitor_gets_the_page_of_another_one() {
    let layer = SessionLayer::new(&config(), Faulty::default()).unwrap();
    let app = routes().merge(looks()).layer(layer);
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    for path in ["/get", "/data", "/new", "/id", "/user", "/handle", "/option"] {
        for mut visitor in [browser.clone(), Browser::new(&app)] {
            let response = visitor.send(Method::GET, path).await;
            assert!(has(response.headers(), header::VARY, "Cookie"), "{path}");
            assert_eq!(set_cookies(&response), Vec::<String>::new(), "{path}");
        }
    }
    // No cache stores a response that sets the cookie, whatever the handler's headers are.
    let first = Browser::new(&app).send(Method::GET, "/insert").await;
    let touched = browser.send(Method::GET, "/touch").await;
    let removed = browser.clone().send(Method::GET, "/logout").await;
    for response in [first, touched, removed] {
        assert_eq!(set_cookies(&response).len(), 1);
        assert!(has(response.headers(), header::CACHE_CONTROL, "no-store"));
        assert!(has(response.headers(), header::VARY, "Cookie"));
    }
    // A page that has nothing to do with the session is left alone.
    let plain = browser.send(Method::GET, "/plain").await;
    assert!(has(plain.headers(), header::CACHE_CONTROL, "public, max-age=60"));
    assert!(!plain.headers().contains_key(header::VARY));
}

async fn not_modified(session: Session) -> Result<StatusCode, SessionError> {
    session.insert("user", "ada").await.map(|()| StatusCode::NOT_MODIFIED)
}

async fn redirect(session: Session) -> Result<Redirect, SessionError> {
    session.insert("user", "ada").await.map(|()| Redirect::to("/"))
}

async fn error(session: Session) -> Result<StatusCode, SessionError> {
    session.insert("user", "ada").await.map(|()| StatusCode::IM_A_TEAPOT)
}

async fn stream(session: Session) -> Result<Response<Body>, SessionError> {
    session.insert("user", "ada").await?;
    let chunks = ["a", "b"].map(Ok::<_, std::io::Error>);
    Ok(Body::from_stream(futures_util::stream::iter(chunks)).into_response())
}

#[tokio::test]
async fn the_cookie_survives_head_304_redirects_errors_and_streams() {
    let app = routes()
        .route("/304", get(not_modified))
        .route("/redirect", get(redirect))
        .route("/error", get(error))
        .route("/stream", get(stream))
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap());
    for (method, path) in [
        (Method::HEAD, "/write"),
        (Method::GET, "/304"),
        (Method::GET, "/redirect"),
        (Method::GET, "/error"),
        (Method::GET, "/stream"),
    ] {
        let mut browser = Browser::new(&app);
        let response = browser.send(method, path).await;
        assert_eq!(set_cookies(&response).len(), 1, "{path}");
        assert!(has(response.headers(), header::CACHE_CONTROL, "no-store"), "{path}");
        assert_eq!(browser.ok("/look").await, "ada", "{path}");
    }
}

#[tokio::test]
async fn a_cookie_that_only_rolls_is_kept_by_no_cache() {
    let config = config().max_age(Duration::from_secs(60)).rolling(true);
    let app = app(&config, Faulty::default());
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    let response = browser.send(Method::GET, "/look").await;
    assert_eq!(set_cookies(&response).len(), 1);
    assert!(has(response.headers(), header::CACHE_CONTROL, "no-store"));
    assert!(has(response.headers(), header::VARY, "Cookie"));
}

#[tokio::test]
async fn other_values_of_vary_stay() {
    for (varies, expected) in [
        (vec!["Accept", "Origin"], vec!["Accept, Origin, Cookie"]),
        (vec!["*"], vec!["*"]),
        (vec!["accept, cookie"], vec!["accept, cookie"]),
        (vec!["Accept, é"], vec!["Accept, é", "Cookie"]),
    ] {
        let expected = expected.iter().map(|value| value.as_bytes()).collect::<Vec<_>>();
        let handler = |session: Session| async move {
            session.data().await?;
            let headers = varies
                .iter()
                .map(|value| (header::VARY, HeaderValue::from_bytes(value.as_bytes()).unwrap()));
            Ok::<_, SessionError>(headers.collect::<HeaderMap>())
        };
        let layer = SessionLayer::new(&config(), Faulty::default()).unwrap();
        let app = Router::new().route("/", get(handler)).layer(layer);
        let response = Browser::new(&app).send(Method::GET, "/").await;
        let vary = response.headers().get_all(header::VARY).iter().map(HeaderValue::as_bytes);
        assert_eq!(vary.collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn a_session_that_expires_at_once_is_neither_stored_nor_sent_to_the_browser() {
    let store = Faulty::default();
    let app = app(&config().max_age(Duration::ZERO), store.clone());
    let response = Browser::new(&app).send(Method::GET, "/write").await;
    assert_eq!(set_cookies(&response), Vec::<String>::new());
    assert_eq!(store.len(), 0);
}

#[tokio::test]
async fn the_one_cookie_of_the_name_is_the_last_word_of_the_request() {
    let both = async |session: Session| -> Done {
        session.insert("user", "ada").await?;
        session.save().await?;
        session.destroy().await
    };
    let other = async |session: Session| -> Done {
        session.destroy().await?;
        session.insert("user", "eve").await
    };
    let app = routes()
        .route("/both", get(both))
        .route("/other", get(other))
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap());
    let mut browser = Browser::new(&app);
    let cookies = set_cookies(&browser.send(Method::GET, "/both").await);
    assert!(cookies.len() == 1 && cookies[0].contains("Max-Age=0"), "{cookies:?}");
    browser.ok("/write").await;
    let before = browser.cookie();
    let cookies = set_cookies(&browser.send(Method::GET, "/other").await);
    assert!(cookies.len() == 1 && !cookies[0].contains("Max-Age=0"), "{cookies:?}");
    assert_ne!(browser.cookie(), before);
    assert_eq!(browser.ok("/look").await, "eve");
}
