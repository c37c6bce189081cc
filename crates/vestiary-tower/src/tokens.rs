//! The tokens of a provider, beside the data of a session, and refreshed by one request of all processes.

use std::{
    fmt,
    future::Future,
    time::{Duration, SystemTime},
};

use vestiary::{
    UnixMillis,
    protocol::Host as _,
    visit::{self, Answer, Claim, Grant, Wanted},
};
use vestiary_store::{SessionError, StoreOperation, within};

use crate::{LogIn, OnceError, Session, slots::millis_of};

/// The answer of a provider's token endpoint (RFC 6749, section 5.1), for [`LogIn::tokens`], [`Session::keep_tokens`] and
/// [`Session::tokens`].
///
/// ```
/// # use std::time::Duration;
/// # use vestiary_tower::TokenResponse;
/// let answer = TokenResponse::new("the access token")
///     .refresh_token("the refresh token".to_owned())
///     .expires_in(Duration::from_secs(300));
/// ```
#[derive(Clone, Default, Eq, PartialEq)]
pub struct TokenResponse(Grant);

/// The tokens of a session.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct Tokens {
    /// The access token.
    pub access_token: String,
    /// When the access token expires. `None` if the provider has not said so.
    pub expires: Option<SystemTime>,
    /// The refresh token, if there is one.
    pub refresh_token: Option<String>,
    /// The last ID token that the provider has sent, for `id_token_hint` of a logout.
    pub id_token: Option<String>,
}

/// Options of [`Session::tokens`].
#[derive(Clone, Debug)]
pub struct TokenOptions {
    early: Duration,
    lease: Duration,
    refused: Option<Secret>,
}

/// A token, hidden from logs.
#[derive(Clone)]
struct Secret(String);

impl TokenResponse {
    /// An answer with this access token.
    pub fn new(access_token: impl Into<String>) -> Self {
        Self(Grant { access: access_token.into(), ..Grant::default() })
    }

    /// The refresh token. Without one, an earlier one stays.
    #[must_use]
    pub fn refresh_token(mut self, token: impl Into<Option<String>>) -> Self {
        self.0.refresh = token.into();
        self
    }

    /// The ID token. Without one, an earlier one stays.
    #[must_use]
    pub fn id_token(mut self, token: impl Into<Option<String>>) -> Self {
        self.0.id = token.into();
        self
    }

    /// The lifetime of the access token. Default: unknown.
    #[must_use]
    pub fn expires_in(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.0.lifetime = lifetime.into().map(millis);
        self
    }
}

impl Default for TokenOptions {
    fn default() -> Self {
        Self { early: Duration::from_secs(60), lease: Duration::from_secs(10), refused: None }
    }
}

impl TokenOptions {
    /// How long before its end an access token is refreshed; at most half of its life. Until then, requests that do not
    /// refresh it get the old one. Default: 60 seconds.
    #[must_use]
    pub fn early(mut self, early: Duration) -> Self {
        self.early = early;
        self
    }

    /// The time that the provider may take. A function that takes longer is dropped. If a process dies, another request
    /// refreshes the tokens after it. Default: 10 seconds.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// An access token that an API has refused (401), which counts as expired. Default: none.
    #[must_use]
    pub fn refused(mut self, access_token: impl Into<String>) -> Self {
        self.refused = Some(Secret(access_token.into()));
        self
    }
}

impl LogIn {
    /// The tokens that a provider has given, which the session keeps beside its data, as [`Session::keep_tokens`] does. They
    /// are in the write that begins the session, so no crash leaves one without the other. Default: none.
    ///
    /// ```
    /// # use vestiary_tower::{Session, SessionError, TokenResponse};
    /// # async fn callback(session: Session, answer: TokenResponse) -> Result<(), SessionError> {
    /// session.login("ada").tokens(answer).await
    /// # }
    /// ```
    ///
    /// The login fails with [`Error::SlotsFull`](crate::Error::SlotsFull) if the session has no room for them.
    pub fn tokens(mut self, response: TokenResponse) -> Self {
        self.login.tokens = Some(response.0);
        self
    }
}

impl<T> Session<T> {
    /// Keeps the tokens of a provider beside the session's data, encrypted with [`Config::encrypt`](crate::Config::encrypt).
    /// They replace earlier ones. A login drops them: give it new ones with [`LogIn::tokens`]. [`Session::renew`] keeps
    /// them. An anonymous visitor gets a session. `false` if the session was ended meanwhile: nothing was stored.
    ///
    /// # Errors
    /// As [`Session::put`].
    pub async fn keep_tokens(&self, response: TokenResponse) -> Result<bool, SessionError> {
        let answer = Answer::Granted(response.0);
        self.visit().keep_tokens(&mut *self.visit().open_to_write().await?, None, answer).await
    }

    /// The tokens, refreshed if the access token expires soon. Only one request of the session calls the function with
    /// the refresh token, in all processes, including those of a SvelteKit app. While the old token is still valid, the
    /// others get it. After that they wait for the new one. Valid tokens cost no store call.
    ///
    /// The function returns the provider's answer, or `None` if the provider has refused the token for good
    /// (`invalid_grant`).
    ///
    /// `None` if there are no tokens, if they have expired and there is no refresh token, or if the provider has refused
    /// it: log in again.
    ///
    /// If this future is dropped while the provider is asked, its answer is lost. A server drops a request whose visitor
    /// leaves, so call this in a task of its own if your provider accepts a refresh token once.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use vestiary_tower::{OnceError, Session, TokenOptions, TokenResponse, Tokens};
    ///
    /// /// Sends the refresh token to the provider.
    /// async fn ask(_refresh_token: String) -> Result<Option<TokenResponse>, std::io::Error> {
    ///     Ok(Some(TokenResponse::new("new").expires_in(Duration::from_secs(300))))
    /// }
    ///
    /// async fn tokens(session: Session) -> Result<Option<Tokens>, OnceError<std::io::Error>> {
    ///     session.tokens(&TokenOptions::default(), ask).await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`OnceError::Run`] with the error of the function, in the request that calls it; no other request calls it for two
    /// seconds. The other kinds of [`OnceError`] in requests that have waited in vain, if the function took longer than the
    /// lease, if the store failed, or if the lease is zero.
    pub async fn tokens<E, F>(
        &self,
        options: &TokenOptions,
        mut refresh: impl FnMut(String) -> F,
    ) -> Result<Option<Tokens>, OnceError<E>>
    where
        F: Future<Output = Result<Option<TokenResponse>, E>>,
    {
        let lease = millis_of("lease", options.lease)?;
        let early = u64::try_from(options.early.as_millis()).unwrap_or(u64::MAX);
        let refused = options.refused.as_ref().map(|Secret(token)| token.as_str());
        let mut host = self.sessions().host(StoreOperation::Read);
        let began = host.elapsed();
        loop {
            let since = host.elapsed();
            let wanted = Wanted { early, refused, lease, waited: (since - began) / 1_000 };
            let held = match self.find(wanted).await? {
                Claim::Held(held) => held,
                Claim::Done(found) => return Ok(found.as_deref().and_then(Tokens::of)),
                Claim::Wait(millis) => {
                    host.sleep(millis * 1_000).await;
                    continue;
                }
                Claim::Failed => return Err(OnceError::Failed),
                Claim::Busy => return Err(OnceError::Busy),
                Claim::Ended => return Err(OnceError::Ended),
            };
            let left = options.lease.saturating_sub(Duration::from_micros(host.elapsed() - since));
            let token = visit::Tokens::parse(&held).and_then(|tokens| tokens.refresh);
            let run = refresh(token.unwrap_or_default());
            let (answer, error) = match within(Some(left), run).await {
                None => return Err(OnceError::Lost),
                Some(Ok(Some(TokenResponse(grant)))) => (Answer::Granted(grant), None),
                Some(Ok(None)) => (Answer::Refused, None),
                Some(Err(error)) => (Answer::Failed, Some(OnceError::Run(error))),
            };
            match (self.settle(held.clone(), answer).await, error) {
                // If a failure cannot be stored, the requests that wait do so until the end of the lease.
                (_, Some(error)) => return Err(error),
                (Ok(true), None) => return Ok(self.stored_tokens().await?),
                // Another request has taken over after the lease. Its tokens count.
                (Ok(false), None) => {}
                (Err(error), None) => {
                    let _ = self.settle(held, Answer::Failed).await;
                    return Err(error.into());
                }
            }
        }
    }

    /// The tokens as they are stored, perhaps expired, for a logout at the provider. `None` without any.
    ///
    /// # Errors
    /// [`SessionError`] if the store failed.
    pub async fn stored_tokens(&self) -> Result<Option<Tokens>, SessionError> {
        Ok(match self.find(Wanted::default()).await? {
            Claim::Done(Some(text)) => Tokens::of(&text),
            _ => None,
        })
    }

    async fn find(&self, wanted: Wanted<'_>) -> Result<Claim, SessionError> {
        self.visit().tokens(&mut *self.visit().open_to_write().await?, wanted).await
    }

    async fn settle(&self, held: String, answer: Answer) -> Result<bool, SessionError> {
        self.visit()
            .keep_tokens(&mut *self.visit().open_to_write().await?, Some(held), answer)
            .await
    }
}

impl Tokens {
    fn of(text: &str) -> Option<Self> {
        let visit::Tokens { access, refresh, id, expires, .. } = visit::Tokens::parse(text)?;
        let time =
            |UnixMillis(millis)| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        Some(Self {
            access_token: access,
            expires: expires.and_then(time),
            refresh_token: refresh,
            id_token: id,
        })
    }
}

/// Hides the tokens.
impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse").finish_non_exhaustive()
    }
}

/// Hides the tokens.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
