//! Records in memory.

use alloc::{
    borrow::{Cow, ToOwned as _},
    string::String,
    sync::Arc,
    vec::Vec,
};

use vestiary::{
    MemoryLimits, Outcome, SessionId,
    protocol::{Answered, Asked, Effect, Question, Reply, Seen},
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::{millis, thrown, ttl_of},
    ending::{Ending, Fact},
    operations::Operation,
    options::Core,
    running::{Answer, Ended, Running},
};

/// Records in memory.
#[wasm_bindgen]
#[derive(Debug)]
pub struct MemoryTable(vestiary::MemoryTable);

#[wasm_bindgen]
impl Core {
    /// Opens the session of the ID of `length` bytes in the input, without waiting, from a table whose keys have this
    /// prefix. Returns bits of `Fact`, or -1 if there is no session, or anything is to be done or told about it: then
    /// `Task::Open` does so. `looked` says where the record is.
    #[wasm_bindgen(js_name = openHere)]
    pub fn open_here(
        &mut self,
        table: &mut MemoryTable,
        prefix: &str,
        length: usize,
        now: f64,
    ) -> i32 {
        let Some(id) = self.input.get(..length).and_then(SessionId::from_bytes) else { return -1 };
        let operation = Operation::Open(Vec::from([id]));
        let Some(ending) = table.answer(self.running(operation), prefix, now) else { return -1 };
        let Some(Seen { record, .. }) = &ending.session else { return -1 };
        let (facts, has_more) = (ending.facts, !(Fact::Owned as u8 | Fact::Cookie as u8));
        if !matches!(ending.ended, Ended::Done) || facts & has_more != 0 {
            return -1;
        }
        let Ok(Cow::Borrowed(text)) = record.source(self.options.load_limits()) else { return -1 };
        let data = record.data();
        *self.looked = [text.as_ptr().addr(), text.len(), data.as_ptr().addr(), data.len()];
        self.opened = Some(ending);
        facts.into()
    }

    /// Whether a table whose keys have this prefix has a session under the ID of `length` bytes in the input; undefined
    /// if that cannot be said without waiting.
    #[wasm_bindgen(js_name = isCurrentHere)]
    pub fn is_current_here(
        &mut self,
        table: &mut MemoryTable,
        prefix: &str,
        length: usize,
        now: f64,
    ) -> Option<bool> {
        let id = self.input.get(..length).and_then(SessionId::from_bytes)?;
        let asked = table.answer(self.running(Operation::IsCurrent(id)), prefix, now)?;
        Some(matches!(asked.ended, Ended::Done))
    }

    /// Address of four numbers about the record that `openHere` has opened: address and length of its text, and of its
    /// data. They are good until this core is spoken to.
    #[wasm_bindgen(getter)]
    pub fn looked(&self) -> *const usize {
        self.looked.as_ptr()
    }

    /// Of the session that `openHere` has opened: its own cookie attributes if it has some, and the user's name and its
    /// handle if it has a user.
    #[wasm_bindgen(getter)]
    pub fn opened(&self) -> Vec<String> {
        self.opened.as_ref().map(Ending::others).unwrap_or_default()
    }
}

#[wasm_bindgen]
impl MemoryTable {
    /// A table; undefined takes the default of a limit.
    #[wasm_bindgen(constructor)]
    pub fn new(entries: Option<usize>, bytes: Option<usize>, default_ttl: Option<f64>) -> Self {
        let limits = MemoryLimits::default();
        Self(vestiary::MemoryTable::new(MemoryLimits {
            entries: entries.unwrap_or(limits.entries),
            bytes: bytes.unwrap_or(limits.bytes),
            default_ttl: default_ttl.map_or(limits.default_ttl, |ttl| millis(ttl).0),
        }))
    }

    /// The record under a key.
    pub fn get(&mut self, key: &str, now: f64) -> Option<String> {
        self.0.get(key, millis(now)).map(str::to_owned)
    }

    /// Writes a record.
    pub fn set(&mut self, key: &str, text: &str, ttl: f64, now: f64) -> Result<(), String> {
        self.0.set(key, text, ttl_of(ttl), millis(now)).map_err(thrown)
    }

    /// Extends a record's life; false if it is not there.
    pub fn touch(&mut self, key: &str, ttl: f64, now: f64) -> bool {
        self.0.touch(key, ttl_of(ttl), millis(now))
    }

    /// Removes a record.
    pub fn remove(&mut self, key: &str) -> bool {
        self.0.remove(key)
    }

    /// Writes a record if there is none; whether it did. `bound`: of a user.
    pub fn create(
        &mut self,
        key: &str,
        text: &str,
        ttl: f64,
        bound: bool,
        now: f64,
    ) -> Result<bool, String> {
        let outcome = self.0.create(key, text, ttl_of(ttl), bound, millis(now)).map_err(thrown)?;
        Ok(outcome == Outcome::Done)
    }

    /// Writes a record over the one with this mark.
    pub fn replace(
        &mut self,
        key: &str,
        expected: Option<String>,
        text: &str,
        ttl: f64,
        now: f64,
    ) -> Result<Answer, String> {
        let outcome = self.0.replace(key, expected.as_deref(), text, ttl_of(ttl), millis(now));
        outcome.map(Answer::from).map_err(thrown)
    }

    /// Gives another TTL to the record with this mark.
    #[wasm_bindgen(js_name = touchMarked)]
    pub fn touch_marked(
        &mut self,
        key: &str,
        expected: Option<String>,
        ttl: f64,
        now: f64,
    ) -> Answer {
        self.0.touch_marked(key, expected.as_deref(), ttl_of(ttl), millis(now)).into()
    }

    /// Removes the record with this mark.
    #[wasm_bindgen(js_name = removeMarked)]
    pub fn remove_marked(&mut self, key: &str, expected: Option<String>, now: f64) -> Answer {
        self.0.remove_marked(key, expected.as_deref(), millis(now)).into()
    }

    /// Number of records alive.
    pub fn len(&mut self, now: f64) -> usize {
        self.0.sweep(millis(now));
        self.0.len()
    }
}

impl Core {
    fn running(&self, operation: Operation) -> Running {
        Running::new(Arc::clone(&self.rules), operation)
    }
}

impl MemoryTable {
    /// The end of an operation that only reads; nothing if it fails, waits for anything else, or has anything to tell.
    fn answer(&mut self, mut operation: Running, prefix: &str, now: f64) -> Option<Ending> {
        let mut answer = Answered::Begin;
        loop {
            // An operation that only reads uses no random bytes.
            let Asked { kind, key, text, .. } = match operation.poll(answer, now) {
                Effect::Call(asked) => asked,
                Effect::Finished(ended) => return ended.ok().filter(|_| operation.is_silent()),
                _ => return None,
            };
            let mut read = |key: &str| {
                let whole =
                    if prefix.is_empty() { key.into() } else { Cow::from([prefix, key].concat()) };
                self.0.get(&whole, millis(now)).map(str::to_owned)
            };
            answer = Answered::Reply(match kind {
                Question::Read => read(&key).map_or(Reply::Gone, Reply::Text),
                Question::ReadTwo => Reply::Two(read(&key), Some(read(&text))),
                _ => return None,
            });
        }
    }
}
