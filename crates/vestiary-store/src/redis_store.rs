mod connection;
mod scan;
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

pub use self::connection::RedisConnection;
use crate::{
    Outcome, ReadTwo, Stamped, Store, StoreError, StoreInfo, StoreOptions,
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
}

#[derive(Clone, Copy, Debug)]
struct Confirm {
    replicas: u32,
    timeout: Duration,
}

/// A script that goes on only if the record has the write ID `ARGV[1]`.
macro_rules! comparing {
    ($($rest:literal),+ $(,)?) => {
        concat!(
            "local text = redis.call('GET', KEYS[1])\n",
            "if not text then return -1 end\n",
            r#"local write_id = string.match(text, '^{"v":"([%w_-]+)"') or string.match(text, '^{"cookie":{"v":"([%w_-]+)"') or ''"#,
            "\n",
            "if #write_id ~= 16 then write_id = '' end\n",
            "if write_id ~= ARGV[1] then return 0 end\n",
            $($rest),+
        )
    };
}

/// Compares the write ID of a record and, if it is the expected one, replaces the record, or removes it (empty text).
/// Byte by byte the script of the npm package, so that the server caches only one: a test compares them.
pub(crate) const COMPARE_AND_SET: &str = comparing!(
    "if ARGV[2] == '' then redis.call('DEL', KEYS[1])\n",
    "else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end\n",
    "return 1",
);

/// Compares the write ID of a record and, if it is the expected one, restarts the record's TTL. Also byte by byte the
/// script of the npm package.
pub(crate) const COMPARE_AND_TOUCH: &str =
    comparing!("redis.call('PEXPIRE', KEYS[1], ARGV[2])\n", "return 1");

/// Stores a text with the clock of the node that holds the key ([`Store::stamp`]), if there is no record or one that
/// begins alike. Also byte by byte the script of the npm package.
pub(crate) const STAMP: &str = concat!(
    "local text = redis.pcall('GET', KEYS[1])\n",
    "if type(text) == 'table' then return {} end\n",
    "local function head(of) return string.sub(of, 1, 6) .. string.sub(of, 23, 36) end\n",
    "if text and head(text) ~= head(ARGV[1]) then return {} end\n",
    "if redis.replicate_commands then redis.replicate_commands() end\n",
    "local now = redis.call('TIME')\n",
    "local time = now[1] * 1000 + math.floor(now[2] / 1000)\n",
    "redis.call('SET', KEYS[1], ARGV[1] .. string.format('%.0f', time) .. '}', 'PX', ARGV[2])\n",
    "return {time, '=' .. (text or '')}",
);

/// Reads the `INFO` of the node that holds a key. The key routes the script to that node in a cluster.
const INFO: &str = "return redis.call('INFO')";

/// The timeout of a reply, and the idle time after which a connection is probed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The SHA-1 hashes by which the server finds scripts that it has cached.
pub(crate) const COMPARE_AND_SET_HASH: &str = "07b18dd50bb8e310ff4d6e38ce86640100e36aa3";
pub(crate) const STAMP_HASH: &str = "ee4732853cfb799f1114114640cecee7fe25d451";
pub(crate) const COMPARE_AND_TOUCH_HASH: &str = "51c7f35d95e47de321c82e71af6ae8a6d26ad982";

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
        Self { connection: connection.into(), options: StoreOptions::default(), confirm: None }
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

    async fn compare_and_set(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        text: &str,
        life: i64,
    ) -> Result<Outcome, StoreError> {
        let run = |command: &str, script: &str| -> Cmd {
            let mut cmd = self.compare(command, script, key, expected);
            cmd.arg(text).arg(life);
            cmd
        };
        let (script, hash) = (COMPARE_AND_SET, COMPARE_AND_SET_HASH);
        self.compared(&run("EVALSHA", hash), || run("EVAL", script)).await
    }

    /// A call of a script, up to the expected write ID.
    fn compare(&self, command: &str, script: &str, key: &str, expected: Option<&WriteId>) -> Cmd {
        let mut cmd = cmd(command);
        cmd.arg(script).arg(1).arg(self.options.key(key));
        cmd.arg(expected.map_or("", WriteId::as_str));
        cmd
    }

    /// Runs a script by its hash, or with its text if the server does not have it.
    async fn run(&self, by_hash: &Cmd, whole: impl Fn() -> Cmd) -> Result<Value, StoreError> {
        let mut answer = self.connection.ask(by_hash).await;
        // The server has not seen the script yet, or has dropped it.
        if answer.as_ref().is_err_and(|error| error.code() == Some("NOSCRIPT")) {
            answer = self.connection.ask(&whole()).await;
        }
        answer.map_err(of_redis)
    }

    async fn compared(
        &self,
        by_hash: &Cmd,
        whole: impl Fn() -> Cmd,
    ) -> Result<Outcome, StoreError> {
        match self.run(by_hash, whole).await? {
            Value::Int(1) => Ok(Outcome::Done),
            Value::Int(0) => Ok(Outcome::Conflict),
            Value::Int(-1) => Ok(Outcome::Gone),
            _ => Err(unexpected()),
        }
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
        let run = |command: &str, script: &str| -> Cmd {
            let mut cmd = self.compare(command, script, key, expected);
            cmd.arg(self.options.life(ttl));
            cmd
        };
        let (script, hash) = (COMPARE_AND_TOUCH, COMPARE_AND_TOUCH_HASH);
        self.compared(&run("EVALSHA", hash), || run("EVAL", script)).await
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
        let run = |command: &str, script: &str| -> Cmd {
            let mut cmd = cmd(command);
            cmd.arg(script).arg(1).arg(self.options.key(key));
            cmd.arg(text).arg(self.options.life(ttl));
            cmd
        };
        let Value::Array(mut answers) =
            self.run(&run("EVALSHA", STAMP_HASH), || run("EVAL", STAMP)).await?
        else {
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
