mod changes;

use std::{fmt, fs::OpenOptions, path::Path, sync::Arc, time::Duration};

use sqlx::{
    Row as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteRow},
};
use vestiary::{Ttl, UnixMillis, WriteId};

use self::changes::Changes;
use crate::{
    Cursor, Entry, Outcome, Page, Polling, ReadTwo, Scan, Store, StoreError, StoreInfo,
    StoreOptions, clock,
    failure::of_sqlx,
    sql::{self, Rows, SWEEP, TABLE, WRITE_ID, polling, table},
};

/// Keeps sessions in an `SQLite` file, as the `SqliteStore` of the npm package does: with the same table, keys and
/// records, so both can have the file open at once. Sessions survive a restart, and the processes of one machine can
/// share them.
///
/// Each creation also removes a few expired records. A clone is the same store.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use vestiary::Ttl;
/// use vestiary_store::{SqliteStore, Store};
///
/// # let path = std::env::temp_dir().join(format!("vestiary-doc-{}.db", std::process::id()));
/// let store = SqliteStore::open(&path).await?;
/// store.create("key", r#"{"data":{}}"#, Ttl::Millis(60_000), false).await?;
/// assert!(store.read("key").await?.is_some());
/// # drop(store);
/// # std::fs::remove_file(path)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    readers: SqlitePool,
    /// A single connection if `open` created it: writers then queue. With several, they would poll for the lock, and
    /// some would wait for seconds.
    writer: SqlitePool,
    options: StoreOptions,
    statements: Arc<Statements>,
    polling: Option<Polling>,
    changes: Arc<Changes>,
}

struct Statements {
    read: String,
    read_two: String,
    has_write_id: String,
    create: String,
    replace: String,
    touch: String,
    touch_if: String,
    remove: String,
    sweep: String,
    scan: String,
    entry: String,
    write_ids: String,
}

impl SqliteStore {
    /// Opens the table `sessions` in this file, and creates both if they are missing. Only the file's owner can read
    /// it; its folder must exist.
    ///
    /// While another process holds the write lock, a write is retried for up to 5 seconds, or for as long as
    /// [`Config::store_timeout`](crate::Config::store_timeout) allows if that is shorter; nothing is written after
    /// that. Nothing blocks the runtime, since `sqlx` runs `SQLite` in threads of its own.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the file cannot be opened, or is not an `SQLite` file.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        Self::make_file(path);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .busy_timeout(Duration::ZERO);
        // Testing a connection before each use is pointless for a file.
        let pool = SqlitePoolOptions::new().test_before_acquire(false);
        let writer = pool.clone().max_connections(1).connect_with(options.clone()).await;
        let changes = Changes::of(options.clone());
        let store = Self::on(pool.connect_lazy_with(options), writer.map_err(of_sqlx)?, TABLE);
        Ok(Self { changes: Arc::new(changes), ..store.await? })
    }

    /// Creates a store on the caller's connections, and the table if it is missing. All connections must see one
    /// database: for one in memory, limit the pool to one connection and keep it open. Set their busy timeout to zero
    /// (sqlx's default is 5 seconds): otherwise a write that waits for another process goes on after its request has
    /// given up.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use vestiary_store::{SqliteStore, sqlx::sqlite::SqlitePoolOptions};
    ///
    /// let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    /// let pool = pool.connect("sqlite::memory:").await?;
    /// let store = SqliteStore::with_pool(pool, "sessions").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the table's name has other characters than letters, digits and `_`, or the table
    /// cannot be created.
    pub async fn with_pool(pool: SqlitePool, table: &str) -> Result<Self, StoreError> {
        Self::on(pool.clone(), pool, table).await
    }

    /// Creates an empty file that only its owner can read, unless the file exists. `SQLite` itself would make it
    /// readable for every user of the machine; its auxiliary files get the mode of this one. [`open`](Self::open) calls
    /// this; a caller of [`with_pool`](Self::with_pool) may call it before connecting.
    ///
    /// A failure is not reported here: connecting to the file then reports it.
    pub fn make_file(path: impl AsRef<Path>) {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let _ = options.open(path);
    }

    /// The SQL that creates the table of this name and its index, unless they exist. It is that of the npm package, also
    /// for Cloudflare D1.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the table's name has other characters than letters, digits and `_`.
    pub fn schema(name: &str) -> Result<String, StoreError> {
        let table = table(name)?;
        Ok(format!(
            "CREATE TABLE IF NOT EXISTS {table} (key TEXT PRIMARY KEY, record TEXT NOT NULL, expires INTEGER NOT NULL) \
             WITHOUT ROWID;\nCREATE INDEX IF NOT EXISTS {table}_expires ON {table} (expires);\n"
        ))
    }

    /// Sets the prefix and the default TTL.
    #[must_use]
    pub fn with_options(self, options: StoreOptions) -> Self {
        Self { options, ..self }
    }

    /// Looks for changes by other processes while streams watch sessions ([`Sessions::ended`](crate::Sessions::ended)): each
    /// half second (`None`), or this often, at most ten times in a second. So a stream ends within a second when another
    /// process ends its session. Only processes with streams need it, and writes stay as they are. The `SqliteStore` of the
    /// npm package has the option `feed`.
    ///
    /// A store of [`open`](Self::open) first looks whether the file has changed, which takes microseconds. One of
    /// [`with_pool`](Self::with_pool) asks about all watched records each time.
    #[must_use]
    pub fn with_feed(self, every: Option<Duration>) -> Self {
        Self { polling: Some(polling(every)), ..self }
    }

    async fn on(readers: SqlitePool, writer: SqlitePool, name: &str) -> Result<Self, StoreError> {
        let name = table(name)?;
        // With a write-ahead log, readers wait for no writer. It fails while another process switches; once is enough.
        let _ = sqlx::query("PRAGMA journal_mode = WAL").execute(&writer).await;
        let definition = Self::schema(name)?;
        patiently(|| sqlx::raw_sql(&definition).execute(&writer)).await?;
        let statements = Arc::new(Statements::of(name));
        let options = StoreOptions::default();
        Ok(Self { readers, writer, options, statements, polling: None, changes: Arc::default() })
    }

    /// Explains why a statement changed nothing. Each statement is a transaction of its own, so this reads afterwards;
    /// `None` if the same statement would succeed now.
    async fn refusal(
        &self,
        key: &str,
        expected: &str,
        now: i64,
    ) -> Result<Option<Outcome>, StoreError> {
        let has_write_id =
            || sqlx::query_scalar(&self.statements.has_write_id).bind(key).bind(now).bind(expected);
        let found: Option<bool> =
            patiently(|| has_write_id().fetch_optional(&self.readers)).await?;
        Ok(match found {
            None => Some(Outcome::Gone),
            Some(has_write_id) => (!has_write_id).then_some(Outcome::Conflict),
        })
    }
}

impl Statements {
    fn of(table: &str) -> Self {
        let upsert = format!(
            "INSERT INTO {table} (key, record, expires) VALUES (?1, ?2, ?3)
            ON CONFLICT (key) DO UPDATE SET record = excluded.record, expires = excluded.expires"
        );
        Self {
            read: format!("SELECT record FROM {table} WHERE key = ?1 AND expires > ?2"),
            read_two: format!(
                "SELECT key = ?1, key = ?3, record FROM {table} WHERE key IN (?1, ?3) AND expires > ?2"
            ),
            has_write_id: format!(
                "SELECT {WRITE_ID} = ?3 FROM {table} WHERE key = ?1 AND expires > ?2"
            ),
            create: format!("{upsert} WHERE expires <= ?4"),
            replace: format!(
                "UPDATE {table} SET record = ?4, expires = ?5
                WHERE key = ?1 AND expires > ?2 AND {WRITE_ID} = ?3"
            ),
            touch: format!("UPDATE {table} SET expires = ?3 WHERE key = ?1 AND expires > ?2"),
            touch_if: format!(
                "UPDATE {table} SET expires = ?4 WHERE key = ?1 AND expires > ?2 AND {WRITE_ID} = ?3"
            ),
            remove: format!(
                "DELETE FROM {table} WHERE key = ?1 AND expires > ?2 AND {WRITE_ID} = ?3"
            ),
            sweep: format!(
                "DELETE FROM {table} WHERE key IN
                (SELECT key FROM {table} WHERE expires <= ?1 ORDER BY expires LIMIT {SWEEP})"
            ),
            scan: format!(
                "SELECT key, record, expires - ?1 FROM {table}
                WHERE key > ?2 AND key < ?3 AND expires > ?1 ORDER BY key LIMIT ?4"
            ),
            entry: format!(
                "SELECT key, record, expires - ?1 FROM {table} WHERE key = ?2 AND expires > ?1"
            ),
            write_ids: format!(
                "SELECT key, {WRITE_ID} FROM {table} WHERE key IN (SELECT value FROM json_each(?1))"
            ),
        }
    }
}

/// Runs a statement, and retries it while another process writes.
async fn patiently<T, F>(run: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    sql::patiently(run, is_busy).await
}

/// `SQLITE_BUSY` and `SQLITE_LOCKED`, in the low byte of the code.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

impl Store for SqliteStore {
    fn default_ttl(&self) -> Ttl {
        self.options.default_ttl()
    }

    async fn check(&self) -> Result<StoreInfo, StoreError> {
        let version = || sqlx::query("SELECT sqlite_version()");
        let row = patiently(|| version().fetch_one(&self.readers)).await?;
        let version: String = row.try_get(0).map_err(of_sqlx)?;
        Ok(StoreInfo::server(format!("SQLite {version}")))
    }

    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        let key = self.options.key(key);
        let read = || sqlx::query(&self.statements.read).bind(&key).bind(now());
        let row = patiently(|| read().fetch_optional(&self.readers)).await?;
        row.map(|row| text(&row, 0)?.ok_or(StoreError::NotText)).transpose()
    }

    async fn read_two(&self, one: &str, other: &str) -> ReadTwo {
        let [one, other] = [one, other].map(|key| self.options.key(key));
        let read = || sqlx::query(&self.statements.read_two).bind(&one).bind(now()).bind(&other);
        let rows = match patiently(|| read().fetch_all(&self.readers)).await {
            Ok(rows) => rows,
            Err(error) => return [Err(error.clone()), Err(error)],
        };
        [0, 1].map(|column| {
            let mut of_key = rows.iter().filter(|row| row.try_get(column).unwrap_or_default());
            of_key.next().map(|row| text(row, 2)?.ok_or(StoreError::NotText)).transpose()
        })
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        _owned: bool,
    ) -> Result<bool, StoreError> {
        let key = self.options.key(key);
        let now = now();
        let create = || {
            let create = sqlx::query(&self.statements.create).bind(&key).bind(record);
            create.bind(now + self.options.life(ttl)).bind(now)
        };
        let created = patiently(|| create().execute(&self.writer)).await?.rows_affected() > 0;
        // The record is stored, even if the sweep fails; the next creation sweeps again.
        let _ = sqlx::query(&self.statements.sweep).bind(now).execute(&self.writer).await;
        Ok(created)
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        let key = self.options.key(key);
        let expected = expected.map_or("", WriteId::as_str);
        loop {
            let now = now();
            let replace = || {
                let replace = sqlx::query(&self.statements.replace).bind(&key).bind(now);
                replace.bind(expected).bind(record).bind(now + self.options.life(ttl))
            };
            if patiently(|| replace().execute(&self.writer)).await?.rows_affected() > 0 {
                return Ok(Outcome::Done);
            }
            if let Some(refusal) = self.refusal(&key, expected, now).await? {
                return Ok(refusal);
            }
        }
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        let key = self.options.key(key);
        let now = now();
        let touch = || {
            let touch = sqlx::query(&self.statements.touch).bind(&key).bind(now);
            touch.bind(now + self.options.life(ttl))
        };
        Ok(patiently(|| touch().execute(&self.writer)).await?.rows_affected() > 0)
    }

    async fn touch_if(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        let key = self.options.key(key);
        let expected = expected.map_or("", WriteId::as_str);
        loop {
            let now = now();
            let touch = || {
                let touch = sqlx::query(&self.statements.touch_if).bind(&key).bind(now);
                touch.bind(expected).bind(now + self.options.life(ttl))
            };
            if patiently(|| touch().execute(&self.writer)).await?.rows_affected() > 0 {
                return Ok(Outcome::Done);
            }
            if let Some(refusal) = self.refusal(&key, expected, now).await? {
                return Ok(refusal);
            }
        }
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        let key = self.options.key(key);
        let expected = expected.map_or("", WriteId::as_str);
        loop {
            let now = now();
            let remove =
                || sqlx::query(&self.statements.remove).bind(&key).bind(now).bind(expected);
            if patiently(|| remove().execute(&self.writer)).await?.rows_affected() > 0 {
                return Ok(Outcome::Done);
            }
            if let Some(refusal) = self.refusal(&key, expected, now).await? {
                return Ok(refusal);
            }
        }
    }

    fn resends(&self) -> bool {
        false
    }

    fn polling(&self) -> Option<Polling> {
        self.polling
    }

    async fn write_ids(&self, keys: &[String]) -> Result<Vec<Option<String>>, StoreError> {
        let keys: Vec<_> = keys.iter().map(|key| self.options.key(key)).collect();
        let list = serde_json::to_string(&keys).map_err(StoreError::failed)?;
        let read = || sqlx::query(&self.statements.write_ids).bind(&list);
        let rows = patiently(|| read().fetch_all(&self.readers)).await?;
        sql::write_ids(&keys, &rows, |row| Ok((text(row, 0)?, text(row, 1)?)))
    }

    async fn state(&self) -> Result<Option<String>, StoreError> {
        self.changes.state().await
    }
}

impl Scan for SqliteStore {
    /// Lists records in the order of their keys.
    async fn scan(&self, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        let [from, end] = &sql::bounds(&self.options, from);
        sql::page(most, |most| async move {
            let scan = sqlx::query(&self.statements.scan).bind(now()).bind(from).bind(end);
            let rows = scan.bind(most).fetch_all(&self.readers).await.map_err(of_sqlx)?;
            Rows::of(&rows, |row| entry(row, &self.options.prefix))
        })
        .await
    }

    async fn entry(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let find = sqlx::query(&self.statements.entry).bind(now()).bind(self.options.key(key));
        let row = find.fetch_optional(&self.readers).await.map_err(of_sqlx)?;
        let entry = row.map(|row| entry(&row, &self.options.prefix)).transpose()?;
        Ok(entry.flatten())
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("options", &self.options).finish_non_exhaustive()
    }
}

fn entry(row: &SqliteRow, prefix: &str) -> Result<Option<Entry>, StoreError> {
    // Another program may have stored any number.
    let left = row.try_get(2).unwrap_or_default();
    Ok(sql::entry(prefix, text(row, 0)?, text(row, 1)?, left))
}

/// The text of a column. Its value may be a blob, or text that is not UTF-8.
fn text(row: &SqliteRow, column: usize) -> Result<Option<String>, StoreError> {
    let bytes: Vec<u8> = row.try_get_unchecked(column).map_err(of_sqlx)?;
    Ok(String::from_utf8(bytes).ok())
}

fn now() -> i64 {
    let UnixMillis(now) = clock::now();
    i64::try_from(now).unwrap_or(i64::MAX / 2)
}
