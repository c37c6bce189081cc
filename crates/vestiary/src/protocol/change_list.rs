use super::{
    Draft, Fault, Host, Rules, TRIES, UserChange, UserSessions, Verdict,
    calls::{Answer, Calls, Place, Query},
    fault::seeded,
};
use crate::{Meta, UnixMillis};

/// How a [`change_list`] ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Changed {
    /// Whether the change was made.
    pub verdict: Verdict,
    /// The time at which all sessions of the user were ended last, before this change.
    pub ended_before: Option<UnixMillis>,
    /// The list after the change.
    pub list: UserSessions,
}

/// Changes the user's session list that the store has under this key. `meta` is the metadata of the session that changes,
/// which may have its own cookie attributes.
///
/// An unreadable list does not count as empty, because that would end the sessions in it. It is left alone.
///
/// # Errors
/// The host's error if the list cannot be read, if the store failed, and if every attempt met a conflict.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn change_list<H: Host>(
    host: &mut H,
    rules: &Rules,
    key: &str,
    change: &UserChange,
    meta: Option<&Meta>,
) -> Result<Changed, H::Error> {
    change_list_by(&mut Calls::new(host, rules), key, change, meta, None).await
}

/// Does the same as [`change_list`], for an operation that reads the counts of its `calls` afterwards, or that has read the
/// list already: `read` is that answer.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub(crate) async fn change_list_by<H: Host>(
    calls: &mut Calls<'_, H>,
    key: &str,
    change: &UserChange,
    meta: Option<&Meta>,
    mut read: Option<Answer>,
) -> Result<Changed, H::Error> {
    let mut tries = 0;
    loop {
        let answer = match read.take() {
            Some(answer) => answer,
            None => calls.ask(Place::List(key), Query::Read).await?,
        };
        // The change depends on the content of the list, so a lost reply means reading it again.
        let text = match answer {
            Answer::Text(text) => Some(text),
            Answer::Gone => None,
            _ => continue,
        };
        let (mut ended_before, mut is_listed) = (None, false);
        let mut draft = Draft::new(
            calls.host,
            calls.rules,
            text.as_deref(),
            meta,
            &mut |sessions, lifetime, now| {
                ended_before = sessions.ended();
                is_listed =
                    matches!(change, UserChange::Add { handle, .. } if sessions.knows(handle));
                sessions.apply(change, lifetime, now)
            },
        )?;
        let list = core::mem::take(&mut draft.sessions);
        let changed = Changed { verdict: draft.verdict, ended_before, list };
        // The reply to an earlier write was lost, but the list shows that the store has written it.
        if changed.verdict == Verdict::Made && is_listed {
            return Ok(changed);
        }
        if changed.verdict == Verdict::Full && seeded(Fault::RefusalTrustsReplica) {
            return Ok(changed);
        }
        // The list is written even if nothing changes. A replica may have returned an old list; only the reply to a write
        // is certain.
        let answer = calls.ask(Place::List(key), draft.query()).await?;
        let trusts = seeded(Fault::ListTrustsLostReply) && matches!(answer, Answer::InDoubt);
        if matches!(answer, Answer::Done) || trusts {
            return Ok(changed);
        }
        tries += 1;
        if tries > TRIES {
            return Err(calls.gave_up());
        }
    }
}

#[cfg(test)]
mod tests;
