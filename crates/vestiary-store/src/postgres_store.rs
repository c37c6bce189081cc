use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, PgPool, Postgres, Row as _, ValueRef as _,
    postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow},
    query::Query,
};
use tokio::sync::{Mutex, OnceCell};
use vestiary::{Ttl, UnixMillis, WriteId};

use crate::{
    Cursor, Entry, Outcome, Page, ReadTwo, Scan, Stamped, Store, StoreError, StoreOptions,
    failure::{Failure, of_sqlx},
    sql::{MARK, SWEEP, TABLE, after_all, table},
    store::NOT_TEXT,
};

/// Keeps sessions in a table of Postgres (12 or newer).
///
/// Each operation is one statement, and atomic at the isolation level of Postgres's default, `READ
/// COMMITTED`; at a stricter one, requests at the same time get errors. Lives are measured by the clock of the
/// server, and logins ordered by it, so the clocks of the applications need not agree. Expired records are removed by the way.
///
/// A replica must not be read: it would bring back ended sessions. A clone is the same store.
///
/// Behind a pooler that gives each transaction another connection to the server (`PgBouncer` with `pool_mode =
/// transaction`), nothing may be left in a connection, such as a prepared statement. The store finds out whether there
/// is one, and then makes each operation a transaction, which takes three round trips more
/// ([`is_pooled`](Self::is_pooled)). Until it has found out, it does so, too.
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
    way: Arc<Way>,
}

/// The way to the server.
#[derive(Default)]
struct Way {
    /// Whether a pooler is on it, once that is known.
    pooled: OnceCell<bool>,
    /// Held by the request that finds out.
    finding_out: Mutex<()>,
}

struct Statements {
    table: String,
    read: String,
    read_two: String,
    create: String,
    replace: String,
    touch: String,
    touch_if: String,
    remove: String,
    now: String,
    stamp: String,
    sweep: String,
    scan: String,
    entry: String,
}

/// One in so many that are created sweeps, and twice as much as was created meanwhile.
const SWEEP_EVERY: u32 = SWEEP / 2;

/// A setting of a connection that a pooler does not pass on: it stays with the server's session.
const SESSION: &str = "vestiary.session";

/// The code by which `PgBouncer` refuses a setting that it does not pass on.
const REFUSED: &str = "08P01";

/// A connection that was used so recently is taken to be there: the pool has tested it when it was given back.
const RECENT: Duration = Duration::from_secs(1);

/// The lock of a process that makes a table of sessions.
const MIGRATION: i64 = i64::from_be_bytes(*b"vestiary");

impl PostgresStore {
    /// Connects, by a pool of ten connections at most; the table is `sessions`. An encrypted connection needs
    /// the feature `tls`.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the address cannot be read or the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        // sqlx asks for a precision of numbers that a pooler refuses to set, and no session has numbers.
        let options: PgConnectOptions = url.parse().map_err(of_sqlx)?;
        let options = options.extra_float_digits(None);
        // By default the pool asks each connection whether it is still there before it is used: that is a round trip.
        let pool =
            PgPoolOptions::new().test_before_acquire(false).before_acquire(|connection, of| {
                Box::pin(async move {
                    if of.idle_for > RECENT {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            });
        Self::with_pool(pool.connect_with(options).await.map_err(of_sqlx)?, TABLE)
    }

    /// A store on a pool of the caller's, in this table. To have it in another schema, let the user have a
    /// `search_path` (`ALTER ROLE app SET search_path = web`); one of the connections' own gets lost in a pooler.
    /// `PgBouncer` also refuses `extra_float_digits`, which sqlx sets unless its options say
    /// `extra_float_digits(None)`.
    ///
    /// By default the pool tests a connection before each use, which is a round trip of its own;
    /// [`connect`](Self::connect) does so only with one that was idle for a second.
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
        let (options, created, way) = (StoreOptions::default(), Arc::default(), Arc::default());
        Ok(Self { pool, options, statements, created, way })
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
            transaction.execute(&**step).await.map_err(of_sqlx)?;
        }
        transaction.commit().await.map_err(of_sqlx)
    }

    /// Whether a pooler stands before the server, which may give each transaction another session of the server's.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the server cannot be reached.
    pub async fn is_pooled(&self) -> Result<bool, StoreError> {
        self.way.pooled.get_or_try_init(|| self.find_out()).await.copied()
    }

    /// Connects with a setting that a pooler refuses, or keeps to itself.
    async fn find_out(&self) -> Result<bool, StoreError> {
        let options = PgConnectOptions::clone(&self.pool.connect_options());
        let mut connection = match options.options([(SESSION, "1")]).connect().await {
            Ok(connection) => connection,
            Err(sqlx::Error::Database(said)) if said.code().as_deref() == Some(REFUSED) => {
                return Ok(true);
            }
            Err(error) => return Err(of_sqlx(error)),
        };
        let question = format!("SELECT current_setting('{SESSION}', true)");
        let row = connection.fetch_one(&*question).await.map_err(of_sqlx)?;
        let _ = connection.close().await;
        let setting: Option<String> = row.try_get(0).map_err(of_sqlx)?;
        Ok(setting.as_deref() != Some("1"))
    }

    /// Runs a statement. A prepared one stays in the server's session, so there has to be one.
    async fn run(&self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, StoreError> {
        let pooled = self.way.pooled.get();
        if pooled == Some(&false) {
            return query.fetch_all(&self.pool).await.map_err(of_sqlx);
        }
        let mut transaction = self.pool.begin().await.map_err(of_sqlx)?;
        let rows = query.persistent(false).fetch_all(&mut *transaction).await.map_err(of_sqlx)?;
        transaction.commit().await.map_err(of_sqlx)?;
        if pooled.is_none()
            && let Ok(_finding_out) = self.way.finding_out.try_lock()
        {
            // If it fails, a later request finds out.
            let _ = Box::pin(self.is_pooled()).await;
        }
        Ok(rows)
    }
}

impl Statements {
    fn of(name: &str) -> Self {
        let table = format!("\"{name}\"");
        let clock =
            "clock AS (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now)";
        // Whoever comes second waits for the row here, and then sees what the first one has made of it. The
        // outcome is of that, and not of what was there when the statement began.
        let found = format!(
            "{clock}, found AS (SELECT key, {MARK} AS mark FROM {table}, clock
            WHERE key = $1 AND expires > now FOR UPDATE OF {table})"
        );
        // As bytes: a database whose encoding is `SQL_ASCII` may have some that are not UTF-8, and the server would
        // refuse to send a whole page for them.
        let [key, record] = ["key", "record"].map(|column| {
            format!(
                "convert_to({column}, CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END)"
            )
        });
        let outcome = "SELECT CASE WHEN EXISTS (SELECT FROM done) THEN 1
            WHEN EXISTS (SELECT FROM found) THEN 0 ELSE -1 END";
        Self {
            table: name.to_owned(),
            read: format!("WITH {clock} SELECT {record} FROM {table}, clock WHERE key = $1 AND expires > now"),
            read_two: format!(
                "WITH {clock} SELECT key = $1, key = $2, {record} FROM {table}, clock
                WHERE key IN ($1, $2) AND expires > now"
            ),
            create: format!(
                "WITH {clock} INSERT INTO {table} AS present (key, record, expires)
                SELECT $1, $2, now + $3 FROM clock
                ON CONFLICT (key) DO UPDATE SET record = excluded.record, expires = excluded.expires
                WHERE present.expires <= excluded.expires - $3 RETURNING 1"
            ),
            replace: format!(
                "WITH {found}, done AS (UPDATE {table} SET record = $3, expires = now + $4 FROM found, clock
                WHERE {table}.key = found.key AND mark = $2 RETURNING 1) {outcome}"
            ),
            touch: format!(
                "WITH {clock} UPDATE {table} SET expires = now + $2 FROM clock
                WHERE key = $1 AND expires > now RETURNING 1"
            ),
            touch_if: format!(
                "WITH {found}, done AS (UPDATE {table} SET expires = now + $3 FROM found, clock
                WHERE {table}.key = found.key AND mark = $2 RETURNING 1) {outcome}"
            ),
            remove: format!(
                "WITH {found}, done AS (DELETE FROM {table} USING found
                WHERE {table}.key = found.key AND mark = $2 RETURNING 1) {outcome}"
            ),
            now: format!("WITH {clock} SELECT now FROM clock"),
            // The time is read after the row is locked: another request may have held it. A row that was inserted meanwhile,
            // and was not seen, is left alone.
            stamp: format!(
                "WITH found AS (SELECT record, expires FROM {table} WHERE key = $1 FOR UPDATE),
                clock AS (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now
                FROM (SELECT count(*) FROM found) AS locked),
                present AS (SELECT record FROM found, clock WHERE expires > now),
                done AS (INSERT INTO {table} (key, record, expires)
                SELECT $1, $2::text || now::text || '}}', now + $3 FROM clock
                WHERE NOT EXISTS (SELECT FROM present WHERE left(record, 6) <> left($2, 6)
                OR substr(record, 23, 14) <> substr($2, 23, 14))
                ON CONFLICT (key) DO UPDATE SET record = excluded.record, expires = excluded.expires
                WHERE EXISTS (SELECT FROM found) RETURNING 1)
                SELECT now, (SELECT {record} FROM present) FROM clock WHERE EXISTS (SELECT FROM done)"
            ),
            // What somebody else holds is being swept, or created again.
            sweep: format!(
                "WITH {clock} DELETE FROM {table} WHERE key IN (SELECT key FROM {table}, clock
                WHERE expires <= now ORDER BY expires LIMIT {SWEEP} FOR UPDATE OF {table} SKIP LOCKED)"
            ),
            scan: format!(
                "WITH {clock} SELECT {key}, {record}, expires - now FROM {table}, clock
                WHERE key COLLATE \"C\" > $1 AND key COLLATE \"C\" < $2 AND expires > now
                ORDER BY key COLLATE \"C\" LIMIT $3"
            ),
            entry: format!(
                "WITH {clock} SELECT {key}, {record}, expires - now FROM {table}, clock
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
        let rows = self.run(sqlx::query(&self.statements.read).bind(self.options.key(key))).await?;
        rows.first().map(|row| text(row, 0)?.ok_or(StoreError::NotText)).transpose()
    }

    async fn read_two(&self, one: &str, other: &str) -> ReadTwo {
        let read = sqlx::query(&self.statements.read_two);
        let read = read.bind(self.options.key(one)).bind(self.options.key(other));
        let rows = match self.run(read).await {
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
        _bound: bool,
    ) -> Result<bool, StoreError> {
        let create = sqlx::query(&self.statements.create).bind(self.options.key(key)).bind(record);
        let created = !self.run(create.bind(self.options.life(ttl))).await?.is_empty();
        if self.created.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP_EVERY) {
            // The record is there, whatever becomes of this; a later one tries again.
            let _ = self.run(sqlx::query(&self.statements.sweep)).await;
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
        let replace = sqlx::query(&self.statements.replace).bind(self.options.key(key));
        let replace = replace.bind(expected.map_or("", WriteId::as_str)).bind(record);
        outcome(&self.run(replace.bind(self.options.life(ttl))).await?)
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        let touch = sqlx::query(&self.statements.touch).bind(self.options.key(key));
        Ok(!self.run(touch.bind(self.options.life(ttl))).await?.is_empty())
    }

    async fn touch_if(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        let touch = sqlx::query(&self.statements.touch_if).bind(self.options.key(key));
        let touch = touch.bind(expected.map_or("", WriteId::as_str));
        outcome(&self.run(touch.bind(self.options.life(ttl))).await?)
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        let remove = sqlx::query(&self.statements.remove).bind(self.options.key(key));
        outcome(&self.run(remove.bind(expected.map_or("", WriteId::as_str))).await?)
    }

    fn resends(&self) -> bool {
        false
    }

    async fn now(&self, _: &str) -> Result<Option<UnixMillis>, StoreError> {
        let rows = self.run(sqlx::query(&self.statements.now)).await?;
        let now: i64 = match rows.first() {
            Some(row) => row.try_get(0).map_err(of_sqlx)?,
            None => return Err(Failure::error("the database sent an unexpected reply")),
        };
        Ok(u64::try_from(now).ok().map(UnixMillis))
    }

    async fn stamp(&self, key: &str, text: &str, ttl: Ttl) -> Result<Option<Stamped>, StoreError> {
        let stamp = sqlx::query(&self.statements.stamp).bind(self.options.key(key)).bind(text);
        let rows = self.run(stamp.bind(self.options.life(ttl))).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let time: i64 = row.try_get(0).map_err(of_sqlx)?;
        // It begins as a text. If it is none, it is a record that cannot be read.
        let before = self::text(row, 1)?.unwrap_or_else(|| NOT_TEXT.to_owned());
        let before = Some(before).filter(|text| !text.is_empty());
        Ok(Some(Stamped { time: UnixMillis(u64::try_from(time).unwrap_or_default()), before }))
    }
}

impl Scan for PostgresStore {
    /// In the order of the keys.
    async fn scan(&self, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        let prefix = &self.options.prefix;
        let mut most = most.max(1);
        let (entries, is_full) = loop {
            let scan = sqlx::query(&self.statements.scan);
            let scan = scan.bind(self.options.key(from.map_or("", |Cursor(key)| key)));
            let scan = scan.bind(after_all(prefix)).bind(i64::try_from(most).unwrap_or(i64::MAX));
            let rows = self.run(scan).await?;
            let entries = rows.iter().filter_map(|row| entry(row, prefix).transpose());
            let entries: Vec<Entry> = entries.collect::<Result<_, _>>()?;
            let is_full = rows.len() >= most;
            if !is_full || !entries.is_empty() {
                break (entries, is_full);
            }
            // None of their keys is text, and one is needed to go on at.
            most *= 2;
        };
        let next = entries.last().filter(|_| is_full);
        let next = next.map(|last| Cursor(last.key.clone()));
        Ok(Page { entries, next })
    }

    async fn entry(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let find = sqlx::query(&self.statements.entry).bind(self.options.key(key));
        let rows = self.run(find).await?;
        let entry = rows.first().map(|row| entry(row, &self.options.prefix)).transpose()?;
        Ok(entry.flatten())
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

fn outcome(rows: &[PgRow]) -> Result<Outcome, StoreError> {
    let answer = rows.first().map(|row| row.try_get(0)).transpose().map_err(of_sqlx)?;
    match answer {
        Some(1) => Ok(Outcome::Done),
        Some(0) => Ok(Outcome::Conflict),
        Some(-1) => Ok(Outcome::Gone),
        _ => Err(Failure::error("the database sent an unexpected reply")),
    }
}

/// The text of a column, if its bytes are text.
fn text(row: &PgRow, column: usize) -> Result<Option<String>, StoreError> {
    let value = row.try_get_raw(column).map_err(of_sqlx)?;
    let bytes = if value.is_null() { Ok(&[][..]) } else { value.as_bytes() };
    let bytes = bytes.map_err(|_| Failure::error("the table is not one of sessions"))?;
    Ok(str::from_utf8(bytes).ok().map(str::to_owned))
}

/// `None` if the key is not text: it belongs to no session.
fn entry(row: &PgRow, prefix: &str) -> Result<Option<Entry>, StoreError> {
    let Some(key) = text(row, 0)? else { return Ok(None) };
    let left: i64 = row.try_get(2).map_err(of_sqlx)?;
    Ok(Some(Entry {
        key: key.strip_prefix(prefix).unwrap_or(&key).to_owned(),
        record: text(row, 1)?.unwrap_or_else(|| NOT_TEXT.to_owned()),
        ttl: Ttl::Millis(u64::try_from(left).unwrap_or_default()),
    }))
}
