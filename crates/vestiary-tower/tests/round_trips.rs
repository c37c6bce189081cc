//! How often a request waits for the store: operations that it asks for at the same time are one round trip.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::task::Poll;

use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode, header},
    routing::get,
};
use tower::ServiceExt as _;
use vestiary_store::{Login, Sessions};
use vestiary_tower::{Session, SessionLayer};

use crate::support::{
    config,
    scheduled::{Scheduled, Trouble, poll},
    set_cookies,
};

struct Site(Router);

/// Sessions in a store that answers each question when it is polled again.
fn sessions() -> Sessions {
    Sessions::new(&config().store_timeout(None), Scheduled::default()).unwrap()
}

/// How often a future waits for the store.
fn waits<F: Future>(operation: F) -> (F::Output, usize) {
    let mut operation = Box::pin(operation);
    let mut waits = 0;
    loop {
        if let Poll::Ready(done) = poll(&mut Trouble::default(), &mut operation) {
            return (done, waits);
        }
        waits += 1;
    }
}

impl Site {
    fn new() -> Self {
        let sessions = sessions();
        let login = |user| get(async move |session: Session| session.login(user).await);
        Self(
            Router::new()
                .route("/save", get(async |session: Session| session.save().await.map(drop)))
                .route("/login/ada", login("ada"))
                .route("/login/bob", login("bob"))
                .layer(SessionLayer::of(sessions)),
        )
    }

    /// The cookie that the response sets, and how often the store was waited for.
    fn asks(&self, path: &str, cookie: Option<&str>) -> (Option<String>, usize) {
        let mut request = Request::builder().uri(path);
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request.body(Body::empty()).unwrap();
        let (response, waits) = waits(self.0.clone().oneshot(request));
        let response: Response<Body> = response.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let set = set_cookies(&response);
        let cookie = set.first().and_then(|set| set.split(';').next().map(str::to_owned));
        (cookie, waits)
    }
}

#[test]
fn a_login_takes_three_round_trips_at_most_and_the_first_one_finds_the_session() {
    let site = Site::new();
    assert_eq!(site.asks("/login/ada", None).1, 2);
    let (anonymous, _) = site.asks("/save", None);
    let (ada, trips) = site.asks("/login/ada", anonymous.as_deref());
    assert_eq!(trips, 3);
    let (ada, trips) = site.asks("/login/ada", ada.as_deref());
    assert_eq!(trips, 3);
    let (_, trips) = site.asks("/login/bob", ada.as_deref());
    assert_eq!(trips, 3);
}

#[test]
fn the_sessions_of_a_user_end_in_two_round_trips() {
    let sessions = sessions();
    let ada = sessions.of("ada");
    let (owner, trips) = waits(ada.admit(&Login::default()));
    assert_eq!(trips, 2);
    let handle = owner.unwrap().handle;
    for (ended, trips) in
        [waits(ada.revoke_others(&handle)), waits(ada.revoke(&handle)), waits(ada.revoke_all())]
    {
        ended.unwrap();
        assert_eq!(trips, 2);
    }
}
