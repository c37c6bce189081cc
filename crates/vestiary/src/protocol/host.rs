use alloc::{borrow::ToOwned as _, string::String, vec::Vec};

use super::Seen;
use crate::{Error, Event, SessionId, Ticket, Ttl, UnixMillis, WriteId};

/// The surroundings of an operation: a store, clocks, entropy, and the application's function.
///
/// An operation is an `async fn` of this module. It does no I/O itself but awaits the methods of its host. A host that has
/// futures of its own, such as those of a native store, awaits them here. [`Pending`](super::Pending) is the host for all
/// others.
#[cfg_attr(not(plain), expect(async_fn_in_trait, reason = "its host says whether it is `Send`"))]
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub trait Host {
    /// The error of an operation.
    type Error: From<Error>;

    /// The time by the wall clock.
    fn now(&mut self) -> UnixMillis;

    /// The time by a monotonic clock, in microseconds since any fixed instant.
    fn elapsed(&mut self) -> u64;

    /// Fills a buffer with random bytes.
    ///
    /// # Errors
    /// The host's, if it has no random source.
    fn fill(&mut self, entropy: &mut [u8]) -> Result<(), Self::Error>;

    /// Makes a session ID that was never used, or lets the application make it.
    ///
    /// # Errors
    /// The host's, if it cannot make one.
    async fn new_id(&mut self) -> Result<NewId, Self::Error>;

    /// Emits an event.
    fn emit(&mut self, event: Event);

    /// Remembers that an ID is out of use: no response of this process sets its cookie any more.
    fn take_out_of_use(&mut self, id: &SessionId);

    /// Remembers that a session's lifetime began anew when the store was asked for it ([`Seen::at`]), so it need not be
    /// touched for a while.
    fn touched(&mut self, session: &Seen);

    /// Emits an error that the operation survives, of any kind.
    fn failed(&mut self, error: Self::Error);

    /// Returns the core's error in `error`, which says that it cannot read a text.
    ///
    /// # Errors
    /// Any other error, unchanged.
    fn unreadable(error: Self::Error) -> Result<Error, Self::Error>;

    /// The error that reports a doubt to the application.
    fn doubt(&mut self, doubt: Doubt) -> Self::Error;

    /// Emits an error that the operation survives: the store refused a write, or has a text that cannot be read.
    ///
    /// # Errors
    /// Any other error, unchanged.
    fn survives(&mut self, error: Self::Error) -> Result<(), Self::Error>;

    /// Waits for the other operations of this process that have met a conflict under this key. Called before each store
    /// call, of whose time it is no part. Only fairness depends on it: the store compares each write.
    ///
    /// Default: does not wait.
    async fn turn(&mut self, key: &str, writes: bool) {
        let _ = (key, writes);
    }

    /// Waits for the other operations of this process that write this session before this one, if the host has such turns.
    /// Returns whether it had to wait. The record that the operation begins with is old then, and a write that expects it
    /// would only conflict, so the operation reads first. Only that round trip depends on it: the store compares each write.
    ///
    /// Default: does not wait.
    async fn behind(&mut self, id: &SessionId) -> bool {
        let _ = id;
        false
    }

    /// Makes one store call: one atomic operation on one key.
    async fn call(&mut self, call: Call<'_>) -> Result<Reply, Failed<Self::Error>>;

    /// Makes several store calls at the same time. No two of them write to the same key. The replies have the order of the
    /// calls.
    ///
    /// Default: makes one call after the other.
    async fn call_all(&mut self, calls: &[Call<'_>]) -> Vec<Result<Reply, Failed<Self::Error>>> {
        let mut replies = Vec::with_capacity(calls.len());
        for call in calls {
            replies.push(self.call(*call).await);
        }
        replies
    }

    /// The text under a key in the near cache of the process ([`NearCache`](crate::NearCache)), with its ticket.
    /// `None` unless the store was asked for it less than `max_stale` milliseconds ago.
    ///
    /// Default: none.
    fn cached(&mut self, key: &str, max_stale: u64) -> Option<(String, Ticket)> {
        let _ = (key, max_stale);
        None
    }

    /// Called when the near cache has shown the session of a request to be valid, and will do so for requests with the same
    /// cookies while the ticket holds.
    ///
    /// Default: ignores it.
    fn remembered(&mut self, ticket: Ticket) {
        let _ = ticket;
    }

    /// Sleeps for this many microseconds.
    async fn sleep(&mut self, micros: u64);

    /// Runs the application's function on the data of a session. Takes and returns JSON text.
    ///
    /// # Errors
    /// The function's.
    async fn compute(&mut self, data: &str) -> Result<String, Self::Error>;

    /// Migrates data of an older `version` to the application's: [`Options::outdated`](crate::Options::outdated). Takes
    /// and returns JSON text.
    ///
    /// Default: leaves the data as it is.
    ///
    /// # Errors
    /// The host's, if the data cannot be migrated.
    async fn migrate(&mut self, data: &str, version: u32) -> Result<String, Self::Error> {
        let _ = version;
        Ok(data.to_owned())
    }
}

/// A session ID that was never used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NewId {
    /// A random ID ([`SessionId::from_entropy`]). The core may append a hint of its user's session list.
    Random(SessionId),
    /// An ID that the application made. It stays unchanged.
    Own(SessionId),
}

/// A store call: one atomic operation on one key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Call<'a> {
    /// Reads the text under this key. Answered with [`Reply::Text`] or [`Reply::Gone`].
    Read(&'a str),
    /// Reads the texts under two keys: a record, and a user's session list. Answered with [`Reply::Two`].
    ReadTwo(&'a str, &'a str),
    /// Reads the text under this key, and the clock of the store's node that holds the key. Answered with
    /// [`Reply::Timed`].
    ReadTimed(&'a str),
    /// Asks whether the replicas of the store have confirmed the removal of the record under this key. Answered with
    /// [`Reply::Confirmed`].
    Confirm(&'a str),
    /// Stores a text if the key has none. Answered with [`Reply::Done`] or [`Reply::Conflict`].
    Create {
        /// The key.
        key: &'a str,
        /// The text.
        text: &'a str,
        /// The TTL of the text.
        ttl: Ttl,
        /// Whether the record belongs to a user.
        owned: bool,
    },
    /// Stores a text in place of the record that has the write ID `expected`. `None` expects a record without a write ID,
    /// such as those of svelte-kit-sessions. Never creates. Answered with [`Reply::Done`], [`Reply::Conflict`] or
    /// [`Reply::Gone`].
    Replace {
        /// The key.
        key: &'a str,
        /// The write ID that the record must have.
        expected: Option<&'a WriteId>,
        /// The text.
        text: &'a str,
        /// The TTL of the text.
        ttl: Ttl,
    },
    /// Stores a text, followed by the time by the store's own clock in milliseconds, and `}`. It does so if the key has no
    /// text, or one that begins with the same 36 characters, apart from the 16 of the write ID. Answered with
    /// [`Reply::Timed`]: the previous text, and the time that was stored. It has no time if nothing was stored, because the
    /// key has another text or the store cannot do it.
    Stamp {
        /// The key.
        key: &'a str,
        /// The text up to the time.
        text: &'a str,
        /// The TTL of the text.
        ttl: Ttl,
    },
    /// Gives the record that has this write ID another TTL. Answered as [`Call::Replace`].
    Touch {
        /// The key.
        key: &'a str,
        /// The write ID that the record must have.
        expected: Option<&'a WriteId>,
        /// The new TTL.
        ttl: Ttl,
    },
    /// Removes the record that has this write ID. Answered as [`Call::Replace`].
    Remove {
        /// The key.
        key: &'a str,
        /// The write ID that the record must have.
        expected: Option<&'a WriteId>,
    },
}

impl Call<'_> {
    /// Whether the call changes nothing in the store.
    #[must_use]
    pub fn reads(&self) -> bool {
        matches!(self, Self::Read(_) | Self::ReadTwo(..) | Self::ReadTimed(_))
    }
}

/// The answer of a store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// The store did it.
    Done,
    /// The store did nothing, because it has another record than the expected one.
    Conflict,
    /// The store did nothing, because it has no record.
    Gone,
    /// The text under the key, now or a moment ago.
    Text(String),
    /// The texts under both keys, each `None` if the key has none. The second one is `None` as a whole if it could not be
    /// read.
    Two(Option<String>, Option<Option<String>>),
    /// The text under the key, `None` if it has none, and the time, `None` if the store has no clock.
    Timed(Option<String>, Option<UnixMillis>),
    /// Whether the replicas have confirmed the removal; `None` if the store cannot tell.
    Confirmed(Option<bool>),
}

/// Why a store gave no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Failed<E> {
    /// The reply was lost: the store may have done it, or not.
    Lost(E),
    /// The store did nothing: it has refused, or was not asked.
    Refused(E),
}

/// A doubt that remains when an operation ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Doubt {
    /// Every attempt met a conflict with another request: nothing was written.
    Busy,
    /// The reply to a write was lost: the store may have written, or not.
    LostReply,
    /// The record is gone, but the session was read long ago. Another request may have rotated it since, and the tombstone
    /// may have expired.
    Untraced,
}
