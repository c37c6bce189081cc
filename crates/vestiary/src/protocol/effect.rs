//! Effects of operations and their answers, as values.

use alloc::{borrow::ToOwned as _, string::String, vec::Vec};

use super::host::{Call, Doubt, NewId, Reply};
use crate::{Error, Event, SessionId, Ttl, WriteId};

/// An effect of an operation, for its host to bring about.
#[derive(Debug, Eq, PartialEq)]
pub enum Effect<T> {
    /// Ask the store, and answer with [`Answered::Reply`], [`Answered::Lost`] or [`Answered::Refused`].
    Call(Asked),
    /// Ask the store for all of these at the same time, and answer with [`Answered::All`], or as to a [`Effect::Call`] if it is one. With `cfg(plain)` only; else they
    /// are asked one after the other.
    Calls(Vec<Asked>),
    /// Let so many microseconds pass, and answer with [`Answered::Slept`].
    Sleep(u64),
    /// Run the application's function on these data, and answer with [`Answered::Computed`], or with
    /// [`Answered::Refused`] if it fails.
    Compute(String),
    /// Make a session ID, and answer with [`Answered::NewId`], or with [`Answered::Refused`] if there is none.
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
    /// The text to store; empty if there is none.
    pub text: String,
    /// How long it may stay.
    pub ttl: Ttl,
    /// It belongs to a user.
    pub owned: bool,
}

/// The operations of a store, as [`Call`] has them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Question {
    /// [`Call::Read`]
    Read,
    /// [`Call::ReadTwo`], with the second key as the text.
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
    /// The store's answer.
    Reply(Reply),
    /// None came; the error has this number with the host.
    Lost(u32),
    /// The store has said that it does not do it, with the error of this number.
    Refused(u32),
    /// The store has said that it does not do it, for this reason; [`Error::Json`] if what it has there is no text.
    Failed(Error),
    /// Answers to several questions, in their order.
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
    /// By a rule of the core.
    Core(Error),
    /// By a doubt.
    Doubt(Doubt),
    /// By an error of the host, of this number.
    Host(u32),
    /// By a host that does not keep to what an effect says.
    Misuse,
    /// By a response that has left: no cookie can be set any more ([`visit::Page`](crate::visit::Page)).
    ResponseSent,
    /// By another session whose cookie has the same name.
    CookieTaken,
}

/// A report of an operation to its host, which needs no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Report {
    /// An event.
    Event(Event),
    /// An ID that is out of use.
    OutOfUse(SessionId),
    /// A session that has its full lifetime since the store was asked for it.
    Touched(SessionId),
    /// A failure that the operation has survived.
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
