use axum_core::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};
use vestiary_store::SessionError;

use crate::Session;

/// The ID of the logged-in user. As an extractor it rejects anonymous visitors with 401.
///
/// ```
/// use vestiary_tower::UserId;
///
/// async fn account(UserId(user): UserId) -> String {
///     format!("the account of {user}")
/// }
/// // `Option<UserId>` admits anonymous visitors, too.
/// async fn home(user: Option<UserId>) -> String {
///     user.map_or("Hello".to_owned(), |UserId(user)| format!("Hello {user}"))
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserId(pub String);

/// The reason why an extractor failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Rejection {
    /// There is no [`SessionLayer`](crate::SessionLayer) around the route.
    MissingLayer,
    /// No user is logged in.
    LoggedOut,
    /// The session could not be read.
    Failed(SessionError),
}

/// Does not read the store; the session reads it when the handler uses it.
impl<S: Send + Sync, T> FromRequestParts<S> for Session<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Session::of(&parts.extensions).ok_or(Rejection::MissingLayer)
    }
}

/// `None` for a visitor without a session. Reads the store.
impl<S: Send + Sync, T> OptionalFromRequestParts<S> for Session<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        let session: Self = Session::of(&parts.extensions).ok_or(Rejection::MissingLayer)?;
        let is_new = session.is_new().await.map_err(Rejection::Failed)?;
        Ok((!is_new).then_some(session))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for UserId {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let user = <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?;
        user.ok_or(Rejection::LoggedOut)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for UserId {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        let session: Session = Session::of(&parts.extensions).ok_or(Rejection::MissingLayer)?;
        Ok(session.user_id().await.map_err(Rejection::Failed)?.map(UserId))
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        match self {
            Self::MissingLayer => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "this route has no session: put a `SessionLayer` around it with `Router::layer`",
            )
                .into_response(),
            Self::LoggedOut => (StatusCode::UNAUTHORIZED, "log in first").into_response(),
            Self::Failed(error) => error.into_response(),
        }
    }
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MissingLayer => f.write_str("there is no `SessionLayer` around the route"),
            Self::LoggedOut => f.write_str("the visitor is not logged in"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Rejection {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            Self::MissingLayer | Self::LoggedOut => None,
        }
    }
}
