//! A browser with one cookie jar, a store that fails on demand, and the config of the tests.

#![allow(
    dead_code,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "each test uses some of it, and a test may fail"
)]

pub mod device;
pub mod scheduled;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response, StatusCode, header},
};
use tokio::sync::Notify;
use tower::ServiceExt as _;
use vestiary_store::{Config, Event, MemoryStore, Outcome, Store, StoreError, Ttl, WriteId};

pub fn config() -> Config {
    Config::new("a secret of the tests, of more than 32 bytes").name("sid")
}

/// A browser that stores the cookie `sid` and sends it back.
#[derive(Clone)]
pub struct Browser {
    app: Router,
    pub cookie: Option<String>,
}

impl Browser {
    pub fn new(app: &Router) -> Self {
        Self { app: app.clone(), cookie: None }
    }

    pub fn with(app: &Router, cookie: impl Into<String>) -> Self {
        Self { app: app.clone(), cookie: Some(cookie.into()) }
    }

    pub async fn get(&mut self, path: &str) -> (StatusCode, String) {
        let response = self.send(Method::GET, path).await;
        let status = response.status();
        (status, text(response).await)
    }

    /// The body of a response that must be a success.
    pub async fn ok(&mut self, path: &str) -> String {
        let (status, text) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        text
    }

    pub async fn send(&mut self, method: Method, path: &str) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, format!("sid={cookie}"));
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        for cookie in set_cookies(&response) {
            let Some(value) = cookie.strip_prefix("sid=") else { continue };
            let (value, attributes) = value.split_once(';').unwrap();
            let gone = attributes.contains("Max-Age=0");
            self.cookie = (!gone).then(|| value.to_owned());
        }
        response
    }

    pub fn cookie(&self) -> String {
        self.cookie.clone().unwrap()
    }
}

pub fn set_cookies(response: &Response<Body>) -> Vec<String> {
    let values = response.headers().get_all(header::SET_COOKIE).iter();
    values.map(|value| value.to_str().unwrap().to_owned()).collect()
}

pub async fn text(response: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Records the events.
#[derive(Clone, Default)]
pub struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    pub fn listener(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let Self(events) = self.clone();
        move |event| events.lock().unwrap().push(event.clone())
    }

    pub fn take(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().drain(..).map(|event| event.name()).collect()
    }
}

/// A memory store that counts its calls, and injects faults.
#[derive(Clone, Default)]
pub struct Faulty {
    inner: Arc<MemoryStore>,
    calls: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    pub faults: Arc<Mutex<BTreeMap<&'static str, Fault>>>,
    asked: Arc<AtomicUsize>,
    gates: Arc<Mutex<BTreeMap<&'static str, Gate>>>,
}

/// Holds one operation of a store back.
#[derive(Clone, Default)]
pub struct Gate {
    /// The store was asked.
    pub reached: Arc<Notify>,
    /// It may go on.
    pub open: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It does nothing, and returns an error.
    Fails,
    /// It never answers.
    Hangs,
    /// It performs the operation, and loses the reply.
    Loses,
}

impl Faulty {
    pub fn breaks(&self, operation: &'static str, fault: Fault) {
        self.faults.lock().unwrap().insert(operation, fault);
    }

    pub fn is_well(&self) {
        self.faults.lock().unwrap().clear();
    }

    /// Holds an operation back until its gate opens.
    pub fn holds(&self, operation: &'static str) -> Gate {
        self.gates.lock().unwrap().entry(operation).or_default().clone()
    }

    /// The calls since the last time.
    pub fn calls(&self) -> Vec<(&'static str, usize)> {
        std::mem::take(&mut *self.calls.lock().unwrap()).into_iter().collect()
    }

    pub fn len(&self) -> usize {
        self.inner.len()
    }

    async fn ask<T>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        *self.calls.lock().unwrap().entry(operation).or_default() += 1;
        self.asked.fetch_add(1, Ordering::Relaxed);
        let gate = self.gates.lock().unwrap().remove(operation);
        if let Some(gate) = gate {
            gate.reached.notify_one();
            gate.open.notified().await;
        }
        let fault = self.faults.lock().unwrap().get(operation).copied();
        match fault {
            None => answer.await,
            Some(Fault::Fails) => Err(StoreError::failed("the disk is full of secrets")),
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::Loses) => {
                answer.await?;
                Err(StoreError::failed("connection reset"))
            }
        }
    }
}

impl Store for Faulty {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.ask("read", self.inner.read(key)).await
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        owned: bool,
    ) -> Result<bool, StoreError> {
        self.ask("create", self.inner.create(key, record, ttl, owned)).await
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        self.ask("replace", self.inner.replace(key, expected, record, ttl)).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        self.ask("touch", self.inner.touch(key, ttl)).await
    }

    async fn touch_if(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        self.ask("touch", self.inner.touch_if(key, expected, ttl)).await
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        self.ask("remove", self.inner.remove(key, expected)).await
    }
}
