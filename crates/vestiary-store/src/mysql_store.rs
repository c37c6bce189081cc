mod statements;

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sqlx::{
    Executor as _, MySql, MySqlPool, Row as _,
    mysql::{MySqlArguments, MySqlConnectOptions, MySqlDatabaseError, MySqlRow},
    query::Query,
};
use vestiary::{Ttl, UnixMillis, WriteId};

use self::statements::{CAUSAL, SIZES, Statements};
use crate::{
    Cursor, Entry, Outcome, Page, Polling, ReadTwo, Scan, Stamped, Store, StoreError, StoreInfo,
    StoreOptions, begin_alike,
    failure::{Failure, of_sqlx},
    sql::{self, Rows, SWEEP, SWEEP_EVERY, TABLE, patiently, polling, pool_options, table},
    write_id_of,
};

/// Keeps sessions in a table of MySQL (8.0 or newer) or MariaDB (10.6 or newer), as the `MySqlStore` of the npm
/// package does: with the same table, keys and records, so both can use it at once.
///
/// Each write is one statement that is a transaction of its own, and atomic at every isolation level. TTLs and the
/// order of logins go by the server's clock, so the clocks of the applications need not agree. Creations also remove
/// expired records, a few at a time.
///
/// Do not read from a replica: it would bring back ended sessions. The servers of a MariaDB cluster (Galera) wait for
/// each other's writes, so each of them may be asked. A clone is the same store.
///
/// ```no_run
/// # async fn example() -> Result<(), vestiary_store::StoreError> {
/// use vestiary_store::MySqlStore;
///
/// let store = MySqlStore::connect("mysql://app:password@localhost/app").await?;
/// store.migrate().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct MySqlStore {
    pool: MySqlPool,
    options: StoreOptions,
    /// For a server alone, and for one in a cluster.
    statements: Arc<[Statements; 2]>,
    /// Whether the server is in a cluster; empty until it was asked.
    is_clustered: Arc<OnceLock<bool>>,
    created: Arc<AtomicU32>,
    polling: Option<Polling>,
}

/// The most bytes of a key: the limit of an index in every row format and page size. A server that is not strict would
/// truncate a longer key, and mix up two sessions.
const LONGEST_KEY: usize = 767;

/// Stands for the write ID of a record without one. It is no write ID, because it is too short.
const NO_WRITE_ID: &str = "-";

/// A row with this key exists.
const DUPLICATE: u16 = 1062;

/// The statement was rolled back: it and another one waited for each other, or met in two servers of a cluster.
const DEADLOCK: u16 = 1213;

/// Asks whether the server is in a cluster (Galera). A server that was built without clusters has no such variable.
const CLUSTERED: &str = "SHOW VARIABLES LIKE 'wsrep_on'";

/// The number of times that a dated text is written, each time after another request has replaced the record.
const STAMPS: u32 = 100;

impl MySqlStore {
    /// Connects with a pool of at most ten connections; the table is `sessions`. An encrypted connection needs the
    /// feature `tls`.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the address is invalid or the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let options: MySqlConnectOptions = url.parse().map_err(of_sqlx)?;
        Self::with_pool(pool_options().connect_with(options).await.map_err(of_sqlx)?, TABLE)
    }

    /// Creates a store on the caller's pool, with this table in the connections' database.
    ///
    /// By default the pool pings a connection before each use, which is a round trip. [`connect`](Self::connect) does
    /// so only after the connection was idle for a second.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the table's name has other characters than letters, digits and `_`.
    pub fn with_pool(pool: MySqlPool, name: &str) -> Result<Self, StoreError> {
        let name = table(name)?;
        let statements = Arc::new(["", CAUSAL].map(|begin| Statements::of(name, begin)));
        let options = StoreOptions::default();
        Ok(Self {
            pool,
            options,
            statements,
            is_clustered: Arc::default(),
            created: Arc::default(),
            polling: None,
        })
    }

    /// Sets the prefix and the default TTL.
    #[must_use]
    pub fn with_options(self, options: StoreOptions) -> Self {
        Self { options, ..self }
    }

    /// Looks for changes by other processes while streams watch sessions ([`Sessions::ended`](crate::Sessions::ended)): each
    /// half second (`None`), or this often, at most ten times in a second. So a stream ends within a second when another
    /// process ends its session. Only processes with streams need it, and writes stay as they are. The `MySqlStore` of the
    /// npm package has the option `feed`.
    ///
    /// Each time, it reads the write IDs of all watched records by their keys, in statements of up to 500.
    #[must_use]
    pub fn with_feed(self, every: Option<Duration>) -> Self {
        Self { polling: Some(polling(every)), ..self }
    }

    /// The SQL that creates the table and its index, unless they exist.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the table's name has other characters than letters, digits and `_`.
    pub fn schema(name: &str) -> Result<String, StoreError> {
        // Bytes, so that neither a collation makes two keys equal nor a character set changes a record.
        Ok(format!(
            "CREATE TABLE IF NOT EXISTS `{}` (`key` VARBINARY({LONGEST_KEY}) NOT NULL PRIMARY KEY, record LONGBLOB NOT NULL, expires BIGINT NOT NULL, KEY expires (expires)) ENGINE = InnoDB;\n",
            table(name)?
        ))
    }

    /// Creates the table and its index, unless they exist. Several processes may call it at once. If the application's
    /// user may not create tables, run [`schema`](Self::schema) as another user.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the user may not create them.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let create = Self::schema(&self.statements().table)?;
        self.pool.execute(&*create).await.map(drop).map_err(of_sqlx)
    }

    /// The statements for this server, once it was [asked](Self::ask).
    fn statements(&self) -> &Statements {
        let [alone, clustered] = &*self.statements;
        if self.is_clustered.get() == Some(&true) { clustered } else { alone }
    }

    /// Asks whether the server is in a cluster, unless it was asked before.
    async fn ask(&self) -> Result<(), StoreError> {
        if self.is_clustered.get().is_none() {
            let answer =
                sqlx::query(CLUSTERED).fetch_optional(&self.pool).await.map_err(of_sqlx)?;
            let value = answer.map(|row| row.try_get::<String, _>(1)).transpose();
            let _ = self.is_clustered.set(value.map_err(of_sqlx)?.as_deref() == Some("ON"));
        }
        Ok(())
    }

    /// The key of a record.
    fn key(&self, key: &str) -> Result<String, StoreError> {
        let key = self.options.key(key);
        if key.len() > LONGEST_KEY {
            return Err(Failure::refused(format!(
                "a key in MySQL has at most {LONGEST_KEY} bytes, and this one is longer: shorten the prefix"
            )));
        }
        Ok(key)
    }

    async fn rows<'q>(
        &self,
        query: impl Fn() -> Query<'q, MySql, MySqlArguments>,
    ) -> Result<Vec<MySqlRow>, StoreError> {
        self.ask().await?;
        patiently(|| query().fetch_all(&self.pool), is_deadlock).await
    }

    /// Runs a statement, and again if the server has rolled it back in favour of another one. The number of rows that
    /// it has changed.
    async fn changes<'q>(
        &self,
        query: impl Fn() -> Query<'q, MySql, MySqlArguments>,
    ) -> Result<u64, StoreError> {
        self.ask().await?;
        let answer = patiently(|| query().execute(&self.pool), is_deadlock).await?;
        Ok(answer.rows_affected())
    }

    /// Runs a conditional write. One that has changed nothing is explained by what is there afterwards.
    async fn compared<'q>(
        &self,
        key: &str,
        query: impl Fn() -> Query<'q, MySql, MySqlArguments>,
    ) -> Result<Outcome, StoreError> {
        if self.changes(query).await? > 0 {
            return Ok(Outcome::Done);
        }
        let found = self.rows(|| sqlx::query(&self.statements().read).bind(key.as_bytes())).await?;
        Ok(if found.is_empty() { Outcome::Gone } else { Outcome::Conflict })
    }

    /// Creates a record where none is, or an expired one, which is rare: that takes a second statement.
    async fn insert(&self, key: &str, record: &str, life: i64) -> Result<bool, StoreError> {
        self.ask().await?;
        let [key, record] = [key, record].map(str::as_bytes);
        let insert = || {
            let insert = sqlx::query(&self.statements().insert).bind(key).bind(record).bind(life);
            let inserted = insert.execute(&self.pool);
            async {
                match inserted.await {
                    Ok(_) => Ok(true),
                    Err(error) if number_of(&error) == Some(DUPLICATE) => Ok(false),
                    Err(error) => Err(error),
                }
            }
        };
        let revive = || {
            let revive = sqlx::query(&self.statements().revive).bind(record);
            revive.bind(life).bind(life).bind(key)
        };
        // Twice, because another request may sweep the expired row between the two statements.
        for _ in 0..2 {
            if patiently(insert, is_deadlock).await? || self.changes(revive).await? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes a few expired records. One that is locked is being swept by another request, or created again.
    async fn sweep(&self) -> Result<(), StoreError> {
        let expired = self.rows(|| sqlx::query(&self.statements().expired)).await?;
        let expired = expired.iter().map(|row| row.try_get(0));
        let keys: Vec<Vec<u8>> = expired.collect::<Result<_, _>>().map_err(of_sqlx)?;
        let Some(first) = keys.first() else { return Ok(()) };
        let sweep = || {
            let all = keys.iter().chain(std::iter::repeat(first)).take(SWEEP as usize);
            all.fold(sqlx::query(&self.statements().sweep), |sweep, key| sweep.bind(&**key))
        };
        self.changes(sweep).await?;
        Ok(())
    }
}

fn is_deadlock(error: &sqlx::Error) -> bool {
    number_of(error) == Some(DEADLOCK)
}

/// The number of a server's error.
fn number_of(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(error.number())
}

impl Store for MySqlStore {
    fn default_ttl(&self) -> Ttl {
        self.options.default_ttl()
    }

    async fn check(&self) -> Result<StoreInfo, StoreError> {
        let rows = self.rows(|| sqlx::query("SELECT VERSION()")).await?;
        let version = rows.first().map(|row| row.try_get::<String, _>(0)).transpose();
        let version = version.map_err(of_sqlx)?.unwrap_or_default();
        let name = if version.contains("MariaDB") { "MariaDB" } else { "MySQL" };
        let number = version.split('-').next().unwrap_or_default();
        Ok(StoreInfo::server(format!("{name} {number}")))
    }

    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        let key = self.key(key)?;
        let rows = self.rows(|| sqlx::query(&self.statements().read).bind(key.as_bytes())).await?;
        rows.first().map(|row| text(row, 0)?.ok_or(StoreError::NotText)).transpose()
    }

    async fn read_two(&self, one: &str, other: &str) -> ReadTwo {
        let read = async || {
            let [one, other] = [self.key(one)?, self.key(other)?];
            let read = || {
                let read = sqlx::query(&self.statements().read_two);
                read.bind(one.as_bytes()).bind(other.as_bytes())
            };
            let rows = self.rows(read).await?;
            Ok::<_, StoreError>([one, other].map(|key| {
                let is_of_key = |row: &&MySqlRow| {
                    row.try_get::<&[u8], _>(0).is_ok_and(|found| found == key.as_bytes())
                };
                let row = rows.iter().find(is_of_key);
                row.map(|row| text(row, 1)?.ok_or(StoreError::NotText)).transpose()
            }))
        };
        read().await.unwrap_or_else(|error| [Err(error.clone()), Err(error)])
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        _owned: bool,
    ) -> Result<bool, StoreError> {
        let created = self.insert(&self.key(key)?, record, self.options.life(ttl)).await?;
        if self.created.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP_EVERY) {
            // The record is stored, even if the sweep fails; a later creation sweeps again.
            let _ = self.sweep().await;
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
        let (key, life) = (self.key(key)?, self.options.life(ttl));
        let replace = || {
            let replace = sqlx::query(&self.statements().replace).bind(record.as_bytes());
            replace.bind(life).bind(life).bind(key.as_bytes()).bind(bytes_of(expected))
        };
        self.compared(&key, replace).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        let (key, life) = (self.key(key)?, self.options.life(ttl));
        let touch = || {
            let touch = sqlx::query(&self.statements().touch);
            touch.bind(life).bind(life).bind(key.as_bytes())
        };
        Ok(self.changes(touch).await? > 0)
    }

    async fn touch_if(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        let (key, life) = (self.key(key)?, self.options.life(ttl));
        let touch = || {
            let touch = sqlx::query(&self.statements().touch_if).bind(life).bind(life);
            touch.bind(key.as_bytes()).bind(bytes_of(expected))
        };
        self.compared(&key, touch).await
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        let key = self.key(key)?;
        let remove =
            || sqlx::query(&self.statements().remove).bind(key.as_bytes()).bind(bytes_of(expected));
        self.compared(&key, remove).await
    }

    fn resends(&self) -> bool {
        false
    }

    fn polling(&self) -> Option<Polling> {
        self.polling
    }

    async fn write_ids(&self, keys: &[String]) -> Result<Vec<Option<String>>, StoreError> {
        let keys: Vec<_> = keys.iter().map(|key| self.key(key)).collect::<Result<_, _>>()?;
        let Some(first) = keys.first() else { return Ok(Vec::new()) };
        let size = SIZES.into_iter().find(|size| *size >= keys.len()).unwrap_or(keys.len());
        self.ask().await?;
        let sql = self.statements().write_ids(size);
        let read = || {
            let all = keys.iter().chain(std::iter::repeat(first)).take(size);
            all.fold(sqlx::query(&sql), |read, key| read.bind(key.as_bytes()))
        };
        let rows = self.rows(read).await?;
        sql::write_ids(&keys, &rows, |row| Ok((text(row, 0)?, text(row, 1)?)))
    }

    async fn now(&self, _: &str) -> Result<Option<UnixMillis>, StoreError> {
        let rows = self.rows(|| sqlx::query(&self.statements().now)).await?;
        let now: i64 = match rows.first() {
            Some(row) => row.try_get(0).map_err(of_sqlx)?,
            None => return Err(Failure::error("the database sent an unexpected reply")),
        };
        Ok(u64::try_from(now).ok().map(UnixMillis))
    }

    /// Takes three round trips. The clock is read after the record that the text replaces, and the text only replaces
    /// that record. So of two dates in a record, the second one is never earlier.
    async fn stamp(&self, key: &str, text: &str, ttl: Ttl) -> Result<Option<Stamped>, StoreError> {
        let full_key = self.key(key)?;
        let life = self.options.life(ttl);
        for _ in 0..STAMPS {
            let before = match self.read(key).await {
                Err(StoreError::NotText) => return Ok(None),
                before => before?,
            };
            if before.as_ref().is_some_and(|before| !begin_alike(before, text)) {
                return Ok(None);
            }
            let Some(time) = self.now(key).await? else { return Ok(None) };
            let record = format!("{text}{}}}", time.0);
            let written = match before.as_deref() {
                None => self.insert(&full_key, &record, life).await?,
                Some(before) => {
                    let expected = write_id_of(before).unwrap_or(NO_WRITE_ID).as_bytes();
                    let replace = || {
                        let replace =
                            sqlx::query(&self.statements().replace).bind(record.as_bytes());
                        replace.bind(life).bind(life).bind(full_key.as_bytes()).bind(expected)
                    };
                    self.changes(replace).await? > 0
                }
            };
            if written {
                return Ok(Some(Stamped { time, before }));
            }
        }
        Ok(None)
    }
}

impl Scan for MySqlStore {
    /// Lists records in the order of their keys.
    async fn scan(&self, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        let [from, end] = &sql::bounds(&self.options, from);
        sql::page(most, |most| async move {
            let scan = || {
                let scan = sqlx::query(&self.statements().scan).bind(from.as_bytes());
                scan.bind(end.as_bytes()).bind(most)
            };
            Rows::of(&self.rows(scan).await?, |row| entry(row, &self.options.prefix))
        })
        .await
    }

    async fn entry(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let key = self.key(key)?;
        let rows = self.rows(|| sqlx::query(&self.statements().entry).bind(key.as_bytes())).await?;
        let entry = rows.first().map(|row| entry(row, &self.options.prefix)).transpose()?;
        Ok(entry.flatten())
    }
}

impl fmt::Debug for MySqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MySqlStore")
            .field("table", &self.statements().table)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The write ID to compare with.
fn bytes_of(expected: Option<&WriteId>) -> &[u8] {
    expected.map_or(NO_WRITE_ID, WriteId::as_str).as_bytes()
}

/// The text of a column, if its bytes are text.
fn text(row: &MySqlRow, column: usize) -> Result<Option<String>, StoreError> {
    let bytes: &[u8] = row.try_get(column).map_err(of_sqlx)?;
    Ok(str::from_utf8(bytes).ok().map(str::to_owned))
}

fn entry(row: &MySqlRow, prefix: &str) -> Result<Option<Entry>, StoreError> {
    let left = row.try_get(2).map_err(of_sqlx)?;
    Ok(sql::entry(prefix, text(row, 0)?, text(row, 1)?, left))
}
