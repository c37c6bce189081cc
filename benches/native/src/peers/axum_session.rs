use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use axum::{Router, routing::get};
use axum_session::{
    DatabaseError, DatabasePool, Key, SameSite, Session, SessionConfig, SessionLayer, SessionMode,
    SessionNullPool, SessionStore,
};
use chrono::Duration;

use super::{COOKIE, LIFE, SECRET, axum_app::AxumApp};
use crate::{
    app::{Make, Rolling, Route, Setup},
    payload::{Payload, new_user},
    store::{Meter, Operation},
};

/// `axum_session`, with a key, in the mode that only begins a session on demand.
pub(crate) struct AxumSession;

impl Make for AxumSession {
    type App = AxumApp;

    async fn app(&self, setup: &Setup) -> AxumApp {
        match &setup.metered {
            None => app::<SessionNullPool>(setup, None).await,
            Some(meter) => app(setup, Some(Metered(Arc::clone(meter)))).await,
        }
    }
}

/// A pool that sessions can have.
trait Pool: DatabasePool + Clone + Debug + Send + Sync + 'static {}
impl<T: DatabasePool + Clone + Debug + Send + Sync + 'static> Pool for T {}

async fn app<T: Pool>(setup: &Setup, pool: Option<T>) -> AxumApp {
    let life = Duration::seconds(LIFE.into());
    let mut config = SessionConfig::default()
        .with_session_name(COOKIE)
        .with_mode(SessionMode::Manual)
        .with_key(Key::from(SECRET.as_bytes()))
        .with_secure(true)
        .with_http_only(true)
        .with_cookie_same_site(SameSite::Lax)
        .with_lifetime(life)
        .with_max_age(Some(life));
    if setup.rolling == Rolling::Due {
        config = config.with_db_update_interval(Duration::zero());
    }
    let store = SessionStore::new(pool, config).await.expect("the pool is ready");
    let payload = setup.payload;
    AxumApp(
        Router::new()
            .route(Route::Untouched.path(), get(async || "untouched"))
            .route(Route::Read.path(), get(read::<T>))
            .route(Route::Write.path(), get(write::<T>))
            .route(Route::Same.path(), get(same::<T>))
            .route(Route::Begin.path(), get(move |session| begin::<T>(session, payload)))
            .route(Route::Login.path(), get(login::<T>))
            .route(Route::Logout.path(), get(logout::<T>))
            .layer(SessionLayer::new(store)),
    )
}

#[expect(clippy::unused_async, reason = "handlers are")]
async fn begin<T: Pool>(session: Session<T>, payload: Payload) -> &'static str {
    session.create_data();
    session.set("count", 1_u64);
    session.set("cart", payload.cart());
    "begun"
}

async fn read<T: Pool>(session: Session<T>) -> String {
    session.get::<u64>("count").unwrap_or_default().to_string()
}

async fn write<T: Pool>(session: Session<T>) -> String {
    let count = session.get::<u64>("count").unwrap_or_default() + 1;
    session.set("count", count);
    count.to_string()
}

async fn same<T: Pool>(session: Session<T>) -> &'static str {
    session.set("count", 1_u64);
    "same"
}

async fn login<T: Pool>(session: Session<T>) -> String {
    let user = new_user();
    session.renew();
    session.set("user", &user);
    user
}

async fn logout<T: Pool>(session: Session<T>) -> &'static str {
    session.destroy();
    "logged out"
}

#[derive(Clone, Debug)]
struct Metered(Arc<Meter>);

#[async_trait]
impl DatabasePool for Metered {
    async fn initiate(&self, _table: &str) -> Result<(), DatabaseError> {
        Ok(())
    }

    async fn count(&self, _table: &str) -> Result<i64, DatabaseError> {
        Ok(i64::try_from(self.0.records().len()).unwrap_or(i64::MAX))
    }

    async fn store(
        &self,
        id: &str,
        session: &str,
        _expires: i64,
        _table: &str,
    ) -> Result<(), DatabaseError> {
        self.0.ask(Operation::Save).await;
        self.0.records().insert(id.to_owned(), session.to_owned());
        Ok(())
    }

    async fn load(&self, id: &str, _table: &str) -> Result<Option<String>, DatabaseError> {
        self.0.ask(Operation::Load).await;
        Ok(self.0.records().get(id).cloned())
    }

    async fn delete_one_by_id(&self, id: &str, _table: &str) -> Result<(), DatabaseError> {
        self.0.ask(Operation::Delete).await;
        self.0.records().remove(id);
        Ok(())
    }

    /// Asked before an ID is given out: a load, to a store.
    async fn exists(&self, id: &str, _table: &str) -> Result<bool, DatabaseError> {
        self.0.ask(Operation::Load).await;
        Ok(self.0.records().contains_key(id))
    }

    async fn delete_by_expiry(&self, _table: &str) -> Result<Vec<String>, DatabaseError> {
        Ok(Vec::new())
    }

    async fn delete_all(&self, _table: &str) -> Result<(), DatabaseError> {
        self.0.records().clear();
        Ok(())
    }

    async fn get_ids(&self, _table: &str) -> Result<Vec<String>, DatabaseError> {
        Ok(self.0.records().keys().cloned().collect())
    }

    fn auto_handles_expiry(&self) -> bool {
        true
    }
}
