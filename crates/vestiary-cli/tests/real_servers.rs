//! The program on real servers: one Redis server, a cluster, Sentinel, Postgres, and MariaDB.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use crate::servers::{
    mysql::MySql,
    pgbouncer::PgBouncer,
    postgres::Postgres,
    redis::{Redis, cluster, sentinel},
    streams::{begins, soon},
};
use crate::support::{Filled, Folder, Ran, config, fill, more};
use serde_json::Value;
use std::time::Duration;
use vestiary_store::{
    Found, MySqlStore, PostgresStore, RedisStore, Store,
    redis::cluster::ClusterClient,
    redis::sentinel::{SentinelClient, SentinelServerType},
    sqlx::{Connection as _, Executor as _, MySqlConnection},
};

/// The program on another store.
fn run(folder: &Folder, url: &str, args: &[&str]) -> Ran {
    folder.run_with(args, &[("VESTIARY_STORE", url)], "")
}

/// Runs every command that reads or ends sessions, on a store with the four sessions of `fill` and 600 more.
async fn works(folder: &Folder, url: &str, filled: &Filled) {
    more(filled, 600).await;
    let listed = run(folder, url, &["ls", "--json", "--limit", "0"]).ends(0).json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 604);
    let stats = run(folder, url, &["stats", "--json"]).ends(0).json();
    assert_eq!(
        (&stats["sessions"], &stats["logged_in"], &stats["users"]),
        (&604.into(), &3.into(), &2.into())
    );
    let shown = run(folder, url, &["show", "--json", filled.bob.id().expose()]).ends(0).json();
    assert_eq!(shown["user"], "bob");
    assert!(shown["ttl_ms"].as_u64().unwrap() > 600_000_000);
    run(folder, url, &["revoke", filled.bob.id().expose()]).ends(0);
    run(folder, url, &["revoke", "--user", "ada"]).ends(0);
    for stored in [&filled.bob, &filled.ada[0], &filled.ada[1]] {
        let cookie = format!("connect.sid={}", filled.cookie(stored));
        let found = filled.sessions.find(&filled.sessions.cookies([cookie.as_bytes()])).await;
        assert!(matches!(found.unwrap(), Found::Nothing));
    }

    // Copied away and back again: 601 sessions and ada's list. Bob's list is empty and expires within a second.
    let expected = 602..=603;
    let away = format!("sqlite:{}", folder.path("away.db").display());
    let said = run(folder, url, &["migrate", "--json", url, &away]).ends(0).json();
    assert_eq!((&said["missing"], &said["different"]), (&0.into(), &0.into()));
    assert!(expected.contains(&said["verified"].as_u64().unwrap()), "{said}");
    let back = ["migrate", "--json", &away, url, "--to-prefix", "back:"];
    let said = run(folder, url, &back).ends(0).json();
    assert!(expected.contains(&said["copied"].as_u64().unwrap()), "{said}");
    assert_eq!((&said["missing"], &said["different"]), (&0.into(), &0.into()));

    let done = run(folder, url, &["revoke", "--all", "--yes", "--json"]).ends(0).json();
    assert!(expected.contains(&done["removed"].as_u64().unwrap()), "{done}");
    assert_eq!(done["empty"], true);
    assert!(run(folder, url, &["ls"]).ends(0).out.is_empty());
    // Records with another prefix are left alone.
    let listed = run(folder, url, &["ls", "--json", "--prefix", "back:", "--limit", "0"]);
    assert_eq!(listed.json()["sessions"].as_array().unwrap().len(), 601);
}

/// The checks, by name.
fn checked(folder: &Folder, url: &str, code: i32) -> Vec<(String, String)> {
    let said: Value = run(folder, url, &["doctor", "--json"]).ends(code).json();
    let text = |check: &Value, name: &str| check[name].as_str().unwrap().to_owned();
    let checks = said["checks"].as_array().unwrap().iter();
    checks.map(|check| (text(check, "name"), text(check, "state"))).collect()
}

fn has(checks: &[(String, String)], name: &str, state: &str) {
    let found = checks.iter().any(|check| check.0 == name && check.1 == state);
    assert!(found, "{name} {state}: {checks:?}");
}

#[tokio::test]
async fn every_command_works_on_one_redis_server_and_doctor_checks_it() {
    let (folder, _) = Folder::new().await;
    let server = Redis::start(&["--maxmemory-policy", "allkeys-lru", "--appendonly", "yes"]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let filled = fill(store, &config()).await;
    works(&folder, &server.url(), &filled).await;

    let checks = checked(&folder, &server.url(), 0);
    has(&checks, "eviction", "warn");
    for name in ["version", "role", "persistence", "fsync", "clock", "probe", "latency"] {
        has(&checks, name, "ok");
    }
    let schema = run(&folder, &server.url(), &["migrate-schema"]).ends(2);
    assert!(schema.err.contains("[no_schema]"), "{schema:?}");
    server.ask("CONFIG SET maxmemory-policy noeviction").await;
    server.ask("CONFIG SET maxmemory 100mb").await;
    server.ask("CONFIG SET appendonly no").await;
    let checks = checked(&folder, &server.url(), 0);
    has(&checks, "eviction", "ok");
    has(&checks, "persistence", "warn");
    // Without an append-only file, `appendfsync` is irrelevant.
    assert!(!checks.iter().any(|check| check.0 == "fsync"), "{checks:?}");
    assert!(!run(&folder, &server.url(), &["doctor"]).out.contains("everysec"));
    for policy in ["volatile-ttl", "volatile-lru", "allkeys-lfu", "volatile-random"] {
        server.ask(&format!("CONFIG SET maxmemory-policy {policy}")).await;
        has(&checked(&folder, &server.url(), 0), "eviction", "warn");
    }
}

/// Ends sessions that another process watches. It asks the store by itself only after five minutes.
async fn ends_streams(url: &str, store: impl Store) {
    let (folder, _) = Folder::new().await;
    let config = config().recheck_after(Duration::from_secs(300));
    let filled = fill(store, &config).await;
    let [mut first, mut second, mut bob] =
        [&filled.ada[0], &filled.ada[1], &filled.bob].map(|session| filled.sessions.ended(session));
    for ended in [&mut first, &mut second, &mut bob] {
        begins(ended).await;
    }
    run(&folder, url, &["revoke", filled.ada[0].id().expose()]).ends(0);
    // It may have been asked about because the feed was connected only now. The others were not.
    soon(&mut first).await;
    begins(&mut second).await;
    run(&folder, url, &["revoke", "--user", "ada"]).ends(0);
    soon(&mut second).await;
    begins(&mut bob).await;
    run(&folder, url, &["revoke", "--all", "--yes"]).ends(0);
    soon(&mut bob).await;
}

#[tokio::test]
async fn the_streams_of_a_service_end_with_a_session_that_is_revoked_in_redis() {
    let server = Redis::start(&[]).await;
    let client = vestiary_store::redis::Client::open(server.url()).unwrap();
    let store = RedisStore::connect(&server.url()).await.unwrap().with_feed(client);
    ends_streams(&server.url(), store).await;
    // A user who may not publish revokes nevertheless.
    let (folder, _) = Folder::new().await;
    let filled = fill(RedisStore::connect(&server.url()).await.unwrap(), &config()).await;
    server.ask("ACL SETUSER service on >word ~* +@all resetchannels").await;
    let url = format!("redis://service:word@127.0.0.1:{}", server.port);
    run(&folder, &url, &["revoke", filled.bob.id().expose()]).ends(0);
    run(&folder, &url, &["revoke", "--user", "ada"]).ends(0);
}

#[tokio::test]
async fn the_streams_of_a_service_end_with_a_session_that_is_revoked_in_postgres() {
    let server = Postgres::start().await;
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    store.migrate().await.unwrap();
    ends_streams(&server.url(), store.with_feed(None)).await;
}

#[tokio::test]
async fn the_streams_of_a_service_end_with_a_session_that_is_revoked_in_mariadb() {
    let server = MySql::start().await;
    let store = MySqlStore::connect(&server.url()).await.unwrap();
    store.migrate().await.unwrap();
    ends_streams(&server.url(), store.with_feed(None)).await;
}

/// A value that is not text is a row, and can be removed.
#[tokio::test]
async fn a_value_of_redis_that_is_no_record_stops_nothing() {
    let (folder, _) = Folder::new().await;
    let server = Redis::start(&[]).await;
    let filled = fill(RedisStore::connect(&server.url()).await.unwrap(), &config()).await;
    let mut set = vestiary_store::redis::cmd("SET");
    set.arg("sess:a-value-of-others").arg(&b"{\"v\":\"\xff\xff"[..]);
    let mut connection = server.connection().await.unwrap();
    set.query_async::<vestiary_store::redis::Value>(&mut connection).await.unwrap();
    let url = server.url();
    let listed = run(&folder, &url, &["ls", "--json"]).ends(0).json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 5);
    assert_eq!(run(&folder, &url, &["stats", "--json"]).ends(0).json()["unreadable"], 1);
    let to = format!("sqlite:{}", folder.path("to.db").display());
    let said = run(&folder, &url, &["migrate", "--json", &url, &to]).ends(0).json();
    assert_eq!((&said["copied"], &said["not_text"]), (&6.into(), &1.into()));
    run(&folder, &url, &["revoke", "a-value-of-others"]).ends(0);
    assert_eq!(
        server.ask("EXISTS sess:a-value-of-others").await,
        vestiary_store::redis::Value::Int(0)
    );
    run(&folder, &url, &["revoke", "--all", "--yes"]).ends(0);
    drop(filled);
}

#[tokio::test]
async fn doctor_claims_nothing_that_redis_did_not_tell() {
    let (folder, _) = Folder::new().await;
    let server = Redis::start(&[]).await;
    server.ask("ACL SETUSER service on >word ~* +@all -info -config -time").await;
    let url = format!("redis://service:word@127.0.0.1:{}", server.port);
    let checks = checked(&folder, &url, 0);
    for name in ["version", "role", "eviction", "persistence"] {
        has(&checks, name, "warn");
    }
    has(&checks, "probe", "ok");
}

#[tokio::test]
async fn postgres_behind_a_pooler() {
    let (folder, _) = Folder::new().await;
    let server = Postgres::start().await;
    let pooler = PgBouncer::start(&server, 2).await;
    let store = PostgresStore::connect(&pooler.url()).await.unwrap();
    store.migrate().await.unwrap();
    let filled = fill(store, &config()).await;
    works(&folder, &pooler.url(), &filled).await;
    has(&checked(&folder, &pooler.url(), 0), "pooler", "ok");
    assert!(
        run(&folder, &pooler.url(), &["doctor"])
            .out
            .contains("present, so each operation is a transaction")
    );
    assert!(run(&folder, &server.url(), &["doctor"]).out.contains("none"));
}

#[tokio::test]
async fn a_redis_user_without_scripts_is_found_out_and_no_password_shows() {
    let (folder, _) = Folder::new().await;
    let server = Redis::start(&[]).await;
    server.ask("ACL SETUSER service on >canary-password ~* +@all -eval -evalsha").await;
    let url = format!("redis://service:canary-password@127.0.0.1:{}", server.port);
    let checks = checked(&folder, &url, 1);
    has(&checks, "probe", "fail");
    let ran = run(&folder, &url, &["doctor"]).ends(1);
    assert!(ran.out.contains("EVAL") && !ran.out.contains("canary-password"), "{ran:?}");
    // Nothing is left of the probe, though it could not be removed.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let wrong = format!("redis://service:canary-other@127.0.0.1:{}", server.port);
    let ran = run(&folder, &wrong, &["ls"]).ends(3);
    assert!(!ran.err.contains("canary"), "{ran:?}");
}

#[tokio::test]
async fn a_replica_is_not_taken_for_a_store() {
    let (folder, _) = Folder::new().await;
    let primary = Redis::start(&[]).await;
    let port = primary.port.to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port]).await;
    let checks = checked(&folder, &replica.url(), 1);
    has(&checks, "role", "fail");
    has(&checks, "probe", "fail");
}

#[tokio::test]
async fn a_cluster_of_redis() {
    let (folder, _) = Folder::new().await;
    let nodes = cluster().await;
    let client = ClusterClient::new(nodes.iter().take(3).map(Redis::url)).unwrap();
    let store = RedisStore::new(client.get_async_connection().await.unwrap());
    let filled = fill(store, &config()).await;
    let url = format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}", nodes[0].port, nodes[1].port);
    works(&folder, &url, &filled).await;
    let checks = checked(&folder, &url, 0);
    has(&checks, "cluster", "ok");
    assert_eq!(checks.iter().filter(|check| check.0 == "version").count(), 3);
    has(&checked(&folder, &nodes[0].url(), 1), "cluster", "fail");
}

#[tokio::test]
async fn redis_behind_sentinel() {
    let (folder, _) = Folder::new().await;
    let (_primary, _replica, sentinel) = sentinel().await;
    let client =
        SentinelClient::build(vec![sentinel.url()], "main", None, SentinelServerType::Master);
    let filled = fill(RedisStore::new(client.unwrap()), &config()).await;
    let url = format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port);
    works(&folder, &url, &filled).await;
    has(&checked(&folder, &url, 0), "role", "ok");
    let other = format!("redis+sentinel://127.0.0.1:{}/other", sentinel.port);
    run(&folder, &other, &["ls"]).ends(3);
}

#[tokio::test]
async fn postgres() {
    let (folder, _) = Folder::new().await;
    let server = Postgres::start().await;
    assert!(run(&folder, &server.url(), &["ls"]).ends(3).err.contains("[no_table]"));
    for _ in 0..2 {
        let ran = run(&folder, &server.url(), &["migrate-schema"]).ends(0);
        assert!(ran.out.starts_with("the table `sessions` and its index exist in postgres://"));
    }
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    let filled = fill(store.clone(), &config()).await;
    works(&folder, &server.url(), &filled).await;

    let checks = checked(&folder, &server.url(), 0);
    for name in ["version", "role", "isolation", "table", "clock", "probe", "latency"] {
        has(&checks, name, "ok");
    }
    // The tests start the server without fsync.
    has(&checks, "commits", "warn");
    let url = format!("{}?options=-c%20default_transaction_read_only%3Don", server.url());
    let checks = checked(&folder, &url, 1);
    has(&checks, "role", "fail");
    has(&checks, "probe", "fail");
    assert!(store.read("nothing").await.unwrap().is_none());
}

#[tokio::test]
async fn mysql() {
    let (folder, _) = Folder::new().await;
    let server = MySql::start().await;
    assert!(run(&folder, &server.url(), &["ls"]).ends(3).err.contains("[no_table]"));
    let store = MySqlStore::connect(&server.url()).await.unwrap();
    run(&folder, &server.url(), &["migrate-schema"]).ends(0);
    let schema = run(&folder, "", &["schema", "--store", "mysql"]).ends(0).out;
    assert!(schema.starts_with("CREATE TABLE IF NOT EXISTS `sessions` (`key` VARBINARY(767)"));
    let filled = fill(store, &config()).await;
    works(&folder, &server.url().replace("mysql:", "mariadb:"), &filled).await;

    let checks = checked(&folder, &server.url(), 0);
    for name in ["version", "role", "autocommit", "table", "clock", "probe", "latency"] {
        has(&checks, name, "ok");
    }
    // The tests start the server so.
    has(&checks, "commits", "warn");

    let mut admin = MySqlConnection::connect(&server.url()).await.unwrap();
    let put = "INSERT INTO sessions VALUES ('sess:a-value-of-others', X'FF', 9e15)";
    admin.execute(put).await.unwrap();
    run(&folder, &server.url(), &["revoke", "a-value-of-others"]).ends(0);
    for (change, state, code) in [
        ("DROP INDEX expires ON sessions", "warn", 0),
        ("ALTER TABLE sessions MODIFY record LONGTEXT NOT NULL", "fail", 1),
        ("ALTER TABLE sessions ENGINE = Aria", "warn", 0),
    ] {
        admin.execute(change).await.unwrap();
        has(&checked(&folder, &server.url(), code), "table", state);
    }
    admin.execute("SET GLOBAL read_only = 1").await.unwrap();
    has(&checked(&folder, &server.url(), 1), "role", "fail");
    let stranger = server.url().replace("app@", "stranger:canary-password@");
    let ran = run(&folder, &stranger, &["ls"]).ends(3);
    assert!(!ran.err.contains("canary"), "{ran:?}");
}
