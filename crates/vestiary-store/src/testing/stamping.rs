//! Texts that the store dates.
use std::{collections::HashSet, sync::Arc, time::Duration};

use vestiary::WriteId;

use super::{
    Broken,
    races::at_once,
    support::{LONG, expires, fresh_key, gives, keeps, millis, record, write_id},
};
use crate::{Outcome::Done, Stamped, Store};

/// `stamp` stores the text with the time of the store's clock if there is no record, or one that begins alike; it
/// leaves any other record alone. A store that does not support it does nothing.
///
/// # Errors
/// [`Broken`]
pub async fn stamp_dates_what_it_stores<S: Store>(store: S) -> Result<(), Broken> {
    let short = Duration::from_millis(250);
    let (key, [a, b, c]) = (fresh_key(), ['A', 'B', 'C'].map(write_id));
    let began = store.now(&key).await?;
    let Some(first) = store.stamp(&key, &undated(&a), LONG).await? else {
        return gives("a `stamp` that answers `None` stores nothing", store.read(&key).await, None);
    };
    keeps("`stamp` where there is nothing finds nothing", first.before.is_none())?;
    let ended = store.now(&key).await?;
    let is_now = began.is_none_or(|began| began <= first.time)
        && ended.is_none_or(|ended| first.time <= ended);
    keeps("the time of a `stamp` is that of the store's own clock", is_now)?;
    let stored = dated(&a, &first);
    gives("`read` of what was stamped", store.read(&key).await, Some(stored.clone()))?;

    let promise = "`stamp` replaces a record that begins alike, and returns it";
    let again = store.stamp(&key, &undated(&b), LONG).await?.ok_or(Broken(promise.to_owned()))?;
    keeps(promise, again.before == Some(stored))?;
    gives("`read` of what was stamped", store.read(&key).await, Some(dated(&b, &again)))?;
    gives("`remove` with the expected write ID", store.remove(&key, Some(&b)).await, Done)?;

    let sealed = format!(r#"{{"v":"{}","sealed":"AQIDBAUGBwgJ"}}"#, a.as_str());
    for other in ["{}".to_owned(), record(Some(&a), "{}"), record(None, "{}"), sealed] {
        store.create(&key, &other, LONG, false).await?;
        let promise = "`stamp` leaves a record alone that begins otherwise, and answers `None`";
        keeps(promise, store.stamp(&key, &undated(&b), LONG).await?.is_none())?;
        gives(promise, store.read(&key).await, Some(other.clone()))?;
        let expected = crate::write_id_of(&other).and_then(WriteId::parse);
        store.remove(&key, expected.as_ref()).await?;
    }

    store.stamp(&key, &undated(&a), millis(short)).await?;
    expires(&store, &key, short).await?;
    let late = store.stamp(&key, &undated(&c), LONG).await?;
    let promise = "`stamp` takes a record that has expired for none";
    keeps(promise, late.is_some_and(|late| late.before.is_none()))?;
    gives("`remove` with the expected write ID", store.remove(&key, Some(&c)).await, Done)
}

/// Of many concurrent `stamp`s each succeeds, and each returns the record of another one: no write comes between what
/// it reads and what it stores.
///
/// # Errors
/// [`Broken`]
pub async fn of_many_stamps_each_replaces_another_one<S: Store>(store: S) -> Result<(), Broken> {
    let (store, key, a) = (Arc::new(store), fresh_key(), write_id('A'));
    let Some(first) = store.stamp(&key, &undated(&a), LONG).await? else { return Ok(()) };
    let answers = at_once(MANY, |n| {
        let (store, key) = (Arc::clone(&store), key.clone());
        async move { store.stamp(&key, &undated(&numbered(n)), LONG).await }
    })
    .await?;
    let mut found: HashSet<_> =
        answers.into_iter().flatten().filter_map(|one| one.before).collect();
    found.extend(store.read(&key).await?);
    let all = found.len() == MANY + 1 && found.contains(&dated(&a, &first));
    keeps("of many `stamp`s at once, each returns the record of another one", all)?;
    let last = store.read(&key).await?.and_then(|text| WriteId::parse(crate::write_id_of(&text)?));
    gives("`remove` with the expected write ID", store.remove(&key, last.as_ref()).await, Done)
}

/// The number of concurrent operations.
const MANY: usize = 20;

fn numbered(n: usize) -> WriteId {
    // Not the write ID of the first record.
    let n = u8::try_from(n + 1).unwrap_or(u8::MAX);
    WriteId::from_entropy(&[n; WriteId::ENTROPY])
}

fn undated(write_id: &WriteId) -> String {
    format!(r#"{{"v":"{}","sessions":{{}},"after":"#, write_id.as_str())
}

fn dated(write_id: &WriteId, stamped: &Stamped) -> String {
    format!("{}{}}}", undated(write_id), stamped.time.0)
}
