use thiserror::Error as ThisError;

/// What can be wrong with the configuration or with data on its way into a store.
///
/// Nothing here is ever caused by a cookie: a bad cookie is an answer (`None`), not an error.
/// Messages say what to do, and never contain a secret, an ID or a session value.
#[derive(Clone, Debug, Eq, PartialEq, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The caller gave a cookie attribute or name that would not survive as one cookie.
    #[error("`cookie.{attribute}` is not valid: {rule}")]
    CookieOption {
        /// The attribute as the options spell it, e.g. `maxAge`.
        attribute: &'static str,
        /// What a valid value looks like.
        rule: &'static str,
    },
    /// The caller's cookie name is not a token (RFC 6265 section 4.1.1).
    #[error("`name` is not a valid cookie name: {rule}")]
    CookieName {
        /// What a valid name looks like.
        rule: &'static str,
    },
    /// A cookie name with a prefix, and options that a browser would refuse with it.
    #[error("a cookie named `{prefix}…` {rule}")]
    CookiePrefix {
        /// `__Host-` or `__Secure-`.
        prefix: &'static str,
        /// What the prefix demands (RFC 6265bis section 4.1.3).
        rule: &'static str,
    },
    /// An own session ID (`genid`) that cannot travel in a cookie.
    #[error(
        "a session ID must be 16 to 256 visible ASCII characters without `;`, `,`, `\"` or `\\`"
    )]
    SessionId,
    /// No secret, or an empty one.
    #[error(
        "`secret` is missing or empty: pass a long random string, for example from `openssl rand -base64 32`"
    )]
    SecretMissing,
    /// A secret that is too short for production.
    #[error(
        "`secret` number {position} has fewer than {minimum} bytes: in production pass a long random string, for example from `openssl rand -base64 32`"
    )]
    SecretShort {
        /// Which of the secrets, counted from 1.
        position: usize,
        /// The least number of bytes.
        minimum: usize,
    },
    /// Session data that is not a JSON object.
    #[error("session data must be a JSON object")]
    DataNotObject,
    /// Session data, or a record, that is not JSON.
    #[error("the record is not valid JSON")]
    Json,
    /// Nested deeper than [`Limits::depth`](crate::Limits::depth).
    #[error("session data is nested deeper than {limit} levels")]
    TooDeep {
        /// The limit that was passed.
        limit: usize,
    },
    /// Larger than [`Limits::bytes`](crate::Limits::bytes).
    #[error(
        "the session record has {size} bytes, more than the {limit} allowed: keep large values in your database and their key in the session"
    )]
    TooLarge {
        /// The size the record would have.
        size: usize,
        /// The limit that was passed.
        limit: usize,
    },
    /// A key that JavaScript could turn into a prototype.
    #[error("session data must not have a key named `{key}`")]
    ForbiddenKey {
        /// `__proto__`, `constructor` or `prototype`.
        key: &'static str,
    },
    /// The memory table holds as many entries or bytes as it may.
    #[error(
        "the memory store is full ({limit} {unit}): raise its limit or use a store outside the process"
    )]
    StoreFull {
        /// The limit that was reached.
        limit: usize,
        /// `entries` or `bytes`.
        unit: &'static str,
    },
}

impl Error {
    /// A stable, machine-readable name, the same in Rust and in TypeScript.
    ///
    /// ```
    /// assert_eq!(vestiary::Error::SecretMissing.code(), "secret_missing");
    /// ```
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::CookieOption { .. } => "cookie_option",
            Self::CookieName { .. } => "cookie_name",
            Self::CookiePrefix { .. } => "cookie_prefix",
            Self::SessionId => "session_id",
            Self::SecretMissing => "secret_missing",
            Self::SecretShort { .. } => "secret_short",
            Self::DataNotObject => "data_not_object",
            Self::Json => "json",
            Self::TooDeep { .. } => "too_deep",
            Self::TooLarge { .. } => "too_large",
            Self::ForbiddenKey { .. } => "forbidden_key",
            Self::StoreFull { .. } => "store_full",
        }
    }
}
