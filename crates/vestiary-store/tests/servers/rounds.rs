//! Each operation of a store, several times.

use vestiary::{Ttl, WriteId};
use vestiary_store::{Outcome, Store};

/// Creates, reads, replaces and removes twenty records. Some of the creations also remove what has expired.
pub async fn of_each_operation(store: &impl Store) {
    let life = Ttl::Millis(600_000);
    let record =
        |letter: char| format!(r#"{{"v":"{}","data":{{}}}}"#, letter.to_string().repeat(16));
    let [old, new] = ['A', 'B'].map(record);
    let [first, second] = ['A', 'B'].map(|letter| WriteId::parse(&letter.to_string().repeat(16)));
    for n in 0..20 {
        let key = format!("key-{n}");
        assert!(store.create(&key, &old, life, false).await.unwrap());
        let [one, other] = store.read_two(&key, "none").await;
        assert_eq!((one.unwrap().as_deref(), other.unwrap()), (Some(&*old), None));
        assert_eq!(store.replace(&key, first.as_ref(), &new, life).await.unwrap(), Outcome::Done);
        assert_eq!(store.remove(&key, second.as_ref()).await.unwrap(), Outcome::Done);
    }
}
