//! The `SQLite` store: a file, of several processes, and of the npm package too.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use crate::servers::{self, folder, node, touches};
use tokio::sync::OnceCell;
use vestiary::{Ttl, WriteId};
use vestiary_store::{
    Config, Cursor, Outcome, Polling, Scan, Sessions, SqliteStore, Store, StoreError, StoreOptions,
    conformance_tests,
    sqlx::{
        self, Connection as _, SqliteConnection, SqlitePool,
        sqlite::{SqliteConnectOptions, SqlitePoolOptions},
    },
    write_id_of,
};

const LIFE: Ttl = Ttl::Millis(600_000);
const OLD: &str = r#"{"v":"AAAAAAAAAAAAAAAA","data":{"n":1}}"#;

/// A folder that is removed.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(folder("sqlite"))
    }

    fn file(&self) -> String {
        self.0.join("sessions.db").to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A store, and the folder of its file.
struct Kept<S>(S, Folder);

impl<S: Store> Store for Kept<S> {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.0.read(key).await
    }

    async fn create(
        &self,
        key: &str,
        text: &str,
        ttl: Ttl,
        owned: bool,
    ) -> Result<bool, StoreError> {
        self.0.create(key, text, ttl, owned).await
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        text: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        self.0.replace(key, expected, text, ttl).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        self.0.touch(key, ttl).await
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        self.0.remove(key, expected).await
    }

    fn polling(&self) -> Option<Polling> {
        self.0.polling()
    }

    async fn write_ids(&self, keys: &[String]) -> Result<Vec<Option<String>>, StoreError> {
        self.0.write_ids(keys).await
    }

    async fn state(&self) -> Result<Option<String>, StoreError> {
        self.0.state().await
    }
}

impl<S: Scan> Scan for Kept<S> {
    async fn scan(
        &self,
        from: Option<&Cursor>,
        most: usize,
    ) -> Result<vestiary_store::Page, StoreError> {
        self.0.scan(from, most).await
    }

    async fn entry(&self, key: &str) -> Result<Option<vestiary_store::Entry>, StoreError> {
        self.0.entry(key).await
    }
}

async fn opened() -> Kept<SqliteStore> {
    let folder = Folder::new();
    Kept(SqliteStore::open(folder.file()).await.unwrap().with_feed(None), folder)
}

/// Several connections that write, as the pools of most applications have them.
async fn of_a_pool() -> Kept<SqliteStore> {
    let folder = Folder::new();
    let address = format!("sqlite://{}?mode=rwc", folder.file());
    let pool = SqlitePoolOptions::new().max_connections(4).connect(&address).await.unwrap();
    let store = SqliteStore::with_pool(pool, "web_sessions").await.unwrap();
    let prefix = String::new();
    let store = store.with_options(StoreOptions { prefix, ..StoreOptions::default() });
    Kept(store.with_feed(None), folder)
}

async fn in_memory() -> SqliteStore {
    let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    SqliteStore::with_pool(pool.connect("sqlite::memory:").await.unwrap(), "sessions")
        .await
        .unwrap()
}

mod a_file {
    use super::*;

    conformance_tests!(opened);
    conformance_tests!(scan opened);
}

mod a_pool {
    use super::*;

    conformance_tests!(of_a_pool);
    conformance_tests!(scan of_a_pool);
}

mod memory {
    use super::*;

    conformance_tests!(in_memory);
    conformance_tests!(scan in_memory);
}

/// Two stores, as in two processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_have_the_file_open_lose_no_change() {
    let folder = Arc::new(Folder::new());
    let both = [SqliteStore::open(folder.file()).await, SqliteStore::open(folder.file()).await];
    let both = both.map(|store| Arc::new(store.unwrap()));
    assert!(both[0].create("key", &numbered(0), LIFE, false).await.unwrap());
    let adding = (0..40).map(|n| {
        let store = Arc::clone(&both[n % 2]);
        tokio::spawn(async move {
            loop {
                let found = store.read("key").await.unwrap().unwrap();
                let expected = WriteId::parse(write_id_of(&found).unwrap());
                let n: usize =
                    write_id_of(&found).unwrap().trim_start_matches('_').parse().unwrap();
                let next = numbered(n + 1);
                let replaced = store.replace("key", expected.as_ref(), &next, LIFE).await.unwrap();
                if replaced == Outcome::Done {
                    return;
                }
            }
        })
    });
    for task in adding.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(both[0].read("key").await.unwrap(), Some(numbered(40)));
    assert_eq!(both[1].read("key").await.unwrap(), Some(numbered(40)));
}

/// As another process may hold it for a while. Also with several writing connections, where each of the two stores has
/// its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_touch_prolongs_the_record_of_another_write() {
    let folder = Folder::new();
    let [one, other] =
        [SqliteStore::open(folder.file()).await, SqliteStore::open(folder.file()).await];
    touches::prolong_no_other_record(&one.unwrap(), &other.unwrap()).await;
}

#[tokio::test]
async fn a_write_waits_for_the_lock_of_another_process_and_not_after_it_was_given_up() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let address = format!("sqlite://{}", folder.file());
    let mut other = SqliteConnection::connect(&address).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();

    let config = Config::new("a long random secret, from the environment")
        .store_timeout(Duration::from_millis(100));
    let sessions = Sessions::new(&config, store.clone()).unwrap();
    let error = sessions.create("{}", None).await.unwrap_err();
    assert_eq!(error.code(), "store_timeout");
    // Readers wait for no writer.
    assert_eq!(store.read("key").await.unwrap(), None);

    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.create("key", "{}", LIFE, false).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    assert!(waiting.await.unwrap().unwrap());
    // The abandoned write did not happen afterwards.
    let page = store.scan(None, 10).await.unwrap();
    assert_eq!(page.entries.len(), 1);
}

/// Both make the file, at the same moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_open_a_new_file_at_once() {
    for _ in 0..5 {
        let folder = Arc::new(Folder::new());
        let tasks = (0..8).map(|n| {
            let folder = Arc::clone(&folder);
            tokio::spawn(async move {
                let store = SqliteStore::open(folder.file()).await.unwrap();
                assert!(store.create(&n.to_string(), OLD, LIFE, false).await.unwrap());
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_file_is_shared_with_the_npm_package() {
    static FILE: OnceCell<Folder> = OnceCell::const_new();
    let folder = FILE.get_or_init(|| async { Folder::new() }).await;
    // Made by TypeScript, with a record of its own.
    let make = "import { SqliteStore } from './dist/stores/sqlite.js';
        const { atomic } = new SqliteStore({ database: process.argv[1] });
        const record = `{\"v\":\"${'C'.repeat(16)}\",\"data\":\"é 🧥\"}`;
        console.log(await atomic.create('from-node', record, 600_000, true));
        await atomic.create('expired', record, 0, true);";
    assert_eq!(node::run(make, &[&folder.file()]).trim(), "true");
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let expected = r#"{"v":"CCCCCCCCCCCCCCCC","data":"é 🧥"}"#;
    assert_eq!(store.read("from-node").await.unwrap().as_deref(), Some(expected));
    assert_eq!(store.read("expired").await.unwrap(), None);
    let page = store.scan(None, 10).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    assert_eq!((&*page.entries[0].key, &*page.entries[0].record), ("from-node", expected));
    assert!(page.next.is_none());
    assert!(matches!(page.entries[0].ttl, Ttl::Millis(left) if left > 300_000 && left <= 600_000));
    assert!(!store.create("from-node", OLD, LIFE, false).await.unwrap());
    assert_eq!(store.remove("from-node", write_id('A').as_ref()).await.unwrap(), Outcome::Conflict);
    assert_eq!(
        store.replace("from-node", write_id('C').as_ref(), OLD, LIFE).await.unwrap(),
        Outcome::Done
    );
    assert!(store.create("from-rust", OLD, Ttl::Infinite, false).await.unwrap());

    // Read and written there while it is open here.
    let use_it = "import { SqliteStore } from './dist/stores/sqlite.js';
        const store = new SqliteStore({ database: process.argv[1] });
        const { atomic } = store;
        const [a, b, c] = ['A', 'B', 'C'].map((letter) => letter.repeat(16));
        const read = await atomic.read('from-rust');
        const whole = await store.get('from-node');
        const touched = await atomic.touch('from-rust', 700_000);
        const wrong = await atomic.replace('from-rust', c, '{}', 60_000);
        const right = await atomic.replace('from-rust', a, read.replace(a, b), 60_000);
        const created = await atomic.create('from-rust', '{}', 60_000, false);
        const removed = await atomic.remove('from-node', a);
        console.log(JSON.stringify([read, whole.data, touched, wrong, right, created, removed]));";
    let told = node::run(use_it, &[&folder.file()]);
    let expected = format!(r#"[{OLD:?},{{"n":1}},true,"conflict","done",false,"done"]"#);
    assert_eq!(told.trim(), expected);
    assert_eq!(store.read("from-rust").await.unwrap(), Some(OLD.replace('A', "B")));
    assert_eq!(store.read("from-node").await.unwrap(), None);
    assert_eq!(store.remove("from-rust", write_id('B').as_ref()).await.unwrap(), Outcome::Done);
}

// The same table definition, white space apart.
#[tokio::test]
async fn the_table_is_that_of_the_npm_package() {
    let folder = Folder::new();
    let (ours, theirs) = (folder.file(), folder.0.join("other.db"));
    let store = SqliteStore::open(&ours).await.unwrap();
    drop(store);
    let make = "import { SqliteStore } from './dist/stores/sqlite.js';
        const store = new SqliteStore({ database: process.argv[1] });
        await store.get('id');
        store.close();";
    node::run(make, &[theirs.to_str().unwrap()]);
    let mut schemas = Vec::new();
    for file in [ours, theirs.to_str().unwrap().to_owned()] {
        let pool = SqlitePool::connect(&format!("sqlite://{file}")).await.unwrap();
        let schema =
            "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema ORDER BY name)";
        let schema: String = sqlx::query_scalar(schema).fetch_one(&pool).await.unwrap();
        let mode: String =
            sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&pool).await.unwrap();
        schemas.push((schema.split_whitespace().collect::<String>(), mode));
    }
    assert_eq!(schemas[0], schemas[1]);
    assert_eq!(schemas[0].1, "wal");
}

#[tokio::test]
async fn expired_records_are_removed_a_few_at_a_time() {
    let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let pool = pool.connect("sqlite::memory:").await.unwrap();
    let store = SqliteStore::with_pool(pool.clone(), "sessions").await.unwrap();
    for n in 0..50 {
        let expired = "INSERT INTO sessions VALUES ('sess:' || ?1, '{}', ?1)";
        sqlx::query(expired).bind(n).execute(&pool).await.unwrap();
    }
    for left in [31, 12, 3, 4] {
        assert!(store.create(&format!("new-{left}"), OLD, LIFE, false).await.unwrap());
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM sessions").fetch_one(&pool).await.unwrap();
        assert_eq!(count, left);
    }
}

#[tokio::test]
async fn stores_of_one_file_are_kept_apart_by_prefix() {
    let Kept(store, _folder) = opened().await;
    let options = StoreOptions { prefix: "sess".to_owned(), ..StoreOptions::default() };
    let other = store.clone().with_options(options);
    for (store, key) in [(&store, "a"), (&store, "b"), (&other, "-a"), (&other, "ion")] {
        assert!(store.create(key, OLD, LIFE, false).await.unwrap());
    }
    let keys = async |store: &SqliteStore| {
        let page = store.scan(None, 10).await.unwrap();
        page.entries.into_iter().map(|entry| entry.key).collect::<Vec<_>>()
    };
    assert_eq!(keys(&store).await, ["a", "b"]);
    assert_eq!(keys(&other).await, ["-a", ":a", ":b", "ion"]);
    assert_eq!(other.remove(":a", write_id('A').as_ref()).await.unwrap(), Outcome::Done);
    assert_eq!(store.read("a").await.unwrap(), None);
}

#[tokio::test]
async fn a_page_of_a_scan_has_as_many_records_as_were_asked_for() {
    let store = in_memory().await;
    for n in 0..5 {
        store.create(&n.to_string(), OLD, LIFE, false).await.unwrap();
    }
    let page = store.scan(None, 2).await.unwrap();
    assert_eq!((page.entries.len(), page.next.is_some()), (2, true));
    assert_eq!(store.scan(None, 6).await.unwrap().entries.len(), 5);
    // A write is sent once.
    assert!(!store.resends());
    assert!(format!("{store:?}").starts_with("SqliteStore { options: StoreOptions {"));
}

#[tokio::test]
async fn errors_name_the_problem() {
    let Folder(folder) = &Folder::new();
    let error = SqliteStore::open(folder.join("no/such/folder.db")).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("cannot be opened: its folder must exist") && said.ends_with("(14)"),
        "{said}"
    );
    fs::write(folder.join("text.db"), "x".repeat(5_000)).unwrap();
    let error = SqliteStore::open(folder.join("text.db")).await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("name another file") && said.ends_with("(26)"), "{said}");
    let pool = SqlitePool::connect("sqlite::memory:").await.unwrap();
    let error = SqliteStore::with_pool(pool.clone(), "a; DROP TABLE b").await.unwrap_err();
    assert!(error.to_string().contains("letters, digits and `_`"), "{error}");
    let table =
        "CREATE TABLE sessions (key TEXT, record TEXT CHECK (record = ''), expires INTEGER)";
    sqlx::query(table).execute(&pool).await.unwrap();
    let store = SqliteStore::with_pool(pool, "sessions").await.unwrap();
    let error = store.create("an-id", "a record", LIFE, false).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("an-id") && !shown.contains("a record"), "{shown}");
}

#[tokio::test]
async fn a_table_of_another_program_and_a_database_open_read_only_are_named() {
    let Folder(folder) = &Folder::new();
    for columns in [
        "id TEXT PRIMARY KEY, user_id TEXT NOT NULL",
        "sid TEXT PRIMARY KEY, sess TEXT, expires INTEGER",
        "key TEXT PRIMARY KEY, record TEXT, expires INTEGER, user TEXT NOT NULL",
        "key TEXT, record TEXT, expires INTEGER",
    ] {
        let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:");
        let pool = pool.await.unwrap();
        let table = format!("CREATE TABLE sessions ({columns})");
        sqlx::raw_sql(&table).execute(&pool).await.unwrap();
        let error = match SqliteStore::with_pool(pool.clone(), "sessions").await {
            Ok(store) => store.create("key", OLD, LIFE, false).await.unwrap_err(),
            Err(error) => error,
        };
        let said = error.to_string();
        assert!(said.contains("not a table of sessions") && said.contains("with_pool"), "{said}");
        assert!(error.is_refusal(), "{said}");
        let other = SqliteStore::with_pool(pool, "visitors").await.unwrap();
        assert!(other.create("key", OLD, LIFE, false).await.unwrap());
    }
    let file = folder.join("read-only.db");
    SqliteStore::open(&file).await.unwrap();
    let options = SqliteConnectOptions::new().filename(&file).read_only(true);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let store = SqliteStore::with_pool(pool, "sessions").await.unwrap();
    let error = store.create("key", OLD, LIFE, false).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("cannot be written: this process must") && said.ends_with("(8)"),
        "{said}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_it_makes_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let mode = |name: &str| fs::metadata(folder.0.join(name)).unwrap().permissions().mode() & 0o777;
    let store = SqliteStore::open(folder.0.join("new.db")).await.unwrap();
    store.create("key", "{}", LIFE, false).await.unwrap();
    assert_eq!((mode("new.db"), mode("new.db-wal")), (0o600, 0o600));
    // An existing file keeps its mode.
    let there = folder.0.join("there.db");
    fs::write(&there, "").unwrap();
    fs::set_permissions(&there, fs::Permissions::from_mode(0o640)).unwrap();
    let store = SqliteStore::open(&there).await.unwrap();
    store.create("key", "{}", LIFE, false).await.unwrap();
    assert_eq!(mode("there.db"), 0o640);
}

/// Text that is not UTF-8, and a blob, as another program may have stored them.
#[tokio::test]
async fn a_value_that_is_not_text_is_unreadable_and_no_error() {
    for value in ["CAST(x'733363726574ff' AS TEXT)", "x'733363726574ff'", "x'7333637265742d31'"] {
        let folder = Folder::new();
        let store = SqliteStore::open(folder.file()).await.unwrap();
        let pool = SqlitePool::connect(&format!("sqlite:{}", folder.file())).await.unwrap();
        // A key that is not text stops nothing.
        let odd = "INSERT INTO sessions VALUES (CAST(x'736573733aff' AS TEXT), '{}', 9e15)";
        sqlx::query(odd).execute(&pool).await.unwrap();
        let put = async |key: &str| {
            let insert = format!("INSERT INTO sessions VALUES ('sess:{key}', {value}, 9e15)");
            sqlx::query(&insert).execute(&pool).await.unwrap();
        };
        // A blob of ASCII characters is read as text, which is no record.
        if value.ends_with("2d31'") {
            put("blob").await;
            assert_eq!(store.read("blob").await.unwrap().as_deref(), Some("s3cret-1"));
            continue;
        }
        servers::values::is_unreadable_and_no_error(store, put).await;
    }
}

/// An invalid write ID does not make the comparison loop for ever.
#[tokio::test]
async fn a_record_with_an_odd_write_id_is_a_conflict() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let odd = format!(r#"{{"v":"{}","data":{{}}}}"#, "é".repeat(16));
    assert!(store.create("odd", &odd, LIFE, false).await.unwrap());
    assert_eq!(store.replace("odd", None, OLD, LIFE).await.unwrap(), Outcome::Conflict);
    assert_eq!(store.remove("odd", None).await.unwrap(), Outcome::Conflict);
}

fn numbered(n: usize) -> String {
    format!(r#"{{"v":"{n:_>16}","data":{n}}}"#)
}

fn write_id(letter: char) -> Option<WriteId> {
    WriteId::parse(&letter.to_string().repeat(16))
}
