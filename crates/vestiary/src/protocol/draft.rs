use alloc::string::String;

use super::{
    Host, Lifetime, Rules, UserSessions, Verdict,
    calls::{Body, Query, write_id},
};
use crate::{Meta, Ttl, UnixMillis, WriteId, record::write_id_of};

/// The text of a changed list, to be stored in place of the list that was read.
pub(crate) struct Draft {
    /// Whether the change may be made.
    pub(crate) verdict: Verdict,
    /// The list after the change.
    pub(crate) sessions: UserSessions,
    text: String,
    ttl: Ttl,
    /// The write ID of the list that was read; `None` if there was no list, or one without a write ID.
    expected: Option<WriteId>,
    creates: bool,
}

impl Draft {
    /// Makes a change to the list in `text`, or to an empty list without one. `meta` is the metadata of the session that
    /// changes, which may have its own cookie attributes.
    pub(crate) fn new<H: Host>(
        host: &mut H,
        rules: &Rules,
        text: Option<&str>,
        meta: Option<&Meta>,
        change: &mut dyn FnMut(&mut UserSessions, Lifetime, UnixMillis) -> Verdict,
    ) -> Result<Self, H::Error> {
        let mut sessions = match text {
            Some(text) => UserSessions::decode(text)?,
            None => UserSessions::default(),
        };
        let now = host.now();
        let lifetime = rules.lifetime(meta, now);
        let verdict = change(&mut sessions, lifetime, now);
        let write_id = write_id(host)?;
        Ok(Self {
            verdict,
            text: sessions.encode(&write_id),
            ttl: sessions.ttl(now),
            expected: text.and_then(write_id_of).and_then(WriteId::parse),
            creates: text.is_none(),
            sessions,
        })
    }

    /// The same text, to be stored in place of another text.
    #[cfg(feature = "seeded-faults")]
    pub(crate) fn over(&self, text: Option<&str>) -> Self {
        let expected = text.and_then(write_id_of).and_then(WriteId::parse);
        Self {
            text: self.text.clone(),
            expected,
            creates: text.is_none(),
            sessions: self.sessions.clone(),
            ..*self
        }
    }

    /// The write that stores the draft.
    pub(crate) fn query(&self) -> Query<'_> {
        let body = Body::List(&self.text);
        if self.creates {
            return Query::Create(body, self.ttl, true);
        }
        Query::Replace(self.expected.as_ref(), body, self.ttl)
    }
}
