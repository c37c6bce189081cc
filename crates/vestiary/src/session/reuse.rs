use alloc::vec::Vec;

use super::open::{Found, Opening};
use crate::{
    Event, OnReuse,
    protocol::{
        self, Calls, Fault, Host, Query, Rules, Seen, UserChange, Verdict, change_list_by, seeded,
    },
};

/// Emits the event for each cookie whose ID is out of use, and revokes the sessions if the options say so. A failure to
/// revoke one is an event; the next request with that cookie tries again.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub(super) async fn report_reuse<H: Host>(
    host: &mut H,
    rules: &Rules,
    reused: Vec<Seen>,
    only_reads: bool,
    opening: &mut Opening,
) {
    // A browser that also sends a later cookie has kept the old one, for another path or domain. It is no thief's.
    let may_revoke = rules.options.on_reuse() == OnReuse::Revoke
        && !only_reads
        && matches!(opening.found, Found::Tombstone(_));
    let mut all_left = true;
    for tombstone in reused {
        let meta = tombstone.record.meta();
        let log_id = meta.known_log_id().cloned();
        // An attacker who has planted the ID that a login replaced must not be able to end the login's session.
        let is_renewal = meta.next.as_ref().is_some_and(|next| next.grace.is_some());
        let mut ended = Ended::Not;
        if may_revoke && is_renewal {
            match revoke_reused(host, rules, &tombstone).await {
                Ok(found) => ended = found,
                Err(error) => host.failed(error),
            }
        }
        host.emit(Event::Reuse { log_id, revoked: ended != Ended::Not });
        if ended == Ended::LeftList {
            opening.lost.push(tombstone.id);
        } else {
            all_left = false;
        }
    }
    if all_left {
        // No later cookie of the browser is valid either, so it may begin another session.
        opening.found = Found::Nothing;
    }
}

/// The end of a session whose ID was used again.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Ended {
    /// It was not ended, or had been before.
    Not,
    /// It is not in the store any more. A login may have ended it before, whose cookie the browser has.
    Removed,
    /// It has left its user's session list, so no login had ended it before.
    LeftList,
}

/// Revokes the session to which the tombstone of a renewal leads. A user's session leaves its user's session list,
/// whatever its current ID is. Its tombstone is then removed, so that later requests with this ID may begin a session.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn revoke_reused<H: Host>(
    host: &mut H,
    rules: &Rules,
    tombstone: &Seen,
) -> Result<Ended, H::Error> {
    if seeded(Fault::ReuseSparesSession) {
        return Ok(Ended::Removed);
    }
    let Some(user) = &tombstone.record.meta().user else {
        let last = protocol::destroy(host, rules, tombstone.clone()).await?;
        host.take_out_of_use(&last);
        return Ok(Ended::Removed);
    };
    let change = UserChange::Reused(user.handle.clone());
    let mut calls = Calls::new(host, rules);
    let changed = change_list_by(&mut calls, &rules.list_key(user), &change, None, None).await?;
    if changed.verdict != Verdict::Made {
        // The lost reply may be that to the write that has ended it.
        return Ok(if calls.was_in_doubt() { Ended::Removed } else { Ended::Not });
    }
    let query = Query::Remove(tombstone.record.write_id());
    if let Err(error) = Calls::new(host, rules).write(&tombstone.id, query).await {
        host.failed(error);
    }
    Ok(Ended::LeftList)
}
