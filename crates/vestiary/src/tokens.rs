//! The tokens of a provider, as a session keeps them beside its data.

use alloc::{borrow::ToOwned as _, string::String};

use crate::{Error, Slots, UnixMillis, json::quoted, jwt::Object, time::date::push_number};

/// Tokens that a provider has just given (RFC 6749, section 5.1).
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Grant {
    /// The access token.
    pub access: String,
    /// The refresh token. Default: the one that was used stays.
    pub refresh: Option<String>,
    /// The ID token. Default: the earlier one stays.
    pub id: Option<String>,
    /// The lifetime of the access token, in milliseconds. Default: unknown.
    pub lifetime: Option<u64>,
}

/// Tokens as a session keeps them, beside its data.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The refresh token, if there is one.
    pub refresh: Option<String>,
    /// The ID token, if there is one.
    pub id: Option<String>,
    /// When the access token expires, if that is known.
    pub expires: Option<UnixMillis>,
    /// When it was given.
    pub(crate) given: UnixMillis,
    /// The token of a lease, of the request that refreshes them. Without one, a refresh has failed.
    pub(crate) lease: Option<String>,
    /// The end of the lease, or of the pause after a failure.
    pub(crate) until: UnixMillis,
}

/// The key of the slot. The documentation reserves keys that begin with `oauth:`.
pub(crate) const KEY: &str = "oauth:tokens";

/// The lifetime of the slot, in milliseconds: a century. The session ends before.
pub(crate) const KEPT: u64 = 100 * 365 * 86_400_000;

impl Grant {
    /// Puts the tokens into the slots of a session, in place of those that it has.
    pub(crate) fn put_into(&self, slots: &Slots, now: UnixMillis) -> Result<Slots, Error> {
        let value = Tokens::default().after(self.clone(), now).text();
        slots.put(KEY, &value, now.plus(KEPT), now)
    }
}

impl Tokens {
    /// Reads the text of [`Claim::Done`](crate::visit::Claim::Done) and [`Claim::Held`](crate::visit::Claim::Held).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let object = Object::parse(text.to_owned())?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds")]
        let time = |name| object.number(name).map(|millis| UnixMillis(millis as u64));
        Some(Self {
            access: object.string("access")?,
            refresh: object.string("refresh"),
            id: object.string("id"),
            expires: time("expires"),
            given: time("given").unwrap_or_default(),
            lease: object.string("lease"),
            until: time("until").unwrap_or_default(),
        })
    }

    /// The tokens after a grant.
    pub(crate) fn after(self, grant: Grant, now: UnixMillis) -> Self {
        Self {
            access: grant.access,
            refresh: grant.refresh.or(self.refresh),
            id: grant.id.or(self.id),
            // No later than any session, and so a date in JavaScript.
            expires: grant.lifetime.map(|lifetime| now.plus(lifetime.min(KEPT))),
            given: now,
            ..Self::default()
        }
    }

    /// The JSON text that [`Tokens::parse`] reads.
    pub(crate) fn text(&self) -> String {
        let mut text = ["{\"access\":", &quoted(&self.access)].concat();
        let texts = [("refresh", &self.refresh), ("id", &self.id), ("lease", &self.lease)];
        for (name, value) in texts {
            if let Some(value) = value {
                text.extend([",\"", name, "\":", &quoted(value)]);
            }
        }
        let until = Some(self.until).filter(|until| until.0 > 0);
        let times = [("given", Some(self.given)), ("expires", self.expires), ("until", until)];
        for (name, time) in times {
            if let Some(time) = time {
                text.extend([",\"", name, "\":"]);
                push_number(&mut text, time.0, 1);
            }
        }
        text.push('}');
        text
    }
}

/// Hides the tokens.
impl core::fmt::Debug for Grant {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Grant").finish_non_exhaustive()
    }
}

/// Hides the tokens.
impl core::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}
