//! The MySQL store on a cluster of MariaDB (Galera), whose two servers both take writes.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use crate::servers::mysql::{MySql, cluster};
use vestiary::{Ttl, WriteId};
use vestiary_store::{
    Config, MySqlStore, Outcome, SessionError, Sessions, Store as _,
    sqlx::{Connection as _, Executor as _, MySqlConnection},
};

const LIFE: Ttl = Ttl::Millis(600_000);
const OLD: &str = r#"{"v":"AAAAAAAAAAAAAAAA","data":{"n":1}}"#;
const SECRET: &str = "a secret of more than 32 bytes, for the tests";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_of_a_cluster_are_one_store() {
    let servers = cluster().await;
    let [one_url, url] = servers.each_ref().map(MySql::url);
    let one = MySqlStore::connect(&one_url).await.unwrap();
    let other = MySqlStore::connect(&url).await.unwrap();
    one.migrate().await.unwrap();

    knows_at_once(&one, &other).await;
    waits_for_writes(&one, &other, &url).await;
    loses_no_update(&one, &other).await;
}

/// A server knows at once what the other one has created and ended.
async fn knows_at_once(one: &MySqlStore, other: &MySqlStore) {
    let expected = WriteId::parse("AAAAAAAAAAAAAAAA");
    for n in 0..100 {
        let key = format!("session {n}");
        assert!(one.create(&key, OLD, LIFE, false).await.unwrap());
        assert_eq!(other.remove(&key, expected.as_ref()).await.unwrap(), Outcome::Done);
        assert_eq!(one.write_ids(std::slice::from_ref(&key)).await.unwrap(), [None]);
        assert_eq!(one.read(&key).await.unwrap(), None);
    }
}

/// A server that is behind does not take a record for missing.
async fn waits_for_writes(one: &MySqlStore, other: &MySqlStore, url: &str) {
    let mut connection = MySqlConnection::connect(url).await.unwrap();
    // It applies no more writes until the tables are unlocked.
    connection.execute("FLUSH TABLES WITH READ LOCK").await.unwrap();
    one.create("behind", OLD, LIFE, false).await.unwrap();
    let found = connection.fetch_optional("SELECT 1 FROM sessions WHERE `key` LIKE '%behind'");
    assert!(found.await.unwrap().is_none());
    let reading = other.read("behind");
    let unlocking = connection.execute("UNLOCK TABLES");
    let (read, unlocked) = tokio::join!(reading, unlocking);
    unlocked.unwrap();
    assert_eq!(read.unwrap().as_deref(), Some(OLD));
}

/// Requests to both servers lose no update. An update that other requests outrun in each attempt says so, and has written
/// nothing: on a busy machine, a server that applies the other one's writes late may always be the slower one.
async fn loses_no_update(one: &MySqlStore, other: &MySqlStore) {
    let apps =
        [one, other].map(|store| Sessions::new(&Config::new(SECRET), store.clone()).unwrap());
    let stored = apps[0].create(r#"{"n":0}"#, None).await.unwrap();
    let loads = (0..8).map(|load| {
        let (app, stored) = (apps[load % 2].clone(), stored.clone());
        tokio::spawn(async move {
            for _ in 0..20 {
                let mut count = |data: &str| Ok(format!(r#"{{"n":{}}}"#, count_of(data) + 1));
                let updated = loop {
                    match app.update(&stored, &mut count).await {
                        Err(SessionError::Busy) => {}
                        updated => break updated.unwrap(),
                    }
                };
                updated.expect("the session lives");
            }
        })
    });
    for load in loads.collect::<Vec<_>>() {
        load.await.unwrap();
    }
    for app in apps {
        let found = app.load(stored.id()).await.unwrap().expect("the session lives");
        assert_eq!(count_of(found.data()), 160);
    }
}

/// The number in `{"n":1}`.
fn count_of(data: &str) -> u32 {
    data.trim_matches(|at: char| !at.is_ascii_digit()).parse().unwrap()
}
