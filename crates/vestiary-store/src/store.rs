use std::{
    error::Error as StdError,
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use vestiary::{Ttl, UnixMillis, WriteId};

/// Where sessions are kept: text under keys, each with a life of its own.
///
/// Each operation is atomic and about one key; what a session is, and what its record means, a store does
/// not need to know. Two things make the promises of the [write protocol](vestiary::protocol) hold:
/// [`replace`](Store::replace) and [`remove`](Store::remove) compare the *mark* of the record that is there
/// ([`mark_of`]) with the expected one before they do anything, and nothing but [`create`](Store::create)
/// creates. `vestiary_store::testing` (feature `testing`) checks both, and more.
///
/// A record whose life is over is not there, whether or not it was removed already.
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
/// // Whoever has read the old record may not write over the new one.
/// assert_eq!(store.replace("key", a.as_ref(), old, life).await?, Outcome::Conflict);
/// assert_eq!(store.remove("key", b.as_ref()).await?, Outcome::Done);
/// assert_eq!(store.replace("key", b.as_ref(), old, life).await?, Outcome::Gone);
/// # Ok::<(), vestiary_store::StoreError>(())
/// # }).unwrap();
/// ```
pub trait Store: MaybeSend + MaybeSync + 'static {
    /// The record under `key`, as it is now; [`StoreError::NotText`] if the value there is none.
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

    /// Stores a record if there is none; `false`, and nothing is done, if there is one.
    ///
    /// `bound` says that it belongs to a user: a store that is full may drop one that does not.
    fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        bound: bool,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Stores a record in place of the one that has this mark (`None`: it has none). Never creates.
    fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> impl Future<Output = Result<Outcome, StoreError>> + MaybeSend;

    /// Gives the record under `key` a new life from now on; `false` if there is none. Never creates.
    fn touch(
        &self,
        key: &str,
        ttl: Ttl,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Gives a new TTL to the record under `key` that has this mark (`None`: it has none), and to no other, so
    /// that the tombstone that a login left is never prolonged.
    ///
    /// By default it reads, compares and touches: between the two another request may write. A store that can do
    /// all of it in one operation should.
    fn touch_if(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        ttl: Ttl,
    ) -> impl Future<Output = Result<Outcome, StoreError>> + MaybeSend {
        async move {
            let Some(record) = self.read(key).await? else { return Ok(Outcome::Gone) };
            if mark_of(&record) != expected.map(WriteId::as_str) {
                return Ok(Outcome::Conflict);
            }
            Ok(if self.touch(key, ttl).await? { Outcome::Done } else { Outcome::Gone })
        }
    }

    /// Removes the record that has this mark (`None`: it has none), and no other.
    fn remove(
        &self,
        key: &str,
        expected: Option<&WriteId>,
    ) -> impl Future<Output = Result<Outcome, StoreError>> + MaybeSend;

    /// Whether replicas know what was just removed from under `key`; `None` if nobody can tell.
    fn confirm(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<bool>, StoreError>> + MaybeSend {
        let _ = key;
        std::future::ready(Ok(None))
    }

    /// Whether a write may be sent again by itself, such as by a client that lost its connection. Then a
    /// refusal that took long says nothing: the record that was in the way may be this very write, done
    /// before. It is assumed unless a store knows better.
    fn resends(&self) -> bool {
        true
    }

    /// The TTL that a record gets that is stored with [`Ttl::Infinite`]. A user's session list drops a session
    /// that was not used for longer. Default: a day.
    fn default_ttl(&self) -> Ttl {
        Ttl::Millis(vestiary::constants::STORE_TTL)
    }

    /// The store's own clock, as the node that holds `key` has it. With it the order of a login and of the end of
    /// all sessions of the user does not depend on the clocks of two servers. Default: none, and then it does. A store
    /// whose processes share one machine, such as a file, gains nothing by it.
    fn now(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<UnixMillis>, StoreError>> + MaybeSend {
        let _ = key;
        std::future::ready(Ok(None))
    }

    /// Stores a text that says when it was stored, in one step: `text`, the time by the store's own clock
    /// ([`now`](Self::now)) in milliseconds, and `}`. It does so where there is no record, and in place of a record that
    /// begins as `text` does ([`begin_alike`]), whatever its write ID is. Returns the time, and the record that was there.
    ///
    /// `None`, and nothing is done, if there is any other record. Default: `None`. With it all sessions of a user end in
    /// one round trip; else the list is read and replaced.
    fn stamp(
        &self,
        key: &str,
        text: &str,
        ttl: Ttl,
    ) -> impl Future<Output = Result<Option<Stamped>, StoreError>> + MaybeSend {
        let _ = (key, text, ttl);
        std::future::ready(Ok(None))
    }
}

/// The result of [`Store::stamp`].
#[derive(Clone, Eq, PartialEq)]
pub struct Stamped {
    /// The time in the text that was stored.
    pub time: UnixMillis,
    /// The record that was there.
    pub before: Option<String>,
}

/// Whether two records begin alike: with the same 36 characters, but for the 16 of the write ID. So do a user's session
/// lists that are not encrypted.
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

/// Waits for two answers at the same time.
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

/// Waits for several answers at the same time. They have the order of the questions.
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

/// A store that can be looked through: for operators, not for requests.
pub trait Scan: Store {
    /// Some of the records, beginning at `from` (`None`: at the beginning). A record that is there from the
    /// first page to the last one is on one of them, perhaps on two; others may be on one or not.
    fn scan(
        &self,
        from: Option<&Cursor>,
        most: usize,
    ) -> impl Future<Output = Result<Page, StoreError>> + MaybeSend;

    /// One record, and how long it has.
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
    /// They have no order.
    pub entries: Vec<Entry>,
    /// `None` after the last one.
    pub next: Option<Cursor>,
}

/// A record, and how long it has.
#[derive(Clone, Eq, PartialEq)]
pub struct Entry {
    /// Without the store's prefix.
    pub key: String,
    /// The stored record. U+FFFD if it [is not text](Self::is_text).
    pub record: String,
    /// The rest of its lifetime.
    pub ttl: Ttl,
}

impl Entry {
    /// Whether the stored value is text (UTF-8). Other values are no records: no session is read from them.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.record != NOT_TEXT
    }
}

/// Stands for a stored value that is not text, where a record is wanted that cannot be read.
pub(crate) const NOT_TEXT: &str = "\u{fffd}";

/// What became of a conditional write.
pub use vestiary::Outcome;

/// Why a store did not do what it was asked. The messages hold no ID and no value.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It holds as much as it may. Nothing was done, and nothing was evicted.
    #[error(transparent)]
    Full(vestiary::Error),
    /// Its server or its file holds as much as it may, and has said so. Nothing was done.
    #[error("the session store failed: {0}")]
    OutOfSpace(#[source] Arc<dyn StdError + Send + Sync>),
    /// It has answered, and the answer is that it does not do what was asked, such as a read-only replica.
    /// Nothing was done, and to ask again at once is of no use.
    #[error("the session store failed: {0}")]
    Refused(#[source] Arc<dyn StdError + Send + Sync>),
    /// Its server, its file or its connection failed: what was asked may have been done, or not.
    #[error("the session store failed: {0}")]
    Failed(#[source] Arc<dyn StdError + Send + Sync>),
    /// The value under the key is not text (UTF-8), so it is no record. [`Sessions`](crate::Sessions) treat it as one
    /// that cannot be read, and not as a failure, which would fail all requests of that visitor.
    #[error("the stored value is not text")]
    NotText,
}

impl StoreError {
    /// An error of a store. Errors of the drivers (`redis`, `sqlx`) repeat keys, records and passwords, so only
    /// a description of them is kept, as by `From`. What other errors say is shown: let them say nothing secret.
    pub fn failed(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        #[cfg(any(feature = "redis", feature = "sqlite", feature = "postgres"))]
        return crate::failure::described(source.into())
            .unwrap_or_else(|source| Self::Failed(Arc::from(source)));
        #[cfg(not(any(feature = "redis", feature = "sqlite", feature = "postgres")))]
        Self::Failed(Arc::from(source.into()))
    }

    /// An answer that says that nothing was done, as in [`StoreError::Refused`].
    pub fn refused(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Refused(Arc::from(source.into()))
    }

    /// An answer that says that there is no room, as in [`StoreError::OutOfSpace`].
    pub fn out_of_space(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::OutOfSpace(Arc::from(source.into()))
    }

    /// Whether it is certain that nothing was done. Otherwise what was asked may have been done, or be done yet.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

/// The mark of a record, where a store has to look for it without parsing: the 16 characters after
/// `{"v":"` or `{"cookie":{"v":"` at the very beginning of its text, if a `"` follows them.
///
/// ```
/// # use vestiary_store::mark_of;
/// assert_eq!(mark_of(r#"{"v":"AAAAAAAAAAAAAAAA","data":{}}"#), Some("AAAAAAAAAAAAAAAA"));
/// assert_eq!(mark_of(r#"{"data":{"v":"AAAAAAAAAAAAAAAA"}}"#), None);
/// ```
#[must_use]
pub fn mark_of(record: &str) -> Option<&str> {
    vestiary::Record::mark_of(record)
}

/// Whoever has a key and `hashIds` is off can log in with it, and a record is the application's secret.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// A record is the application's secret.
impl fmt::Debug for Stamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stamped").field("time", &self.time).finish_non_exhaustive()
    }
}

/// `Send`, where there are threads.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> MaybeSend for T {}

/// `Send`, where there are threads.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSend for T {}

/// `Sync`, where there are threads.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSync: Sync {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Sync + ?Sized> MaybeSync for T {}

/// `Sync`, where there are threads.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSync {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSync for T {}
