use alloc::{boxed::Box, vec::Vec};

use super::{
    admission::{Admission, admit, leave, look, note_use},
    remembered::remembered,
    reuse::report_reuse,
};
use crate::{
    BoundReason, Error, Event, Follower, Lead, SessionId, UnixMillis,
    binding::Shown,
    constants::RENEWALS,
    protocol::{Calls, Doubt, Fault, Host, Place, Query, Rules, Seen, TRIES, Wrote, boxed, seeded},
};

/// The result of [`open`].
#[derive(Debug)]
pub struct Opening {
    /// The session, or the reason why there is none.
    pub found: Found,
    /// Expired and revoked records, for [`tidy`] to remove.
    pub spent: Vec<Spent>,
    /// The IDs that led to no session or to an expired one, and those under which that one was found.
    pub lost: Vec<SessionId>,
}

/// The session that cookies lead to.
#[derive(Debug)]
pub enum Found {
    /// A valid session.
    Session(Box<Loaded>),
    /// The tombstone under an ID that is out of use. It authenticates no visitor, but lets a logout find the session.
    Tombstone(Box<Seen>),
    /// A session that is bound to a device, which the request has not shown. It authenticates no visitor, but lets a logout
    /// find the session. The browser may have the bound cookie again in its next request.
    Unbound(Box<Seen>),
    /// A session that this instance cannot read but another one may be able to. Neither its record nor its cookie may
    /// be overwritten.
    Unreadable(Error),
    /// An expired session. Its record has the cookie attributes that are needed to remove the cookie.
    Expired(Box<Seen>),
    /// No session.
    Nothing,
}

/// A valid session.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not the states of one machine"
)]
pub struct Loaded {
    /// The session.
    pub session: Seen,
    /// Whether the cookie has a previous ID of the session.
    pub renewed: bool,
    /// Whether the session is due for a renewal.
    pub due: bool,
    /// Whether the record must be refreshed, because it would otherwise expire while the session is in use.
    pub stale: bool,
    /// Whether its use must be recorded in its user's session list; otherwise the list drops it.
    pub unseen: bool,
}

/// An expired or revoked record.
#[derive(Clone, Debug)]
pub struct Spent {
    /// The record.
    pub session: Seen,
    /// Whether its user's session list has an entry of it.
    pub is_listed: bool,
}

/// Finds the first valid session among these IDs, which come from cookies with valid signatures.
///
/// `shown` is what the request shows of its device. Emits an event for each ID that leads to no session. Follows pointers during their grace period. If the near cache of
/// the process shows that the session of the first ID is valid ([`Host::cached`]), the store is not asked.
///
/// # Errors
/// The host's error if the store failed. An unreadable record is not an error.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn open<H: Host>(
    host: &mut H,
    rules: &Rules,
    ids: &[SessionId],
    shown: &Shown,
) -> Result<Opening, H::Error> {
    let first = ids.first().filter(|_| *shown != Shown::Proves);
    if let Some(session) = first.and_then(|id| remembered(host, rules, id, shown)) {
        let found = Found::Session(session);
        return Ok(Opening { found, spent: Vec::new(), lost: Vec::new() });
    }
    find(host, rules, ids, shown, Reads::AsNeeded).await
}

/// As [`open`], for code that answers no request of the visitor: it writes nothing, and no record is obsolete for
/// [`tidy`]. A replica that lags behind can make it miss a login.
///
/// # Errors
/// As [`open`].
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn read<H: Host>(
    host: &mut H,
    rules: &Rules,
    ids: &[SessionId],
    shown: &Shown,
) -> Result<Opening, H::Error> {
    let opening = find(host, rules, ids, shown, Reads::Only).await?;
    Ok(Opening { spent: Vec::new(), ..opening })
}

/// Whether an operation may write in order to find out.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Reads {
    /// It writes where only the reply to a write is certain.
    AsNeeded,
    /// It only reads.
    Only,
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn find<H: Host>(
    host: &mut H,
    rules: &Rules,
    ids: &[SessionId],
    shown: &Shown,
    reads: Reads,
) -> Result<Opening, H::Error> {
    let mut opening = Opening { found: Found::Nothing, spent: Vec::new(), lost: Vec::new() };
    let mut reused = Vec::new();
    for id in ids {
        let found = follow(host, rules, id, shown, reads, &mut opening).await?;
        if let Found::Tombstone(tombstone) = &found {
            reused.push((**tombstone).clone());
        }
        if let Found::Expired(session) = &found
            && session.id != *id
        {
            opening.lost.push(session.id.clone());
        }
        if matches!(found, Found::Nothing | Found::Expired(_)) {
            opening.lost.push(id.clone());
        }
        let is_better = match (&found, &opening.found) {
            (Found::Session(_), _) => {
                opening.found = found;
                break;
            }
            (Found::Unreadable(_) | Found::Unbound(_), _)
            | (Found::Expired(_), Found::Nothing)
            | (Found::Tombstone(_), Found::Nothing | Found::Expired(_)) => true,
            _ => false,
        };
        if is_better {
            opening.found = found;
        }
    }
    if !reused.is_empty() {
        boxed(report_reuse(host, rules, reused, reads == Reads::Only, &mut opening)).await;
    }
    Ok(opening)
}

/// Removes an expired or revoked record and its entry in its user's session list. A failure is only an event, since
/// nothing depends on it. A session that another request has used meanwhile stays.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn tidy<H: Host>(host: &mut H, rules: &Rules, spent: &Spent) {
    let Spent { session: Seen { id, record, .. }, is_listed } = spent;
    let mut calls = Calls::new(host, rules);
    let error = match calls.write(id, Query::Remove(record.write_id())).await {
        // A request that had the session open before it expired has written or renewed it since, so it is valid.
        Ok(Wrote::Conflict) => return,
        Ok(Wrote::InDoubt) => Some(calls.gave_up()),
        removed => removed.err(),
    };
    if let Some(error) = error {
        host.failed(error);
    }
    if let Some(user) = record.meta().user.as_ref().filter(|_| *is_listed)
        && let Err(error) = leave(host, rules, user).await
    {
        host.failed(error);
    }
}

/// Finds the session under its current ID, over renewals, for a request that read it before. `None` if it has ended. A
/// missing record alone is no proof of that, because a replica may not have the new record yet.
///
/// # Errors
/// The host's error if a record cannot be read, or the store failed.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn current<H: Host>(
    host: &mut H,
    rules: &Rules,
    id: SessionId,
) -> Result<Option<Seen>, H::Error> {
    let mut next = id;
    for _ in 0..=TRIES {
        if let Some(session) = load(host, rules, &next).await? {
            next = match session.record.lead(&next, Follower::Admitted)? {
                Lead::Here => return Ok(Some(session)),
                Lead::To(after) => after,
                Lead::Nowhere => return Ok(None),
            };
            continue;
        }
        if !rules.atomic {
            return Ok(None);
        }
        // The reply to a removal is certain. This one removes nothing: the record of a renewal has a write ID.
        let mut calls = Calls::new(host, rules);
        if let Wrote::Gone | Wrote::Done = calls.write(&next, Query::Remove(None)).await? {
            return Ok(None);
        }
    }
    Err(host.doubt(Doubt::Busy))
}

/// The session under its current ID, over renewals, for code that has read it before; `None` if it was ended or revoked,
/// or has expired. Only reads.
///
/// It is also `None` if the session was renewed so long ago that the tombstone of this ID has expired. So call it with the
/// ID that it returned last.
///
/// # Errors
/// The host's error if a record or the user's session list cannot be read, or the store failed.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn alive<H: Host>(
    host: &mut H,
    rules: &Rules,
    id: &SessionId,
) -> Result<Option<Box<Seen>>, H::Error> {
    let mut calls = Calls::new(host, rules);
    let mut next = id.clone();
    for _ in 0..=TRIES {
        let Some(session) = load_ahead(&mut calls, &next).await? else { return Ok(None) };
        match session.record.lead(&next, Follower::Admitted)? {
            Lead::Here => {
                let meta = session.record.meta();
                if rules.options.timeouts().is_expired(meta, calls.host.now())
                    || look(&mut calls, meta).await? == Admission::Revoked
                {
                    return Ok(None);
                }
                return Ok(Some(session.into()));
            }
            Lead::To(after) => {
                next = after;
                calls.forget();
            }
            Lead::Nowhere => return Ok(None),
        }
    }
    Err(host.doubt(Doubt::Busy))
}

/// Whether this is the current ID of a stored session: it was neither ended nor given another ID.
///
/// # Errors
/// The host's error if the store failed. An unreadable session counts as none.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn is_current<H: Host>(
    host: &mut H,
    rules: &Rules,
    id: &SessionId,
) -> Result<bool, H::Error> {
    let mut calls = Calls::new(host, rules);
    let is_current = match load_ahead(&mut calls, id).await {
        Ok(Some(session)) if matches!(session.record.next(id), Ok(None)) => {
            admit(&mut calls, session.record.meta()).await
        }
        Ok(_) => return Ok(false),
        Err(error) => Err(error),
    };
    match is_current {
        Ok(admission) => Ok(admission != Admission::Revoked),
        Err(error) => H::unreadable(error).map(|_| false),
    }
}

/// Records in the user's session list that a session is in use, when [`Loaded::unseen`] asks for it. Returns `true` if
/// the list no longer has the session: it was revoked, and its record is removed.
///
/// # Errors
/// The host's error if the store failed. The session stays valid; the next request tries again.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn is_revoked<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: &Seen,
) -> Result<bool, H::Error> {
    if note_use(host, rules, session.record.meta()).await? {
        return Ok(false);
    }
    host.take_out_of_use(&session.id);
    host.emit(Event::Revoked);
    tidy(host, rules, &Spent { session: session.clone(), is_listed: false }).await;
    Ok(true)
}

/// Loads the record under an ID, a tombstone included.
///
/// # Errors
/// The host's error if the record cannot be read, or the store failed.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn load<H: Host>(
    host: &mut H,
    rules: &Rules,
    id: &SessionId,
) -> Result<Option<Seen>, H::Error> {
    read_record(&mut Calls::new(host, rules), id, Query::Read).await
}

/// As [`load`], and reads the list at which the ID hints in the same round trip, for [`admit`].
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn load_ahead<H: Host>(
    calls: &mut Calls<'_, H>,
    id: &SessionId,
) -> Result<Option<Seen>, H::Error> {
    let hint = calls.hint(id);
    read_record(calls, id, hint.as_deref().map_or(Query::Read, Query::ReadAhead)).await
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn read_record<H: Host>(
    calls: &mut Calls<'_, H>,
    id: &SessionId,
    query: Query<'_>,
) -> Result<Option<Seen>, H::Error> {
    let answer = calls.ask(Place::Session(id), query).await?;
    let Some(text) = calls.text(answer)? else { return Ok(None) };
    let record = calls.rules.record(text)?;
    Ok(Some(Seen { id: id.clone(), record, at: calls.at }))
}

/// Follows one of the cookies over renewals.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn follow<H: Host>(
    host: &mut H,
    rules: &Rules,
    id: &SessionId,
    shown: &Shown,
    reads: Reads,
    opening: &mut Opening,
) -> Result<Found, H::Error> {
    let mut calls = Calls::new(host, rules);
    let mut next = id.clone();
    for _ in 0..=RENEWALS {
        let session = match load_ahead(&mut calls, &next).await {
            Ok(Some(session)) => session,
            Ok(None) => {
                host.emit(Event::Unknown);
                return Ok(Found::Nothing);
            }
            Err(error) => return Ok(unreadable(host, H::unreadable(error)?)),
        };
        let now = calls.host.now();
        match session.record.lead(&next, Follower::Cookie(now)) {
            Ok(Lead::Here) => return live(calls, session, now, id, shown, reads, opening).await,
            Ok(Lead::To(after)) if !seeded(Fault::GraceCountsAsReuse) => {
                next = after;
                calls.forget();
            }
            Ok(Lead::To(_) | Lead::Nowhere) => {
                if seeded(Fault::CookieFollowsLogin)
                    && let Ok(Some((after, None))) = session.record.next(&next)
                {
                    next = after;
                    continue;
                }
                return Ok(Found::Tombstone(session.into()));
            }
            Err(error) => return Ok(unreadable(host, error)),
        }
    }
    Ok(Found::Nothing)
}

/// Checks that the session of a record has not expired and was not revoked.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn live<H: Host>(
    mut calls: Calls<'_, H>,
    session: Seen,
    now: UnixMillis,
    cookie: &SessionId,
    shown: &Shown,
    reads: Reads,
    opening: &mut Opening,
) -> Result<Found, H::Error> {
    let (meta, timeouts) = (session.record.meta(), *calls.rules.options.timeouts());
    if timeouts.is_expired(meta, now) && !seeded(Fault::AdmitsExpired) {
        calls.host.emit(Event::Expired);
        opening.spent.push(Spent { session: session.clone(), is_listed: true });
        return Ok(Found::Expired(session.into()));
    }
    let admission = match reads {
        Reads::AsNeeded => admit(&mut calls, meta).await,
        Reads::Only => look(&mut calls, meta).await,
    };
    let unseen = match admission {
        Ok(admission @ (Admission::Listed | Admission::Unseen)) => admission == Admission::Unseen,
        Ok(Admission::Revoked) => {
            calls.host.emit(Event::Revoked);
            opening.spent.push(Spent { session, is_listed: false });
            return Ok(Found::Nothing);
        }
        // An unreadable list proves nothing, since another instance may be able to read it.
        Err(error) => {
            let error = H::unreadable(error)?;
            calls.host.emit(Event::Unreadable { code: error.code() });
            return Ok(Found::Unreadable(error));
        }
    };
    if !shown.admits(calls.rules, meta, now) {
        calls.host.emit(Event::Bound { reason: BoundReason::Missing });
        return Ok(Found::Unbound(session.into()));
    }
    let due = timeouts.wants_renewal(meta, now) && !seeded(Fault::NeverRenews);
    let stale = timeouts.is_stale(meta, now) && !seeded(Fault::IdleStays);
    let renewed = session.id != *cookie;
    Ok(Found::Session(Loaded { session, renewed, due, stale, unseen }.into()))
}

fn unreadable<H: Host>(host: &mut H, error: Error) -> Found {
    host.emit(Event::Unreadable { code: error.code() });
    if error.may_be_read_elsewhere() { Found::Unreadable(error) } else { Found::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Answered, Asked, Effect, Pending, Question, Reply, testing::rules};

    #[test]
    fn a_session_whose_id_hints_at_no_list_is_opened_without_a_pause() {
        let rules = rules();
        let id = SessionId::from_entropy(&[3; 24]);
        let mut opening = Pending::new(async move |mut host| {
            open(&mut host, &rules, &[id], &Shown::default()).await
        });
        let mut poll = |answer, elapsed| {
            opening.poll(answer, UnixMillis(1), elapsed, &[7; Pending::<()>::ENTROPY])
        };
        let asked = poll(Answered::Begin, 0);
        assert!(matches!(asked, Effect::Call(Asked { kind: Question::Read, .. })), "{asked:?}");
        let text = r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{},"meta":{"user":"ada","handle":"AQEBAQEBAQEBAQEB"}}"#;
        let asked = poll(Answered::Reply(Reply::Text(text.into())), 400_000);
        assert!(matches!(asked, Effect::Call(Asked { kind: Question::Read, .. })), "{asked:?}");
    }

    #[test]
    fn an_expired_session_that_another_request_has_used_meanwhile_stays_in_its_users_session_list()
    {
        let rules = rules();
        let text = r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{},"meta":{"user":"ada","handle":"AQEBAQEBAQEBAQEB"}}"#;
        let (id, at) = (SessionId::from_entropy(&[3; 24]), UnixMillis(1));
        let record = rules.record(text.into()).unwrap();
        let spent = Spent { session: Seen { id, record, at }, is_listed: true };
        let mut tidying = Pending::new(async move |mut host| {
            tidy(&mut host, &rules, &spent).await;
            Ok(())
        });
        let mut poll = |answer| tidying.poll(answer, at, 0, &[7; Pending::<()>::ENTROPY]);
        let asked = poll(Answered::Begin);
        assert!(matches!(asked, Effect::Call(Asked { kind: Question::Remove, .. })), "{asked:?}");
        let ended = poll(Answered::Reply(Reply::Conflict));
        assert!(matches!(ended, Effect::Finished(Ok(()))), "{ended:?}");
    }

    #[test]
    fn a_session_that_a_replica_does_not_have_is_current_if_the_store_has_a_record() {
        let rules = rules();
        let id = SessionId::from_entropy(&[3; 24]);
        let mut asking = Pending::new(async move |mut host| current(&mut host, &rules, id).await);
        let mut poll = |answer| asking.poll(answer, UnixMillis(1), 0, &[7; Pending::<()>::ENTROPY]);
        let text = r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{}}"#;
        let steps = [
            (Answered::Begin, Question::Read),
            (Answered::Reply(Reply::Gone), Question::Remove),
            (Answered::Reply(Reply::Conflict), Question::Read),
        ];
        for (answer, asked) in steps {
            let effect = poll(answer);
            assert!(
                matches!(&effect, Effect::Call(Asked { kind, .. }) if *kind == asked),
                "{effect:?}"
            );
        }
        let ended = poll(Answered::Reply(Reply::Text(text.into())));
        assert!(matches!(ended, Effect::Finished(Ok(Some(_)))), "{ended:?}");
    }
}
