use std::{fmt, future::Future, pin::Pin, sync::Arc};

use vestiary::{Ttl, UnixMillis, WriteId};

use crate::{
    ChangeListener, Outcome, Polling, ReadTwo, Stamped, Store, StoreError, StoreInfo,
    store::{MaybeSend, MaybeSync, NOT_TEXT},
};

/// A store of any kind, as [`Sessions`](crate::Sessions) hold it, so that no type above them names the store.
///
/// Each answer is boxed; `docs/reference/benchmarks.md` has the cost.
#[derive(Clone)]
pub struct AnyStore(Arc<dyn Erased>);

impl AnyStore {
    /// Erases the type of this store.
    pub fn new(store: impl Store) -> Self {
        Self(Arc::new(store))
    }
}

impl Store for AnyStore {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        record_of(self.0.read(key).await)
    }

    async fn read_two(&self, one: &str, other: &str) -> ReadTwo {
        self.0.read_two(one, other).await.map(record_of)
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        owned: bool,
    ) -> Result<bool, StoreError> {
        self.0.create(key, record, ttl, owned).await
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        self.0.replace(key, expected, record, ttl).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        self.0.touch(key, ttl).await
    }

    async fn touch_if(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        self.0.touch_if(key, expected, ttl).await
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        self.0.remove(key, expected).await
    }

    async fn confirm(&self, key: &str) -> Result<Option<bool>, StoreError> {
        self.0.confirm(key).await
    }

    fn resends(&self) -> bool {
        self.0.resends()
    }

    fn default_ttl(&self) -> Ttl {
        self.0.default_ttl()
    }

    async fn now(&self, key: &str) -> Result<Option<UnixMillis>, StoreError> {
        self.0.now(key).await
    }

    async fn stamp(&self, key: &str, text: &str, ttl: Ttl) -> Result<Option<Stamped>, StoreError> {
        self.0.stamp(key, text, ttl).await
    }

    async fn watch(&self, listener: &dyn ChangeListener) -> Result<(), StoreError> {
        self.0.watch(listener).await
    }

    fn name_of(&self, key: &str) -> Option<String> {
        self.0.name_of(key)
    }

    fn polling(&self) -> Option<Polling> {
        self.0.polling()
    }

    async fn write_ids(&self, keys: &[String]) -> Result<Vec<Option<String>>, StoreError> {
        self.0.write_ids(keys).await
    }

    async fn state(&self) -> Result<Option<String>, StoreError> {
        self.0.state().await
    }

    async fn check(&self) -> Result<StoreInfo, StoreError> {
        self.0.check().await
    }
}

impl fmt::Debug for AnyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyStore").finish_non_exhaustive()
    }
}

/// Turns a value that is not text into an unreadable record, which is how callers treat it.
fn record_of(read: Result<Option<String>, StoreError>) -> Result<Option<String>, StoreError> {
    match read {
        Err(StoreError::NotText) => Ok(Some(NOT_TEXT.to_owned())),
        read => read,
    }
}

type Boxed<'a, T> = Answer<'a, Result<T, StoreError>>;
#[cfg(not(target_arch = "wasm32"))]
type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
#[cfg(target_arch = "wasm32")]
type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// [`Store`] with boxed futures.
trait Erased: MaybeSend + MaybeSync {
    fn read<'a>(&'a self, key: &'a str) -> Boxed<'a, Option<String>>;
    fn read_two<'a>(&'a self, one: &'a str, other: &'a str) -> Answer<'a, ReadTwo>;
    fn create<'a>(
        &'a self,
        key: &'a str,
        record: &'a str,
        ttl: Ttl,
        owned: bool,
    ) -> Boxed<'a, bool>;
    fn replace<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a WriteId>,
        record: &'a str,
        ttl: Ttl,
    ) -> Boxed<'a, Outcome>;
    fn touch<'a>(&'a self, key: &'a str, ttl: Ttl) -> Boxed<'a, bool>;
    fn touch_if<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a WriteId>,
        ttl: Ttl,
    ) -> Boxed<'a, Outcome>;
    fn remove<'a>(&'a self, key: &'a str, expected: Option<&'a WriteId>) -> Boxed<'a, Outcome>;
    fn confirm<'a>(&'a self, key: &'a str) -> Boxed<'a, Option<bool>>;
    fn resends(&self) -> bool;
    fn default_ttl(&self) -> Ttl;
    fn now<'a>(&'a self, key: &'a str) -> Boxed<'a, Option<UnixMillis>>;
    fn stamp<'a>(&'a self, key: &'a str, text: &'a str, ttl: Ttl) -> Boxed<'a, Option<Stamped>>;
    fn watch<'a>(&'a self, listener: &'a dyn ChangeListener) -> Boxed<'a, ()>;
    fn name_of(&self, key: &str) -> Option<String>;
    fn polling(&self) -> Option<Polling>;
    fn write_ids<'a>(&'a self, keys: &'a [String]) -> Boxed<'a, Vec<Option<String>>>;
    fn state(&self) -> Boxed<'_, Option<String>>;
    fn check(&self) -> Boxed<'_, StoreInfo>;
}

impl<S: Store> Erased for S {
    fn read<'a>(&'a self, key: &'a str) -> Boxed<'a, Option<String>> {
        Box::pin(Store::read(self, key))
    }

    fn read_two<'a>(&'a self, one: &'a str, other: &'a str) -> Answer<'a, ReadTwo> {
        Box::pin(Store::read_two(self, one, other))
    }

    fn create<'a>(
        &'a self,
        key: &'a str,
        record: &'a str,
        ttl: Ttl,
        owned: bool,
    ) -> Boxed<'a, bool> {
        Box::pin(Store::create(self, key, record, ttl, owned))
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a WriteId>,
        record: &'a str,
        ttl: Ttl,
    ) -> Boxed<'a, Outcome> {
        Box::pin(Store::replace(self, key, expected, record, ttl))
    }

    fn touch<'a>(&'a self, key: &'a str, ttl: Ttl) -> Boxed<'a, bool> {
        Box::pin(Store::touch(self, key, ttl))
    }

    fn touch_if<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a WriteId>,
        ttl: Ttl,
    ) -> Boxed<'a, Outcome> {
        Box::pin(Store::touch_if(self, key, expected, ttl))
    }

    fn remove<'a>(&'a self, key: &'a str, expected: Option<&'a WriteId>) -> Boxed<'a, Outcome> {
        Box::pin(Store::remove(self, key, expected))
    }

    fn confirm<'a>(&'a self, key: &'a str) -> Boxed<'a, Option<bool>> {
        Box::pin(Store::confirm(self, key))
    }

    fn resends(&self) -> bool {
        Store::resends(self)
    }

    fn default_ttl(&self) -> Ttl {
        Store::default_ttl(self)
    }

    fn now<'a>(&'a self, key: &'a str) -> Boxed<'a, Option<UnixMillis>> {
        Box::pin(Store::now(self, key))
    }

    fn stamp<'a>(&'a self, key: &'a str, text: &'a str, ttl: Ttl) -> Boxed<'a, Option<Stamped>> {
        Box::pin(Store::stamp(self, key, text, ttl))
    }

    fn watch<'a>(&'a self, listener: &'a dyn ChangeListener) -> Boxed<'a, ()> {
        Box::pin(Store::watch(self, listener))
    }

    fn name_of(&self, key: &str) -> Option<String> {
        Store::name_of(self, key)
    }

    fn polling(&self) -> Option<Polling> {
        Store::polling(self)
    }

    fn write_ids<'a>(&'a self, keys: &'a [String]) -> Boxed<'a, Vec<Option<String>>> {
        Box::pin(Store::write_ids(self, keys))
    }

    fn state(&self) -> Boxed<'_, Option<String>> {
        Box::pin(Store::state(self))
    }

    fn check(&self) -> Boxed<'_, StoreInfo> {
        Box::pin(Store::check(self))
    }
}
