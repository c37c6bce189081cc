use std::{
    error::Error as StdError,
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use vestiary::{Ttl, UnixMillis, WriteId};

use crate::{ChangeListener, Polling};

/// A store of session records: text under keys, each with a TTL.
///
/// Each operation is atomic and concerns one key. A store need not understand sessions or records. Two promises carry
/// the [write protocol](vestiary::protocol): [`replace`](Store::replace) and [`remove`](Store::remove) compare the
/// write ID of the stored record ([`write_id_of`]) with the expected one before they act, and only
/// [`create`](Store::create) creates. `vestiary_store::testing` (feature `testing`) checks these and more.
///
/// An expired record does not exist, whether or not the store has freed it.
///
/// ```
/// use vestiary_store::{MemoryStore, Outcome, Store};
/// use vestiary::{Ttl, WriteId};
///
/// # futures_executor::block_on(async {
/// let store = MemoryStore::default();
/// let life = Ttl::Millis(60_000);
/// let old = r#"{"v":"AAAAAAAAAAAAAAAA","data":{}}"#;
/// assert!(store.create("key", old, life, false).await?);
///
/// let new = r#"{"v":"BBBBBBBBBBBBBBBB","data":{"n":1}}"#;
/// let [a, b] = ["AAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBB"].map(WriteId::parse);
/// assert_eq!(store.replace("key", a.as_ref(), new, life).await?, Outcome::Done);
/// // A request that has read the old record cannot overwrite the new one.
/// assert_eq!(store.replace("key", a.as_ref(), old, life).await?, Outcome::Conflict);
/// assert_eq!(store.remove("key", b.as_ref()).await?, Outcome::Done);
/// assert_eq!(store.replace("key", b.as_ref(), old, life).await?, Outcome::Gone);
/// # Ok::<(), vestiary_store::StoreError>(())
/// # }).unwrap();
/// ```
pub trait Store: MaybeSend + MaybeSync + 'static {
    /// Reads the record under `key`; [`StoreError::NotText`] if the value is not text.
    fn read(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<String>, StoreError>> + MaybeSend;

    /// Reads the records under two keys at once: a session and its user's session list. Each has the result that
    /// [`read`](Store::read) gives, so that a failure of one does not hide the other. The keys may lie on different
    /// nodes of a cluster.
    ///
    /// Default: two reads at the same time. A store that can do both in one round trip should.
    fn read_two(&self, one: &str, other: &str) -> impl Future<Output = ReadTwo> + MaybeSend {
        async move { both(self.read(one), self.read(other)).await.into() }
    }

    /// Stores a record if there is none. Returns `false`, and does nothing, if there is one.
    ///
    /// `owned` says that the session is owned by a user. A full store may evict anonymous sessions.
    fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        owned: bool,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Replaces the record that has this write ID (`None`: no write ID). Never creates one.
    fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> impl Future<Output = Result<Outcome, StoreError>> + MaybeSend;

    /// Restarts the TTL of the record under `key`; `false` if there is none. Never creates one.
    fn touch(
        &self,
        key: &str,
        ttl: Ttl,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Restarts the TTL of the record under `key` if it has this write ID (`None`: no write ID), so that the tombstone
    /// of a login is never prolonged.
    ///
    /// Default: reads, compares and touches, so another request may write in between. A store that can do it in one
    /// operation should.
    fn touch_if(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        ttl: Ttl,
    ) -> impl Future<Output = Result<Outcome, StoreError>> + MaybeSend {
        async move {
            let Some(record) = self.read(key).await? else { return Ok(Outcome::Gone) };
            if write_id_of(&record) != expected.map(WriteId::as_str) {
                return Ok(Outcome::Conflict);
            }
            Ok(if self.touch(key, ttl).await? { Outcome::Done } else { Outcome::Gone })
        }
    }

    /// Removes the record that has this write ID (`None`: no write ID).
    fn remove(
        &self,
        key: &str,
        expected: Option<&WriteId>,
    ) -> impl Future<Output = Result<Outcome, StoreError>> + MaybeSend;

    /// Whether the replicas have confirmed the removal of `key`; `None` if the store cannot tell.
    fn confirm(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<bool>, StoreError>> + MaybeSend {
        let _ = key;
        std::future::ready(Ok(None))
    }

    /// Whether the client may send a write again by itself, for example after it lost its connection. If so, a late
    /// refusal proves nothing: the record in the way may be the result of this very write. Default: `true`.
    fn resends(&self) -> bool {
        true
    }

    /// The TTL of a record that is stored with [`Ttl::Infinite`]. A user's session list drops sessions that were idle
    /// for longer. Default: one day.
    fn default_ttl(&self) -> Ttl {
        Ttl::Millis(vestiary::constants::STORE_TTL)
    }

    /// The store's own clock, on the node that holds `key`. With it, the order of a login and a revocation of all
    /// sessions does not depend on the clocks of two servers. Default: none. A store whose processes share one machine,
    /// such as a file, needs none.
    fn now(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<UnixMillis>, StoreError>> + MaybeSend {
        let _ = key;
        std::future::ready(Ok(None))
    }

    /// Stores a text with the time, in one step: `text`, the store's own time ([`now`](Self::now)) in milliseconds, and
    /// `}`. It does so if there is no record, or if the record there begins as `text` does ([`begin_alike`]), whatever
    /// its write ID. Returns the time, and the record that was replaced.
    ///
    /// `None`, and nothing is done, if there is any other record. With it, revoking all sessions of a user takes one
    /// round trip; otherwise the list is read and replaced. Default: `None`.
    fn stamp(
        &self,
        key: &str,
        text: &str,
        ttl: Ttl,
    ) -> impl Future<Output = Result<Option<Stamped>, StoreError>> + MaybeSend {
        let _ = (key, text, ttl);
        std::future::ready(Ok(None))
    }

    /// Connects to the store's feed of changes, and stays connected until the connection is lost or the future is dropped.
    /// Calls [`ChangeListener::connected`] when no change is missed any more. From then on the listener gets each record that
    /// [`replace`](Self::replace), [`remove`](Self::remove) or [`stamp`](Self::stamp) has written, also in other processes.
    ///
    /// It is a hint: the store is then asked about the sessions that depend on the record. Lost, late and doubled ones do no
    /// harm. It is called again after a pause, and runs in the runtime of tokio. Needs [`name_of`](Self::name_of). Default:
    /// no feed.
    fn watch(
        &self,
        listener: &dyn ChangeListener,
    ) -> impl Future<Output = Result<(), StoreError>> + MaybeSend {
        let _ = listener;
        std::future::ready(Ok(()))
    }

    /// The name of a record in the feed. It reveals nothing of the key, which may be a session ID. `None` if the store has no
    /// feed. Default: `None`.
    fn name_of(&self, key: &str) -> Option<String> {
        let _ = key;
        None
    }

    /// How to find changes in a store that has no [`watch`](Self::watch): by asking about all watched records, again and
    /// again ([`write_ids`](Self::write_ids)). It needs the runtime of tokio. Default: `None`.
    fn polling(&self) -> Option<Polling> {
        None
    }

    /// Reads the write IDs of some records at once, in the order of the keys: any text for a record without one, `None` for
    /// one that does not exist. It is asked while sessions are watched, if the store has [`polling`](Self::polling), and its
    /// answers are hints, as those of [`watch`](Self::watch). Default: reads one record after the other.
    fn write_ids(
        &self,
        keys: &[String],
    ) -> impl Future<Output = Result<Vec<Option<String>>, StoreError>> + MaybeSend {
        async move {
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                let record = self.read(key).await?;
                let written = record.as_deref().map(|record| write_id_of(record).unwrap_or(record));
                found.push(written.map(str::to_owned));
            }
            Ok(found)
        }
    }

    /// A text that changes with each write to the store, if it is cheaper to read than the records: while it stays the same,
    /// they are not asked about. Default: `None`, unknown.
    fn state(&self) -> impl Future<Output = Result<Option<String>, StoreError>> + MaybeSend {
        std::future::ready(Ok(None))
    }

    /// Asks the server what it is, for a health check. Default: nothing is known.
    fn check(&self) -> impl Future<Output = Result<StoreInfo, StoreError>> + MaybeSend {
        std::future::ready(Ok(StoreInfo::default()))
    }
}

/// The information that a store has about its server: [`Store::check`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct StoreInfo {
    /// Its name and version, such as `Redis 7.2.4`.
    pub version: Option<String>,
    /// The policy by which it drops records when its memory is full. With any but `noeviction`, a full server drops
    /// sessions that are in use.
    pub eviction_policy: Option<String>,
    /// Whether the records are in this process, so that the store cannot be out of reach.
    pub in_process: bool,
}

impl StoreInfo {
    /// A server with this name and version.
    #[must_use]
    pub fn server(version: impl Into<String>) -> Self {
        Self { version: Some(version.into()), ..Self::default() }
    }

    /// A store in this process.
    #[must_use]
    pub fn in_process() -> Self {
        Self { in_process: true, ..Self::default() }
    }
}

/// The result of [`Store::stamp`].
#[derive(Clone, Eq, PartialEq)]
pub struct Stamped {
    /// The time in the stored text.
    pub time: UnixMillis,
    /// The record that was replaced.
    pub before: Option<String>,
}

/// Whether two records begin with the same 36 characters, the 16 of the write ID apart. Users' session lists that are
/// not encrypted do.
///
/// ```
/// # use vestiary_store::begin_alike;
/// let list = |write_id| format!(r#"{{"v":"{write_id}","sessions":{{}}}}"#);
/// assert!(begin_alike(&list("AAAAAAAAAAAAAAAA"), &list("BBBBBBBBBBBBBBBB")));
/// assert!(!begin_alike(&list("AAAAAAAAAAAAAAAA"), r#"{"v":"BBBBBBBBBBBBBBBB","sealed":"AQID"}"#));
/// ```
#[must_use]
pub fn begin_alike(one: &str, other: &str) -> bool {
    [0..6, 22..36].into_iter().all(|part| {
        let [one, other] = [one, other].map(|text| text.as_bytes().get(part.clone()));
        one.is_some() && one == other
    })
}

/// The results of [`Store::read_two`].
pub type ReadTwo = [Result<Option<String>, StoreError>; 2];

/// Awaits two futures concurrently.
pub(crate) async fn both<A, B>(
    one: impl Future<Output = A>,
    other: impl Future<Output = B>,
) -> (A, B) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (None, None);
    poll_fn(|context| {
        if first.is_none()
            && let Poll::Ready(answer) = one.as_mut().poll(context)
        {
            first = Some(answer);
        }
        if second.is_none()
            && let Poll::Ready(answer) = other.as_mut().poll(context)
        {
            second = Some(answer);
        }
        match (first.take(), second.take()) {
            (Some(one), Some(other)) => Poll::Ready((one, other)),
            missing => {
                (first, second) = missing;
                Poll::Pending
            }
        }
    })
    .await
}

/// Awaits several futures concurrently. The results have the order of the futures.
pub(crate) async fn all<F: Future>(questions: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut asked: Vec<_> = questions.map(|question| (Some(Box::pin(question)), None)).collect();
    poll_fn(|context| {
        for (question, answer) in &mut asked {
            if let Some(waiting) = question
                && let Poll::Ready(ready) = waiting.as_mut().poll(context)
            {
                (*question, *answer) = (None, Some(ready));
            }
        }
        if asked.iter().any(|(question, _)| question.is_some()) {
            return Poll::Pending;
        }
        Poll::Ready(asked.drain(..).filter_map(|(_, answer)| answer).collect())
    })
    .await
}

/// A store whose records can be listed: for operators, not for requests.
pub trait Scan: Store {
    /// Lists some records, starting at `from` (`None`: at the first). A record that exists from the first page to the
    /// last appears at least once, perhaps twice. One that is created or removed meanwhile may or may not appear.
    fn scan(
        &self,
        from: Option<&Cursor>,
        most: usize,
    ) -> impl Future<Output = Result<Page, StoreError>> + MaybeSend;

    /// Reads one record and its remaining TTL.
    fn entry(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<Entry>, StoreError>> + MaybeSend;
}

/// Where the next [`Page`] begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cursor(pub String);

/// Some of the records of a store.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Page {
    /// The records, in no particular order.
    pub entries: Vec<Entry>,
    /// The start of the next page; `None` after the last one.
    pub next: Option<Cursor>,
}

/// A record and its remaining TTL.
#[derive(Clone, Eq, PartialEq)]
pub struct Entry {
    /// The key without the store's prefix.
    pub key: String,
    /// The stored record. U+FFFD if it [is not text](Self::is_text).
    pub record: String,
    /// The remaining TTL.
    pub ttl: Ttl,
}

impl Entry {
    /// Whether the stored value is text (UTF-8). Any other value is no record, and no session is read from it.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.record != NOT_TEXT
    }
}

/// Stands in for a stored value that is not text. No record can be parsed from it.
pub(crate) const NOT_TEXT: &str = "\u{fffd}";

/// The outcome of a conditional write.
pub use vestiary::Outcome;

/// A failed store operation. The messages hold no ID and no value.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store is at its limit and evicted nothing. Nothing was done.
    #[error(transparent)]
    Full(vestiary::Error),
    /// The store's server or disk is full, and has said so. Nothing was done.
    #[error("the session store failed: {0}")]
    OutOfSpace(#[source] Arc<dyn StdError + Send + Sync>),
    /// The store refused the operation, as a read-only replica does. Nothing was done, and an immediate retry is
    /// pointless.
    #[error("the session store failed: {0}")]
    Refused(#[source] Arc<dyn StdError + Send + Sync>),
    /// The server, file or connection failed: the operation is in doubt.
    #[error("the session store failed: {0}")]
    Failed(#[source] Arc<dyn StdError + Send + Sync>),
    /// The value under the key is not text (UTF-8). [`Sessions`](crate::Sessions) treat it as an unreadable record; a
    /// failure would fail every request of that visitor.
    #[error("the stored value is not text")]
    NotText,
}

impl StoreError {
    /// Wraps an error of a store. Errors of the clients (`redis`, `sqlx`) repeat keys, records and passwords, so only a
    /// description of them is kept, as by `From`. The text of any other error is kept: it must contain no secrets.
    pub fn failed(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        #[cfg(any(
            feature = "redis",
            feature = "sqlite",
            feature = "postgres",
            feature = "mysql"
        ))]
        return crate::failure::described(source.into())
            .unwrap_or_else(|source| Self::Failed(Arc::from(source)));
        #[cfg(not(any(
            feature = "redis",
            feature = "sqlite",
            feature = "postgres",
            feature = "mysql"
        )))]
        Self::Failed(Arc::from(source.into()))
    }

    /// Wraps an error that says that nothing was done, as [`StoreError::Refused`].
    pub fn refused(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Refused(Arc::from(source.into()))
    }

    /// Wraps an error that says that the store is full, as [`StoreError::OutOfSpace`].
    pub fn out_of_space(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::OutOfSpace(Arc::from(source.into()))
    }

    /// Whether the store is known to have done nothing. Otherwise the operation is in doubt.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

/// The write ID of a record, found without parsing: the 16 characters after `{"v":"` or `{"cookie":{"v":"` at the very
/// beginning of the text, if a `"` follows them.
///
/// ```
/// # use vestiary_store::write_id_of;
/// assert_eq!(write_id_of(r#"{"v":"AAAAAAAAAAAAAAAA","data":{}}"#), Some("AAAAAAAAAAAAAAAA"));
/// assert_eq!(write_id_of(r#"{"data":{"v":"AAAAAAAAAAAAAAAA"}}"#), None);
/// ```
#[must_use]
pub fn write_id_of(record: &str) -> Option<&str> {
    vestiary::Record::write_id_of(record)
}

/// Without `hash_ids`, a key is enough to log in, and a record holds the application's data: shows neither.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// Hides the record, which holds the application's data.
impl fmt::Debug for Stamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stamped").field("time", &self.time).finish_non_exhaustive()
    }
}

/// `Send` on targets with threads.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> MaybeSend for T {}

/// `Send` on targets with threads.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSend for T {}

/// `Sync` on targets with threads.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSync: Sync {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Sync + ?Sized> MaybeSync for T {}

/// `Sync` on targets with threads.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSync {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSync for T {}
