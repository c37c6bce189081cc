//! Device-bound sessions (DBSC): a browser proves that it still has the key that it made at the login.
//!
//! A login offers a challenge ([`registration`]). A browser that can bind sessions makes a pair of keys, keeps the private
//! one where no program can copy it, and answers with a [`Proof`]: the public key, and the challenge, signed. From then on
//! the session needs the *bound cookie* beside the session cookie. It lasts for some minutes, and the browser gets
//! the next one for another proof. So a stolen cookie is dead after these minutes.
//!
//! The binding of a session is a value in one of its slots, and each change of it is a
//! [`Change::Swap`](crate::protocol::Change::Swap). So a challenge is used once, however many requests use it at the same
//! time. The binding stays over renewals, as all slots do. The store must be atomic.
//!
//! The operation is [`visit::bind`](crate::visit::bind()). The driver checks the signature, with the platform's
//! cryptography.

mod answer;
mod cookie;
mod proof;
mod step;

use alloc::{borrow::ToOwned as _, string::String};

pub use answer::{Answer, registration};
pub use cookie::Shown;
pub use proof::{Exchange, Proof};
pub(crate) use step::Step;

use crate::{
    Meta, Slots, UnixMillis,
    id::hashed,
    jwt::Object,
    protocol::{Host, write_id},
    record::push_name,
    time::date::push_number,
};

/// The slot with the binding.
pub(crate) const SLOT: &str = "vestiary:device";

/// The end of the slot: the last millisecond of the year 9999. A binding lasts as long as its session.
pub(crate) const FOREVER: UnixMillis = UnixMillis(253_402_300_799_999);

/// The time for which a challenge may be answered, in milliseconds. A browser gets the next one with each bound cookie, and
/// answers it when that cookie is about to end.
const ANSWERED_WITHIN: u64 = 600_000;

/// The binding of a session to a device.
#[derive(Clone, Eq, PartialEq)]
pub(crate) enum Binding {
    /// No browser has registered.
    Offered(Challenge),
    /// The session needs the bound cookie.
    Bound {
        /// The public key: base64 of both coordinates.
        key: String,
        /// The time of the registration.
        since: UnixMillis,
        /// The challenge of the registration.
        first: String,
        /// The challenge of the next proof.
        next: Challenge,
    },
    /// A binding of another form, which this version cannot read. No request can show that it has the key.
    Unreadable,
}

/// A challenge, and when it was made.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Challenge {
    pub(crate) text: String,
    at: UnixMillis,
}

impl Challenge {
    /// Makes a challenge: 192 random bits.
    pub(crate) fn new<H: Host>(host: &mut H) -> Result<Self, H::Error> {
        let (one, other) = (write_id(host)?, write_id(host)?);
        let text = [one.as_str(), other.as_str()].concat();
        Ok(Self { text, at: host.now() })
    }

    /// Whether it may still be answered.
    pub(crate) fn is_fresh(&self, now: UnixMillis) -> bool {
        now.since(self.at) < ANSWERED_WITHIN
    }
}

impl Binding {
    /// The binding of the session with this metadata.
    pub(crate) fn of(meta: &Meta) -> Option<Self> {
        Self::source(meta).map(|text| Self::read(text).unwrap_or(Self::Unreadable))
    }

    /// Its text in the record.
    pub(crate) fn source(meta: &Meta) -> Option<&str> {
        // Whatever the clock says: a binding has no end.
        meta.slots.value(SLOT, UnixMillis(0))
    }

    fn read(text: &str) -> Option<Self> {
        let object = Object::parse(text.to_owned())?;
        let instant = |name| object.text(name).and_then(crate::record::millis);
        let next = Challenge { text: object.string("challenge")?, at: instant("at")? };
        if object.text("key").is_none() {
            return Some(Self::Offered(next));
        }
        let (key, first) = (object.string("key")?, object.string("first")?);
        Some(Self::Bound { key, since: instant("since")?, first, next })
    }

    /// The same binding with another challenge.
    pub(crate) fn with(self, next: Challenge) -> Self {
        match self {
            Self::Offered(_) => Self::Offered(next),
            Self::Bound { key, since, first, .. } => Self::Bound { key, since, first, next },
            Self::Unreadable => self,
        }
    }

    /// The JSON text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::from("{");
        let next = match self {
            Self::Offered(next) => next,
            Self::Bound { key, since, first, next } => {
                push(&mut text, "key", key);
                push(&mut text, "first", first);
                push_name(&mut text, "since");
                push_number(&mut text, since.0, 1);
                next
            }
            Self::Unreadable => return String::from("null"),
        };
        push(&mut text, "challenge", &next.text);
        push_name(&mut text, "at");
        push_number(&mut text, next.at.0, 1);
        text + "}"
    }
}

/// Appends a member whose value needs no escapes.
fn push(text: &mut String, name: &str, value: &str) {
    push_name(text, name);
    text.extend(["\"", value, "\""]);
}

/// The slots of a session that has just been logged in, with the offer of a binding.
pub(crate) fn offered<H: Host>(host: &mut H) -> Result<Slots, H::Error> {
    let (challenge, now) = (Challenge::new(host)?, host.now());
    let text = Binding::Offered(challenge).text();
    Ok(Slots::default().put(SLOT, &text, FOREVER, now)?)
}

/// The public name of a binding: 16 characters, a hash of its key.
pub(crate) fn name_of(key: &str) -> String {
    hashed("vestiary.device.v1", key).get(..16).unwrap_or_default().to_owned()
}

impl Meta {
    /// Whether the session is bound to a device, so that it needs the bound cookie.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        Binding::of(self).is_some_and(|binding| !matches!(binding, Binding::Offered(_)))
    }
}

#[cfg(test)]
mod tests;
