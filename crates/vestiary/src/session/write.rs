use alloc::boxed::Box;

use super::admission::{admit_write, leave, note_use};
use crate::{
    CookieOverrides, Meta, Record, UserRef,
    protocol::{
        self, Body, Calls, Change, Host, Place, Query, Rules, Seen, Terms, Written, host::Answer,
        write_id,
    },
};

/// The record of a new session with this data, JSON text of an object; of this user, and with these cookie attributes of
/// its own.
///
/// # Errors
/// The host's error if the data is no JSON object within the limits.
pub fn new_record<H: Host>(
    host: &mut H,
    rules: &Rules,
    data: &str,
    user: Option<UserRef>,
    cookie: Option<CookieOverrides>,
) -> Result<Record, H::Error> {
    let now = host.now();
    let terms = Terms { cookie_change: Some(cookie), ..Terms::new(&rules.options, now)? };
    let (mut meta, cookie, _) = terms.stamped(Meta::default(), now)?;
    meta.user = user;
    Ok(Record::new(terms.format, write_id(host)?, &cookie, data, meta, terms.limits)?)
}

/// Stores a new session, under an ID that no record has.
///
/// # Errors
/// The host's error if the store failed, and if it has a record under each new ID.
pub async fn create<H: Host>(
    host: &mut H,
    rules: &Rules,
    record: Record,
) -> Result<Box<Seen>, H::Error> {
    let terms = Terms::new(&rules.options, host.now())?;
    let mut calls = Calls::new(host, rules);
    for _ in 0..protocol::IDS {
        let id = calls.new_id(record.meta().user.as_ref()).await?;
        let (ttl, owned) =
            (terms.ttl_of(record.meta(), calls.host.now()), record.meta().user.is_some());
        let query = Query::Create(Body::Record(&record), ttl, owned);
        match calls.ask(Place::Session(&id), query).await? {
            Answer::Done => {
                return Ok(Seen { id, record, at: calls.at }.into());
            }
            // Whether the record is there is unknown, and nobody has its ID.
            Answer::Unknown => return Err(calls.gave_up()),
            _ => {}
        }
    }
    Err(calls.gave_up())
}

/// Writes the data of a session, and its own cookie attributes if `cookie` changes them. A session whose record is gone,
/// evicted perhaps, leaves its user's session list.
///
/// # Errors
/// As [`protocol::commit`].
pub async fn save<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: Seen,
    change: &Change,
    cookie: Option<Option<CookieOverrides>>,
) -> Result<Written, H::Error> {
    if !admit_write(host, rules, &session).await? {
        host.retire(&session.id);
        return Ok(Written::Gone);
    }
    let (id, user) = (session.id.clone(), session.record.meta().user.clone());
    if let (Some(own), Some(_)) = (&cookie, &user) {
        // The list must not forget a session that lives longer now.
        let mut meta = session.record.meta().clone();
        meta.cookie.clone_from(own);
        if !note_use(host, rules, &meta).await? {
            host.retire(&id);
            return Ok(Written::Gone);
        }
    }
    let written = protocol::commit(host, rules, session, change, cookie).await?;
    if !matches!(&written, Written::Saved { session, .. } if session.id == id) {
        host.retire(&id);
    }
    if let (Written::Gone, Some(user)) = (&written, &user)
        && let Err(error) = leave(host, rules, user).await
    {
        host.failed(error);
    }
    Ok(written)
}

/// Gives a session its full lifetime again: its record another TTL, and other deadlines where it has some. `None` if the
/// session was ended meanwhile.
///
/// # Errors
/// As [`protocol::touch`].
pub async fn touch<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: Seen,
) -> Result<Option<Box<Seen>>, H::Error> {
    let (meta, timeouts, now) = (session.record.meta(), rules.options.timeouts(), host.now());
    // Deadlines stand in the record: to move them, it has to be written.
    if timeouts.is_over(meta, now) || timeouts.is_stale(meta, now) {
        let nothing = Change::Merge { base: "{}".into(), mine: "{}".into() };
        return Ok(match save(host, rules, session, &nothing, None).await? {
            Written::Saved { session, .. } => Some(session),
            Written::Gone => None,
        });
    }
    let id = session.id.clone();
    let touched = if admit_write(host, rules, &session).await? {
        protocol::touch(host, rules, session).await?
    } else {
        None
    };
    if touched.as_ref().is_none_or(|touched| touched.id != id) {
        host.retire(&id);
    }
    Ok(touched)
}
