//! Values that are not text, under the ID of a visitor.

use std::sync::{Arc, Mutex};

use vestiary::{SessionId, Ttl};
use vestiary_store::{Config, Found, Scan, Sessions, Store, StoreError};

/// That a visitor with this ID has no session and no error, can begin another session, and that the store goes on.
/// `put` stores the value under a key.
pub async fn is_unreadable_and_no_error<S: Store + Scan + Clone>(
    store: S,
    put: impl AsyncFn(&str),
) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = events.clone();
    let config = Config::new("a secret of the tests, of more than 32 bytes")
        .on_event(move |event| heard.lock().unwrap().push(event.name()));
    let sessions = Sessions::new(&config, store.clone()).unwrap();
    let good = sessions.create("{}", None).await.unwrap();
    let id = SessionId::from_entropy(&[0xfe; SessionId::ENTROPY]);
    put(id.expose()).await;
    for found in [&id, good.id()] {
        events.lock().unwrap().clear();
        let cookie = format!("connect.sid={}", sessions.sign(found));
        let visit = sessions.find(&sessions.cookies([cookie.as_bytes()])).await.unwrap();
        let is_good = found == good.id();
        assert_eq!(matches!(visit, Found::Session(_)), is_good);
        let told = events.lock().unwrap().clone();
        assert_eq!(told.contains(&"unreadable"), !is_good, "{told:?}");
    }
    assert!(matches!(store.read(id.expose()).await, Err(StoreError::NotText)));
    assert!(!store.create(id.expose(), "{}", Ttl::Millis(60_000), false).await.unwrap());
    let entry = store.entry(id.expose()).await.unwrap().unwrap();
    assert!(!entry.is_text() && !entry.record.contains("s3cret"));
    let mut entries = Vec::new();
    let mut from = None;
    loop {
        let page = store.scan(from.as_ref(), 1).await.unwrap();
        entries.extend(page.entries);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let is_text = |key: &str| entries.iter().find(|entry| entry.key == key).unwrap().is_text();
    assert!(!is_text(id.expose()) && is_text(good.id().expose()));
}
