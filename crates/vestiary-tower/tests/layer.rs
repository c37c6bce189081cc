//! The effect of the layer on requests and responses.

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
    http::{Method, Request, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Redirect},
    routing::get,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tower::ServiceExt as _;
use vestiary_tower::{
    Config, OnStoreError, RequireFresh, RequireLogin, Session, SessionError, SessionLayer, UserId,
};

use crate::support::{Browser, Events, Fault, Faulty, config, set_cookies, text};

type Answer = Result<String, SessionError>;

async fn count(session: Session) -> Answer {
    let n: u64 = session.get("n").await?.unwrap_or(0) + 1;
    session.insert("n", n).await?;
    Ok(n.to_string())
}

async fn look(session: Session) -> Answer {
    Ok(serde_json::Value::Object(session.data().await?).to_string())
}

async fn login(session: Session) -> Answer {
    session.login("ada").keep(["cart"]).label("a test").await?;
    session.insert("name", "Ada").await?;
    Ok("in".to_owned())
}

async fn logout(session: Session) -> Answer {
    session.destroy().await?;
    Ok("out".to_owned())
}

async fn whoami(user: Option<UserId>) -> String {
    user.map_or("anonymous".to_owned(), |UserId(name)| name)
}

fn routes() -> Router {
    Router::new()
        .route("/count", get(count))
        .route("/look", get(look))
        .route("/login", get(login))
        .route("/logout", get(logout))
        .route("/whoami", get(whoami))
        .route("/nothing", get(|| async { "nothing" }))
}

fn app(config: &Config, store: Faulty) -> Router {
    routes().layer(SessionLayer::new(config, store).unwrap())
}

#[tokio::test]
async fn a_session_goes_on_from_request_to_request() {
    let app = app(&config(), Faulty::default());
    let mut browser = Browser::new(&app);
    assert_eq!(browser.ok("/count").await, "1");
    let first = browser.cookie();
    assert_eq!(browser.ok("/count").await, "2");
    assert_eq!(browser.cookie(), first);
    assert_eq!(browser.ok("/look").await, r#"{"n":2}"#);
    assert_eq!(Browser::new(&app).ok("/look").await, "{}");
}

#[tokio::test]
async fn a_handler_that_ignores_the_session_costs_nothing() {
    let store = Faulty::default();
    let app = app(&config(), store.clone());
    let mut browser = Browser::new(&app);
    browser.ok("/count").await;
    store.calls();
    let response = browser.send(Method::GET, "/nothing").await;
    assert_eq!(store.calls(), []);
    assert!(set_cookies(&response).is_empty() && !response.headers().contains_key(header::VARY));
    // A request without a cookie costs no store call, and a session that is only read is not written.
    Browser::new(&app).ok("/look").await;
    assert_eq!(store.calls(), []);
    let response = browser.send(Method::GET, "/look").await;
    assert_eq!(store.calls(), [("read", 1)]);
    assert!(set_cookies(&response).is_empty());
    assert_eq!(response.headers()[header::VARY], "Cookie");
}

#[tokio::test]
async fn writing_what_is_there_already_writes_nothing() {
    let store = Faulty::default();
    let same = |session: Session| async move {
        session.insert("n", 1).await?;
        Ok::<_, SessionError>(())
    };
    let app = routes()
        .route("/same", get(same))
        .layer(SessionLayer::new(&config(), store.clone()).unwrap());
    let mut browser = Browser::new(&app);
    browser.ok("/count").await;
    store.calls();
    browser.ok("/same").await;
    assert_eq!(store.calls(), [("read", 1)]);
}

#[tokio::test]
async fn the_cookie_is_what_the_options_say_and_no_cache_keeps_it() {
    let config = config().max_age(Duration::from_secs(60)).domain("example.com").path("/app");
    let app = app(&config, Faulty::default());
    let response = Browser::new(&app).send(Method::GET, "/count").await;
    let cookies = set_cookies(&response);
    let [cookie] = &cookies[..] else { panic!("{cookies:?}") };
    let attributes = cookie.split_once(';').unwrap().1;
    assert_eq!(
        attributes,
        " Max-Age=60; Domain=example.com; Path=/app; HttpOnly; Secure; SameSite=Lax"
    );
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    for (host, secure) in [
        ("localhost:3000", false),
        ("127.0.0.1", false),
        ("[::1]:8080", false),
        ("app.localhost", false),
        ("localhost.example.com", true),
        ("127.0.0.1.example.com", true),
    ] {
        let request = Request::get("/count").header(header::HOST, host).body(Body::empty());
        let response = app.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(set_cookies(&response)[0].contains("Secure"), secure, "{host}");
    }
}

#[tokio::test]
async fn there_is_one_cookie_of_the_name_and_others_stay() {
    let both = |session: Session| async move {
        session.insert("n", 1).await?;
        let others = [("set-cookie", "sid=mine"), ("set-cookie", "sidecar=1")];
        Ok::<_, SessionError>((AppendHeaders(others), [("vary", "Accept")], "both"))
    };
    let app = Router::new()
        .route("/", get(both))
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap());
    let response = Browser::new(&app).send(Method::GET, "/").await;
    let cookies = set_cookies(&response);
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    assert_eq!(cookies[0], "sidecar=1");
    assert!(cookies[1].starts_with("sid=") && !cookies[1].contains("mine"));
    assert_eq!(response.headers()[header::VARY], "Accept, Cookie");
}

#[tokio::test]
async fn changes_are_stored_whatever_the_status_of_the_response() {
    let app = routes()
        .route(
            "/error",
            get(|session: Session| async move {
                session.insert("n", 7).await.unwrap();
                StatusCode::INTERNAL_SERVER_ERROR
            }),
        )
        .route(
            "/redirect",
            get(|session: Session| async move {
                session.insert("n", 8).await.unwrap();
                Redirect::to("/look")
            }),
        )
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap());
    let mut browser = Browser::new(&app);
    assert_eq!(browser.get("/error").await.0, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(browser.ok("/look").await, r#"{"n":7}"#);
    assert_eq!(browser.get("/redirect").await.0, StatusCode::SEE_OTHER);
    assert_eq!(browser.ok("/look").await, r#"{"n":8}"#);
}

#[tokio::test]
async fn a_login_changes_the_id_and_keeps_what_it_names() {
    let app = routes()
        .route(
            "/fill",
            get(|session: Session| async move {
                session.insert("cart", ["coat"]).await?;
                session.insert("theme", "dark").await?;
                Ok::<_, SessionError>(())
            }),
        )
        .route("/renew", get(|session: Session| async move { session.renew().await }))
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap());
    let mut browser = Browser::new(&app);
    browser.ok("/fill").await;
    let before = browser.cookie();
    browser.ok("/login").await;
    assert_ne!(browser.cookie(), before);
    assert_eq!(browser.ok("/look").await, r#"{"cart":["coat"],"name":"Ada"}"#);
    assert_eq!(browser.ok("/whoami").await, "ada");
    assert_eq!(Browser::with(&app, before).ok("/look").await, "{}");

    let before = browser.cookie();
    browser.ok("/renew").await;
    assert_ne!(browser.cookie(), before);
    assert_eq!(browser.ok("/whoami").await, "ada");
    // During the grace period, the old ID leads to it.
    let mut late = Browser::with(&app, before);
    assert_eq!(late.ok("/whoami").await, "ada");
    assert_eq!(late.cookie, browser.cookie);
}

#[tokio::test]
async fn a_logout_is_final_and_removes_the_cookie() {
    let store = Faulty::default();
    let app = app(&config(), store.clone());
    let mut browser = Browser::new(&app);
    browser.ok("/login").await;
    let cookie = browser.cookie();
    let response = browser.send(Method::GET, "/logout").await;
    assert!(set_cookies(&response)[0].contains("Max-Age=0"));
    assert_eq!(Browser::with(&app, cookie).ok("/whoami").await, "anonymous");
    // Only the user's empty list is left.
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn all_sessions_of_a_user_end_by_one_call() {
    let store = Faulty::default();
    let layer = SessionLayer::new(&config(), store.clone()).unwrap();
    let app = routes().layer(layer.clone());
    let (mut one, mut other) = (Browser::new(&app), Browser::new(&app));
    one.ok("/login").await;
    other.ok("/login").await;
    let ada = layer.sessions().of("ada");
    let devices = ada.list().await.unwrap();
    assert_eq!(devices.len(), 2);
    assert_eq!(devices[0].label.as_deref(), Some("a test"));
    store.calls();
    ada.revoke_others(&devices[0].handle).await.unwrap();
    assert_eq!(store.calls(), [("read", 1), ("replace", 1)]);
    assert_eq!(one.ok("/whoami").await, "anonymous");
    assert_eq!(other.ok("/whoami").await, "ada");
    ada.revoke_all().await.unwrap();
    assert_eq!(other.ok("/whoami").await, "anonymous");
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Cart {
    #[serde(default)]
    items: Vec<String>,
}

#[tokio::test]
async fn a_type_of_the_application_sees_the_same_session() {
    let add = |session: Session<Cart>| async move {
        session.modify(|cart| cart.items.push("a".to_owned())).await?;
        session.update(|cart| cart.items.push("b".to_owned())).await?;
        Ok::<_, SessionError>(session.read().await?.items.join(","))
    };
    let wrong = |session: Session| async move {
        session.insert("items", 5).await?;
        let error = session.typed::<Cart>().read().await.unwrap_err();
        assert!(matches!(error, SessionError::Type(_)), "{error}");
        assert!(session.get::<String>("items").await.is_err());
        session.remove::<u64>("items").await?;
        assert_eq!(session.typed::<Cart>().read().await?, Cart::default());
        Ok::<_, SessionError>("")
    };
    let app = routes()
        .route("/add", get(add))
        .route("/wrong", get(wrong))
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap());
    let mut browser = Browser::new(&app);
    assert_eq!(browser.ok("/add").await, "a,b");
    assert_eq!(browser.ok("/add").await, "a,b,a,b");
    assert_eq!(browser.ok("/look").await, r#"{"items":["a","b","a","b"]}"#);
    Browser::new(&app).ok("/wrong").await;
}

#[tokio::test]
async fn requests_at_the_same_time_lose_nothing() {
    let update = |session: Session| async move {
        session
            .update(|data| {
                let n = data.get("n").and_then(serde_json::Value::as_u64).unwrap_or(0);
                data.insert("n".to_owned(), (n + 1).into());
            })
            .await?;
        Ok::<_, SessionError>(())
    };
    let app = routes()
        .route("/update", get(update))
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap());
    let mut browser = Browser::new(&app);
    browser.ok("/count").await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let mut browser = browser.clone();
        tasks.spawn(async move { browser.ok("/update").await });
    }
    tasks.join_all().await;
    assert_eq!(browser.ok("/look").await, r#"{"n":41}"#);
}

#[tokio::test]
async fn concurrent_changes_of_other_requests_stay() {
    let entered = Arc::new(Notify::new());
    let leave = Arc::new(Notify::new());
    let slow = {
        let (entered, leave) = (entered.clone(), leave.clone());
        |session: Session| async move {
            session.insert("slow", true).await?;
            entered.notify_one();
            leave.notified().await;
            Ok::<_, SessionError>(())
        }
    };
    let events = Events::default();
    let app = routes().route("/slow", get(slow)).layer(
        SessionLayer::new(&config().on_event(events.listener()), Faulty::default()).unwrap(),
    );
    let mut browser = Browser::new(&app);
    browser.ok("/count").await;
    let mut other = browser.clone();
    let slow = tokio::spawn(async move { other.ok("/slow").await });
    entered.notified().await;
    browser.ok("/count").await;
    leave.notify_one();
    slow.await.unwrap();
    assert_eq!(browser.ok("/look").await, r#"{"n":2,"slow":true}"#);
    assert!(events.take().contains(&"conflict"));
}

#[tokio::test]
async fn a_request_that_is_cancelled_stores_nothing_and_what_it_stored_itself_stays() {
    let waiting = Arc::new(Notify::new());
    let waits = {
        let waiting = Arc::clone(&waiting);
        move |session: Session| async move {
            session.insert("saved", 1).await?;
            session.save().await?;
            session.insert("dropped", 1).await?;
            waiting.notify_one();
            std::future::pending::<()>().await;
            Ok::<_, SessionError>(())
        }
    };
    let app = routes()
        .route("/waits", get(waits))
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap());
    let mut browser = Browser::new(&app);
    browser.ok("/count").await;
    let mut other = browser.clone();
    tokio::select! {
        _ = other.ok("/waits") => panic!("it does not wait"),
        () = waiting.notified() => {}
    }
    assert_eq!(browser.ok("/look").await, r#"{"n":1,"saved":1}"#);
}

#[tokio::test]
async fn once_the_response_has_left_only_what_is_stored_can_be_saved() {
    let streams = |session: Session| async move {
        let body = async_stream(session);
        Ok::<_, SessionError>(Body::from_stream(body).into_response())
    };
    let app = routes()
        .route("/streams", get(streams))
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap());
    let response = Browser::new(&app).send(Method::GET, "/streams").await;
    assert_eq!(text(response).await, "response_sent");
    let mut browser = Browser::new(&app);
    browser.ok("/count").await;
    let response = browser.send(Method::GET, "/streams").await;
    assert_eq!(text(response).await, "saved");
    assert_eq!(browser.ok("/look").await, r#"{"n":1,"streamed":1}"#);
}

/// A body that is created after the response has left, and reports the result of its change.
fn async_stream(
    session: Session,
) -> impl futures_core::Stream<Item = Result<String, std::io::Error>> + Send {
    futures_util::stream::once(async move {
        let saved = match session.insert("streamed", 1).await {
            Ok(()) => session.save().await,
            Err(error) => Err(error),
        };
        Ok(saved.map_or_else(|error| error.code(), |_| "saved").to_owned())
    })
}

#[tokio::test]
async fn while_the_store_is_down_nothing_is_overwritten_and_no_visitor_is_taken_for_another() {
    for policy in [OnStoreError::Error, OnStoreError::Anonymous] {
        for fault in [Fault::Fails, Fault::Hangs] {
            let store = Faulty::default();
            let events = Events::default();
            let config = config()
                .on_store_error(policy)
                .store_timeout(Duration::from_millis(20))
                .on_event(events.listener());
            let app = app(&config, store.clone());
            let mut browser = Browser::new(&app);
            browser.ok("/login").await;
            let cookie = browser.cookie();
            store.breaks("read", fault);
            let (status, said) = browser.get("/look").await;
            let (writing, _) = browser.get("/count").await;
            if policy == OnStoreError::Error {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                assert!(!said.contains("secrets"), "{said}");
            } else {
                assert_eq!((status, said.as_str()), (StatusCode::OK, "{}"));
            }
            assert_eq!(writing, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(browser.ok("/nothing").await, "nothing");
            assert!(events.take().contains(&"store_failed"));
            store.is_well();
            // Neither cookie nor record was touched.
            assert_eq!(browser.cookie(), cookie);
            assert_eq!(browser.ok("/whoami").await, "ada");
        }
    }
}

#[tokio::test]
async fn a_response_that_promised_what_could_not_be_stored_does_not_leave() {
    let store = Faulty::default();
    let app = app(&config(), store.clone());
    let mut browser = Browser::new(&app);
    store.breaks("create", Fault::Fails);
    let response = browser.send(Method::GET, "/count").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    assert!(set_cookies(&response).is_empty());
    assert_eq!(text(response).await, "");
    let custom = SessionLayer::new(&config(), store.clone()).unwrap().on_failure(
        |error: &SessionError, mut response: axum::response::Response| {
            assert_eq!(error.code(), "store_failed");
            *response.status_mut() = StatusCode::IM_A_TEAPOT;
            response
        },
    );
    let app = routes().layer(custom);
    assert_eq!(Browser::new(&app).get("/count").await.0, StatusCode::IM_A_TEAPOT);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_found_and_nothing_is_done_twice() {
    let store = Faulty::default();
    let app = app(&config(), store.clone());
    let mut browser = Browser::new(&app);
    browser.ok("/count").await;
    store.breaks("replace", Fault::Loses);
    assert_eq!(browser.ok("/count").await, "2");
    store.is_well();
    assert_eq!(browser.ok("/look").await, r#"{"n":2}"#);
}

#[tokio::test]
async fn anonymous_visitors_are_rejected() {
    let guarded = Router::new()
        .route("/account", get(|| async { "yours" }).post(|| async { "done" }))
        .route_layer(RequireLogin::at("/login"));
    let strict = Router::new()
        .route("/api", get(|UserId(user): UserId| async move { user }))
        .route_layer(RequireLogin::new());
    let store = Faulty::default();
    let app = routes()
        .merge(guarded)
        .merge(strict)
        .layer(SessionLayer::new(&config(), store.clone()).unwrap());
    let mut browser = Browser::new(&app);
    let response = browser.send(Method::GET, "/account").await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()[header::LOCATION], "/login");
    assert_eq!(browser.send(Method::POST, "/account").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(browser.get("/api").await.0, StatusCode::UNAUTHORIZED);
    browser.ok("/login").await;
    let response = browser.send(Method::GET, "/account").await;
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(text(response).await, "yours");
    assert_eq!(browser.ok("/api").await, "ada");
    store.breaks("read", Fault::Fails);
    assert_eq!(browser.get("/account").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_guard_tells_the_login_page_the_way_back() {
    let guarded = |guard: RequireLogin| {
        Router::new().route("/orders", get(|| async { "yours" })).route_layer(guard)
    };
    let app = Router::new()
        .nest("/shop", guarded(RequireLogin::at("/login").returning("next")))
        .merge(guarded(RequireLogin::at("/login?by=mail").returning("to")))
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap());
    for (asked, sent) in [
        ("/shop/orders", "/login?next=/shop/orders"),
        ("/shop/orders?page=2&q=a%20b", "/login?next=/shop/orders%3Fpage%3D2%26q%3Da%2520b"),
        ("/orders?a#b", "/login?by=mail&to=/orders%3Fa"),
        ("https://app.example/shop/orders", "/login?next=/shop/orders"),
    ] {
        let response = Browser::new(&app).send(Method::GET, asked).await;
        assert_eq!(response.headers()[header::LOCATION], sent);
    }
}

#[tokio::test]
async fn a_guard_asks_users_again_who_have_proven_their_identity_too_long_ago() {
    let guarded = |path: &str, guard: RequireFresh| {
        Router::new().route(path, get(|| async { "yours" }).post(|| async {})).route_layer(guard)
    };
    let early = async |session: Session| {
        let at = vestiary_tower::UnixMillis(session.sessions().now().0 - 60_000);
        session.login("ada").proven_at(at).await
    };
    let confirm = async |session: Session| session.confirm().await.map(|done| done.to_string());
    let guard = RequireFresh::within(Duration::from_secs(60));
    let app = guarded("/password", guard.at("/confirm").returning("next"))
        .merge(routes().merge(guarded("/api", guard)))
        .route("/early", get(early))
        .route("/confirm", get(confirm))
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap());
    let mut browser = Browser::new(&app);
    // Anonymous, and logged in a minute ago.
    for path in ["/count", "/early"] {
        browser.ok(path).await;
        let response = browser.send(Method::GET, "/password?a=1").await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(response.headers()[header::LOCATION], "/confirm?next=/password%3Fa%3D1");
        assert!(!response.headers().contains_key(header::CACHE_CONTROL));
        let response = browser.send(Method::POST, "/password").await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(browser.get("/api").await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(browser.ok("/confirm").await, (path == "/early").to_string());
    }
    let response = browser.send(Method::GET, "/password").await;
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(text(response).await, "yours");
    assert_eq!(browser.ok("/api").await, "yours");
}

#[tokio::test]
async fn a_guard_outside_of_the_layer_explains_the_fix_and_does_not_redirect() {
    let layer = SessionLayer::new(&config(), Faulty::default()).unwrap();
    let app = routes().layer(layer).layer(RequireLogin::at("/login"));
    for method in [Method::GET, Method::POST] {
        let response = Browser::new(&app).send(method, "/look").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let said = text(response).await;
        assert!(said.contains("`SessionLayer`") && said.contains("Router::layer"), "{said}");
    }
}

#[tokio::test]
async fn without_the_layer_the_extractor_says_what_is_missing() {
    let (status, said) = Browser::new(&routes()).get("/count").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(said.contains("SessionLayer"), "{said}");
}

#[tokio::test]
async fn an_option_session_is_there_for_who_has_one() {
    let has = |session: Option<Session>| async move { session.is_some().to_string() };
    let app = routes()
        .route("/has", get(has))
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap());
    let mut browser = Browser::new(&app);
    assert_eq!(browser.ok("/has").await, "false");
    browser.ok("/count").await;
    assert_eq!(browser.ok("/has").await, "true");
}

#[tokio::test]
async fn a_rolling_session_is_refreshed_once_in_a_while() {
    let store = Faulty::default();
    let config = config().max_age(Duration::from_secs(60)).rolling(true);
    let app = app(&config, store.clone());
    let mut browser = Browser::new(&app);
    browser.ok("/count").await;
    store.calls();
    // It was written a moment ago: the cookie is set again, and nothing is refreshed. The second question is
    // whether the cookie may leave.
    assert_eq!(set_cookies(&browser.send(Method::GET, "/look").await).len(), 1);
    assert_eq!(store.calls(), [("read", 2)]);
    // By another process.
    let app = self::app(&config, store.clone());
    let mut browser = Browser::with(&app, browser.cookie());
    assert_eq!(set_cookies(&browser.send(Method::GET, "/look").await).len(), 1);
    // The touch answers that question, too.
    assert_eq!(store.calls(), [("read", 1), ("touch", 1)]);
}
