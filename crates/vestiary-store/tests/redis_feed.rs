//! The feed of changes of the Redis store: a stream ends at once when another process ends its session. The time between two
//! checks is five minutes, so that a test which passes owes it to the feed.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::time::Duration;

use crate::servers::{
    node,
    redis::{Redis, cluster, sentinel, text},
    streams::{SECRET, begins, config, login, soon},
    until,
};
use futures_util::StreamExt as _;
use vestiary_store::{
    RedisFeed, RedisStore, Sessions, Store as _, StoreOptions,
    redis::{
        Client, Value,
        cluster::ClusterClient,
        cmd,
        sentinel::{SentinelClient, SentinelServerType},
    },
};

/// A process that has the feed.
async fn process(server: &Redis) -> Sessions {
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let store = store.with_feed(Client::open(server.url()).unwrap());
    Sessions::new(&config(), store).unwrap()
}

async fn subscribers(server: &Redis) -> usize {
    let clients = text(&server.ask("CLIENT LIST TYPE pubsub").await);
    clients.lines().filter(|line| !line.is_empty()).count()
}

async fn subscribed(server: &Redis, number: usize) {
    let channel = "PUBSUB NUMSUB sess:feed";
    until("the connections of the feed", async || {
        let answer = format!("{:?}", server.ask(channel).await);
        answer.contains(&format!("int({number})")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_logout_by_one_process_ends_the_streams_in_another() {
    let server = Redis::start(&[]).await;
    let (here, there) = (process(&server).await, process(&server).await);
    let [ada, other, eve] = [login(&here, "ada"), login(&here, "ada"), login(&here, "eve")];
    let (ada, other, eve) = (ada.await, other.await, eve.await);
    assert_eq!(subscribers(&server).await, 0);
    let [mut one, mut two, mut stays] = [&ada, &other, &eve].map(|session| here.ended(session));
    begins(&mut stays).await;
    subscribed(&server, 1).await;
    there.destroy(&ada).await.unwrap();
    soon(&mut one).await;
    begins(&mut two).await;
    there.of("ada").revoke_all().await.unwrap();
    soon(&mut two).await;
    begins(&mut stays).await;
    // The connection goes with the last stream.
    drop((one, two, stays));
    subscribed(&server, 0).await;
    assert_eq!(subscribers(&server).await, 0);
    let mut again = here.ended(&eve);
    there.of("eve").revoke_all().await.unwrap();
    soon(&mut again).await;
}

#[tokio::test]
async fn a_renewal_by_another_process_is_followed() {
    let server = Redis::start(&[]).await;
    let (here, there) = (process(&server).await, process(&server).await);
    let session = here.create("{}", None).await.unwrap();
    let mut ended = here.ended(&session);
    begins(&mut ended).await;
    subscribed(&server, 1).await;
    let renewed = there.renew(&session).await.unwrap().unwrap();
    begins(&mut ended).await;
    there.destroy(&renewed).await.unwrap();
    soon(ended).await;
}

#[tokio::test]
async fn what_was_missed_while_the_feed_was_cut_is_asked_about_when_it_is_back() {
    let server = Redis::start(&[]).await;
    let here = process(&server).await;
    // This process publishes nothing.
    let silent = RedisStore::connect(&server.url()).await.unwrap();
    let silent = Sessions::new(&config(), silent).unwrap();
    let session = login(&here, "ada").await;
    let mut ended = here.ended(&session);
    begins(&mut ended).await;
    subscribed(&server, 1).await;
    silent.of("ada").revoke_all().await.unwrap();
    begins(&mut ended).await;
    server.ask("CLIENT KILL TYPE pubsub").await;
    soon(ended).await;
}

#[tokio::test]
async fn a_message_carries_no_key_and_ends_nothing_by_itself() {
    let server = Redis::start(&[]).await;
    let here = process(&server).await;
    let session = login(&here, "ada").await;
    let key = here.options().store_key(session.id());
    let mut listener = Client::open(server.url()).unwrap().get_async_pubsub().await.unwrap();
    listener.subscribe("sess:feed").await.unwrap();
    let mut messages = listener.into_on_message();
    let mut ended = here.ended(&session);
    begins(&mut ended).await;
    let updated = here.update(&session, &mut |_| Ok(r#"{"n":1}"#.to_owned())).await;
    assert!(updated.unwrap().is_some());
    let message: String = messages.next().await.unwrap().get_payload().unwrap();
    assert_eq!(message, here.store().name_of(&key).unwrap());
    assert_eq!(message.len(), 40);
    assert!(!message.contains(&key));
    subscribed(&server, 2).await;
    for forged in [message.as_str(), "x", ""] {
        let mut publish = cmd("PUBLISH");
        publish.arg("sess:feed").arg(forged);
        publish.query_async::<Value>(&mut server.connection().await.unwrap()).await.unwrap();
    }
    begins(&mut ended).await;
}

#[tokio::test]
async fn without_the_option_nothing_is_published_and_no_connection_opened() {
    let server = Redis::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let sessions = Sessions::new(&config(), store).unwrap();
    let session = login(&sessions, "ada").await;
    let mut ended = sessions.ended(&session);
    begins(&mut ended).await;
    assert_eq!(subscribers(&server).await, 0);
    sessions.of("ada").revoke_all().await.unwrap();
    soon(ended).await;
    assert!(!server.info("commandstats").await.contains("cmdstat_publish"));
}

#[tokio::test]
async fn a_user_without_permission_for_the_channel_writes_nevertheless() {
    let server = Redis::start(&[]).await;
    let mut user = cmd("ACL");
    let rules = ["SETUSER", "app", "on", ">of-the-test", "~sess:*", "+@all", "resetchannels"];
    user.arg(&rules[..]);
    user.query_async::<Value>(&mut server.connection().await.unwrap()).await.unwrap();
    let url = server.url().replace("redis://", "redis://app:of-the-test@");
    let store = RedisStore::connect(&url).await.unwrap();
    let store = store.with_feed(Client::open(url).unwrap());
    let sessions = Sessions::new(&config(), store).unwrap();
    let session = login(&sessions, "ada").await;
    let mut ended = sessions.ended(&session);
    begins(&mut ended).await;
    let updated = sessions.update(&session, &mut |_| Ok(r#"{"n":1}"#.to_owned())).await;
    assert!(updated.unwrap().is_some());
    sessions.of("ada").revoke_all().await.unwrap();
    soon(ended).await;
}

#[tokio::test]
async fn each_node_of_a_cluster_has_the_feed_of_all() {
    let nodes = cluster().await;
    let urls: Vec<_> = nodes.iter().take(3).map(Redis::url).collect();
    let process = async |feed: Vec<Client>| {
        let client = ClusterClient::builder(urls.clone());
        let client = client.response_timeout(Duration::from_secs(60)).build().unwrap();
        let store = RedisStore::new(client.get_async_connection().await.unwrap());
        Sessions::new(&config(), store.with_feed(feed)).unwrap()
    };
    let there = process(Vec::new()).await;
    for node in &nodes[..3] {
        let here = process(vec![Client::open(node.url()).unwrap()]).await;
        // On all nodes.
        for n in 0..6 {
            let session = login(&here, &format!("user {n}")).await;
            let mut ended = here.ended(&session);
            begins(&mut ended).await;
            there.destroy(&session).await.unwrap();
            soon(ended).await;
        }
    }
    // The first one cannot be reached.
    let lost = Client::open("redis://127.0.0.1:1").unwrap();
    let here = process(vec![lost, Client::open(nodes[1].url()).unwrap()]).await;
    let session = login(&here, "ada").await;
    let ended = here.ended(&session);
    there.of("ada").revoke_all().await.unwrap();
    soon(ended).await;
}

#[tokio::test]
async fn behind_sentinel_it_follows_the_primary() {
    let (primary, _replica, sentinel) = sentinel().await;
    let process = || {
        let client = || {
            let name = String::from("main");
            let sentinels = vec![sentinel.url()];
            SentinelClient::build(sentinels, name, None, SentinelServerType::Master).unwrap()
        };
        let store = RedisStore::new(client()).with_feed(RedisFeed::from(client()));
        Sessions::new(&config(), store).unwrap()
    };
    let (here, there) = (process(), process());
    let session = login(&here, "ada").await;
    let mut ended = here.ended(&session);
    begins(&mut ended).await;
    subscribed(&primary, 1).await;
    there.of("ada").revoke_all().await.unwrap();
    soon(ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_svelte_kit_process_ends_the_streams_of_a_rust_process_and_the_other_way_round() {
    let server = Redis::start(&[]).await;
    let options = StoreOptions { prefix: "shop:".into(), ..StoreOptions::default() };
    let store = RedisStore::connect(&server.url()).await.unwrap().with_options(options);
    let store = store.with_feed(Client::open(server.url()).unwrap());
    let rust = Sessions::new(&config(), store).unwrap();
    let (ada, eve) = (login(&rust, "ada").await, login(&rust, "eve").await);
    let mut ended = rust.ended(&ada);
    begins(&mut ended).await;
    let module = "import { Redis } from 'ioredis5';
        import { sessions } from './dist/index.js';
        import { RedisStore } from './dist/stores/redis.js';
        const [, url, secret, cookie] = process.argv;
        // A test that fails does not wait for it for ever.
        setTimeout(() => process.exit(1), 120_000).unref();
        const client = new Redis(url);
        const store = new RedisStore({ client, prefix: 'shop:', feed: true });
        const options = { secret, store, recheckAfter: 300 };
        const session = await sessions(options).read(cookie);
        const ended = new Promise((resolve) => session.signal.addEventListener('abort', resolve));
        await sessions(options).of('ada').revokeAll();
        await client.set('watching', '1');
        await ended;
        console.log(session.signal.reason.code);
        client.disconnect();";
    let cookie = format!("connect.sid={}", rust.sign(eve.id()));
    let url = server.url();
    let kit = tokio::task::spawn_blocking(move || node::run(module, &[&url, SECRET, &cookie]));
    soon(ended).await;
    until("the process watches", async || {
        (server.ask("EXISTS watching").await == Value::Int(1)).then_some(())
    })
    .await;
    let channel = "PUBSUB NUMSUB shop:feed";
    until("both listen", async || {
        format!("{:?}", server.ask(channel).await).contains("int(1)").then_some(())
    })
    .await;
    rust.of("eve").revoke_all().await.unwrap();
    assert_eq!(kit.await.unwrap().trim(), "session_ended");
}

#[tokio::test]
async fn the_feed_keeps_the_promises_of_stores() {
    let server = Redis::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let store = store.with_feed(Client::open(server.url()).unwrap());
    Box::pin(vestiary_store::testing::checks::a_feed_tells_of_each_change(store)).await.unwrap();
}
