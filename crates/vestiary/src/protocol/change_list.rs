use super::{
    Fault, Host, Rules, TRIES, UserChange, UserSessions,
    calls::{Answer, Body, Calls, Place, Query, write_id},
    fault::seeded,
};
use crate::{Meta, UnixMillis, WriteId, record::mark_of};

/// How a [`change_list`] ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Changed {
    /// False if the change may not be made: see [`UserSessions::apply`].
    pub made: bool,
    /// When all sessions of the user had been ended last, before this change.
    pub ended_before: Option<UnixMillis>,
}

/// Changes the list of a user's sessions, which the store has under this key. `meta` is the metadata of the session that
/// the change is about, where that has cookie attributes of its own.
///
/// A list that cannot be read is not taken for an empty one, which would end the sessions in it: it is left alone.
///
/// # Errors
/// The host's error if the list cannot be read, if the store failed, and if other requests were faster each time.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn change_list<H: Host>(
    host: &mut H,
    rules: &Rules,
    key: &str,
    change: &UserChange,
    meta: Option<&Meta>,
) -> Result<Changed, H::Error> {
    change_list_by(&mut Calls::new(host, rules), key, change, meta).await
}

/// [`change_list`], for an operation that wants to know whether the store was asked to write.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub(crate) async fn change_list_by<H: Host>(
    calls: &mut Calls<'_, H>,
    key: &str,
    change: &UserChange,
    meta: Option<&Meta>,
) -> Result<Changed, H::Error> {
    let mut tries = 0;
    loop {
        // A list is changed by what it holds, so it is read again when the reply is lost.
        let text = match calls.ask(Place::List(key), Query::Read).await? {
            Answer::Text(text) => Some(text),
            Answer::Gone => None,
            _ => continue,
        };
        let mut sessions = match &text {
            Some(text) => UserSessions::decode(text)?,
            None => UserSessions::default(),
        };
        let ended_before = sessions.ended();
        // The reply to an earlier write was lost, but the write was made: the store itself has said so.
        let is_listed = matches!(change, UserChange::Add { handle, .. } if sessions.knows(handle));
        let now = calls.host.now();
        let made = sessions.apply(change, calls.rules.lifetime(meta, now), now);
        if made && is_listed {
            return Ok(Changed { made, ended_before });
        }
        // Also where there is nothing to change: a replica may have said what was, and only what the store says of a
        // write is certain.
        let mark = write_id(calls.host)?;
        let (encoded, ttl) = (sessions.encode(&mark), sessions.ttl(now));
        let expected = text.as_deref().and_then(mark_of).and_then(WriteId::parse);
        let body = Body::List(&encoded);
        let query = match &text {
            None => Query::Create(body, ttl, true),
            Some(_) => Query::Replace(expected.as_ref(), body, ttl),
        };
        let answer = calls.ask(Place::List(key), query).await?;
        let trusts = seeded(Fault::ListTrustsLostReply) && answer == Answer::Unknown;
        if answer == Answer::Done || trusts {
            return Ok(Changed { made, ended_before });
        }
        tries += 1;
        if tries > TRIES {
            return Err(calls.gave_up());
        }
    }
}

#[cfg(test)]
mod tests;
