//! The write protocol: what to ask a store, and what its answers mean.
//!
//! Each operation is an `async fn` over a [`Host`], without I/O of its own; in WebAssembly, which is built with `cfg(plain)`,
//! it is a function without `async` ([`Pending`]). [`commit`] writes the data of a session,
//! [`touch`] gives it another TTL, [`destroy`] ends it, [`rotate`] gives it another ID, [`change_list`] changes the
//! list of a user's sessions. With a store that can do what [`Call`] says, atomically and for one key at a time:
//!
//! - no acknowledged change is lost: a write replaces only the very record that it was made from;
//!   else the change is applied again, to what is there now;
//! - no ended session comes back: only `create` creates, and only under an ID that was never used;
//! - a logout that meets a change of the ID follows it, and does not take expired evidence for proof;
//! - a request that had the session open before a renewal writes to the session, not to its tombstone, and
//!   one that had it open before a login writes nothing;
//! - a session is not lost by a crash while its ID changes: the new one is there before the old one
//!   goes;
//! - a write whose answer was lost is recognised by its [`WriteId`](crate::WriteId), and not done
//!   twice.
//!
//! `tests/schedules.rs` proves it on random schedules with crashes, lost answers, duplicates and
//! stale reads, and finds the faults that are seeded into the operations.

mod calls;
mod change_list;
mod commit;
mod destroy;
mod draft;
mod fault;
mod host;
mod pending;
mod proof;
mod retire;
mod rotate;
#[cfg(test)]
pub(crate) mod testing;
mod touch;
mod users;

pub(crate) use calls::{Answer, Body, Calls, Place, Query, write_id};
pub(crate) use change_list::change_list_by;
pub use change_list::{Changed, change_list};
pub use commit::{Change, Seen, Written, commit};
pub use destroy::destroy;
pub(crate) use draft::Draft;
#[cfg(not(feature = "seeded-faults"))]
pub(crate) use fault::Fault;
#[cfg(feature = "seeded-faults")]
#[doc(hidden)]
pub use fault::Fault;
pub(crate) use fault::seeded;
pub use host::{Call, Doubt, Failed, Host, NewId, Reply, Rules};
pub use pending::{Answered, Asked, Effect, Pending, Post, Question, Stopped, Told};
pub use proof::{OwnEnd, Proof};
pub(crate) use retire::{Ended, Retiring, retire};
pub(crate) use rotate::IDS;
pub use rotate::{Moved, Reason, rotate};
pub use touch::touch;
pub use users::{Lifetime, UserChange, UserSession, UserSessions};

#[cfg(not(plain))]
use alloc::boxed::Box;
use alloc::{borrow::Cow, string::String, sync::Arc};
#[cfg(not(plain))]
use core::{future::Future, pin::Pin};

use crate::{CookieOverrides, Error, Format, Limits, Meta, Options, Timeouts, Ttl, UnixMillis};

/// A part of an operation that is taken rarely, or is large: its future lies in a box of its own, so that those around it
/// need not have room for it.
#[cfg(not(plain))]
#[doc(hidden)]
pub fn boxed<F: Future>(part: F) -> Pin<Box<F>> {
    Box::pin(part)
}

#[cfg(plain)]
#[doc(hidden)]
pub fn boxed<T>(done: T) -> T {
    done
}

/// How often an operation asks again before it gives up.
pub const TRIES: u8 = 8;

/// The TTL of each tombstone, in milliseconds: a logout that meets a rotation must find its way. It is the same for all, so
/// that none outlives those of later rotations.
pub(crate) const REMEMBERED: u64 = 600_000;

/// For how long after it was read a record's absence proves that its session was ended, in milliseconds. A
/// rotation since then has left a tombstone, which is still there; the difference allows for slow answers.
const TRUSTED: u64 = REMEMBERED - 60_000;

/// Whether the absence of a record that was read at `read_at` proves that its session was ended. Later, a
/// tombstone may have expired.
pub(crate) fn is_proof(read_at: UnixMillis, now: UnixMillis) -> bool {
    now.since(read_at) < TRUSTED || seeded(Fault::ProofNeverAges)
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
