//! The write protocol: the calls that an operation makes to a store, and the meaning of the replies.
//!
//! Each operation is an `async fn` over a [`Host`], without I/O of its own. In WebAssembly, which is built with
//! `cfg(plain)`, it is a function without `async` ([`Pending`]). [`commit`] writes the data of a session, [`touch`] gives
//! it another TTL, [`destroy`] ends it, [`rotate`] gives it another ID, and [`change_list`] changes a user's session list.
//! If the store performs each [`Call`] atomically, on one key at a time, the operations guarantee:
//!
//! - No acknowledged change is lost. A write replaces only the record that it was made from; otherwise the change is
//!   applied again, to the current record.
//! - No ended session comes back. Only `create` creates, and only under an ID that was never used.
//! - A logout that meets a change of the ID follows it, and does not take expired evidence for proof.
//! - A request that read the session before a renewal writes to the session, not to its tombstone. A request that read it
//!   before a login writes nothing.
//! - A crash during a change of the ID loses no session: the new record exists before the old one goes.
//! - A write whose reply was lost is recognised by its [`WriteId`](crate::WriteId), and not done twice.
//!
//! `tests/schedules.rs` checks this on random schedules with crashes, lost replies, duplicates and stale reads, and finds
//! the faults that are seeded into the operations.

mod calls;
mod change_list;
mod commit;
mod destroy;
mod draft;
mod effect;
mod fault;
mod host;
mod lifetime;
mod pending;
mod proof;
mod rotate;
mod rules;
#[cfg(test)]
pub(crate) mod testing;
mod tombstone;
mod touch;
mod user_change;
mod users;

pub(crate) use calls::{Answer, Body, Calls, Place, Query, Wrote, write_id};
pub(crate) use change_list::change_list_by;
pub use change_list::{Changed, change_list};
pub use commit::{Change, CookieEdit, Seen, Written, commit};
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
pub use lifetime::Lifetime;
pub use pending::{Pending, Post, Source};
pub use proof::{OwnEnd, Proof};
pub(crate) use rotate::IDS;
pub use rotate::{Moved, Reason, rotate};
pub use rules::{Ends, Rules};
pub(crate) use tombstone::{Ended, Replacement, replace_by_tombstone};
pub use touch::touch;
pub use user_change::{UserChange, Verdict};
pub use users::{UserSession, UserSessions};

#[cfg(not(plain))]
use alloc::boxed::Box;
#[cfg(not(plain))]
use core::{future::Future, pin::Pin};

use crate::UnixMillis;

/// Boxes the future of a part of an operation that rarely runs, or is large. The futures around it then need no room for
/// it.
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

/// The number of times that an operation asks again before it gives up.
pub const TRIES: u8 = 8;

/// The TTL of tombstones, in milliseconds. A logout that meets a rotation follows the tombstone. All have the same TTL,
/// so that no tombstone outlives those of later rotations, except those that name the user.
pub(crate) const TOMBSTONE_TTL: u64 = 600_000;

/// The time after the read of a record in which its absence proves that its session was ended, in milliseconds. A rotation
/// since then has left a tombstone, which still exists. The difference to the tombstone's TTL allows for slow replies.
const TRUSTED: u64 = TOMBSTONE_TTL - 60_000;

/// Whether the absence of a record that was read at `read_at` proves that its session was ended. Later, a tombstone may
/// have expired.
#[cfg_attr(plain, inline(never))]
pub(crate) fn is_proof(read_at: UnixMillis, now: UnixMillis) -> bool {
    now.since(read_at) < TRUSTED || seeded(Fault::ProofNeverAges)
}
