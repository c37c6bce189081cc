//! Records in memory.

use alloc::{borrow::ToOwned as _, string::String};

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
pub struct MemoryTable(vestiary::MemoryTable);

#[wasm_bindgen]
impl Core {
    /// An operation on a visit that only reads, with a table whose keys have this prefix: whether it has ended, as after
    /// `answered`. False, and nothing is done, if there is anything to wait for, or to write. `told` has its reports.
    #[expect(clippy::too_many_arguments, reason = "an object would cost a JSON reader or js-sys")]
    pub fn here(
        &mut self,
        table: &mut MemoryTable,
        prefix: &str,
        task: Task,
        flags: u32,
        at: f64,
        facts: u32,
        now: f64,
        texts: &str,
    ) -> Result<bool, String> {
        let mut running =
            self.begin(task, flags, at, f64::NAN, f64::NAN, f64::NAN, f64::NAN, texts)?;
        let mut answer = Answered::Begin;
        loop {
            // An operation that only reads uses no random bytes.
            if let Some(ended) = running.poll(answer, facts, now, 0.0, &[0; Pending::<()>::ENTROPY])
            {
                self.ended = ended;
                self.told = running.told();
                return Ok(true);
            }
            let Some(reply) = running.question().and_then(|asked| table.answer(asked, prefix, now))
            else {
                return Ok(false);
            };
            answer = Answered::Reply(reply);
        }
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

impl MemoryTable {
    /// The answer to a question that only reads, under a key with this prefix.
    fn answer(&mut self, asked: &Asked, prefix: &str, now: f64) -> Option<Reply> {
        let mut read = |key: &str| self.get(&[prefix, key].concat(), now);
        Some(match asked.kind {
            Question::Read => read(&asked.key).map_or(Reply::Gone, Reply::Text),
            Question::ReadTwo => Reply::Two(read(&asked.key), Some(read(&asked.text))),
            _ => return None,
        })
    }
}
