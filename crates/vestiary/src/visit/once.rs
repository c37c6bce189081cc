use alloc::{borrow::ToOwned as _, string::String};

use super::{
    Changes, Fault, Request, View, Visit, is_alive,
    write::{Edit, execute},
};
use crate::{
    decide::Operation,
    json::quoted,
    protocol::{Change, Host as _, Rules, write_id},
};

/// The state of a function that one request of all processes runs, as [`claim`] has found it.
#[derive(Clone, Eq, PartialEq)]
pub enum Claim {
    /// This request runs the function, and settles the lease with this token: [`settle`].
    Held(String),
    /// Another request runs it. Claim again after this number of milliseconds.
    Wait(u64),
    /// Another request has run it, with this result: JSON text. `None` without a value.
    Done(Option<String>),
    /// Another request has run it, and it failed.
    Failed,
    /// Other requests have run it for too long.
    Busy,
    /// The session has ended meanwhile.
    Ended,
}

/// The beginning of the keys of these slots.
const PREFIX: &str = "once:";

/// The times for which a result and a failure are kept for other requests, in milliseconds.
const RESULT: u64 = 10_000;
pub(super) const FAILURE: u64 = 2_000;

/// The shortest and the longest pause between two claims of a request, in milliseconds.
const PAUSES: [u64; 2] = [20, 500];

/// Claims the lease of a function that one request of all processes is to run. The lease is in a slot of the record, so a
/// holder that dies blocks no other request for longer than `lease`, in milliseconds. `waited` is the time since this
/// request's first claim: 0 for the first one.
///
/// Stores earlier `changes` first, if there are any. Unless the claim has to wait, the application then gets the data that
/// the store has.
///
/// # Errors
/// As [`put`](super::put).
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn claim<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    changes: Option<Changes>,
    name: &str,
    lease: u64,
    waited: u64,
) -> Result<Claim, Fault<R>> {
    visit.writable()?;
    let was_stored = visit.session().is_some();
    if was_stored {
        let is_there = match changes {
            Some(changes) => {
                execute(request, rules, visit, Operation::Flush, Edit::Merge(changes)).await?
            }
            None => waited == 0 || is_alive(request, rules, visit).await?,
        };
        if !is_there {
            return Ok(Claim::Ended);
        }
    }
    let (key, now) = ([PREFIX, name].concat(), request.host().now());
    if visit.slot(&key, now).is_none() {
        let token = quoted(write_id(request.host())?.as_str());
        let until = now.plus(lease);
        let change = Change::Swap { key: key.clone(), expected: None, value: token, until };
        visit.taken = None;
        execute(request, rules, visit, Operation::Flush, Edit::Slot(change)).await?;
        if visit.session().is_none() {
            return Ok(Claim::Ended);
        }
        if let Some(token) = visit.taken.take() {
            visit.reads(was_stored);
            return Ok(Claim::Held(token));
        }
    }
    let found = match visit.slot(&key, now) {
        // It has ended meanwhile.
        None => Claim::soon(),
        Some("null") => Claim::Failed,
        Some(value) => match value.strip_prefix('[').and_then(|value| value.strip_suffix(']')) {
            Some(value) => Claim::Done((!value.is_empty()).then(|| value.to_owned())),
            None => Claim::later(lease, waited),
        },
    };
    if !matches!(found, Claim::Wait(_)) {
        visit.reads(was_stored);
    }
    Ok(found)
}

/// Settles the lease that this request holds by `token`: keeps the result, JSON text or nothing, for the requests that wait
/// for it. Returns `false`, and stores nothing, if the lease has ended, or the session.
///
/// # Errors
/// As [`put`](super::put).
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn settle<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    name: &str,
    token: String,
    result: Result<&str, ()>,
) -> Result<bool, Fault<R>> {
    visit.taken = None;
    if visit.session().is_none() {
        return Ok(false);
    }
    let (value, kept) = match result {
        Ok(result) => (["[", result, "]"].concat(), RESULT),
        Err(()) => ("null".to_owned(), FAILURE),
    };
    let (key, until) = ([PREFIX, name].concat(), request.host().now().plus(kept));
    let change = Change::Swap { key, expected: Some(token), value, until };
    execute(request, rules, visit, Operation::Flush, Edit::Slot(change)).await?;
    Ok(visit.taken.take().is_some())
}

impl Claim {
    /// Claim again after the shortest pause.
    pub(super) fn soon() -> Self {
        let [shortest, _] = PAUSES;
        Self::Wait(shortest)
    }

    /// Claim again after a pause, unless the request has waited long enough: after the crash of one holder, another one has
    /// time to run.
    pub(super) fn later(lease: u64, waited: u64) -> Self {
        let [shortest, longest] = PAUSES;
        if waited >= lease.saturating_mul(2) {
            return Self::Busy;
        }
        Self::Wait((waited / 2).clamp(shortest, longest))
    }
}

impl<E> Visit<E> {
    /// The value in a slot of the session.
    pub(super) fn slot(&self, key: &str, now: crate::UnixMillis) -> Option<&str> {
        self.session()?.record.meta().slots.value(key, now)
    }

    /// Gives the application the data that the store has. A session that has only just begun has none.
    fn reads(&mut self, was_stored: bool) {
        if was_stored {
            self.view = View::Read;
        }
    }
}

/// Hides the result and the token.
impl core::fmt::Debug for Claim {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Held(_) => "Held",
            Self::Wait(_) => "Wait",
            Self::Done(_) => "Done",
            Self::Failed => "Failed",
            Self::Busy => "Busy",
            Self::Ended => "Ended",
        })
    }
}
