use alloc::boxed::Box;

use super::admission::{admit_write, leave, note_use};
use crate::{
    Meta, Record,
    protocol::{
        self, Body, Calls, Change, CookieEdit, Host, Query, Rules, Seen, Written, Wrote, write_id,
    },
};

/// Creates the record of a new session, with this data (JSON text of an object), and this metadata: its owner, its own
/// cookie attributes, its slots.
///
/// # Errors
/// The host's error if the data is not a JSON object within the limits.
pub fn new_record<H: Host>(
    host: &mut H,
    rules: &Rules,
    data: &str,
    meta: Meta,
) -> Result<Record, H::Error> {
    let now = host.now();
    Ok(rules.first(write_id(host)?, data, meta, now)?)
}

/// Stores a new session, under an ID that no record has.
///
/// # Errors
/// The host's error if the store failed, or has a record under each new ID.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn create<H: Host>(
    host: &mut H,
    rules: &Rules,
    record: Record,
) -> Result<Box<Seen>, H::Error> {
    let mut calls = Calls::new(host, rules);
    for _ in 0..protocol::IDS {
        let id = calls.new_id(record.meta().user.as_ref()).await?;
        let (ttl, owned) =
            (rules.ttl_of(record.meta(), calls.host.now()), record.meta().user.is_some());
        let query = Query::Create(Body::Record(&record), ttl, owned);
        match calls.write(&id, query).await? {
            Wrote::Done => {
                let session = Seen { id, record, at: calls.at };
                host.touched(&session);
                return Ok(session.into());
            }
            // The creation is in doubt, but no visitor has the ID.
            Wrote::InDoubt if calls.is_lost() => return Err(calls.gave_up()),
            Wrote::Conflict | Wrote::Gone | Wrote::InDoubt => {}
        }
    }
    Err(calls.gave_up())
}

/// Writes the data of a session, and what becomes of its `cookie`. If the session's record is gone, for example because
/// it was evicted, the session leaves its user's session list.
///
/// # Errors
/// As [`protocol::commit`].
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn save<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: Seen,
    change: &Change,
    cookie: CookieEdit,
) -> Result<Written, H::Error> {
    // The list must not drop a session whose lifetime was just extended.
    let admitted = match &cookie.own {
        None => admit_write(host, rules, &session).await?,
        Some(own) => {
            let mut meta = session.record.meta().clone();
            meta.cookie.clone_from(own);
            note_use(host, rules, &meta).await?
        }
    };
    if !admitted {
        host.take_out_of_use(&session.id);
        return Ok(Written::Gone);
    }
    let (id, user) = (session.id.clone(), session.record.meta().user.clone());
    let written = protocol::commit(host, rules, session, change, cookie).await?;
    match &written {
        Written::Saved { session, reread, .. } => {
            if session.id != id {
                host.take_out_of_use(&id);
            }
            // After a lost reply, only the time is known at which the record was read again.
            if !reread {
                host.touched(session);
            }
        }
        Written::Gone => {
            host.take_out_of_use(&id);
            if let Some(user) = &user
                && let Err(error) = leave(host, rules, user).await
            {
                host.failed(error);
            }
        }
    }
    Ok(written)
}

/// Restarts a session's lifetime: the TTL of its record, and its idle deadline if it has one. `None` if the session was
/// ended meanwhile.
///
/// `is_set` if the response sets the cookie. If the cookie does not roll, the record then says when it ends.
///
/// With `is_fresh`, this request has just read the session and its user's list, so the list is not read again for a
/// TTL. If the session was revoked since, its record only lasts longer, but is still not valid.
///
/// # Errors
/// As [`protocol::touch`].
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn touch<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: Seen,
    is_fresh: bool,
    is_set: bool,
) -> Result<Option<Box<Seen>>, H::Error> {
    let (meta, timeouts, now) = (session.record.meta(), rules.options.timeouts(), host.now());
    let moves_end = is_set && rules.atomic && meta.until.is_some();
    // Deadlines are in the record, so moving them requires a write.
    if timeouts.is_expired(meta, now) || timeouts.is_stale(meta, now) || moves_end {
        let cookie = CookieEdit { own: None, is_set };
        return Ok(match save(host, rules, session, &Change::Keep, cookie).await? {
            Written::Saved { session, .. } => Some(session),
            Written::Gone => None,
        });
    }
    let id = session.id.clone();
    let touched = if is_fresh || admit_write(host, rules, &session).await? {
        protocol::touch(host, rules, session).await?
    } else {
        None
    };
    if touched.as_ref().is_none_or(|touched| touched.id != id) {
        host.take_out_of_use(&id);
    }
    if let Some(touched) = &touched {
        host.touched(touched);
    }
    Ok(touched)
}

/// Ends a session, whatever its current ID, after removing it from its user's session list. Returns whether the
/// replicas have confirmed the removal; `None` if the store cannot tell.
///
/// # Errors
/// As [`protocol::destroy`].
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn destroy<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: Seen,
) -> Result<Option<bool>, H::Error> {
    let id = session.id.clone();
    let last = protocol::destroy(host, rules, session).await?;
    host.take_out_of_use(&id);
    host.take_out_of_use(&last);
    Ok(Calls::new(host, rules).confirm(&last).await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        SessionId, UnixMillis,
        protocol::{
            Answered, Asked, Effect, NewId, Pending, Question, Reply, Report, Stopped,
            testing::rules,
        },
    };

    fn creating() -> Pending<Box<Seen>> {
        let rules = rules();
        Pending::new(async move |mut host| {
            let record = new_record(&mut host, &rules, "{}", Meta::default())?;
            create(&mut host, &rules, record).await
        })
    }

    fn poll(pending: &mut Pending<Box<Seen>>, answer: Answered, elapsed: u64) -> Effect<Box<Seen>> {
        pending.poll(answer, UnixMillis(1), elapsed, &[7; Pending::<()>::ENTROPY])
    }

    fn asked_to_create(pending: &mut Pending<Box<Seen>>, n: u8) {
        let id = NewId::Random(SessionId::from_entropy(&[n; 24]));
        let effect = poll(pending, Answered::NewId(id), 0);
        assert!(matches!(effect, Effect::Call(Asked { kind: Question::Create, .. })), "{effect:?}");
    }

    #[test]
    fn a_new_id_that_has_a_record_is_left_alone_however_long_the_store_took_to_say_so() {
        let mut pending = creating();
        assert_eq!(poll(&mut pending, Answered::Begin, 0), Effect::NewId);
        for (n, elapsed) in [(1, 0), (2, 30_000)] {
            asked_to_create(&mut pending, n);
            let conflict = Answered::Reply(Reply::Conflict);
            assert_eq!(poll(&mut pending, conflict, elapsed), Effect::NewId);
        }
        asked_to_create(&mut pending, 3);
        let ended = poll(&mut pending, Answered::Reply(Reply::Done), 0);
        assert!(matches!(ended, Effect::Finished(Ok(_))), "{ended:?}");
    }

    #[test]
    fn a_lost_reply_to_the_creation_of_a_session_is_an_error_at_once() {
        let mut pending = creating();
        assert_eq!(poll(&mut pending, Answered::Begin, 0), Effect::NewId);
        asked_to_create(&mut pending, 1);
        let ended = poll(&mut pending, Answered::Lost(4), 0);
        assert_eq!(ended, Effect::Finished(Err(Stopped::Host(4))));
    }

    #[test]
    fn a_write_whose_reply_was_lost_does_not_say_since_when_the_record_has_its_full_ttl() {
        let text = r#"{"v":"AAAAAAAAAAAAAAAA","data":{"n":1}}"#;
        let saving = || {
            let rules = rules();
            let (id, record) = (SessionId::from_entropy(&[3; 24]), rules.record(text.into()));
            let session = Seen { id, record: record.unwrap(), at: UnixMillis(1) };
            let change = Change::Merge { base: "{}".into(), mine: r#"{"n":2}"#.into() };
            Pending::new(async move |mut host| {
                save(&mut host, &rules, session, &change, CookieEdit::default()).await
            })
        };
        let poll = |pending: &mut Pending<Written>, answer| {
            pending.poll(answer, UnixMillis(1), 0, &[7; Pending::<()>::ENTROPY])
        };
        let is_touched = |pending: &mut Pending<Written>| {
            pending.reports().into_iter().any(|report| matches!(report, Report::Touched(_)))
        };
        let pending = &mut saving();
        poll(pending, Answered::Begin);
        poll(pending, Answered::Reply(Reply::Done));
        assert!(is_touched(pending));
        let pending = &mut saving();
        let Effect::Call(asked) = poll(pending, Answered::Begin) else { panic!() };
        poll(pending, Answered::Lost(1));
        let ended = poll(pending, Answered::Reply(Reply::Text(asked.text)));
        assert!(matches!(ended, Effect::Finished(Ok(Written::Saved { .. }))), "{ended:?}");
        assert!(!is_touched(pending));
    }
}
