//! The Postgres store behind a pooler that gives each transaction another connection to the server.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use crate::servers::{self, pgbouncer::PgBouncer, postgres::Postgres};
use tokio::sync::OnceCell;
use vestiary::{Ttl, WriteId};
use vestiary_store::{
    Outcome, PostgresStore, Store as _, conformance_tests,
    sqlx::{
        self, Connection as _, Row as _,
        postgres::{PgConnectOptions, PgPoolOptions},
    },
};

const LIFE: Ttl = Ttl::Millis(600_000);

/// Two connections for all clients, so that consecutive transactions of one client rarely use the same one.
static SERVERS: OnceCell<(Postgres, PgBouncer)> = OnceCell::const_new();

async fn servers() -> &'static (Postgres, PgBouncer) {
    SERVERS
        .get_or_init(|| async {
            let postgres = Postgres::start().await;
            let pgbouncer = PgBouncer::start(&postgres, 2).await;
            (postgres, pgbouncer)
        })
        .await
}

async fn store() -> PostgresStore {
    let store = PostgresStore::connect(&servers().await.1.url()).await.unwrap();
    store.migrate().await.unwrap();
    store
}

conformance_tests!(store);
conformance_tests!(scan store);

fn record(write_id: char, n: usize) -> String {
    format!(r#"{{"v":"{}","data":{{"n":{n}}}}}"#, write_id.to_string().repeat(16))
}

fn write_id(letter: char) -> Option<WriteId> {
    WriteId::parse(&letter.to_string().repeat(16))
}

#[tokio::test]
async fn a_login_and_the_end_of_all_sessions_are_ordered_by_the_clock_of_the_server() {
    servers::clock::orders_logins(store().await).await;
}

// Services prepare their statements in different orders, so a name would refer to the statement of another service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_share_a_few_connections_and_each_operation_does_what_it_says() {
    let _ = store().await;
    let url = servers().await.1.url();
    let clients = (0..20).map(|client| {
        let url = url.clone();
        tokio::spawn(async move {
            let store = PostgresStore::connect(&url).await.unwrap();
            let key = |n: usize| format!("client-{client}-{n}");
            for n in 0..10 {
                if client % 2 == 0 {
                    assert_eq!(store.read(&key(n)).await.unwrap(), None);
                    assert!(!store.touch(&key(n), LIFE).await.unwrap());
                }
                assert!(store.create(&key(n), &record('A', n), LIFE, false).await.unwrap());
                assert!(!store.create(&key(n), &record('C', n), LIFE, false).await.unwrap());
                let replaced =
                    store.replace(&key(n), write_id('A').as_ref(), &record('B', n), LIFE).await;
                assert_eq!(replaced.unwrap(), Outcome::Done);
                assert!(store.touch(&key(n), LIFE).await.unwrap());
                assert_eq!(store.read(&key(n)).await.unwrap(), Some(record('B', n)));
                let removed = store.remove(&key(n), write_id('A').as_ref()).await;
                assert_eq!(removed.unwrap(), Outcome::Conflict);
                let removed = store.remove(&key(n), write_id('B').as_ref()).await;
                assert_eq!(removed.unwrap(), Outcome::Done);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn a_store_finds_out_whether_there_is_a_pooler_and_prepares_statements_only_without_one() {
    let (postgres, pgbouncer) = servers().await;
    for (port, pooled) in [(postgres.port, false), (pgbouncer.port, true)] {
        let options = PgConnectOptions::new().host("127.0.0.1").port(port).username("app");
        let options = options.database("postgres").extra_float_digits(None);
        let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        let store = PostgresStore::with_pool(pool.clone(), "found_out").unwrap();
        store.migrate().await.unwrap();
        store.read("key").await.unwrap();
        assert_eq!(store.is_pooled().await.unwrap(), pooled);
        store.read("key").await.unwrap();
        let mut connection = pool.acquire().await.unwrap();
        let prepared = sqlx::Executor::fetch_one(
            &mut *connection,
            "SELECT count(*)::text FROM pg_prepared_statements",
        );
        let prepared: String = prepared.await.unwrap().get(0);
        assert_eq!(prepared != "0", !pooled, "{prepared}");
        connection.ping().await.unwrap();
    }
}
