//! A session that is used inside the function that changes it.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{
    future::{Future, IntoFuture as _},
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::{Router, routing::get};
use vestiary_tower::{Data, Session, SessionError, SessionLayer};

use crate::support::{Browser, Faulty, config};

/// The result of an operation that must not wait.
fn at_once<T>(call: impl Future<Output = Result<T, SessionError>>) -> Result<T, SessionError> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits for itself"),
    }
}

/// Uses the session in every possible way, and returns the operations that were not refused.
fn not_refused(session: &Session) -> Vec<&'static str> {
    let nothing = |_: &mut Data| ();
    let answers = [
        ("is_new", at_once(session.is_new()).err()),
        ("id", at_once(session.id()).err()),
        ("user_id", at_once(session.user_id()).err()),
        ("handle", at_once(session.handle()).err()),
        ("siblings", at_once(session.siblings()).err()),
        ("get", at_once(session.get::<u64>("n")).err()),
        ("data", at_once(session.data()).err()),
        ("read", at_once(session.read()).err()),
        ("insert", at_once(session.insert("n", 9)).err()),
        ("remove", at_once(session.remove::<u64>("n")).err()),
        ("remove_key", at_once(session.remove_key("n")).err()),
        ("write", at_once(session.write(&Data::default())).err()),
        ("clear", at_once(session.clear()).err()),
        ("update", at_once(session.update(nothing)).err()),
        ("modify", at_once(session.modify(nothing)).err()),
        ("save", at_once(session.save()).err()),
        ("touch", at_once(session.touch()).err()),
        ("renew", at_once(session.renew()).err()),
        ("destroy", at_once(session.destroy()).err()),
        ("login", at_once(session.login("ada").into_future()).err()),
        ("is_unavailable", at_once(session.is_unavailable()).err()),
    ];
    let refused = |error: &Option<SessionError>| {
        error.as_ref().is_some_and(|error| error.code() == "update_nested")
    };
    answers.iter().filter(|(_, error)| !refused(error)).map(|(name, _)| *name).collect()
}

fn app() -> Router {
    let update = async |session: Session| -> Result<String, SessionError> {
        let inner = session.clone();
        let mut wrong = Vec::new();
        let changed = session.update(|data| {
            wrong = not_refused(&inner);
            let n = data.get("n").and_then(serde_json::Value::as_u64).unwrap_or_default();
            data.insert("n".to_owned(), (n + 1).into());
        });
        let written = changed.await?;
        Ok(format!("{wrong:?} {written} {:?}", session.get::<u64>("n").await?))
    };
    let modify = async |session: Session| -> Result<String, SessionError> {
        let inner = session.clone();
        let wrong = session.modify(|data| {
            let wrong = not_refused(&inner);
            let n = data.get("n").and_then(serde_json::Value::as_u64).unwrap_or_default();
            data.insert("n".to_owned(), (n + 1).into());
            wrong
        });
        let wrong = wrong.await?;
        Ok(format!("{wrong:?} true {:?}", session.get::<u64>("n").await?))
    };
    Router::new()
        .route("/update", get(update))
        .route("/modify", get(modify))
        .layer(SessionLayer::new(&config(), Faulty::default()).unwrap())
}

/// First of a new session, and then of one that the store has.
#[tokio::test]
async fn is_refused_at_once_and_the_change_is_made() {
    for path in ["/update", "/modify"] {
        let mut browser = Browser::new(&app());
        for n in 1..=3 {
            assert_eq!(browser.ok(path).await, format!("[] true Some({n})"), "{path}");
        }
    }
}

// The function of one request does not block the session of another one.
#[tokio::test]
async fn another_visitors_session_may_be_used() {
    let layer = SessionLayer::new(&config(), Faulty::default()).unwrap();
    let held = std::sync::Arc::new(std::sync::Mutex::new(None::<Session>));
    let keep = held.clone();
    let keeps = async move |session: Session| -> Result<(), SessionError> {
        session.insert("n", 7).await?;
        *keep.lock().unwrap() = Some(session);
        Ok(())
    };
    let uses = async move |session: Session| -> Result<String, SessionError> {
        let other = held.lock().unwrap().clone().unwrap();
        let found = session.modify(|_| at_once(other.get::<u64>("n"))).await??;
        Ok(format!("{found:?}"))
    };
    let app = Router::new().route("/keeps", get(keeps)).route("/uses", get(uses)).layer(layer);
    Browser::new(&app).ok("/keeps").await;
    assert_eq!(Browser::new(&app).ok("/uses").await, "Some(7)");
}
