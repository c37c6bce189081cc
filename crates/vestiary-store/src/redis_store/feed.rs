//! The feed of changes: a channel on which the scripts that write publish hashes of their keys.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::StreamExt as _;
use redis::{Client, RedisResult, Value, aio::PubSub, sentinel::SentinelClient};
use sha1::{Digest as _, Sha1};
use tokio::sync::Mutex;

use super::PATIENCE;
use crate::{ChangeListener, StoreError, clock::within, failure::of_redis};

/// The server to which a [`RedisStore`](crate::RedisStore) with a feed subscribes, converted `From` its client.
#[derive(Clone)]
pub struct RedisFeed(Arc<Servers>);

enum Servers {
    /// Nodes of a cluster, or one server.
    Nodes(Vec<Client>, AtomicUsize),
    Sentinel(Box<Mutex<SentinelClient>>),
}

impl From<Client> for RedisFeed {
    fn from(client: Client) -> Self {
        vec![client].into()
    }
}

/// The nodes of a cluster, all of which get the messages. The next one is asked when one fails.
impl From<Vec<Client>> for RedisFeed {
    fn from(nodes: Vec<Client>) -> Self {
        Self(Arc::new(Servers::Nodes(nodes, AtomicUsize::new(0))))
    }
}

impl From<SentinelClient> for RedisFeed {
    fn from(client: SentinelClient) -> Self {
        Self(Arc::new(Servers::Sentinel(Box::new(Mutex::new(client)))))
    }
}

impl RedisFeed {
    /// Listens on the channel until the connection is lost.
    pub(super) async fn watch(
        &self,
        channel: &str,
        listener: &dyn ChangeListener,
    ) -> Result<(), StoreError> {
        let subscribing = async {
            let mut connection = self.connect().await?;
            connection.subscribe(channel).await?;
            RedisResult::Ok(connection)
        };
        let Some(connection) = within(Some(PATIENCE), subscribing).await else { return Ok(()) };
        let (mut sink, mut messages) = connection.map_err(of_redis)?.split();
        listener.connected();
        loop {
            match within(Some(PATIENCE), messages.next()).await {
                Some(Some(message)) => {
                    if let Ok(name) = str::from_utf8(message.get_payload_bytes()) {
                        listener.changed(name);
                    }
                }
                Some(None) => return Ok(()),
                // A connection that was cut off stays silent.
                None => match within(Some(PATIENCE), sink.ping::<Value>()).await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(of_redis(error)),
                    None => return Ok(()),
                },
            }
        }
    }

    async fn connect(&self) -> RedisResult<PubSub> {
        match &*self.0 {
            Servers::Nodes(nodes, next) => {
                let number = next.fetch_add(1, Ordering::Relaxed) % nodes.len().max(1);
                let none = (redis::ErrorKind::InvalidClientConfig, "the feed has no server");
                nodes.get(number).ok_or(none)?.get_async_pubsub().await
            }
            Servers::Sentinel(client) => {
                let client = client.lock().await.async_get_client().await?;
                client.get_async_pubsub().await
            }
        }
    }
}

/// The SHA-1 of a text, in hexadecimal digits, as the scripts compute it.
pub(super) fn sha1(text: &str) -> String {
    use fmt::Write as _;
    let mut digits = String::with_capacity(40);
    for byte in Sha1::digest(text) {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// Hides the clients, which may hold a password.
impl fmt::Debug for RedisFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFeed").finish_non_exhaustive()
    }
}
