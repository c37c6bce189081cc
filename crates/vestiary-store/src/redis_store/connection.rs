use std::fmt;

use redis::{
    AsyncConnectionConfig, Cmd, Pipeline, RedisResult, Value,
    aio::{ConnectionLike, ConnectionManager, MultiplexedConnection},
    cluster_async::ClusterConnection,
    cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr},
    sentinel::SentinelClient,
};

use super::sentinel::{Sentinel, is_elsewhere};

/// A connection to Redis, converted `From` any client that [`RedisStore::new`](crate::RedisStore::new) accepts.
#[derive(Clone)]
pub struct RedisConnection(pub(super) Way);

#[derive(Clone)]
pub(super) enum Way {
    Single(MultiplexedConnection),
    Managed(ConnectionManager),
    Cluster(ClusterConnection),
    Sentinel(Sentinel),
}

impl From<MultiplexedConnection> for RedisConnection {
    fn from(connection: MultiplexedConnection) -> Self {
        Self(Way::Single(connection))
    }
}

impl From<ConnectionManager> for RedisConnection {
    fn from(connection: ConnectionManager) -> Self {
        Self(Way::Managed(connection))
    }
}

impl From<ClusterConnection> for RedisConnection {
    fn from(connection: ClusterConnection) -> Self {
        Self(Way::Cluster(connection))
    }
}

impl From<SentinelClient> for RedisConnection {
    fn from(client: SentinelClient) -> Self {
        Self::behind_sentinel(client, AsyncConnectionConfig::new())
    }
}

impl RedisConnection {
    /// As `From<SentinelClient>`, with the caller's timeouts. A response timeout is required: a primary that hangs is
    /// only left when a reply takes longer.
    ///
    /// ```
    /// use std::time::Duration;
    /// use vestiary_store::{
    ///     RedisConnection, RedisStore,
    ///     redis::{AsyncConnectionConfig, sentinel::{SentinelClient, SentinelServerType}},
    /// };
    ///
    /// let sentinels = vec!["redis://one:26379", "redis://two:26379", "redis://three:26379"];
    /// let client = SentinelClient::build(sentinels, "main".to_owned(), None, SentinelServerType::Master)?;
    /// let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(2)));
    /// let store = RedisStore::new(RedisConnection::behind_sentinel(client, config));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn behind_sentinel(client: SentinelClient, config: AsyncConnectionConfig) -> Self {
        Self(Way::Sentinel(Sentinel::new(client, config)))
    }

    /// Whether the client may send a lost command again.
    pub(super) fn resends(&self) -> bool {
        matches!(self.0, Way::Cluster(_))
    }

    pub(super) async fn ask(&self, cmd: &Cmd) -> RedisResult<Value> {
        match &self.0 {
            Way::Single(connection) => one(connection, cmd).await,
            Way::Managed(connection) => one(connection, cmd).await,
            Way::Cluster(connection) => one(connection, cmd).await,
            Way::Sentinel(sentinel) => {
                let ask = || {
                    sentinel.with(|connection: MultiplexedConnection| async move {
                        one(&connection, cmd).await
                    })
                };
                let answer = ask().await;
                // A demoted primary has done nothing, so the new one can be asked.
                if answer.as_ref().is_err_and(|error| error.code() == Some("READONLY")) {
                    return ask().await;
                }
                answer
            }
        }
    }

    /// Whether keys are spread over several nodes.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.0, Way::Cluster(_))
    }

    /// Sends several commands to the only node. Each has its own reply, which may be an error.
    pub(super) async fn ask_all(&self, pipe: &Pipeline) -> RedisResult<Vec<Value>> {
        match &self.0 {
            Way::Single(connection) => each(connection, pipe).await,
            Way::Managed(connection) => each(connection, pipe).await,
            Way::Cluster(connection) => each(connection, pipe).await,
            Way::Sentinel(sentinel) => {
                let ask = |connection: MultiplexedConnection| async move {
                    let answers = each(&connection, pipe).await?;
                    // A demoted primary reports it in each reply, and must be left.
                    let errors =
                        answers.iter().filter_map(|value| value.clone().extract_error().err());
                    match errors.into_iter().find(is_elsewhere) {
                        Some(error) => Err(error),
                        None => Ok(answers),
                    }
                };
                sentinel.with(ask).await
            }
        }
    }

    /// Sends several commands over one connection, to the node that holds this key.
    pub(super) async fn ask_about(&self, key: &str, pipe: &Pipeline) -> RedisResult<Vec<Value>> {
        match &self.0 {
            Way::Single(connection) => all(connection, pipe).await,
            Way::Managed(connection) => all(connection, pipe).await,
            Way::Cluster(connection) => {
                let route = Route::with_key(key, SlotAddr::Master);
                let route = SingleNodeRoutingInfo::SpecificNode(route);
                let mut connection = connection.clone();
                let answers = connection.route_pipeline(pipe.clone(), 0, pipe.len(), route).await;
                answers?.into_iter().map(Value::extract_error).collect()
            }
            Way::Sentinel(sentinel) => {
                let ask =
                    |connection: MultiplexedConnection| async move { all(&connection, pipe).await };
                sentinel.with(ask).await
            }
        }
    }
}

/// Sending needs `&mut`, but clones share the underlying connection.
async fn one(connection: &(impl ConnectionLike + Clone), cmd: &Cmd) -> RedisResult<Value> {
    connection.clone().req_packed_command(cmd).await?.extract_error()
}

async fn all(
    connection: &(impl ConnectionLike + Clone),
    pipe: &Pipeline,
) -> RedisResult<Vec<Value>> {
    each(connection, pipe).await?.into_iter().map(Value::extract_error).collect()
}

async fn each(
    connection: &(impl ConnectionLike + Clone),
    pipe: &Pipeline,
) -> RedisResult<Vec<Value>> {
    connection.clone().req_packed_commands(pipe, 0, pipe.len()).await
}

/// Hides the connection, which may hold a password.
impl fmt::Debug for RedisConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Way::Single(_) => "RedisConnection(single)",
            Way::Managed(_) => "RedisConnection(managed)",
            Way::Cluster(_) => "RedisConnection(cluster)",
            Way::Sentinel(_) => "RedisConnection(sentinel)",
        })
    }
}
