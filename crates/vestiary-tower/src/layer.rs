use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header, request::Parts};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use vestiary_store::{Config, SessionError, Sessions, Store};

use crate::{
    Session,
    visit::{Leaving, Visit, finished},
};

/// Adds a [`Session`] to every request, and its cookie to the response.
///
/// A request whose handler does not use the session costs no store call, no cryptography and no timer.
///
/// ```
/// use axum::{Router, routing::get};
/// use vestiary_tower::{Config, MemoryStore, Session, SessionError, SessionLayer};
///
/// async fn hello(session: Session) -> Result<String, SessionError> {
///     let visits: u64 = session.get("visits").await?.unwrap_or(0) + 1;
///     session.insert("visits", visits).await?;
///     Ok(format!("Hello! This is visit number {visits}."))
/// }
///
/// let config = Config::new("a long random secret, from the environment");
/// let sessions = SessionLayer::new(&config, MemoryStore::default())?;
/// let app: Router = Router::new().route("/", get(hello)).layer(sessions);
/// # Ok::<(), vestiary_tower::Error>(())
/// ```
#[derive(Clone)]
pub struct SessionLayer<F = Unavailable> {
    sessions: Sessions,
    failure: F,
    by_request: ByRequest,
}

/// The choices that the application makes for each request.
#[derive(Clone, Default)]
struct ByRequest {
    passive: Option<Passive>,
    tenant: Option<Tenant>,
}

/// Says whether a request does not count as use of its session.
type Passive = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;

/// The sessions of a request's tenant, if they are not those of the layer.
type Tenant = Arc<dyn Fn(&Parts) -> Option<Sessions> + Send + Sync>;

/// The service that a [`SessionLayer`] creates.
#[derive(Clone)]
pub struct SessionService<S, F = Unavailable> {
    inner: S,
    sessions: Sessions,
    failure: F,
    by_request: ByRequest,
}

/// Creates the response for a session that could not be stored.
///
/// It replaces the handler's response, which would claim a success that did not happen.
pub trait Failure<B> {
    /// Creates the response from the handler's `response`.
    fn respond(&self, error: &SessionError, response: Response<B>) -> Response<B>;
}

/// Responds with an empty body: 503 with `Retry-After` if the store is at fault, otherwise 500. `tracing` gets the
/// error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unavailable;

impl SessionLayer {
    /// Creates a layer with these options and this store.
    ///
    /// # Errors
    /// [`vestiary::Error`] if an option is invalid or a secret is too short.
    pub fn new(config: &Config, store: impl Store) -> Result<Self, vestiary::Error> {
        Ok(Self::of(Sessions::new(config, store)?))
    }

    /// Creates a layer for existing [`Sessions`], which other code may share.
    #[must_use]
    pub fn of(sessions: Sessions) -> Self {
        Self { sessions, failure: Unavailable, by_request: ByRequest::default() }
    }
}

impl<F> SessionLayer<F> {
    /// Sets the response for a session that could not be stored. Default: [`Unavailable`].
    pub fn on_failure<G>(self, failure: G) -> SessionLayer<G> {
        SessionLayer { sessions: self.sessions, failure, by_request: self.by_request }
    }

    /// Selects requests that do not count as use of their session, such as the polls of a page that stays open. They
    /// read the session, and neither extend nor renew it, nor set its cookie, unless the handler itself writes it. The
    /// cookie of an expired session is removed, as in any request. Default: each request that looks at its session uses
    /// it.
    ///
    /// ```
    /// # use vestiary_tower::{Config, MemoryStore, SessionLayer};
    /// # let config = Config::new("a long random secret, from the environment");
    /// let layer = SessionLayer::new(&config, MemoryStore::default())?
    ///     .passive(|request| request.uri.path() == "/unread");
    /// # Ok::<(), vestiary_tower::Error>(())
    /// ```
    #[must_use]
    pub fn passive(mut self, is_passive: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.by_request.passive = Some(Arc::new(is_passive));
        self
    }

    /// Chooses the sessions of a request's tenant, where tenants have their own secret, store or cookie. `None` means the
    /// sessions of the layer. `sessions_of` is called for each request: make the [`Sessions`] of a tenant once, and return
    /// a clone, which is cheap. Default: all requests have the sessions of the layer.
    ///
    /// A tenant refuses the cookies of another one if it has its own secret or [`namespace`](Config::namespace).
    ///
    /// ```
    /// # use std::collections::HashMap;
    /// # use vestiary_tower::{Config, MemoryStore, SessionLayer, Sessions};
    /// let config = Config::new("a long random secret, from the environment");
    /// let mut tenants = HashMap::new();
    /// for host in ["blue.example", "green.example"] {
    ///     let config = config.clone().namespace(host).domain(host);
    ///     tenants.insert(host, Sessions::new(&config, MemoryStore::default())?);
    /// }
    /// let layer = SessionLayer::new(&config, MemoryStore::default())?.tenant(move |request| {
    ///     // HTTP/2 has the host in the address, HTTP/1 has it in a header.
    ///     let named = request.headers.get("host").and_then(|host| host.to_str().ok());
    ///     let host = request.uri.host().or(named)?;
    ///     tenants.get(host).cloned()
    /// });
    /// # Ok::<(), vestiary_tower::Error>(())
    /// ```
    #[must_use]
    pub fn tenant(
        mut self,
        sessions_of: impl Fn(&Parts) -> Option<Sessions> + Send + Sync + 'static,
    ) -> Self {
        self.by_request.tenant = Some(Arc::new(sessions_of));
        self
    }

    /// The sessions, for code outside requests, such as jobs and operators' tools.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }
}

impl ByRequest {
    fn is_same_for_all(&self) -> bool {
        self.passive.is_none() && self.tenant.is_none()
    }
}

impl<S, F: Clone> Layer<S> for SessionLayer<F> {
    type Service = SessionService<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        let sessions = self.sessions.clone();
        let (failure, by_request) = (self.failure.clone(), self.by_request.clone());
        SessionService { inner, sessions, failure, by_request }
    }
}

impl<S, F, Q, B> Service<Request<Q>> for SessionService<S, F>
where
    S: Service<Request<Q>, Response = Response<B>>,
    F: Failure<B> + Clone,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, F, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        let secure_here = !is_local(request.uri(), request.headers());
        let (mut passive, mut tenant) = (false, None);
        if !self.by_request.is_same_for_all() {
            let (parts, body) = request.into_parts();
            passive = self.by_request.passive.as_ref().is_some_and(|choose| choose(&parts));
            tenant = self.by_request.tenant.as_ref().and_then(|choose| choose(&parts));
            request = Request::from_parts(parts, body);
        }
        let sessions = tenant.unwrap_or_else(|| self.sessions.clone());
        let began = sessions.now();
        let outer = Session::<crate::Data>::of(request.extensions()).map(Session::into_visit);
        let visit = Visit::new(sessions, &request, secure_here, began, passive, outer);
        let visit = Arc::new(visit);
        request.extensions_mut().insert(Session::<crate::Data>::new(Arc::clone(&visit)));
        let inner = visit.request.within(|| self.inner.call(request));
        ResponseFuture {
            step: Step::Handling { inner },
            visit: Leaving(visit),
            failure: self.failure.clone(),
            body: PhantomData,
        }
    }
}

pin_project! {
    /// The response of a [`SessionService`]: awaits the handler, then stores the session.
    ///
    /// Dropping it before the handler is done, when the visitor disconnects for example, stores nothing. Data that the
    /// handler has already saved stays.
    pub struct ResponseFuture<I, F, B> {
        #[pin]
        step: Step<I, B>,
        visit: Leaving,
        failure: F,
        body: PhantomData<fn() -> B>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<I, B> {
        Handling { #[pin] inner: I },
        Finishing { finishing: Finishing, response: Option<Response<B>> },
    }
}

type Finishing = Pin<Box<dyn Future<Output = (HeaderMap, Result<(), SessionError>)> + Send>>;

impl<I, F, B, E> Future for ResponseFuture<I, F, B>
where
    I: Future<Output = Result<Response<B>, E>>,
    F: Failure<B>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepProjection::Handling { inner } => {
                    let visit = &this.visit.0;
                    let mut response = ready!(visit.request.within(|| inner.poll(context)))?;
                    if !visit.was_looked_at() {
                        visit.leave();
                        return Poll::Ready(Ok(response));
                    }
                    if visit.finish_at_once(response.headers_mut()) {
                        return Poll::Ready(Ok(response));
                    }
                    let headers = std::mem::take(response.headers_mut());
                    let finishing = Box::pin(finished(Arc::clone(visit), headers));
                    this.step.set(Step::Finishing { finishing, response: Some(response) });
                }
                StepProjection::Finishing { finishing, response } => {
                    let (headers, finished) = ready!(finishing.as_mut().poll(context));
                    let Some(mut response) = response.take() else { return Poll::Pending };
                    *response.headers_mut() = headers;
                    return Poll::Ready(Ok(match finished {
                        Ok(()) => response,
                        Err(error) => this.failure.respond(&error, response),
                    }));
                }
            }
        }
    }
}

impl<B: Default> Failure<B> for Unavailable {
    fn respond(&self, error: &SessionError, response: Response<B>) -> Response<B> {
        tracing::error!(
            target: "vestiary",
            code = error.code(),
            "a response was replaced, because its session could not be stored: {error}"
        );
        let (mut parts, _) = response.into_parts();
        parts.status = status_of(error);
        // Removes headers that describe the replaced body. The cookie and the headers for caches stay.
        for name in [
            header::CONTENT_TYPE,
            header::CONTENT_LENGTH,
            header::CONTENT_ENCODING,
            header::CONTENT_RANGE,
            header::ETAG,
            header::LAST_MODIFIED,
            header::LOCATION,
            header::TRANSFER_ENCODING,
        ] {
            parts.headers.remove(name);
        }
        parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if parts.status == StatusCode::SERVICE_UNAVAILABLE {
            parts.headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Response::from_parts(parts, B::default())
    }
}

impl<B, F: Fn(&SessionError, Response<B>) -> Response<B>> Failure<B> for F {
    fn respond(&self, error: &SessionError, response: Response<B>) -> Response<B> {
        self(error, response)
    }
}

/// The status of the response for this error.
pub(crate) fn status_of(error: &SessionError) -> StatusCode {
    StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Whether the request's `Host` is localhost, where development runs without HTTPS.
fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(authority) = named.or_else(|| uri.authority().map(http::uri::Authority::as_str))
    else {
        return false;
    };
    let host = authority.rsplit_once(':').map_or(authority, |(host, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { host } else { authority }
    });
    matches!(host, "localhost" | "127.0.0.1" | "[::1]") || host.ends_with(".localhost")
}

impl<F> fmt::Debug for SessionLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer").field("sessions", &self.sessions).finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, F> fmt::Debug for SessionService<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<I, F, B> fmt::Debug for ResponseFuture<I, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
