//! A session ID with a hint of its user's session list: both are read at once.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use vestiary::{KeyRing, SessionId, Ttl, WriteId};
use vestiary_store::{Config, Encrypt, MemoryStore, Outcome, ReadTwo, Sessions, Store, StoreError};

use super::{Watched, config, loaded, of_user};

/// A memory store that records which keys were read together.
#[derive(Clone, Default)]
struct Counting {
    memory: Arc<MemoryStore>,
    reads: Arc<Mutex<Vec<&'static str>>>,
    /// The second of two records cannot be read.
    hides_lists: bool,
}

impl Counting {
    fn reads(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.reads.lock().unwrap())
    }
}

impl Store for Counting {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.reads.lock().unwrap().push("read");
        self.memory.read(key).await
    }

    async fn read_two(&self, one: &str, other: &str) -> ReadTwo {
        self.reads.lock().unwrap().push("read_two");
        let [record, list] = self.memory.read_two(one, other).await;
        if self.hides_lists { [record, Err(StoreError::failed("down"))] } else { [record, list] }
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        owned: bool,
    ) -> Result<bool, StoreError> {
        self.memory.create(key, record, ttl, owned).await
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        self.memory.replace(key, expected, record, ttl).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        self.memory.touch(key, ttl).await
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        self.memory.remove(key, expected).await
    }
}

fn counted(config: &Config) -> (Sessions, Counting) {
    let store = Counting::default();
    (Sessions::new(config, store.clone()).unwrap(), store)
}

#[tokio::test]
async fn a_session_of_a_user_and_the_list_are_one_read() {
    let encrypted = config().encrypt(Encrypt::On);
    for config in [config(), config().namespace("admin"), config().hash_ids(true), encrypted] {
        let (sessions, store) = counted(&config);
        let stored = of_user(&sessions, "ada", None).await;
        store.reads();
        assert!(loaded(&sessions, stored.id()).await.is_some());
        assert_eq!(store.reads(), ["read_two"]);
        assert!(sessions.is_current(stored.id()).await.unwrap());
        assert_eq!(store.reads(), ["read_two"]);
        // An anonymous session has no list.
        let anonymous = sessions.create("{}", None).await.unwrap();
        assert!(loaded(&sessions, anonymous.id()).await.is_some());
        assert_eq!(store.reads(), ["read"]);
    }
}

#[tokio::test]
async fn every_id_of_a_users_session_hints_at_the_list() {
    let (sessions, store) = counted(&config());
    let anonymous = sessions.create("{}", None).await.unwrap();
    let owner = sessions.of("ada").admit(&vestiary_store::Login::default()).await.unwrap();
    let first = sessions.rotate(&anonymous, "{}", Some(owner)).await.unwrap().unwrap();
    let renewed = sessions.renew(&first).await.unwrap().unwrap();
    store.reads();
    assert!(loaded(&sessions, renewed.id()).await.is_some());
    assert_eq!(store.reads(), ["read_two"]);
    // The old ID leads to the new one, and the list is there already.
    let found = loaded(&sessions, first.id()).await.unwrap();
    assert_eq!(found.stored.id(), renewed.id());
    assert_eq!(store.reads(), ["read_two", "read"]);
}

#[tokio::test]
async fn a_hint_is_never_trusted() {
    let (sessions, store) = counted(&config());
    let stored = of_user(&sessions, "ada", None).await;
    of_user(&sessions, "eve", None).await;
    // The same record, under an ID that hints at another user's list.
    let ring = KeyRing::new(&["a secret of the tests, of more than 32 bytes"]).unwrap();
    let wrong = ring.hinted(&sessions.new_id().unwrap(), "eve");
    assert_eq!(ring.hint(&wrong), Some(vestiary::user_key("eve")));
    let text = store.memory.read(stored.id().expose()).await.unwrap().unwrap();
    store.memory.create(wrong.expose(), &text, Ttl::Infinite, true).await.unwrap();
    store.reads();
    let found = loaded(&sessions, &wrong).await.unwrap();
    assert_eq!(found.stored.user().as_deref(), Some("ada"));
    assert_eq!(store.reads(), ["read_two", "read"]);
    sessions.of("eve").revoke_all().await.unwrap();
    assert!(loaded(&sessions, &wrong).await.is_some());
    sessions.of("ada").revoke_all().await.unwrap();
    assert!(loaded(&sessions, &wrong).await.is_none());
}

#[tokio::test]
async fn a_list_that_cannot_be_read_ahead_does_not_fail_the_session() {
    let (sessions, store) = counted(&config());
    let stored = of_user(&sessions, "ada", None).await;
    let store = Counting { hides_lists: true, ..store };
    let sessions = Sessions::new(&config(), store.clone()).unwrap();
    store.reads();
    assert!(loaded(&sessions, stored.id()).await.is_some());
    assert_eq!(store.reads(), ["read_two", "read"]);
}

#[tokio::test]
async fn hints_of_an_old_secret_still_lead_to_the_list() {
    let (old, store) = counted(&config());
    let stored = of_user(&old, "ada", None).await;
    let old_secret = "a secret of the tests, of more than 32 bytes";
    let new = Config::new("the secret that took its place, as long").name("sid");
    let new = Sessions::new(&new.previous_secret(old_secret), store.clone()).unwrap();
    for sessions in [&old, &new] {
        store.reads();
        assert!(loaded(sessions, stored.id()).await.is_some());
        assert_eq!(store.reads(), ["read_two"]);
    }
    // If no secret of the hint is left, the right list is read afterwards.
    let (elsewhere, _) = counted(&Config::new("a secret that is gone, and was long enough"));
    let id = of_user(&elsewhere, "ada", None).await.id().clone();
    let text = store.memory.read(stored.id().expose()).await.unwrap().unwrap();
    store.memory.create(id.expose(), &text, Ttl::Infinite, true).await.unwrap();
    store.reads();
    assert!(loaded(&old, &id).await.is_some());
    assert_eq!(store.reads(), ["read", "read"]);
}

#[tokio::test]
async fn two_ids_of_one_user_have_nothing_in_common() {
    let parts = |text: &str| -> HashSet<String> {
        text.as_bytes().windows(6).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    };
    for hashed in [false, true] {
        let (sessions, _) = counted(&config().hash_ids(hashed));
        let key = |id: &SessionId| sessions.options().store_key(id);
        let [one, other] = [
            of_user(&sessions, "ada", None).await.id().clone(),
            of_user(&sessions, "ada", None).await.id().clone(),
        ];
        assert_eq!(one.expose().len(), 77);
        for (one, other) in [(one.expose(), other.expose()), (&key(&one), &key(&other))] {
            let common: Vec<_> = parts(one).intersection(&parts(other)).cloned().collect();
            assert!(common.is_empty(), "{common:?}");
        }
        let list = sessions.options().user_key("ada");
        let hash = list.strip_prefix("user:").unwrap();
        assert!(parts(hash).is_disjoint(&parts(one.expose())));
    }
}

#[tokio::test]
async fn a_store_of_the_application_reads_both_at_the_same_time() {
    let store = Watched::default();
    let (sessions, _) = super::sessions(config(), &store);
    let stored = of_user(&sessions, "ada", None).await;
    store.calls();
    assert!(loaded(&sessions, stored.id()).await.is_some());
    assert_eq!(store.names(), ["read", "read"]);
}
