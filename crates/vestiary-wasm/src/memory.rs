//! Records in memory.

use alloc::{borrow::ToOwned as _, rc::Rc, string::String};
use core::cell::RefCell;

use vestiary::{
    MemoryLimits, Outcome,
    protocol::{Answered, Asked, Pending, Question, Reply},
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::{millis, thrown, ttl_of},
    operations::Task,
    options::Core,
    running::Answer,
};

/// Records in memory.
#[wasm_bindgen]
#[derive(Debug)]
pub struct MemoryTable(Rc<RefCell<vestiary::MemoryTable>>);

#[wasm_bindgen]
impl Core {
    /// An operation on a visit that only reads, with a table whose keys have this prefix: 0 if it has ended, as after
    /// `answered`; 1 if it has, and `told` has its reports. -1, and nothing is done, if there is anything to wait for, or to
    /// write.
    #[expect(clippy::too_many_arguments, reason = "an object would cost a JSON reader or js-sys")]
    pub fn here(
        &mut self,
        table: &MemoryTable,
        prefix: &str,
        task: Task,
        flags: u32,
        at: f64,
        facts: u32,
        now: f64,
        texts: &str,
    ) -> Result<i32, String> {
        let nan = f64::NAN;
        let mut running = self.begin(task, flags, at, nan, nan, nan, nan, texts)?;
        running.answer_by(MemoryTable(Rc::clone(&table.0)), prefix.to_owned(), now);
        // An operation that only reads uses no random bytes.
        let none = [0; Pending::<()>::ENTROPY];
        let Some(ended) = running.poll(Answered::Begin, facts, now, 0.0, &none) else {
            return Ok(-1);
        };
        self.ended = ended;
        self.told = running.told();
        Ok(i32::from(!self.told.is_empty()))
    }

    /// The reports of the operation that has ended last without waiting.
    #[wasm_bindgen(getter)]
    pub fn told(&mut self) -> String {
        core::mem::take(&mut self.told)
    }
}

#[wasm_bindgen]
impl MemoryTable {
    /// A table; undefined takes the default of a limit.
    #[wasm_bindgen(constructor)]
    pub fn new(entries: Option<usize>, bytes: Option<usize>, default_ttl: Option<f64>) -> Self {
        let limits = MemoryLimits::default();
        let table = vestiary::MemoryTable::new(MemoryLimits {
            entries: entries.unwrap_or(limits.entries),
            bytes: bytes.unwrap_or(limits.bytes),
            default_ttl: default_ttl.map_or(limits.default_ttl, |ttl| millis(ttl).0),
        });
        Self(Rc::new(RefCell::new(table)))
    }

    /// The record under a key.
    pub fn get(&self, key: &str, now: f64) -> Option<String> {
        self.0.borrow_mut().get(key, millis(now)).map(str::to_owned)
    }

    /// Writes a record.
    pub fn set(&self, key: &str, text: &str, ttl: f64, now: f64) -> Result<(), String> {
        self.0.borrow_mut().set(key, text, ttl_of(ttl), millis(now)).map_err(thrown)
    }

    /// Extends a record's life; false if it is not there.
    pub fn touch(&self, key: &str, ttl: f64, now: f64) -> bool {
        self.0.borrow_mut().touch(key, ttl_of(ttl), millis(now))
    }

    /// Removes a record.
    pub fn remove(&self, key: &str) -> bool {
        self.0.borrow_mut().remove(key)
    }

    /// Writes a record if there is none; whether it did. `bound`: of a user.
    pub fn create(
        &self,
        key: &str,
        text: &str,
        ttl: f64,
        bound: bool,
        now: f64,
    ) -> Result<bool, String> {
        let outcome = self
            .0
            .borrow_mut()
            .create(key, text, ttl_of(ttl), bound, millis(now))
            .map_err(thrown)?;
        Ok(outcome == Outcome::Done)
    }

    /// Writes a record over the one with this mark.
    pub fn replace(
        &self,
        key: &str,
        expected: Option<String>,
        text: &str,
        ttl: f64,
        now: f64,
    ) -> Result<Answer, String> {
        let outcome =
            self.0.borrow_mut().replace(key, expected.as_deref(), text, ttl_of(ttl), millis(now));
        outcome.map(Answer::from).map_err(thrown)
    }

    /// Gives another TTL to the record with this mark.
    #[wasm_bindgen(js_name = touchMarked)]
    pub fn touch_marked(&self, key: &str, expected: Option<String>, ttl: f64, now: f64) -> Answer {
        self.0.borrow_mut().touch_marked(key, expected.as_deref(), ttl_of(ttl), millis(now)).into()
    }

    /// Removes the record with this mark.
    #[wasm_bindgen(js_name = removeMarked)]
    pub fn remove_marked(&self, key: &str, expected: Option<String>, now: f64) -> Answer {
        self.0.borrow_mut().remove_marked(key, expected.as_deref(), millis(now)).into()
    }

    /// Number of records alive.
    pub fn len(&self, now: f64) -> usize {
        let mut table = self.0.borrow_mut();
        table.sweep(millis(now));
        table.len()
    }
}

impl MemoryTable {
    /// The answer to a question that only reads, under a key with this prefix.
    pub(crate) fn answer(&self, asked: &Asked, prefix: &str, now: f64) -> Option<Reply> {
        let read = |key: &str| self.get(&[prefix, key].concat(), now);
        Some(match asked.kind {
            Question::Read => read(&asked.key).map_or(Reply::Gone, Reply::Text),
            Question::ReadTwo => Reply::Two(read(&asked.key), Some(read(&asked.text))),
            _ => return None,
        })
    }
}
