//! Writes during a renewal, a login or an update, and with a store that refuses.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{sync::Arc, time::Duration};

use vestiary::{Ttl, WriteId};
use vestiary_store::{
    Config, Encrypt, Event, MemoryStore, Outcome, SessionError, Sessions, Store, StoreError, Stored,
};
use vestiary_tower::Format;

fn config() -> Config {
    Config::new("a secret of the tests, of more than 32 bytes").name("sid")
}

async fn session(sessions: &Sessions) -> Stored {
    sessions.create(r#"{"n":1}"#, None).await.unwrap()
}

#[tokio::test]
async fn a_save_goes_into_the_successor_after_the_grace_period_and_never_over_a_login() {
    let config = config().renew_grace(Duration::ZERO);
    let sessions = Sessions::new(&config, MemoryStore::default()).unwrap();
    let old = session(&sessions).await;
    let renewed = sessions.renew(&old).await.unwrap().unwrap();
    let change = || (r#"{"n":1}"#.to_owned(), r#"{"n":1,"m":2}"#.to_owned());
    let (base, mine) = change();
    let written = sessions.commit(&old, base, mine).await.unwrap().unwrap();
    assert_eq!(written.stored.id(), renewed.id());
    let touched = sessions.touch(&old).await.unwrap().unwrap();
    assert_eq!(touched.id(), renewed.id());
    let login = sessions.rotate(&touched, "{}", None).await.unwrap().unwrap();
    let (base, mine) = change();
    assert!(sessions.commit(&old, base, mine).await.unwrap().is_none());
    assert!(sessions.touch(&old).await.unwrap().is_none());
    assert_eq!(sessions.load(login.id()).await.unwrap().unwrap().data(), "{}");
}

#[tokio::test]
async fn only_another_requests_change_is_a_conflict() {
    let sessions = Sessions::new(&config(), MemoryStore::default()).unwrap();
    let one = session(&sessions).await;
    let change = |n: u8| (r#"{"n":1}"#.to_owned(), format!(r#"{{"n":1,"k{n}":1}}"#));
    let (base, mine) = change(1);
    assert!(!sessions.commit(&one, base, mine).await.unwrap().unwrap().merged);
    let (base, mine) = change(2);
    assert!(sessions.commit(&one, base, mine).await.unwrap().unwrap().merged);
}

/// Answers reads, and refuses every write.
#[derive(Clone, Default)]
struct ReadOnly {
    inner: Arc<MemoryStore>,
    refuses: Arc<std::sync::atomic::AtomicBool>,
    asked: Arc<std::sync::atomic::AtomicUsize>,
}

impl ReadOnly {
    fn write(&self) -> Result<(), StoreError> {
        use std::sync::atomic::Ordering;
        if self.refuses.load(Ordering::Relaxed) {
            self.asked.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::refused("READONLY"));
        }
        Ok(())
    }
}

impl Store for ReadOnly {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.inner.read(key).await
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        owned: bool,
    ) -> Result<bool, StoreError> {
        self.write()?;
        self.inner.create(key, record, ttl, owned).await
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        self.write()?;
        self.inner.replace(key, expected, record, ttl).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        self.write()?;
        self.inner.touch(key, ttl).await
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        self.write()?;
        self.inner.remove(key, expected).await
    }
}

#[tokio::test]
async fn a_refused_write_is_tried_once_and_is_not_reported_as_busy() {
    use std::sync::atomic::Ordering;
    let store = ReadOnly::default();
    let sessions = Sessions::new(&config(), store.clone()).unwrap();
    let one = session(&sessions).await;
    store.refuses.store(true, Ordering::Relaxed);
    let error = sessions.destroy(&one).await.unwrap_err();
    assert_eq!((error.code(), error.is_refusal()), ("store_failed", true));
    assert_eq!(store.asked.swap(0, Ordering::Relaxed), 1);
    let error = sessions.commit(&one, "{}".into(), r#"{"a":1}"#.into()).await.unwrap_err();
    assert!(matches!(error, SessionError::Store { .. }), "{error:?}");
    assert_eq!(store.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_old_id_goes_out_of_use_however_many_others_do() {
    let sessions = Sessions::new(&config(), MemoryStore::default()).unwrap();
    for n in 0..10_050 {
        let one = sessions.create("{}", None).await.unwrap();
        sessions.destroy(&one).await.unwrap();
        if n > 10_000 {
            assert!(sessions.is_out_of_use(one.id()), "{n}");
        }
    }
}

#[test]
fn events_are_called_as_in_the_sveltekit_package() {
    use vestiary_store::Reason;
    for reason in [Reason::Login, Reason::Renewal] {
        assert_eq!(Event::Rotated { reason }.name(), "rotated");
    }
}

#[test]
fn encrypted_records_cannot_be_of_express() {
    for encrypt in [Encrypt::On, Encrypt::Migrate] {
        let config = config().encrypt(encrypt).format(Format::ExpressSession);
        let error = Sessions::new(&config, MemoryStore::default()).unwrap_err();
        assert_eq!(error.code(), "options");
    }
}
