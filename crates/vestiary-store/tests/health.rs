//! The condition of stores, by `Sessions::health`, on their servers.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use crate::servers::{folder, mysql::MySql, postgres::Postgres, redis::Redis};
use vestiary::Ttl;
use vestiary_store::{
    Config, Health, MemoryStore, MySqlStore, PostgresStore, RedisStore, Scan, Sessions,
    SqliteStore, Store, redis::cmd,
};

fn sessions(store: impl Store) -> Sessions {
    Sessions::new(&Config::new("a secret of the tests, of more than 32 bytes"), store).unwrap()
}

/// Checks that a store is sound, tells this version, and keeps nothing of the check.
async fn is_sound(store: impl Scan + Clone, version: &str) -> Health {
    let health = sessions(store.clone()).health().await;
    assert!(health.writable && health.error.is_none(), "{health:?}");
    assert!(health.latency.is_some_and(|latency| !latency.is_zero()), "{health:?}");
    let known = health.info.version.clone().unwrap();
    assert!(known.starts_with(version), "{known}");
    let page = store.scan(None, 10).await.unwrap();
    assert!(page.entries.is_empty() && page.next.is_none());
    health
}

#[tokio::test]
async fn redis_tells_its_version_and_what_it_evicts_and_whether_it_can_be_written() {
    let server = Redis::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let health = is_sound(store.clone(), "Redis ").await;
    assert_eq!(health.info.eviction_policy.as_deref(), Some("noeviction"));

    let mut connection = server.connection().await.unwrap();
    let mut set = async |limit: &str| {
        let mut set = cmd("CONFIG");
        set.arg("SET").arg("maxmemory").arg(limit);
        set.query_async::<()>(&mut connection).await.unwrap();
    };
    set("1").await;
    let health = sessions(store.clone()).health().await;
    assert!(!health.writable && health.latency.is_some(), "{health:?}");
    assert_eq!(health.error.unwrap().code(), "store_full");
    set("0").await;
    is_sound(store.clone(), "Redis ").await;

    drop(server);
    let health = sessions(store).health().await;
    assert!(!health.writable && health.latency.is_none(), "{health:?}");
    assert!(health.error.is_some() && health.info.version.is_none(), "{health:?}");
}

#[tokio::test]
async fn valkey_is_not_taken_for_redis() {
    let server = Redis::start_valkey().await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let health = is_sound(store, "Valkey ").await;
    assert_eq!(health.info.eviction_policy.as_deref(), Some("noeviction"));
}

#[tokio::test]
async fn the_databases_tell_their_versions() {
    let postgres = Postgres::start().await;
    let store = PostgresStore::connect(&postgres.url()).await.unwrap();
    store.migrate().await.unwrap();
    is_sound(store, "Postgres 1").await;

    let mysql = MySql::start().await;
    let store = MySqlStore::connect(&mysql.url()).await.unwrap();
    store.migrate().await.unwrap();
    is_sound(store, "MariaDB 1").await;

    let folder = folder("health");
    let store = SqliteStore::open(folder.join("sessions.db")).await.unwrap();
    is_sound(store, "SQLite 3.").await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_database_without_its_table_is_not_sound() {
    let postgres = Postgres::start().await;
    let store = PostgresStore::connect(&postgres.url()).await.unwrap();
    let health = sessions(store).health().await;
    assert!(!health.writable && health.error.is_some(), "{health:?}");
    assert!(health.info.version.is_some(), "{health:?}");
}

#[tokio::test]
async fn a_store_in_this_process_is_not_asked_because_a_record_more_could_evict_a_session() {
    let store = MemoryStore::default();
    let life = Ttl::Millis(600_000);
    assert!(store.create("key", r#"{"data":{}}"#, life, false).await.unwrap());
    let health = sessions(store).health().await;
    assert!(health.writable && health.latency.is_some_and(|latency| latency.is_zero()));
}
