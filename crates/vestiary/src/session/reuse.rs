use alloc::vec::Vec;

use super::{
    admission::leave,
    open::{Found, Opening},
};
use crate::{
    Event, OnReuse,
    protocol::{self, Fault, Host, Rules, Seen, seeded},
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
    let mut all_revoked = true;
    for tombstone in reused {
        let meta = tombstone.record.meta();
        let log_id = meta.known_log_id().cloned();
        // An attacker who has planted the ID that a login replaced must not be able to end the login's session.
        let is_renewal = meta.next.as_ref().is_some_and(|next| next.grace.is_some());
        let mut revoked = false;
        if may_revoke && is_renewal {
            match revoke_reused(host, rules, &tombstone).await {
                Ok(()) => revoked = true,
                Err(error) => host.failed(error),
            }
        }
        host.emit(Event::Reuse { log_id, revoked });
        if revoked {
            opening.lost.push(tombstone.id);
        }
        all_revoked &= revoked;
    }
    if all_revoked {
        // No later cookie of the browser is valid either, so it may begin another session.
        opening.found = Found::Nothing;
    }
}

/// Revokes the session to which the tombstone of a renewal leads. A user's session leaves its user's session list,
/// whatever its current ID is.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn revoke_reused<H: Host>(
    host: &mut H,
    rules: &Rules,
    tombstone: &Seen,
) -> Result<(), H::Error> {
    if seeded(Fault::ReuseSparesSession) {
        return Ok(());
    }
    if let Some(user) = &tombstone.record.meta().user {
        return leave(host, rules, user).await;
    }
    let last = protocol::destroy(host, rules, tombstone.clone()).await?;
    host.take_out_of_use(&last);
    Ok(())
}
