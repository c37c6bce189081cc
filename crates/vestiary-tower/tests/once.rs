//! A function that one request of all processes runs.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Path, routing::get};
use tokio::task::JoinSet;
use vestiary_tower::{OnceError, Session, SessionError, SessionLayer};

use crate::support::{Browser, Faulty, config};

const LEASE: Duration = Duration::from_secs(10);

/// A provider of tokens that revokes all of them if one is used twice.
#[derive(Clone, Default)]
struct Provider {
    grants: Arc<AtomicUsize>,
    reused: Arc<AtomicUsize>,
}

impl Provider {
    async fn grant(&self, token: usize) -> usize {
        tokio::time::sleep(Duration::from_millis(2)).await;
        if self.grants.fetch_add(1, Ordering::SeqCst) != token {
            self.reused.fetch_add(1, Ordering::SeqCst);
        }
        token + 1
    }
}

/// The code of an error, and its text.
fn shown<V: ToString, E: std::fmt::Display>(result: Result<V, OnceError<E>>) -> String {
    match result {
        Ok(value) => value.to_string(),
        Err(error) => format!("{} ({error})", error.code().unwrap_or("run")),
    }
}

/// An app of its own for each process, around one store.
fn app(store: &Faulty, provider: &Provider) -> Router {
    let refresh = {
        let provider = provider.clone();
        async move |session: Session| {
            let run = async || {
                let old: usize = session.get("token").await?.unwrap_or_default();
                let new = provider.grant(old).await;
                session.insert("token", new).await?;
                session.save().await?;
                Ok::<_, SessionError>(new)
            };
            let granted = shown(session.once("refresh", LEASE, run).await);
            let stored: Option<usize> = session.get("token").await?;
            Ok::<_, SessionError>(format!("{granted} {stored:?}"))
        }
    };
    Router::new()
        .route("/refresh", get(refresh))
        .route("/set", get(async |session: Session| session.insert("token", 0).await))
        .route(
            "/get",
            get(async |session: Session| {
                Ok::<_, SessionError>(format!("{:?}", session.get::<usize>("token").await?))
            }),
        )
        .route("/end", get(async |session: Session| session.destroy().await))
        .route(
            "/fail",
            get(async |session: Session| {
                shown(session.once("a", LEASE, async || Err::<u8, _>("the secret")).await)
            }),
        )
        .route(
            "/slow/{millis}",
            get(async |Path(millis): Path<u64>, session: Session| {
                let lease = Duration::from_millis(millis);
                shown(session.once("a", lease, std::future::pending::<Result<u8, String>>).await)
            }),
        )
        .route(
            "/fast",
            get(async |session: Session| {
                shown(session.once("a", LEASE, async || Ok::<_, String>(5)).await)
            }),
        )
        .layer(SessionLayer::new(&config(), store.clone()).unwrap())
}

#[tokio::test]
async fn a_token_is_refreshed_by_one_of_eight_requests_and_all_get_the_new_one() {
    let (store, provider) = (Faulty::default(), Provider::default());
    let mut browser = Browser::new(&app(&store, &provider));
    browser.ok("/set").await;
    let mut requests = JoinSet::new();
    for _ in 0..8 {
        let mut request = Browser::with(&app(&store, &provider), browser.cookie());
        requests.spawn(async move { request.ok("/refresh").await });
    }
    assert_eq!(requests.join_all().await, vec!["1 Some(1)"; 8]);
    assert_eq!(browser.ok("/get").await, "Some(1)");
    assert_eq!(provider.grants.load(Ordering::SeqCst), 1);
    assert_eq!(provider.reused.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_error_of_the_function_stays_in_the_request_that_ran_it() {
    let mut browser = Browser::new(&app(&Faulty::default(), &Provider::default()));
    assert_eq!(browser.ok("/fail").await, "run (the secret)");
    let other = browser.ok("/fast").await;
    assert!(other.starts_with("once_failed (the request that ran"), "{other}");
    assert!(!other.contains("the secret"));
}

#[tokio::test]
async fn a_function_that_takes_longer_than_its_lease_is_dropped_and_the_next_one_runs() {
    let mut browser = Browser::new(&app(&Faulty::default(), &Provider::default()));
    let lost = browser.ok("/slow/20").await;
    assert!(lost.starts_with("once_lost (the result of `once` or `tokens` was not kept"), "{lost}");
    assert_eq!(browser.ok("/fast").await, "5");
    assert_eq!(browser.ok("/fast").await, "5");
}

#[tokio::test]
async fn a_holder_that_dies_holds_up_the_others_for_its_lease_only() {
    let (store, provider) = (Faulty::default(), Provider::default());
    let app = app(&store, &provider);
    let mut browser = Browser::new(&app);
    browser.ok("/set").await;
    let mut dying = browser.clone();
    let death = tokio::time::timeout(Duration::from_millis(50), dying.get("/slow/200"));
    assert!(death.await.is_err(), "the visitor has disconnected");
    assert_eq!(browser.ok("/fast").await, "5");
}

#[tokio::test]
async fn a_session_that_was_ended_has_no_lease() {
    let (store, provider) = (Faulty::default(), Provider::default());
    let mut browser = Browser::new(&app(&store, &provider));
    browser.ok("/set").await;
    let layer = SessionLayer::new(&config(), store.clone()).unwrap();
    let waits = {
        let ended = Arc::new(tokio::sync::Mutex::new(Browser::with(
            &app(&store, &provider),
            browser.cookie(),
        )));
        async move |session: Session| {
            session.get::<usize>("token").await?;
            ended.lock().await.ok("/end").await;
            let ran = session.once("a", LEASE, async || Ok::<_, String>(5)).await;
            Ok::<_, SessionError>(shown(ran))
        }
    };
    let app = Router::new().route("/", get(waits)).layer(layer);
    let ended = Browser::with(&app, browser.cookie()).ok("/").await;
    assert!(ended.starts_with("once_ended"), "{ended}");
}

#[tokio::test]
async fn a_lifetime_and_a_lease_of_no_time_are_refused_as_in_the_npm_package() {
    let store = Faulty::default();
    let run = async || Ok::<u8, String>(1);
    let app = Router::new()
        .route(
            "/put/{micros}",
            get(async |Path(micros): Path<u64>, session: Session| {
                let put = session.put("a", 1, Duration::from_micros(micros)).await;
                put.map_or_else(
                    |error| format!("{} ({error})", error.code()),
                    |put| put.to_string(),
                )
            }),
        )
        .route(
            "/once",
            get(async move |session: Session| shown(session.once("a", Duration::ZERO, run).await)),
        )
        .layer(SessionLayer::new(&config(), store.clone()).unwrap());
    let mut browser = Browser::new(&app);
    assert_eq!(browser.ok("/put/0").await, "options (`lifetime` must be greater than 0)");
    assert_eq!(browser.ok("/once").await, "options (`lease` must be greater than 0)");
    assert_eq!(store.len(), 0);
    assert_eq!(browser.ok("/put/1").await, "true");
}
