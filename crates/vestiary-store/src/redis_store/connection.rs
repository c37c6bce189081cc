use std::fmt;

use redis::{
    AsyncConnectionConfig, Cmd, Pipeline, RedisResult, Value,
    aio::{ConnectionLike, ConnectionManager, MultiplexedConnection},
    cluster_async::ClusterConnection,
    cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr},
    sentinel::SentinelClient,
};

use super::sentinel::{Sentinel, is_elsewhere};

/// A way to Redis, made `From` one of those that [`RedisStore::new`](crate::RedisStore::new) names.
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
    /// What `From<SentinelClient>` makes, with timeouts of the caller's. A primary that hangs is left when an
    /// answer takes longer than the response timeout, so there has to be one.
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

    /// Whether a command may be sent again after it was lost.
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
                // A primary that is one no longer has done nothing: the new one can be asked.
                if answer.as_ref().is_err_and(|error| error.code() == Some("READONLY")) {
                    return ask().await;
                }
                answer
            }
        }
    }

    /// Whether keys lie on different nodes.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.0, Way::Cluster(_))
    }

    /// Several at once, of the only node. Each has its answer, which may be an error.
    pub(super) async fn ask_all(&self, pipe: &Pipeline) -> RedisResult<Vec<Value>> {
        match &self.0 {
            Way::Single(connection) => each(connection, pipe).await,
            Way::Managed(connection) => each(connection, pipe).await,
            Way::Cluster(connection) => each(connection, pipe).await,
            Way::Sentinel(sentinel) => {
                let ask = |connection: MultiplexedConnection| async move {
                    let answers = each(&connection, pipe).await?;
                    // A server that is not the primary says so in each answer, and has to be left.
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

    /// Several at once, by one connection, of the node that has this key.
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

/// To send something needs `&mut`; what it is sent on is shared by the clones.
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

/// It may know a password.
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
