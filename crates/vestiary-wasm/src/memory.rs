//! Records in memory.

use alloc::{
    borrow::{Cow, ToOwned as _},
    rc::Rc,
    string::String,
};
use core::cell::{Cell, RefCell, RefMut};

use vestiary::{
    Error, MemoryLimits, Outcome, Ttl, UnixMillis, WriteId,
    protocol::{Answered, Asked, Effect, Question, Reply},
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::{millis, thrown, ttl_of},
    running::{Answer, Step, step_of},
};

/// Records in memory, under keys that begin with a prefix.
#[wasm_bindgen]
#[derive(Clone, Debug)]
pub struct MemoryTable {
    table: Rc<RefCell<vestiary::MemoryTable>>,
    prefix: Rc<str>,
    /// How often something was written.
    writes: Rc<Cell<u32>>,
}

#[wasm_bindgen]
impl MemoryTable {
    /// A table; undefined takes the default of a limit.
    #[wasm_bindgen(constructor)]
    pub fn new(
        prefix: &str,
        entries: Option<usize>,
        bytes: Option<usize>,
        default_ttl: Option<f64>,
    ) -> Self {
        let limits = MemoryLimits::default();
        let table = vestiary::MemoryTable::new(MemoryLimits {
            entries: entries.unwrap_or(limits.entries),
            bytes: bytes.unwrap_or(limits.bytes),
            default_ttl: default_ttl.map_or(limits.default_ttl, |ttl| millis(ttl).0),
        });
        Self { table: Rc::new(RefCell::new(table)), prefix: prefix.into(), writes: Rc::default() }
    }

    /// The record under a key.
    pub fn get(&self, key: &str, now: f64) -> Option<String> {
        self.table.borrow_mut().get(&self.key(key), millis(now)).map(str::to_owned)
    }

    /// Writes a record.
    pub fn set(&self, key: &str, text: &str, ttl: f64, now: f64) -> Result<(), String> {
        let (key, ttl) = (self.key(key), ttl_of(ttl));
        self.written().set(&key, text, ttl, millis(now)).map_err(thrown)
    }

    /// Extends a record's life; false if it is not there.
    pub fn touch(&self, key: &str, ttl: f64, now: f64) -> bool {
        self.written().touch(&self.key(key), ttl_of(ttl), millis(now))
    }

    /// Removes a record.
    pub fn remove(&self, key: &str) -> bool {
        self.written().remove(&self.key(key))
    }

    /// Writes the record that has the write ID `expected`, as a step of an operation does. An empty one is none.
    #[expect(clippy::too_many_arguments, reason = "an object would cost a JSON reader or js-sys")]
    pub fn write(
        &self,
        step: Step,
        key: &str,
        expected: &str,
        text: &str,
        ttl: f64,
        bound: bool,
        now: f64,
    ) -> Result<Answer, String> {
        let (key, ttl) = (self.key(key), ttl_of(ttl));
        let expected = (!expected.is_empty()).then_some(expected);
        let outcome = self.outcome(step, &key, expected, text, ttl, bound, millis(now));
        outcome.map(Answer::from).map_err(thrown)
    }

    /// How often something was written, or might have been.
    #[wasm_bindgen(getter)]
    pub fn writes(&self) -> u32 {
        self.writes.get()
    }

    /// Number of records alive.
    pub fn len(&self, now: f64) -> usize {
        let mut table = self.table.borrow_mut();
        table.sweep(millis(now));
        table.len()
    }
}

impl MemoryTable {
    /// The answer to an effect. Nothing if it does not concern the store, or is to write while the operation may only read.
    pub(crate) fn answer(&self, effect: &Effect<()>, reads: bool, now: f64) -> Option<Answered> {
        match effect {
            Effect::Call(asked) if !reads || asked.reads() => Some(self.reply(asked, now)),
            Effect::Calls(asked) if !reads => {
                Some(Answered::All(asked.iter().map(|asked| self.reply(asked, now)).collect()))
            }
            _ => None,
        }
    }

    /// The table, for a write.
    fn written(&self) -> RefMut<'_, vestiary::MemoryTable> {
        self.writes.set(self.writes.get().wrapping_add(1));
        self.table.borrow_mut()
    }

    fn reply(&self, asked: &Asked, now: f64) -> Answered {
        let (key, at) = (self.key(&asked.key), millis(now));
        let Asked { text, ttl, owned, .. } = asked;
        let read = |key: &str| self.table.borrow_mut().get(key, at).map(str::to_owned);
        let reply = match asked.kind {
            Question::Read => read(&key).map_or(Reply::Gone, Reply::Text),
            Question::ReadTwo => Reply::Two(read(&key), Some(read(&self.key(text)))),
            Question::ReadTimed => Reply::Timed(read(&key), None),
            // It has no clock of its own.
            Question::Stamp => Reply::Timed(None, None),
            Question::Confirm => Reply::Confirmed(None),
            kind => {
                let expected = asked.expected.as_ref().map(WriteId::as_str);
                match self.outcome(step_of(kind), &key, expected, text, *ttl, *owned, at) {
                    Ok(Outcome::Done) => Reply::Done,
                    Ok(Outcome::Conflict) => Reply::Conflict,
                    Ok(Outcome::Gone) => Reply::Gone,
                    Err(error) => return Answered::Failed(error),
                }
            }
        };
        Answered::Reply(reply)
    }

    #[expect(clippy::too_many_arguments, reason = "a question and its parts")]
    #[inline(never)]
    fn outcome(
        &self,
        step: Step,
        key: &str,
        expected: Option<&str>,
        text: &str,
        ttl: Ttl,
        owned: bool,
        now: UnixMillis,
    ) -> Result<Outcome, Error> {
        let mut table = self.written();
        match step {
            Step::Create => table.create(key, text, ttl, owned, now),
            Step::Replace => table.replace(key, expected, text, ttl, now),
            Step::Touch => Ok(table.touch_marked(key, expected, ttl, now)),
            _ => Ok(table.remove_marked(key, expected, now)),
        }
    }

    fn key<'k>(&self, key: &'k str) -> Cow<'k, str> {
        if self.prefix.is_empty() {
            Cow::Borrowed(key)
        } else {
            [&self.prefix, key].concat().into()
        }
    }
}
