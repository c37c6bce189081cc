//! The ways in which a store tells of its changes.
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use super::{
    Broken,
    support::{LONG, fresh_key, gives, keeps, record, write_id},
};
use crate::{ChangeListener, Outcome::Done, Store, clock};

/// A store with a feed ([`Store::watch`]) reports that it is connected, and from then on each record that was replaced or
/// removed, by a name that does not show its key. Stores without a feed pass.
///
/// # Errors
/// [`Broken`]
pub async fn a_feed_tells_of_each_change<S: Store>(store: S) -> Result<(), Broken> {
    let key = fresh_key();
    let Some(name) = store.name_of(&key) else { return Ok(()) };
    keeps("`name_of` does not show the key", !name.contains(&key))?;
    // Twice, because a lost connection is opened again.
    for _ in 0..2 {
        let heard = Heard::default();
        let told = async || {
            until("`watch` calls `connected`", || heard.connected.load(Ordering::Acquire)).await?;
            for change in 0..CHANGES {
                let before = heard.count(&name);
                changes(&store, &key, change).await?;
                let promise = "`watch` calls `changed` for a record that was replaced or removed";
                until(promise, || heard.count(&name) > before).await?;
            }
            Ok(())
        };
        while_it_runs(store.watch(&heard), told()).await?;
    }
    Ok(())
}

/// A store with [`Store::polling`] has another write ID for each record that was replaced or removed, and another state, if
/// it has any. Other stores pass.
///
/// # Errors
/// [`Broken`]
pub async fn write_ids_show_each_change<S: Store>(store: S) -> Result<(), Broken> {
    let Some(polling) = store.polling() else { return Ok(()) };
    let (key, still) = (fresh_key(), fresh_key());
    let keys = [fresh_key(), key.clone(), still.clone(), key.clone()];
    store.create(&still, &record(Some(&write_id('C')), "{}"), LONG, false).await?;
    let mut before = (store.state().await?, store.write_ids(&keys).await?);
    for change in 0..CHANGES {
        changes(&store, &key, change).await?;
        let after = (store.state().await?, store.write_ids(&keys).await?);
        keeps("`write_ids` has one answer for each key", after.1.len() == keys.len())?;
        keeps("`write_ids` shows that a record has changed", after.1.get(1) != before.1.get(1))?;
        keeps("`write_ids` has the order of the keys", after.1.get(1) == after.1.get(3))?;
        let others = [0, 2].iter().all(|place| after.1.get(*place) == before.1.get(*place));
        keeps("`write_ids` shows no change of other records", others)?;
        let is_new = after.0.is_none() || after.0 != before.0;
        keeps("`state` changes with each write", is_new)?;
        before = after;
    }
    let found = before.1.iter().map(Option::is_some);
    let promise = "`write_ids` finds the records that exist";
    keeps(promise, found.eq([false, false, true, false]))?;
    let many: Vec<_> = (0..polling.most).map(|n| format!("{still}-{n}")).collect();
    let found = store.write_ids(&many).await?;
    let promise = "`write_ids` answers as many keys as `polling` says";
    keeps(promise, found.len() == many.len() && found.iter().all(Option::is_none))?;
    let removed = store.remove(&still, Some(&write_id('C'))).await;
    gives("`remove` with the expected write ID", removed, Done)
}

/// The number of [`changes`].
const CHANGES: u8 = 3;

/// Changes a record, which is there only between the changes.
async fn changes<S: Store>(store: &S, key: &str, number: u8) -> Result<(), Broken> {
    let [a, b] = ['A', 'B'].map(write_id);
    let promise = "`replace` or `remove` with the expected write ID";
    let outcome = match number {
        0 => {
            store.create(key, &record(Some(&a), "{}"), LONG, false).await?;
            store.replace(key, Some(&a), &record(Some(&b), "{}"), LONG).await
        }
        1 => store.replace(key, Some(&b), &record(Some(&a), "{}"), LONG).await,
        _ => store.remove(key, Some(&a)).await,
    };
    gives(promise, outcome, Done)
}

/// Notes what it hears.
#[derive(Default)]
struct Heard {
    names: Mutex<Vec<String>>,
    connected: AtomicBool,
}

impl Heard {
    fn count(&self, name: &str) -> usize {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().filter(|one| *one == name).count()
    }
}

impl ChangeListener for Heard {
    fn changed(&self, name: &str) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
    }

    fn connected(&self) {
        self.connected.store(true, Ordering::Release);
    }
}

/// Waits for a condition, for half a minute.
async fn until(promise: &str, is_met: impl Fn() -> bool) -> Result<(), Broken> {
    let watch = clock::Stopwatch::start();
    while !is_met() {
        keeps(promise, watch.elapsed() < Duration::from_secs(30))?;
        clock::pause(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Runs checks while the feed is watched.
async fn while_it_runs<T>(
    watching: impl Future<Output = T>,
    checks: impl Future<Output = Result<(), Broken>>,
) -> Result<(), Broken> {
    let (mut watching, mut checks) = (pin!(watching), pin!(checks));
    poll_fn(|context| {
        if watching.as_mut().poll(context).is_ready() {
            return Poll::Ready(keeps("`watch` stays connected", false));
        }
        checks.as_mut().poll(context)
    })
    .await
}
