mod connection;
mod feed;
mod scan;
mod scripts;
mod sentinel;

use std::{fmt, time::Duration};

use redis::{
    Client, Cmd, IntoConnectionInfo as _, RedisResult, Value,
    aio::ConnectionManagerConfig,
    cmd,
    io::tcp::{TcpSettings, socket2},
    pipe,
};
use vestiary::{Ttl, UnixMillis, WriteId};

use self::scripts::{
    COMPARE_AND_SET, COMPARE_AND_TOUCH, COMPARE_SET_AND_PUBLISH, STAMP, STAMP_AND_PUBLISH, Script,
};
pub use self::{connection::RedisConnection, feed::RedisFeed};
use crate::{
    ChangeListener, Outcome, ReadTwo, Stamped, Store, StoreError, StoreInfo, StoreOptions,
    failure::{Failure, of_redis},
    store::{NOT_TEXT, both},
};

/// Keeps sessions in Redis or Valkey, as the `RedisStore` of the npm package does: with the same keys, records and
/// scripts, so a SvelteKit app and a Rust service can share them.
///
/// Every command concerns one key, so a cluster works. Replication is asynchronous: when a primary fails, writes that
/// only it had are lost, and a logout can be among them ([`with_confirm`](Self::with_confirm)). Use
/// `maxmemory-policy noeviction`: with any other policy, a full server drops sessions. Do not use a cluster connection
/// that reads from replicas: it would bring back ended sessions.
///
/// A clone is the same store.
///
/// ```no_run
/// # async fn example() -> Result<(), vestiary_store::StoreError> {
/// use vestiary_store::{RedisStore, StoreOptions};
///
/// let store = RedisStore::connect("redis://localhost").await?;
/// // Or with a prefix of its own.
/// let options = StoreOptions { prefix: "shop:".into(), ..StoreOptions::default() };
/// let store = store.with_options(options);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisStore {
    connection: RedisConnection,
    options: StoreOptions,
    confirm: Option<Confirm>,
    feed: Option<RedisFeed>,
}

#[derive(Clone, Copy, Debug)]
struct Confirm {
    replicas: u32,
    timeout: Duration,
}

/// Reads the `INFO` of the node that holds a key. The key routes the script to that node in a cluster.
const INFO: &str = "return redis.call('INFO')";

/// The timeout of a reply, and the idle time after which a connection is probed.
const PATIENCE: Duration = Duration::from_secs(5);

impl RedisStore {
    /// Creates a store on the caller's connection: a [`ConnectionManager`](redis::aio::ConnectionManager), which
    /// reconnects by itself, a [`ClusterConnection`](redis::cluster_async::ClusterConnection), a
    /// [`SentinelClient`](redis::sentinel::SentinelClient), or a
    /// [`MultiplexedConnection`](redis::aio::MultiplexedConnection), which does not reconnect.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use vestiary_store::{RedisStore, redis::cluster::ClusterClient};
    ///
    /// let cluster = ClusterClient::new(["redis://one:6379", "redis://two:6379"])?;
    /// let store = RedisStore::new(cluster.get_async_connection().await?);
    /// # Ok(()) }
    /// ```
    ///
    /// With a Sentinel client, the store looks up the primary when it connects, and again after a failover:
    ///
    /// ```no_run
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use vestiary_store::{RedisStore, redis::sentinel::{SentinelClient, SentinelServerType}};
    ///
    /// let sentinels = vec!["redis://one:26379", "redis://two:26379", "redis://three:26379"];
    /// let client = SentinelClient::build(sentinels, "main".to_owned(), None, SentinelServerType::Master)?;
    /// let store = RedisStore::new(client);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn new(connection: impl Into<RedisConnection>) -> Self {
        let options = StoreOptions::default();
        Self { connection: connection.into(), options, confirm: None, feed: None }
    }

    /// Connects to one server, and reconnects after a lost connection. `rediss://` (encrypted) needs the feature `tls`.
    /// A reply times out after 5 seconds.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the address is invalid or the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        // Without a default, rustls panics in a process that also links another crypto provider.
        #[cfg(feature = "tls")]
        let _ = rustls::crypto::ring::default_provider().install_default();
        let address = url.into_connection_info().map_err(of_redis)?;
        let client = Client::open(address.set_tcp_settings(settings())).map_err(of_redis)?;
        let config = ConnectionManagerConfig::new().set_response_timeout(Some(PATIENCE));
        let connection = client.get_connection_manager_with_config(config).await;
        Ok(Self::new(connection.map_err(of_redis)?))
    }

    /// Sets the prefix and the default TTL.
    #[must_use]
    pub fn with_options(self, options: StoreOptions) -> Self {
        Self { options, ..self }
    }

    /// Makes a logout wait until this many replicas have it, or until the timeout (`WAIT`); [`Store::confirm`] returns
    /// which. Losing a logout when a primary fails becomes rare, not impossible.
    ///
    /// The wait delays all other commands on this connection. Keep it well below the connection's response timeout,
    /// which redis-rs sets to 500 ms by default.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), vestiary_store::StoreError> {
    /// use std::time::Duration;
    /// use vestiary_store::RedisStore;
    ///
    /// let store = RedisStore::connect("redis://localhost").await?;
    /// let store = store.with_confirm(1, Duration::from_millis(50));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_confirm(self, replicas: u32, timeout: Duration) -> Self {
        Self { confirm: Some(Confirm { replicas, timeout }), ..self }
    }

    /// Publishes each change of a record on the channel `<prefix>feed`, with a hash in place of its key, and listens there
    /// while streams watch sessions ([`Sessions::ended`](crate::Sessions::ended)). So a stream ends at once when another
    /// process ends its session. All processes need it; the `RedisStore` of the npm package has the option `feed`.
    ///
    /// The client opens one more connection, in the runtime of tokio. Give the clients of several nodes of a cluster, so
    /// that one of them may fail; any node gets the messages of all.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use vestiary_store::{RedisStore, redis::Client};
    ///
    /// let url = "redis://localhost";
    /// let store = RedisStore::connect(url).await?.with_feed(Client::open(url)?);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_feed(self, client: impl Into<RedisFeed>) -> Self {
        Self { feed: Some(client.into()), ..self }
    }

    async fn compare_and_set(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        text: &str,
        life: i64,
    ) -> Result<Outcome, StoreError> {
        let script = self.either(COMPARE_AND_SET, COMPARE_SET_AND_PUBLISH);
        let arguments = |cmd: &mut Cmd| {
            cmd.arg(write_id(expected)).arg(text).arg(life).arg(self.channel());
        };
        outcome_of(&self.run(script, key, arguments).await?)
    }

    /// Runs a script by its hash, or with its text if the server does not have it.
    async fn run(
        &self,
        script: Script,
        key: &str,
        arguments: impl Fn(&mut Cmd),
    ) -> Result<Value, StoreError> {
        let call = |command: &str, script: &str| {
            let mut cmd = cmd(command);
            cmd.arg(script).arg(1).arg(self.options.key(key));
            arguments(&mut cmd);
            cmd
        };
        let mut answer = self.connection.ask(&call("EVALSHA", script.hash)).await;
        // The server has not seen the script yet, or has dropped it.
        if answer.as_ref().is_err_and(|error| error.code() == Some("NOSCRIPT")) {
            answer = self.connection.ask(&call("EVAL", script.text)).await;
        }
        answer.map_err(of_redis)
    }

    /// The script that is run with a feed, or without one.
    fn either(&self, without: Script, with: Script) -> Script {
        if self.feed.is_some() { with } else { without }
    }

    /// The channel of the feed; `None`, which is no argument, without one.
    fn channel(&self) -> Option<String> {
        self.feed.as_ref().map(|_| self.options.key("feed"))
    }
}

fn write_id(expected: Option<&WriteId>) -> &str {
    expected.map_or("", WriteId::as_str)
}

fn outcome_of(answer: &Value) -> Result<Outcome, StoreError> {
    match answer {
        Value::Int(1) => Ok(Outcome::Done),
        Value::Int(0) => Ok(Outcome::Conflict),
        Value::Int(-1) => Ok(Outcome::Gone),
        _ => Err(unexpected()),
    }
}

/// Reads the clock of the node that holds a key, in milliseconds. The key routes the script to that node in a cluster.
const TIME: &str =
    "local now = redis.call('TIME') return now[1] * 1000 + math.floor(now[2] / 1000)";

impl Store for RedisStore {
    fn default_ttl(&self) -> Ttl {
        self.options.default_ttl()
    }

    async fn now(&self, key: &str) -> Result<Option<UnixMillis>, StoreError> {
        let mut time = cmd("EVAL");
        time.arg(TIME).arg(1).arg(self.options.key(key));
        match self.connection.ask(&time).await.map_err(of_redis)? {
            Value::Int(millis) => Ok(u64::try_from(millis).ok().map(UnixMillis)),
            _ => Err(unexpected()),
        }
    }

    async fn check(&self) -> Result<StoreInfo, StoreError> {
        let mut info = cmd("EVAL");
        info.arg(INFO).arg(1).arg(self.options.key(""));
        let answer = self.connection.ask(&info).await.map_err(of_redis)?;
        let text = text_of(answer)?.unwrap_or_default();
        let value = |name: &str| {
            let lines = text.lines().filter_map(|line| line.split_once(':'));
            lines.filter(|(found, _)| *found == name).map(|(_, value)| value.to_owned()).next()
        };
        let valkey = value("valkey_version").map(|version| format!("Valkey {version}"));
        let version =
            valkey.or_else(|| value("redis_version").map(|version| format!("Redis {version}")));
        let eviction_policy = value("maxmemory_policy");
        Ok(StoreInfo { version, eviction_policy, ..StoreInfo::default() })
    }

    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        let mut get = cmd("GET");
        get.arg(self.options.key(key));
        let mut answer = self.connection.ask(&get).await;
        // The first command after a lost connection notices the loss. A read can safely be repeated.
        if answer.as_ref().is_err_and(redis::RedisError::is_connection_dropped) {
            answer = self.connection.ask(&get).await;
        }
        record_of(answer)
    }

    /// Not by `MGET`, which reports no error for a list or a hash.
    async fn read_two(&self, one: &str, other: &str) -> ReadTwo {
        if self.connection.is_cluster() {
            return both(self.read(one), self.read(other)).await.into();
        }
        let mut get = pipe();
        get.cmd("GET").arg(self.options.key(one)).cmd("GET").arg(self.options.key(other));
        let mut answers = self.connection.ask_all(&get).await;
        if answers.as_ref().is_err_and(redis::RedisError::is_connection_dropped) {
            answers = self.connection.ask_all(&get).await;
        }
        match answers.map(<[Value; 2]>::try_from) {
            Ok(Ok(values)) => values.map(|value| record_of(value.extract_error())),
            Ok(Err(_)) => [Err(unexpected()), Err(unexpected())],
            Err(error) => {
                let error = of_redis(error);
                [Err(error.clone()), Err(error)]
            }
        }
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        _bound: bool,
    ) -> Result<bool, StoreError> {
        let life = self.options.life(ttl);
        if life == 0 {
            return Ok(true);
        }
        let mut set = cmd("SET");
        set.arg(self.options.key(key)).arg(record).arg("PX").arg(life).arg("NX");
        Ok(self.connection.ask(&set).await.map_err(of_redis)? != Value::Nil)
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        let life = self.options.life(ttl);
        let text = if life == 0 { "" } else { record };
        self.compare_and_set(key, expected, text, life).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        let mut expire = cmd("PEXPIRE");
        expire.arg(self.options.key(key)).arg(self.options.life(ttl));
        Ok(self.connection.ask(&expire).await.map_err(of_redis)? == Value::Int(1))
    }

    async fn touch_if(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        let arguments = |cmd: &mut Cmd| {
            cmd.arg(write_id(expected)).arg(self.options.life(ttl));
        };
        outcome_of(&self.run(COMPARE_AND_TOUCH, key, arguments).await?)
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        self.compare_and_set(key, expected, "", 0).await
    }

    /// Also confirms that the record is absent on the node that answers: it may be a replica that was promoted since.
    async fn confirm(&self, key: &str) -> Result<Option<bool>, StoreError> {
        let Some(Confirm { replicas, timeout }) = self.confirm else { return Ok(None) };
        let key = self.options.key(key);
        // `WAIT` with 0 blocks for ever.
        let millis = timeout.as_millis().clamp(1, u128::from(u32::MAX));
        let mut both = pipe();
        both.cmd("EXISTS").arg(&key).cmd("WAIT").arg(replicas).arg(millis.to_string());
        match self.connection.ask_about(&key, &both).await {
            Ok(answers) => match answers.as_slice() {
                [Value::Int(there), Value::Int(known)] => {
                    Ok(Some(*there == 0 && *known >= i64::from(replicas)))
                }
                _ => Err(unexpected()),
            },
            // The response timeout of the connection was shorter.
            Err(error) if error.is_timeout() => Ok(Some(false)),
            Err(error) => Err(of_redis(error)),
        }
    }

    async fn stamp(&self, key: &str, text: &str, ttl: Ttl) -> Result<Option<Stamped>, StoreError> {
        let script = self.either(STAMP, STAMP_AND_PUBLISH);
        let arguments = |cmd: &mut Cmd| {
            cmd.arg(text).arg(self.options.life(ttl)).arg(self.channel());
        };
        let Value::Array(mut answers) = self.run(script, key, arguments).await? else {
            return Err(unexpected());
        };
        match (answers.pop(), answers.pop()) {
            (Some(Value::BulkString(before)), Some(Value::Int(time))) => {
                // The text begins correctly. If the rest is not text, the record is unreadable.
                let before = String::from_utf8(before).unwrap_or_else(|_| NOT_TEXT.to_owned());
                let before = before.strip_prefix('=').unwrap_or(NOT_TEXT);
                let before = Some(before).filter(|text| !text.is_empty()).map(str::to_owned);
                let time = UnixMillis(u64::try_from(time).map_err(|_| unexpected())?);
                Ok(Some(Stamped { time, before }))
            }
            (None, None) => Ok(None),
            _ => Err(unexpected()),
        }
    }

    async fn watch(&self, listener: &dyn ChangeListener) -> Result<(), StoreError> {
        match (&self.feed, self.channel()) {
            (Some(feed), Some(channel)) => feed.watch(&channel, listener).await,
            _ => Ok(()),
        }
    }

    fn name_of(&self, key: &str) -> Option<String> {
        self.feed.as_ref().map(|_| feed::sha1(&self.options.key(key)))
    }

    /// Only the cluster client does.
    fn resends(&self) -> bool {
        self.connection.resends()
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("options", &self.options)
            .field("confirm", &self.confirm)
            .finish_non_exhaustive()
    }
}

/// Detects a cut connection within seconds; the system's default takes a quarter of an hour. Commands are short, and
/// sent at once.
fn settings() -> TcpSettings {
    let probes = socket2::TcpKeepalive::new().with_time(PATIENCE);
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(probes);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(PATIENCE);
    settings
}

fn record_of(answer: RedisResult<Value>) -> Result<Option<String>, StoreError> {
    match answer {
        // Another program stored a list or a hash here.
        Err(error) if error.code() == Some("WRONGTYPE") => Err(StoreError::NotText),
        answer => text_of(answer.map_err(of_redis)?),
    }
}

/// An empty text is no record; the npm package agrees.
fn text_of(value: Value) -> Result<Option<String>, StoreError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => {
            // The error would hold the bytes.
            let text = String::from_utf8(bytes).map_err(|_| StoreError::NotText)?;
            Ok(Some(text).filter(|text| !text.is_empty()))
        }
        _ => Err(unexpected()),
    }
}

fn unexpected() -> StoreError {
    Failure::error("the server sent an unexpected reply")
}
