//! Session IDs: where they come from, and what takes one out of use.

use std::collections::BTreeSet;

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use tower::ServiceExt as _;
use vestiary_store::MemoryStore;
use vestiary_tower::SessionLayer;

use super::{Browser, Told, app, id_of, routes};
use crate::support::{Fault, Faulty, config, text};

#[tokio::test]
async fn every_character_appears_at_every_place_of_an_id() {
    let app = app(&config(), MemoryStore::default());
    let mut ids = BTreeSet::new();
    for _ in 0..1_500 {
        let mut browser = Browser::new(&app);
        browser.ok("/write").await;
        ids.insert(id_of(&browser).into_bytes());
    }
    assert_eq!(ids.len(), 1_500);
    assert!(ids.iter().all(|id| id.len() == 32));
    for place in 0..32 {
        let found: BTreeSet<u8> = ids.iter().map(|id| id[place]).collect();
        assert_eq!(found.len(), 64, "{place}");
    }
}

#[tokio::test]
async fn only_what_we_signed_becomes_a_key() {
    let store = Faulty::default();
    let app = app(&config(), store.clone());
    for id in ["../../etc/passwd", "user:abc", "sess:1", "%2e%2e%2f", &"x".repeat(300), ""] {
        let forged = format!("{id}.{}", "A".repeat(43));
        for cookie in [&forged, id, &format!("s:{forged}"), &format!("{id}.")] {
            assert_eq!(Browser::with(&app, cookie).ok("/look").await, "", "{cookie}");
        }
    }
    assert_eq!(store.calls(), []);
    // Nor with a signature that is shorter, longer or different.
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    store.calls();
    let valid = browser.cookie();
    let begin = id_of(&browser).len() + 1;
    let other = |byte: u8| if byte == b'A' { 'B' } else { 'A' };
    let mut forged = vec![format!("{valid}A"), valid[..valid.len() - 1].to_owned()];
    forged.extend(
        (begin..valid.len()).map(|at| {
            format!("{}{}{}", &valid[..at], other(valid.as_bytes()[at]), &valid[at + 1..])
        }),
    );
    for cookie in forged {
        assert_eq!(Browser::with(&app, &cookie).ok("/look").await, "", "{cookie}");
    }
    assert_eq!(store.calls(), []);
    assert_eq!(browser.ok("/look").await, "ada");
}

#[tokio::test]
async fn with_hash_ids_the_store_never_receives_an_id() {
    for hash_ids in [true, false] {
        let store = Told::default();
        let app = app(&config().hash_ids(hash_ids), store.clone());
        let mut browser = Browser::new(&app);
        let mut ids = Vec::new();
        for path in ["/write", "/renew", "/login", "/write", "/look", "/renew", "/logout"] {
            browser.ok(path).await;
            if browser.cookie.is_some() {
                ids.push(id_of(&browser));
            }
        }
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 4);
        for id in ids {
            assert_eq!(store.knows(&id), !hash_ids);
            // No record names an ID, not even the one of a renewed session.
            assert!(store.records().iter().all(|record| !record.contains(&id)));
        }
    }
}

#[test]
fn signatures_are_compared_in_constant_time() {
    let source = include_str!("../../../vestiary/src/crypto/key.rs");
    let part = |begin: &str, end: &str| {
        let rest = &source[source.find(begin).unwrap()..];
        rest[..rest.find(end).unwrap()].to_owned()
    };
    let (verifying, comparing) =
        (part("fn signed_by_one", "\n    }\n"), part("fn is_same", "\n}\n"));
    assert!(verifying.contains("is_same(expected, presented)"));
    assert!(comparing.contains(".ct_eq("));
    for shortcut in ["==", "!=", "return", "break"] {
        assert!(!verifying.contains(shortcut) && !comparing.contains(shortcut));
    }
}

#[tokio::test]
async fn a_login_leaves_nothing_under_the_old_id_and_takes_nothing_along() {
    let app = app(&config(), MemoryStore::default());
    let mut attacker = Browser::new(&app);
    attacker.ok("/write").await;
    let mut victim = Browser::with(&app, attacker.cookie());
    victim.ok("/login").await;
    assert_ne!(victim.cookie(), attacker.cookie());
    assert_eq!(victim.ok("/whoami").await, "ada");
    assert_eq!(victim.ok("/look").await, "");
    for path in ["/whoami", "/look", "/write", "/whoami", "/look"] {
        assert_eq!(Browser::with(&app, attacker.cookie()).ok(path).await, "", "{path}");
    }
    assert_eq!(victim.ok("/look").await, "");
}

#[tokio::test]
async fn ids_are_taken_from_the_cookie_alone() {
    let app = app(&config(), MemoryStore::default());
    let mut browser = Browser::new(&app);
    browser.ok("/write").await;
    let value = browser.cookie();
    let request = Request::get(format!("/look?sid={value}&session={value}"))
        .header(header::AUTHORIZATION, format!("Bearer {value}"))
        .header("sid", &value)
        .header("x-session-id", &value)
        .header("set-cookie", format!("sid={value}"))
        .body(Body::from(format!("sid={value}")));
    assert_eq!(text(app.oneshot(request.unwrap()).await.unwrap()).await, "");
}

#[tokio::test]
async fn namespaces_in_one_store_do_not_see_each_other() {
    let store = Faulty::default();
    let [admin, shop] = ["admin", "shop"].map(|name| app(&config().namespace(name), store.clone()));
    let plain = app(&config(), store.clone());
    let mut browser = Browser::new(&admin);
    browser.ok("/login").await;
    browser.ok("/write").await;
    store.calls();
    for other in [&shop, &plain] {
        assert_eq!(Browser::with(other, browser.cookie()).ok("/look").await, "");
    }
    assert_eq!(store.calls(), [], "the cookie is not even signed for them");
    // The record is not theirs under the same ID, nor is the user's list.
    let id = vestiary::SessionId::parse(&id_of(&browser)).unwrap();
    let sessions = |name: Option<&str>| {
        let config = name.map_or_else(config, |name| config().namespace(name));
        vestiary_store::Sessions::new(&config, store.clone()).unwrap()
    };
    assert!(sessions(Some("admin")).load(&id).await.unwrap().is_some());
    for other in [Some("shop"), None] {
        assert!(sessions(other).load(&id).await.unwrap().is_none());
        assert_eq!(sessions(other).of("ada").list().await.unwrap().len(), 0);
        sessions(other).of("ada").revoke_all().await.unwrap();
    }
    assert_eq!(browser.ok("/whoami").await, "ada");
}

#[tokio::test]
async fn a_taken_id_is_left_alone_and_another_one_made() {
    use std::sync::atomic::Ordering::SeqCst;

    for path in ["/write", "/login", "/renew"] {
        let store = Told::default();
        let app = app(&config(), store.clone());
        let mut browser = Browser::new(&app);
        browser.ok("/write").await;
        let mut new = if path == "/write" { Browser::new(&app) } else { browser.clone() };
        store.taken.store(2, SeqCst);
        new.ok(path).await;
        assert_eq!(store.taken.load(SeqCst), 0, "{path}");
        assert_ne!(new.cookie(), browser.cookie());
        if path != "/login" {
            assert_eq!(new.ok("/look").await, "ada", "{path}");
        }
        // If the store has a record under each new ID, it is an error, and no cookie is set for the session of another
        // visitor.
        store.taken.store(usize::MAX, SeqCst);
        let before = new.cookie.clone();
        let mut visitor = if path == "/write" { Browser::new(&app) } else { new.clone() };
        assert_eq!(visitor.get(path).await.0, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(visitor.cookie.is_none() || visitor.cookie == before);
    }
}

#[tokio::test]
async fn a_failed_login_leaves_the_visitor_with_the_previous_session() {
    // The list of the user's sessions is created before the session.
    for broken in ["create", "replace"] {
        let store = Faulty::default();
        let layer = SessionLayer::new(&config(), store.clone()).unwrap();
        let app = routes().layer(layer.clone());
        let mut elsewhere = Browser::new(&app);
        elsewhere.ok("/login").await;
        let mut browser = Browser::new(&app);
        browser.ok("/write").await;
        let cookie = browser.cookie();
        store.breaks(broken, Fault::Fails);
        assert_eq!(browser.get("/login").await.0, StatusCode::SERVICE_UNAVAILABLE);
        store.is_well();
        assert_eq!(browser.cookie(), cookie);
        assert_eq!(browser.ok("/whoami").await, "");
        assert_eq!(browser.ok("/look").await, "ada");
        assert_eq!(layer.sessions().of("ada").list().await.unwrap().len(), 1, "{broken}");
    }
}
