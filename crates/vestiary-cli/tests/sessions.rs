//! `ls`, `show`, `revoke` and `stats`, on a file with sessions in it.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use crate::support::{DATA, Filled, Folder, config, encrypted, fill, more};
use vestiary::Ttl;
use vestiary_store::{Config, Found, OnReuse, Scan as _, SqliteStore, Store as _};

async fn filled(config: &Config) -> (Folder, SqliteStore, Filled) {
    let (folder, store) = Folder::new().await;
    let filled = fill(store.clone(), config).await;
    (folder, store, filled)
}

/// Whether a visitor with this session's cookie has a session.
async fn is_good(filled: &Filled, stored: &vestiary_store::Stored) -> bool {
    let cookie = format!("connect.sid={}", filled.cookie(stored));
    let cookies = filled.sessions.cookies([cookie.as_bytes()]);
    matches!(filled.sessions.find(&cookies).await.unwrap(), Found::Session(_))
}

#[tokio::test]
async fn ls_lists_sessions_page_by_page() {
    let (folder, _, filled) = filled(&config()).await;
    let listed = folder.run(&["ls", "--json"]).ends(0).json();
    let users = |listed: &serde_json::Value| {
        let sessions = listed["sessions"].as_array().unwrap();
        let mut users: Vec<String> =
            sessions.iter().map(|it| it["user"].as_str().unwrap_or("–").to_owned()).collect();
        users.sort();
        users
    };
    assert_eq!(users(&listed), ["ada", "ada", "bob", "–"]);
    more(&filled, 1_200).await;
    let count = |args: &[&str]| {
        let listed = folder.run(args).ends(0).json();
        (listed["sessions"].as_array().unwrap().len(), listed["more"].clone())
    };
    assert_eq!(count(&["ls", "--json"]), (50, true.into()));
    assert_eq!(count(&["ls", "--json", "--limit", "0"]), (1_204, false.into()));
    assert_eq!(count(&["ls", "--json", "--limit", "1204"]), (1_204, false.into()));
    assert_eq!(count(&["ls", "--json", "--limit", "1203"]), (1_203, true.into()));
    assert_eq!(count(&["ls", "--json", "--older-than", "1h"]), (0, false.into()));
    assert_eq!(count(&["ls", "--json", "--older-than", "0s", "--limit", "0"]).0, 1_204);
    assert_eq!(count(&["ls", "--json", "--expiring", "6d"]), (0, false.into()));
    assert_eq!(count(&["ls", "--json", "--expiring", "8d", "--limit", "0"]).0, 1_204);
    let text = folder.run(&["ls", "--limit", "3"]).ends(0);
    assert_eq!(text.out.lines().count(), 4);
    assert!(text.err.contains("--limit 0 lists all"));
}

#[tokio::test]
async fn ls_of_a_user_is_what_the_list_says() {
    for config in [config(), encrypted().hash_ids(true)] {
        let (folder, _, filled) = filled(&config).await;
        let args = ["ls", "--user", "ada", "--json"];
        let listed = folder.run(&args).ends(0).json();
        assert_eq!(listed["sessions"][0]["label"], "Safari on iOS");
        assert_eq!(listed["sessions"][1]["handle"], filled.ada[0].handle().unwrap().as_str());
        filled.sessions.of("ada").revoke(filled.ada[0].handle().unwrap()).await.unwrap();
        assert_eq!(folder.run(&args).json()["sessions"].as_array().unwrap().len(), 1);
        let none = folder.run(&["ls", "--user", "eve", "--json"]).ends(0).json();
        assert_eq!(none["sessions"].as_array().unwrap().len(), 0);
    }
    let (folder, ..) = filled(&encrypted()).await;
    let shut = folder.run_with(&["ls", "--user", "ada"], &[("SESSION_SECRET", "")], "").ends(2);
    assert!(shut.err.contains("[secret_missing]"), "{shut:?}");
}

#[tokio::test]
async fn namespaces_are_kept_apart_if_one_is_named() {
    let (folder, store) = Folder::new().await;
    fill(store.clone(), &config()).await;
    fill(store, &config().namespace("admin")).await;
    let count = |args: &[&str]| folder.run(args).json()["sessions"].as_array().unwrap().len();
    assert_eq!(count(&["ls", "--json"]), 8);
    assert_eq!(count(&["ls", "--json", "--namespace", "admin"]), 4);
    assert_eq!(folder.run(&["stats", "--json"]).json()["namespaces"]["admin"], 4);
    folder.run(&["revoke", "--all", "--yes", "--namespace", "admin"]).ends(0);
    assert_eq!(count(&["ls", "--json"]), 4);
    folder.run(&["ls", "--namespace", "a b"]).ends(2);
}

#[tokio::test]
async fn show_finds_a_session_by_its_name_for_logs_and_no_tombstone_of_it() {
    let (folder, _, filled) = filled(&config().on_reuse(OnReuse::Revoke)).await;
    let anonymous = filled.sessions.create("{}", None).await.unwrap();
    for _ in 0..2 {
        for before in [&anonymous, &filled.ada[0]] {
            let current = filled.sessions.renew(before).await.unwrap().unwrap();
            let log_id = before.log_id();
            let shown = folder.run(&["show", "--json", &log_id]).ends(0).json();
            assert_eq!((&shown["kind"], &shown["log_id"]), (&"session".into(), &log_id.into()));
            let shown = folder.run(&["show", "--json", current.id().expose()]).ends(0).json();
            assert_eq!(shown["log_id"], before.log_id());
        }
    }
    let name = filled.sessions.create("{}", None).await.unwrap().log_id();
    let shown = folder.run(&["show", &name]).ends(0).out;
    assert!(shown.contains("name for logs") && shown.contains(&name), "{shown}");
}

#[tokio::test]
async fn show_finds_a_session_by_all_its_names() {
    let (folder, _, filled) = filled(&config()).await;
    let ada = &filled.ada[0];
    let (id, cookie) = (ada.id().expose(), filled.cookie(ada));
    let shortened = format!("{}…", id.split_at(6).0);
    let handle = ada.handle().unwrap().as_str();
    for name in [id, &cookie, &format!("connect.sid={cookie}"), &shortened, handle] {
        let shown = folder.run_with(&["show", "--json", "-"], &[], name).ends(0).json();
        assert_eq!((&shown["user"], &shown["handle"]), (&"ada".into(), &handle.into()), "{name}");
        assert!(shown["data"].is_null());
    }
    let shown = folder.run(&["show", "--json", "--data", id]).ends(0).json();
    assert_eq!(shown["data"]["note"], DATA);
    assert!(folder.run(&["show", "--data", id]).ends(0).out.contains(DATA));
    let missing = folder.run(&["show", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]).ends(1);
    assert!(missing.err.contains("[not_found]"));
    folder.run_with(&["show", "-"], &[], "\n").ends(2);
}

#[tokio::test]
async fn the_beginning_of_a_key_must_be_of_one_session() {
    let (folder, store, _) = filled(&config()).await;
    for key in ["same-beginning-one", "same-beginning-two"] {
        store.create(key, r#"{"data":{}}"#, Ttl::Infinite, false).await.unwrap();
    }
    let several = folder.run(&["show", "same-beginning"]).ends(2);
    assert!(several.err.contains("[ambiguous]"));
    folder.run(&["revoke", "same-beginning"]).ends(2);
    assert!(store.read("same-beginning-one").await.unwrap().is_some());
    folder.run(&["show", "same-beginning-o"]).ends(0);
}

#[tokio::test]
async fn an_encrypted_session_needs_the_secret_and_the_id() {
    let (folder, _, filled) = filled(&encrypted().hash_ids(true)).await;
    let (id, key) = (filled.bob.id().expose(), filled.bob.id().hashed());
    let shown = folder.run(&["show", "--json", "--data", id]).ends(0).json();
    assert_eq!((&shown["user"], &shown["data"]["note"]), (&"bob".into(), &DATA.into()));
    let shut = folder.run_with(&["show", "--data", id], &[("SESSION_SECRET", "")], "").ends(2);
    assert!(shut.err.contains("[secret_missing]"));
    let wrong = "quite another secret, long enough to open";
    let shut = folder.run_with(&["show", "--data", id], &[("SESSION_SECRET", wrong)], "").ends(1);
    assert!(shut.err.contains("[unsealable]"));
    assert_eq!(folder.run(&["show", "--json", &key]).ends(0).json()["kind"], "encrypted");
    assert!(folder.run(&["show", "--data", &key]).ends(2).err.contains("[id_missing]"));
}

#[tokio::test]
async fn revoke_ends_one_session_by_each_of_its_names() {
    for config in [config(), encrypted(), config().hash_ids(true), encrypted().hash_ids(true)] {
        let (folder, _, filled) = filled(&config).await;
        let ada = &filled.ada[0];
        assert!(is_good(&filled, ada).await);
        folder.run(&["revoke", "--dry-run", ada.id().expose()]).ends(0);
        assert!(is_good(&filled, ada).await);
        folder.run_with(&["revoke", "-"], &[], &filled.cookie(ada)).ends(0);
        assert!(!is_good(&filled, ada).await);
        assert_eq!(filled.sessions.of("ada").list().await.unwrap().len(), 1);
        assert!(is_good(&filled, &filled.ada[1]).await);
        folder.run(&["revoke", ada.id().expose()]).ends(1);
        folder.run(&["revoke", filled.anonymous.id().expose()]).ends(0);
        assert!(!is_good(&filled, &filled.anonymous).await);
    }
}

#[tokio::test]
async fn revoke_follows_a_session_that_was_renewed() {
    let (folder, _, filled) = filled(&config()).await;
    let renewed = filled.sessions.renew(&filled.bob).await.unwrap().unwrap();
    assert!(is_good(&filled, &renewed).await);
    folder.run(&["revoke", filled.bob.id().expose()]).ends(0);
    assert!(!is_good(&filled, &renewed).await);
}

#[tokio::test]
async fn a_session_that_is_known_only_by_the_hash_of_its_id_is_ended_by_its_users_list() {
    let (folder, store, filled) = filled(&config().hash_ids(true)).await;
    let key = filled.bob.id().hashed();
    let renewed = filled.sessions.renew(&filled.bob).await.unwrap().unwrap();
    // The record reveals its successor only to the holder of the ID.
    assert!(folder.run(&["revoke", &key]).ends(2).err.contains("[tombstone]"));
    folder.run(&["revoke", &renewed.id().hashed()]).ends(0);
    assert!(!is_good(&filled, &renewed).await);
    assert!(filled.sessions.of("bob").list().await.unwrap().is_empty());
    assert!(store.read(&renewed.id().hashed()).await.unwrap().is_none());
}

#[tokio::test]
async fn revoke_ends_those_of_a_user() {
    for config in [config(), encrypted()] {
        let (folder, _, filled) = filled(&config).await;
        let handle = filled.ada[0].handle().unwrap().as_str();
        folder.run(&["revoke", "--user", "ada", "--dry-run"]).ends(0);
        folder.run(&["revoke", "--user", "ada", "--handle", handle]).ends(0);
        assert!(!is_good(&filled, &filled.ada[0]).await);
        assert!(is_good(&filled, &filled.ada[1]).await);
        folder.run(&["revoke", "--user", "ada", "--handle", handle]).ends(1);
        let proven = Some(filled.sessions.now());
        let revoked = folder.run(&["revoke", "--user", "ada", "--json"]).ends(0).json();
        assert_eq!(revoked["sessions"], 1);
        assert!(!is_good(&filled, &filled.ada[1]).await);
        assert!(is_good(&filled, &filled.bob).await);
        // A login that was in progress is refused.
        let login = vestiary_store::Login { proven, ..vestiary_store::Login::default() };
        assert!(filled.sessions.of("ada").admit(&login).await.is_err());
        // Also for a user without a list.
        let login = vestiary_store::Login {
            proven: Some(filled.sessions.now()),
            ..vestiary_store::Login::default()
        };
        tokio::time::sleep(Duration::from_millis(2)).await;
        folder.run(&["revoke", "--user", "eve"]).ends(1);
        assert!(filled.sessions.of("eve").admit(&login).await.is_err());
    }
}

#[tokio::test]
async fn a_user_without_sessions_is_reported_and_exits_with_1() {
    let (folder, ..) = filled(&config()).await;
    for args in [&["--user", "typo"][..], &["--user", "typo", "--dry-run"]] {
        let ran = folder.run(&[&["revoke"], args].concat()).ends(1);
        assert!(ran.out.contains("the user has no sessions"), "{ran:?}");
        let ran = folder.run(&[&["revoke", "--json"], args].concat()).ends(1);
        assert_eq!(ran.json()["sessions"], 0);
    }
    folder.run(&["revoke", "--user", "ada"]).ends(0);
    // All of them have ended already.
    folder.run(&["revoke", "--user", "ada"]).ends(1);
}

// Written as plain text, the list would end all sessions of the user.
#[tokio::test]
async fn a_list_that_cannot_be_opened_is_left_alone() {
    let (folder, _, filled) = filled(&encrypted()).await;
    let handle = filled.ada[0].handle().unwrap().as_str();
    for secret in ["", "quite another secret, long enough to open"] {
        let env = [("SESSION_SECRET", secret)];
        let ran = folder.run_with(&["revoke", "--user", "ada", "--handle", handle], &env, "");
        assert_ne!(ran.code, 0);
        folder.run_with(&["revoke", filled.ada[0].id().expose()], &env, "");
        assert_ne!(folder.run_with(&["revoke", "--user", "ada"], &env, "").code, 0);
    }
    for stored in filled.all() {
        assert!(is_good(&filled, stored).await);
    }
}

#[tokio::test]
async fn a_service_that_begins_to_encrypt_keeps_the_other_sessions() {
    let (folder, store, clear) = filled(&config()).await;
    let begins = config().encrypt(vestiary_store::Encrypt::Migrate);
    let sessions = vestiary_store::Sessions::new(&begins, store).unwrap();
    let filled = Filled { sessions, ..clear };
    // The list is encrypted from now on, and the records are not.
    filled.sessions.of("ada").admit(&vestiary_store::Login::default()).await.unwrap();
    let first = filled.ada[0].id().expose();
    let without = folder.run_with(&["revoke", first], &[("SESSION_SECRET", "")], "").ends(2);
    assert!(without.err.contains("[secret_missing]"));
    folder.run(&["revoke", first]).ends(0);
    assert!(!is_good(&filled, &filled.ada[0]).await);
    assert!(is_good(&filled, &filled.ada[1]).await);
}

#[tokio::test]
async fn revoke_all_asks_first() {
    let (folder, store, filled) = filled(&config()).await;
    more(&filled, 700).await;
    store.create("unreadable-record", "broken", Ttl::Infinite, false).await.unwrap();
    let asked = folder.run_with(&["revoke", "--all"], &[], "yes\n").ends(2);
    assert!(asked.err.contains("--yes") && asked.err.contains("[not_confirmed]"));
    let said = folder.run(&["revoke", "--all", "--dry-run", "--json"]).ends(0).json();
    assert_eq!((&said["sessions"], &said["user_lists"]), (&705.into(), &2.into()));
    assert!(is_good(&filled, &filled.bob).await);
    let done = folder.run(&["revoke", "--all", "--yes", "--json"]).ends(0).json();
    assert_eq!((&done["removed"], &done["empty"]), (&707.into(), &true.into()));
    assert!(store.scan(None, 10).await.unwrap().entries.is_empty());
}

#[tokio::test]
async fn revoke_takes_one_thing_to_end() {
    let (folder, ..) = Folder::new().await;
    for args in [
        &["revoke"][..],
        &["revoke", "--all", "--user", "ada"],
        &["revoke", "abcdef", "--all"],
        &["revoke", "--handle", "x"],
    ] {
        folder.run(args).ends(2);
    }
}

#[tokio::test]
async fn stats_count_what_is_there() {
    let (folder, store, filled) = filled(&config()).await;
    fill(store.clone(), &encrypted().namespace("sealed").hash_ids(true)).await;
    let hour = Ttl::Millis(3_000_000);
    for (key, record) in [
        ("of-the-seed-itself", r#"{"cookie":{},"data":{}}"#),
        ("of-express-session", r#"{"cookie":{"originalMaxAge":null},"a":1}"#),
        ("anonymous-session-x", "broken"),
    ] {
        store.create(key, record, hour, false).await.unwrap();
    }
    filled.sessions.renew(&filled.bob).await.unwrap();
    let stats = folder.run(&["stats", "--json"]).ends(0).json();
    for (name, count) in [
        ("sessions", 10),
        ("logged_in", 3),
        ("anonymous", 3),
        ("encrypted_no_key", 4),
        ("encrypted", 4),
        ("tombstones", 1),
        ("unreadable", 1),
        ("user_lists", 4),
        ("users", 4),
    ] {
        assert_eq!(stats[name], count, "{name}: {stats}");
    }
    assert_eq!(
        (&stats["formats"]["svelte-kit-sessions"], &stats["formats"]["express-session"]),
        (&1.into(), &1.into())
    );
    assert_eq!(
        (&stats["expires_within"]["hour"], &stats["bytes"]["total"].is_u64()),
        (&4.into(), &true)
    );
    assert!(stats["oldest"].is_string());
    let text = folder.run(&["stats"]).ends(0).out;
    assert!(text.contains("sessions             10"), "{text}");
}

#[tokio::test]
async fn text_from_the_store_moves_no_cursor() {
    let (folder, _, filled) = filled(&config()).await;
    let user = "eve\u{1b}[2J";
    let owner = filled.sessions.of(user).admit(&vestiary_store::Login::default()).await.unwrap();
    let stored = filled.sessions.create("{\"a\":\"\u{9b}2J\"}", Some(owner)).await.unwrap();
    let id = stored.id().expose();
    for args in [&["ls"][..], &["show", "--data", id], &["inspect", &filled.cookie(&stored)]] {
        let ran = folder.run(args);
        assert!(ran.out.contains("eve") && !ran.out.contains(['\u{1b}', '\u{9b}']), "{ran:?}");
    }
}
