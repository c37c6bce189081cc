use alloc::string::String;
use core::fmt;

use crate::date::push_number;

/// What can be wrong with the configuration or with data on its way into a store.
///
/// Nothing here is ever caused by a cookie: a bad cookie is an answer (`None`), not an error.
/// Messages say what to do, and never contain a secret, an ID or a session value.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The caller gave a cookie attribute or name that would not survive as one cookie.
    CookieOption {
        /// The attribute as the options spell it, e.g. `maxAge`.
        attribute: &'static str,
        /// What a valid value looks like.
        rule: &'static str,
    },
    /// The caller's cookie name is not a token (RFC 6265 section 4.1.1).
    CookieName {
        /// What a valid name looks like.
        rule: &'static str,
    },
    /// A cookie name with a prefix, and options that a browser would refuse with it.
    CookiePrefix {
        /// `__Host-` or `__Secure-`.
        prefix: &'static str,
        /// What the prefix demands (RFC 6265bis section 4.1.3).
        rule: &'static str,
    },
    /// An own session ID (`genid`) that cannot travel in a cookie.
    SessionId,
    /// No secret, or an empty one.
    SecretMissing,
    /// A secret that is too short for production.
    SecretShort {
        /// Which of the secrets, counted from 1.
        position: usize,
        /// The least number of bytes.
        minimum: usize,
    },
    /// A timeout that is not a number of seconds.
    Timeout {
        /// The option.
        name: &'static str,
    },
    /// A namespace that cannot be part of a key.
    Namespace,
    /// A limit of sessions for each user that no user could log in with.
    SessionsPerUser,
    /// Records that express-session reads are to be encrypted: it could read none of them.
    EncryptExpress,
    /// An option of another type, or another choice, than there is.
    OptionType {
        /// The option, as JavaScript spells it.
        name: &'static str,
        /// The type, or the choices.
        expected: &'static str,
    },
    /// A text of options that is no JSON object, or has a member that is no option.
    OptionsText,
    /// The empty name of a user.
    UserName,
    /// A limit of the data's size that is none.
    MaxBytes,
    /// Renewals in the express-session format, where an old ID that leads to another one would be a session.
    ExpressRenewal,
    /// Session data that is not a JSON object.
    DataNotObject,
    /// Session data, or a record, that is not JSON.
    Json,
    /// A record that is not sealed, where all should be.
    NotSealed,
    /// A sealed record that none of the secrets opens for this session.
    Unsealable,
    /// Nested deeper than [`Limits::depth`](crate::Limits::depth).
    TooDeep {
        /// The limit that was passed.
        limit: usize,
    },
    /// Larger than [`Limits::bytes`](crate::Limits::bytes).
    TooLarge {
        /// The size that the data, or the record, would have.
        size: usize,
        /// The limit that was passed.
        limit: usize,
    },
    /// A key that JavaScript could turn into a prototype, or that express-session keeps for itself.
    ForbiddenKey {
        /// `__proto__`, `constructor` or `prototype`; in the express-session format also `cookie` and
        /// `vestiary`.
        key: &'static str,
    },
    /// The memory table holds as many entries or bytes as it may.
    StoreFull {
        /// The limit that was reached.
        limit: usize,
        /// `entries` or `bytes`.
        unit: &'static str,
    },
}

impl Error {
    /// Each code that [`Error::code`] can give.
    pub const CODES: [&'static str; 19] = [
        "cookie_name",
        "cookie_option",
        "cookie_prefix",
        "express_renewal",
        "max_bytes_option",
        "namespace_option",
        "options",
        "secret_missing",
        "secret_short",
        "timeout_option",
        "data_not_object",
        "forbidden_key",
        "json",
        "not_sealed",
        "session_id",
        "too_deep",
        "too_large",
        "unsealable",
        "store_full",
    ];

    /// The codes of the errors of [`Error::may_be_read_elsewhere`].
    pub const READ_ELSEWHERE: [&'static str; 3] = ["not_sealed", "too_large", "unsealable"];

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
            Self::Timeout { .. } => "timeout_option",
            Self::Namespace => "namespace_option",
            Self::SessionsPerUser
            | Self::EncryptExpress
            | Self::OptionType { .. }
            | Self::OptionsText
            | Self::UserName => "options",
            Self::MaxBytes => "max_bytes_option",
            Self::ExpressRenewal => "express_renewal",
            Self::DataNotObject => "data_not_object",
            Self::Json => "json",
            Self::NotSealed => "not_sealed",
            Self::Unsealable => "unsealable",
            Self::TooDeep { .. } => "too_deep",
            Self::TooLarge { .. } => "too_large",
            Self::ForbiddenKey { .. } => "forbidden_key",
            Self::StoreFull { .. } => "store_full",
        }
    }

    /// Whether another instance of the application may be able to read the record: one with other secrets, with
    /// encryption or without, or with larger limits. Then neither the record nor its cookie may be written over.
    #[must_use]
    pub fn may_be_read_elsewhere(&self) -> bool {
        Self::READ_ELSEWHERE.contains(&self.code())
    }

    /// What is wrong and what to do, as `Display` shows it.
    ///
    /// Written without `core::fmt`, which would be the largest part of the WebAssembly core.
    #[must_use]
    pub fn message(&self) -> String {
        let (mut text, mut parts) = (String::new(), self.parts().into_iter());
        for piece in self.template().split(PART) {
            text.push_str(piece);
            match parts.next() {
                Some(Part::Text(part)) => text.push_str(part),
                Some(Part::Number(part)) => push_number(&mut text, part as u64, 1),
                None => {}
            }
        }
        text
    }

    /// The message with its variable parts left out: one loop that puts them in takes less code than an arm for each
    /// message.
    fn template(&self) -> &'static str {
        match self {
            Self::CookieOption { .. } => "`cookie.%` is not valid: %",
            Self::CookieName { .. } => "`name` is not a valid cookie name: %",
            Self::CookiePrefix { .. } => "a cookie named `%…` %",
            Self::SessionId => {
                "a session ID must be 16 to 256 visible ASCII characters without `;`, `,`, `\"` or `\\`, not beginning with `s:`"
            }
            Self::SecretMissing => {
                "`secret` is missing or empty: pass a long random string, for example from `openssl rand -base64 32`"
            }
            Self::SecretShort { .. } => {
                "`secret` number % has fewer than % bytes: in production pass a long random string, for example from `openssl rand -base64 32`"
            }
            Self::Timeout { .. } => {
                "`%` must be a number of seconds, at least 1 (`renewGrace` and `touchAfter`: 0) and at most a century (`renewGrace`: 600)"
            }
            Self::Namespace => "`namespace` must be 1 to 64 letters, digits, `-`, `_` or `.`",
            Self::SessionsPerUser => {
                "`sessionsPerUser` must be a whole number from 1 to 4294967295"
            }
            Self::EncryptExpress => {
                "`encrypt` cannot go with the format of express-session: Express would find nothing that it can read"
            }
            Self::OptionType { .. } => "`%` must be %",
            Self::OptionsText => "the options must be a JSON object that has nothing but options",
            Self::UserName => "the user ID must have between 1 and 1,024 bytes",
            Self::MaxBytes => {
                "`maxBytes` must be a whole number of bytes of session data: at least 1024, at most 67108864 (the default is 65536)"
            }
            Self::ExpressRenewal => {
                "a session in the express-session format cannot be renewed, because Express would take the old ID for a session: leave `renewAfter` out"
            }
            Self::DataNotObject => "session data must be a JSON object",
            Self::Json => "the record is not valid JSON",
            Self::NotSealed => "the record is not encrypted, and `encrypt` demands it",
            Self::Unsealable => {
                "the record cannot be decrypted with these secrets for this session"
            }
            Self::TooDeep { .. } => "session data is nested deeper than % levels",
            Self::TooLarge { .. } => {
                "the session data has % bytes, more than the % allowed: keep large values in your database and their key in the session, or raise `maxBytes`"
            }
            Self::ForbiddenKey { .. } => "session data must not have a key named `%`",
            Self::StoreFull { .. } => {
                "the memory store is full (% %): raise its limit or use a store outside the process"
            }
        }
    }

    /// The variable parts of the message, in their order.
    fn parts(&self) -> [Part; 2] {
        use Part::{Number, Text};
        match *self {
            Self::CookieOption { attribute: one, rule: other }
            | Self::CookiePrefix { prefix: one, rule: other }
            | Self::OptionType { name: one, expected: other } => [Text(one), Text(other)],
            Self::CookieName { rule: one }
            | Self::Timeout { name: one }
            | Self::ForbiddenKey { key: one } => [Text(one), Text("")],
            Self::SecretShort { position: one, minimum: other }
            | Self::TooLarge { size: one, limit: other } => [Number(one), Number(other)],
            Self::TooDeep { limit } => [Number(limit), Text("")],
            Self::StoreFull { limit, unit } => [Number(limit), Text(unit)],
            _ => [Text(""), Text("")],
        }
    }
}

/// A part of a message that differs.
#[derive(Clone, Copy)]
enum Part {
    Text(&'static str),
    Number(usize),
}

/// Stands in a message for a part that differs.
const PART: char = '%';

impl core::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, string::ToString as _};

    use super::*;

    #[test]
    fn messages_say_what_to_do() {
        for (error, message) in [
            (
                Error::CookieOption { attribute: "path", rule: "an absolute path" },
                "`cookie.path` is not valid: an absolute path",
            ),
            (
                Error::SecretShort { position: 2, minimum: 16 },
                "`secret` number 2 has fewer than 16 bytes: in production pass a long random string, \
                 for example from `openssl rand -base64 32`",
            ),
            (
                Error::TooLarge { size: 65_537, limit: 65_536 },
                "the session data has 65537 bytes, more than the 65536 allowed: keep large values in \
                 your database and their key in the session, or raise `maxBytes`",
            ),
            (
                Error::StoreFull { limit: 10, unit: "entries" },
                "the memory store is full (10 entries): raise its limit or use a store outside the process",
            ),
        ] {
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn the_list_has_the_code_of_each_error() {
        let each = [
            Error::CookieOption { attribute: "", rule: "" },
            Error::CookieName { rule: "" },
            Error::CookiePrefix { prefix: "", rule: "" },
            Error::SessionId,
            Error::SecretMissing,
            Error::SecretShort { position: 0, minimum: 0 },
            Error::Timeout { name: "" },
            Error::Namespace,
            Error::SessionsPerUser,
            Error::EncryptExpress,
            Error::OptionType { name: "", expected: "" },
            Error::OptionsText,
            Error::UserName,
            Error::MaxBytes,
            Error::ExpressRenewal,
            Error::DataNotObject,
            Error::Json,
            Error::NotSealed,
            Error::Unsealable,
            Error::TooDeep { limit: 0 },
            Error::TooLarge { size: 0, limit: 0 },
            Error::ForbiddenKey { key: "" },
            Error::StoreFull { limit: 0, unit: "" },
        ];
        // A new error does not compile here, until it has a place in the list above.
        let place = |error: &Error| match error {
            Error::CookieOption { .. } => 0,
            Error::CookieName { .. } => 1,
            Error::CookiePrefix { .. } => 2,
            Error::SessionId => 3,
            Error::SecretMissing => 4,
            Error::SecretShort { .. } => 5,
            Error::Timeout { .. } => 6,
            Error::Namespace => 7,
            Error::SessionsPerUser => 8,
            Error::EncryptExpress => 9,
            Error::OptionType { .. } => 10,
            Error::OptionsText => 11,
            Error::UserName => 12,
            Error::MaxBytes => 13,
            Error::ExpressRenewal => 14,
            Error::DataNotObject => 15,
            Error::Json => 16,
            Error::NotSealed => 17,
            Error::Unsealable => 18,
            Error::TooDeep { .. } => 19,
            Error::TooLarge { .. } => 20,
            Error::ForbiddenKey { .. } => 21,
            Error::StoreFull { .. } => 22,
        };
        assert!(each.iter().map(place).eq(0..each.len()));
        let codes: BTreeSet<_> = each.iter().map(Error::code).collect();
        assert_eq!(codes, Error::CODES.into_iter().collect());
    }
}
