//! The end of an operation.

use alloc::{
    borrow::{Cow, ToOwned as _},
    string::String,
    vec::Vec,
};

use vestiary::{
    Limits, Record, UnixMillis,
    protocol::{Rules, Seen, Stopped, Written},
    session::{self, Found, Opening, Spent},
};
use wasm_bindgen::prelude::*;

use crate::{convert::thrown, running::Ended};

/// Bits of `facts`.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Fact {
    /// The change was applied to data that another request had written.
    Merged = 1,
    /// The record may hold more than the request has seen.
    Reread = 2,
    /// The cookie has an earlier ID of the session.
    Renewed = 4,
    /// The session is to be renewed.
    Due = 8,
    /// The record has to be written again, or it would expire though it is used.
    Stale = 16,
    /// The use of the session has to be written in its user's list.
    Unseen = 32,
    /// The session belongs to a user.
    Owned = 64,
    /// It has cookie attributes of its own.
    Cookie = 128,
}

/// The end of an operation.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) ended: Ended,
    /// The session, or the record under an ID that is out of use.
    pub(crate) session: Option<Seen>,
    /// Its own cookie attributes.
    pub(crate) cookie: Option<String>,
    /// A text, if there is no session.
    pub(crate) text: String,
    /// An instant, if there is no session.
    pub(crate) at: UnixMillis,
    pub(crate) before: UnixMillis,
    /// Bits of `Fact`.
    pub(crate) facts: u8,
    /// Three texts for each: records that count for nothing (ID, text, and `listed` or nothing), and IDs that led to no
    /// session, or to one that has expired (ID, nothing, and `lost`).
    pub(crate) spent: Vec<String>,
}

impl Ending {
    pub(crate) fn of(ended: Ended) -> Self {
        Self {
            ended,
            session: None,
            cookie: None,
            text: String::new(),
            at: UnixMillis(0),
            before: UnixMillis(0),
            facts: 0,
            spent: Vec::new(),
        }
    }

    /// Of its session: its own cookie attributes if it has some, and the user's name and its handle if it has a user.
    pub(crate) fn others(&self) -> Vec<String> {
        let mut texts: Vec<_> = self.cookie.iter().cloned().collect();
        let meta = self.session.as_ref().map(|session| session.record.meta());
        if let Some(user) = meta.and_then(|meta| meta.user.as_ref()) {
            texts.extend([user.decoded_name(), user.handle.as_str().to_owned()]);
        }
        texts
    }

    pub(crate) fn is(done: bool) -> Self {
        Self::of(if done { Ended::Done } else { Ended::Gone })
    }

    pub(crate) fn text(text: String) -> Self {
        Self { text, ..Self::of(Ended::Done) }
    }

    /// An operation that ended with this session.
    pub(crate) fn session(rules: &Rules, session: Seen) -> Result<Self, Stopped> {
        Self::at(Ended::Done, rules, session)
    }

    /// As [`Ending::session`]; without one, it was ended meanwhile.
    pub(crate) fn perhaps(rules: &Rules, session: Option<Seen>) -> Result<Self, Stopped> {
        session.map_or(Ok(Self::of(Ended::Gone)), |session| Self::session(rules, session))
    }

    fn at(ended: Ended, rules: &Rules, session: Seen) -> Result<Self, Stopped> {
        let meta = session.record.meta();
        let cookie = rules.options.own_cookie(meta).map(|own| own.as_str().to_owned());
        let facts = bits([(meta.user.is_some(), Fact::Owned), (cookie.is_some(), Fact::Cookie)]);
        Ok(Self { cookie, facts, session: Some(session), ..Self::of(ended) })
    }

    pub(crate) fn opening(rules: &Rules, opening: Opening) -> Result<Self, Stopped> {
        let Opening { found, spent, lost } = opening;
        let mut ending = match found {
            Found::Session(opened) => Self::opened(rules, *opened)?,
            Found::Retired(tombstone) => Self::at(Ended::Retired, rules, *tombstone)?,
            Found::Expired(session) => Self::at(Ended::Expired, rules, *session)?,
            Found::Unreadable(error) => Self { text: thrown(error), ..Self::of(Ended::Unreadable) },
            Found::Nobody => Self::of(Ended::Gone),
        };
        for id in lost {
            ending.spent.extend([id.expose().to_owned(), String::new(), "lost".to_owned()]);
        }
        for Spent { session: Seen { id, record, .. }, is_listed } in spent {
            let text = text_of(&record);
            let listed = if is_listed { "listed" } else { "" };
            ending.spent.extend([id.expose().to_owned(), text, listed.to_owned()]);
        }
        Ok(ending)
    }

    fn opened(rules: &Rules, opened: session::Opened) -> Result<Self, Stopped> {
        let facts = Self::facts_of(rules, &opened);
        Ok(Self { facts, ..Self::session(rules, opened.session)? })
    }

    pub(crate) fn facts_of(rules: &Rules, opened: &session::Opened) -> u8 {
        let session::Opened { session, renewed, due, stale, unseen } = opened;
        let meta = session.record.meta();
        bits([
            (*renewed, Fact::Renewed),
            (*due, Fact::Due),
            (*stale, Fact::Stale),
            (*unseen, Fact::Unseen),
            (meta.user.is_some(), Fact::Owned),
            (rules.options.own_cookie(meta).is_some(), Fact::Cookie),
        ])
    }

    pub(crate) fn written(rules: &Rules, written: Written) -> Result<Self, Stopped> {
        match written {
            Written::Gone => Ok(Self::of(Ended::Gone)),
            Written::Saved { session, merged, reread } => {
                let mut ending = Self::session(rules, *session)?;
                ending.facts |= bits([(merged, Fact::Merged), (reread, Fact::Reread)]);
                Ok(ending)
            }
        }
    }
}

/// The text of a record, however large it is: it was read, or stored.
pub(crate) fn text_of(record: &Record) -> String {
    let limits = Limits { bytes: usize::MAX, ..Limits::LOAD };
    record.source(limits).map(Cow::into_owned).unwrap_or_default()
}

fn bits<const N: usize>(facts: [(bool, Fact); N]) -> u8 {
    facts.into_iter().map(|(is, fact)| u8::from(is) * fact as u8).sum()
}
