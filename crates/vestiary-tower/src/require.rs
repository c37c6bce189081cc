use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use vestiary::login_page;
use vestiary_store::SessionError;

use crate::{Session, layer::status_of};

/// Protects routes: anonymous visitors get 401 or are redirected to a login page. No cache keeps the responses to users
/// ([`Session::private`]).
///
/// Place it inside the [`SessionLayer`](crate::SessionLayer). Outside it there are no sessions: every request gets
/// 500, with a message if the body is axum's, and an error for `tracing`.
///
/// ```
/// use axum::{Router, routing::get};
/// use vestiary_tower::{Config, MemoryStore, RequireLogin, SessionLayer};
///
/// let config = Config::new("a long random secret, from the environment");
/// let app: Router = Router::new()
///     .route("/account", get(|| async { "yours" }))
///     .route_layer(RequireLogin::at("/login"))
///     .route("/login", get(|| async { "who are you?" }))
///     .layer(SessionLayer::new(&config, MemoryStore::default())?);
/// # Ok::<(), vestiary_tower::Error>(())
/// ```
///
/// With [`returning`](Self::returning), the login page can send the visitor back:
///
/// ```
/// use axum::{extract::Query, response::Redirect};
/// use serde::Deserialize;
/// use vestiary_tower::{RequireLogin, Session, SessionError, way_back};
///
/// # fn guard() -> RequireLogin {
/// RequireLogin::at("/login").returning("next")
/// # }
///
/// #[derive(Deserialize)]
/// struct Login {
///     next: Option<String>,
/// }
///
/// async fn log_in(session: Session, login: Query<Login>) -> Result<Redirect, SessionError> {
///     session.login("7").await?; // after the password was checked
///     // Anyone can write a link to the login page: `way_back` accepts only paths of this site.
///     Ok(Redirect::to(login.next.as_deref().and_then(way_back).unwrap_or("/")))
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RequireLogin {
    guard: Guard,
}

/// Protects routes that need more than a session, such as a change of the password: users who have proven their identity
/// too long ago get 401 or are redirected to a page that asks for their password again ([`Session::is_fresh`]). So are
/// anonymous visitors. No cache keeps the responses to users ([`Session::private`]).
///
/// Place it inside the [`SessionLayer`](crate::SessionLayer), as [`RequireLogin`].
///
/// ```
/// use std::time::Duration;
///
/// use axum::{Router, routing::get};
/// use vestiary_tower::{Config, MemoryStore, RequireFresh, RequireLogin, SessionLayer};
///
/// let config = Config::new("a long random secret, from the environment");
/// let ten_minutes = Duration::from_secs(600);
/// let app: Router = Router::new()
///     .route("/password", get(|| async { "a new password?" }))
///     .route_layer(RequireFresh::within(ten_minutes).at("/confirm").returning("next"))
///     .route("/confirm", get(|| async { "your password?" }))
///     .route_layer(RequireLogin::at("/login").returning("next"))
///     .layer(SessionLayer::new(&config, MemoryStore::default())?);
/// # Ok::<(), vestiary_tower::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RequireFresh {
    guard: Guard,
}

/// The service that a [`RequireLogin`] or a [`RequireFresh`] creates.
#[derive(Clone, Debug)]
pub struct GuardService<S> {
    inner: S,
    guard: Guard,
}

/// The visitors whom a guard lets in, and the page to which it sends the others.
#[derive(Clone, Copy, Debug, Default)]
struct Guard {
    /// How long ago a user may have proven their identity. Without it, every user is let in.
    within: Option<Duration>,
    page: Option<&'static str>,
    returning: Option<&'static str>,
}

impl RequireLogin {
    /// Creates a guard that responds with 401.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a guard that redirects `GET` and `HEAD` requests to this page (303). Other requests get 401.
    ///
    /// # Panics
    /// If the page is not a valid `Location`: it is a constant of the program, not input.
    #[must_use]
    pub fn at(page: &'static str) -> Self {
        Self { guard: Guard::default().at(page) }
    }

    /// Tells the login page the path and the query of the request, in a parameter of its own query. Default: without one.
    ///
    /// # Panics
    /// If the name of the parameter is not valid in a `Location`.
    #[must_use]
    pub fn returning(self, parameter: &'static str) -> Self {
        Self { guard: self.guard.returning(parameter) }
    }
}

impl RequireFresh {
    /// Creates a guard that lets users in who have logged in or confirmed their identity within this time, and responds to
    /// others with 401.
    #[must_use]
    pub fn within(period: Duration) -> Self {
        Self { guard: Guard { within: Some(period), ..Guard::default() } }
    }

    /// Redirects `GET` and `HEAD` requests to this page (303) instead, which calls [`Session::confirm`] after it has checked
    /// the password. Other requests still get 401.
    ///
    /// # Panics
    /// If the page is not a valid `Location`: it is a constant of the program, not input.
    #[must_use]
    pub fn at(self, page: &'static str) -> Self {
        Self { guard: self.guard.at(page) }
    }

    /// Tells the page the path and the query of the request, in a parameter of its own query. Default: without one.
    ///
    /// # Panics
    /// If the name of the parameter is not valid in a `Location`.
    #[must_use]
    pub fn returning(self, parameter: &'static str) -> Self {
        Self { guard: self.guard.returning(parameter) }
    }
}

impl Guard {
    fn at(self, page: &'static str) -> Self {
        // Here, and not in the first request.
        let _ = HeaderValue::from_static(page);
        Self { page: Some(page), ..self }
    }

    fn returning(self, parameter: &'static str) -> Self {
        let _ = HeaderValue::from_static(parameter);
        Self { returning: Some(parameter), ..self }
    }

    /// Whether the visitor of a session is let in.
    async fn admits(self, session: &Session) -> Result<bool, SessionError> {
        let is_admitted = match self.within {
            Some(period) => session.is_fresh(period).await?,
            None => session.user_id().await?.is_some(),
        };
        if is_admitted {
            session.private();
        }
        Ok(is_admitted)
    }

    /// The page for this request, if it is one for a page.
    fn page_for<Q>(self, request: &Request<Q>) -> Option<HeaderValue> {
        let page = self.page.filter(|_| matches!(*request.method(), Method::GET | Method::HEAD))?;
        let Some(parameter) = self.returning else { return Some(HeaderValue::from_static(page)) };
        // Nested routers have removed the beginning of the path from the request itself.
        let visit = Session::<crate::Data>::of(request.extensions())?.into_visit();
        HeaderValue::try_from(login_page(page, parameter, visit.page().unwrap_or_default())).ok()
    }
}

impl<S> Layer<S> for RequireLogin {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService { inner, guard: self.guard }
    }
}

impl<S> Layer<S> for RequireFresh {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService { inner, guard: self.guard }
    }
}

impl<S, Q, B> Service<Request<Q>> for GuardService<S>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone,
    B: Default + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = GuardFuture<S, Q>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        // `self.inner` is the service that is ready. The clone in its place becomes ready for the next request.
        let next = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, next);
        let (guard, session) = (self.guard, Session::of(request.extensions()));
        let admitted: Asking = Box::pin(async move {
            match session {
                Some(session) => guard.admits(&session).await.map(Some),
                None => Ok(None),
            }
        });
        GuardFuture { step: Step::Asking { admitted, next: Some((inner, request)), guard } }
    }
}

/// Whether the visitor is let in; `None` without a session layer.
type Asking = Pin<Box<dyn Future<Output = Result<Option<bool>, SessionError>> + Send>>;

pin_project! {
    /// The response of a [`GuardService`].
    pub struct GuardFuture<S: Service<Request<Q>>, Q> {
        #[pin]
        step: Step<S, S::Future, Q>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<S, F, Q> {
        Asking { admitted: Asking, next: Option<(S, Request<Q>)>, guard: Guard },
        Handling { #[pin] inner: F },
    }
}

impl<S, Q, B> Future for GuardFuture<S, Q>
where
    S: Service<Request<Q>, Response = Response<B>>,
    B: Default + 'static,
{
    type Output = Result<Response<B>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self.project().step;
        loop {
            match step.as_mut().project() {
                StepProjection::Asking { admitted, next, guard } => {
                    let is_admitted = ready!(admitted.as_mut().poll(context));
                    let Some((mut inner, request)) = next.take() else { return Poll::Pending };
                    let response = match is_admitted {
                        Ok(Some(true)) => {
                            let inner = inner.call(request);
                            step.set(Step::Handling { inner });
                            continue;
                        }
                        Ok(Some(false)) => rejected(guard.page_for(&request)),
                        Ok(None) => misplaced(),
                        Err(error) => failed(&error),
                    };
                    return Poll::Ready(Ok(response));
                }
                StepProjection::Handling { inner } => return inner.poll(context),
            }
        }
    }
}

impl<S: Service<Request<Q>>, Q> std::fmt::Debug for GuardFuture<S, Q> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuardFuture").finish_non_exhaustive()
    }
}

/// The message for a guard outside the session layer.
const MISPLACED: &str = "a guard (`RequireLogin`, `RequireFresh`) is outside of the `SessionLayer`, where there are no sessions: add the \
                         `SessionLayer` after it with `Router::layer`, so that it is around it";

fn misplaced<B: Default + 'static>() -> Response<B> {
    tracing::error!(target: "vestiary", "{MISPLACED}");
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    // Every body type can be empty; axum's can also hold text.
    #[cfg(feature = "axum")]
    if let Some(body) =
        (response.body_mut() as &mut dyn std::any::Any).downcast_mut::<axum_core::body::Body>()
    {
        *body = MISPLACED.into();
    }
    response
}

/// The response to a visitor who is not let in: a redirect if there is a page to go to.
fn rejected<B: Default>(page: Option<HeaderValue>) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    if let Some(page) = page {
        *response.status_mut() = StatusCode::SEE_OTHER;
        response.headers_mut().insert(header::LOCATION, page);
    }
    response
}

fn failed<B: Default>(error: &SessionError) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = status_of(error);
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
