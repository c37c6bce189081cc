use std::collections::BTreeMap;

use vestiary::{
    Record, UnixMillis, WriteId,
    protocol::{Asked, Question, Reply},
};

use crate::chance::Chance;

/// The texts of an atomic store, and the previous ones that a stale replica may return.
#[derive(Default)]
pub(crate) struct Texts {
    texts: BTreeMap<String, String>,
    past: BTreeMap<String, Vec<Option<String>>>,
}

impl Texts {
    pub(crate) fn get(&self, key: &str) -> Option<&String> {
        self.texts.get(key)
    }

    /// The text under a key. A stale replica returns one that it has ever had.
    pub(crate) fn read(&self, key: &str, is_stale: bool, chance: &mut Chance) -> Option<String> {
        match self.past.get(key) {
            Some(past) if is_stale => past[chance.below(past.len())].clone(),
            _ => self.texts.get(key).cloned(),
        }
    }

    /// Creates, replaces or removes a text.
    pub(crate) fn write(&mut self, asked: &Asked) -> Reply {
        let present = self.texts.get(&asked.key);
        let write_id = present.and_then(|text| Record::write_id_of(text)).and_then(WriteId::parse);
        match (asked.kind, present) {
            (Question::Create, None) => {}
            (_, None) => return Reply::Gone,
            (Question::Replace | Question::Remove, Some(_)) if write_id == asked.expected => {}
            _ => return Reply::Conflict,
        }
        if asked.kind == Question::Remove {
            self.put(&asked.key, None);
        } else {
            self.put(&asked.key, Some(asked.text.clone()));
        }
        Reply::Done
    }

    /// Stores a list with the time.
    pub(crate) fn stamp(&mut self, asked: &Asked, now: UnixMillis) -> Reply {
        let text = format!("{}{}}}", asked.text, now.0);
        Reply::Timed(self.put(&asked.key, Some(text)), Some(now))
    }

    /// Returns the text from before.
    fn put(&mut self, key: &str, text: Option<String>) -> Option<String> {
        self.past.entry(key.to_owned()).or_insert_with(|| vec![None]).push(text.clone());
        match text {
            Some(text) => self.texts.insert(key.to_owned(), text),
            None => self.texts.remove(key),
        }
    }
}
