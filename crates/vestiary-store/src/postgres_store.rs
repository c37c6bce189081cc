mod feed;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, PgPool, Postgres, Row as _, ValueRef as _,
    postgres::{PgArguments, PgConnectOptions, PgRow},
    query::Query,
};
use tokio::sync::{Mutex, OnceCell};
use vestiary::{Ttl, UnixMillis, WriteId};

use crate::{
    ChangeListener, Cursor, Entry, Outcome, Page, ReadTwo, Scan, Stamped, Store, StoreError,
    StoreInfo, StoreOptions,
    failure::{Failure, of_sqlx},
    sql::{self, Rows, SWEEP, SWEEP_EVERY, TABLE, WRITE_ID, pool_options, table},
    store::NOT_TEXT,
};

/// Keeps sessions in a table of Postgres (12 or newer).
///
/// Each operation is one statement, and atomic at Postgres's default isolation level, `READ COMMITTED`. At a stricter
/// level, concurrent requests get errors. TTLs and the order of logins go by the server's clock, so the clocks of the
/// applications need not agree. Creations also remove expired records, a few at a time.
///
/// Do not read from a replica: it would bring back ended sessions. A clone is the same store.
///
/// Behind a pooler that gives each transaction another server connection (`PgBouncer` with `pool_mode = transaction`),
/// no state may stay in a connection, such as a prepared statement. The store detects the pooler, and then makes each
/// operation a transaction, which takes three more round trips ([`is_pooled`](Self::is_pooled)). It also does so until
/// the detection has finished.
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
    feed: Option<Feed>,
}

/// The server to listen to, unless it is that of the pool.
#[derive(Clone)]
struct Feed(Option<Box<PgConnectOptions>>);

/// The columns of the table. Keys are only compared for equality, so the "C" collation suffices: its index survives a
/// new libc.
const COLUMNS: &str =
    "key text COLLATE \"C\" PRIMARY KEY, record text NOT NULL, expires bigint NOT NULL";

/// Facts about the connection to the server.
#[derive(Default)]
struct Way {
    /// Whether there is a pooler, once that is known.
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

/// A setting that a pooler does not forward: it stays with the server's session.
const SESSION: &str = "vestiary.session";

/// The code with which `PgBouncer` refuses a setting that it does not forward.
const REFUSED: &str = "08P01";

/// The advisory lock held while a process creates the table.
const MIGRATION: i64 = i64::from_be_bytes(*b"vestiary");

impl PostgresStore {
    /// Connects with a pool of at most ten connections; the table is `sessions`. An encrypted connection needs the
    /// feature `tls`.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the address is invalid or the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        // sqlx sets the precision of floats, which a pooler refuses; sessions have none.
        let options: PgConnectOptions = url.parse().map_err(of_sqlx)?;
        let options = options.extra_float_digits(None);
        Self::with_pool(pool_options().connect_with(options).await.map_err(of_sqlx)?, TABLE)
    }

    /// Creates a store on the caller's pool, with this table. For a table in another schema, set the user's
    /// `search_path` (`ALTER ROLE app SET search_path = web`); a `search_path` set on the connections gets lost in a
    /// pooler. `PgBouncer` also refuses `extra_float_digits`, which sqlx sets unless its options have
    /// `extra_float_digits(None)`.
    ///
    /// By default the pool pings a connection before each use, which is a round trip. [`connect`](Self::connect) does
    /// so only after the connection was idle for a second.
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
    /// [`StoreError::Failed`] if the table's name has other characters than letters, digits and `_`.
    pub fn with_pool(pool: PgPool, name: &str) -> Result<Self, StoreError> {
        let statements = Arc::new(Statements::of(table(name)?, "1"));
        let options = StoreOptions::default();
        let created = Arc::default();
        let way = Arc::default();
        Ok(Self { pool, options, statements, created, way, feed: None })
    }

    /// Sets the prefix and the default TTL.
    #[must_use]
    pub fn with_options(self, options: StoreOptions) -> Self {
        Self { options, ..self }
    }

    /// Notifies of each change of a record, with a hash in place of its key, and listens while streams watch sessions
    /// ([`Sessions::ended`](crate::Sessions::ended)). So a stream ends at once when another process ends its session. All
    /// processes need it; the `PostgresStore` of the npm package has the option `feed`.
    ///
    /// It listens on one more connection: to `server`, which is only needed if the pool goes through a pooler such as
    /// `PgBouncer`. Postgres commits one transaction with a notification after the other.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), vestiary_store::StoreError> {
    /// use vestiary_store::PostgresStore;
    ///
    /// let store = PostgresStore::connect("postgres://app@localhost/app").await?.with_feed(None);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_feed(self, server: Option<PgConnectOptions>) -> Self {
        let table = &self.statements.table;
        let statements = Arc::new(Statements::of(table, &feed::notify(table)));
        Self { statements, feed: Some(Feed(server.map(Box::new))), ..self }
    }

    /// The SQL that creates the table of this name and its index, for an application that keeps its migrations in files.
    /// It is that of the npm package.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the table's name has other characters than letters, digits and `_`.
    pub fn schema(name: &str) -> Result<String, StoreError> {
        let table = table(name)?;
        Ok(format!(
            "CREATE TABLE \"{table}\" ({COLUMNS});\nCREATE INDEX \"{table}_expires\" ON \"{table}\" (expires);\n"
        ))
    }

    /// Creates the table and its index, unless they exist. Several processes may call it at once. If the application's
    /// user may not create tables, run [`schema`](Self::schema) as another user.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the user may not create them.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let table = &self.statements.table;
        let steps = [
            format!("SELECT pg_advisory_xact_lock({MIGRATION})"),
            format!("CREATE TABLE IF NOT EXISTS \"{table}\" ({COLUMNS})"),
            format!("CREATE INDEX IF NOT EXISTS \"{table}_expires\" ON \"{table}\" (expires)"),
        ];
        let mut transaction = self.pool.begin().await.map_err(of_sqlx)?;
        for step in &steps {
            transaction.execute(&**step).await.map_err(of_sqlx)?;
        }
        transaction.commit().await.map_err(of_sqlx)
    }

    /// Whether there is a pooler before the server that may give each transaction another server session.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the server cannot be reached.
    pub async fn is_pooled(&self) -> Result<bool, StoreError> {
        self.way.pooled.get_or_try_init(|| self.find_out()).await.copied()
    }

    /// Connects with a setting that a pooler refuses or does not forward.
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

    /// Runs a statement. A prepared one lives in the server's session, so it is only used if that session stays the
    /// same.
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
            // On failure, a later request finds out.
            let _ = Box::pin(self.is_pooled()).await;
        }
        Ok(rows)
    }
}

impl Statements {
    /// The statements on this table. A change also computes `changed`.
    fn of(name: &str, changed: &str) -> Self {
        let table = format!("\"{name}\"");
        let clock =
            "clock AS (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now)";
        // The second of two concurrent writers waits for the row here, then sees the first one's result. Its outcome
        // refers to that, not to the row as it was when the statement began.
        let found = format!(
            "{clock}, found AS (SELECT key, {WRITE_ID} AS write_id FROM {table}, clock
            WHERE key = $1 AND expires > now FOR UPDATE OF {table})"
        );
        // As bytes: a database with encoding `SQL_ASCII` may hold text that is not UTF-8, and the server would then
        // refuse to send the whole page.
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
                WHERE {table}.key = found.key AND write_id = $2 RETURNING {changed}) {outcome}"
            ),
            touch: format!(
                "WITH {clock} UPDATE {table} SET expires = now + $2 FROM clock
                WHERE key = $1 AND expires > now RETURNING 1"
            ),
            touch_if: format!(
                "WITH {found}, done AS (UPDATE {table} SET expires = now + $3 FROM found, clock
                WHERE {table}.key = found.key AND write_id = $2 RETURNING 1) {outcome}"
            ),
            remove: format!(
                "WITH {found}, done AS (DELETE FROM {table} USING found
                WHERE {table}.key = found.key AND write_id = $2 RETURNING {changed}) {outcome}"
            ),
            now: format!("WITH {clock} SELECT now FROM clock"),
            // The clock is read after the row is locked, since another request may have held it. A row that was
            // inserted meanwhile, and not seen, is left alone.
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
                WHERE EXISTS (SELECT FROM found) RETURNING {changed})
                SELECT now, (SELECT {record} FROM present) FROM clock WHERE EXISTS (SELECT FROM done)"
            ),
            // A locked row is being swept by another request, or created again. The time is a subquery: with a join, the
            // server would read the whole index for each sweep.
            sweep: format!(
                "WITH {clock} DELETE FROM {table} WHERE key IN (SELECT key FROM {table}
                WHERE expires <= (SELECT now FROM clock) ORDER BY expires LIMIT {SWEEP}
                FOR UPDATE OF {table} SKIP LOCKED)"
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

    async fn check(&self) -> Result<StoreInfo, StoreError> {
        let rows = self.run(sqlx::query("SELECT current_setting('server_version')")).await?;
        let version = rows.first().map(|row| row.try_get::<String, _>(0)).transpose();
        let version = version.map_err(of_sqlx)?.unwrap_or_default();
        Ok(StoreInfo::server(format!("Postgres {version}")))
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
        _owned: bool,
    ) -> Result<bool, StoreError> {
        let create = sqlx::query(&self.statements.create).bind(self.options.key(key)).bind(record);
        let created = !self.run(create.bind(self.options.life(ttl))).await?.is_empty();
        if self.created.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP_EVERY) {
            // The record is stored, even if the sweep fails; a later creation sweeps again.
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

    async fn watch(&self, listener: &dyn ChangeListener) -> Result<(), StoreError> {
        let Some(Feed(server)) = &self.feed else { return Ok(()) };
        let server = server.as_deref().cloned();
        let server =
            server.unwrap_or_else(|| PgConnectOptions::clone(&self.pool.connect_options()));
        feed::watch(server, &feed::channel(&self.statements.table), listener).await
    }

    fn name_of(&self, key: &str) -> Option<String> {
        self.feed.as_ref().map(|_| feed::name_of(&self.options.key(key)))
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
        // The text begins correctly. If the rest is not text, the record is unreadable.
        let before = self::text(row, 1)?.unwrap_or_else(|| NOT_TEXT.to_owned());
        let before = Some(before).filter(|text| !text.is_empty());
        Ok(Some(Stamped { time: UnixMillis(u64::try_from(time).unwrap_or_default()), before }))
    }
}

impl Scan for PostgresStore {
    /// Lists records in the order of their keys.
    async fn scan(&self, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        let [from, end] = &sql::bounds(&self.options, from);
        sql::page(most, |most| async move {
            let scan = sqlx::query(&self.statements.scan).bind(from).bind(end).bind(most);
            Rows::of(&self.run(scan).await?, |row| entry(row, &self.options.prefix))
        })
        .await
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
    let bytes = bytes.map_err(|_| Failure::error("the table is not a session table"))?;
    Ok(str::from_utf8(bytes).ok().map(str::to_owned))
}

fn entry(row: &PgRow, prefix: &str) -> Result<Option<Entry>, StoreError> {
    let left = row.try_get(2).map_err(of_sqlx)?;
    Ok(sql::entry(prefix, text(row, 0)?, text(row, 1)?, left))
}
