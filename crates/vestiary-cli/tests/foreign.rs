//! Records of other programs: values that are no records, and text that means something to a terminal.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

use crate::support::{Filled, Folder, Ran, config, fill};
use vestiary::Ttl;
use vestiary_store::{
    Login, Scan as _, SqliteStore, Store as _,
    sqlx::{self, SqlitePool},
};

/// Text that clears the screen, breaks the line, reverses the direction of writing, and hides characters.
const ODD: &str = "a\u{1b}[2J\r\n\u{202e}\u{2067}\u{9b}2J\u{7f}\u{200f}\u{2028}\u{e0041}";

/// Checks that no control character is printed, in lines or in a document.
fn moves_no_cursor(ran: &Ran) {
    for text in [&ran.out, &ran.err] {
        let odd = ODD.chars().filter(|char| !char.is_ascii_graphic() && *char != '\n');
        for char in odd {
            assert!(!text.contains(char), "{char:?}: {text}");
        }
    }
}

/// Four sessions, and values that are no records: bytes that are not text, also where a write ID is compared; text that
/// is not JSON; and an invalid write ID.
async fn with_values() -> (Folder, SqliteStore, Filled) {
    let (folder, store) = Folder::new().await;
    let filled = fill(store.clone(), &config()).await;
    let pool = SqlitePool::connect(&folder.url).await.unwrap();
    let odd_write_id = "é".repeat(16);
    for (key, value) in [
        ("value-blob", "x'ff00'".to_owned()),
        (
            "value-text",
            "CAST(x'7b2276223a22ffffffffffffffffffffffffffffffff22' AS TEXT)".to_owned(),
        ),
        ("value-word", "'nonsense'".to_owned()),
        ("value-write-id", format!(r#"'{{"v":"{odd_write_id}","data":{{}}}}'"#)),
    ] {
        let insert =
            format!("INSERT INTO sessions VALUES ('sess:{key}', {value}, 9000000000000000)");
        sqlx::query(&insert).execute(&pool).await.unwrap();
    }
    pool.close().await;
    (folder, store, filled)
}

#[tokio::test]
async fn a_value_that_is_no_record_is_a_row_and_stops_nothing() {
    let (folder, store, _) = with_values().await;
    let listed = folder.run(&["ls", "--json", "--limit", "0"]).ends(0).json();
    let sessions = listed["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 8);
    let row = |key: &str| {
        let found = sessions.iter().find(|it| it["key"].as_str().unwrap().starts_with(key));
        found.unwrap().clone()
    };
    assert_eq!(folder.run(&["ls"]).ends(0).out.lines().count(), 9);
    assert_eq!(sessions.iter().filter(|it| it["kind"] == "unreadable").count(), 3);
    assert_eq!(row("value-")["kind"], "unreadable");
    assert_eq!(sessions.iter().filter(|it| it["error"] == "not_text").count(), 2);
    let stats = folder.run(&["stats", "--json"]).ends(0).json();
    assert_eq!((&stats["unreadable"], &stats["logged_in"]), (&3.into(), &3.into()));

    let to = format!("sqlite:{}", folder.path("to.db").display());
    let args = ["migrate", "--json", &folder.url, &to];
    let dry = folder.run(&[&args[..], &["--dry-run"]].concat()).ends(0).json();
    assert_eq!((&dry["copied"], &dry["not_text"]), (&8.into(), &2.into()));
    let said = folder.run(&args).ends(0).json();
    assert_eq!((&said["copied"], &said["not_text"]), (&8.into(), &2.into()));
    assert_eq!((&said["missing"], &said["different"]), (&0.into(), &0.into()));

    for key in ["value-blob", "value-text"] {
        assert_eq!(folder.run(&["show", "--json", key]).ends(1).json()["error"], "not_text");
        assert!(folder.run(&["show", key]).ends(1).out.contains("is not text"));
    }
    for key in ["value-blob", "value-text", "value-word", "value-write-id"] {
        folder.run(&["revoke", key]).ends(0);
        assert!(store.entry(key).await.unwrap().is_none(), "{key}");
    }
}

#[tokio::test]
async fn values_that_are_no_records_are_removed_with_all_others() {
    let (folder, store, _) = with_values().await;
    let done = folder.run(&["revoke", "--all", "--yes", "--json"]).ends(0).json();
    assert_eq!((&done["removed"], &done["empty"]), (&10.into(), &true.into()));
    assert!(store.scan(None, 100).await.unwrap().entries.is_empty());
}

/// `--replace` also replaces values that are no records.
#[tokio::test]
async fn a_migration_replaces_values_that_are_no_records() {
    let (folder, ..) = with_values().await;
    let from = Folder::new().await;
    let record = r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{}}"#;
    for key in ["value-blob", "value-text", "value-word", "value-write-id"] {
        from.1.create(key, record, Ttl::Millis(600_000), false).await.unwrap();
    }
    let args = ["migrate", "--json", "--replace", &from.0.url, &folder.url];
    let said = folder.run(&args).ends(0).json();
    assert_eq!((&said["verified"], &said["different"]), (&4.into(), &0.into()), "{said}");
}

#[tokio::test]
async fn nothing_that_comes_from_a_store_moves_a_cursor() {
    let (folder, store) = Folder::new().await;
    let filled = fill(store.clone(), &config()).await;
    let login = Login { label: Some(ODD.to_owned()), ..Login::default() };
    let owner = filled.sessions.of(ODD).admit(&login).await.unwrap();
    let data = serde_json::json!({ ODD: [ODD] }).to_string();
    let stored = filled.sessions.create(&data, Some(owner)).await.unwrap();
    let key = format!("{ODD}-namespace:{ODD}");
    let record = format!(r#"{{"cookie":{{}},"data":{{}},"meta":{{"user":"{}"}}}}"#, "x");
    store.create(&key, &record, Ttl::Millis(600_000), false).await.unwrap();
    store.create(ODD, "broken", Ttl::Millis(600_000), false).await.unwrap();
    let id = stored.id().expose();
    let to = format!("sqlite:{}", folder.path("to.db").display());
    let cookie = filled.cookie(&stored);
    let runs: Vec<Vec<&str>> = vec![
        vec!["ls"],
        vec!["ls", "--show-ids"],
        vec!["ls", "--user", ODD],
        vec!["show", "--data", id],
        vec!["show", &key],
        vec!["inspect", &cookie],
        vec!["inspect", ODD],
        vec!["stats"],
        vec!["ls", "--table", ODD],
        vec!["ls", "--store", ODD],
        vec!["migrate", &folder.url, &to, "--show-ids"],
        vec!["revoke", "--user", ODD],
        vec!["revoke", "--show-ids", ODD],
        vec!["revoke", "--all", "--yes"],
    ];
    for args in &runs {
        for more in [&[][..], &["--json"]] {
            let ran = folder.run(&[args, more].concat());
            moves_no_cursor(&ran);
            assert!(!ran.err.contains("panicked"), "{args:?}: {ran:?}");
            if !more.is_empty() && ran.code < 2 {
                let _document = ran.json();
            }
        }
    }
    let listed = folder.run(&["ls", "--json", "--user", ODD]).json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 0);
}

/// Escapes do not change the meaning of a document.
#[tokio::test]
async fn a_document_has_what_was_stored() {
    let (folder, store) = Folder::new().await;
    let filled = fill(store, &config()).await;
    let owner = filled.sessions.of(ODD).admit(&Login::default()).await.unwrap();
    let data = serde_json::json!({ ODD: [ODD] }).to_string();
    let stored = filled.sessions.create(&data, Some(owner)).await.unwrap();
    let shown = folder.run(&["show", "--json", "--data", stored.id().expose()]).ends(0).json();
    assert_eq!((&shown["user"], &shown["data"][ODD][0]), (&ODD.into(), &ODD.into()));
}

/// Numbers are shown as they are stored, even if a double cannot represent them.
#[tokio::test]
async fn data_is_shown_as_it_is_stored() {
    let (folder, store) = Folder::new().await;
    let filled = fill(store, &config()).await;
    let data = r#"{"discord":12345678901234567890123,"price":1.50,"big":1e400,"half":"\ud800","list":[{"a":[]},{}]}"#;
    let stored = filled.sessions.create(data, None).await.unwrap();
    let shown = folder.run(&["show", "--data", stored.id().expose()]).ends(0).out;
    for part in ["12345678901234567890123", "1.50", "1e400", r#""\ud800""#] {
        assert!(shown.contains(part), "{shown}");
    }
    let document = folder.run(&["show", "--json", "--data", stored.id().expose()]).ends(0).out;
    assert!(document.contains(&format!(r#""data":{data}"#)), "{document}");
}
