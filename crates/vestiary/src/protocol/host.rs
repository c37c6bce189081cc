use alloc::{string::String, vec::Vec};

use super::Seen;
use crate::{Error, Event, SessionId, Ttl, UnixMillis, WriteId};

/// The surroundings of an operation: a store, clocks, entropy, and the application's function.
///
/// An operation is an `async fn` of this module. It does no I/O itself but awaits what its host does. A host that has
/// futures of its own, such as those of a native store, awaits them here; [`Pending`](super::Pending) is the host for
/// all others.
#[cfg_attr(not(plain), expect(async_fn_in_trait, reason = "its host says whether it is `Send`"))]
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub trait Host {
    /// Error of an operation.
    type Error: From<Error>;

    /// The wall clock.
    fn now(&mut self) -> UnixMillis;

    /// Microseconds of a clock that is never set back, since any instant.
    fn elapsed(&mut self) -> u64;

    /// Fills a buffer with random bytes.
    ///
    /// # Errors
    /// The host's, if it has none.
    fn fill(&mut self, entropy: &mut [u8]) -> Result<(), Self::Error>;

    /// A session ID that was never used, of the application's own making perhaps.
    ///
    /// # Errors
    /// The host's, if it cannot make one.
    async fn new_id(&mut self) -> Result<NewId, Self::Error>;

    /// Emits an event.
    fn emit(&mut self, event: Event);

    /// Remembers that an ID is out of use: no response of this process sets its cookie any more.
    fn take_out_of_use(&mut self, id: &SessionId);

    /// Remembers that a session has its full lifetime since the store was asked for it ([`Seen::at`]): it need not be
    /// touched for a while.
    fn touched(&mut self, session: &Seen);

    /// Emits a failure that the operation survives, whatever it is.
    fn failed(&mut self, error: Self::Error);

    /// The error of the core, for text that it cannot read.
    ///
    /// # Errors
    /// Any other error, as it is.
    fn unreadable(error: Self::Error) -> Result<Error, Self::Error>;

    /// The error that tells the application of a doubt.
    fn doubt(&mut self, doubt: Doubt) -> Self::Error;

    /// Emits a failure that the operation survives: the store refused to write, or has what cannot be read.
    ///
    /// # Errors
    /// Any other error, as it is.
    fn survives(&mut self, error: Self::Error) -> Result<(), Self::Error>;

    /// Asks the store for one atomic operation on one key.
    async fn call(&mut self, call: Call<'_>) -> Result<Reply, Failed<Self::Error>>;

    /// Asks the store for several atomic operations at the same time, each on a key of its own or none of which writes
    /// where another one does. The answers have the order of the calls.
    ///
    /// Default: one after the other.
    async fn call_all(&mut self, calls: &[Call<'_>]) -> Vec<Result<Reply, Failed<Self::Error>>> {
        let mut replies = Vec::with_capacity(calls.len());
        for call in calls {
            replies.push(self.call(*call).await);
        }
        replies
    }

    /// Lets so many microseconds pass.
    async fn sleep(&mut self, micros: u64);

    /// Runs the application's function on the data of a session: JSON text of JSON text.
    ///
    /// # Errors
    /// The function's.
    async fn compute(&mut self, data: &str) -> Result<String, Self::Error>;
}

/// A session ID that was never used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NewId {
    /// [`SessionId::from_entropy`]. It may get a hint of its user's session list.
    Random(SessionId),
    /// Of the application's own making: it stays as it is.
    Own(SessionId),
}

/// A question to the store: one atomic operation on one key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Call<'a> {
    /// The text under this key. Answered with [`Reply::Text`] or [`Reply::Gone`].
    Read(&'a str),
    /// The texts under two keys: a record, and a user's session list. Answered with [`Reply::Two`].
    ReadTwo(&'a str, &'a str),
    /// The text under this key, and the time by the store's own clock, as the node has it that holds the key. Answered with
    /// [`Reply::Timed`].
    ReadTimed(&'a str),
    /// Whether the replicas of the store know that the record under this key was removed. Answered with
    /// [`Reply::Confirmed`].
    Confirm(&'a str),
    /// Store a text if there is none. Answered with [`Reply::Done`] or [`Reply::Conflict`].
    Create {
        /// The key.
        key: &'a str,
        /// The text.
        text: &'a str,
        /// How long it may stay.
        ttl: Ttl,
        /// It belongs to a user.
        owned: bool,
    },
    /// Store a text in place of the record that has the write ID `expected` (`None`: none, as those of
    /// svelte-kit-sessions). Never creates. Answered with [`Reply::Done`], [`Reply::Conflict`] or [`Reply::Gone`].
    Replace {
        /// The key.
        key: &'a str,
        /// The write ID that the record must have.
        expected: Option<&'a WriteId>,
        /// The text.
        text: &'a str,
        /// How long it may stay.
        ttl: Ttl,
    },
    /// Store a text, the time by the store's own clock in milliseconds, and `}`: if there is none, or in place of one that
    /// begins alike, which is to say with the same 36 characters but for the 16 of the write ID. Answered with
    /// [`Reply::Timed`]: the text that was there, and that time; no time if nothing was stored, since there is another text,
    /// or the store cannot do it.
    Stamp {
        /// The key.
        key: &'a str,
        /// The text up to the time.
        text: &'a str,
        /// How long it may stay.
        ttl: Ttl,
    },
    /// Give the record that has this write ID another TTL. Answered as [`Call::Replace`].
    Touch {
        /// The key.
        key: &'a str,
        /// The write ID that the record must have.
        expected: Option<&'a WriteId>,
        /// How long it may stay.
        ttl: Ttl,
    },
    /// Remove the record that has this write ID. Answered as [`Call::Replace`].
    Remove {
        /// The key.
        key: &'a str,
        /// The write ID that the record must have.
        expected: Option<&'a WriteId>,
    },
}

impl Call<'_> {
    /// Whether it changes nothing in the store.
    #[must_use]
    pub fn reads(&self) -> bool {
        matches!(self, Self::Read(_) | Self::ReadTwo(..) | Self::ReadTimed(_))
    }
}

/// The answer of a store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// It was done.
    Done,
    /// Nothing was done: there is another record than the expected one.
    Conflict,
    /// Nothing was done: there is no record.
    Gone,
    /// The text, as it is now, or was a moment ago.
    Text(String),
    /// The texts, or none where there is none; nothing of the second one if it could not be read.
    Two(Option<String>, Option<Option<String>>),
    /// The text, or none where there is none; and the time, `None` if the store has no clock.
    Timed(Option<String>, Option<UnixMillis>),
    /// Whether replicas know it; `None` if the store cannot say so.
    Confirmed(Option<bool>),
}

/// Why a store gave no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Failed<E> {
    /// Whether it was done is unknown.
    Lost(E),
    /// It was not done: the store has said so, or was not asked.
    Refused(E),
}

/// A doubt that remains when an operation ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Doubt {
    /// Other requests were faster each time: nothing was written.
    Busy,
    /// The store did not say whether it has written.
    LostReply,
    /// There is no record, but the session was read so long ago that it may have got another ID, and the tombstone
    /// that led there has expired.
    Untraced,
}
