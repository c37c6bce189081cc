//! Values that are not text, under the ID of a visitor.

use std::sync::{Arc, Mutex};

use vestiary::{SessionId, Ttl};
use vestiary_store::{Config, Found, Login, Scan, SessionError, Sessions, Store, StoreError};

/// Checks that a session list with such a value is neither taken for an empty one nor overwritten.
pub async fn a_list_is_left_alone<S: Store + Clone>(
    store: &S,
    put: &impl AsyncFn(&str),
    clear: &impl AsyncFn(&str),
) {
    let config = Config::new("a secret of the tests, of more than 32 bytes");
    let sessions = Sessions::new(&config, store.clone()).unwrap();
    let ada = sessions.of("ada");
    let owner = ada.admit(&Login::default()).await.unwrap();
    let session = sessions.create("{}", Some(owner)).await.unwrap();
    let key = sessions.options().user_key("ada");
    clear(&key).await;
    put(&key).await;
    let cookie = format!("connect.sid={}", sessions.sign(session.id()));
    let visit = sessions.find(&sessions.cookies([cookie.as_bytes()])).await.unwrap();
    assert!(matches!(visit, Found::Unreadable(_)));
    assert!(matches!(ada.list().await, Err(SessionError::Data(_))));
    assert!(matches!(ada.revoke_all().await, Err(SessionError::Data(_))));
    assert!(matches!(ada.admit(&Login::default()).await, Err(SessionError::Data(_))));
    assert!(matches!(store.read(&key).await, Err(StoreError::NotText)));
    clear(&key).await;
}

/// Checks that a visitor with this ID has no session and no error, can begin another session, and that the store goes
/// on. `put` stores the value under a key.
pub async fn is_unreadable_and_no_error<S: Store + Scan + Clone>(
    store: S,
    put: impl AsyncFn(&str),
) {
    let (id, good) = leads_to_no_session_and_no_error(&store, &put).await;
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
    assert!(!is_text(id.expose()) && is_text(good.expose()));
}

/// The same of the visitor alone. The ID of the visitor, and that of one with a session.
pub async fn leads_to_no_session_and_no_error<S: Store + Clone>(
    store: &S,
    put: &impl AsyncFn(&str),
) -> (SessionId, SessionId) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = events.clone();
    let config = Config::new("a secret of the tests, of more than 32 bytes")
        .on_event(move |event| heard.lock().unwrap().push(event.name()));
    let sessions = Sessions::new(&config, store.clone()).unwrap();
    let good = sessions.create("{}", None).await.unwrap();
    let id = sessions.new_id().unwrap();
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
    // It does not hide a record that is read at the same time.
    let [odd, record] = store.read_two(id.expose(), good.id().expose()).await;
    assert!(matches!((odd, record), (Err(StoreError::NotText), Ok(Some(_)))));
    let [record, odd] = store.read_two(good.id().expose(), id.expose()).await;
    assert!(matches!((record, odd), (Ok(Some(_)), Err(StoreError::NotText))));
    assert!(!store.create(id.expose(), "{}", Ttl::Millis(60_000), false).await.unwrap());
    (id, good.id().clone())
}
