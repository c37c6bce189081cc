//! The requirements of `docs/explanation/security.md`, through the layer, as an application sees them. Decisions of the
//! core alone are tested there; these tests cover the whole stack.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

mod abuse;
mod cookies;
mod data;
mod identifiers;
mod lifetime;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, Response, header},
    routing::get,
};
use tower::ServiceExt as _;
use vestiary::{SessionId, Ttl, WriteId};
use vestiary_store::{AnyStore, MemoryStore, Outcome, Sessions, Store, StoreError};
use vestiary_tower::{Config, Session, SessionError, SessionLayer, UserId};

use crate::support::Browser;

type Done = Result<(), SessionError>;

async fn write(session: Session) -> Done {
    session.insert("user", "ada").await
}

async fn look(session: Session) -> Result<String, SessionError> {
    Ok(session.get::<String>("user").await?.unwrap_or_default())
}

async fn login(session: Session) -> Done {
    session.login("ada").label("canary-label").await
}

async fn logout(session: Session) -> Done {
    session.destroy().await
}

async fn renew(session: Session) -> Done {
    session.renew().await
}

async fn whoami(user: Option<UserId>) -> String {
    user.map_or_else(String::new, |UserId(name)| name)
}

fn routes() -> Router {
    Router::new()
        .route("/write", get(write))
        .route("/look", get(look))
        .route("/login", get(login))
        .route("/logout", get(logout))
        .route("/renew", get(renew))
        .route("/whoami", get(whoami))
}

fn app(config: &Config, store: impl Store) -> Router {
    routes().layer(SessionLayer::new(config, store).unwrap())
}

/// An app and its sessions.
fn app_and_sessions(config: &Config, store: impl Store) -> (Router, Sessions) {
    let layer = SessionLayer::new(config, store).unwrap();
    (routes().layer(layer.clone()), layer.sessions().clone())
}

/// The ID in the browser's cookie.
fn id_of(browser: &Browser) -> String {
    browser.cookie().split_once('.').unwrap().0.to_owned()
}

/// Puts a record into the store, as another service may have written it. Returns its cookie.
async fn planted(sessions: &Sessions, record: &str) -> String {
    let id = sessions.new_id().unwrap();
    put(sessions, &id, record).await;
    sessions.sign(&id)
}

async fn put(sessions: &Sessions, id: &SessionId, record: &str) {
    let key = sessions.options().store_key(id);
    assert!(sessions.store().create(&key, record, Ttl::Infinite, false).await.unwrap());
}

/// A record with this metadata and data.
fn record(meta: &str, data: &str) -> String {
    format!(r#"{{"v":"AAAAAAAAAAAAAAAA","cookie":{{"path":"/"}},"data":{data},"meta":{meta}}}"#)
}

/// The app's answer to this `Cookie` header.
async fn answered(app: &Router, path: &str, cookie: &str) -> Response<Body> {
    let request = Request::get(path).header(header::COOKIE, cookie).body(Body::empty());
    app.clone().oneshot(request.unwrap()).await.unwrap()
}

fn has(headers: &HeaderMap, name: header::HeaderName, value: &str) -> bool {
    headers.get(name).is_some_and(|found| found == value)
}

/// A store that records every call.
#[derive(Clone)]
struct Told {
    inner: AnyStore,
    keys: Arc<Mutex<Vec<String>>>,
    records: Arc<Mutex<Vec<String>>>,
    /// The number of creations to refuse, as if there were a record under each new ID.
    taken: Arc<AtomicUsize>,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            inner: AnyStore::new(MemoryStore::default()),
            keys: Arc::default(),
            records: Arc::default(),
            taken: Arc::default(),
        }
    }
}

impl Told {
    fn knows(&self, text: &str) -> bool {
        let keys = self.keys.lock().unwrap();
        keys.iter().chain(&*self.records.lock().unwrap()).any(|told| told.contains(text))
    }

    fn records(&self) -> Vec<String> {
        self.records.lock().unwrap().clone()
    }

    fn hears(&self, key: &str, record: &str) {
        self.keys.lock().unwrap().push(key.to_owned());
        self.records.lock().unwrap().push(record.to_owned());
    }
}

impl Store for Told {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.hears(key, "");
        self.inner.read(key).await
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        owned: bool,
    ) -> Result<bool, StoreError> {
        self.hears(key, record);
        let is_list = key.contains("user:");
        let fewer = |taken: usize| taken.checked_sub(1);
        let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
        if !is_list && self.taken.fetch_update(set, fetch, fewer).is_ok() {
            return Ok(false);
        }
        self.inner.create(key, record, ttl, owned).await
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        self.hears(key, record);
        self.inner.replace(key, expected, record, ttl).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        self.hears(key, "");
        self.inner.touch(key, ttl).await
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        self.hears(key, "");
        self.inner.remove(key, expected).await
    }
}
