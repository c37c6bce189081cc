use std::sync::Arc;

use async_trait::async_trait;
use tower_sessions::{
    self as library, MemoryStore, SessionStore,
    session::{Id, Record},
    session_store,
};

use super::axum_app::AxumApp;
use crate::{
    app::{Make, Setup},
    store::{Meter, Operation},
};

mod handlers;

/// tower-sessions, with its feature `signed`.
pub(crate) struct TowerSessions;

impl Make for TowerSessions {
    type App = AxumApp;

    async fn app(&self, setup: &Setup) -> AxumApp {
        match &setup.metered {
            None => handlers::app(setup, MemoryStore::default()),
            Some(meter) => handlers::app(setup, Metered(Arc::clone(meter))),
        }
    }
}

#[derive(Clone, Debug)]
struct Metered(Arc<Meter>);

impl Metered {
    fn put(&self, record: &Record) -> session_store::Result<()> {
        let text = serde_json::to_string(record)
            .map_err(|error| session_store::Error::Encode(error.to_string()))?;
        self.0.records().insert(record.id.to_string(), text);
        Ok(())
    }
}

#[async_trait]
impl SessionStore for Metered {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        self.0.ask(Operation::Create).await;
        while self.0.records().contains_key(&record.id.to_string()) {
            record.id = Id::default();
        }
        self.put(record)
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        self.0.ask(Operation::Save).await;
        self.put(record)
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        self.0.ask(Operation::Load).await;
        let text = self.0.records().get(&id.to_string()).cloned();
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| session_store::Error::Decode(error.to_string()))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.0.ask(Operation::Delete).await;
        self.0.records().remove(&id.to_string());
        Ok(())
    }
}
