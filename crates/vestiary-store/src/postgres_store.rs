use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{
    PgPool, Row as _,
    postgres::{PgPoolOptions, PgRow},
};
use vestiary::{Ttl, WriteId};

use crate::{
    Cursor, Entry, Outcome, Page, Scan, Store, StoreError, StoreOptions,
    failure::{Failure, of_sqlx},
    sql::{MARK, SWEEP, TABLE, after_all, table},
};

/// Keeps sessions in a table of Postgres (12 or newer).
///
/// Each operation is one statement, and atomic at the isolation level of Postgres's default, `READ
/// COMMITTED`; at a stricter one, requests at the same time get errors. Lives are measured by the clock of the
/// server, so the clocks of the applications need not agree. Expired records are removed by the way.
///
/// A replica must not be read: it would bring back ended sessions. A clone is the same store.
///
/// ```no_run
/// # async fn example() -> Result<(), vestiary_store::StoreError> {
/// use vestiary_store::PostgresStore;
///
/// let store = PostgresStore::connect("postgres://app@localhost/app").await?;
/// store.migrate().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    options: StoreOptions,
    statements: Arc<Statements>,
    created: Arc<AtomicU32>,
}

struct Statements {
    table: String,
    read: String,
    create: String,
    replace: String,
    touch: String,
    remove: String,
    sweep: String,
    scan: String,
    entry: String,
}

/// One in so many that are created sweeps, and twice as much as was created meanwhile.
const SWEEP_EVERY: u32 = SWEEP / 2;

/// Whoever makes a table of sessions holds this lock.
const MIGRATION: i64 = i64::from_be_bytes(*b"vestiary");

impl PostgresStore {
    /// Connects, by a pool of ten connections at most; the table is `sessions`. An encrypted connection needs
    /// the feature `tls`.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the address cannot be read or the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new().connect(url).await.map_err(of_sqlx)?;
        Self::with_pool(pool, TABLE)
    }

    /// A store on a pool of the caller's, in this table. To have it in another schema, let the connections
    /// have a `search_path`.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use vestiary_store::{PostgresStore, sqlx::PgPool};
    ///
    /// let pool = PgPool::connect("postgres://app@localhost/app").await?;
    /// let store = PostgresStore::with_pool(pool, "web_sessions")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the name of the table is not letters, digits and `_`.
    pub fn with_pool(pool: PgPool, name: &str) -> Result<Self, StoreError> {
        let statements = Arc::new(Statements::of(table(name)?));
        Ok(Self { pool, options: StoreOptions::default(), statements, created: Arc::default() })
    }

    /// The same store with another prefix or default life.
    #[must_use]
    pub fn with_options(self, options: StoreOptions) -> Self {
        Self { options, ..self }
    }

    /// Makes the table and its index, unless they are there. Several processes may do it at once.
    ///
    /// What it runs, if the user of the application may not:
    ///
    /// ```sql
    /// CREATE TABLE sessions (key text COLLATE "C" PRIMARY KEY, record text NOT NULL, expires bigint NOT NULL);
    /// CREATE INDEX sessions_expires ON sessions (expires);
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Failed`] if that is not allowed.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let table = &self.statements.table;
        // Keys are compared for equality only: bytes do, and need no new index with each new libc.
        let steps = [
            format!("SELECT pg_advisory_xact_lock({MIGRATION})"),
            format!(
                "CREATE TABLE IF NOT EXISTS \"{table}\" (key text COLLATE \"C\" PRIMARY KEY, record text NOT NULL,
                expires bigint NOT NULL)"
            ),
            format!("CREATE INDEX IF NOT EXISTS \"{table}_expires\" ON \"{table}\" (expires)"),
        ];
        let mut transaction = self.pool.begin().await.map_err(of_sqlx)?;
        for step in &steps {
            sqlx::query(step).execute(&mut *transaction).await.map_err(of_sqlx)?;
        }
        transaction.commit().await.map_err(of_sqlx)
    }
}

impl Statements {
    fn of(name: &str) -> Self {
        let table = format!("\"{name}\"");
        let clock =
            "clock AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now)";
        // Whoever comes second waits for the row here, and then sees what the first one has made of it. The
        // outcome is of that, and not of what was there when the statement began.
        let found = format!(
            "{clock}, found AS (SELECT key, {MARK} AS mark FROM {table}, clock
            WHERE key = $1 AND expires > now FOR UPDATE OF {table})"
        );
        let outcome = "SELECT CASE WHEN EXISTS (SELECT FROM done) THEN 1
            WHEN EXISTS (SELECT FROM found) THEN 0 ELSE -1 END";
        Self {
            table: name.to_owned(),
            read: format!("WITH {clock} SELECT record FROM {table}, clock WHERE key = $1 AND expires > now"),
            create: format!(
                "WITH {clock} INSERT INTO {table} AS present (key, record, expires)
                SELECT $1, $2, now + $3 FROM clock
                ON CONFLICT (key) DO UPDATE SET record = excluded.record, expires = excluded.expires
                WHERE present.expires <= excluded.expires - $3"
            ),
            replace: format!(
                "WITH {found}, done AS (UPDATE {table} SET record = $3, expires = now + $4 FROM found, clock
                WHERE {table}.key = found.key AND mark = $2 RETURNING 1) {outcome}"
            ),
            touch: format!(
                "WITH {clock} UPDATE {table} SET expires = now + $2 FROM clock
                WHERE key = $1 AND expires > now"
            ),
            remove: format!(
                "WITH {found}, done AS (DELETE FROM {table} USING found
                WHERE {table}.key = found.key AND mark = $2 RETURNING 1) {outcome}"
            ),
            // What somebody else holds is being swept, or created again.
            sweep: format!(
                "WITH {clock} DELETE FROM {table} WHERE key IN (SELECT key FROM {table}, clock
                WHERE expires <= now ORDER BY expires LIMIT {SWEEP} FOR UPDATE OF {table} SKIP LOCKED)"
            ),
            scan: format!(
                "WITH {clock} SELECT key, record, expires - now FROM {table}, clock
                WHERE key COLLATE \"C\" > $1 AND key COLLATE \"C\" < $2 AND expires > now
                ORDER BY key COLLATE \"C\" LIMIT $3"
            ),
            entry: format!(
                "WITH {clock} SELECT key, record, expires - now FROM {table}, clock
                WHERE key = $1 AND expires > now"
            ),
        }
    }
}

impl Store for PostgresStore {
    fn default_ttl(&self) -> Ttl {
        self.options.default_ttl()
    }

    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        let read = sqlx::query_scalar(&self.statements.read).bind(self.options.key(key));
        read.fetch_optional(&self.pool).await.map_err(of_sqlx)
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        _bound: bool,
    ) -> Result<bool, StoreError> {
        let create = sqlx::query(&self.statements.create).bind(self.options.key(key)).bind(record);
        let create = create.bind(self.options.life(ttl)).execute(&self.pool).await;
        let created = create.map_err(of_sqlx)?.rows_affected() > 0;
        if self.created.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP_EVERY) {
            // The record is there, whatever becomes of this; a later one tries again.
            let _ = sqlx::query(&self.statements.sweep).execute(&self.pool).await;
        }
        Ok(created)
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        let replace = sqlx::query_scalar(&self.statements.replace).bind(self.options.key(key));
        let replace = replace.bind(expected.map_or("", WriteId::as_str)).bind(record);
        let replace = replace.bind(self.options.life(ttl));
        outcome(replace.fetch_one(&self.pool).await.map_err(of_sqlx)?)
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        let touch = sqlx::query(&self.statements.touch).bind(self.options.key(key));
        let touch = touch.bind(self.options.life(ttl)).execute(&self.pool).await;
        Ok(touch.map_err(of_sqlx)?.rows_affected() > 0)
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        let remove = sqlx::query_scalar(&self.statements.remove).bind(self.options.key(key));
        let remove = remove.bind(expected.map_or("", WriteId::as_str));
        outcome(remove.fetch_one(&self.pool).await.map_err(of_sqlx)?)
    }

    fn resends(&self) -> bool {
        false
    }
}

impl Scan for PostgresStore {
    /// In the order of the keys.
    async fn scan(&self, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        let limit = i64::try_from(most.max(1)).unwrap_or(i64::MAX);
        let prefix = &self.options.prefix;
        let scan = sqlx::query(&self.statements.scan);
        let scan = scan.bind(self.options.key(from.map_or("", |Cursor(key)| key)));
        let scan = scan.bind(after_all(prefix)).bind(limit);
        let rows = scan.fetch_all(&self.pool).await.map_err(of_sqlx)?;
        let entries: Vec<Entry> =
            rows.iter().map(|row| entry(row, prefix)).collect::<Result<_, _>>().map_err(of_sqlx)?;
        let next = entries.last().filter(|_| entries.len() >= most.max(1));
        let next = next.map(|last| Cursor(last.key.clone()));
        Ok(Page { entries, next })
    }

    async fn entry(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let find = sqlx::query(&self.statements.entry).bind(self.options.key(key));
        let row = find.fetch_optional(&self.pool).await.map_err(of_sqlx)?;
        row.map(|row| entry(&row, &self.options.prefix)).transpose().map_err(of_sqlx)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("table", &self.statements.table)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

fn outcome(answer: i32) -> Result<Outcome, StoreError> {
    match answer {
        1 => Ok(Outcome::Done),
        0 => Ok(Outcome::Conflict),
        -1 => Ok(Outcome::Gone),
        _ => Err(Failure::error("the database gave no answer that was expected")),
    }
}

fn entry(row: &PgRow, prefix: &str) -> Result<Entry, sqlx::Error> {
    let key: &str = row.try_get(0)?;
    let left: i64 = row.try_get(2)?;
    Ok(Entry {
        key: key.strip_prefix(prefix).unwrap_or(key).to_owned(),
        record: row.try_get(1)?,
        ttl: Ttl::Millis(u64::try_from(left).unwrap_or_default()),
    })
}
