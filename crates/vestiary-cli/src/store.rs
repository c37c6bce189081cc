mod databases;

use std::time::Duration;

use clap::Args;
use vestiary::{Ttl, UnixMillis, WriteId};
use vestiary_store::{
    Cursor, Entry, MySqlStore, Outcome, Page, PostgresStore, RedisConnection, RedisStore, Scan,
    SqliteStore, Stamped, Store, StoreError, StoreOptions,
    redis::{
        AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo as _, TlsMode, Value,
        aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
        cluster::ClusterClient,
        cluster_async::ClusterConnection,
        cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo},
        cmd,
        sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
    },
    sqlx::{self, Executor as _, MySqlPool, PgPool, Row as _, SqlitePool},
};

use crate::{
    address::{Address, FORMS, Sentinel, redacted},
    failure::Failure,
};

/// Where the sessions are.
#[derive(Args, Debug)]
pub(crate) struct StoreArgs {
    #[arg(long, value_name = "URL", env = "VESTIARY_STORE", hide_env_values = true)]
    #[arg(help_heading = "Store", help = STORE_HELP)]
    store: Option<String>,
    /// The prefix of every key
    #[arg(long, value_name = "TEXT", default_value = "sess:", help_heading = "Store")]
    prefix: String,
    /// The table, in an SQL database
    #[arg(long, value_name = "NAME", default_value = "sessions", help_heading = "Store")]
    table: String,
}

const STORE_HELP: &str = "The store: redis://, rediss://, redis+cluster://A,B, redis+sentinel://A,B/PRIMARY, \
                          sqlite:FILE, postgres:// or mysql://";

impl StoreArgs {
    pub(crate) fn is_named(&self) -> bool {
        self.store.is_some()
    }

    pub(crate) fn place(&self) -> Result<Place<'_>, Failure> {
        let url = self.store.as_deref().ok_or_else(|| {
            let message =
                format!("no store is given: pass --store URL or set VESTIARY_STORE, with {FORMS}");
            Failure::Usage("store_missing", message)
        })?;
        Ok(Place { url, prefix: &self.prefix, table: &self.table, create: false })
    }
}

/// One store, with a prefix and a table.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) url: &'a str,
    pub(crate) prefix: &'a str,
    pub(crate) table: &'a str,
    /// Whether it is going to be filled: a missing file or table is created, and writes to a file are durable only
    /// after [`OpenStore::settle`].
    pub(crate) create: bool,
}

/// An open store, and its server for operators' commands.
#[derive(Clone)]
pub(crate) struct OpenStore {
    pub(crate) server: Server,
    /// Its URL without credentials.
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) table: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Redis(RedisStore),
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
    MySql(MySqlStore),
}

/// Runs an expression with the store of a [`Kind`]: they share a trait, but no type.
macro_rules! on {
    ($kind:expr, $store:ident => $asked:expr) => {
        match $kind {
            Kind::Redis($store) => $asked,
            Kind::Sqlite($store) => $asked,
            Kind::Postgres($store) => $asked,
            Kind::MySql($store) => $asked,
        }
    };
}

/// The server behind a store.
#[derive(Clone)]
pub(crate) enum Server {
    Redis(RedisServer),
    /// Also holds the journal mode from before the store was opened, which switches to WAL.
    Sqlite(SqlitePool, String),
    Postgres(PgPool),
    MySql(MySqlPool),
}

#[derive(Clone)]
pub(crate) enum RedisServer {
    One(ConnectionManager),
    Cluster(ClusterConnection),
    /// The connection to the primary.
    Sentinel(MultiplexedConnection),
}

/// The timeout of a reply, and of a connection attempt.
const PATIENCE: Duration = Duration::from_secs(5);

impl OpenStore {
    pub(crate) async fn open(args: &StoreArgs) -> Result<Self, Failure> {
        Self::open_place(args.place()?).await
    }

    pub(crate) async fn open_place(place: Place<'_>) -> Result<Self, Failure> {
        let address = Address::parse(place.url)?;
        let options = StoreOptions { prefix: place.prefix.to_owned(), ..StoreOptions::default() };
        let opened = match &address {
            Address::Redis(url) => one(url).await.map_err(Failure::from),
            Address::Cluster(nodes) => cluster(nodes).await.map_err(Failure::from),
            Address::Sentinel(sentinel) => behind(sentinel).await.map_err(Failure::from),
            Address::Sqlite(path) => databases::sqlite(path, place).await,
            Address::Postgres(url) => databases::postgres(url, place).await,
            Address::MySql(url) => databases::mysql(url, place).await,
        };
        let name = redacted(place.url);
        let (kind, server) = opened.map_err(|failure| match failure {
            Failure::Store(code, message) => Failure::Store(code, format!("{name}: {message}")),
            failure => failure,
        })?;
        let kind = match kind {
            Kind::Redis(store) => Kind::Redis(store.with_options(options)),
            Kind::Sqlite(store) => Kind::Sqlite(store.with_options(options)),
            Kind::Postgres(store) => Kind::Postgres(store.with_options(options)),
            Kind::MySql(store) => Kind::MySql(store.with_options(options)),
        };
        let [prefix, table] = [place.prefix, place.table].map(str::to_owned);
        Ok(Self { server, name, prefix, table, kind })
    }

    /// Makes all writes durable, if the store does not do so after each write.
    pub(crate) async fn settle(&self) -> Result<(), StoreError> {
        if let Server::Sqlite(pool, _) = &self.server {
            sqlx::query("PRAGMA wal_checkpoint(FULL)").execute(pool).await?;
        }
        Ok(())
    }

    /// The approximate number of records; for Redis, the number of all keys in the database.
    pub(crate) async fn estimate(&self) -> Result<u64, StoreError> {
        let counted: i64 = match &self.server {
            Server::Redis(server) => {
                return Ok(match server.sum(&cmd("DBSIZE")).await? {
                    Value::Int(count) => u64::try_from(count).unwrap_or_default(),
                    _ => 0,
                });
            }
            Server::Sqlite(pool, _) => {
                let count = format!(
                    "SELECT count(*) FROM {} WHERE substr(key, 1, length(?1)) = ?1",
                    self.table
                );
                sqlx::query_scalar(&count).bind(&self.prefix).fetch_one(pool).await?
            }
            Server::Postgres(pool) => {
                let table = &self.table;
                let prefix = literal(&self.prefix);
                let count = format!(
                    "SELECT count(*) FROM \"{table}\" WHERE left(key, length({prefix})) = {prefix}"
                );
                pool.fetch_one(&*count).await?.try_get(0)?
            }
            Server::MySql(pool) => {
                let count = format!(
                    "SELECT count(*) FROM `{}` WHERE LEFT(`key`, LENGTH(?)) = ?",
                    self.table
                );
                let prefix = self.prefix.as_bytes();
                sqlx::query_scalar(&count).bind(prefix).bind(prefix).fetch_one(pool).await?
            }
        };
        Ok(u64::try_from(counted).unwrap_or_default())
    }
}

impl OpenStore {
    /// Whether there is a pooler before a Postgres server; `None` for other stores.
    pub(crate) async fn is_pooled(&self) -> Result<Option<bool>, StoreError> {
        match &self.kind {
            Kind::Postgres(store) => store.is_pooled().await.map(Some),
            Kind::Redis(_) | Kind::Sqlite(_) | Kind::MySql(_) => Ok(None),
        }
    }

    /// Removes a value that is not a record, and therefore has no write ID to compare.
    pub(crate) async fn forget(&self, key: &str) -> Result<bool, StoreError> {
        let key = [&self.prefix, key].concat();
        Ok(match &self.server {
            Server::Redis(server) => {
                let mut del = cmd("DEL");
                del.arg(&key);
                server.about_a_key(&del).await? == Value::Int(1)
            }
            Server::Sqlite(pool, _) => {
                let delete = format!("DELETE FROM {} WHERE key = ?1", self.table);
                sqlx::query(&delete).bind(&key).execute(pool).await?.rows_affected() > 0
            }
            Server::Postgres(pool) => {
                let delete =
                    format!("DELETE FROM \"{}\" WHERE key = {}", self.table, literal(&key));
                pool.execute(&*delete).await?.rows_affected() > 0
            }
            Server::MySql(pool) => {
                let delete = format!("DELETE FROM `{}` WHERE `key` = ?", self.table);
                let delete = sqlx::query(&delete).bind(key.as_bytes());
                delete.execute(pool).await?.rows_affected() > 0
            }
        })
    }
}

/// A string literal for Postgres. A pooler may separate a prepared statement from its parameters.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

impl RedisServer {
    async fn about_a_key(&self, cmd: &Cmd) -> Result<Value, StoreError> {
        Ok(match self {
            Self::One(connection) => cmd.query_async(&mut connection.clone()).await?,
            Self::Sentinel(connection) => cmd.query_async(&mut connection.clone()).await?,
            Self::Cluster(connection) => cmd.query_async(&mut connection.clone()).await?,
        })
    }

    /// Sends a command to the server, or to all primaries of a cluster. Returns each reply with its node's address.
    pub(crate) async fn each(&self, cmd: &Cmd) -> Result<Vec<(String, Value)>, StoreError> {
        let one = |answer: Value| vec![(String::new(), answer)];
        match self {
            Self::One(connection) => Ok(one(cmd.query_async(&mut connection.clone()).await?)),
            Self::Sentinel(connection) => Ok(one(cmd.query_async(&mut connection.clone()).await?)),
            Self::Cluster(connection) => {
                let all = (MultipleNodeRoutingInfo::AllMasters, None);
                let all = RoutingInfo::MultiNode(all);
                let answers = connection.clone().route_command(cmd.clone(), all).await?;
                let Value::Map(answers) = answers else { return Ok(one(answers)) };
                Ok(answers
                    .into_iter()
                    .map(|(node, answer)| (text_of(&node).unwrap_or_default(), answer))
                    .collect())
            }
        }
    }

    async fn sum(&self, cmd: &Cmd) -> Result<Value, StoreError> {
        Ok(match self {
            Self::One(connection) => cmd.query_async(&mut connection.clone()).await?,
            Self::Sentinel(connection) => cmd.query_async(&mut connection.clone()).await?,
            Self::Cluster(connection) => {
                use vestiary_store::redis::cluster_routing::AggregateOp;
                let policy = ResponsePolicy::Aggregate(AggregateOp::Sum);
                let all = (MultipleNodeRoutingInfo::AllMasters, Some(policy));
                let all = RoutingInfo::MultiNode(all);
                connection.clone().route_command(cmd.clone(), all).await?
            }
        })
    }
}

/// A store that tells the services of its changes, whether they listen or not. Where the user may not publish, it writes
/// nevertheless. The program itself listens to no server.
fn publishing(store: RedisStore) -> RedisStore {
    store.with_feed(Vec::<Client>::new())
}

/// The text of a reply from Redis.
pub(crate) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

async fn one(url: &str) -> Result<(Kind, Server), StoreError> {
    let client = Client::open(url)?;
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    let connection = client.get_connection_manager_with_config(config).await?;
    let store = publishing(RedisStore::new(connection.clone()));
    Ok((Kind::Redis(store), Server::Redis(RedisServer::One(connection))))
}

async fn cluster(nodes: &[String]) -> Result<(Kind, Server), StoreError> {
    let client = ClusterClient::builder(nodes.iter().map(String::as_str))
        .connection_timeout(PATIENCE)
        .response_timeout(PATIENCE)
        .build()?;
    let connection = client.get_async_connection().await?;
    let store = publishing(RedisStore::new(connection.clone()));
    Ok((Kind::Redis(store), Server::Redis(RedisServer::Cluster(connection))))
}

async fn behind(address: &Sentinel) -> Result<(Kind, Server), StoreError> {
    let Sentinel { sentinels, primary, login, tls } = address;
    let client = || {
        let login = login.as_str().into_connection_info()?.redis_settings().clone();
        let mut node = SentinelNodeConnectionInfo::default().set_redis_connection_info(login);
        if *tls {
            node = node.set_tls_mode(TlsMode::Secure);
        }
        let sentinels = sentinels.iter().map(String::as_str).collect();
        SentinelClient::build(sentinels, primary, Some(node), SentinelServerType::Master)
    };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    let connection = client()?.get_async_connection_with_config(&config).await?;
    let store = publishing(RedisStore::new(RedisConnection::behind_sentinel(client()?, config)));
    Ok((Kind::Redis(store), Server::Redis(RedisServer::Sentinel(connection))))
}

impl Store for OpenStore {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        let read = on!(&self.kind, store => store.read(key).await);
        // As in an entry, so that no command stops there.
        if let Err(StoreError::NotText) = read { Ok(Some("\u{fffd}".to_owned())) } else { read }
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        owned: bool,
    ) -> Result<bool, StoreError> {
        on!(&self.kind, store => store.create(key, record, ttl, owned).await)
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        on!(&self.kind, store => store.replace(key, expected, record, ttl).await)
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        on!(&self.kind, store => store.touch(key, ttl).await)
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        on!(&self.kind, store => store.remove(key, expected).await)
    }

    async fn now(&self, key: &str) -> Result<Option<UnixMillis>, StoreError> {
        on!(&self.kind, store => store.now(key).await)
    }

    async fn stamp(&self, key: &str, text: &str, ttl: Ttl) -> Result<Option<Stamped>, StoreError> {
        on!(&self.kind, store => store.stamp(key, text, ttl).await)
    }

    fn resends(&self) -> bool {
        on!(&self.kind, store => store.resends())
    }
}

impl Scan for OpenStore {
    async fn scan(&self, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        on!(&self.kind, store => store.scan(from, most).await)
    }

    async fn entry(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        on!(&self.kind, store => store.entry(key).await)
    }
}

/// The page size of a scan.
pub(crate) const PAGE: usize = 500;

/// Passes each record of a store to a function, until the function returns `false`.
pub(crate) async fn each<S: Scan>(
    store: &S,
    mut see: impl AsyncFnMut(Entry) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut from = None;
    loop {
        let Page { entries, next } = store.scan(from.as_ref(), PAGE).await?;
        for entry in entries {
            if !see(entry).await? {
                return Ok(());
            }
        }
        if next.is_none() {
            return Ok(());
        }
        from = next;
    }
}

/// The write ID of a record, for replacing or removing it.
pub(crate) fn write_id_of(record: &str) -> Option<WriteId> {
    vestiary_store::write_id_of(record).and_then(WriteId::parse)
}

/// Removes any value under a key, but no record that was not read.
pub(crate) async fn remove(store: &OpenStore, key: &str, record: &str) -> Result<bool, Failure> {
    let mut record = record.to_owned();
    for _ in 0..TRIES {
        match store.remove(key, write_id_of(&record).as_ref()).await? {
            Outcome::Done => return Ok(true),
            Outcome::Gone => return Ok(false),
            Outcome::Conflict => match store.read(key).await? {
                None => return Ok(false),
                // It is not a record, and has no write ID to compare. No other program changed it meanwhile.
                Some(now) if now == record => return Ok(store.forget(key).await?),
                Some(now) => record = now,
            },
        }
    }
    let message = "a record changes with every attempt, and could not be removed: run this again";
    Err(Failure::Store("store_busy", message.to_owned()))
}

const TRIES: usize = 16;
