use std::time::Duration;

use vestiary::{Ttl, WriteId};

use crate::{SessionError, Sessions, Store as _, StoreInfo, StoreOperation, clock::Stopwatch};

/// The condition of a store, for `/healthz`: [`Sessions::health`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Health {
    /// Whether the store has stored, found and removed a record: whether sessions work.
    pub writable: bool,
    /// The round-trip time of a read; `None` if the store did not reply.
    pub latency: Option<Duration>,
    /// The information that the store has about its server.
    pub info: StoreInfo,
    /// Why sessions do not work.
    pub error: Option<SessionError>,
}

/// The TTL of the probe, in case it cannot be removed.
const PROBE_TTL: Ttl = Ttl::Millis(60_000);

impl Sessions {
    /// Checks whether the store works, for `/healthz`: stores, reads and removes a small record of its own. A failure of
    /// the store is part of the result.
    ///
    /// ```
    /// use vestiary_store::{Config, MemoryStore, Sessions};
    ///
    /// # futures_executor::block_on(async {
    /// let config = Config::new("a long random secret, from the environment");
    /// let sessions = Sessions::new(&config, MemoryStore::default())?;
    /// let health = sessions.health().await;
    /// assert!(health.writable && health.error.is_none());
    /// # Ok::<(), vestiary_store::SessionError>(())
    /// # }).unwrap();
    /// ```
    pub async fn health(&self) -> Health {
        let mut health = Health::default();
        // A server that does not tell may be sound nevertheless.
        let info = self.ask(StoreOperation::Read, self.store().check()).await;
        health.info = info.unwrap_or_default();
        if health.info.in_process {
            // A record more could evict a session.
            (health.writable, health.latency) = (true, Some(Duration::ZERO));
            return health;
        }
        health.error = self.probe(&mut health).await.err();
        health
    }

    async fn probe(&self, health: &mut Health) -> Result<(), SessionError> {
        let store = self.store();
        let key = format!("health:{}", self.new_id()?.expose());
        let write_id = WriteId::from_entropy(&[0; WriteId::ENTROPY]);
        let text = format!(r#"{{"v":"{}","cookie":{{}},"data":{{}}}}"#, write_id.as_str());
        let watch = Stopwatch::start();
        self.ask(StoreOperation::Read, store.read(&key)).await?;
        health.latency = Some(watch.elapsed());
        let creating = store.create(&key, &text, PROBE_TTL, false);
        let created = self.ask(StoreOperation::Write, creating).await;
        let found = self.ask(StoreOperation::Read, store.read(&key)).await;
        // Also after a lost reply: the store may have the record.
        let removed = self.ask(StoreOperation::Remove, store.remove(&key, Some(&write_id))).await;
        health.writable = created? && found?.as_ref() == Some(&text) && removed.is_ok();
        removed.map(drop)
    }
}
