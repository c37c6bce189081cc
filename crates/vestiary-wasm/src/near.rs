//! The near cache of a process.

use alloc::{borrow::ToOwned as _, rc::Rc, string::String};
use core::cell::RefCell;

use vestiary::{
    Moment, Reading, Ticket, UnixMillis, constants, protocol::Source, visit::VisitText,
};
use wasm_bindgen::prelude::*;

use crate::convert::moment;

/// The texts that a process has recently read from a store.
#[wasm_bindgen]
#[derive(Clone, Debug)]
pub struct NearCache(Rc<Near>);

#[derive(Debug)]
struct Near(RefCell<vestiary::NearCache>);

#[wasm_bindgen]
impl NearCache {
    /// Creates a cache. Undefined is the default of the most entries.
    #[wasm_bindgen(constructor)]
    pub fn new(entries: Option<usize>) -> Self {
        let entries = entries.unwrap_or(constants::CACHE_ENTRIES as usize);
        Self(Rc::new(Near(RefCell::new(vestiary::NearCache::new(entries)))))
    }

    /// Begins a read of the record with this key, and this name in the feed, or its key. Returns a number for `put`.
    pub fn reading(&self, key: &str, name: &str) -> u32 {
        self.begun(key, name, 0.0, 0.0).changes
    }

    /// Adds the text that the store has returned. The times are those before it was asked.
    pub fn put(&self, key: &str, name: &str, changes: u32, text: &str, now: f64, elapsed: f64) {
        let mut reading = self.begun(key, name, now, elapsed);
        reading.changes = changes;
        self.0.0.borrow_mut().put(key, text, reading);
    }

    /// Whether the result of an operation may be used again: `left` and the five numbers after it in [`Core::numbers`].
    /// The ages are the milliseconds since it was begun, by each clock.
    #[expect(clippy::too_many_arguments, reason = "an object would cost js-sys")]
    pub fn holds(
        &self,
        left: u32,
        stamp: u32,
        own: usize,
        name: usize,
        list: usize,
        list_name: usize,
        age: f64,
        elapsed: f64,
    ) -> bool {
        let (read, slots) = (UnixMillis(0), [[own, name], [list, list_name]]);
        self.0.0.borrow().holds(&Ticket { read, slots, stamp, left }, [age, elapsed])
    }

    /// Records that the record with this key, or with this name in the feed, may have changed.
    pub fn changed(&self, key: &str) {
        self.0.0.borrow_mut().changed(key);
    }

    /// Records that all records may have changed.
    pub fn clear(&self) {
        self.0.0.borrow_mut().clear();
    }
}

impl NearCache {
    /// The cache as the source of an operation's answers.
    pub(crate) fn source(self) -> Rc<dyn Source> {
        self.0
    }

    fn begun(&self, key: &str, name: &str, now: f64, elapsed: f64) -> Reading {
        self.0.0.borrow().reading(key, name, moment(now, elapsed))
    }
}

/// The flags of a visit whose session needs a write, or whose cookie is set: the next request may find it otherwise.
const WORK: u32 = VisitText::DUE | VisitText::UNSEEN | VisitText::COOKIE;

/// The numbers of [`NearCache::holds`] for a visit with these flags; zeros without a ticket.
pub(crate) fn parts(ticket: Option<Ticket>, flags: u32) -> [u32; 6] {
    let Some(Ticket { left, stamp, slots: [[a, b], [c, d]], .. }) = ticket else { return [0; 6] };
    if flags & WORK == 0 { [left, stamp, a as u32, b as u32, c as u32, d as u32] } else { [0; 6] }
}

impl Source for Near {
    fn cached(&self, key: &str, max_stale: u64, at: Moment) -> Option<(String, Ticket)> {
        let mut cache = self.0.borrow_mut();
        cache.get(key, max_stale, at).map(|(text, ticket)| (text.to_owned(), ticket))
    }
}
