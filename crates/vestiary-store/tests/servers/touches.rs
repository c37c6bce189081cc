//! Touches during another write.

use vestiary::{Ttl, WriteId};
use vestiary_store::{Outcome, Scan, Store};

/// A login leaves a tombstone while another request touches the session. The tombstone must keep its own TTL. A store
/// that reads, compares and touches in separate steps fails in one of the rounds.
pub async fn prolong_no_other_record<S: Store + Scan>(one: &S, other: &S) {
    let [short, long] = [Ttl::Millis(60_000), Ttl::Millis(600_000)];
    let write_id = WriteId::parse("AAAAAAAAAAAAAAAA");
    let session = r#"{"v":"AAAAAAAAAAAAAAAA","data":{}}"#;
    let tombstone = r#"{"v":"BBBBBBBBBBBBBBBB","data":{},"meta":{"next":"x"}}"#;
    for round in 0..300 {
        let key = format!("touched-{round}");
        assert!(one.create(&key, session, long, true).await.unwrap());
        let write = one.replace(&key, write_id.as_ref(), tombstone, short);
        let touch = async {
            // At another point of the write in each round.
            for _ in 0..round % 8 {
                tokio::task::yield_now().await;
            }
            other.touch_if(&key, write_id.as_ref(), long).await
        };
        let (replaced, answered) = tokio::join!(write, touch);
        assert_eq!(replaced.unwrap(), Outcome::Done);
        assert_ne!(answered.unwrap(), Outcome::Gone);
        let Ttl::Millis(left) = one.entry(&key).await.unwrap().unwrap().ttl else {
            panic!("it has an end")
        };
        assert!(left <= 60_000, "a touch prolonged the tombstone to {left} ms in round {round}");
    }
}
