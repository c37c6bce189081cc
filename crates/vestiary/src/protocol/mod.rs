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
mod effect;
mod fault;
mod host;
mod pending;
mod proof;
mod rotate;
mod rules;
#[cfg(test)]
pub(crate) mod testing;
mod tombstone;
mod touch;
mod users;

pub(crate) use calls::{Answer, Body, Calls, Place, Query, Wrote, write_id};
pub(crate) use change_list::change_list_by;
pub use change_list::{Changed, change_list};
pub use commit::{Change, Seen, Written, commit};
pub use destroy::destroy;
pub(crate) use draft::Draft;
pub use effect::{Answered, Asked, Effect, Question, Report, Stopped};
#[cfg(not(feature = "seeded-faults"))]
pub(crate) use fault::Fault;
#[cfg(feature = "seeded-faults")]
#[doc(hidden)]
pub use fault::Fault;
pub(crate) use fault::seeded;
pub use host::{Call, Doubt, Failed, Host, NewId, Reply};
pub use pending::{Pending, Post, Source};
pub use proof::{OwnEnd, Proof};
pub(crate) use rotate::IDS;
pub use rotate::{Moved, Reason, rotate};
pub use rules::Rules;
pub(crate) use tombstone::{Ended, Replacement, replace_by_tombstone};
pub use touch::touch;
pub use users::{Lifetime, UserChange, UserSession, UserSessions};

#[cfg(not(plain))]
use alloc::boxed::Box;
#[cfg(not(plain))]
use core::{future::Future, pin::Pin};

use crate::UnixMillis;

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
pub(crate) const TOMBSTONE_TTL: u64 = 600_000;

/// For how long after it was read a record's absence proves that its session was ended, in milliseconds. A
/// rotation since then has left a tombstone, which is still there; the difference allows for slow answers.
const TRUSTED: u64 = TOMBSTONE_TTL - 60_000;

/// Whether the absence of a record that was read at `read_at` proves that its session was ended. Later, a
/// tombstone may have expired.
pub(crate) fn is_proof(read_at: UnixMillis, now: UnixMillis) -> bool {
    now.since(read_at) < TRUSTED || seeded(Fault::ProofNeverAges)
}
