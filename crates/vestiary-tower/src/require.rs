use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
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
/// Place it inside the [`SessionLayer`](crate::SessionLayer). Outside of it there are no sessions: every request gets
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
    page: Option<&'static str>,
    returning: Option<&'static str>,
}

/// The service that a [`RequireLogin`] creates.
#[derive(Clone, Debug)]
pub struct RequireLoginService<S> {
    inner: S,
    guard: RequireLogin,
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
        // Here, and not in the first request.
        let _ = HeaderValue::from_static(page);
        Self { page: Some(page), returning: None }
    }

    /// Tells the login page the path and the query of the request, in a parameter of its own query. Default: without one.
    ///
    /// # Panics
    /// If the name of the parameter is not valid in a `Location`.
    #[must_use]
    pub fn returning(self, parameter: &'static str) -> Self {
        let _ = HeaderValue::from_static(parameter);
        Self { returning: Some(parameter), ..self }
    }

    /// The login page for this request, if it is one for a page.
    fn page_for<Q>(self, request: &Request<Q>) -> Option<HeaderValue> {
        let page = self.page.filter(|_| matches!(*request.method(), Method::GET | Method::HEAD))?;
        let Some(parameter) = self.returning else { return Some(HeaderValue::from_static(page)) };
        // Nested routers have removed the beginning of the path from the request itself.
        let visit = Session::<crate::Data>::of(request.extensions())?.into_visit();
        HeaderValue::try_from(login_page(page, parameter, visit.page().unwrap_or_default())).ok()
    }
}

impl<S> Layer<S> for RequireLogin {
    type Service = RequireLoginService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireLoginService { inner, guard: *self }
    }
}

impl<S, Q, B> Service<Request<Q>> for RequireLoginService<S>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone,
    B: Default + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = RequireLoginFuture<S, Q>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        // `self.inner` is the service that is ready. The clone in its place becomes ready for the next request.
        let next = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, next);
        let session = Session::<crate::Data>::of(request.extensions());
        let user: Asking = Box::pin(async move {
            match session {
                Some(session) => {
                    let is_user = session.user_id().await?.is_some();
                    if is_user {
                        session.private();
                    }
                    Ok(Some(is_user))
                }
                None => Ok(None),
            }
        });
        let guard = self.guard;
        RequireLoginFuture { step: Step::Asking { user, next: Some((inner, request)), guard } }
    }
}

/// Whether the visitor is logged in; `None` without a session layer.
type Asking = Pin<Box<dyn Future<Output = Result<Option<bool>, SessionError>> + Send>>;

pin_project! {
    /// The response of a [`RequireLoginService`].
    pub struct RequireLoginFuture<S: Service<Request<Q>>, Q> {
        #[pin]
        step: Step<S, S::Future, Q>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<S, F, Q> {
        Asking { user: Asking, next: Option<(S, Request<Q>)>, guard: RequireLogin },
        Handling { #[pin] inner: F },
    }
}

impl<S, Q, B> Future for RequireLoginFuture<S, Q>
where
    S: Service<Request<Q>, Response = Response<B>>,
    B: Default + 'static,
{
    type Output = Result<Response<B>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self.project().step;
        loop {
            match step.as_mut().project() {
                StepProjection::Asking { user, next, guard } => {
                    let is_user = ready!(user.as_mut().poll(context));
                    let Some((mut inner, request)) = next.take() else { return Poll::Pending };
                    let response = match is_user {
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

impl<S: Service<Request<Q>>, Q> std::fmt::Debug for RequireLoginFuture<S, Q> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequireLoginFuture").finish_non_exhaustive()
    }
}

/// The message for a guard outside of the session layer.
const MISPLACED: &str = "`RequireLogin` is outside of the `SessionLayer`, where there are no sessions: add the \
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

/// The response to an anonymous visitor: a redirect if there is a page to go to.
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
