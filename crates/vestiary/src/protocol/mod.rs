//! The write protocol: what to ask a store, and what its answers mean.
//!
//! Machines without I/O. [`Commit`] writes the data of a session, [`Touch`] gives it another TTL, [`Destroy`]
//! ends it, [`Rotate`] gives it another ID, [`UserCommit`] changes the list of a user's sessions. A host asks the store what a machine says and tells it the answer,
//! until it is finished. With a store that can do what [`Ask`] says, atomically and for one key at a
//! time:
//!
//! - no acknowledged change is lost: a write replaces only the very record that it was made from;
//!   else the change is applied again, to what is there now;
//! - no ended session comes back: only `create` creates, and only under an ID that was never used;
//! - a logout that meets a change of the ID follows it, and does not take expired evidence for proof;
//! - a request that had the session open before a renewal writes to the session, not to its tombstone, and
//!   one that had it open before a login writes nothing;
//! - a session is not lost by a crash while its ID changes: the new one is there before the old one
//!   goes;
//! - a write whose answer was lost is recognised by its [`WriteId`], and not done
//!   twice.
//!
//! `tests/schedules.rs` proves it on random schedules with crashes, lost answers, duplicates and
//! stale reads.

mod commit;
mod destroy;
mod ending;
mod host;
mod listing;
mod moving;
mod pending;
mod proof;
mod rotate;
mod touch;
mod touching;
mod users;
mod write;

pub use commit::{Change, Commit, Committed};
pub use destroy::{Destroy, Destroyed};
pub use ending::destroy;
pub use host::{Call, Doubt, Failed, Host, Reply, Rules};
pub use listing::{Changed, change_list};
pub use moving::{Moved, Reason, rotate};
pub use pending::{Answered, Asked, Effect, Pending, Post, Question, Stopped};
pub use proof::{OwnEnd, Proof};
pub use rotate::{Kind, Rotate, Rotated};
pub use touch::{Touch, Touched};
pub use touching::touch;
pub use users::{
    Lifetime, UserChange, UserCommit, UserCommitted, UserSession, UserSessions, UserStep,
};
pub use write::{Seen, Written, commit};

use alloc::{
    borrow::{Cow, ToOwned as _},
    boxed::Box,
    string::String,
    sync::Arc,
};

use crate::{
    CookieOverrides, Error, Format, Limits, Meta, Options, Record, SessionId, Timeouts, Ttl,
    UnixMillis, WriteId,
};

/// What to ask the store. Each is one atomic operation on one key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ask {
    /// The record, as it is now. Answered with [`Answer::Record`] or [`Answer::Gone`].
    Load(SessionId),
    /// Store a record if there is none. Answered with [`Answer::Done`] or [`Answer::Exists`].
    Create(SessionId, Box<Record>, Ttl),
    /// Store a record in place of the one that has this write ID (`None`: none, as those of the
    /// seed). Never creates. Answered with [`Answer::Done`], [`Answer::Conflict`] or
    /// [`Answer::Gone`].
    Replace(SessionId, Option<WriteId>, Box<Record>, Ttl),
    /// Remove the record that has this write ID (`None`: none), and no other. Answered with
    /// [`Answer::Done`], [`Answer::Conflict`] or [`Answer::Gone`].
    Remove(SessionId, Option<WriteId>),
    /// Give the record that has this write ID (`None`: none) another TTL, and no other. Answered as
    /// [`Ask::Remove`].
    Touch(SessionId, Option<WriteId>, Ttl),
}

/// What the store said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// It was done.
    Done,
    /// Nothing was done: there is a record.
    Exists,
    /// Nothing was done: there is another record than the expected one. If a client may have sent the
    /// request twice, by itself, it is [`Answer::Unknown`]: what was there may be the request's own.
    Conflict,
    /// Nothing was done: there is no record.
    Gone,
    /// This is the record, or was a moment ago.
    Record(Box<Record>),
    /// No answer came: it may have been done, or not.
    Unknown,
}

/// How often a machine asks again before it gives up.
pub const TRIES: u8 = 8;

/// The shortest TTL of a tombstone, in milliseconds: a logout that meets a rotation must find its way.
const REMEMBERED: u64 = 600_000;

/// For how long after it was read a record's absence proves that its session was ended, in milliseconds. A
/// rotation since then has left a tombstone, which is still there; the difference allows for slow answers.
const TRUSTED: u64 = REMEMBERED - 60_000;

/// Whether the absence of a record that was read at `read_at` proves that its session was ended. Later, a
/// tombstone may have expired.
fn is_proof(read_at: UnixMillis, now: UnixMillis) -> bool {
    now.since(read_at) < TRUSTED
}

/// What a host is to do next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step<T> {
    /// Ask the store, and tell the machine what it said.
    Ask(Ask),
    /// Run the application's change on this data, and tell the machine the result
    /// ([`Commit::computed`]). Only of [`Change::Rerun`].
    Compute(String),
    /// It is over.
    Finished(T),
}

/// What is written beside the data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Terms {
    /// The shape of the record.
    pub format: Format,
    /// What the record says of the cookie: text of a JSON object.
    pub cookie: String,
    /// What the cookie allows a record to live.
    pub ttl: Ttl,
    /// How long a session lasts.
    pub timeouts: Timeouts,
    /// Limits of data that is changed.
    pub limits: Limits,
    /// The options to which a session's own cookie attributes are applied. Without options they are
    /// kept, and have no effect.
    pub options: Option<Arc<Options>>,
    /// The session's own cookie attributes, if this write changes them: to these, or to none.
    pub cookie_change: Option<Option<CookieOverrides>>,
}

impl Terms {
    /// The terms of these options at `now`.
    ///
    /// # Errors
    /// [`Error`] if the attributes in the options are no JSON object.
    pub fn new(options: &Arc<Options>, now: UnixMillis) -> Result<Self, Error> {
        Ok(Self {
            format: options.format(),
            cookie: options.shown_cookie(now)?.into_owned(),
            ttl: options.ttl(now),
            timeouts: *options.timeouts(),
            limits: options.limits(),
            options: Some(Arc::clone(options)),
            cookie_change: None,
        })
    }

    /// How long the record of a session may stay in the store, by its own cookie attributes if it has some.
    #[must_use]
    pub fn ttl_of(&self, meta: &Meta, now: UnixMillis) -> Ttl {
        let ttl = match (&meta.cookie, &self.options) {
            (Some(_), Some(options)) => options.for_session(meta).ttl(now),
            _ => self.ttl,
        };
        self.timeouts.ttl(ttl, meta, now)
    }

    /// The metadata that a record of these terms has in place of `meta`; with what it shows of its cookie, and
    /// how long it may stay in the store.
    ///
    /// # Errors
    /// [`Error`] if the attributes in the options are no JSON object.
    pub fn stamped(&self, meta: Meta, now: UnixMillis) -> Result<(Meta, Cow<'_, str>, Ttl), Error> {
        let mut meta = self.timeouts.stamped(meta, now);
        if let Some(change) = &self.cookie_change {
            meta.cookie.clone_from(change);
        }
        let mut own = None;
        if let (Some(overrides), Some(options)) = (&meta.cookie, &self.options) {
            if options.are_repeated_by(overrides) {
                meta.cookie = None;
            } else {
                own = options.overridden(overrides).ok();
            }
        }
        let (cookie, ttl) = match own {
            None => (Cow::from(&self.cookie), self.ttl),
            Some(own) => (own.shown_cookie(now)?.into_owned().into(), own.ttl(now)),
        };
        let ttl = self.timeouts.ttl(ttl, &meta, now);
        Ok((meta, cookie, ttl))
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            format: Format::Seed,
            cookie: "{}".to_owned(),
            ttl: Ttl::Infinite,
            timeouts: Timeouts::default(),
            limits: Limits::SAVE,
            options: None,
            cookie_change: None,
        }
    }
}
