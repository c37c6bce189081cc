use tower_sessions_previous as library;
use tower_sessions_sqlx_store::{
    PostgresStore,
    sqlx::{self, PgPool},
};

use super::axum_app::AxumApp;
use crate::app::{Make, Setup};

#[expect(clippy::duplicate_mod, reason = "the same handlers, for another version of the library")]
#[path = "tower_sessions/handlers.rs"]
mod handlers;

/// tower-sessions of the version that tower-sessions-sqlx-store is for, with sessions in Postgres.
pub(crate) struct InPostgres(PostgresStore);

impl InPostgres {
    /// On these connections, with its table.
    pub(crate) async fn on(pool: PgPool) -> Result<Self, sqlx::Error> {
        let store = PostgresStore::new(pool);
        store.migrate().await?;
        Ok(Self(store))
    }
}

impl Make for InPostgres {
    type App = AxumApp;

    async fn app(&self, setup: &Setup) -> AxumApp {
        handlers::app(setup, self.0.clone())
    }
}
