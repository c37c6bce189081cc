//! Device-bound sessions (DBSC): a browser's exchange with the layers, and what is refused.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

mod attacks;
mod jar;

use axum::{
    Router,
    http::{Method, StatusCode, header},
    routing::{get, post},
};
use jar::{Jar, answer_of};
use serde_json::Value;
use vestiary_store::set_clock;
use vestiary_tower::{
    Config, DeviceBound, DeviceSessions, ReadOnlySession, Session, SessionError, SessionLayer,
    Sessions, UnixMillis,
};

use crate::support::{
    Events, Fault, Faulty, config,
    device::{Device, TOKEN},
};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

async fn login(session: Session) -> Result<(), SessionError> {
    session.login("ada").await
}

async fn look(session: Session) -> Result<String, SessionError> {
    let user = session.user_id().await?.unwrap_or_default();
    Ok(format!("{user} {}", session.is_bound().await?))
}

async fn renew(session: Session) -> Result<(), SessionError> {
    session.renew().await
}

async fn logout(session: Session) -> Result<(), SessionError> {
    session.destroy().await
}

/// A login that the application takes back, for example because the account is locked.
async fn refuse(session: Session) -> Result<(), SessionError> {
    session.login("ada").await?;
    session.destroy().await
}

async fn write(session: Session) -> Result<String, SessionError> {
    session.insert("n", 1).await?;
    Ok(session.save().await?.to_string())
}

async fn put(session: Session) -> String {
    let put = session.put("vestiary:device", 1, std::time::Duration::from_secs(60)).await;
    put.map_or_else(|error| error.code().to_owned(), |_| String::new())
}

async fn take(session: Session) -> String {
    let taken = session.take::<Value>("vestiary:device").await;
    taken.map_or_else(|error| error.code().to_owned(), |_| String::new())
}

/// An app whose sessions are bound, its sessions, its store and its events.
struct Site {
    app: Router,
    sessions: Sessions,
    store: Faulty,
    events: Events,
}

impl Site {
    fn new() -> Self {
        Self::with(|config| config)
    }

    fn with(change: impl FnOnce(Config) -> Config) -> Self {
        set_clock(Some(NOW));
        let (store, events) = (Faulty::default(), Events::default());
        let config = config().device_bound(DeviceBound::default()).on_event(events.listener());
        let layer = SessionLayer::new(&change(config), store.clone()).unwrap();
        let sessions = layer.sessions().clone();
        let app = Router::new()
            .route("/", get(look))
            .route("/login", post(login))
            .route("/logout", post(logout))
            .route("/renew", post(renew))
            .route("/refuse", post(refuse))
            .route("/write", post(write))
            .route("/put", post(put))
            .route("/take", post(take))
            .layer(DeviceSessions)
            .layer(layer);
        Self { app, sessions, store, events }
    }

    /// A browser with a bound session, and its device.
    async fn bound(&self) -> (Jar, Device) {
        let mut jar = Jar::new(&self.app);
        let mut device = Device::new();
        let challenge = jar.login().await.unwrap();
        let registered = jar.register(&device.register(&challenge)).await;
        assert_eq!(registered.status, StatusCode::OK);
        device.took(registered.challenge.as_ref());
        self.events.take();
        (jar, device)
    }
}

/// Sets the clock to so many milliseconds after the beginning.
fn after(millis: u64) {
    set_clock(Some(NOW.plus(millis)));
}

#[tokio::test]
async fn a_login_offers_a_binding_and_a_browser_that_registers_needs_the_bound_cookie() {
    let site = Site::new();
    let mut jar = Jar::new(&site.app);
    let response = jar.send(Method::POST, "/login", &[]).await;
    let offer = response.headers()["secure-session-registration"].to_str().unwrap().to_owned();
    let challenge = offer
        .strip_prefix(r#"(ES256);path="/device-session/register";challenge=""#)
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap();
    assert_eq!(challenge.len(), 32);
    // A browser that cannot bind sessions keeps working, and is never asked again.
    let page = jar.send(Method::GET, "/", &[]).await;
    assert!(!page.headers().contains_key("secure-session-registration"));
    assert_eq!(answer_of(page).await.body, "ada false");

    let device = Device::new();
    let registered = jar.register(&device.register(challenge)).await;
    assert_eq!(registered.status, StatusCode::OK);
    let instructions: Value = serde_json::from_str(&registered.body).unwrap();
    let name = device.name();
    let expected = serde_json::json!({
        "session_identifier": name,
        "refresh_url": "/device-session/refresh",
        "scope": { "include_site": false },
        "credentials": [{
            "type": "cookie",
            "name": "sid.bound",
            "attributes": "Path=/; HttpOnly; Secure; SameSite=Lax",
        }],
    });
    assert_eq!(instructions, expected);
    let cookie = &registered.cookie;
    assert!(cookie.ends_with("; Max-Age=300; Path=/; HttpOnly; Secure; SameSite=Lax"), "{cookie}");
    let next = registered.challenge.clone().unwrap();
    assert!(next.starts_with('"') && next.ends_with(&format!(r#"";id="{name}""#)), "{next}");
    assert_eq!(registered.cache, "no-store");
    assert_eq!(site.events.take(), ["created", "bound"]);

    assert_eq!(jar.page().await, "ada true");
    assert!(site.sessions.of("ada").list().await.unwrap()[0].bound);
    // A second browser of the same user is not bound.
    let mut other = Jar::new(&site.app);
    other.login().await.unwrap();
    let bound: Vec<_> =
        site.sessions.of("ada").list().await.unwrap().iter().map(|one| one.bound).collect();
    assert_eq!(bound.iter().filter(|bound| **bound).count(), 1);
}

#[tokio::test]
async fn requests_that_were_on_their_way_are_admitted_during_the_grace_period() {
    let site = Site::new();
    let (jar, _) = site.bound().await;
    let mut early = jar.without_bound();
    after(29_999);
    assert_eq!(early.page().await, "ada true");
    after(30_000);
    assert_eq!(early.page().await, " false");
    // The bound cookie has its own grace period, after its end.
    let mut late = jar.clone();
    after(329_999);
    assert_eq!(late.page().await, "ada true");
    after(330_000);
    assert_eq!(late.page().await, " false");
    let site = Site::with(|config| config.renew_grace(std::time::Duration::ZERO));
    let (jar, _) = site.bound().await;
    assert_eq!(jar.without_bound().page().await, " false");
}

#[tokio::test]
async fn a_stolen_cookie_opens_nothing_writes_nothing_and_removes_no_cookie() {
    let site = Site::new();
    let (mut jar, _) = site.bound().await;
    let mut thief = jar.without_bound();
    after(60_000);
    let response = thief.send(Method::GET, "/", &[]).await;
    assert!(!response.headers().contains_key(header::SET_COOKIE));
    assert_eq!(answer_of(response).await.body, " false");
    let written = thief.send(Method::POST, "/write", &[]).await;
    assert!(!written.headers().contains_key(header::SET_COOKIE));
    assert_eq!(answer_of(written).await.body, "false");
    assert_eq!(site.events.take(), ["bound", "bound", "gone", "gone"]);
    let cookie = thief.header();
    let read = ReadOnlySession::read(&site.sessions, &cookie).await.unwrap();
    assert!(read.is_none());
    assert_eq!(jar.page().await, "ada true");
    let read = ReadOnlySession::read(&site.sessions, &jar.header()).await.unwrap();
    assert!(read.unwrap().is_bound());
    // The whole jar, when the bound cookie has ended.
    let mut copy = jar.clone();
    after(330_000);
    assert_eq!(copy.page().await, " false");
    // A logout is never refused.
    let mut owner = jar.without_bound();
    assert_eq!(owner.post("/logout").await.status, StatusCode::OK);
    assert!(owner.session.is_none());
    assert!(site.sessions.of("ada").list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_refresh_needs_a_proof_for_the_challenge_which_is_used_once() {
    let site = Site::new();
    let (mut jar, mut device) = site.bound().await;
    after(300_000);
    // Without a proof the same challenge is handed out, again and again.
    let asked = jar.refresh(&device.name(), "").await;
    assert_eq!(asked.status, StatusCode::FORBIDDEN);
    assert_eq!((asked.challenge.as_ref(), &*asked.body), (device.asked.as_ref(), ""));
    assert_eq!(jar.refresh(&device.name(), "").await.challenge, asked.challenge);
    let proof = device.proof();
    let refreshed = jar.refresh(&device.name(), &proof).await;
    assert_eq!(refreshed.status, StatusCode::OK);
    assert_ne!(refreshed.challenge, asked.challenge);
    assert!(refreshed.body.contains("refresh_url"));
    after(500_000);
    assert_eq!(jar.page().await, "ada true");
    // The reply was lost: the browser sends the proof again, and is asked for another one.
    let again = jar.refresh(&device.name(), &proof).await;
    assert_eq!((again.status, &again.challenge), (StatusCode::FORBIDDEN, &refreshed.challenge));
    assert_eq!(again.cookie, "");
    device.took(again.challenge.as_ref());
    assert_eq!(jar.refresh(&device.name(), &device.proof()).await.status, StatusCode::OK);
    // Quotes are allowed, as the draft has them.
    let asked = jar.refresh(&device.name(), "").await;
    device.took(asked.challenge.as_ref());
    let quoted = format!("\"{}\"", device.proof());
    let id = format!("\"{}\"", device.name());
    assert_eq!(jar.refresh(&id, &quoted).await.status, StatusCode::OK);
    assert!(site.events.take().is_empty());
}

#[tokio::test]
async fn a_challenge_may_be_answered_for_ten_minutes() {
    let site = Site::new();
    let (mut jar, mut device) = site.bound().await;
    let (first, proof) = (device.asked.clone(), device.proof());
    after(599_999);
    assert_eq!(jar.refresh(&device.name(), "").await.challenge, first);
    after(600_000);
    // Without a proof nothing is written: a thief could restart the lifetime of the session.
    assert_eq!(jar.refresh(&device.name(), "").await.challenge, first);
    let asked = jar.refresh(&device.name(), &proof).await;
    assert_eq!((asked.status, &*asked.cookie), (StatusCode::FORBIDDEN, ""));
    assert_ne!(asked.challenge, first);
    device.took(asked.challenge.as_ref());
    assert_eq!(jar.refresh(&device.name(), "").await.challenge, device.asked);
    assert_eq!(jar.refresh(&device.name(), &device.proof()).await.status, StatusCode::OK);
    assert!(site.events.take().is_empty());
    // That of a login, too.
    after(0);
    let mut late = Jar::new(&site.app);
    let challenge = late.login().await.unwrap();
    after(600_000);
    let refused = late.register(&Device::new().register(&challenge)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_registration_whose_reply_was_lost_gets_the_same_cookie_again_for_a_moment() {
    let site = Site::new();
    let mut jar = Jar::new(&site.app);
    let mut device = Device::new();
    let challenge = jar.login().await.unwrap();
    let proof = device.register(&challenge);
    let first = jar.register(&proof).await;
    after(29_999);
    let again = jar.register(&proof).await;
    assert_eq!((again.status, &again.cookie), (StatusCode::OK, &first.cookie));
    assert_eq!((&again.challenge, &again.body), (&first.challenge, &first.body));
    // Another device cannot take its place, and neither can the same proof later.
    let other = Device::new().register(&challenge);
    assert_eq!(jar.register(&other).await.status, StatusCode::BAD_REQUEST);
    after(30_000);
    assert_eq!(jar.register(&proof).await.status, StatusCode::BAD_REQUEST);
    device.took(first.challenge.as_ref());
    assert_eq!(jar.refresh(&device.name(), &device.proof()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_binding_survives_a_renewal_and_ends_with_a_logout_or_another_login() {
    let site = Site::new();
    let (mut jar, mut device) = site.bound().await;
    let old = jar.without_bound();
    assert_eq!(jar.post("/renew").await.status, StatusCode::OK);
    assert_eq!(jar.page().await, "ada true");
    after(60_000);
    assert_eq!(jar.page().await, "ada true");
    assert_eq!(jar.without_bound().page().await, " false");
    assert_eq!(jar.refresh(&device.name(), &device.proof()).await.status, StatusCode::OK);
    drop(old);
    // Another login: the browser registers again, and the old binding is over.
    let challenge = jar.login().await.unwrap();
    assert_eq!(jar.page().await, "ada false");
    let over = jar.refresh(&device.name(), &device.proof()).await;
    assert_eq!(over.status, StatusCode::BAD_REQUEST);
    let mut second = Device::new();
    let registered = jar.register(&second.register(&challenge)).await;
    assert_eq!(registered.status, StatusCode::OK);
    second.took(registered.challenge.as_ref());
    let over = jar.refresh(&device.name(), &device.proof()).await;
    assert_eq!((over.status, over.challenge), (StatusCode::BAD_REQUEST, None));
    device = second;
    // A logout.
    assert_eq!(jar.post("/logout").await.status, StatusCode::OK);
    site.events.take();
    let over = jar.refresh(&device.name(), &device.proof()).await;
    assert_eq!((over.status, over.challenge), (StatusCode::BAD_REQUEST, None));
    assert!(site.events.take().is_empty());
}

#[tokio::test]
async fn a_revoked_session_is_not_refreshed() {
    let site = Site::new();
    let (mut jar, device) = site.bound().await;
    site.sessions.of("ada").revoke_all().await.unwrap();
    let over = jar.refresh(&device.name(), &device.proof()).await;
    assert_eq!((over.status, over.challenge), (StatusCode::BAD_REQUEST, None));
}

#[tokio::test]
async fn while_the_store_is_unavailable_the_browser_keeps_its_binding() {
    let site = Site::new();
    let (mut jar, device) = site.bound().await;
    for operation in ["read", "replace"] {
        site.store.breaks(operation, Fault::Fails);
        let answer = jar.refresh(&device.name(), &device.proof()).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{operation}");
        site.store.is_well();
    }
    assert_eq!(jar.refresh(&device.name(), &device.proof()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_write_whose_reply_was_lost_is_recognised() {
    let site = Site::new();
    let (mut jar, mut device) = site.bound().await;
    site.store.breaks("replace", Fault::Loses);
    let answer = jar.refresh(&device.name(), &device.proof()).await;
    site.store.is_well();
    assert_eq!(answer.status, StatusCode::OK);
    device.took(answer.challenge.as_ref());
    assert_eq!(jar.refresh(&device.name(), &device.proof()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn without_the_option_nothing_is_offered_and_the_addresses_are_the_applications() {
    set_clock(Some(NOW));
    let layer = SessionLayer::new(&config(), Faulty::default()).unwrap();
    let app = Router::new().route("/login", post(login)).layer(DeviceSessions).layer(layer);
    let mut jar = Jar::new(&app);
    assert!(jar.login().await.is_none());
    assert_eq!(jar.post("/device-session/refresh").await.status, StatusCode::NOT_FOUND);
    // With it, only `POST` is served.
    let site = Site::new();
    let mut jar = Jar::new(&site.app);
    let other = jar.send(Method::GET, "/device-session/refresh", &[]).await;
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
    assert_eq!(jar.post("/device-session/refreshed").await.status, StatusCode::NOT_FOUND);
    assert_eq!(jar.post("/device-session/refresh").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_addresses_are_answered_around_a_nested_router_and_not_inside_it() {
    let device = DeviceBound::default().path("/app/device-session");
    let layer = SessionLayer::new(&config().device_bound(device), Faulty::default()).unwrap();
    let inner = || Router::new().route("/", get(look));
    let around = Router::new().nest("/app", inner()).layer(DeviceSessions).layer(layer.clone());
    let inside = Router::new().nest("/app", inner().layer(DeviceSessions).layer(layer));
    for (app, expected) in [(around, StatusCode::BAD_REQUEST), (inside, StatusCode::NOT_FOUND)] {
        let mut jar = Jar::new(&app);
        let refreshed = jar.send(Method::POST, "/app/device-session/refresh", &[]).await;
        assert_eq!(refreshed.status(), expected);
    }
}

#[tokio::test]
async fn a_login_that_is_taken_back_offers_no_binding() {
    let site = Site::new();
    let mut jar = Jar::new(&site.app);
    let response = jar.send(Method::POST, "/refuse", &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!response.headers().contains_key("secure-session-registration"));
    assert!(jar.session.is_none());
}

#[tokio::test]
async fn the_application_cannot_reach_the_binding_by_the_key_of_its_slot() {
    let site = Site::new();
    let (mut jar, _) = site.bound().await;
    for path in ["/put", "/take"] {
        let answer = jar.post(path).await;
        assert_eq!(answer.body, "forbidden_key", "{path}");
    }
    assert_eq!(jar.page().await, "ada true");
}

#[tokio::test]
async fn nothing_secret_of_a_binding_is_shown() {
    let site = Site::new();
    let (jar, device) = site.bound().await;
    let cookies = site.sessions.cookies([jar.header().as_bytes()]);
    let shown = format!("{cookies:?} {:?}", site.sessions.find(&cookies).await.unwrap());
    let proof = device.proof();
    for secret in [&*device.point(), &proof, &jar.bound.unwrap(), &device.asked.unwrap(), TOKEN] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
