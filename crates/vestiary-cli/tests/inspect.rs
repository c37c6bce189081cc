//! `vestiary inspect`: the secret that signed a cookie, the reason why a cookie is invalid, and the stored session.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

use crate::support::{Filled, Folder, OLD_SECRET, SECRET, config, encrypted, express, fill};
use serde_json::Value;
use vestiary_store::{Config, SqliteStore, Store as _};

async fn filled(config: &Config) -> (Folder, SqliteStore, Filled) {
    let (folder, store) = Folder::new().await;
    let filled = fill(store.clone(), config).await;
    (folder, store, filled)
}

/// The result for a cookie, with the store and both secrets.
fn inspected(folder: &Folder, cookie: &str, more: &[&str]) -> (i32, Value) {
    std::fs::write(folder.path("old"), OLD_SECRET).unwrap();
    let args = [&["inspect", "--json", "--secret-file", "old", "-"], more].concat();
    let ran = folder.run_with(&args, &[], cookie);
    (
        ran.code,
        if ran.out.contains("\"cookies\"") { ran.json()["cookies"][0].clone() } else { ran.json() },
    )
}

#[tokio::test]
async fn every_form_of_a_cookie_is_read() {
    let (folder, _, filled) = filled(&config()).await;
    let value = filled.cookie(&filled.anonymous);
    let express = express(filled.anonymous.id());
    for (cookie, format, encoded) in [
        (value.clone(), "svelte-kit-sessions", false),
        (format!("connect.sid={value}"), "svelte-kit-sessions", false),
        (format!("Cookie: theme=dark; connect.sid={value}; x=y\r\n"), "svelte-kit-sessions", false),
        (value.replace('.', "%2E"), "svelte-kit-sessions", true),
        (express.clone(), "express-session", true),
        (express.replace("%3A", ":"), "express-session", false),
    ] {
        let (code, said) = inspected(&folder, &cookie, &[]);
        assert_eq!(code, 0, "{cookie}: {said}");
        assert_eq!((&said["signature"], &said["secret"]), (&"valid".into(), &1.into()));
        assert_eq!((&said["format"], &said["encoded"]), (&format.into(), &encoded.into()));
        assert_eq!(said["store"]["kind"], "session");
    }
    let (_, said) = inspected(&folder, &format!("__Host-s={value}"), &["--name", "__Host-s"]);
    assert_eq!(said["signature"], "valid");
}

#[tokio::test]
async fn inspect_names_the_secret_that_signed_the_cookie() {
    let (folder, _, filled) = filled(&config()).await;
    let id = filled.anonymous.id();
    let by = |secret: &str, namespace| {
        let ring = vestiary::KeyRing::checked(&[secret], namespace, true).unwrap();
        ring.sign(id, vestiary::Format::SvelteKitSessions)
    };
    let (code, said) = inspected(&folder, &by(OLD_SECRET, None), &[]);
    assert_eq!((code, &said["secret"]), (0, &2.into()));
    let (code, said) = inspected(&folder, &by("quite another secret, long enough", None), &[]);
    assert_eq!((code, &said["signature"]), (1, &"invalid".into()));
    let (code, said) = inspected(&folder, &by(SECRET, None), &["--namespace", "admin"]);
    assert_eq!((code, &said["signature"]), (1, &"other_namespace".into()));
    let (_, said) = inspected(&folder, &by(SECRET, Some("admin")), &["--namespace", "admin"]);
    assert_eq!((&said["signature"], &said["store"]["found"]), (&"valid".into(), &false.into()));
    // Without secrets and without a store.
    let env = [("SESSION_SECRET", "")];
    let unchecked = folder.run_with(&["inspect", "--json", "-"], &env, &by(SECRET, None)).ends(1);
    assert_eq!(unchecked.json()["cookies"][0]["signature"], "not_checked");
}

#[tokio::test]
async fn inspect_explains_why_a_cookie_is_invalid() {
    let (folder, _, filled) = filled(&config()).await;
    let value = filled.cookie(&filled.anonymous);
    for (cookie, signature, hint) in [
        (value.split_at(value.len() - 1).0.to_owned(), "malformed_signature", ""),
        (format!("{value}="), "", "connect.sid"),
        (format!("short.{}", "A".repeat(43)), "malformed_id", ""),
        ("x".repeat(2_000), "malformed_length", ""),
        (express(filled.anonymous.id()).replace('%', "%25"), "malformed_encoding", "encoded twice"),
        (filled.anonymous.id().expose().to_owned(), "malformed_signature", "looks like an ID"),
        (filled.ada[0].id().expose().to_owned(), "malformed_signature", "looks like an ID"),
        ("eyJhbGciOiJIUzI1NiJ9.e30.x".to_owned(), "malformed_signature", "JSON Web Token"),
    ] {
        let (code, said) = inspected(&folder, &cookie, &[]);
        assert_eq!(code, 1, "{cookie}");
        if !signature.is_empty() {
            assert_eq!(said["signature"], signature, "{cookie}");
        }
        assert!(said.to_string().contains(hint), "{hint}: {said}");
    }
    let (code, said) = inspected(&folder, "theme=dark; sid=x", &[]);
    assert_eq!((code, &said["error"]["code"]), (1, &"cookie_missing".into()));
}

#[tokio::test]
async fn inspect_shows_the_stored_session() {
    let (folder, store, filled) = filled(&config()).await;
    let store_of = |stored| {
        let (code, said) = inspected(&folder, &filled.cookie(stored), &[]);
        (code, said["store"].clone())
    };
    let (code, known) = store_of(&filled.ada[0]);
    assert_eq!((code, &known["user"]), (0, &"ada".into()));
    assert_eq!(known["in_user_list"], true);
    assert!(known["last_used"].is_string() && known["created"].is_string());
    assert!(known["ttl_ms"].as_u64().unwrap() > 600_000_000);

    filled.sessions.of("ada").revoke_all().await.unwrap();
    let (code, known) = store_of(&filled.ada[0]);
    assert_eq!((code, &known["in_user_list"]), (1, &false.into()));

    filled.sessions.renew(&filled.bob).await.unwrap();
    let (code, known) = store_of(&filled.bob);
    assert_eq!((code, &known["kind"]), (1, &"tombstone".into()));

    filled.sessions.destroy(&filled.anonymous).await.unwrap();
    let (code, known) = store_of(&filled.anonymous);
    assert_eq!((code, &known["found"]), (1, &false.into()));

    store
        .create(filled.anonymous.id().expose(), "broken", vestiary::Ttl::Infinite, false)
        .await
        .unwrap();
    let (code, known) = store_of(&filled.anonymous);
    assert_eq!((code, &known["kind"]), (1, &"unreadable".into()));
}

#[tokio::test]
async fn hashed_ids_and_encrypted_records_are_found_too() {
    let (folder, _, filled) = filled(&encrypted().hash_ids(true).namespace("admin")).await;
    let cookie = filled.cookie(&filled.ada[1]);
    let (code, said) = inspected(&folder, &cookie, &["--namespace", "admin"]);
    assert_eq!((code, &said["signature"]), (0, &"valid".into()));
    let known = &said["store"];
    assert_eq!((&known["encrypted"], &known["user"]), (&true.into(), &"ada".into()));
    assert_eq!(known["in_user_list"], true);
    // Without a secret, the session is there but stays encrypted.
    let env = [("SESSION_SECRET", "")];
    let args = ["inspect", "--json", "--namespace", "admin", "-"];
    let shut = folder.run_with(&args, &env, &cookie).ends(1).json();
    assert_eq!(shut["cookies"][0]["store"]["kind"], "encrypted");
}
