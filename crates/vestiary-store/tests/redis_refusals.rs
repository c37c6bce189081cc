//! Redis servers that answer, and refuse writes: a read-only replica, and one whose memory is full.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::sync::{Arc, Mutex};

use crate::servers::{redis::Redis, until};
use vestiary_store::{Config, Found, Login, RedisStore, SessionError, Sessions, Store as _};

type Events = Arc<Mutex<Vec<&'static str>>>;

async fn sessions(server: &Redis) -> (Sessions, Events) {
    let events = Events::default();
    let heard = events.clone();
    let config = Config::new("a secret of the tests, of more than 32 bytes")
        .on_event(move |event| heard.lock().unwrap().push(event.name()));
    let store = RedisStore::connect(&server.url()).await.unwrap();
    (Sessions::new(&config, store).unwrap(), events)
}

/// The number of script calls, without those that were repeated because the server did not have the script.
async fn writes(server: &Redis) -> usize {
    let commands = server.info("commandstats").await;
    commands.lines().filter(|line| line.starts_with("cmdstat_evalsha:")).map(calls).sum()
}

fn calls(line: &str) -> usize {
    let (_, calls) = line.split_once("calls=").unwrap();
    calls.split(',').next().unwrap().parse().unwrap()
}

fn is_refused(error: &SessionError, code: &str, cause: &str) {
    assert!(error.is_refusal());
    assert_eq!(error.code(), code);
    let SessionError::Store { source, .. } = error else { panic!("{error:?}") };
    assert!(source.to_string().contains(cause), "{source}");
}

#[tokio::test]
async fn a_read_only_replica_refuses_each_write_with_one_try_and_is_named() {
    let primary = Redis::start(&[]).await;
    let port = primary.port.to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port]).await;
    let one = sessions(&primary).await.0.create(r#"{"n":1}"#, None).await.unwrap();
    let (sessions, _) = sessions(&replica).await;
    until("the replica knows", async || {
        sessions.store().read(one.id().expose()).await.unwrap().map(drop)
    })
    .await;
    for write in ["destroy", "commit", "touch"] {
        replica.ask("CONFIG RESETSTAT").await;
        let change = || (r#"{"n":1}"#.to_owned(), r#"{"n":2}"#.to_owned());
        let (base, mine) = change();
        let error = match write {
            "destroy" => sessions.destroy(&one).await.unwrap_err(),
            "commit" => sessions.commit(&one, base, mine).await.unwrap_err(),
            _ => sessions.touch(&one).await.unwrap_err(),
        };
        is_refused(&error, "store_failed", "READONLY");
        assert_eq!(writes(&replica).await, 1, "{write}");
    }
    assert!(sessions.load(one.id()).await.unwrap().is_some());
}

#[tokio::test]
async fn memory_that_is_full_refuses_a_save_and_a_logout_is_one() {
    let server = Redis::start(&["--maxmemory-policy", "noeviction"]).await;
    let (sessions, events) = sessions(&server).await;
    let owner = sessions.of("ada").admit(&Login::default()).await.unwrap();
    let one = sessions.create(r#"{"n":1}"#, Some(owner)).await.unwrap();
    server.ask("CONFIG SET maxmemory 1").await;
    server.ask("CONFIG RESETSTAT").await;
    let (base, mine) = (r#"{"n":1}"#.to_owned(), r#"{"n":2}"#.to_owned());
    let error = sessions.commit(&one, base, mine).await.unwrap_err();
    is_refused(&error, "store_full", "OOM");
    assert_eq!(writes(&server).await, 1);
    // The record is gone, so the session has ended, though its user's list cannot be written.
    sessions.destroy(&one).await.unwrap();
    assert_eq!(writes(&server).await, 3);
    assert_eq!(*events.lock().unwrap(), ["store_failed"]);
    server.ask("CONFIG SET maxmemory 0").await;
    let cookie = format!("connect.sid={}", sessions.sign(one.id()));
    let found = sessions.find(&sessions.cookies([cookie.as_bytes()])).await.unwrap();
    assert!(matches!(found, Found::Nothing));
    // The entry stays until the session would have expired, or is ended from the list.
    let ada = sessions.of("ada");
    let listed = ada.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    ada.revoke(&listed[0].handle).await.unwrap();
    assert!(ada.list().await.unwrap().is_empty());
}
