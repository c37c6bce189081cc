use alloc::string::String;
use core::fmt;

use super::{Algorithm, Jwt, JwtError};
use crate::{
    Handle, UnixMillis,
    session::{provider_list, provider_receipt},
};

/// A logout token (OpenID Connect Back-Channel Logout 1.0) whose claims have been judged. Its signature is the driver's to
/// check.
///
/// ```
/// use vestiary::{UnixMillis, jwt::{Algorithm, LogoutError, LogoutToken, Relying}};
///
/// let relying = Relying {
///     issuer: "https://login.example",
///     client_id: "cloakroom",
///     algorithms: &Algorithm::ALL,
///     now: UnixMillis(1_700_000_000_000),
/// };
/// // {"alg":"none"}
/// let refused = LogoutToken::judge("eyJhbGciOiJub25lIn0.e30.", &relying).unwrap_err();
/// assert_eq!(refused.code(), "token_algorithm");
/// ```
#[derive(Debug)]
pub struct LogoutToken<'t> {
    /// The token.
    pub jwt: Jwt<'t>,
    /// The hash in the key of the list with the sessions that it ends: those of its `sid`, or all of its `sub`.
    pub list: String,
    /// The receipt that it leaves in the list, so that it counts only once.
    pub receipt: Handle,
}

/// The application, as its provider knows it, and the time.
#[derive(Clone, Copy, Debug)]
pub struct Relying<'a> {
    /// The provider: `issuer` of its metadata.
    pub issuer: &'a str,
    /// The application's ID at the provider.
    pub client_id: &'a str,
    /// The algorithms that may sign tokens.
    pub algorithms: &'a [Algorithm],
    /// The current time.
    pub now: UnixMillis,
}

/// A refused logout. The message repeats none of the token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LogoutError {
    /// A token in another form.
    Token(JwtError),
    /// A header `typ` of another kind of token.
    Type,
    /// A token of another provider.
    Issuer,
    /// A token for another application.
    Audience,
    /// A token without a time of issue, or with one in the future.
    Issued,
    /// A token that has expired, or never does.
    Expired,
    /// A token that is valid for more than 23 hours: its use would be forgotten before.
    Lifetime,
    /// A token without the event of a logout.
    Events,
    /// A token with a `nonce`, such as an ID token.
    Nonce,
    /// A token without `sid` and `sub`, or with one that is not a string.
    Subject,
    /// A token without an ID (`jti`).
    Id,
    /// No key of the provider can have signed it.
    Key,
    /// It is not signed by the provider.
    Signature,
    /// A token that was used before.
    Replayed,
    /// The provider's keys could not be fetched.
    KeysUnavailable,
    /// A request in another form.
    Request,
}

/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The difference between the clocks of the provider and of this server that is allowed, in seconds.
const SKEW: f64 = 60.0;

/// The longest time until a token expires, in seconds. A receipt lasts for a day.
const LONGEST: f64 = 23.0 * 3_600.0;

impl<'t> LogoutToken<'t> {
    /// Judges all of a token but its signature.
    ///
    /// # Errors
    /// [`LogoutError`].
    pub fn judge(text: &'t str, relying: &Relying<'_>) -> Result<Self, LogoutError> {
        let jwt = Jwt::parse(text, relying.algorithms).map_err(LogoutError::Token)?;
        // The specification recommends a type of its own, and allows tokens without it.
        if !jwt.is_typed(&["", "jwt", "logout+jwt"]) {
            return Err(LogoutError::Type);
        }
        let claims = jwt.claims();
        if claims.string("iss").as_deref() != Some(relying.issuer) {
            return Err(LogoutError::Issuer);
        }
        let is_ours = match claims.strings("aud") {
            Some(audiences) => audiences.iter().any(|audience| audience == relying.client_id),
            None => claims.string("aud").as_deref() == Some(relying.client_id),
        };
        if !is_ours {
            return Err(LogoutError::Audience);
        }
        #[expect(clippy::cast_precision_loss, reason = "a token has seconds")]
        let now = relying.now.0 as f64 / 1_000.0;
        claims.number("iat").filter(|iat| *iat <= now + SKEW).ok_or(LogoutError::Issued)?;
        let exp =
            claims.number("exp").filter(|exp| *exp > now - SKEW).ok_or(LogoutError::Expired)?;
        if exp > now + LONGEST {
            return Err(LogoutError::Lifetime);
        }
        let event = claims.object("events").and_then(|events| events.object(EVENT));
        event.ok_or(LogoutError::Events)?;
        if claims.text("nonce").is_some() {
            return Err(LogoutError::Nonce);
        }
        let named = |name: &str| match claims.text(name) {
            None => Ok(None),
            Some(_) => match claims.string(name) {
                Some(value) if !value.is_empty() => Ok(Some(value)),
                _ => Err(LogoutError::Subject),
            },
        };
        let list = match (named("sid")?, named("sub")?) {
            (Some(sid), _) => provider_list("sid", relying.issuer, &sid),
            (None, Some(sub)) => provider_list("sub", relying.issuer, &sub),
            (None, None) => return Err(LogoutError::Subject),
        };
        let jti = claims.string("jti").filter(|jti| !jti.is_empty()).ok_or(LogoutError::Id)?;
        let receipt = provider_receipt(relying.issuer, &jti);
        Ok(Self { jwt, list, receipt })
    }
}

impl LogoutError {
    /// All errors.
    pub const ALL: [Self; 18] = [
        Self::Token(JwtError::Malformed),
        Self::Token(JwtError::Algorithm),
        Self::Token(JwtError::Critical),
        Self::Type,
        Self::Issuer,
        Self::Audience,
        Self::Issued,
        Self::Expired,
        Self::Lifetime,
        Self::Events,
        Self::Nonce,
        Self::Subject,
        Self::Id,
        Self::Key,
        Self::Signature,
        Self::Replayed,
        Self::KeysUnavailable,
        Self::Request,
    ];

    /// The stable code, the same in Rust and in TypeScript.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Token(JwtError::Malformed) => "token_malformed",
            Self::Token(JwtError::Algorithm) => "token_algorithm",
            Self::Token(JwtError::Critical) => "token_critical",
            Self::Type => "token_type",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Issued => "token_issued",
            Self::Expired => "token_expired",
            Self::Lifetime => "token_lifetime",
            Self::Events => "token_events",
            Self::Nonce => "token_nonce",
            Self::Subject => "token_subject",
            Self::Id => "token_id",
            Self::Key => "token_key",
            Self::Signature => "token_signature",
            Self::Replayed => "token_replayed",
            Self::KeysUnavailable => "keys_unavailable",
            Self::Request => "logout_request",
        }
    }

    /// The message for people.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Token(JwtError::Malformed) => {
                "the logout token is not a signed JWT in compact form"
            }
            Self::Token(JwtError::Algorithm) => {
                "the logout token is signed by an algorithm that is not allowed"
            }
            Self::Token(JwtError::Critical) => {
                "the logout token requires an extension that is not supported"
            }
            Self::Type => "the logout token is of another type",
            Self::Issuer => "the logout token is of another issuer",
            Self::Audience => "the logout token is for another client",
            Self::Issued => "the logout token has no time of issue, or one in the future",
            Self::Expired => "the logout token has expired, or does not say when it does",
            Self::Lifetime => "the logout token expires too late: in more than 23 hours",
            Self::Events => "the logout token has no event of a logout",
            Self::Nonce => "the logout token has a nonce",
            Self::Subject => "the logout token names neither a session nor a user",
            Self::Id => "the logout token has no ID (`jti`)",
            Self::Key => "the logout token is signed by a key that the provider does not have",
            Self::Signature => "the logout token is not signed by the provider",
            Self::Replayed => "the logout token was used before",
            Self::KeysUnavailable => {
                "the logout token cannot be checked: the provider's keys could not be fetched"
            }
            Self::Request => "the logout token is missing: the request has another form",
        }
    }
}

impl fmt::Display for LogoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for LogoutError {}

#[cfg(test)]
mod tests;
