//! A store that all instances of a scenario share, with a clock of its own and faults on demand.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::Notify;
use vestiary::{Ttl, UnixMillis, WriteId};
use vestiary_store::{Outcome, Store, StoreError, write_id_of};

use super::script::{Fault, StoreOperation};

#[derive(Clone, Default)]
pub struct Shelf {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Inner {
    /// The text under each key, and until when it is there.
    entries: HashMap<String, (String, u64)>,
    faults: BTreeMap<StoreOperation, Fault>,
    asked: BTreeMap<StoreOperation, usize>,
    now: u64,
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub fn set_clock(&self, now: u64) {
        self.lock().now = now;
    }

    /// Sets the faults from now on. Waiting operations continue.
    pub fn fail(&self, faults: BTreeMap<StoreOperation, Fault>) {
        self.lock().faults = faults;
        self.changed.notify_waiters();
    }

    /// How often it was asked since the last call.
    pub fn asked(&self) -> BTreeMap<StoreOperation, usize> {
        std::mem::take(&mut self.lock().asked)
    }

    /// The key of a session's record.
    pub fn key_of(&self, id: &str) -> Option<String> {
        let inner = self.lock();
        if inner.entries.contains_key(id) {
            return Some(id.to_owned());
        }
        let end = format!(":{id}");
        inner.entries.keys().find(|key| key.ends_with(&end)).cloned()
    }

    /// The unexpired records, by key.
    pub fn texts(&self) -> Vec<(String, String)> {
        let inner = self.lock();
        let texts = inner.entries.iter().filter(|(_, (_, until))| *until > inner.now);
        texts.map(|(key, (text, _))| (key.clone(), text.clone())).collect()
    }

    pub fn text(&self, key: &str) -> Option<String> {
        self.lock().text(key).map(str::to_owned)
    }

    pub fn rewrite(&self, key: &str, text: String) {
        if let Some(entry) = self.lock().entries.get_mut(key) {
            entry.0 = text;
        }
    }

    async fn ask<T>(
        &self,
        operation: StoreOperation,
        run: impl FnOnce(&mut Inner) -> T,
    ) -> Result<T, StoreError> {
        *self.lock().asked.entry(operation).or_default() += 1;
        let fault = loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.lock().faults.get(&operation) {
                Some(Fault::Waits) => {}
                fault => break fault.copied(),
            }
            changed.await;
        };
        match fault {
            Some(Fault::Fails | Fault::Waits) => Err(StoreError::failed("down")),
            Some(Fault::Refuses) => Err(StoreError::refused("no")),
            Some(Fault::Full) => Err(StoreError::out_of_space("full")),
            Some(Fault::Loses) => {
                let mut inner = self.lock();
                run(&mut inner);
                inner.faults.remove(&operation);
                Err(StoreError::failed("connection reset"))
            }
            None => Ok(run(&mut self.lock())),
        }
    }
}

impl Inner {
    fn text(&self, key: &str) -> Option<&str> {
        let (text, until) = self.entries.get(key)?;
        (*until > self.now).then_some(text)
    }

    fn put(&mut self, key: &str, text: &str, ttl: Ttl) {
        let life = match ttl {
            Ttl::Infinite => 86_400_000,
            Ttl::Millis(life) => life,
        };
        self.entries.insert(key.to_owned(), (text.to_owned(), self.now + life));
    }

    /// Does something to the record that has this write ID.
    fn at(
        &mut self,
        key: &str,
        expected: Option<&WriteId>,
        run: impl FnOnce(&mut Self, String),
    ) -> Outcome {
        let Some(text) = self.text(key).map(str::to_owned) else { return Outcome::Gone };
        if write_id_of(&text) != expected.map(WriteId::as_str) {
            return Outcome::Conflict;
        }
        run(self, text);
        Outcome::Done
    }
}

impl Store for Shelf {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.ask(StoreOperation::Read, |inner| inner.text(key).map(str::to_owned)).await
    }

    async fn create(&self, key: &str, record: &str, ttl: Ttl, _: bool) -> Result<bool, StoreError> {
        let create = |inner: &mut Inner| {
            let is_free = inner.text(key).is_none();
            if is_free {
                inner.put(key, record, ttl);
            }
            is_free
        };
        self.ask(StoreOperation::Create, create).await
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        let replace =
            |inner: &mut Inner| inner.at(key, expected, |inner, _| inner.put(key, record, ttl));
        self.ask(StoreOperation::Replace, replace).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        let touch = |inner: &mut Inner| {
            let text = inner.text(key).map(str::to_owned);
            text.inspect(|text| inner.put(key, text, ttl)).is_some()
        };
        self.ask(StoreOperation::Touch, touch).await
    }

    async fn touch_if(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        let touch =
            |inner: &mut Inner| inner.at(key, expected, |inner, text| inner.put(key, &text, ttl));
        self.ask(StoreOperation::Touch, touch).await
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        let remove = |inner: &mut Inner| {
            inner.at(key, expected, |inner, _| {
                inner.entries.remove(key);
            })
        };
        self.ask(StoreOperation::Remove, remove).await
    }

    fn resends(&self) -> bool {
        false
    }

    async fn now(&self, _: &str) -> Result<Option<UnixMillis>, StoreError> {
        Ok(Some(UnixMillis(self.lock().now)))
    }
}
