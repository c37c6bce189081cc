//! The Redis store, against real servers: one, a cluster, and behind Sentinel.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{collections::BTreeSet, time::Duration};

use crate::servers::{
    self, node,
    proxy::Proxy,
    redis::{Redis, cluster, sentinel},
    touches, until,
};
use tokio::sync::OnceCell;
use vestiary::{Ttl, WriteId};
use vestiary_store::{
    Config, Found, Login, Outcome, RedisConnection, RedisStore, Scan as _, SessionError, Sessions,
    Store as _, StoreError, StoreOptions, conformance_tests,
    redis::{
        AsyncConnectionConfig, Client, Value,
        cluster::ClusterClient,
        cmd,
        sentinel::{SentinelClient, SentinelServerType},
    },
};

const LIFE: Ttl = Ttl::Millis(600_000);
const OLD: &str = r#"{"v":"AAAAAAAAAAAAAAAA","data":{"n":1}}"#;
const NEW: &str = r#"{"v":"BBBBBBBBBBBBBBBB","data":{"n":2}}"#;

mod one_server {
    use super::*;

    static SERVER: OnceCell<Redis> = OnceCell::const_new();

    async fn managed() -> RedisStore {
        let server = SERVER.get_or_init(|| Redis::start(&[])).await;
        RedisStore::connect(&server.url()).await.unwrap()
    }

    async fn multiplexed() -> RedisStore {
        let server = SERVER.get_or_init(|| Redis::start(&[])).await;
        let client = Client::open(format!("{}?protocol=resp3", server.url())).unwrap();
        let connection = client.get_multiplexed_async_connection_with_config(&patient()).await;
        RedisStore::new(connection.unwrap())
    }

    conformance_tests!(managed);
    conformance_tests!(scan managed);

    mod by_a_multiplexed_connection_with_resp3 {
        use super::*;

        conformance_tests!(multiplexed);
        conformance_tests!(scan multiplexed);
    }
}

mod a_server_of_valkey {
    use super::*;

    static SERVER: OnceCell<Redis> = OnceCell::const_new();

    async fn store() -> RedisStore {
        let server = SERVER.get_or_init(Redis::start_valkey).await;
        let client = Client::open(server.url()).unwrap();
        RedisStore::connect(&server.url()).await.unwrap().with_feed(client)
    }

    conformance_tests!(store);
    conformance_tests!(scan store);

    #[tokio::test]
    async fn its_name_is_valkey() {
        let server = SERVER.get_or_init(Redis::start_valkey).await;
        assert!(server.info("server").await.contains("\nvalkey_version:9."));
    }
}

mod a_cluster {
    use super::*;

    static CLUSTER: OnceCell<Vec<Redis>> = OnceCell::const_new();

    async fn store() -> RedisStore {
        let nodes = CLUSTER.get_or_init(cluster).await;
        let client = ClusterClient::builder(nodes.iter().take(3).map(Redis::url));
        let client = client.response_timeout(LONG).build().unwrap();
        RedisStore::new(client.get_async_connection().await.unwrap())
    }

    conformance_tests!(store);
    conformance_tests!(scan store);

    #[tokio::test]
    async fn replicas_of_the_right_node_confirm() {
        for n in 0..12 {
            let key = format!("confirmed-{n}");
            confirms(&store().await, &key).await;
        }
    }
}

mod behind_sentinel {
    use super::*;

    static SERVERS: OnceCell<(Redis, Redis, Redis)> = OnceCell::const_new();

    async fn store() -> RedisStore {
        let (_, _, sentinel) = SERVERS.get_or_init(sentinel).await;
        behind(sentinel, patient())
    }

    conformance_tests!(store);
    conformance_tests!(scan store);

    #[tokio::test]
    async fn a_replica_confirms() {
        confirms(&store().await, "confirmed").await;
    }
}

/// A request of a logged-in visitor, and the question before its cookie leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_a_user_and_the_list_are_one_round_trip() {
    let server = Redis::start(&[]).await;
    let proxy = Proxy::before(server.port);
    let store = RedisStore::connect(&format!("redis://127.0.0.1:{}", proxy.port)).await.unwrap();
    let service = Sessions::new(&Config::new("a secret of more than 32 bytes for it"), store);
    let service = service.unwrap();
    let owner = service.of("ada").admit(&Login::default()).await.unwrap();
    let stored = service.create("{}", Some(owner)).await.unwrap();
    let cookie = format!("connect.sid={}", service.sign(stored.id()));
    let cookies = service.cookies([cookie.as_bytes()]);
    for _ in 0..10 {
        proxy.trips();
        assert!(matches!(service.find(&cookies).await.unwrap(), Found::Session(_)));
        let trips = proxy.trips();
        assert_eq!(trips.len(), 1);
        assert_eq!(String::from_utf8_lossy(&trips[0]).matches("GET").count(), 2);
        assert!(service.is_current(stored.id()).await.unwrap());
        assert_eq!(proxy.trips().len(), 1);
    }
}

/// A primary that is gone refuses connections at once; one that hangs stays silent.
#[tokio::test]
async fn a_new_primary_is_found_after_a_failover() {
    for hangs in [false, true] {
        let (primary, replica, sentinel) = sentinel().await;
        let store = behind(&sentinel, AsyncConnectionConfig::new());
        assert!(store.create("before", OLD, LIFE, true).await.unwrap());
        until("the replica knows", async || {
            let there = replica.ask("EXISTS sess:before").await == Value::Int(1);
            there.then_some(())
        })
        .await;
        if hangs {
            primary.server.signal("STOP");
        } else {
            primary.server.stop();
        }
        until("the replica is the primary", async || {
            let wrote = store.create("after", OLD, LIFE, true).await;
            // It may have been done, although there was no reply.
            wrote.ok()
        })
        .await;
        // The store has its default timeout, and the machine may be busy.
        let read = until("it reads", async || store.read("before").await.ok()).await;
        assert_eq!(read.as_deref(), Some(OLD));
        let replaced = until("it writes", async || {
            store.replace("before", write_id('A').as_ref(), NEW, LIFE).await.ok()
        })
        .await;
        assert_ne!(replaced, Outcome::Gone);
        assert_eq!(replica.ask("GET sess:before").await, Value::BulkString(NEW.into()));
        assert_eq!(replica.ask("EXISTS sess:after").await, Value::Int(1));
    }
}

#[tokio::test]
async fn a_server_that_was_started_again_is_found_again() {
    let server = Redis::start(&[]).await;
    let port = server.port;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    assert!(store.create("key", OLD, LIFE, false).await.unwrap());
    server.server.stop();
    assert!(store.touch("key", LIFE).await.is_err());
    let _server = Redis::start_at(port, &[]).await;
    until("the store connects again", async || store.touch("key", LIFE).await.ok()).await;
    // Without a file, the server has lost everything, scripts included.
    assert_eq!(store.read("key").await.unwrap(), None);
    assert!(store.create("key", OLD, LIFE, false).await.unwrap());
    assert_eq!(
        store.replace("key", write_id('A').as_ref(), NEW, LIFE).await.unwrap(),
        Outcome::Done
    );
}

#[tokio::test]
async fn the_scripts_are_those_of_the_npm_package_and_are_sent_once() {
    let module = "const script = await import('./dist/stores/compare-and-set.js');
        const scripts = [script.COMPARE_AND_SET, script.COMPARE_AND_TOUCH, script.STAMP,
            script.COMPARE_SET_AND_PUBLISH, script.STAMP_AND_PUBLISH];
        console.log((await Promise.all(scripts.map(script.hashOfScript))).join(' '))";
    let hashes = node::run(module, &[]);
    let server = Redis::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let known = format!("SCRIPT EXISTS {}", hashes.trim());
    // The last two are those of a store with a feed.
    let are = |known: [i64; 2]| {
        let [plain, publishing] = known.map(Value::Int);
        let [one, two, three] = [(); 3].map(|()| plain.clone());
        Value::Array(vec![one, two, three, publishing.clone(), publishing])
    };
    assert_eq!(server.ask(&known).await, are([0, 0]));
    for _ in 0..2 {
        server.ask("CONFIG RESETSTAT").await;
        assert_eq!(store.remove("key", None).await.unwrap(), Outcome::Gone);
        assert_eq!(store.touch_if("key", None, LIFE).await.unwrap(), Outcome::Gone);
        assert!(store.stamp("list", OLD, LIFE).await.unwrap().is_some());
        assert_eq!(server.ask(&known).await, are([1, 0]));
    }
    let commands = server.info("commandstats").await;
    assert!(commands.contains("cmdstat_evalsha:calls=3"), "{commands}");
    assert!(!commands.contains("cmdstat_eval:"), "{commands}");
    let store = store.with_feed(Client::open(server.url()).unwrap());
    assert_eq!(store.remove("key", None).await.unwrap(), Outcome::Gone);
    assert!(store.stamp("list", OLD, LIFE).await.unwrap().is_some());
    assert_eq!(server.ask(&known).await, are([1, 1]));
}

#[tokio::test]
async fn all_sessions_of_a_user_end_by_one_command() {
    let server = Redis::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let config = Config::new("a secret of the tests, of more than 32 bytes");
    let sessions = Sessions::new(&config, store).unwrap();
    let ada = sessions.of("ada");
    // The server then has the scripts.
    ada.revoke_all().await.unwrap();
    // On a busy machine, a proof right after a revocation may look older than it is.
    while let Err(SessionError::LoginOutdated) = ada.admit(&Login::default()).await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.ask("CONFIG RESETSTAT").await;
    ada.revoke_all().await.unwrap();
    let commands = server.info("commandstats").await;
    // One command, and those that its script runs.
    for command in ["evalsha", "get", "time", "set"] {
        assert!(commands.contains(&format!("cmdstat_{command}:calls=1,")), "{commands}");
    }
    assert!(!commands.contains("cmdstat_eval:"), "{commands}");
    assert_eq!(ada.list().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_touch_prolongs_the_record_of_another_write() {
    let server = Redis::start(&[]).await;
    let stores =
        [RedisStore::connect(&server.url()).await, RedisStore::connect(&server.url()).await];
    let [one, other] = stores.map(Result::unwrap);
    touches::prolong_no_other_record(&one, &other).await;
}

#[tokio::test]
async fn sessions_are_shared_with_the_npm_package() {
    let server = Redis::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    assert!(store.create("from-rust", OLD, LIFE, false).await.unwrap());
    // It reads, compares the write ID by the same script, and has a record of its own.
    let module = "import { Redis } from 'ioredis5';
        import { RedisStore } from './dist/stores/redis.js';
        const client = new Redis(process.argv[1]);
        const { atomic } = new RedisStore({ client });
        const [a, b, c] = ['A', 'B', 'C'].map((letter) => letter.repeat(16));
        const read = await atomic.read('from-rust');
        const wrong = await atomic.replace('from-rust', c, '{}', 60_000);
        const right = await atomic.replace('from-rust', a, read.replace(a, b), 60_000);
        const created = await atomic.create('from-node', `{\"v\":\"${c}\",\"data\":\"é\"}`, Infinity, true);
        console.log(JSON.stringify([read, wrong, right, created]));
        await client.quit();";
    let told = node::run(module, &[&server.url()]);
    let expected = format!(r#"[{OLD:?},"conflict","done",true]"#);
    assert_eq!(told.trim(), expected);
    let written = OLD.replace('A', "B");
    assert_eq!(store.read("from-rust").await.unwrap(), Some(written));
    assert_eq!(store.remove("from-rust", write_id('A').as_ref()).await.unwrap(), Outcome::Conflict);
    assert_eq!(store.remove("from-rust", write_id('B').as_ref()).await.unwrap(), Outcome::Done);
    let page = store.scan(None, 100).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    assert_eq!(page.entries[0].key, "from-node");
    assert_eq!(page.entries[0].record, r#"{"v":"CCCCCCCCCCCCCCCC","data":"é"}"#);
    assert_eq!(store.remove("from-node", write_id('C').as_ref()).await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn a_prefix_is_no_pattern_and_other_keys_are_not_shown() {
    let server = Redis::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let named = |prefix: &str| {
        let prefix = prefix.to_owned();
        store.clone().with_options(StoreOptions { prefix, ..StoreOptions::default() })
    };
    let odd = named("a*[b]?\\:");
    for (store, key) in
        [(&odd, "ours"), (&named("axxb:"), "1"), (&named(""), "abx:2"), (&store, "3")]
    {
        assert!(store.create(key, OLD, LIFE, false).await.unwrap());
    }
    server.ask("LPUSH a*[b]?\\:list 1").await;
    server.ask("SET a*[b]?\\:empty ").await;
    server.ask("SET a*[b]?\\:without-an-end {}").await;
    let mut found = BTreeSet::new();
    let mut from = None;
    loop {
        let page = odd.scan(from.as_ref(), 2).await.unwrap();
        found.extend(page.entries.into_iter().map(|entry| (entry.key, entry.ttl == Ttl::Infinite)));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let expected = [("ours".to_owned(), false), ("without-an-end".to_owned(), true)];
    assert_eq!(found, BTreeSet::from(expected));
}

#[tokio::test]
async fn a_replica_that_hangs_confirms_nothing() {
    let (_primary, replica, sentinel) = sentinel().await;
    let store = behind(&sentinel, AsyncConnectionConfig::new());
    confirms(&store, "key").await;
    replica.server.signal("STOP");
    let store = store.with_confirm(1, Duration::from_millis(20));
    assert!(store.create("key", OLD, LIFE, true).await.unwrap());
    assert_eq!(store.remove("key", write_id('A').as_ref()).await.unwrap(), Outcome::Done);
    assert_eq!(store.confirm("key").await.unwrap(), Some(false));
    // Longer than the connection waits for an answer.
    let store = store.with_confirm(1, Duration::from_secs(5));
    assert_eq!(store.confirm("key").await.unwrap(), Some(false));
}

/// A replica that is promoted too early brings back ended sessions.
#[tokio::test]
async fn an_existing_record_is_not_confirmed_as_removed() {
    let server = Redis::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    assert_eq!(store.confirm("key").await.unwrap(), None);
    let store = store.with_confirm(0, Duration::from_millis(1));
    assert_eq!(store.confirm("key").await.unwrap(), Some(true));
    assert!(store.create("key", OLD, LIFE, true).await.unwrap());
    assert_eq!(store.confirm("key").await.unwrap(), Some(false));
}

#[tokio::test]
async fn a_full_server_keeps_what_it_has() {
    let server = Redis::start(&["--maxmemory-policy", "noeviction"]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    assert!(store.create("key", OLD, LIFE, true).await.unwrap());
    server.ask("CONFIG SET maxmemory 1").await;
    let created = store.create("other", OLD, LIFE, true).await.unwrap_err();
    assert_eq!(created.to_string(), "the session store failed: its memory is full (OOM)");
    let replaced = store.replace("key", write_id('A').as_ref(), NEW, LIFE).await.unwrap_err();
    assert_eq!(replaced.to_string(), created.to_string());
    assert_eq!(store.read("key").await.unwrap().as_deref(), Some(OLD));
    // The logout succeeds.
    assert_eq!(store.remove("key", write_id('A').as_ref()).await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn errors_hold_no_secret() {
    let options = [
        "--requirepass",
        "s3cret",
        "--rename-command",
        "EVAL",
        "",
        "--rename-command",
        "EVALSHA",
        "",
    ];
    // It refuses all commands until it gets the password.
    let server = Redis::launch(servers::free_port(), &options);
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}/", server.port);
    let store =
        until("Redis starts", async || RedisStore::connect(&url("s3cret")).await.ok()).await;
    let mut errors = vec![
        // The server's message contains the arguments.
        store.replace("an-id-of-a-visitor", None, "a record", LIFE).await.unwrap_err(),
        RedisStore::connect("redis://:s3cret@:0:0").await.unwrap_err(),
        RedisStore::connect("s3cret").await.unwrap_err(),
        RedisStore::connect(&url("s3cret+wrong")).await.unwrap_err(),
        RedisStore::connect("redis://:s3cret@127.0.0.1:1/").await.unwrap_err(),
    ];
    let client = Client::open(url("s3cret")).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut set = cmd("SET");
    set.arg("sess:binary").arg(&b"s3cret\xff"[..]);
    set.query_async::<Value>(&mut connection).await.unwrap();
    errors.push(store.read("binary").await.unwrap_err());
    // Also if a store of the application passes on the client's error.
    let mut eval = cmd("EVAL");
    eval.arg("an-id-of-a-visitor a record");
    let raw = eval.query_async::<Value>(&mut connection).await.unwrap_err();
    assert!(format!("{raw:?}").contains("an-id"));
    errors.push(StoreError::failed(raw));
    for error in &errors {
        for text in [format!("{error}"), format!("{error:?}"), format!("{error:#?}")] {
            for secret in ["s3cret", "an-id", "a record", "[115, 51"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
    assert_eq!(errors[0].to_string(), "the session store failed: the server said ERR");
    assert!(!format!("{store:?}").contains("s3cret"));
}

#[tokio::test]
async fn the_commands_that_the_documentation_names_are_enough_for_all_that_a_session_does() {
    let page = include_str!("../../../docs/how-to/stores.md");
    let (_, after) = page.split_once("The user of the connection needs").unwrap();
    let (paragraph, _) = after.split_once('.').unwrap();
    let is_command = |word: &&str| word.bytes().all(|byte| byte.is_ascii_uppercase());
    let commands: Vec<_> = paragraph.split('`').skip(1).step_by(2).filter(is_command).collect();
    assert!(commands.len() > 5);
    let server = Redis::start(&[]).await;
    let mut user = cmd("ACL");
    user.arg(&["SETUSER", "app", "on", ">of-the-test", "~sess:*", "nocommands"]);
    for command in commands {
        user.arg(format!("+{}", command.to_lowercase()));
    }
    user.query_async::<Value>(&mut server.connection().await.unwrap()).await.unwrap();
    let url = server.url().replace("redis://", "redis://app:of-the-test@");
    let store = RedisStore::connect(&url).await.unwrap().with_confirm(0, LONG);
    let config = Config::new("a secret of more than 32 bytes for it");
    let sessions = Sessions::new(&config, store).unwrap();
    let ada = sessions.of("ada");
    let owner = ada.admit(&Login::default()).await.unwrap();
    let stored = sessions.create("{}", Some(owner)).await.unwrap();
    let increment = &mut |_: &str| Ok(r#"{"n":1}"#.to_owned());
    let stored = sessions.update(&stored, increment).await.unwrap().unwrap().stored;
    let stored = sessions.touch(&stored).await.unwrap().unwrap();
    let stored = sessions.renew(&stored).await.unwrap().unwrap();
    let stored = sessions.rotate(&stored, "{}", None).await.unwrap().unwrap();
    assert_eq!(sessions.destroy(&stored).await.unwrap(), Some(true));
    assert_eq!(ada.list().await.unwrap().len(), 1);
    ada.revoke_all().await.unwrap();
}

#[tokio::test]
async fn a_value_that_is_not_text_is_unreadable_and_no_error() {
    for command in ["SET", "RPUSH"] {
        let server = Redis::start(&[]).await;
        let store = RedisStore::connect(&server.url()).await.unwrap();
        let put = async |key: &str| {
            let mut put = cmd(command);
            put.arg(format!("sess:{key}")).arg(&b"s3cret\xff"[..]);
            put.query_async::<Value>(&mut server.connection().await.unwrap()).await.unwrap();
        };
        let clear = async |key: &str| {
            let mut clear = cmd("DEL");
            clear.arg(format!("sess:{key}"));
            clear.query_async::<Value>(&mut server.connection().await.unwrap()).await.unwrap();
        };
        servers::values::a_list_is_left_alone(&store, &put, &clear).await;
        servers::values::leads_to_no_session_and_no_error(&store, &put).await;
        if command == "SET" {
            servers::values::is_unreadable_and_no_error(store, put).await;
        }
    }
}

#[tokio::test]
async fn a_login_and_the_end_of_all_sessions_are_ordered_by_the_clock_of_the_server() {
    let server = Redis::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    servers::clock::orders_logins(store).await;
}

/// Whether replicas confirm that a record was removed.
async fn confirms(store: &RedisStore, key: &str) {
    assert_eq!(store.confirm(key).await.unwrap(), None);
    let sure = store.clone().with_confirm(1, Duration::from_millis(300));
    // A new replica may need a moment.
    until("a replica confirms", async || {
        assert!(sure.create(key, OLD, LIFE, true).await.unwrap());
        assert_eq!(sure.remove(key, write_id('A').as_ref()).await.unwrap(), Outcome::Done);
        sure.confirm(key).await.unwrap().filter(|known| *known)
    })
    .await;
    let more = store.clone().with_confirm(2, Duration::from_millis(1));
    assert_eq!(more.confirm(key).await.unwrap(), Some(false), "there are not so many");
}

fn behind(sentinel: &Redis, config: AsyncConnectionConfig) -> RedisStore {
    let sentinels = vec![sentinel.url()];
    // The type that it wants depends on the features.
    let name = String::from("main");
    let client = SentinelClient::build(sentinels, name, None, SentinelServerType::Master);
    RedisStore::new(RedisConnection::behind_sentinel(client.unwrap(), config))
}

// Generous, so that a busy machine does not fail the test.
fn patient() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_response_timeout(Some(LONG)).set_connection_timeout(Some(LONG))
}

const LONG: Duration = Duration::from_secs(60);

fn write_id(letter: char) -> Option<WriteId> {
    WriteId::parse(&letter.to_string().repeat(16))
}
