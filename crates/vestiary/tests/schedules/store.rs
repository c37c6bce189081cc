use std::collections::BTreeMap;

use vestiary::{
    Limits, Record, SessionId, Ttl, UnixMillis, WriteId,
    protocol::{Asked, Question, Reply},
};

use crate::chance::Chance;

/// The kind of store that the schedules run on. All but the first are broken, and the checks must say so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kin {
    Atomic,
    /// A write creates missing records, and compares no write ID: `SET`.
    Upsert,
    /// A write asks for presence, but compares no write ID: `SET XX`.
    OnlyIfThere,
    /// A removal reads first and removes later: `GET`, `DEL`.
    ReadThenRemove,
    /// A touch compares no write ID: `PEXPIRE`.
    TouchesAny,
}

/// The store: texts with their expiry, and the previous texts that a stale replica may return.
pub(crate) struct Store {
    pub(crate) kin: Kin,
    pub(crate) now: UnixMillis,
    /// How many of a hundred reads a stale replica answers.
    pub(crate) stale: usize,
    texts: BTreeMap<String, (String, UnixMillis)>,
    /// Earlier texts of a key, each with the time when another one took its place.
    past: BTreeMap<String, Vec<(UnixMillis, Option<String>)>>,
    /// Removals that have read, and not removed yet.
    pub(crate) half: Vec<String>,
    /// Whether a touch has prolonged a tombstone.
    pub(crate) prolonged: bool,
}

/// For how long a replica may be behind, in milliseconds. The protocol allows for less than a minute.
const BEHIND: u64 = 30_000;

impl Store {
    pub(crate) fn new(kin: Kin) -> Self {
        Self {
            kin,
            now: UnixMillis(0),
            stale: 10,
            texts: BTreeMap::new(),
            past: BTreeMap::new(),
            half: Vec::new(),
            prolonged: false,
        }
    }

    pub(crate) fn put(&mut self, key: &str, text: Option<String>, ttl: Ttl) {
        let before = self.text(key).map(ToOwned::to_owned);
        self.past.entry(key.to_owned()).or_default().push((self.now, before));
        let end = match ttl {
            Ttl::Infinite => UnixMillis(u64::MAX),
            Ttl::Millis(millis) => self.now.plus(millis),
        };
        match text {
            Some(text) => self.texts.insert(key.to_owned(), (text, end)),
            None => self.texts.remove(key),
        };
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        let (text, end) = self.texts.get(key)?;
        (self.now < *end).then_some(text)
    }

    pub(crate) fn record(&self, id: &SessionId) -> Option<Record> {
        Some(Record::decode(self.text(id.expose())?, Limits::LOAD).unwrap())
    }

    pub(crate) fn apply(&mut self, asked: &Asked, chance: &mut Chance) -> Reply {
        let Asked { kind, key, expected, text, ttl, .. } = asked;
        let present = self.text(key).map(ToOwned::to_owned);
        if *kind == Question::Read {
            return self.read(key, present, chance);
        }
        if *kind == Question::Create {
            if present.is_some() {
                return Reply::Conflict;
            }
            self.put(key, Some(text.clone()), *ttl);
            return Reply::Done;
        }
        let is_upsert = *kind == Question::Replace && self.kin == Kin::Upsert;
        let Some(present) = present.or_else(|| is_upsert.then(String::new)) else {
            return Reply::Gone;
        };
        let compares = match kind {
            Question::Replace => !matches!(self.kin, Kin::Upsert | Kin::OnlyIfThere),
            Question::Touch => self.kin != Kin::TouchesAny,
            _ => true,
        };
        if compares && write_id_of(&present) != expected.as_ref().map(WriteId::as_str) {
            return Reply::Conflict;
        }
        match kind {
            Question::Touch => {
                self.prolonged |= present.contains("\"next\":");
                let end = match ttl {
                    Ttl::Infinite => UnixMillis(u64::MAX),
                    Ttl::Millis(millis) => self.now.plus(*millis),
                };
                self.texts.insert(key.clone(), (present, end));
            }
            Question::Remove if self.kin == Kin::ReadThenRemove => self.half.push(key.clone()),
            Question::Remove => self.put(key, None, *ttl),
            _ => self.put(key, Some(text.clone()), *ttl),
        }
        Reply::Done
    }

    fn read(&mut self, key: &str, present: Option<String>, chance: &mut Chance) -> Reply {
        let mut seen = present;
        if chance.percent(self.stale) {
            let now = self.now;
            let recent = self.past.get(key).into_iter().flatten();
            let recent: Vec<_> = recent
                .filter(|(until, _)| until.plus(BEHIND) >= now)
                .map(|(_, text)| text)
                .collect();
            if !recent.is_empty() {
                seen.clone_from(recent[chance.below(recent.len())]);
            }
        }
        seen.map_or(Reply::Gone, Reply::Text)
    }
}

/// The write ID in the text of a record or list of these tests, none of which has another `v`.
pub(crate) fn write_id_of(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("\"v\":\"")?;
    rest.split_once('"').map(|(write_id, _)| write_id)
}
