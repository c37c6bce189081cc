use alloc::string::String;

use super::{
    Fault, Request, Visit,
    write::{Edit, execute},
};
use crate::{
    Error,
    binding::SLOT,
    decide::Operation,
    protocol::{Change, Host as _, Rules},
};

/// Puts a value, given as JSON text, into a slot beside the session data, for this many milliseconds. An anonymous visitor
/// gets a session for it. The application's changes of the data are not stored.
///
/// Returns `false`, and writes nothing, if another request has ended the session, or if its cookie attributes let it expire
/// at once.
///
/// # Errors
/// [`Error::SlotsFull`], and another [`Error`] if the value cannot be stored; as
/// [`save`](super::save).
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn put<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    key: String,
    value: String,
    millis: u64,
) -> Result<bool, Fault<R>> {
    check(&key)?;
    let until = request.host().now().plus(millis);
    let edit = Edit::Slot(Change::Put { key, value, until });
    execute(request, rules, visit, Operation::Flush, edit).await?;
    Ok(visit.session().is_some())
}

/// Takes the value out of a slot: [`Visit::taken`]. Of several requests that take it at the same time, one gets it. Without
/// a value in the slot, as this request has read the session, the store is not asked.
///
/// # Errors
/// As [`save`](super::save). If the store did not say whether it wrote, the value may be gone.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn take<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    key: String,
) -> Result<(), Fault<R>> {
    check(&key)?;
    visit.taken = None;
    let now = request.host().now();
    let session = visit.session();
    if session.and_then(|session| session.record.meta().slots.value(&key, now)).is_none() {
        return Ok(());
    }
    execute(request, rules, visit, Operation::Flush, Edit::Slot(Change::Take(key))).await.map(drop)
}

/// Refuses the key of the library's own slot. The application could unbind the session from its device.
fn check(key: &str) -> Result<(), Error> {
    if key == SLOT { Err(Error::ForbiddenKey { key: SLOT }) } else { Ok(()) }
}
