//! The server's clock, which orders logins and revocations of all sessions.

use vestiary_store::{Config, Login, SessionError, Sessions, Store};

/// The server runs on this machine and reads the same clock. The list shows that it is the server's, because it dates
/// the revocation of all sessions.
pub async fn orders_logins(store: impl Store + Clone) {
    let config = Config::new("a secret of more than 32 bytes for it");
    let sessions = Sessions::new(&config, store.clone()).unwrap();
    let before = sessions.now();
    let now = store.now("key").await.unwrap().expect("the server has a clock");
    assert!(before <= now && now <= sessions.now());
    // Not rounded up: otherwise a login would seem to be proven after a revocation that it precedes.
    for _ in 0..200 {
        let now = store.now("key").await.unwrap();
        assert!(now <= Some(sessions.now()));
    }
    let user = sessions.of("clock");
    let proven = Some(sessions.now());
    while store.now("key").await.unwrap() <= proven {}
    user.revoke_all().await.unwrap();
    let key = sessions.options().user_key("clock");
    let list = store.read(&key).await.unwrap().unwrap();
    let list = vestiary::protocol::UserSessions::decode(&list).unwrap();
    assert_eq!(list.sessions(), []);
    user.admit(&Login::default()).await.unwrap();
    let refused = user.admit(&Login { proven, ..Login::default() }).await;
    assert!(matches!(refused, Err(SessionError::LoginOutdated)));
}
