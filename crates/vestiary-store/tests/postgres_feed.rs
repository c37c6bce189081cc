//! The feed of changes of the Postgres store: a stream ends at once when another process ends its session. The time between
//! two checks is five minutes, so that a test which passes owes it to the feed.

#![allow(
    clippy::expect_used,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use crate::servers::{
    node,
    pgbouncer::PgBouncer,
    postgres::Postgres,
    streams::{SECRET, begins, config, login, soon},
    until,
};
use tokio::sync::OnceCell;
use vestiary_store::{
    PostgresStore, Sessions, Store as _,
    sqlx::{
        self, PgPool,
        postgres::{PgConnectOptions, PgListener},
    },
};

static SERVER: OnceCell<Postgres> = OnceCell::const_new();

async fn server() -> &'static Postgres {
    SERVER.get_or_init(Postgres::start).await
}

/// A process that has sessions in this table.
async fn process(
    url: &str,
    table: &str,
    feed: impl FnOnce(PostgresStore) -> PostgresStore,
) -> Sessions {
    let options: PgConnectOptions = url.parse().unwrap();
    // A pooler refuses the precision of floats.
    let pool = PgPool::connect_lazy_with(options.extra_float_digits(None));
    let store = PostgresStore::with_pool(pool, table).unwrap();
    store.migrate().await.unwrap();
    Sessions::new(&config(), feed(store)).unwrap()
}

/// Waits until this number of connections listen to the table's channel, and returns their numbers.
async fn listening(table: &str, number: usize) -> Vec<i32> {
    let pool = PgPool::connect(&server().await.url()).await.unwrap();
    let listens =
        format!("SELECT pid FROM pg_stat_activity WHERE query = 'LISTEN \"vestiary_{table}\"'");
    until("the connections of the feed", async || {
        let found: Vec<i32> = sqlx::query_scalar(&listens).fetch_all(&pool).await.unwrap();
        (found.len() == number).then_some(found)
    })
    .await
}

#[tokio::test]
async fn a_logout_by_one_process_ends_the_streams_in_another() {
    let url = server().await.url();
    let process = || process(&url, "one", |store| store.with_feed(None));
    let (here, there) = (process().await, process().await);
    let (ada, other) = (login(&here, "ada").await, login(&here, "ada").await);
    let eve = login(&here, "eve").await;
    listening("one", 0).await;
    let [mut one, mut two, mut stays] = [&ada, &other, &eve].map(|session| here.ended(session));
    begins(&mut stays).await;
    listening("one", 1).await;
    there.destroy(&ada).await.unwrap();
    soon(&mut one).await;
    begins(&mut two).await;
    there.of("ada").revoke_all().await.unwrap();
    soon(&mut two).await;
    begins(&mut stays).await;
    // The connection goes with the last stream.
    drop((one, two, stays));
    listening("one", 0).await;
}

#[tokio::test]
async fn what_was_missed_while_the_feed_was_cut_is_asked_about_when_it_is_back() {
    let url = server().await.url();
    let here = process(&url, "cut", |store| store.with_feed(None)).await;
    // This process does not notify.
    let silent = process(&url, "cut", |store| store).await;
    let session = login(&here, "ada").await;
    let mut ended = here.ended(&session);
    begins(&mut ended).await;
    let listens = listening("cut", 1).await;
    silent.of("ada").revoke_all().await.unwrap();
    begins(&mut ended).await;
    let pool = PgPool::connect(&url).await.unwrap();
    let cut = sqlx::query("SELECT pg_terminate_backend(pid) FROM unnest($1) AS pid");
    cut.bind(listens).execute(&pool).await.unwrap();
    soon(ended).await;
}

#[tokio::test]
async fn a_message_carries_no_key_and_ends_nothing_by_itself() {
    let url = server().await.url();
    let here = process(&url, "message", |store| store.with_feed(None)).await;
    let session = login(&here, "ada").await;
    let mut listener = PgListener::connect(&url).await.unwrap();
    listener.listen("vestiary_message").await.unwrap();
    let mut ended = here.ended(&session);
    begins(&mut ended).await;
    let updated = here.update(&session, &mut |_| Ok(r#"{"n":1}"#.to_owned())).await;
    assert!(updated.unwrap().is_some());
    let message = listener.recv().await.unwrap().payload().to_owned();
    let key = here.options().store_key(session.id());
    assert_eq!(Some(&message), here.store().name_of(&key).as_ref());
    assert_eq!(message.len(), 64);
    listening("message", 2).await;
    let pool = PgPool::connect(&url).await.unwrap();
    for forged in [message.as_str(), "x", ""] {
        let notify = sqlx::query("SELECT pg_notify('vestiary_message', $1)").bind(forged);
        notify.execute(&pool).await.unwrap();
    }
    begins(&mut ended).await;
}

#[tokio::test]
async fn behind_a_pooler_it_listens_to_the_server_itself() {
    let postgres = server().await;
    let pooler = PgBouncer::start(postgres, 2).await;
    let direct = || Some(postgres.url().parse().unwrap());
    let here = process(&pooler.url(), "pooled", |store| store.with_feed(direct())).await;
    let there = process(&pooler.url(), "pooled", |store| store.with_feed(direct())).await;
    let session = login(&here, "ada").await;
    let mut ended = here.ended(&session);
    begins(&mut ended).await;
    listening("pooled", 1).await;
    there.of("ada").revoke_all().await.unwrap();
    soon(ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_svelte_kit_process_ends_the_streams_of_a_rust_process_and_the_other_way_round() {
    let url = server().await.url();
    let rust = process(&url, "shared", |store| store.with_feed(None)).await;
    let (ada, eve) = (login(&rust, "ada").await, login(&rust, "eve").await);
    let mut ended = rust.ended(&ada);
    let mut stays = rust.ended(&eve);
    begins(&mut ended).await;
    listening("shared", 1).await;
    let module = "import pg from 'pg';
        import { sessions } from './dist/index.js';
        import { PostgresStore } from './dist/stores/postgres.js';
        const [, connectionString, secret, cookie] = process.argv;
        const client = new pg.Pool({ connectionString });
        const store = new PostgresStore({ client, table: 'shared', feed: true });
        const options = { secret, store, recheckAfter: 300 };
        const session = await sessions(options).read(cookie);
        const ended = new Promise((resolve) => session.signal.addEventListener('abort', resolve));
        await sessions(options).of('ada').revokeAll();
        await ended;
        console.log(session.signal.reason.code);
        await client.end();";
    let cookie = format!("connect.sid={}", rust.sign(eve.id()));
    let at = url.clone();
    let kit = tokio::task::spawn_blocking(move || node::run(module, &[&at, SECRET, &cookie]));
    soon(ended).await;
    begins(&mut stays).await;
    listening("shared", 2).await;
    rust.of("eve").revoke_all().await.unwrap();
    soon(stays).await;
    assert_eq!(kit.await.unwrap().trim(), "session_ended");
}

#[cfg(feature = "testing")]
#[tokio::test]
async fn the_feed_keeps_the_promises_of_stores() {
    let store = PostgresStore::connect(&server().await.url()).await.unwrap();
    store.migrate().await.unwrap();
    vestiary_store::testing::checks::a_feed_tells_of_each_change(store.with_feed(None))
        .await
        .unwrap();
}
