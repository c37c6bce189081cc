//! The MySQL store, against a real server: MariaDB.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use crate::servers::{
    self,
    mysql::MySql,
    proxy::{Proxy, trips_of_a_user},
    rounds, touches, until,
};
use tokio::sync::{Mutex, OnceCell};
use vestiary::{Ttl, WriteId};
use vestiary_store::{
    MySqlStore, Outcome, Scan as _, Store as _, StoreError, StoreOptions, conformance_tests,
    sqlx::{
        self, Connection as _, Executor as _, MySqlConnection, MySqlPool, mysql::MySqlPoolOptions,
    },
};

const LIFE: Ttl = Ttl::Millis(600_000);
const OLD: &str = r#"{"v":"AAAAAAAAAAAAAAAA","data":{"n":1}}"#;
const NEW: &str = r#"{"v":"BBBBBBBBBBBBBBBB","data":{"n":2}}"#;

static SERVER: OnceCell<MySql> = OnceCell::const_new();

async fn server() -> &'static MySql {
    SERVER.get_or_init(MySql::start).await
}

async fn store() -> MySqlStore {
    let store = MySqlStore::connect(&server().await.url()).await.unwrap();
    store.migrate().await.unwrap();
    store.with_feed(None)
}

conformance_tests!(store);
conformance_tests!(scan store);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_touch_prolongs_the_record_of_another_write() {
    touches::prolong_no_other_record(&store().await, &store().await).await;
}

/// A store in a table of its own, and its pool.
async fn alone(table: &str) -> (MySqlStore, MySqlPool) {
    let pool = MySqlPoolOptions::new().connect(&server().await.url()).await.unwrap();
    let store = MySqlStore::with_pool(pool.clone(), table).unwrap();
    store.migrate().await.unwrap();
    (store, pool)
}

#[tokio::test]
async fn a_login_and_the_end_of_all_sessions_are_ordered_by_the_clock_of_the_server() {
    servers::clock::orders_logins(store().await).await;
}

/// A request of a logged-in visitor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_a_user_and_the_list_are_one_round_trip() {
    let proxy = Proxy::before(server().await.port);
    let url = format!("mysql://app@127.0.0.1:{}/app", proxy.port);
    let store = MySqlStore::connect(&url).await.unwrap();
    store.migrate().await.unwrap();
    // The fifth byte of a packet is its command: 0x17 runs a statement, 0x0e tests a connection.
    let trips = trips_of_a_user(store, &proxy).await;
    let of = |command: u8| trips.iter().filter(|trip| trip.get(4) == Some(&command)).count();
    // While a connection is tested, the pool may open another one, which is tested, too.
    assert!((50..60).contains(&of(0x17)), "{} statements of {}", of(0x17), trips.len());
    assert!(trips.len() - of(0x0e) < 80, "{} round trips, {} tests", trips.len(), of(0x0e));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_built_without_clusters_keeps_sessions() {
    let proxy = Proxy::changing(server().await.port, b"wsrep_on", b"wsrep_no");
    let url = format!("mysql://app@127.0.0.1:{}/app", proxy.port);
    let store = MySqlStore::connect(&url).await.unwrap();
    store.migrate().await.unwrap();
    let (one, other) =
        tokio::join!(store.create("alone", OLD, LIFE, false), store.read("no record"));
    assert_eq!((one.unwrap(), other.unwrap()), (true, None));
    assert_eq!(store.read("alone").await.unwrap().as_deref(), Some(OLD));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_make_the_table_at_once() {
    let url = server().await.url();
    let tasks = (0..8).map(|_| {
        let url = url.clone();
        tokio::spawn(async move {
            let pool = MySqlPool::connect(&url).await.unwrap();
            let store = MySqlStore::with_pool(pool, "made").unwrap();
            store.migrate().await.unwrap();
            store.read("key").await.unwrap()
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert_eq!(task.await.unwrap(), None);
    }
}

/// A request that waits for a row which another request has locked decides by the result of that request, not by the
/// row as it was before. The other request is paused here, so that this one certainly waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_waited_for_a_lock_sees_the_result_of_the_other_one() {
    let (store, pool) = alone("waiting").await;
    let update =
        |key: &str, set: &str| format!("UPDATE waiting SET {set} WHERE `key` = 'sess:{key}'");
    let other_record = format!("record = '{NEW}'");
    let delete = "DELETE FROM waiting WHERE `key` = 'sess:gone'".to_owned();
    let cases = [
        ("with_id", update("with_id", &other_record), Outcome::Conflict),
        ("same", update("same", "expires = expires + 1"), Outcome::Done),
        ("expired", update("expired", "expires = 0"), Outcome::Gone),
        ("gone", delete, Outcome::Gone),
    ];
    for (key, meanwhile, expected) in cases {
        for request in 0..3 {
            let a = write_id('A');
            for write_id in [a.as_ref(), write_id('B').as_ref(), write_id('C').as_ref()] {
                store.remove(key, write_id).await.unwrap();
            }
            assert!(store.create(key, OLD, LIFE, false).await.unwrap(), "{key}");
            let mut other = MySqlConnection::connect(&server().await.url()).await.unwrap();
            let mut transaction = other.begin().await.unwrap();
            transaction.execute(&*meanwhile).await.unwrap();
            let waiting = tokio::spawn({
                let (store, a) = (store.clone(), a.clone());
                async move {
                    let new = r#"{"v":"CCCCCCCCCCCCCCCC"}"#;
                    match request {
                        0 => store.replace(key, a.as_ref(), new, LIFE).await,
                        1 => store.remove(key, a.as_ref()).await,
                        _ => store.touch_if(key, a.as_ref(), LIFE).await,
                    }
                }
            });
            until_one_waits(&pool, "waiting").await;
            transaction.commit().await.unwrap();
            assert_eq!(waiting.await.unwrap().unwrap(), expected, "{key}, {request}");
        }
    }
}

/// Of several concurrent `create`s that all find an expired record, only one succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_that_waited_for_a_lock_does_not_overwrite_a_new_record() {
    let (store, pool) = alone("creating").await;
    sqlx::query("INSERT INTO creating VALUES ('sess:key', '{}', 0)").execute(&pool).await.unwrap();
    let mut other = MySqlConnection::connect(&server().await.url()).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    let renewed = format!("UPDATE creating SET record = '{OLD}', expires = {}", i64::MAX / 2);
    transaction.execute(&*renewed).await.unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.create("key", NEW, LIFE, false).await }
    });
    until_one_waits(&pool, "creating").await;
    transaction.commit().await.unwrap();
    assert!(!waiting.await.unwrap().unwrap());
    assert_eq!(store.read("key").await.unwrap().as_deref(), Some(OLD));
}

#[tokio::test]
async fn expired_records_are_removed_a_few_at_a_time() {
    let (store, pool) = alone("swept").await;
    let rows: Vec<_> = (1..=50).map(|n| format!("('sess:{n}', '{{}}', {n})")).collect();
    sqlx::query(&format!("INSERT INTO swept VALUES {}", rows.join(", ")))
        .execute(&pool)
        .await
        .unwrap();
    // A locked record is left to the next sweep.
    let mut other = MySqlConnection::connect(&server().await.url()).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    let held = "SELECT * FROM swept WHERE `key` IN ('sess:1', 'sess:2', 'sess:3') FOR UPDATE";
    transaction.execute(held).await.unwrap();
    let count = async || -> i64 {
        let count = "SELECT count(*) FROM swept WHERE expires <= 50";
        sqlx::query_scalar(count).fetch_one(&pool).await.unwrap()
    };
    assert!(store.create("new", OLD, LIFE, false).await.unwrap());
    assert_eq!(count().await, 30);
    for n in 0..20 {
        assert!(store.create(&format!("new-{n}"), OLD, LIFE, false).await.unwrap());
    }
    assert_eq!(count().await, 3);
    transaction.rollback().await.unwrap();
    for n in 20..30 {
        assert!(store.create(&format!("new-{n}"), OLD, LIFE, false).await.unwrap());
    }
    assert_eq!(count().await, 0);
}

/// The creation of a session must not take longer, the more sessions there are.
#[tokio::test]
async fn no_operation_reads_all_records() {
    alone("large").await;
    let options = MySqlPoolOptions::new().min_connections(1).max_connections(1);
    let pool = options.connect(&server().await.url()).await.unwrap();
    let store = MySqlStore::with_pool(pool.clone(), "large").unwrap();
    let rows: Vec<_> =
        (0..20_000).map(|n| format!("('sess:{n}', '{{}}', {})", 1_u64 << 52)).collect();
    for statement in
        [&*format!("INSERT INTO large VALUES {}", rows.join(", ")), "ANALYZE TABLE large"]
    {
        pool.execute(statement).await.unwrap();
    }
    let read = async || -> u64 {
        let counts = "SHOW SESSION STATUS LIKE 'Handler_read_%'";
        let counts = sqlx::query_as::<_, (String, String)>(counts).fetch_all(&pool).await.unwrap();
        counts.iter().map(|(_, count)| count.parse::<u64>().unwrap()).sum()
    };
    let before = read().await;
    rounds::of_each_operation(&store).await;
    let count = read().await - before;
    assert!((20..1_000).contains(&count), "{count}");
}

#[tokio::test]
async fn keys_are_bytes_and_stores_of_one_table_are_kept_apart_by_prefix() {
    let (store, _) = alone("prefixed").await;
    let options = StoreOptions { prefix: "sess".to_owned(), ..StoreOptions::default() };
    let other = store.clone().with_options(options);
    for (store, key) in
        [(&store, "a"), (&store, "A"), (&store, "a "), (&other, "-a"), (&other, "\u{e9}'\\\0")]
    {
        assert!(store.create(key, OLD, LIFE, false).await.unwrap());
    }
    let keys = async |store: &MySqlStore| {
        let page = store.scan(None, 10).await.unwrap();
        page.entries.into_iter().map(|entry| entry.key).collect::<Vec<_>>()
    };
    assert_eq!(keys(&store).await, ["A", "a", "a "]);
    assert_eq!(keys(&other).await, ["-a", ":A", ":a", ":a ", "\u{e9}'\\\0"]);
    let longest = "x".repeat(767 - "sess:".len());
    assert!(store.create(&longest, OLD, LIFE, false).await.unwrap());
    let refused = store.create(&format!("{longest}x"), OLD, LIFE, false).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))));
}

#[tokio::test]
async fn errors_name_the_problem_and_contain_no_secret() {
    let server = server().await;
    let pool = MySqlPool::connect(&server.url()).await.unwrap();
    let missing = MySqlStore::with_pool(pool.clone(), "missing").unwrap();
    let error = missing.read("an-id").await.unwrap_err();
    let said = "the session store failed: Table 'app.missing' doesn't exist (1146)";
    assert_eq!(error.to_string(), said);
    assert!(error.is_refusal());
    assert!(MySqlStore::with_pool(pool.clone(), "a`; DROP").is_err());

    let raising = "CREATE TRIGGER refuse BEFORE INSERT ON raising FOR EACH ROW
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'a record'";
    let strict = "CREATE TABLE strict (`key` VARBINARY(767) PRIMARY KEY,
        record LONGBLOB CHECK (record = ''), expires BIGINT)";
    for statement in [strict, "CREATE TABLE raising LIKE strict", raising] {
        pool.execute(statement).await.unwrap();
    }
    let mut errors = vec![error];
    for table in ["strict", "raising"] {
        let store = MySqlStore::with_pool(pool.clone(), table).unwrap();
        let error = store.create("an-id", "a record", LIFE, false).await.unwrap_err();
        assert!(error.is_refusal(), "{error}");
        errors.push(error);
    }
    // Also if a store of the application passes on the client's error.
    let raw =
        pool.execute("INSERT INTO raising VALUES ('an-id', 'a record', 1)").await.unwrap_err();
    assert!(raw.to_string().contains("a record"));
    errors.push(StoreError::failed(raw));
    for url in [
        "mysql://app:s3cret@127.0.0.1:port/app",
        "mysql://app:s3cret@127.0.0.1:1/app?ssl-mode=s3cret",
        "s3cret",
        &format!("mysql://no-such-user:s3cret@127.0.0.1:{}/app", server.port),
    ] {
        errors.push(MySqlStore::connect(url).await.unwrap_err());
    }
    for error in &errors {
        for text in [format!("{error}"), format!("{error:?}"), format!("{error:#?}")] {
            for secret in ["s3cret", "an-id", "a record"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_gave_way_to_another_one_is_run_again_and_a_lost_connection_is_in_doubt() {
    let (store, pool) = alone("deadlocked").await;
    // The server lets the statement fail as a deadlock does, twice.
    for statement in [
        "CREATE TABLE attempts (n INT) ENGINE = Aria TRANSACTIONAL = 0",
        "INSERT INTO attempts VALUES (0)",
        "CREATE TRIGGER give_way BEFORE DELETE ON deadlocked FOR EACH ROW BEGIN
            UPDATE attempts SET n = n + 1;
            IF (SELECT n FROM attempts) < 3 THEN
                SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock found';
            END IF;
        END",
    ] {
        pool.execute(statement).await.unwrap();
    }
    assert!(store.create("key", OLD, LIFE, false).await.unwrap());
    assert_eq!(store.remove("key", write_id('A').as_ref()).await.unwrap(), Outcome::Done);
    let attempts: i32 =
        sqlx::query_scalar("SELECT n FROM attempts").fetch_one(&pool).await.unwrap();
    assert_eq!(attempts, 3);

    assert!(store.create("held", OLD, LIFE, false).await.unwrap());
    let mut other = MySqlConnection::connect(&server().await.url()).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    transaction.execute("SELECT * FROM deadlocked FOR UPDATE").await.unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.replace("held", write_id('A').as_ref(), NEW, LIFE).await }
    });
    let killed = until_one_waits(&pool, "deadlocked").await;
    pool.execute(&*format!("KILL {killed}")).await.unwrap();
    let error = waiting.await.unwrap().unwrap_err();
    assert!(!error.is_refusal(), "{error}");
    transaction.rollback().await.unwrap();
}

#[tokio::test]
async fn a_value_that_is_not_text_is_unreadable_and_no_error() {
    let (store, pool) = alone("bytes").await;
    let put = async |key: &str| {
        let insert = format!(
            "INSERT INTO bytes VALUES (X'736573733AFF{}', '{{}}', 9e15), ('sess:{key}', X'733363726574FF', 9e15)",
            "00"
        );
        pool.execute("DELETE FROM bytes WHERE `key` = X'736573733AFF00'").await.unwrap();
        pool.execute(&*insert).await.unwrap();
    };
    servers::values::is_unreadable_and_no_error(store.clone(), put).await;
    let clear = async |key: &str| {
        let delete = format!("DELETE FROM bytes WHERE `key` = 'sess:{key}'");
        pool.execute(&*delete).await.unwrap();
    };
    servers::values::a_list_is_left_alone(&store, &put, &clear).await;
}

/// Waits until a statement waits for a lock in this table. The number of its connection.
async fn until_one_waits(pool: &MySqlPool, table: &str) -> u64 {
    // The server makes these tables anew only if they were not read for a tenth of a second.
    static READING: Mutex<()> = Mutex::const_new(());
    let _reading = READING.lock().await;
    let waiting = format!(
        "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx
        JOIN information_schema.innodb_locks ON lock_id = trx_requested_lock_id
        WHERE lock_table = '`app`.`{table}`'"
    );
    until("the request waits", async || {
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        sqlx::query_scalar(&waiting).fetch_optional(pool).await.unwrap()
    })
    .await
}

fn write_id(letter: char) -> Option<WriteId> {
    WriteId::parse(&letter.to_string().repeat(16))
}
