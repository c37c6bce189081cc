use alloc::string::String;
use core::fmt;

use crate::time::date::push_number;

/// An invalid option, or session data that cannot be stored or read.
///
/// A cookie never causes an error: an invalid cookie is `None`. Messages say how to fix the problem, and never contain a
/// secret, an ID or session data.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A cookie option that a browser would not accept.
    CookieOption {
        /// The attribute as the options spell it, such as `maxAge`.
        attribute: &'static str,
        /// The form of a valid value.
        rule: &'static str,
    },
    /// A cookie name that is not a token (RFC 6265 section 4.1.1).
    CookieName {
        /// The form of a valid name.
        rule: &'static str,
    },
    /// A cookie name with a prefix that the other options contradict.
    CookiePrefix {
        /// `__Host-` or `__Secure-`.
        prefix: &'static str,
        /// The requirement of the prefix (RFC 6265bis section 4.1.3).
        rule: &'static str,
    },
    /// A custom session ID (`genid`) that cannot be put into a cookie.
    SessionId,
    /// No secret, or an empty one.
    SecretMissing,
    /// A secret that is too short.
    SecretShort {
        /// The position of the secret, counted from 1.
        position: usize,
        /// The minimum number of bytes.
        minimum: usize,
    },
    /// A secret that can be guessed: it repeats itself, or is made of samples and rows of keys.
    SecretWeak {
        /// The position of the secret, counted from 1.
        position: usize,
    },
    /// A timeout that is not a valid number of seconds.
    Timeout {
        /// The name of the option.
        name: &'static str,
    },
    /// A namespace with invalid characters, or of an invalid length.
    Namespace,
    /// An invalid limit of sessions per user.
    SessionsPerUser,
    /// Encryption together with the express-session format: express-session could read none of the records.
    EncryptExpress,
    /// An option of the wrong type, or with an unknown choice.
    OptionType {
        /// The name of the option, as in JavaScript.
        name: &'static str,
        /// The expected type, or the choices.
        expected: &'static str,
    },
    /// A text of options that is not a JSON object, or has an unknown member.
    OptionsText,
    /// A user ID that is empty or longer than 1,024 bytes.
    UserName,
    /// An invalid limit for the size of session data.
    MaxBytes,
    /// Renewal together with the express-session format: Express would take a tombstone for a session.
    ExpressRenewal,
    /// Session data that is not a JSON object.
    DataNotObject,
    /// Session data, or a record, that is not JSON.
    Json,
    /// An unencrypted record, although `encrypt` requires encryption.
    NotSealed,
    /// An encrypted record that none of the secrets decrypts for this session.
    Unsealable,
    /// Data nested deeper than [`Limits::depth`](crate::Limits::depth).
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// Data larger than [`Limits::bytes`](crate::Limits::bytes).
    TooLarge {
        /// The size of the data or the record.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A key that JavaScript could turn into a prototype, or that express-session uses itself.
    ForbiddenKey {
        /// `__proto__`, `constructor` or `prototype`; in the express-session format also `cookie` and `vestiary`.
        key: &'static str,
    },
    /// Too many slots in a session, or too large ones ([`Slots::MOST`](crate::Slots::MOST),
    /// [`Slots::BYTES`](crate::Slots::BYTES)).
    SlotsFull,
    /// A login of a user who has as many sessions as the options allow ([`WhenFull::Refuse`](crate::WhenFull::Refuse)).
    TooManySessions,
    /// A memory table at its limit.
    StoreFull {
        /// The limit.
        limit: usize,
        /// `entries` or `bytes`.
        unit: &'static str,
    },
}

impl Error {
    /// All codes of [`Error::code`].
    pub const CODES: [&'static str; 22] = [
        "cookie_name",
        "cookie_option",
        "cookie_prefix",
        "express_renewal",
        "max_bytes_option",
        "namespace_option",
        "options",
        "secret_missing",
        "secret_short",
        "secret_weak",
        "timeout_option",
        "data_not_object",
        "forbidden_key",
        "json",
        "not_sealed",
        "session_id",
        "slots_full",
        "too_deep",
        "too_large",
        "unsealable",
        "store_full",
        "too_many_sessions",
    ];

    /// The codes of the errors for which [`Error::may_be_read_elsewhere`] is true.
    pub const READ_ELSEWHERE: [&'static str; 3] = ["not_sealed", "too_large", "unsealable"];

    /// The stable, machine-readable code, the same in Rust and in TypeScript.
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
            Self::SecretWeak { .. } => "secret_weak",
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
            Self::SlotsFull => "slots_full",
            Self::TooManySessions => "too_many_sessions",
            Self::StoreFull { .. } => "store_full",
        }
    }

    /// Whether another instance of the application may be able to read the record: one with other secrets, with or
    /// without encryption, or with larger limits. Neither the record nor its cookie may be overwritten then.
    #[must_use]
    pub fn may_be_read_elsewhere(&self) -> bool {
        Self::READ_ELSEWHERE.contains(&self.code())
    }

    /// The problem and how to fix it, as `Display` shows it.
    ///
    /// It does not use `core::fmt`, which would be the largest part of the WebAssembly core.
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

    /// The message with placeholders for its variable parts: one loop that inserts them is smaller than a match arm for
    /// each message.
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
            Self::SecretWeak { .. } => {
                "`secret` number % can be guessed: in production pass a long random string, for example from `openssl rand -base64 32`"
            }
            Self::Timeout { .. } => {
                "`%` must be a number of seconds, at least 1 (`renewGrace` and `touchAfter`: 0) and at most a century (`renewGrace`: 600, `recheckAfter`: 300)"
            }
            Self::Namespace => "`namespace` must be 1 to 64 letters, digits, `-`, `_` or `.`",
            Self::SessionsPerUser => {
                "`sessionsPerUser` must be a whole number from 1 to 4294967295"
            }
            Self::EncryptExpress => {
                "`encrypt` cannot be used with the express-session format: Express could not read the records"
            }
            Self::OptionType { .. } => "`%` must be %",
            Self::OptionsText => "the options must be a JSON object with known options only",
            Self::UserName => "the user ID must have between 1 and 1,024 bytes",
            Self::MaxBytes => {
                "`maxBytes` must be a whole number of bytes of session data: at least 1024, at most 67108864 (the default is 65536)"
            }
            Self::ExpressRenewal => {
                "a session in the express-session format cannot be renewed, because Express would take the old ID for a session: leave `renewAfter` out"
            }
            Self::DataNotObject => {
                "session data must be a JSON object, not a list, null or another value: put it into a member, or store {}"
            }
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
            Self::SlotsFull => "a session has room for 32 slots, of 16384 bytes of JSON in all",
            Self::TooManySessions => {
                "the user has as many sessions as `sessionsPerUser` allows: end one of them before this login"
            }
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
            Self::TooDeep { limit: one } | Self::SecretWeak { position: one } => {
                [Number(one), Text("")]
            }
            Self::StoreFull { limit, unit } => [Number(limit), Text(unit)],
            _ => [Text(""), Text("")],
        }
    }
}

/// A variable part of a message.
#[derive(Clone, Copy)]
enum Part {
    Text(&'static str),
    Number(usize),
}

/// The placeholder of a variable part.
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
                Error::SecretWeak { position: 1 },
                "`secret` number 1 can be guessed: in production pass a long random string, \
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
            Error::SlotsFull,
            Error::TooManySessions,
            Error::SecretWeak { position: 0 },
        ];
        // A new error fails to compile here until the list above has it.
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
            Error::SlotsFull => 23,
            Error::TooManySessions => 24,
            Error::SecretWeak { .. } => 25,
        };
        assert!(each.iter().map(place).eq(0..each.len()));
        let codes: BTreeSet<_> = each.iter().map(Error::code).collect();
        assert_eq!(codes, Error::CODES.into_iter().collect());
    }
}
