//! The table of an SQL database: its SQL, and its creation.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

use std::{fs, path::Path};

use crate::support::Folder;
use vestiary::Ttl;
use vestiary_store::{SqliteStore, Store as _, sqlx};

#[tokio::test]
async fn the_sql_is_that_of_the_documentation() {
    let (folder, _) = Folder::new().await;
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/how-to/stores.md");
    let page = fs::read_to_string(page).unwrap();
    for kind in ["postgres", "sqlite", "d1"] {
        let sql = folder.run(&["schema", "--store", kind]).ends(0).out;
        assert!(page.contains(&format!("```sql\n{sql}```")), "{kind}: {sql}");
        let json = folder.run(&["schema", "--store", kind, "--json"]).ends(0).json();
        assert_eq!(json["sql"], sql);
    }
}

#[tokio::test]
async fn the_table_gets_the_name_that_is_asked_for_and_no_other_text() {
    let (folder, _) = Folder::new().await;
    for kind in ["postgres", "sqlite", "d1"] {
        let named = folder.run(&["schema", "--store", kind, "--table", "web_sessions"]).ends(0).out;
        assert!(named.contains("web_sessions") && !named.contains(" sessions"), "{named}");
        for table in ["a; DROP TABLE sessions", "a\"b", "1a", ""] {
            let ran = folder.run(&["schema", "--store", kind, "--table", table]).ends(2);
            assert!(ran.err.contains("[table_name]"), "{ran:?}");
        }
    }
    folder.run(&["schema"]).ends(2);
    folder.run(&["schema", "--store", "redis"]).ends(2);
}

#[tokio::test]
async fn the_table_of_a_file_is_created_once_and_an_index_is_added() {
    let (folder, _) = Folder::new().await;
    let new = ["migrate-schema", "--store", "sqlite:new.db", "--table", "web"];
    let ran = folder.run(&new).ends(0);
    assert_eq!(ran.out, "the table `web` and its index exist in sqlite:new.db\n");
    folder.run(&["ls", "--store", "sqlite:new.db", "--table", "web"]).ends(0);

    // As a table was that had no index yet, with a record in it.
    let url = format!("sqlite:{}", folder.path("new.db").display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    let store = SqliteStore::with_pool(pool.clone(), "web").await.unwrap();
    store.create("key", r#"{"data":{}}"#, Ttl::Millis(60_000), false).await.unwrap();
    sqlx::query("DROP INDEX web_expires").execute(&pool).await.unwrap();
    let json = folder.run(&[&new[..], &["--json"]].concat()).ends(0).json();
    assert_eq!((&json["store"], &json["table"]), (&"sqlite:new.db".into(), &"web".into()));
    let indexes = "SELECT count(*) FROM sqlite_master WHERE name = 'web_expires'";
    let indexes: i64 = sqlx::query_scalar(indexes).fetch_one(&pool).await.unwrap();
    assert_eq!(indexes, 1);
    assert!(store.read("key").await.unwrap().is_some());
}

#[tokio::test]
async fn what_cannot_be_created_is_an_error() {
    let (folder, _) = Folder::new().await;
    let missing = ["migrate-schema", "--store", "sqlite:missing/folder.db"];
    assert!(folder.run(&missing).ends(3).err.contains("[store_failed]"));
    let named = ["migrate-schema", "--table", "a; DROP TABLE sessions"];
    folder.run(&named).ends(3);
    folder.run(&["ls"]).ends(0);
}
