use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use vestiary::{Format, KeyRing, Record, Ttl, WriteId};
use vestiary_store::{MemoryStore, Outcome, PostgresStore, Store, StoreError, sqlx::PgPool};
use vestiary_tower::{Config, Session, SessionError, SessionLayer};

use super::{COOKIE, LIFE, OLD_SECRET, SECRET, axum_app::AxumApp};
use crate::{
    app::{Make, Rolling, Route, Setup},
    payload::{Payload, new_user},
    store::{Meter, Operation},
};

/// Vestiary, with `vestiary-tower`.
pub(crate) struct Vestiary;

impl Make for Vestiary {
    type App = AxumApp;

    async fn app(&self, setup: &Setup) -> AxumApp {
        match &setup.metered {
            None => app(setup, MemoryStore::default()),
            Some(meter) => app(setup, Metered(Arc::clone(meter))),
        }
    }
}

/// The same, with sessions in Postgres.
pub(crate) struct InPostgres(PostgresStore);

impl InPostgres {
    /// On these connections, with its table.
    pub(crate) async fn on(pool: PgPool) -> Result<Self, StoreError> {
        let store = PostgresStore::with_pool(pool, "sessions")?;
        store.migrate().await?;
        Ok(Self(store))
    }
}

impl Make for InPostgres {
    type App = AxumApp;

    async fn app(&self, setup: &Setup) -> AxumApp {
        app(setup, self.0.clone())
    }
}

fn app(setup: &Setup, store: impl Store) -> AxumApp {
    let layer = SessionLayer::new(&config(setup), store).expect("the options are right");
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

/// The same cookie, signed with the previous secret; `None` if it is not one of Vestiary's.
pub(crate) fn with_old_signature(cookie: &str) -> Option<String> {
    let keys = |secret| KeyRing::new(&[secret]).expect("long enough");
    let (_, value) = cookie.split_once('=')?;
    let id = keys(SECRET).verify(value.as_bytes())?;
    Some(format!("{COOKIE}={}", keys(OLD_SECRET).sign(&id, Format::SvelteKitSessions)))
}

fn config(setup: &Setup) -> Config {
    let config =
        Config::new(SECRET).name(COOKIE).secure(true).max_age(Duration::from_secs(LIFE.into()));
    let config = if setup.rotated { config.previous_secret(OLD_SECRET) } else { config };
    match setup.rolling {
        Rolling::Off => config,
        Rolling::Due => config.rolling(true).touch_after(Duration::ZERO),
        Rolling::NotDue => config.rolling(true),
    }
}

async fn begin(session: Session, payload: Payload) -> Result<&'static str, SessionError> {
    session.insert("count", 1_u64).await?;
    session.insert("cart", payload.cart()).await?;
    Ok("begun")
}

async fn read(session: Session) -> Result<String, SessionError> {
    Ok(session.get::<u64>("count").await?.unwrap_or_default().to_string())
}

async fn write(session: Session) -> Result<String, SessionError> {
    let count = session.get::<u64>("count").await?.unwrap_or_default() + 1;
    session.insert("count", count).await?;
    Ok(count.to_string())
}

async fn same(session: Session) -> Result<&'static str, SessionError> {
    session.insert("count", 1_u64).await?;
    Ok("same")
}

async fn login(session: Session) -> Result<String, SessionError> {
    let user = new_user();
    session.login(user.as_str()).keep(["count", "cart"]).await?;
    Ok(user)
}

async fn logout(session: Session) -> Result<&'static str, SessionError> {
    session.destroy().await?;
    Ok("logged out")
}

struct Metered(Arc<Meter>);

impl Metered {
    fn on_write_id(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        done: impl FnOnce(&mut HashMap<String, String>),
    ) -> Outcome {
        let mut records = self.0.records();
        let Some(record) = records.get(key) else { return Outcome::Gone };
        if Record::write_id_of(record) != expected.map(WriteId::as_str) {
            return Outcome::Conflict;
        }
        done(&mut records);
        Outcome::Done
    }
}

impl Store for Metered {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.0.ask(Operation::Load).await;
        Ok(self.0.records().get(key).cloned())
    }

    async fn create(&self, key: &str, record: &str, _: Ttl, _: bool) -> Result<bool, StoreError> {
        self.0.ask(Operation::Create).await;
        let mut records = self.0.records();
        let free = !records.contains_key(key);
        if free {
            records.insert(key.to_owned(), record.to_owned());
        }
        Ok(free)
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        _: Ttl,
    ) -> Result<Outcome, StoreError> {
        self.0.ask(Operation::Save).await;
        Ok(self.on_write_id(key, expected, |records| {
            records.insert(key.to_owned(), record.to_owned());
        }))
    }

    async fn touch(&self, key: &str, _: Ttl) -> Result<bool, StoreError> {
        self.0.ask(Operation::Touch).await;
        Ok(self.0.records().contains_key(key))
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        self.0.ask(Operation::Delete).await;
        Ok(self.on_write_id(key, expected, |records| {
            records.remove(key);
        }))
    }

    fn resends(&self) -> bool {
        false
    }
}
