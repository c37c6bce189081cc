//! Logout by a provider of OpenID Connect.

use std::{error::Error, fmt, future::Future};

use http::{HeaderValue, Response, StatusCode, header};
use vestiary::{
    jwt::{Algorithm, LogoutError, LogoutToken, Relying, form_value},
    session::provider_list,
};
use vestiary_store::{SessionError, Sessions};

use crate::provider_keys::ProviderKeys;

/// The endpoint for OpenID Connect Back-Channel Logout 1.0: the provider sends a signed token, and the sessions of its
/// `sid` end, or all of its `sub`, in each process and with their streams. It ends sessions that were logged in with
/// [`LogIn::provider`](crate::LogIn::provider).
///
/// ```
/// use std::sync::Arc;
///
/// use axum::{Router, body::Bytes, routing::post};
/// use vestiary_tower::{BackChannelLogout, Config, MemoryStore, SessionLayer};
///
/// /// Fetches `jwks_uri` of the provider's metadata, with the HTTP client of the application, and a timeout.
/// async fn keys() -> Result<String, std::io::Error> {
///     Ok(r#"{"keys":[]}"#.to_owned())
/// }
///
/// let config = Config::new("a long random secret, from the environment");
/// let layer = SessionLayer::new(&config, MemoryStore::default())?;
/// let (issuer, client_id) = ("https://login.example.com", "my-service");
/// let logout = Arc::new(BackChannelLogout::new(layer.sessions(), issuer, client_id, keys));
/// let answer = move |body: Bytes| async move { logout.answer(&body).await };
/// let app: Router = Router::new().route("/backchannel-logout", post(answer)).layer(layer);
/// # Ok::<(), vestiary_tower::Error>(())
/// ```
pub struct BackChannelLogout {
    sessions: Sessions,
    issuer: String,
    client_id: String,
    keys: ProviderKeys,
}

/// The endpoint for OpenID Connect Front-Channel Logout 1.0: the provider shows its address in a frame of its logout page,
/// with `iss` and `sid`, and the sessions of this `sid` end. It needs no cookie, which browsers keep out of such frames. The
/// request is not signed: a caller who knows the `sid` can end its sessions, and nothing else. Prefer
/// [`BackChannelLogout`]: nothing tells you whether the frame was loaded.
///
/// ```
/// use std::sync::Arc;
///
/// use axum::{Router, extract::RawQuery, routing::get};
/// use vestiary_tower::{Config, FrontChannelLogout, MemoryStore, SessionLayer};
///
/// let config = Config::new("a long random secret, from the environment");
/// let layer = SessionLayer::new(&config, MemoryStore::default())?;
/// let logout = Arc::new(FrontChannelLogout::new(layer.sessions(), "https://login.example.com"));
/// let answer = |RawQuery(query): RawQuery| async move {
///     logout.answer(&query.unwrap_or_default()).await
/// };
/// let app: Router = Router::new().route("/frontchannel-logout", get(answer)).layer(layer);
/// # Ok::<(), vestiary_tower::Error>(())
/// ```
pub struct FrontChannelLogout {
    sessions: Sessions,
    issuer: String,
}

/// The reason why a logout by a provider has failed. No message shows anything of the token.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProviderLogoutError {
    /// A check of the specification has failed.
    Refused(LogoutError),
    /// The store failed: the sessions may still be valid.
    Session(SessionError),
}

impl BackChannelLogout {
    /// The longest body of a request, in bytes.
    const LONGEST: usize = 32 << 10;

    /// Creates the endpoint for these sessions ([`SessionLayer::sessions`](crate::SessionLayer::sessions)). `issuer` is that
    /// of the provider's metadata, exactly.
    ///
    /// `fetch` returns the provider's set of public keys, as JSON text. It is called when a key is needed: at most twice a
    /// minute, and again after an hour. If it fails, or takes longer than ten seconds, tokens are refused.
    pub fn new<F, E>(
        sessions: &Sessions,
        issuer: impl Into<String>,
        client_id: impl Into<String>,
        fetch: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
    {
        let (sessions, issuer, client_id) = (sessions.clone(), issuer.into(), client_id.into());
        Self { sessions, issuer, client_id, keys: ProviderKeys::new(fetch) }
    }

    /// Ends the sessions, and answers the provider's request, of which this is the body: 200, or 400 with the code of the
    /// error.
    pub async fn answer(&self, body: &[u8]) -> Response<String> {
        let form = str::from_utf8(body).ok().filter(|form| form.len() <= Self::LONGEST);
        let token = form.and_then(|form| form_value(form, "logout_token"));
        answered(match token {
            Some(token) => self.end(&token).await,
            None => Err(LogoutError::Request.into()),
        })
    }

    /// Ends the sessions that a logout token names.
    ///
    /// # Errors
    /// [`ProviderLogoutError`] if the token is refused, or the store failed. A token that was used before ends no session
    /// that began since.
    pub async fn end(&self, token: &str) -> Result<(), ProviderLogoutError> {
        let now = self.sessions.now();
        let (issuer, client_id) = (&*self.issuer, &*self.client_id);
        let relying = Relying { issuer, client_id, algorithms: &Algorithm::ALL, now };
        let LogoutToken { jwt, list, receipt } = LogoutToken::judge(token, &relying)?;
        self.keys.check(&jwt, || self.sessions.now()).await?;
        if self.sessions.logged_out(&list, Some(receipt)).await? {
            return Err(LogoutError::Replayed.into());
        }
        Ok(())
    }
}

impl FrontChannelLogout {
    /// Creates the endpoint for these sessions ([`SessionLayer::sessions`](crate::SessionLayer::sessions)). `issuer` is that
    /// of the provider's metadata, exactly.
    pub fn new(sessions: &Sessions, issuer: impl Into<String>) -> Self {
        Self { sessions: sessions.clone(), issuer: issuer.into() }
    }

    /// Ends the sessions, and answers the request, of which this is the query: 200, or 400 with the code of the error.
    pub async fn answer(&self, query: &str) -> Response<String> {
        answered(self.end(query).await)
    }

    async fn end(&self, query: &str) -> Result<(), ProviderLogoutError> {
        let value = |name| form_value(query, name).filter(|value| !value.is_empty());
        let sid = value("sid").ok_or(LogoutError::Request)?;
        if value("iss").as_ref() != Some(&self.issuer) {
            return Err(LogoutError::Issuer.into());
        }
        let list = provider_list("sid", &self.issuer, &sid);
        self.sessions.logged_out(&list, None).await?;
        Ok(())
    }
}

impl ProviderLogoutError {
    /// The stable, machine-readable code, the same as in TypeScript.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(error) => error.code(),
            Self::Session(error) => error.code(),
        }
    }
}

/// The response that both specifications demand.
fn answered(ended: Result<(), ProviderLogoutError>) -> Response<String> {
    let mut response = Response::default();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Err(error) = ended {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let kind = match error {
            ProviderLogoutError::Refused(LogoutError::KeysUnavailable)
            | ProviderLogoutError::Session(_) => "server_error",
            ProviderLogoutError::Refused(_) => "invalid_request",
        };
        *response.status_mut() = StatusCode::BAD_REQUEST;
        *response.body_mut() =
            format!(r#"{{"error":"{kind}","error_description":"{}"}}"#, error.code());
    }
    response
}

impl From<LogoutError> for ProviderLogoutError {
    fn from(error: LogoutError) -> Self {
        Self::Refused(error)
    }
}

impl From<SessionError> for ProviderLogoutError {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl fmt::Display for ProviderLogoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Session(error) => error.fmt(f),
        }
    }
}

impl Error for ProviderLogoutError {}

/// Hides the sessions.
impl fmt::Debug for BackChannelLogout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackChannelLogout").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Hides the sessions.
impl fmt::Debug for FrontChannelLogout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrontChannelLogout").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
