use alloc::string::String;
use core::slice;

use super::{
    Fault, Host, Rules, TRIES, UserChange, UserSessions,
    calls::{Answer, Body, Calls, Place, Query, write_id},
    fault::seeded,
};
use crate::{Meta, Ttl, UnixMillis, WriteId, record::mark_of};

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
pub async fn change_list<H: Host>(
    host: &mut H,
    rules: &Rules,
    key: &str,
    change: &UserChange,
    meta: Option<&Meta>,
) -> Result<Changed, H::Error> {
    let mut calls = Calls::new(host, rules);
    let Draft { made, ended_before, .. } =
        change_list_by(&mut calls, key, slice::from_ref(change), meta).await?;
    Ok(Changed { made, ended_before })
}

/// Makes several changes of a user's session list in one write, the last one being what it is about; for an operation that
/// wants to know whether the store was asked to write.
pub(crate) async fn change_list_by<H: Host>(
    calls: &mut Calls<'_, H>,
    key: &str,
    changes: &[UserChange],
    meta: Option<&Meta>,
) -> Result<Draft, H::Error> {
    let mut tries = 0;
    loop {
        // A list is changed by what it holds, so it is read again when the reply is lost.
        let text = match calls.ask(Place::List(key), Query::Read).await? {
            Answer::Text(text) => Some(text),
            Answer::Gone => None,
            _ => continue,
        };
        let draft = Draft::new(calls.host, calls.rules, text.as_deref(), changes, meta)?;
        if draft.is_stored {
            return Ok(draft);
        }
        // Also where there is nothing to change: a replica may have said what was, and only what the store says of a
        // write is certain.
        let answer = calls.ask(Place::List(key), draft.query()).await?;
        let trusts = seeded(Fault::ListTrustsLostReply) && answer == Answer::Unknown;
        if answer == Answer::Done || trusts {
            return Ok(draft);
        }
        tries += 1;
        if tries > TRIES {
            return Err(calls.gave_up());
        }
    }
}

/// The text of a list that was changed, to be stored in place of the one that was read.
pub(crate) struct Draft {
    /// False if the change may not be made: see [`UserSessions::apply`].
    pub(crate) made: bool,
    /// The list that was read is changed already: a reply was lost, but the write was made. The store itself has said so.
    pub(crate) is_stored: bool,
    pub(crate) ended_before: Option<UnixMillis>,
    text: String,
    ttl: Ttl,
    /// The write ID of the list that was read; `None` if there was no list, or one without.
    expected: Option<WriteId>,
    creates: bool,
}

impl Draft {
    /// The list of this text, if there is one, after these changes.
    pub(crate) fn new<H: Host>(
        host: &mut H,
        rules: &Rules,
        text: Option<&str>,
        changes: &[UserChange],
        meta: Option<&Meta>,
    ) -> Result<Self, H::Error> {
        let mut sessions = match text {
            Some(text) => UserSessions::decode(text)?,
            None => UserSessions::default(),
        };
        let ended_before = sessions.ended();
        let is_listed = matches!(changes.last(), Some(UserChange::Add { .. }))
            && changes.iter().all(|change| match change {
                UserChange::Add { handle, .. } => sessions.knows(handle),
                // In the same write.
                UserChange::Leave(_) => true,
                UserChange::Remove(_)
                | UserChange::Seen(_)
                | UserChange::Stay(_)
                | UserChange::End { .. } => false,
            });
        let now = host.now();
        let lifetime = rules.lifetime(meta, now);
        let mut made = true;
        for change in changes {
            made = sessions.apply(change, lifetime, now);
        }
        let mark = write_id(host)?;
        Ok(Self {
            made,
            is_stored: made && is_listed,
            ended_before,
            text: sessions.encode(&mark),
            ttl: sessions.ttl(now),
            expected: text.and_then(mark_of).and_then(WriteId::parse),
            creates: text.is_none(),
        })
    }

    /// The same text, to be stored in place of another one.
    #[cfg(feature = "seeded-faults")]
    pub(crate) fn over(&self, text: Option<&str>) -> Self {
        let expected = text.and_then(mark_of).and_then(WriteId::parse);
        Self { text: self.text.clone(), expected, creates: text.is_none(), ..*self }
    }

    /// The write.
    pub(crate) fn query(&self) -> Query<'_> {
        let body = Body::List(&self.text);
        if self.creates {
            return Query::Create(body, self.ttl, true);
        }
        Query::Replace(self.expected.as_ref(), body, self.ttl)
    }
}

#[cfg(test)]
mod tests;
