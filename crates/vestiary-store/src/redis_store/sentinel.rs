use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::{BoxFuture, FutureExt as _, Shared};
use redis::{
    AsyncConnectionConfig, RedisError, RedisResult, aio::MultiplexedConnection,
    sentinel::SentinelClient,
};

/// A connection to the primary that Sentinel names; a new one after a failover.
#[derive(Clone)]
pub(super) struct Sentinel {
    client: Arc<Client>,
    attempt: Arc<Mutex<Attempt>>,
}

/// The Sentinel client, and the settings of the connection to the primary.
type Client = (tokio::sync::Mutex<SentinelClient>, AsyncConnectionConfig);

/// An attempt to connect. Concurrent requests share one attempt and its failure; otherwise each would wait for all
/// those before it.
#[derive(Clone)]
struct Attempt {
    number: u64,
    connecting: Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>,
}

impl Sentinel {
    pub(super) fn new(client: SentinelClient, config: AsyncConnectionConfig) -> Self {
        let client = Arc::new((tokio::sync::Mutex::new(client), config));
        let attempt = Arc::new(Mutex::new(Attempt::new(0, &client)));
        Self { client, attempt }
    }

    /// Uses the connection. After an error that a new connection may cure, the next caller gets a new one.
    pub(super) async fn with<T, F>(
        &self,
        run: impl FnOnce(MultiplexedConnection) -> F,
    ) -> RedisResult<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let Attempt { number, connecting } = self.attempt().clone();
        let (done, connected) = match connecting.await {
            Ok(connection) => (run(connection).await, true),
            Err(error) => (Err(error), false),
        };
        if done.as_ref().is_err_and(|error| !connected || is_elsewhere(error)) {
            let mut attempt = self.attempt();
            if attempt.number == number {
                *attempt = Attempt::new(number + 1, &self.client);
            }
        }
        done
    }

    fn attempt(&self) -> MutexGuard<'_, Attempt> {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// Nothing happens until a caller awaits it.
    fn new(number: u64, client: &Arc<Client>) -> Self {
        let client = Arc::clone(client);
        let connecting = async move {
            let (client, config) = &*client;
            client.lock().await.get_async_connection_with_config(config).await
        };
        Self { number, connecting: connecting.boxed().shared() }
    }
}

/// Whether the primary may have moved. A primary that is cut off does not refuse; it stays silent.
pub(super) fn is_elsewhere(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || matches!(error.code(), Some("READONLY" | "MASTERDOWN"))
}
