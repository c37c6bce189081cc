//! Tokens of a provider, refreshed by one request of all processes.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Path, routing::get};
use tokio::task::JoinSet;
use vestiary_tower::{
    OnceError, Session, SessionError, SessionLayer, TokenOptions, TokenResponse, Tokens,
};

use crate::support::{Browser, Faulty, config};

/// A provider of tokens that revokes all of them if one is used twice.
#[derive(Clone, Default)]
struct Provider {
    grants: Arc<AtomicUsize>,
    reused: Arc<AtomicUsize>,
}

impl Provider {
    async fn grant(&self, token: String) -> Result<Option<TokenResponse>, String> {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let n = self.grants.fetch_add(1, Ordering::SeqCst);
        if token != format!("refresh {n}") {
            self.reused.fetch_add(1, Ordering::SeqCst);
            return Ok(None);
        }
        Ok(Some(given(n + 1, 3_600)))
    }
}

fn given(n: usize, seconds: u64) -> TokenResponse {
    TokenResponse::new(format!("access {n}"))
        .refresh_token(format!("refresh {n}"))
        .expires_in(Duration::from_secs(seconds))
}

/// The access token, or the code of an error and its text.
fn shown<E: Display>(found: Result<Option<Tokens>, OnceError<E>>) -> String {
    match found {
        Ok(Some(tokens)) => tokens.access_token,
        Ok(None) => "none".to_owned(),
        Err(error) => format!("{} ({error})", error.code().unwrap_or("run")),
    }
}

/// An app of its own for each process, around one store.
fn app(store: &Faulty, provider: &Provider) -> Router {
    let options = TokenOptions::default;
    let (one, other) = (provider.clone(), provider.clone());
    Router::new()
        .route(
            "/keep/{seconds}",
            get(async |Path(seconds): Path<u64>, session: Session| {
                let kept = session.keep_tokens(given(0, seconds).id_token("id".to_owned())).await?;
                Ok::<_, SessionError>(kept.to_string())
            }),
        )
        .route(
            "/tokens",
            get(async move |session: Session| {
                shown(session.tokens(&options(), |token| one.grant(token)).await)
            }),
        )
        .route(
            "/refused/{token}",
            get(async move |Path(token): Path<String>, session: Session| {
                let options = options().refused(token.replace('_', " "));
                shown(session.tokens(&options, |token| other.grant(token)).await)
            }),
        )
        .route(
            "/stored",
            get(async |session: Session| {
                let data = session.get::<String>("data").await?;
                let tokens = session.stored_tokens().await?.map(|tokens| {
                    let expires = tokens.expires.is_some();
                    (tokens.access_token, tokens.refresh_token, tokens.id_token, expires)
                });
                Ok::<_, SessionError>(format!("{tokens:?} {data:?}"))
            }),
        )
        .route(
            "/fail",
            get(async move |session: Session| {
                let fail = async |_| Err("the secret");
                shown(session.tokens(&options(), fail).await)
            }),
        )
        .route(
            "/slow/{millis}",
            get(async move |Path(millis): Path<u64>, session: Session| {
                let options = options().lease(Duration::from_millis(millis));
                let never = |_| std::future::pending::<Result<Option<TokenResponse>, String>>();
                shown(session.tokens(&options, never).await)
            }),
        )
        .layer(SessionLayer::new(&config(), store.clone()).unwrap())
}

/// A visitor whose access token has expired.
async fn visitor(app: &Router) -> Browser {
    let mut browser = Browser::new(app);
    assert_eq!(browser.ok("/keep/0").await, "true");
    browser
}

#[tokio::test]
async fn one_of_fifty_requests_refreshes_the_tokens_and_all_get_the_new_ones() {
    let (store, provider) = (Faulty::default(), Provider::default());
    let mut browser = visitor(&app(&store, &provider)).await;
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let mut request = Browser::with(&app(&store, &provider), browser.cookie());
        requests.spawn(async move { request.ok("/tokens").await });
    }
    assert_eq!(requests.join_all().await, vec!["access 1"; 50]);
    let stored = "Some((\"access 1\", Some(\"refresh 1\"), Some(\"id\"), true)) None";
    assert_eq!(browser.ok("/stored").await, stored);
    assert_eq!(provider.grants.load(Ordering::SeqCst), 1);
    assert_eq!(provider.reused.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn valid_tokens_are_refreshed_only_if_an_api_has_refused_them() {
    let (store, provider) = (Faulty::default(), Provider::default());
    let mut browser = Browser::new(&app(&store, &provider));
    browser.ok("/keep/3600").await;
    assert_eq!(browser.ok("/tokens").await, "access 0");
    assert_eq!(browser.ok("/refused/access_0").await, "access 1");
    assert_eq!(browser.ok("/refused/access_0").await, "access 1");
    assert_eq!(provider.grants.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_token_that_the_provider_refuses_ends_the_others_too() {
    let (store, provider) = (Faulty::default(), Provider::default());
    let mut browser = visitor(&app(&store, &provider)).await;
    provider.grants.store(5, Ordering::SeqCst);
    assert_eq!(browser.ok("/tokens").await, "none");
    assert_eq!(browser.ok("/tokens").await, "none");
    assert_eq!(browser.ok("/stored").await, "None None");
    assert_eq!(provider.reused.load(Ordering::SeqCst), 1);
    assert_eq!(Browser::new(&app(&store, &provider)).ok("/tokens").await, "none");
}

#[tokio::test]
async fn an_error_of_the_function_stays_in_the_request_that_ran_it() {
    let (store, provider) = (Faulty::default(), Provider::default());
    let mut browser = visitor(&app(&store, &provider)).await;
    assert_eq!(browser.ok("/fail").await, "run (the secret)");
    let other = browser.ok("/tokens").await;
    assert!(other.starts_with("once_failed (the request that ran"), "{other}");
    assert!(!other.contains("the secret"));
}

#[tokio::test]
async fn a_function_that_takes_longer_than_its_lease_is_dropped_and_the_next_one_runs() {
    let (store, provider) = (Faulty::default(), Provider::default());
    let mut browser = visitor(&app(&store, &provider)).await;
    let lost = browser.ok("/slow/20").await;
    assert!(lost.starts_with("once_lost (the result of `once` or `tokens` was not kept"), "{lost}");
    assert_eq!(browser.ok("/tokens").await, "access 1");
    let zero = browser.ok("/slow/0").await;
    assert_eq!(zero, "options (`lease` must be greater than 0)");
}

#[tokio::test]
async fn a_holder_that_dies_holds_up_the_others_for_its_lease_only() {
    let (store, provider) = (Faulty::default(), Provider::default());
    let mut browser = visitor(&app(&store, &provider)).await;
    let mut dying = browser.clone();
    let death = tokio::time::timeout(Duration::from_millis(50), dying.get("/slow/200"));
    assert!(death.await.is_err(), "the visitor has disconnected");
    assert_eq!(browser.ok("/tokens").await, "access 1");
}

#[tokio::test]
async fn a_refresh_in_a_task_of_its_own_outlives_the_request_whose_visitor_leaves() {
    let (store, asked) = (Faulty::default(), Arc::new(AtomicUsize::new(0)));
    let answers = Arc::new(AtomicBool::new(false));
    let gate = (Arc::clone(&asked), Arc::clone(&answers));
    let refresh = async move |session: Session| {
        let task = tokio::spawn(async move {
            let grant = async |_| {
                gate.0.fetch_add(1, Ordering::SeqCst);
                while !gate.1.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Ok::<_, String>(Some(given(1, 3_600)))
            };
            shown(session.tokens(&TokenOptions::default(), grant).await)
        });
        task.await.unwrap()
    };
    let task = Router::new()
        .route("/task", get(refresh))
        .layer(SessionLayer::new(&config(), store.clone()).unwrap());
    let browser = visitor(&app(&store, &Provider::default())).await;
    let mut leaving = Browser::with(&task, browser.cookie());
    let mut request = Box::pin(leaving.get("/task"));
    while asked.load(Ordering::SeqCst) == 0 {
        tokio::select! {
            _ = &mut request => panic!("the provider has not answered"),
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
    }
    drop(request);
    answers.store(true, Ordering::SeqCst);
    let mut again = Browser::with(&task, browser.cookie());
    assert_eq!(again.ok("/task").await, "access 1");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn debug_shows_no_token() {
    let options = TokenOptions::default().refused("the secret");
    for text in [format!("{options:?}"), format!("{:?}", given(0, 1))] {
        assert!(!text.contains("secret") && !text.contains("access 0"), "{text}");
    }
}
