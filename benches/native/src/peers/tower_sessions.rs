use std::sync::Arc;

use async_trait::async_trait;
use axum::{Router, http::StatusCode, routing::get};
use tower_sessions::{
    Expiry, MemoryStore, Session, SessionManagerLayer, SessionStore,
    cookie::{Key, SameSite, time::Duration},
    session::{Error, Id, Record},
    session_store,
};

use super::{COOKIE, LIFE, SECRET, axum_app::AxumApp};
use crate::{
    app::{Make, Rolling, Route, Setup},
    payload::{Payload, new_user},
    store::{Meter, Operation},
};

/// tower-sessions, with its feature `signed`.
pub(crate) struct TowerSessions;

impl Make for TowerSessions {
    type App = AxumApp;

    async fn app(&self, setup: &Setup) -> AxumApp {
        match &setup.metered {
            None => app(setup, MemoryStore::default()),
            Some(meter) => app(setup, Metered(Arc::clone(meter))),
        }
    }
}

fn app(setup: &Setup, store: impl SessionStore + Clone) -> AxumApp {
    let layer = SessionManagerLayer::new(store)
        .with_name(COOKIE)
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnInactivity(Duration::seconds(LIFE.into())))
        .with_always_save(setup.rolling != Rolling::Off)
        .with_signed(Key::from(SECRET.as_bytes()));
    let payload = setup.payload;
    AxumApp(
        Router::new()
            .route(Route::Untouched.path(), get(async || "untouched"))
            .route(Route::Read.path(), get(read))
            .route(Route::Write.path(), get(write))
            .route(Route::Same.path(), get(same))
            .route(Route::Begin.path(), get(move |session| begin(session, payload)))
            .route(Route::Login.path(), get(login))
            .route(Route::Logout.path(), get(logout))
            .layer(layer),
    )
}

/// A handler's response if the session fails.
struct Failed;

impl From<Error> for Failed {
    fn from(_: Error) -> Self {
        Self
    }
}

impl axum::response::IntoResponse for Failed {
    fn into_response(self) -> axum::response::Response {
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

async fn begin(session: Session, payload: Payload) -> Result<&'static str, Failed> {
    session.insert("count", 1_u64).await?;
    session.insert("cart", payload.cart()).await?;
    Ok("begun")
}

async fn read(session: Session) -> Result<String, Failed> {
    Ok(session.get::<u64>("count").await?.unwrap_or_default().to_string())
}

async fn write(session: Session) -> Result<String, Failed> {
    let count = session.get::<u64>("count").await?.unwrap_or_default() + 1;
    session.insert("count", count).await?;
    Ok(count.to_string())
}

async fn same(session: Session) -> Result<&'static str, Failed> {
    session.insert("count", 1_u64).await?;
    Ok("same")
}

async fn login(session: Session) -> Result<String, Failed> {
    let user = new_user();
    session.cycle_id().await?;
    session.insert("user", &user).await?;
    Ok(user)
}

async fn logout(session: Session) -> Result<&'static str, Failed> {
    session.flush().await?;
    Ok("logged out")
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
