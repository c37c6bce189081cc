//! A logout that begins at the provider: OpenID Connect Back-Channel and Front-Channel Logout 1.0.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::unwrap_used,
    reason = "a test may fail, and sends tokens of now"
)]

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{Router, extract::Query, http::StatusCode, routing::get};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde::Deserialize;
use vestiary_store::set_clock;
use vestiary_tower::{
    BackChannelLogout, FrontChannelLogout, Provider, Session, SessionError, SessionLayer,
    UnixMillis,
};

use crate::support::{Browser, Faulty, config};

const ISSUER: &str = "https://login.example";

struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap())
    }

    fn keys(&self) -> String {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(Base64UrlUnpadded::encode_string);
        format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"1","x":"{x}","y":"{y}"}}]}}"#)
    }

    /// A logout token. `more` has its `sid`, its `sub` and its `jti`.
    fn token(&self, more: &str) -> String {
        let now = seconds();
        let claims = format!(
            r#"{{"iss":"{ISSUER}","aud":"app","iat":{now},"exp":{},{more},
            "events":{{"http://schemas.openid.net/event/backchannel-logout":{{}}}}}}"#,
            now + 120
        );
        let [header, claims] = [r#"{"alg":"ES256","kid":"1"}"#, &*claims]
            .map(|part| Base64UrlUnpadded::encode_string(part.as_bytes()));
        let text = format!("{header}.{claims}");
        let signature = self.0.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", Base64UrlUnpadded::encode_string(signature.as_ref()))
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[derive(Deserialize)]
struct LoginAs {
    user: String,
    sub: String,
    sid: Option<String>,
    /// How many seconds ago the login began.
    ago: Option<u64>,
}

async fn log_in(session: Session, Query(login): Query<LoginAs>) -> Result<(), SessionError> {
    let provider = Provider::new(ISSUER, &login.sub, login.sid.as_deref());
    let ago = Duration::from_secs(login.ago.unwrap_or_default()).as_millis();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let proven = UnixMillis(u64::try_from(now - ago).unwrap());
    session.login(login.user).provider(provider).proven_at(proven).await
}

async fn whoami(session: Session) -> Result<String, SessionError> {
    Ok(session.user_id().await?.unwrap_or_default())
}

struct Site {
    app: Router,
    store: Faulty,
    back: BackChannelLogout,
    front: FrontChannelLogout,
    signer: Signer,
    /// The provider's answers about its keys, and the number of questions.
    keys: Arc<Mutex<Option<String>>>,
    fetched: Arc<AtomicUsize>,
}

impl Site {
    fn new() -> Self {
        let (store, signer) = (Faulty::default(), Signer::new());
        let layer = SessionLayer::new(&config(), store.clone()).unwrap();
        let keys = Arc::new(Mutex::new(Some(signer.keys())));
        let fetched = Arc::new(AtomicUsize::new(0));
        let answers = (Arc::clone(&keys), Arc::clone(&fetched));
        let fetch = move || {
            answers.1.fetch_add(1, Ordering::Relaxed);
            let answer = answers.0.lock().unwrap().clone();
            async move { answer.ok_or("down") }
        };
        let back = BackChannelLogout::new(layer.sessions(), ISSUER, "app", fetch);
        let front = FrontChannelLogout::new(layer.sessions(), ISSUER);
        let app =
            Router::new().route("/login", get(log_in)).route("/whoami", get(whoami)).layer(layer);
        Self { app, store, back, front, signer, keys, fetched }
    }

    async fn device(&self, login: &str) -> Browser {
        let mut device = Browser::new(&self.app);
        device.ok(&format!("/login?{login}")).await;
        device
    }

    /// Sends a token as the provider does. Returns the body of the response.
    async fn send(&self, token: &str) -> String {
        let response = self.back.answer(format!("logout_token={token}").as_bytes()).await;
        assert_eq!(response.headers()["cache-control"], "no-store");
        let expected =
            if response.body().is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        assert_eq!(response.status(), expected);
        response.into_body()
    }
}

fn refusal(code: &str) -> String {
    format!(r#"{{"error":"invalid_request","error_description":"{code}"}}"#)
}

#[tokio::test]
async fn a_token_ends_exactly_the_sessions_of_its_sid_or_all_of_its_sub() {
    let site = Site::new();
    let mut one = site.device("user=ada&sub=a&sid=s1").await;
    let mut same = site.device("user=ada&sub=a&sid=s1").await;
    let mut other = site.device("user=ada&sub=a&sid=s2").await;
    let mut without = site.device("user=eve&sub=a").await;
    let mut bob = site.device("user=bob&sub=b&sid=s3").await;
    assert_eq!(site.send(&site.signer.token(r#""sid":"s1","sub":"a","jti":"1""#)).await, "");
    for device in [&mut one, &mut same] {
        assert_eq!(device.ok("/whoami").await, "");
    }
    assert_eq!(other.ok("/whoami").await, "ada");
    assert_eq!(without.ok("/whoami").await, "eve");
    assert_eq!(site.send(&site.signer.token(r#""sub":"a","jti":"2""#)).await, "");
    for device in [&mut other, &mut without] {
        assert_eq!(device.ok("/whoami").await, "");
    }
    assert_eq!(bob.ok("/whoami").await, "bob");
}

#[tokio::test]
async fn a_refused_token_ends_nothing() {
    let site = Site::new();
    let mut ada = site.device("user=ada&sub=a&sid=s1").await;
    let good = site.signer.token(r#""sid":"s1","jti":"1""#);
    let (signed, _) = good.rsplit_once('.').unwrap();
    let (_, other) = Signer::new()
        .token(r#""sid":"s1","jti":"1""#)
        .rsplit_once('.')
        .map(|(one, other)| (one.to_owned(), other.to_owned()))
        .unwrap();
    assert_eq!(site.send(&format!("{signed}.{other}")).await, refusal("token_signature"));
    let without_id = site.signer.token(r#""sid":"s1""#);
    assert_eq!(site.send(&without_id).await, refusal("token_id"));
    let id_token = site.signer.token(r#""sid":"s1","jti":"1","nonce":"n""#);
    assert_eq!(site.send(&id_token).await, refusal("token_nonce"));
    for body in ["", "other=1", "logout_token=a&logout_token=b", "logout_token=%FF"] {
        let response = site.back.answer(body.as_bytes()).await;
        assert_eq!(response.into_body(), refusal("logout_request"), "{body}");
    }
    let long = vec![b'a'; 40_000];
    assert_eq!(site.back.answer(&long).await.into_body(), refusal("logout_request"));
    assert_eq!(ada.ok("/whoami").await, "ada");
}

#[tokio::test]
async fn a_token_counts_once_also_after_a_crash() {
    let site = Site::new();
    let mut ada = site.device("user=ada&sub=a&sid=s1").await;
    let token = site.signer.token(r#""sub":"a","jti":"1""#);
    // The receipt of the token is written, and the user's list is not.
    let hash = vestiary::session::provider_list("sub", ISSUER, "a");
    let receipt = vestiary::session::provider_receipt(ISSUER, "1");
    let layer = SessionLayer::new(&config(), site.store.clone()).unwrap();
    let rules = layer.sessions().rules();
    let mut host = layer.sessions().host(vestiary_store::StoreOperation::Write);
    vestiary::session::logged_out(&mut host, rules, &hash, Some(receipt)).await.unwrap();
    assert_eq!(ada.ok("/whoami").await, "ada");
    assert_eq!(site.send(&token).await, refusal("token_replayed"));
    assert_eq!(ada.ok("/whoami").await, "");
    // A login of the same millisecond as the receipt counts as older.
    tokio::time::sleep(Duration::from_millis(3)).await;
    let mut again = site.device("user=ada&sub=a&sid=s2").await;
    assert_eq!(site.send(&token).await, refusal("token_replayed"));
    assert_eq!(again.ok("/whoami").await, "ada");
}

#[tokio::test]
async fn a_login_that_the_provider_ends_meanwhile_is_refused() {
    let site = Site::new();
    assert_eq!(site.send(&site.signer.token(r#""sid":"s1","jti":"1""#)).await, "");
    let mut late = Browser::new(&site.app);
    let (status, _) = late.get("/login?user=ada&sub=a&sid=s1&ago=60").await;
    assert_ne!(status, StatusCode::OK);
    assert_eq!(late.ok("/whoami").await, "");
    late.ok("/login?user=ada&sub=a&sid=s2&ago=60").await;
    assert_eq!(late.ok("/whoami").await, "ada");
}

#[tokio::test]
async fn the_keys_are_fetched_once_and_a_failure_has_a_code_of_its_own() {
    let site = Site::new();
    *site.keys.lock().unwrap() = None;
    let failed = r#"{"error":"server_error","error_description":"keys_unavailable"}"#;
    let token = |jti: u8| site.signer.token(&format!(r#""sid":"s1","jti":"{jti}""#));
    // The provider is asked only twice a minute.
    for jti in 0..3 {
        assert_eq!(site.send(&token(jti)).await, failed);
    }
    assert_eq!(site.fetched.load(Ordering::Relaxed), 1);

    let site = Site::new();
    for jti in 0..3 {
        let token = site.signer.token(&format!(r#""sid":"s1","jti":"{jti}""#));
        assert_eq!(site.send(&token).await, "");
    }
    assert_eq!(site.fetched.load(Ordering::Relaxed), 1);

    // A key of another signer under a new name.
    let site = Site::new();
    *site.keys.lock().unwrap() = Some(site.signer.keys().replace(r#""kid":"1""#, r#""kid":"2""#));
    for jti in 0..2 {
        let token = site.signer.token(&format!(r#""sid":"s1","jti":"{jti}""#));
        assert_eq!(site.send(&token).await, refusal("token_key"));
    }
    assert_eq!(site.fetched.load(Ordering::Relaxed), 1);
}

/// The keys, when the provider has answered: `None` before that.
type Answer = Arc<Mutex<Option<String>>>;

/// An endpoint whose provider answers as soon as there is an answer, and the number of questions.
fn slow(site: &Site) -> (Arc<BackChannelLogout>, Answer, Arc<AtomicUsize>) {
    let (answer, asked) = (Answer::default(), Arc::new(AtomicUsize::new(0)));
    let inside = (Arc::clone(&answer), Arc::clone(&asked));
    let fetch = move || {
        inside.1.fetch_add(1, Ordering::Relaxed);
        let answer = Arc::clone(&inside.0);
        std::future::poll_fn(move |context| {
            let answer = answer.lock().unwrap().clone();
            if answer.is_none() {
                context.waker().wake_by_ref();
            }
            answer.map_or(Poll::Pending, |keys| Poll::Ready(Ok::<_, SessionError>(keys)))
        })
    };
    let layer = SessionLayer::new(&config(), site.store.clone()).unwrap();
    let logout = BackChannelLogout::new(layer.sessions(), ISSUER, "app", fetch);
    (Arc::new(logout), answer, asked)
}

/// Polls a future once.
fn is_pending(future: Pin<&mut impl Future>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[tokio::test]
async fn a_caller_that_leaves_while_the_keys_are_fetched_holds_back_no_other_one() {
    let site = Site::new();
    let (logout, answer, asked) = slow(&site);
    let token = |jti: u8| site.signer.token(&format!(r#""sid":"s1","jti":"{jti}""#));
    let invented = token(0).replace("eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ", "eyJhbGciOiJFUzI1NiJ9");
    let mut leaves = Box::pin(logout.end(&invented));
    assert!(is_pending(leaves.as_mut()));
    drop(leaves);
    *answer.lock().unwrap() = Some(site.signer.keys());
    logout.end(&token(1)).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_token_of_a_known_key_waits_for_no_answer_about_another_one() {
    let site = Site::new();
    let (logout, answer, asked) = slow(&site);
    let token = |jti: u8| site.signer.token(&format!(r#""sid":"s1","jti":"{jti}""#));
    *answer.lock().unwrap() = Some(site.signer.keys());
    logout.end(&token(1)).await.unwrap();
    *answer.lock().unwrap() = None;
    // {"alg":"ES256","kid":"2"}
    let other = token(2)
        .replace("eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ", "eyJhbGciOiJFUzI1NiIsImtpZCI6IjIifQ");
    set_clock(Some(UnixMillis(seconds() * 1_000 + 60_000)));
    let mut waits = Box::pin(logout.end(&other));
    assert!(is_pending(waits.as_mut()));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    logout.end(&token(3)).await.unwrap();
    set_clock(None);
}

#[tokio::test]
async fn after_a_clock_was_set_back_the_keys_are_fetched_as_before() {
    let site = Site::new();
    let (logout, answer, asked) = slow(&site);
    let token = |jti: u8| site.signer.token(&format!(r#""sid":"s1","jti":"{jti}""#));
    let good = site.signer.keys();
    *answer.lock().unwrap() = Some(r#"{"keys":[]}"#.to_owned());
    // The clock is a minute ahead, and then right.
    set_clock(Some(UnixMillis(seconds() * 1_000 + 60_000)));
    assert_eq!(logout.end(&token(1)).await.unwrap_err().code(), "token_key");
    set_clock(None);
    *answer.lock().unwrap() = Some(good);
    logout.end(&token(2)).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_frame_of_the_providers_page_ends_the_sessions_of_its_sid() {
    let site = Site::new();
    let mut ada = site.device("user=ada&sub=a&sid=s%201").await;
    let mut other = site.device("user=ada&sub=a&sid=s2").await;
    let refused = [
        ("", "logout_request"),
        ("iss=https://login.example&sid=", "logout_request"),
        ("iss=https://login.example&sid=s2&sid=s2", "logout_request"),
        ("sid=s2", "token_issuer"),
        ("iss=https://evil.example&sid=s2", "token_issuer"),
    ];
    for (query, code) in refused {
        assert_eq!(site.front.answer(query).await.into_body(), refusal(code), "{query}");
    }
    let response = site.front.answer("iss=https%3A%2F%2Flogin.example&sid=s+1").await;
    assert_eq!((response.status(), response.body().as_str()), (StatusCode::OK, ""));
    assert_eq!(ada.ok("/whoami").await, "");
    assert_eq!(other.ok("/whoami").await, "ada");
}
