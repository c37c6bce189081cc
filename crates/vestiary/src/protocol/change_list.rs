use super::{
    Draft, Fault, Host, Rules, TRIES, UserChange,
    calls::{Answer, Calls, Place, Query},
    fault::seeded,
};
use crate::{Meta, UnixMillis};

/// How a [`change_list`] ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Changed {
    /// False if the change may not be made: see [`UserSessions::apply`](super::UserSessions::apply).
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
    change_list_by(&mut Calls::new(host, rules), key, change, meta, None).await
}

/// [`change_list`], for an operation that wants to know whether the store was asked to write, or has read the list already:
/// `read` is the answer.
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
        // A list is changed by what it holds, so it is read again when the reply is lost.
        let text = match answer {
            Answer::Text(text) => Some(text),
            Answer::Gone => None,
            _ => continue,
        };
        let (mut ended_before, mut is_listed) = (None, false);
        let draft = Draft::new(
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
        let changed = Changed { made: draft.made, ended_before };
        // The reply to an earlier write was lost, but the write was made: the store itself has said so.
        if changed.made && is_listed {
            return Ok(changed);
        }
        // Also where there is nothing to change: a replica may have said what was, and only what the store says of a
        // write is certain.
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
