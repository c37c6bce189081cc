//! The near cache on a Redis server, in several processes: another process's logout is noticed at once by the feed, and
//! within the bound without it.

#![allow(
    clippy::expect_used,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::time::Duration;

use tokio::time::Instant;

use crate::servers::{
    redis::{Redis, text},
    streams::{SECRET, login},
    until,
};
use vestiary_store::{Cache, Config, Found, RedisStore, Sessions, Stored, redis::Client};

/// The longest time of an entry, so that a test which passes owes it to the feed.
const MINUTE: Duration = Duration::from_secs(60);

async fn process(server: &Redis, max_stale: Duration, has_feed: bool) -> Sessions {
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let feed = has_feed.then(|| Client::open(server.url()).unwrap());
    let store = if let Some(feed) = feed { store.with_feed(feed) } else { store };
    Sessions::new(&Config::new(SECRET).cache(Cache::new(max_stale)), store).unwrap()
}

async fn is_in(sessions: &Sessions, session: &Stored) -> bool {
    let cookie = format!("connect.sid={}", sessions.sign(session.id()));
    let found = sessions.find(&sessions.cookies([cookie.as_bytes()])).await.unwrap();
    matches!(found, Found::Session(_))
}

/// Waits until requests are out, and returns after how long.
async fn out(sessions: &Sessions, session: &Stored) -> Duration {
    let began = Instant::now();
    while is_in(sessions, session).await {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    began.elapsed()
}

/// The number of times that the server was asked for a text.
async fn reads(server: &Redis) -> usize {
    let info = server.info("commandstats").await;
    let calls = info.lines().filter_map(|line| {
        let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let reads = ["get", "mget", "getrange", "eval", "evalsha"].contains(&command);
        rest.split(',').next()?.parse::<usize>().ok().filter(|_| reads)
    });
    let calls = calls.sum();
    assert!(calls > 0, "{info}");
    calls
}

async fn subscribed(server: &Redis, number: usize) {
    until("the connections of the feed", async || {
        let clients = text(&server.ask("CLIENT LIST TYPE pubsub").await);
        (clients.lines().filter(|line| !line.is_empty()).count() == number).then_some(())
    })
    .await;
}

fn shown(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| times.get((times.len() - 1) * part / 100).unwrap().as_secs_f64() * 1e3;
    println!("{what}: p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms", at(50), at(99), at(100));
}

/// Waits until the feed of a process is connected: only then does it notice within its minute what another one does. Before,
/// its connection drops all entries when it begins.
async fn connected(here: &Sessions, other: &Sessions) {
    let session = login(other, "eve").await;
    assert!(is_in(here, &session).await);
    other.destroy(&session).await.unwrap();
    out(here, &session).await;
}

#[tokio::test]
async fn requests_ask_the_server_once_and_are_out_when_the_feed_says_so() {
    let server = Redis::start(&[]).await;
    let (here, there) =
        (process(&server, MINUTE, true).await, process(&server, MINUTE, true).await);
    connected(&here, &there).await;
    let session = login(&there, "ada").await;
    assert!(is_in(&here, &session).await);
    let before = reads(&server).await;
    for _ in 0..100 {
        assert!(is_in(&here, &session).await);
    }
    assert_eq!(reads(&server).await, before);
    let mut times = Vec::new();
    for n in 0..50 {
        let session = login(&there, "ada").await;
        assert!(is_in(&here, &session).await);
        if n % 2 == 0 {
            there.destroy(&session).await.unwrap();
        } else {
            there.of("ada").revoke(session.handle().unwrap()).await.unwrap();
        }
        times.push(out(&here, &session).await);
    }
    shown("with the feed", times);
}

#[tokio::test]
async fn without_a_feed_requests_are_out_within_the_bound() {
    let server = Redis::start(&[]).await;
    let bound = Duration::from_millis(300);
    let (here, there) =
        (process(&server, bound, false).await, process(&server, bound, false).await);
    let mut times = Vec::new();
    for _ in 0..10 {
        let session = login(&there, "ada").await;
        assert!(is_in(&here, &session).await);
        there.destroy(&session).await.unwrap();
        times.push(out(&here, &session).await);
    }
    // However long the machine took for the last request, the entry was no older.
    shown("without a feed, 300 ms", times);
}

#[tokio::test]
async fn what_was_missed_while_the_feed_was_cut_is_dropped_when_it_is_back() {
    let server = Redis::start(&[]).await;
    let here = process(&server, MINUTE, true).await;
    // This process publishes nothing.
    let silent = process(&server, MINUTE, false).await;
    connected(&here, &process(&server, MINUTE, true).await).await;
    let session = login(&silent, "ada").await;
    assert!(is_in(&here, &session).await);
    silent.of("ada").revoke_all().await.unwrap();
    assert!(is_in(&here, &session).await);
    server.ask("CLIENT KILL TYPE pubsub").await;
    out(&here, &session).await;
}

#[tokio::test]
async fn the_connection_of_the_feed_goes_when_the_cache_is_not_used() {
    let server = Redis::start(&[]).await;
    let here = process(&server, MINUTE, true).await;
    let session = login(&here, "ada").await;
    assert!(is_in(&here, &session).await);
    subscribed(&server, 1).await;
    subscribed(&server, 0).await;
    // And comes with the next entry.
    let other = login(&here, "eve").await;
    assert!(is_in(&here, &other).await);
    subscribed(&server, 1).await;
}
