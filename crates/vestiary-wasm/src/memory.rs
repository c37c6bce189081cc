//! Records in memory.

use alloc::{
    borrow::{Cow, ToOwned as _},
    boxed::Box,
    rc::Rc,
    string::String,
};
use core::cell::{Cell, RefCell, RefMut};

use vestiary::{
    Error, MemoryLimits, Outcome, Ttl, UnixMillis, WriteId,
    protocol::{Answered, Call, Reply, Source},
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::{millis, thrown, ttl_of},
    running::{Answer, Step},
};

/// Records in memory, under keys that begin with a prefix.
#[wasm_bindgen]
#[derive(Clone, Debug)]
pub struct MemoryTable(Rc<Table>);

#[derive(Debug)]
struct Table {
    records: RefCell<vestiary::MemoryTable>,
    prefix: Box<str>,
    /// The number of writes.
    writes: Cell<u32>,
}

#[wasm_bindgen]
impl MemoryTable {
    /// Creates a table. Undefined is the default of a limit.
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
        let records = RefCell::new(table);
        Self(Rc::new(Table { records, prefix: prefix.into(), writes: Cell::default() }))
    }

    /// The record under a key.
    pub fn get(&self, key: &str, now: f64) -> Option<String> {
        self.0.get(key, millis(now))
    }

    /// Writes a record.
    pub fn set(&self, key: &str, text: &str, ttl: f64, now: f64) -> Result<(), String> {
        let (key, ttl) = (self.0.key(key), ttl_of(ttl));
        self.0.written().set(&key, text, ttl, millis(now)).map_err(thrown)
    }

    /// Restarts the TTL of a record; `false` if there is none.
    pub fn touch(&self, key: &str, ttl: f64, now: f64) -> bool {
        self.0.written().touch(&self.0.key(key), ttl_of(ttl), millis(now))
    }

    /// Removes a record.
    pub fn remove(&self, key: &str) -> bool {
        self.0.written().remove(&self.0.key(key))
    }

    /// Performs a step of an operation that writes the record with the write ID `expected`. An empty text expects a record
    /// without a write ID.
    #[expect(clippy::too_many_arguments, reason = "an object would cost a JSON reader or js-sys")]
    pub fn write(
        &self,
        step: Step,
        key: &str,
        expected: &str,
        text: &str,
        ttl: f64,
        owned: bool,
        now: f64,
    ) -> Result<Answer, String> {
        let (key, ttl) = (self.0.key(key), ttl_of(ttl));
        let expected = (!expected.is_empty()).then_some(expected);
        let outcome = self.0.outcome(step, &key, expected, text, ttl, owned, millis(now));
        outcome.map(Answer::from).map_err(thrown)
    }

    /// The number of writes, including those that changed nothing.
    #[wasm_bindgen(getter)]
    pub fn writes(&self) -> u32 {
        self.0.writes.get()
    }

    /// The number of records.
    pub fn len(&self, now: f64) -> usize {
        let mut table = self.0.records.borrow_mut();
        table.sweep(millis(now));
        table.len()
    }
}

impl MemoryTable {
    /// The table as the source of an operation's answers.
    pub(crate) fn source(self) -> Rc<dyn Source> {
        self.0
    }
}

impl Source for Table {
    fn answer(&self, call: &Call<'_>, now: UnixMillis) -> Option<Answered> {
        let read = |key| self.get(key, now);
        let (step, key, expected, text, ttl, owned) = match *call {
            Call::Read(key) => {
                return Some(Answered::Reply(read(key).map_or(Reply::Gone, Reply::Text)));
            }
            Call::ReadTwo(key, list) => {
                return Some(Answered::Reply(Reply::Two(read(key), Some(read(list)))));
            }
            Call::ReadTimed(key) => return Some(Answered::Reply(Reply::Timed(read(key), None))),
            // The table has no clock of its own.
            Call::Stamp { .. } => return Some(Answered::Reply(Reply::Timed(None, None))),
            Call::Confirm(_) => return Some(Answered::Reply(Reply::Confirmed(None))),
            Call::Create { key, text, ttl, owned } => (Step::Create, key, None, text, ttl, owned),
            Call::Replace { key, expected, text, ttl } => {
                (Step::Replace, key, expected, text, ttl, false)
            }
            Call::Touch { key, expected, ttl } => (Step::Touch, key, expected, "", ttl, false),
            Call::Remove { key, expected } => {
                (Step::Remove, key, expected, "", Ttl::Infinite, false)
            }
        };
        let expected = expected.map(WriteId::as_str);
        Some(match self.outcome(step, &self.key(key), expected, text, ttl, owned, now) {
            Ok(Outcome::Done) => Answered::Reply(Reply::Done),
            Ok(Outcome::Conflict) => Answered::Reply(Reply::Conflict),
            Ok(Outcome::Gone) => Answered::Reply(Reply::Gone),
            Err(error) => Answered::Failed(error),
        })
    }
}

impl Table {
    fn get(&self, key: &str, now: UnixMillis) -> Option<String> {
        self.records.borrow_mut().get(&self.key(key), now).map(str::to_owned)
    }

    /// Counts a write, and returns the table.
    fn written(&self) -> RefMut<'_, vestiary::MemoryTable> {
        self.writes.set(self.writes.get().wrapping_add(1));
        self.records.borrow_mut()
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
            Step::Touch => Ok(table.touch_by_write_id(key, expected, ttl, now)),
            _ => Ok(table.remove_by_write_id(key, expected, now)),
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
