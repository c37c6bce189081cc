//! The addresses to which browsers prove their device.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use pin_project_lite::pin_project;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use tower_layer::Layer;
use tower_service::Service;
use vestiary::binding::{Answer, Exchange, Proof};

use crate::Session;

/// Serves the addresses at which browsers prove their device: `POST` to `/device-session/register` and
/// `/device-session/refresh`, or below the path of [`DeviceBound::path`](crate::DeviceBound::path). All other requests
/// go to the service inside.
///
/// Place it inside the [`SessionLayer`](crate::SessionLayer) whose [`Config::device_bound`](crate::Config::device_bound)
/// binds sessions. Outside it, or without the option, it does nothing. With axum, add both layers to the outermost router:
/// inside `nest`, requests have lost the beginning of their path. If a SvelteKit app on the same origin serves the
/// addresses, the Rust service needs only the option.
///
/// ```
/// use axum::{Router, routing::post};
/// use vestiary_tower::{
///     Config, DeviceBound, DeviceSessions, MemoryStore, Session, SessionError, SessionLayer,
/// };
///
/// async fn log_in(session: Session) -> Result<(), SessionError> {
///     session.login("7").await // after the password was checked
/// }
///
/// let config = Config::new("a long random secret, from the environment")
///     .device_bound(DeviceBound::default());
/// let app: Router = Router::new()
///     .route("/login", post(log_in))
///     .layer(DeviceSessions)
///     .layer(SessionLayer::new(&config, MemoryStore::default())?);
/// # Ok::<(), vestiary_tower::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceSessions;

/// The service that [`DeviceSessions`] creates.
#[derive(Clone, Debug)]
pub struct DeviceService<S> {
    inner: S,
}

impl<S> Layer<S> for DeviceSessions {
    type Service = DeviceService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeviceService { inner }
    }
}

impl<S, Q, B> Service<Request<Q>> for DeviceService<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
    B: From<String>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = DeviceFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let session = Session::<crate::Data>::of(request.extensions());
        let asked = session.filter(|_| *request.method() == Method::POST).and_then(|session| {
            let registers = step_of(&session)?;
            Some((session, registers))
        });
        match asked {
            None => DeviceFuture::Passing { inner: self.inner.call(request) },
            Some((session, registers)) => {
                let [proof, id] = [&PROOF, &SESSION].map(|name| value_of(request.headers(), name));
                DeviceFuture::Answering {
                    answering: Box::pin(async move {
                        let exchange = Exchange { registers, proof: &proof, session: &id };
                        let answer = session.visit().bind(&exchange, signs).await;
                        answer.map_or_else(|_| unavailable(), answered)
                    }),
                }
            }
        }
    }
}

type Answering = Pin<Box<dyn Future<Output = Response<String>> + Send>>;

pin_project! {
    /// The response of a [`DeviceService`].
    #[project = DeviceProjection]
    pub enum DeviceFuture<I> {
        /// The response of the service inside.
        #[doc(hidden)]
        Passing { #[pin] inner: I },
        /// The answer to a browser.
        #[doc(hidden)]
        Answering { answering: Answering },
    }
}

impl<I, B, E> Future for DeviceFuture<I>
where
    I: Future<Output = Result<Response<B>, E>>,
    B: From<String>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            DeviceProjection::Passing { inner } => inner.poll(context),
            DeviceProjection::Answering { answering } => {
                Poll::Ready(Ok(ready!(answering.as_mut().poll(context)).map(B::from)))
            }
        }
    }
}

/// The proof of a browser.
const PROOF: HeaderName = HeaderName::from_static("secure-session-response");

/// The name of the binding that a browser refreshes.
const SESSION: HeaderName = HeaderName::from_static("sec-secure-session-id");

/// The challenge for the next proof.
const CHALLENGE: HeaderName = HeaderName::from_static("secure-session-challenge");

/// Whether a request registers or refreshes; `None` if it does neither.
fn step_of(session: &Session) -> Option<bool> {
    let device = session.sessions().options().device_bound()?;
    let path = session.visit().page()?;
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    match path.strip_prefix(device.path())? {
        "/register" => Some(true),
        "/refresh" => Some(false),
        _ => None,
    }
}

/// The value of a header. Several ones are joined, as `fetch` does it, and make no valid proof.
fn value_of(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join(", ")
}

/// Whether the key of a proof has signed it.
fn signs(proof: &Proof<'_>) -> bool {
    let [x, y] = &proof.key;
    let point = [&[4], &x[..], y].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    key.verify(proof.signing_input.as_bytes(), &proof.signature).is_ok()
}

fn answered(answer: Answer) -> Response<String> {
    let Answer { status, challenge, cookie, body } = answer;
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let is_json = !response.body().is_empty();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if is_json {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for (name, value) in [(CHALLENGE, challenge), (header::SET_COOKIE, cookie)] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.append(name, value);
        }
    }
    response
}

/// The answer while the store is unavailable. The browser keeps its binding, and tries again.
fn unavailable() -> Response<String> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Hides the proof.
impl<I> std::fmt::Debug for DeviceFuture<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceFuture").finish_non_exhaustive()
    }
}
