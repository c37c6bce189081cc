use alloc::boxed::Box;

use super::{
    Fault, Host, Rules, Seen, TRIES,
    calls::{Again, Calls, Query, Wrote},
    fault::{self, seeded},
    host::Doubt,
    is_proof,
};
use crate::{Follower, Lead};

/// Gives the record of a session another TTL. It never touches a tombstone: if another request has renewed the session, it
/// touches the successor, and if a login has replaced the session, it touches nothing.
///
/// Returns `None` if the session has ended, or belongs to another visitor now. No cookie may be sent then.
///
/// # Errors
/// The host's error if the store failed, and if a [`Doubt`] remains.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn touch<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: Seen,
) -> Result<Option<Box<Seen>>, H::Error> {
    let mut calls = Calls::new(host, rules);
    let Seen { mut id, record: mut current, at: mut read_at } = session;
    let mut expected = current.write_id().cloned();
    let mut admitted = current.meta().next.is_none();
    // Another request may have moved the deadline of an expired session since.
    let is_expired = rules.options.timeouts().is_expired(current.meta(), calls.at);
    let mut seen = (!is_expired).then(|| (current.clone(), read_at));
    let mut tries = 0;
    loop {
        let found = match seen.take() {
            Some(found) => Some(found),
            None => match calls.read_again(&id, &mut tries, TRIES).await? {
                Again::Found(record) => Some((record, calls.at)),
                Again::Nothing => None,
                Again::Enough => return Err(calls.gave_up()),
            },
        };
        let now = calls.host.now();
        if let Some((record, at)) = found {
            let follower = if admitted { Follower::Admitted } else { Follower::Cookie(now) };
            match fault::lead(&record, &id, follower, Fault::TouchFollowsLogin)? {
                Lead::Nowhere if seeded(Fault::TouchesTombstone) => {}
                Lead::Nowhere => return Ok(None),
                Lead::To(next) => {
                    id = next;
                    // No record under the new ID has this write ID, so a touch only shows whether there is a record.
                    expected = record.write_id().cloned();
                    continue;
                }
                Lead::Here if rules.options.timeouts().is_expired(record.meta(), now) => {
                    return Ok(None);
                }
                Lead::Here => {}
            }
            expected = record.write_id().cloned();
            (current, read_at, admitted) = (record, at, true);
        }
        let ttl = rules.ttl_of(current.meta(), now);
        match calls.write(&id, Query::Touch(expected.as_ref(), ttl)).await? {
            Wrote::Done => {
                return Ok(Some(Seen { id, record: current, at: calls.at }.into()));
            }
            Wrote::Gone if is_proof(read_at, calls.host.now()) => return Ok(None),
            Wrote::Gone => return Err(calls.host.doubt(Doubt::Untraced)),
            Wrote::Conflict | Wrote::InDoubt => {}
        }
    }
}

#[cfg(test)]
mod tests;
