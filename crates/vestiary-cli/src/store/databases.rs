use std::{path::Path, time::Duration};

use tokio::time::timeout;
use vestiary_store::{
    MySqlStore, PostgresStore, SqliteStore, StoreError,
    sqlx::{
        self, ConnectOptions as _, Connection as _, Executor as _, Row as _,
        mysql::{MySqlConnectOptions, MySqlPoolOptions},
        postgres::{PgConnectOptions, PgPoolOptions},
        sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
    },
};

use super::{Kind, PATIENCE, Place, Server};
use crate::failure::Failure;

/// The busy timeout of a file: most writers take less.
const BUSY: Duration = Duration::from_secs(10);

pub(super) async fn sqlite(path: &Path, place: Place<'_>) -> Result<(Kind, Server), Failure> {
    // A mistyped path must not create an empty store.
    if !place.create && !path.is_file() {
        return Err(Failure::Store("store_failed", "the file does not exist".to_owned()));
    }
    if place.create {
        SqliteStore::make_file(path);
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(place.create)
        .synchronous(if place.create { SqliteSynchronous::Normal } else { SqliteSynchronous::Full })
        .busy_timeout(BUSY);
    let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let pool = pool.connect_with(options).await.map_err(StoreError::from)?;
    let journal = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&pool).await;
    let journal: String = journal.map_err(StoreError::from)?;
    let tables = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1";
    let tables = sqlx::query_scalar(tables).bind(place.table).fetch_one(&pool).await;
    let tables: i64 = tables.map_err(StoreError::from)?;
    if tables == 0 && !place.create {
        return Err(no_table(place));
    }
    let store = SqliteStore::with_pool(pool.clone(), place.table).await?;
    Ok((Kind::Sqlite(store), Server::Sqlite(pool, journal)))
}

pub(super) async fn postgres(url: &str, place: Place<'_>) -> Result<(Kind, Server), Failure> {
    // A pool would retry until its timeout, and report only that.
    let options: PgConnectOptions = url.parse().map_err(StoreError::from)?;
    // A pooler refuses this setting.
    let options = options.extra_float_digits(None);
    let first = timeout(PATIENCE, options.connect()).await;
    let first = first.map_err(|_| StoreError::failed("no answer in time"))?;
    let _ = first.map_err(StoreError::from)?.close().await;
    let pool = PgPoolOptions::new().max_connections(8).acquire_timeout(PATIENCE);
    let pool = pool.connect_with(options).await.map_err(StoreError::from)?;
    // It tells the services of its changes, whether they listen or not.
    let store = PostgresStore::with_pool(pool.clone(), place.table)?.with_feed(None);
    if place.create {
        store.migrate().await?;
    }
    let there = format!("SELECT to_regclass('\"{}\"') IS NOT NULL", place.table);
    let there = pool.fetch_one(&*there).await.map_err(StoreError::from)?;
    if !there.try_get::<bool, _>(0).map_err(StoreError::from)? {
        return Err(no_table(place));
    }
    Ok((Kind::Postgres(store), Server::Postgres(pool)))
}

pub(super) async fn mysql(url: &str, place: Place<'_>) -> Result<(Kind, Server), Failure> {
    // A pool would retry until its timeout, and report only that.
    let options: MySqlConnectOptions = url.parse().map_err(StoreError::from)?;
    let first = timeout(PATIENCE, options.connect()).await;
    let first = first.map_err(|_| StoreError::failed("no answer in time"))?;
    let _ = first.map_err(StoreError::from)?.close().await;
    let pool = MySqlPoolOptions::new().max_connections(8).acquire_timeout(PATIENCE);
    let pool = pool.connect_with(options).await.map_err(StoreError::from)?;
    let store = MySqlStore::with_pool(pool.clone(), place.table)?;
    if place.create {
        store.migrate().await?;
    }
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?";
    let tables = sqlx::query_scalar(tables).bind(place.table).fetch_one(&pool).await;
    let tables: i64 = tables.map_err(StoreError::from)?;
    if tables == 0 {
        return Err(no_table(place));
    }
    Ok((Kind::MySql(store), Server::MySql(pool)))
}

fn no_table(place: Place<'_>) -> Failure {
    let message = format!(
        "the table `{}` does not exist: choose it with --table, or create it with `vestiary migrate-schema`",
        place.table
    );
    Failure::Store("no_table", message)
}
