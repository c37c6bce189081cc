use alloc::string::String;

use super::{
    Host, Lifetime, Rules, UserSessions,
    calls::{Body, Query, write_id},
};
use crate::{Meta, Ttl, UnixMillis, WriteId, record::write_id_of};

/// The text of a list that was changed, to be stored in place of the one that was read.
pub(crate) struct Draft {
    /// False if the change may not be made: see [`UserSessions::apply`].
    pub(crate) made: bool,
    text: String,
    ttl: Ttl,
    /// The write ID of the list that was read; `None` if there was no list, or one without.
    expected: Option<WriteId>,
    creates: bool,
}

impl Draft {
    /// The list of this text, if there is one, after this change. `meta` is the metadata of the session that the change is
    /// about, where that has cookie attributes of its own.
    pub(crate) fn new<H: Host>(
        host: &mut H,
        rules: &Rules,
        text: Option<&str>,
        meta: Option<&Meta>,
        change: &mut dyn FnMut(&mut UserSessions, Lifetime, UnixMillis) -> bool,
    ) -> Result<Self, H::Error> {
        let mut sessions = match text {
            Some(text) => UserSessions::decode(text)?,
            None => UserSessions::default(),
        };
        let now = host.now();
        let lifetime = rules.lifetime(meta, now);
        let made = change(&mut sessions, lifetime, now);
        let write_id = write_id(host)?;
        Ok(Self {
            made,
            text: sessions.encode(&write_id),
            ttl: sessions.ttl(now),
            expected: text.and_then(write_id_of).and_then(WriteId::parse),
            creates: text.is_none(),
        })
    }

    /// The same text, to be stored in place of another one.
    #[cfg(feature = "seeded-faults")]
    pub(crate) fn over(&self, text: Option<&str>) -> Self {
        let expected = text.and_then(write_id_of).and_then(WriteId::parse);
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
