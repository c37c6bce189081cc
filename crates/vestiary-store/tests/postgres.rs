//! The Postgres store, against a real server.

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
    postgres::Postgres,
    proxy::{Proxy, trips_of_a_user},
    rounds, touches, until,
};
use tokio::sync::OnceCell;
use vestiary::{Ttl, WriteId};
use vestiary_store::{
    Outcome, PostgresStore, Scan as _, Store as _, StoreError, StoreOptions, conformance_tests,
    sqlx::{self, Connection as _, Executor as _, PgConnection, PgPool, postgres::PgPoolOptions},
};

const LIFE: Ttl = Ttl::Millis(600_000);
const OLD: &str = r#"{"v":"AAAAAAAAAAAAAAAA","data":{"n":1}}"#;
const NEW: &str = r#"{"v":"BBBBBBBBBBBBBBBB","data":{"n":2}}"#;

static SERVER: OnceCell<Postgres> = OnceCell::const_new();

async fn server() -> &'static Postgres {
    SERVER.get_or_init(Postgres::start).await
}

async fn store() -> PostgresStore {
    let store = PostgresStore::connect(&server().await.url()).await.unwrap();
    store.migrate().await.unwrap();
    store
}

conformance_tests!(store);
conformance_tests!(scan store);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_touch_prolongs_the_record_of_another_write() {
    touches::prolong_no_other_record(&store().await, &store().await).await;
}

/// A store in a table of its own, and its pool.
async fn alone(table: &str) -> (PostgresStore, PgPool) {
    let pool = PgPoolOptions::new().connect(&server().await.url()).await.unwrap();
    let store = PostgresStore::with_pool(pool.clone(), table).unwrap();
    store.migrate().await.unwrap();
    (store, pool)
}

#[tokio::test]
async fn a_login_and_the_end_of_all_sessions_are_ordered_by_the_clock_of_the_server() {
    servers::clock::orders_logins(store().await).await;
}

/// A request of a logged-in visitor. The pool pings a connection when it is returned, which delays no request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_a_user_and_the_list_are_one_round_trip() {
    let proxy = Proxy::before(server().await.port);
    let url = format!("postgres://app@127.0.0.1:{}/postgres", proxy.port);
    let store = PostgresStore::connect(&url).await.unwrap();
    store.migrate().await.unwrap();
    assert!(!store.is_pooled().await.unwrap());
    let trips = trips_of_a_user(store, &proxy).await;
    let of = |kinds: &[u8]| trips.iter().filter(|trip| kinds.contains(&trip[0])).count();
    // While a connection is tested, the pool may open another one, which prepares the statement and is tested, too; on
    // a busy machine that happens more often. Two round trips for each request would be 100.
    let connections = of(&[0]);
    assert!(of(b"BP") < 90 + 3 * connections, "{} statements, {connections}", of(b"BP"));
    assert!(of(b"S") < 90 + 3 * connections, "{} tests, {connections}", of(b"S"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_make_the_table_at_once() {
    let url = server().await.url();
    for round in 0..5 {
        let tasks = (0..8).map(|_| {
            let (url, table) = (url.clone(), format!("made_{round}"));
            tokio::spawn(async move {
                let pool = PgPool::connect(&url).await.unwrap();
                let store = PostgresStore::with_pool(pool, &table).unwrap();
                store.migrate().await.unwrap();
                store.read("key").await.unwrap()
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            assert_eq!(task.await.unwrap(), None);
        }
    }
}

/// A request that waits for a row which another request has locked decides by the result of that request, not by the
/// row as it was before. The other request is paused here, so that this one certainly waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_waited_for_a_lock_sees_the_result_of_the_other_one() {
    let (store, pool) = alone("waiting").await;
    let update =
        |key: &str, set: &str| format!("UPDATE waiting SET {set} WHERE key = 'sess:{key}'");
    let other_record = format!("record = '{NEW}'");
    let cases = [
        ("with_id", update("with_id", &other_record), Outcome::Conflict, Outcome::Conflict, true),
        ("same", update("same", "expires = expires + 1"), Outcome::Done, Outcome::Done, true),
        ("expired", update("expired", "expires = 0"), Outcome::Gone, Outcome::Gone, false),
        (
            "gone",
            "DELETE FROM waiting WHERE key = 'sess:gone'".to_owned(),
            Outcome::Gone,
            Outcome::Gone,
            false,
        ),
    ];
    for (key, meanwhile, replaced, removed, touched) in cases {
        for request in 0..3 {
            let a = write_id('A');
            store.remove(key, a.as_ref()).await.unwrap();
            store.remove(key, write_id('B').as_ref()).await.unwrap();
            assert!(store.create(key, OLD, LIFE, false).await.unwrap(), "{key}");
            let mut other = PgConnection::connect(&server().await.url()).await.unwrap();
            let mut transaction = other.begin().await.unwrap();
            transaction.execute(&*meanwhile).await.unwrap();
            let waiting = tokio::spawn({
                let (store, a) = (store.clone(), a.clone());
                async move {
                    match request {
                        0 => {
                            store
                                .replace(key, a.as_ref(), r#"{"v":"CCCCCCCCCCCCCCCC"}"#, LIFE)
                                .await
                        }
                        1 => store.remove(key, a.as_ref()).await,
                        _ => store
                            .touch(key, LIFE)
                            .await
                            .map(|touched| if touched { Outcome::Done } else { Outcome::Gone }),
                    }
                }
            });
            until("the request waits", async || {
                let waits = "SELECT 1 FROM pg_locks WHERE NOT granted";
                sqlx::query(waits).fetch_optional(&pool).await.unwrap()
            })
            .await;
            transaction.commit().await.unwrap();
            let outcome = waiting.await.unwrap().unwrap();
            let touched = if touched { Outcome::Done } else { Outcome::Gone };
            assert_eq!(outcome, [replaced, removed, touched][request], "{key}, {request}");
            store.remove(key, write_id('C').as_ref()).await.unwrap();
        }
    }
}

/// Of several concurrent `create`s that all find an expired record, only one succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_that_waited_for_a_lock_does_not_overwrite_a_new_record() {
    let (store, pool) = alone("creating").await;
    sqlx::query("INSERT INTO creating VALUES ('sess:key', '{}', 0)").execute(&pool).await.unwrap();
    let mut other = PgConnection::connect(&server().await.url()).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    let renewed = format!("UPDATE creating SET record = '{OLD}', expires = {}", i64::MAX);
    transaction.execute(&*renewed).await.unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.create("key", NEW, LIFE, false).await }
    });
    until("the request waits", async || {
        let waits = "SELECT 1 FROM pg_locks WHERE NOT granted";
        sqlx::query(waits).fetch_optional(&pool).await.unwrap()
    })
    .await;
    transaction.commit().await.unwrap();
    assert!(!waiting.await.unwrap().unwrap());
    assert_eq!(store.read("key").await.unwrap().as_deref(), Some(OLD));
}

#[tokio::test]
async fn expired_records_are_removed_a_few_at_a_time() {
    let (store, pool) = alone("swept").await;
    let expired = "INSERT INTO swept SELECT 'sess:' || n, '{}', n FROM generate_series(1, 50) AS n";
    sqlx::query(expired).execute(&pool).await.unwrap();
    // A locked record is left to the next sweep.
    let mut other = PgConnection::connect(&server().await.url()).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    let held = "SELECT FROM swept WHERE expires <= 10 FOR UPDATE";
    transaction.execute(held).await.unwrap();
    let count = async || -> i64 {
        let count = "SELECT count(*) FROM swept WHERE expires <= 50";
        sqlx::query_scalar(count).fetch_one(&pool).await.unwrap()
    };
    assert!(store.create("new", OLD, LIFE, false).await.unwrap());
    assert_eq!(count().await, 30);
    for n in 0..10 {
        assert!(store.create(&format!("new-{n}"), OLD, LIFE, false).await.unwrap());
    }
    assert_eq!(count().await, 10);
    transaction.rollback().await.unwrap();
    for n in 10..20 {
        assert!(store.create(&format!("new-{n}"), OLD, LIFE, false).await.unwrap());
    }
    assert_eq!(count().await, 0);
}

/// The creation of a session must not take longer, the more sessions there are.
#[tokio::test]
async fn no_operation_reads_all_records() {
    alone("large").await;
    let options = PgPoolOptions::new().min_connections(1).max_connections(1);
    let pool = options.connect(&server().await.url()).await.unwrap();
    let store = PostgresStore::with_pool(pool.clone(), "large").unwrap();
    let many = format!(
        "INSERT INTO large SELECT 'sess:' || md5(n::text), '{OLD}', {} FROM generate_series(1, 20000) AS n",
        i64::MAX
    );
    for statement in [&*many, "ANALYZE large"] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    // The pool has one connection: a server tells of the reads of others only later.
    let read = async || -> i64 {
        let count =
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'large'";
        sqlx::query("SELECT pg_stat_force_next_flush()").execute(&pool).await.unwrap();
        sqlx::query_scalar(count).fetch_one(&pool).await.unwrap()
    };
    let before = read().await;
    rounds::of_each_operation(&store).await;
    let count = read().await - before;
    assert!((20..1_000).contains(&count), "{count}");
}

#[tokio::test]
async fn stores_of_one_table_are_kept_apart_by_prefix() {
    let (store, _) = alone("prefixed").await;
    let options = StoreOptions { prefix: "sess".to_owned(), ..StoreOptions::default() };
    let other = store.clone().with_options(options);
    for (store, key) in [(&store, "a"), (&store, "b"), (&other, "-a"), (&other, "ion")] {
        assert!(store.create(key, OLD, LIFE, false).await.unwrap());
    }
    let keys = async |store: &PostgresStore| {
        let page = store.scan(None, 10).await.unwrap();
        page.entries.into_iter().map(|entry| entry.key).collect::<Vec<_>>()
    };
    assert_eq!(keys(&store).await, ["a", "b"]);
    assert_eq!(keys(&other).await, ["-a", ":a", ":b", "ion"]);
}

/// A scan does not read the whole table for each page, nor a request for each record.
#[tokio::test]
async fn keys_are_found_by_the_index() {
    let (_, pool) = alone("indexed").await;
    let many = "INSERT INTO indexed SELECT 'sess:' || md5(n::text), '{}', n FROM generate_series(1, 20000) AS n";
    sqlx::query(many).execute(&pool).await.unwrap();
    sqlx::query("ANALYZE indexed").execute(&pool).await.unwrap();
    for statement in [
        "SELECT record FROM indexed WHERE key = 'sess:x' AND expires > 0",
        "SELECT record FROM indexed WHERE key COLLATE \"C\" > 'sess:x' AND key COLLATE \"C\" < 'sess:y' \
         AND expires > 0 ORDER BY key COLLATE \"C\" LIMIT 10",
    ] {
        let plan: Vec<String> =
            sqlx::query_scalar(&format!("EXPLAIN {statement}")).fetch_all(&pool).await.unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains("indexed_pkey") && !plan.contains("Sort"), "{plan}");
    }
}

#[tokio::test]
async fn errors_name_the_problem_and_contain_no_secret() {
    let server = server().await;
    let pool = PgPool::connect(&server.url()).await.unwrap();
    let missing = PostgresStore::with_pool(pool.clone(), "missing").unwrap();
    let error = missing.read("an-id").await.unwrap_err();
    let said = "the session store failed: relation \"missing\" does not exist (42P01)";
    assert_eq!(error.to_string(), said);
    assert!(PostgresStore::with_pool(pool.clone(), "a\"; DROP").is_err());

    // The details of Postgres's error contain the whole row.
    sqlx::query("CREATE TABLE strict (key text PRIMARY KEY, record text CHECK (record = ''), expires bigint)")
        .execute(&pool)
        .await
        .unwrap();
    let raised = "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'no %', NEW.record; END $$
         LANGUAGE plpgsql";
    sqlx::query(raised).execute(&pool).await.unwrap();
    sqlx::query("CREATE TABLE raising (LIKE strict)").execute(&pool).await.unwrap();
    sqlx::query(
        "CREATE TRIGGER refuse BEFORE INSERT ON raising FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .execute(&pool)
    .await
    .unwrap();
    let raw = sqlx::query("SELECT $1::text::bigint").bind("a record").execute(&pool).await;
    let raw = raw.unwrap_err();
    assert!(raw.to_string().contains("a record"));
    let raising = PostgresStore::with_pool(pool.clone(), "raising").unwrap();
    let strict = PostgresStore::with_pool(pool, "strict").unwrap();
    let mut errors =
        vec![error, strict.create("an-id", "a record", LIFE, false).await.unwrap_err()];
    errors.push(raising.create("an-id", "a record", LIFE, false).await.unwrap_err());
    // Also if a store of the application passes on the client's error.
    errors.push(StoreError::failed(raw));
    for url in [
        "postgres://app:s3cret@127.0.0.1:port/postgres",
        "postgres://app:s3cret@127.0.0.1:1/postgres?connect_timeout=s3cret&sslmode=s3cret",
        "s3cret",
        &format!("postgres://no-such-user:s3cret@127.0.0.1:{}/postgres", server.port),
    ] {
        errors.push(PostgresStore::connect(url).await.unwrap_err());
    }
    for error in &errors {
        for text in [format!("{error}"), format!("{error:?}"), format!("{error:#?}")] {
            for secret in ["s3cret", "an-id", "a record"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
}

/// In a database with the encoding `SQL_ASCII`, any bytes are text.
#[tokio::test]
async fn a_value_that_is_not_text_is_unreadable_and_no_error() {
    let server = server().await;
    let mut admin = PgConnection::connect(&server.url()).await.unwrap();
    let database =
        "CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'";
    admin.execute(database).await.unwrap();
    let url = server.url().replace("/postgres", "/bytes");
    let store = PostgresStore::connect(&url).await.unwrap();
    store.migrate().await.unwrap();
    let put = async |key: &str| {
        let mut other = PgConnection::connect(&url).await.unwrap();
        other.execute("SET client_encoding = 'SQL_ASCII'").await.unwrap();
        let insert = format!(
            "INSERT INTO sessions VALUES ('sess:{key}', E's3cret\\xff', 9e15::bigint), \
             (E'sess:\\xff', '{{}}', 9e15::bigint)"
        );
        other.execute(&*insert).await.unwrap();
    };
    servers::values::is_unreadable_and_no_error(store, put).await;
}

fn write_id(letter: char) -> Option<WriteId> {
    WriteId::parse(&letter.to_string().repeat(16))
}
