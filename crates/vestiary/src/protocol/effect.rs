//! Effects of operations and their answers, as values.

use alloc::{borrow::ToOwned as _, string::String, vec::Vec};

use super::host::{Call, Doubt, NewId, Reply};
use crate::{Error, Event, SessionId, Ttl, WriteId};

/// An effect of an operation, for its host to perform.
#[derive(Debug, Eq, PartialEq)]
pub enum Effect<T> {
    /// Make this store call, and answer with [`Answered::Reply`], [`Answered::Lost`] or [`Answered::Refused`].
    Call(Asked),
    /// Make all these store calls at the same time, and answer with [`Answered::All`], or as to an [`Effect::Call`] if it
    /// is one call. Only with `cfg(plain)`: otherwise the operation makes one call after the other.
    Calls(Vec<Asked>),
    /// Sleep for this many microseconds, and answer with [`Answered::Slept`].
    Sleep(u64),
    /// Run the application's function on this data, and answer with [`Answered::Computed`], or with [`Answered::Refused`]
    /// if it fails.
    Compute(String),
    /// Migrate this data, which has this older version, and answer as to an [`Effect::Compute`].
    Migrate(String, u32),
    /// Make a session ID, and answer with [`Answered::NewId`], or with [`Answered::Refused`] if that fails.
    NewId,
    /// The operation has ended.
    Finished(Result<T, Stopped>),
}

/// A [`Call`] that owns its texts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    /// The operation of the store.
    pub kind: Question,
    /// The key.
    pub key: String,
    /// The write ID that the record must have.
    pub expected: Option<WriteId>,
    /// The text to store; empty if the call stores none.
    pub text: String,
    /// The TTL of the record.
    pub ttl: Ttl,
    /// Whether the record belongs to a user.
    pub owned: bool,
}

/// The kind of a [`Call`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Question {
    /// [`Call::Read`]
    Read,
    /// [`Call::ReadTwo`]; [`Asked::text`] is the second key.
    ReadTwo,
    /// [`Call::ReadTimed`]
    ReadTimed,
    /// [`Call::Confirm`]
    Confirm,
    /// [`Call::Create`]
    Create,
    /// [`Call::Replace`]
    Replace,
    /// [`Call::Stamp`]
    Stamp,
    /// [`Call::Touch`]
    Touch,
    /// [`Call::Remove`]
    Remove,
}

/// The host's answer to an effect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answered {
    /// Begin the operation.
    Begin,
    /// The store's reply.
    Reply(Reply),
    /// The store's reply was lost. The host keeps the error under this number.
    Lost(u32),
    /// The store refused, or the application's function failed. The host keeps the error under this number.
    Refused(u32),
    /// The store refused for this reason; [`Error::Json`] if the key has a value that is not text.
    Failed(Error),
    /// The answers to several calls, in their order.
    All(Vec<Answered>),
    /// The time has passed.
    Slept,
    /// The result of the application's function: JSON text.
    Computed(String),
    /// A session ID that was never used.
    NewId(NewId),
}

/// Why an operation was stopped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stopped {
    /// A rule of the core.
    Core(Error),
    /// A doubt.
    Doubt(Doubt),
    /// An error that the host keeps under this number.
    Host(u32),
    /// An answer of the host that does not fit the effect.
    Misuse,
    /// A response that has left: it cannot set a cookie any more ([`visit::Page`](crate::visit::Page)).
    ResponseSent,
    /// Another session whose cookie has the same name.
    CookieTaken,
}

/// A report of an operation to its host, which needs no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Report {
    /// An event.
    Event(Event),
    /// An ID that is out of use.
    OutOfUse(SessionId),
    /// A session whose lifetime began anew when the store was asked for it.
    Touched(SessionId),
    /// An error that the operation has survived.
    Failed(Stopped),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<Call<'_>> for Asked {
    fn from(call: Call<'_>) -> Self {
        let (kind, key, expected, text, ttl, owned) = match call {
            Call::Read(key) => (Question::Read, key, None, "", Ttl::Infinite, false),
            Call::ReadTwo(key, list) => (Question::ReadTwo, key, None, list, Ttl::Infinite, false),
            Call::ReadTimed(key) => (Question::ReadTimed, key, None, "", Ttl::Infinite, false),
            Call::Confirm(key) => (Question::Confirm, key, None, "", Ttl::Infinite, false),
            Call::Create { key, text, ttl, owned } => {
                (Question::Create, key, None, text, ttl, owned)
            }
            Call::Replace { key, expected, text, ttl } => {
                (Question::Replace, key, expected, text, ttl, false)
            }
            Call::Stamp { key, text, ttl } => (Question::Stamp, key, None, text, ttl, false),
            Call::Touch { key, expected, ttl } => (Question::Touch, key, expected, "", ttl, false),
            Call::Remove { key, expected } => {
                (Question::Remove, key, expected, "", Ttl::Infinite, false)
            }
        };
        let (key, text, expected) = (key.to_owned(), text.to_owned(), expected.cloned());
        Self { kind, key, expected, text, ttl, owned }
    }
}
