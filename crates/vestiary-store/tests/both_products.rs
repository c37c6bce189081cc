//! One login for a SvelteKit app and a Rust service: both products on one file and on one table, with everything on
//! that could keep them apart.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use crate::servers::{folder, mysql::MySql, node, postgres::Postgres};
use serde_json::{Value, json};
use vestiary_store::{
    Config, Cookies, Encrypt, Found, Loaded, Login, MySqlStore, PostgresStore, Sessions,
    SqliteStore, Store,
};

const SECRET: &str = "a secret that both know, of more than 32 bytes: \u{e9}";

/// Runs one request of a SvelteKit app. Prints the cookie that it sets, or else the one it was sent.
const APP: &str = r"
    import { Session, sessions } from './dist/index.js';
    import { MySqlStore } from './dist/stores/mysql.js';
    import { PostgresStore } from './dist/stores/postgres.js';
    import { SqliteStore } from './dist/stores/sqlite.js';
    import { testEvent } from './test/event.ts';
    const [place, options, cookie, does] = process.argv.slice(1);
    const open = {
        sqlite: async () => ({ store: new SqliteStore({ database: place }), close: () => {} }),
        postgres: async () => {
            const client = new (await import('pg')).default.Pool({ connectionString: place });
            return { store: new PostgresStore({ client }), close: () => client.end() };
        },
        mysql: async () => {
            const client = (await import('mysql2/promise')).createPool(place);
            return { store: new MySqlStore({ client }), close: () => client.end() };
        }
    };
    const { store, close } = await (open[place.split(':')[0]] ?? open.sqlite)();
    const config = { ...JSON.parse(options), store };
    const { event, cookies } = testEvent(cookie || undefined);
    const session = await Session.initialize(event, config);
    const said = await new Function('session', 'sessions', 'config', `return (async () => {${does}})()`)(
        session, sessions, config
    );
    const set = cookies.at(-1);
    const sends = !set ? cookie : set.method === 'delete' ? '' : `${set.name}=${encodeURIComponent(set.value)}`;
    console.log(JSON.stringify({ cookie: sends, said }));
    await close();
";

struct Products {
    /// The file, or the URL.
    place: String,
    options: Value,
    rust: Sessions,
}

impl Products {
    fn app(&self, cookie: &str, does: &str) -> (String, Value) {
        let said = node::run(APP, &[&self.place, &self.options.to_string(), cookie, does]);
        let mut said: Value = serde_json::from_str(&said).unwrap();
        (said["cookie"].as_str().unwrap().to_owned(), said["said"].take())
    }

    async fn found(&self, cookie: &str) -> Option<Loaded> {
        let cookies: Cookies = self.rust.cookies([cookie.as_bytes()]);
        match self.rust.find(&cookies).await.unwrap() {
            Found::Session(session) => Some(*session),
            Found::Tombstone(_)
            | Found::Unbound(_)
            | Found::Expired(_)
            | Found::Unreadable(_)
            | Found::Nothing => None,
        }
    }

    async fn data(&self, cookie: &str) -> Value {
        serde_json::from_str(self.found(cookie).await.unwrap().stored.data()).unwrap()
    }

    fn cookie_of(&self, loaded: &vestiary_store::Stored) -> String {
        format!("{}={}", self.rust.options().name().as_str(), self.rust.sign(loaded.id()))
    }
}

/// Both products on one file.
async fn both(options: Value, config: Config) {
    let folder = folder("products");
    let file = folder.join("sessions.db");
    let store = SqliteStore::open(&file).await.unwrap();
    both_on(file.to_str().unwrap(), store, (options, config)).await;
    std::fs::remove_dir_all(folder).unwrap();
}

/// Both products on the store at this place.
async fn both_on(place: &str, store: impl Store, (options, config): (Value, Config)) {
    let rust = Sessions::new(&config, store).unwrap();
    let products = Products { place: place.to_owned(), options, rust };
    let odd = json!({ "f": 0.1, "e": 1e21, "t": "\u{e9}\u{2028}\u{1f600}\"\\", "n": null, "d": { "a": [1] } });

    // Logged in there, logged in here.
    let login = format!("await session.login('ada', {{ data: {odd}, label: 'an app' }})");
    let (cookie, _) = products.app("", &login);
    let here = products.found(&cookie).await.unwrap();
    assert_eq!(here.stored.user().as_deref(), Some("ada"));
    assert_eq!(products.data(&cookie).await, odd);

    // Changes by both are merged.
    let mut add = |text: &str| {
        let mut data: Value = serde_json::from_str(text).unwrap();
        data["rust"] = json!(1);
        Ok(data.to_string())
    };
    products.rust.update(&here.stored, &mut add).await.unwrap().unwrap();
    let (cookie, seen) =
        products.app(&cookie, "session.data.svelte = 2; await session.save(); return session.data");
    let mut expected = odd.clone();
    expected["rust"] = json!(1);
    expected["svelte"] = json!(2);
    assert_eq!(seen, expected);
    assert_eq!(products.data(&cookie).await, expected);

    // Renewed here, still known there, by the old ID and by the new one.
    let here = products.found(&cookie).await.unwrap();
    let new = match products.rust.renew(&here.stored).await {
        Ok(renewed) => products.cookie_of(&renewed.unwrap()),
        // The express-session format has no renewals.
        Err(error) if error.code() == "express_renewal" => cookie.clone(),
        Err(error) => panic!("{error}"),
    };
    for cookie in [&cookie, &new] {
        let (sent, user) = products.app(cookie, "return session.userId");
        assert_eq!((user, sent.split('=').next()), (json!("ada"), new.split('=').next()));
    }

    // One list of sessions.
    let ada = products.rust.of("ada");
    let list = "return (await sessions(config).of('ada').list(session)).map(({ label }) => label)";
    assert_eq!(products.app(&new, list).1, json!(["an app"]));
    assert_eq!(ada.list().await.unwrap().len(), 1);

    // Logged out here, logged out there.
    let here = products.found(&new).await.unwrap();
    products.rust.destroy(&here.stored).await.unwrap();
    assert_eq!(products.app(&new, "return session.isNew").1, json!(true));
    assert_eq!(products.app(&new, list).1, json!([]));

    // And the other way round.
    let owner = ada.admit(&Login { label: Some("a service".into()), ..Login::default() }).await;
    let made = products.rust.create(r#"{"made":"here"}"#, Some(owner.unwrap())).await.unwrap();
    let cookie = products.cookie_of(&made);
    let (_, said) = products.app(&cookie, "return [session.userId, session.data]");
    assert_eq!(said, json!(["ada", { "made": "here" }]));
    let (cleared, _) = products.app(&cookie, "await session.destroy()");
    assert_eq!(cleared, "");
    assert!(products.found(&cookie).await.is_none());
    assert!(ada.list().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_defaults() {
    both(json!({ "secret": SECRET }), Config::new(SECRET)).await;
}

/// Options of both products, with everything that could keep them apart.
fn everything() -> (Value, Config) {
    let options = json!({
        "secret": ["a new secret of the app, of more than 32 bytes", SECRET],
        "name": "__Host-id",
        "namespace": "shop",
        "hashIds": true,
        "encrypt": true,
        "idleTimeout": 600,
        "absoluteTimeout": 6_000
    });
    let config = Config::new("a new secret of the app, of more than 32 bytes")
        .previous_secret(SECRET)
        .name("__Host-id")
        .namespace("shop")
        .hash_ids(true)
        .encrypt(Encrypt::On)
        .idle_timeout(std::time::Duration::from_secs(600))
        .absolute_timeout(std::time::Duration::from_secs(6_000));
    (options, config)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_everything_that_could_keep_them_apart() {
    let (options, config) = everything();
    both(options, config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_table_of_postgres() {
    let server = Postgres::start().await;
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    store.migrate().await.unwrap();
    both_on(&server.url(), store, everything()).await;
}

/// The SvelteKit app creates the table.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_table_of_mysql() {
    let server = MySql::start().await;
    let store = MySqlStore::connect(&server.url()).await.unwrap();
    let migrate = "
        import { createPool } from 'mysql2/promise';
        import { MySqlStore } from './dist/stores/mysql.js';
        const client = createPool(process.argv[1]);
        await new MySqlStore({ client }).migrate();
        await client.end();
    ";
    node::run(migrate, &[&server.url()]);
    // Creates nothing else.
    store.migrate().await.unwrap();
    both_on(&server.url(), store, everything()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_records_of_express_session() {
    let config = Config::new(SECRET).format(vestiary::Format::ExpressSession);
    both(json!({ "secret": SECRET, "format": "express-session" }), config).await;
}
