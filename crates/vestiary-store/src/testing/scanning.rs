//! Scans by operators.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use vestiary::Ttl;

use super::{
    Broken,
    support::{LONG, expires, fresh_key, gives, keeps, millis, record, write_id},
};
use crate::{Cursor, Entry, Outcome, Scan};

/// A scan with more pages than this does not end.
const MOST_PAGES: usize = 100_000;

/// The number of records that exist for only part of the scan.
const COMING_AND_GOING: usize = 30;

/// A record that exists from the first page to the last appears on one of them, with its key, its text and its
/// remaining TTL, although others come and go meanwhile.
///
/// # Errors
/// [`Broken`]
pub async fn scan_finds_everything_that_is_there_all_the_time<S: Scan>(
    store: S,
) -> Result<(), Broken> {
    let (base, a) = (fresh_key(), write_id('A'));
    let ends = ["", "*", "[a]", "?", "\\", "_", "%", "{x}", "A", "a", "~", "'", "\""];
    let keys: BTreeSet<String> =
        (0..300).map(|n| format!("{base}{n}{}", ends.get(n % 13).unwrap_or(&""))).collect();
    for key in &keys {
        store.create(key, &record(Some(&a), &format!("{key:?}")), LONG, false).await?;
    }
    // In the order of keys, the records that come and go lie before and after those that stay.
    let (going, coming) =
        (|n: usize| format!("{base}-going-{n}"), |n: usize| format!("{base}~coming-{n}"));
    for n in 0..COMING_AND_GOING {
        store.create(&going(n), &record(Some(&a), "{}"), LONG, false).await?;
    }
    let mut found: BTreeMap<String, Entry> = BTreeMap::new();
    let mut page = 0;
    let mut from: Option<Cursor> = None;
    loop {
        let read = store.scan(from.as_ref(), 7).await?;
        found.extend(read.entries.into_iter().map(|entry| (entry.key.clone(), entry)));
        from = read.next;
        keeps("a scan comes to an end", page < MOST_PAGES)?;
        if from.is_none() {
            break;
        }
        if page < COMING_AND_GOING {
            store.remove(&going(page), Some(&a)).await?;
            store.create(&coming(page), &record(Some(&a), "{}"), LONG, false).await?;
        }
        page += 1;
    }
    for n in 0..COMING_AND_GOING {
        store.remove(&going(n), Some(&a)).await?;
        store.remove(&coming(n), Some(&a)).await?;
    }
    for key in &keys {
        let promise = format!(
            "a record that is there all the time is on one of {page} pages, under the key without the \
             store's prefix: `{key}` was not"
        );
        let entry = found.get(key).ok_or(Broken(promise))?;
        let expected = record(Some(&a), &format!("{key:?}"));
        gives("a page has the text that is stored", Ok(entry.record.clone()), expected)?;
        let Ttl::Millis(longest) = LONG else { continue };
        let left = matches!(entry.ttl, Ttl::Millis(left) if left <= longest && left > longest / 2);
        keeps(&format!("a page has what is left of a life, and not {:?}", entry.ttl), left)?;
        let Some(alone) = store.entry(key).await? else {
            return Err(Broken("`entry` finds a record that is there".to_owned()));
        };
        gives("the text that `entry` finds", Ok(&alone.record), &entry.record)?;
        gives("the key that `entry` finds", Ok(&alone.key), key)?;
        let left = matches!(alone.ttl, Ttl::Millis(left) if left <= longest && left > longest / 2);
        keeps(&format!("`entry` has what is left of a life, and not {:?}", alone.ttl), left)?;
    }
    for key in &keys {
        let removed = store.remove(key, Some(&a)).await;
        gives("`remove` with the expected write ID", removed, Outcome::Done)?;
    }
    Ok(())
}

/// Removed and expired records are on no page that is read afterwards.
///
/// # Errors
/// [`Broken`]
pub async fn scan_finds_nothing_else<S: Scan>(store: S) -> Result<(), Broken> {
    let (base, a) = (fresh_key(), write_id('A'));
    let [kept, removed, expired] =
        ["kept", "removed", "expired"].map(|end| format!("{base}-{end}"));
    let life = Duration::from_millis(250);
    store.create(&kept, &record(Some(&a), "{}"), LONG, false).await?;
    store.create(&removed, &record(Some(&a), "{}"), LONG, false).await?;
    store.create(&expired, &record(Some(&a), "{}"), millis(life), false).await?;
    store.remove(&removed, Some(&a)).await?;
    expires(&store, &expired, life).await?;
    let mut found = BTreeSet::new();
    let mut from = None;
    for _ in 0..MOST_PAGES {
        let page = store.scan(from.as_ref(), 50).await?;
        found.extend(page.entries.into_iter().map(|entry| entry.key));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    keeps("a scan comes to an end", from.is_none())?;
    keeps("a record that is there is on a page", found.contains(&kept))?;
    keeps("a record that was removed is on no page", !found.contains(&removed))?;
    keeps("a record that has expired is on no page", !found.contains(&expired))?;
    for key in [&removed, &expired] {
        keeps("`entry` finds nothing that is not there", store.entry(key).await?.is_none())?;
    }
    gives("`remove` of what was found", store.remove(&kept, Some(&a)).await, Outcome::Done)
}
