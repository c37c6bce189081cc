use alloc::boxed::Box;

use super::{
    Fault, Host, Rules, Seen, TOMBSTONE_TTL, TRIES,
    calls::{Again, Body, Calls, Query, Wrote, write_id},
    fault::seeded,
    host::Doubt,
    is_proof,
    tombstone::Ended,
};
use crate::{
    Error, Follower, Format, Lead, Meta, OnReuse, Record, SessionId, Ttl, UnixMillis, UserRef,
    WriteId,
};

/// Why a session gets another ID.
#[derive(Debug)]
pub enum Reason {
    /// A user logged in, or got other rights. The session gets this record, with this TTL at most. The old ID leads nowhere
    /// from then on; otherwise an attacker who planted it would be logged in with it.
    Login(Box<Record>, Ttl),
    /// A renewal is due. The session keeps its data. Until this instant, the end of the grace period, the old ID leads to
    /// the new one, for requests in flight.
    Renewal(UnixMillis),
}

/// How a [`rotate`] ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Moved {
    /// The session has the new ID now.
    To(Box<Seen>),
    /// Another request has rotated the session first. A renewal's tombstone leads to this ID, a login's to none
    /// ([`Record::lead`]).
    Elsewhere(Option<SessionId>),
    /// Another request has ended the session. No cookie may be sent.
    Gone,
}

/// Gives a session another ID. The new record is stored before the old one is replaced by a tombstone. A crash between
/// the two leaves a record whose ID no visitor has, and which expires.
///
/// # Errors
/// The host's error if the data cannot be stored, if the store failed, and if a [`Doubt`] remains.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn rotate<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: Seen,
    reason: Reason,
    owned: bool,
) -> Result<Moved, H::Error> {
    let now = host.now();
    let Seen { id: old, record: mut current, at: mut read_at } = session;
    // A tombstone, or an expired record, is not rotated.
    if let Some(elsewhere) = elsewhere(&current, &old, Follower::Cookie(now))? {
        return Ok(elsewhere);
    }
    let grace = match &reason {
        Reason::Renewal(_) if rules.options.format() == Format::ExpressSession => {
            return Err(Error::ExpressRenewal.into());
        }
        Reason::Renewal(grace) => Some(*grace),
        Reason::Login(..) => seeded(Fault::LoginLeavesPointer).then(|| now.plus(30_000)),
    };
    let timeouts = rules.options.timeouts();
    if timeouts.is_expired(current.meta(), now) {
        return Ok(Moved::Gone);
    }
    let mut calls = Calls::new(host, rules);
    #[cfg(feature = "seeded-faults")]
    if seeded(Fault::TombstoneFirst) {
        return tombstone_first(calls, &old, &current, &reason, owned).await;
    }
    let (new, mut successor) = create(&mut calls, &old, &current, &reason, owned).await?;
    // When the store was asked to write the new record. Its TTL counts from then on, not from the tombstone's write.
    let mut at = calls.at;
    let tombstone_write = write_id(calls.host)?;
    // A request whose reply was lost may have replaced the old record by its tombstone, or may yet do so.
    let mut doubt = false;
    let mut tries = 0;
    let ended = 'ended: loop {
        // If the session expires meanwhile, another request may have moved its deadline, so it is read first. Otherwise the
        // session would come back after a request that has found it expired.
        let is_expired = timeouts.is_expired(current.meta(), calls.host.now());
        if !is_expired {
            let (user, ttl) = reuse(rules, successor.meta(), grace, calls.host.now());
            let tombstone =
                current.tombstone_of(user, tombstone_write.clone(), &old, &new, grace)?;
            let query = Query::Replace(current.write_id(), Body::Record(&tombstone), ttl);
            match calls.write(&old, query).await? {
                Wrote::Done => break Ended::Replaced,
                Wrote::Gone => break Ended::Vanished,
                Wrote::InDoubt => doubt |= !seeded(Fault::RotationForgetsDoubt),
                Wrote::Conflict => {}
            }
        }
        // Another request wrote the old record meanwhile, or the reply was lost.
        loop {
            let record = match calls.read_again(&old, &mut tries, TRIES).await? {
                Again::Found(record) => record,
                Again::Nothing if is_expired && !doubt => break 'ended Ended::Vanished,
                Again::Nothing => break,
                Again::Enough => break 'ended Ended::GaveUp,
            };
            if record.has_write(&tombstone_write) {
                break 'ended Ended::Replaced;
            }
            let elsewhere = elsewhere(&record, &old, Follower::Admitted)?;
            if let Some(elsewhere) = elsewhere.filter(|_| !seeded(Fault::ReplacesTombstone)) {
                break 'ended Ended::Dropped(elsewhere);
            }
            let known = current.write_id();
            if !known.is_none_or(|known| record.has_write(known)) {
                // An older record than the one that was read before.
                continue;
            }
            let is_known = record.write_id() == known;
            // After our lost request had stored the tombstone, no other request could have written the old record.
            doubt &= is_known;
            if timeouts.is_expired(record.meta(), calls.host.now()) {
                break 'ended if doubt { Ended::GaveUp } else { Ended::Dropped(Moved::Gone) };
            }
            if is_known {
                break;
            }
            current = record;
            read_at = calls.at;
            if grace.is_none() || seeded(Fault::CarriesNothing) {
                break;
            }
            // A renewal keeps the data, including later writes. This write of the new record has its own write ID, so that
            // a request that has read the earlier one cannot overwrite it.
            at = calls.host.now();
            let same = successor.write_id().filter(|_| seeded(Fault::CarriesWriteId)).cloned();
            let write_id = same.map_or_else(|| write_id(calls.host), Ok)?;
            let (carried, ttl) = renewed(rules, &old, &current, write_id, at)?;
            if !carry(&mut calls, &new, successor.write_id(), &carried, ttl, &mut tries).await? {
                break 'ended Ended::GaveUp;
            }
            successor = carried;
            break;
        }
    };
    let moved = match ended {
        Ended::Replaced => {
            if rules.options.format() == Format::ExpressSession {
                // express-session would take the tombstone for a session.
                calls.write(&old, Query::Remove(Some(&tombstone_write))).await?;
            }
            return Ok(Moved::To(Seen { id: new, record: successor, at }.into()));
        }
        Ended::Dropped(elsewhere) => Ok(elsewhere),
        Ended::Vanished if is_proof(read_at, calls.host.now()) => Ok(Moved::Gone),
        // A late request may yet store the tombstone, and then the new record must exist. If the old record is gone, the
        // tombstone may have been our own, and have expired.
        Ended::GaveUp | Ended::Vanished if doubt => return Err(calls.gave_up()),
        Ended::GaveUp => Err(calls.gave_up()),
        Ended::Vanished => Err(calls.host.doubt(Doubt::Untraced)),
    };
    // No other request knows the new ID, or ever will. If this fails, the record expires soon.
    calls.write(&new, Query::Remove(successor.write_id())).await?;
    moved
}

/// Creates the new record, under an ID that was never used. An ID whose creation is in doubt is not used, because the store
/// may still create its record after a removal.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn create<H: Host>(
    calls: &mut Calls<'_, H>,
    old: &SessionId,
    current: &Record,
    reason: &Reason,
    owned: bool,
) -> Result<(SessionId, Record), H::Error> {
    let options = &calls.rules.options;
    for _ in 0..IDS {
        let user = match reason {
            Reason::Login(record, _) => record.meta().user.as_ref(),
            Reason::Renewal(_) => current.meta().user.as_ref(),
        };
        let id = calls.new_id(user).await?;
        // Each attempt has its own write ID, so that no two records share one.
        let (write_id, now) = (write_id(calls.host)?, calls.host.now());
        let (record, ttl) = match reason {
            Reason::Login(record, longest) => {
                let (cookie, data, meta) = (record.cookie(), record.data(), record.meta().clone());
                let ttl = options.ttl(now).shorter(*longest);
                let ttl = options.timeouts().ttl(ttl, &meta, now);
                let limits = options.limits();
                (Record::new(options.format(), write_id, cookie, data, meta, limits)?, ttl)
            }
            Reason::Renewal(_) => renewed(calls.rules, old, current, write_id, now)?,
        };
        let query = Query::Create(Body::Record(&record), ttl, owned);
        if calls.write(&id, query).await? == Wrote::Done {
            calls.forget();
            return Ok((id, record));
        }
    }
    Err(calls.gave_up())
}

/// Rotates in the wrong order.
#[cfg(feature = "seeded-faults")]
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn tombstone_first<H: Host>(
    mut calls: Calls<'_, H>,
    old: &SessionId,
    current: &Record,
    reason: &Reason,
    owned: bool,
) -> Result<Moved, H::Error> {
    let new = calls.new_id(current.meta().user.as_ref()).await?;
    let now = calls.host.now();
    let (grace, record) = match reason {
        Reason::Renewal(grace) => {
            (Some(*grace), renewed(calls.rules, old, current, write_id(calls.host)?, now)?.0)
        }
        Reason::Login(record, _) => (None, (**record).clone()),
    };
    let tombstone = current.tombstone(write_id(calls.host)?, old, &new, grace)?;
    let query =
        Query::Replace(current.write_id(), Body::Record(&tombstone), Ttl::Millis(TOMBSTONE_TTL));
    if calls.write(old, query).await? != Wrote::Done {
        return Err(calls.gave_up());
    }
    let query = Query::Create(Body::Record(&record), calls.rules.options.ttl(now), owned);
    calls.write(&new, query).await?;
    Ok(Moved::To(Seen { id: new, record, at: calls.at }.into()))
}

/// Carries the later writes of the old record into the new one. `false` if that failed.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn carry<H: Host>(
    calls: &mut Calls<'_, H>,
    new: &SessionId,
    expected: Option<&WriteId>,
    carried: &Record,
    ttl: Ttl,
    tries: &mut u8,
) -> Result<bool, H::Error> {
    loop {
        let query = Query::Replace(expected, Body::Record(carried), ttl);
        match calls.write(new, query).await? {
            Wrote::InDoubt => {}
            Wrote::Gone => return Ok(false),
            // The conflict is with our own first attempt, whose reply was lost.
            Wrote::Done | Wrote::Conflict => return Ok(true),
        }
        *tries += 1;
        if *tries > TRIES {
            return Ok(false);
        }
    }
}

/// The user that a tombstone names, and its TTL. All tombstones have the same TTL, so that none outlives those of later
/// rotations. An exception are those of renewals that name the user, for the revocation of a session whose ID is used
/// again: they last as long as the new record with this metadata does without use. A logout or a revocation by them only
/// needs the user's session list.
fn reuse(
    rules: &Rules,
    meta: &Meta,
    grace: Option<UnixMillis>,
    now: UnixMillis,
) -> (Option<UserRef>, Ttl) {
    if seeded(Fault::ShortTombstone) {
        return (None, Ttl::Millis(grace.map_or(0, |grace| grace.since(now)).max(1_000)));
    }
    let names_user = rules.options.on_reuse() == OnReuse::Revoke && grace.is_some();
    let Some(user) = meta.user.as_ref().filter(|_| names_user) else {
        return (None, Ttl::Millis(TOMBSTONE_TTL));
    };
    let ttl = match (rules.ttl_of(meta, now), rules.default_ttl) {
        (Ttl::Millis(millis), _) | (Ttl::Infinite, Ttl::Millis(millis)) => {
            Ttl::Millis(millis.max(TOMBSTONE_TTL))
        }
        (Ttl::Infinite, Ttl::Infinite) => Ttl::Infinite,
    };
    (Some(user.clone()), ttl)
}

/// The number of new IDs that an operation tries.
pub(crate) const IDS: u8 = 3;

/// The end of a rotation that meets a tombstone; `None` if the record is not a tombstone.
pub(super) fn elsewhere(
    record: &Record,
    old: &SessionId,
    follower: Follower,
) -> Result<Option<Moved>, Error> {
    Ok(match record.lead(old, follower)? {
        Lead::Here => None,
        Lead::To(next) => Some(Moved::Elsewhere(Some(next))),
        Lead::Nowhere => Some(Moved::Elsewhere(None)),
    })
}

/// The record of the session under another ID than this one. It keeps data, deadlines, user and cookie attributes.
fn renewed(
    rules: &Rules,
    id: &SessionId,
    old: &Record,
    write_id: WriteId,
    now: UnixMillis,
) -> Result<(Record, Ttl), Error> {
    // The new ID comes with a new cookie.
    let mut meta = Meta { renewed: Some(now), until: None, ..old.meta().without_writes() };
    if meta.user.is_none() {
        meta.log = Some(meta.log_id(id));
    }
    if seeded(Fault::RenewalConfirms) {
        meta.confirmed = Some(now);
    }
    let record = rules.rewritten(old, write_id, old.data(), meta, now)?;
    let ttl = rules.ttl_of(record.meta(), now);
    Ok((record, ttl))
}

#[cfg(test)]
mod tests;
