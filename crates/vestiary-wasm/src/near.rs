//! The near cache of a process.

use alloc::{borrow::ToOwned as _, rc::Rc, string::String};
use core::cell::RefCell;

use vestiary::{Moment, Reading, UnixMillis, constants, protocol::Source};
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

impl Source for Near {
    fn cached(&self, key: &str, max_stale: u64, at: Moment) -> Option<(String, UnixMillis)> {
        let mut cache = self.0.borrow_mut();
        cache.get(key, max_stale, at).map(|(text, read)| (text.to_owned(), read))
    }
}
