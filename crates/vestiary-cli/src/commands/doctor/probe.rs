use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use tokio::time::{Instant, sleep};
use vestiary::{Ttl, WriteId};
use vestiary_store::{Outcome, Store, StoreError};

use super::Check;
use crate::{failure::Failure, service::no_entropy};

/// The TTL of the probe's record, in case that it cannot be removed.
const LIFE: Ttl = Ttl::Millis(60_000);

/// The number of reads that measure the latency.
const READS: usize = 50;

/// Performs the operations of a service under a key of its own, which it removes in any case.
pub(super) async fn check<S: Store>(store: &S, checks: &mut Vec<Check>) -> Result<(), Failure> {
    let mut random = [0; 24];
    getrandom::fill(&mut random).map_err(|_| no_entropy())?;
    let key = format!("vestiary-doctor-{}", Base64UrlUnpadded::encode_string(&random));
    let [old, new, other] = [1, 2, 3].map(|n| WriteId::from_entropy(&[n; WriteId::ENTROPY]));
    let promises = promises(store, &key, [&old, &new, &other], checks).await;
    for write_id in [Some(&old), Some(&new), None] {
        let _ = store.remove(&key, write_id).await;
    }
    if let Err(error) = promises {
        let advice = "a service with this store fails in the same way. In Redis, check that the user may run scripts \
                      (EVAL, EVALSHA)";
        let failure = Failure::from(error);
        checks.push(Check::fail("probe", failure.to_string(), advice));
        return Ok(());
    }
    checks.push(latency(store, &key).await?);
    Ok(())
}

async fn promises<S: Store>(
    store: &S,
    key: &str,
    [old, new, other]: [&WriteId; 3],
    checks: &mut Vec<Check>,
) -> Result<(), StoreError> {
    let text = |write_id: &WriteId| {
        format!(r#"{{"v":"{}","cookie":{{}},"data":{{}}}}"#, write_id.as_str())
    };
    let (first, second) = (text(old), text(new));
    let mut broken = Vec::new();
    let mut keeps = |promise: &'static str, kept: bool| {
        if !kept {
            broken.push(promise);
        }
    };
    keeps("create", store.create(key, &first, LIFE, false).await?);
    keeps("create only once", !store.create(key, &second, LIFE, false).await?);
    keeps("read", store.read(key).await?.as_ref() == Some(&first));
    let refused = store.replace(key, Some(other), &second, LIFE).await?;
    keeps("replace only the record that was read", refused == Outcome::Conflict);
    let replaced = store.replace(key, Some(old), &second, LIFE).await?;
    keeps("replace", replaced == Outcome::Done);
    keeps("read the replaced record", store.read(key).await?.as_ref() == Some(&second));
    let refused = store.remove(key, Some(old)).await?;
    keeps("remove only the record that was read", refused == Outcome::Conflict);
    keeps("touch", store.touch(key, LIFE).await?);
    keeps("remove", store.remove(key, Some(new)).await? == Outcome::Done);
    keeps("forget the removed record", store.read(key).await?.is_none());
    let gone = store.replace(key, Some(new), &first, LIFE).await?;
    keeps("bring no record back", gone == Outcome::Gone && !store.touch(key, LIFE).await?);
    keeps("create again", store.create(key, &first, Ttl::Millis(20), false).await?);
    keeps("expire", expires(store, key).await?);
    checks.push(if broken.is_empty() {
        Check::ok("probe", "create, read, replace, touch, remove and expire work")
    } else {
        let advice =
            "this store can lose sessions or bring them back: check what is between it and this program";
        Check::fail("probe", format!("failed: {}", broken.join(", ")), advice)
    });
    Ok(())
}

/// Whether a record with a TTL of 20 ms expires soon.
async fn expires<S: Store>(store: &S, key: &str) -> Result<bool, StoreError> {
    for _ in 0..100 {
        sleep(Duration::from_millis(20)).await;
        if store.read(key).await?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn latency<S: Store>(store: &S, key: &str) -> Result<Check, Failure> {
    let mut times = Vec::with_capacity(READS);
    for _ in 0..READS {
        let start = Instant::now();
        store.read(key).await?;
        times.push(start.elapsed());
    }
    times.sort();
    let millis = |at: usize| times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1_000.0);
    let (median, largest) = (millis(READS / 2), millis(READS - 1));
    let finding = format!(
        "{READS} reads: minimum {:.2} ms, median {median:.2} ms, maximum {largest:.2} ms",
        millis(0)
    );
    Ok(if median <= SLOW {
        Check::ok("latency", finding)
    } else {
        let advice = "each page with a session waits for at least one read: move the store closer";
        Check::warn("latency", finding, advice)
    })
}

/// The latency in milliseconds that a visitor begins to notice, with a few reads per page.
const SLOW: f64 = 20.0;
