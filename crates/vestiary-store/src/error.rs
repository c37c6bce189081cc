use std::{fmt, sync::Arc, time::Duration};

use crate::StoreError;

/// A failed operation on a session. An invalid cookie is not an error: its visitor has no session.
///
/// No message holds a secret, an ID or a session value.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The store failed. Unless it refused, the operation is in doubt.
    #[error("the session store could not {operation} the session")]
    Store {
        /// The operation that the store failed.
        operation: StoreOperation,
        /// The store's error.
        source: StoreError,
    },
    /// The store did not answer in time: it may still perform the operation.
    #[error("the session store did not {operation} the session within {} ms", after.as_millis())]
    Timeout {
        /// The operation that timed out.
        operation: StoreOperation,
        /// The timeout.
        after: Duration,
    },
    /// Every attempt conflicted with a write of another request.
    #[error(
        "other requests wrote the session first in each attempt, and nothing was written: repeat the operation"
    )]
    Busy,
    /// The session's record is gone, but it was read so long ago that another request may have renewed the session
    /// meanwhile. It may have ended, or have another ID.
    #[error(
        "the session was read long ago and its record is gone: it has ended, or has another ID. Open the session again"
    )]
    Unconfirmed,
    /// The session was used inside the function that `update` or `modify` runs on its data.
    #[error(
        "the session was used inside the function that changes it: use the value that the function gets, and call \
         the session before or after it"
    )]
    UpdateNested,
    /// The visitor has a session of another layer whose cookie has the same name; a browser keeps only one cookie per
    /// name. Nothing was stored.
    #[error(
        "two session layers use the cookie `{name}`, and the visitor has a session of the other one: give one of them \
         another name (`Config::name`)"
    )]
    CookieNameTaken {
        /// The name of the cookie.
        name: String,
    },
    /// An option is invalid, or the data cannot be stored.
    #[error(transparent)]
    Data(vestiary::Error),
    /// The session data does not match the application's type, or the value has no JSON form. [`WrongType`] names the
    /// key.
    #[error(transparent)]
    Type(WrongType),
    /// All sessions of the user were revoked after the request of this login began. The proof that it relies on, such
    /// as a password, may have changed since. Nothing was stored.
    #[error("all sessions of this user were ended while the login was in progress: log in again")]
    LoginOutdated,
    /// The user already has as many sessions as [`Config::sessions_per_user`](crate::Config::sessions_per_user) allows,
    /// and a login beyond it is refused ([`WhenFull::Refuse`](crate::WhenFull::Refuse)). Nothing was stored, and the
    /// visitor keeps the session from before.
    #[error("{}", vestiary::Error::TooManySessions)]
    TooManySessions,
    /// A new session was saved after the response had left, when its cookie could no longer be set. Nothing was stored.
    #[error(
        "the response has already left, so the cookie of a new session cannot be set and the session was not stored: save it before the handler returns"
    )]
    ResponseSent,
    /// The system's random source failed. Nothing was stored.
    #[error("the system has no random numbers")]
    Entropy,
}

/// Session data that does not match a type of the application, or a value that cannot be stored as JSON.
///
/// It names the key and never shows a value. A session whose data has another shape than the service expects, after a
/// deployment for example, stays as it is until the application removes or rewrites that key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{problem}")]
pub struct WrongType {
    key: Option<Arc<str>>,
    problem: Arc<str>,
}

impl WrongType {
    /// Creates the error. `problem` is shown, so it must not repeat a value.
    #[must_use]
    pub fn new(key: Option<String>, problem: String) -> Self {
        Self { key: key.map(Arc::from), problem: problem.into() }
    }

    /// The key of the session data that has another type or is missing; `None` if the problem is not one key's.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

impl SessionError {
    /// All codes of [`SessionError::code`], except those of the core ([`vestiary::Error::CODES`]).
    pub const CODES: [&'static str; 9] = [
        "store_busy",
        "store_failed",
        "store_timeout",
        "store_unconfirmed",
        "login_outdated",
        "response_sent",
        "update_nested",
        "type",
        "entropy",
    ];

    /// The stable, machine-readable code, the same as in TypeScript.
    ///
    /// ```
    /// # use vestiary_store::SessionError;
    /// assert_eq!(SessionError::Busy.code(), "store_busy");
    /// ```
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store { source: StoreError::Full(_) | StoreError::OutOfSpace(_), .. } => {
                "store_full"
            }
            Self::Store { .. } => "store_failed",
            Self::Timeout { .. } => "store_timeout",
            Self::Busy => "store_busy",
            Self::Unconfirmed => "store_unconfirmed",
            Self::UpdateNested => "update_nested",
            Self::CookieNameTaken { .. } => "options",
            Self::Data(error) => error.code(),
            Self::Type(_) => "type",
            Self::LoginOutdated => "login_outdated",
            Self::TooManySessions => vestiary::Error::TooManySessions.code(),
            Self::ResponseSent => "response_sent",
            Self::Entropy => "entropy",
        }
    }

    /// The HTTP status for this error: 503 if the store is at fault, 409 for a login that is outdated or one too many,
    /// otherwise 500.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::LoginOutdated | Self::TooManySessions => 409,
            error if error.is_store() => 503,
            _ => 500,
        }
    }

    /// Whether the store has confirmed that it did nothing. Otherwise the operation is in doubt.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Store { source, .. } if source.is_refusal())
    }

    /// Whether the store is at fault, so that the same request may succeed a little later.
    #[must_use]
    pub fn is_store(&self) -> bool {
        matches!(self, Self::Store { .. } | Self::Timeout { .. } | Self::Busy | Self::Unconfirmed)
    }
}

impl From<vestiary::Error> for SessionError {
    fn from(error: vestiary::Error) -> Self {
        match error {
            vestiary::Error::TooManySessions => Self::TooManySessions,
            error => Self::Data(error),
        }
    }
}

/// A store operation, as named in errors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum StoreOperation {
    /// Reads a record.
    Read,
    /// Writes a record.
    Write,
    /// Restarts the TTL of a record.
    Touch,
    /// Removes a record.
    Remove,
}

impl fmt::Display for StoreOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Touch => "touch",
            Self::Remove => "remove",
        })
    }
}

/// Responds with the message and the status. The body says nothing about the cause: log that.
#[cfg(feature = "axum")]
impl axum_core::response::IntoResponse for SessionError {
    fn into_response(self) -> axum_core::response::Response {
        let status = http::StatusCode::from_u16(self.status());
        let status = status.unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.to_string()).into_response();
        if status == http::StatusCode::SERVICE_UNAVAILABLE {
            let soon = http::HeaderValue::from_static("1");
            response.headers_mut().insert(http::header::RETRY_AFTER, soon);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_list_has_the_code_of_each_error_as_the_npm_package_names_it() {
        let full = vestiary::Error::StoreFull { limit: 0, unit: "" };
        let each = [
            SessionError::Store {
                operation: StoreOperation::Read,
                source: StoreError::Refused(Arc::new(fmt::Error)),
            },
            SessionError::Timeout { operation: StoreOperation::Read, after: Duration::ZERO },
            SessionError::Busy,
            SessionError::Unconfirmed,
            SessionError::UpdateNested,
            SessionError::CookieNameTaken { name: String::new() },
            SessionError::Data(vestiary::Error::Json),
            SessionError::Type(WrongType::new(None, String::new())),
            SessionError::LoginOutdated,
            SessionError::TooManySessions,
            SessionError::ResponseSent,
            SessionError::Entropy,
        ];
        // A new error fails to compile here until the list above has it.
        let place = |error: &SessionError| match error {
            SessionError::Store { .. } => 0,
            SessionError::Timeout { .. } => 1,
            SessionError::Busy => 2,
            SessionError::Unconfirmed => 3,
            SessionError::UpdateNested => 4,
            SessionError::CookieNameTaken { .. } => 5,
            SessionError::Data(_) => 6,
            SessionError::Type(_) => 7,
            SessionError::LoginOutdated => 8,
            SessionError::TooManySessions => 9,
            SessionError::ResponseSent => 10,
            SessionError::Entropy => 11,
        };
        assert!(each.iter().map(place).eq(0..each.len()));
        let codes: BTreeSet<_> = each.iter().map(SessionError::code).collect();
        let core: BTreeSet<_> = vestiary::Error::CODES.into_iter().collect();
        let own: BTreeSet<_> = codes.difference(&core).copied().collect();
        assert_eq!(own, SessionError::CODES.into_iter().collect());
        let full = SessionError::Store {
            operation: StoreOperation::Write,
            source: StoreError::Full(full),
        };
        assert!(core.contains(full.code()));

        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/names.json");
        let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let cases = file["cases"].as_array().unwrap().iter();
        let cases = cases.filter(|case| case["rust"] == "SessionError");
        assert_eq!(own, cases.map(|case| case["code"].as_str().unwrap()).collect());
    }
}
