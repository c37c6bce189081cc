#[cfg(any(feature = "sqlite", feature = "mysql"))]
use std::collections::HashMap;
use std::time::Duration;

#[cfg(any(feature = "postgres", feature = "mysql"))]
use sqlx::{
    Connection as _, Database,
    pool::{PoolConnectionMetadata, PoolOptions},
};
use vestiary::Ttl;

use crate::{Cursor, Entry, Page, StoreError, StoreOptions, failure::Failure, store::NOT_TEXT};
#[cfg(any(feature = "sqlite", feature = "mysql"))]
use crate::{
    Polling,
    clock::{self, Stopwatch},
    failure::of_sqlx,
    sessions::entropy,
};

/// The default table.
pub(crate) const TABLE: &str = "sessions";

/// The number of expired records that one sweep removes: few, so that no request is slow.
pub(crate) const SWEEP: u32 = 20;

/// One creation in this many sweeps, and removes twice as many records as were created meanwhile.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) const SWEEP_EVERY: u32 = SWEEP / 2;

/// A connection used this recently is assumed to be alive: the pool tested it when it was returned.
#[cfg(any(feature = "postgres", feature = "mysql"))]
const RECENT: Duration = Duration::from_secs(1);

/// The time for which a statement is retried that the database has not run. Its own timeout would go on after the request
/// has given up, hold a connection, and write in the end.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest pause between two attempts.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
const PAUSE: Duration = Duration::from_millis(50);

/// The write ID of a record, as an SQL expression; `''` without one. It implements [`write_id_of`](crate::write_id_of).
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) const WRITE_ID: &str = r#"CASE
    WHEN substr(record, 1, 6) = '{"v":"' AND substr(record, 23, 1) = '"' THEN substr(record, 7, 16)
    WHEN substr(record, 1, 16) = '{"cookie":{"v":"' AND substr(record, 33, 1) = '"' THEN substr(record, 17, 16)
    ELSE '' END"#;

/// Validates a table name that is inserted into statements unquoted.
pub(crate) fn table(name: &str) -> Result<&str, StoreError> {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.len() > LONGEST_NAME
        || !name.bytes().all(named)
        || name.bytes().next().is_none_or(|first| first.is_ascii_digit())
    {
        return Err(Failure::error(format!(
            "the name of the table must be {LONGEST_NAME} letters, digits and `_` at most, not beginning with a \
             digit"
        )));
    }
    Ok(name)
}

/// Options of a pool that tests a connection only after it was idle for a moment. By default a pool pings each connection
/// before use, which is a round trip.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn pool_options<DB: Database>() -> PoolOptions<DB> {
    PoolOptions::new().test_before_acquire(false).before_acquire(
        |connection: &mut DB::Connection, of: PoolConnectionMetadata| {
            Box::pin(async move {
                if of.idle_for > RECENT {
                    connection.ping().await?;
                }
                Ok(true)
            })
        },
    )
}

/// The rows of a page, as a database returns them.
pub(crate) struct Rows {
    count: usize,
    /// The entries of the rows whose key is text.
    entries: Vec<Entry>,
}

impl Rows {
    pub(crate) fn of<R>(
        rows: &[R],
        entry: impl Fn(&R) -> Result<Option<Entry>, StoreError>,
    ) -> Result<Self, StoreError> {
        let entries = rows.iter().filter_map(|row| entry(row).transpose());
        Ok(Self { count: rows.len(), entries: entries.collect::<Result<_, _>>()? })
    }
}

/// The bounds of the keys that follow a cursor, neither of them included.
pub(crate) fn bounds(options: &StoreOptions, from: Option<&Cursor>) -> [String; 2] {
    [options.key(from.map_or("", |Cursor(key)| key)), after_all(&options.prefix)]
}

/// Reads one page of entries. `rows` reads at most so many rows.
pub(crate) async fn page<F>(most: usize, rows: impl Fn(i64) -> F) -> Result<Page, StoreError>
where
    F: Future<Output = Result<Rows, StoreError>>,
{
    let mut most = most.max(1);
    let (entries, is_full) = loop {
        let Rows { count, entries } = rows(i64::try_from(most).unwrap_or(i64::MAX)).await?;
        let is_full = count >= most;
        if !is_full || !entries.is_empty() {
            break (entries, is_full);
        }
        // No key of this page is text, but the next page needs one to start at.
        most *= 2;
    };
    let next = entries.last().filter(|_| is_full);
    let next = next.map(|last| Cursor(last.key.clone()));
    Ok(Page { entries, next })
}

/// The entry of a row: its key, its record, and the rest of its TTL in milliseconds. `None` if the key is not text: it
/// belongs to no session.
pub(crate) fn entry(
    prefix: &str,
    key: Option<String>,
    record: Option<String>,
    left: i64,
) -> Option<Entry> {
    let key = key?;
    Some(Entry {
        key: key.strip_prefix(prefix).unwrap_or(&key).to_owned(),
        record: record.unwrap_or_else(|| NOT_TEXT.to_owned()),
        ttl: Ttl::Millis(u64::try_from(left).unwrap_or_default()),
    })
}

/// How a table is asked about changes.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) fn polling(every: Option<Duration>) -> Polling {
    let every = every.map_or(EVERY, |every| every.max(MOST_OFTEN));
    Polling { every, most: MOST_KEYS }
}

/// The time between two questions, unless the caller wants another one.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
const EVERY: Duration = Duration::from_millis(500);

/// The shortest time between two questions.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
const MOST_OFTEN: Duration = Duration::from_millis(100);

/// The maximum number of keys in one question.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) const MOST_KEYS: usize = 500;

/// The write IDs of these keys, in their order, from rows with a key and a write ID each.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) fn write_ids<R>(
    keys: &[String],
    rows: &[R],
    columns: impl Fn(&R) -> Result<(Option<String>, Option<String>), StoreError>,
) -> Result<Vec<Option<String>>, StoreError> {
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        if let (Some(key), written) = columns(row)? {
            found.insert(key, written.unwrap_or_default());
        }
    }
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}

/// An upper bound of all keys that begin with the prefix, where text is compared by its bytes.
fn after_all(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

/// Runs a statement, and retries it while its error says that other writers were in the way and that it did nothing.
/// Nothing is in progress between two attempts, so giving up then means that nothing was done.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) async fn patiently<T, F>(
    run: impl Fn() -> F,
    is_in_the_way: fn(&sqlx::Error) -> bool,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let watch = Stopwatch::start();
    let mut pause = Duration::from_millis(1);
    loop {
        match run().await {
            Err(error) if is_in_the_way(&error) && watch.elapsed() < PATIENCE => {
                let [byte] = entropy().unwrap_or_default();
                // Jitter, so that several waiting writers do not return at once.
                clock::pause(pause * (256 + u32::from(byte)) / 512).await;
                pause = (pause * 2).min(PAUSE);
            }
            answer => return answer.map_err(of_sqlx),
        }
    }
}

/// Postgres truncates names to 63 characters, and the index is named after the table.
const LONGEST_NAME: usize = 54;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_plain_name() {
        for name in ["sessions", "_a1", &"x".repeat(54)] {
            assert_eq!(table(name).unwrap(), name);
        }
        for name in ["", "1a", "a-b", "a b", "a\"", "a;b", "é", "a.b", &"x".repeat(55)] {
            assert!(table(name).is_err(), "{name}");
        }
    }
}
