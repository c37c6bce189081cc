//! Concurrent operations.
use std::{future::Future, sync::Arc};

use vestiary::WriteId;

use super::{
    Broken,
    support::{LONG, fresh_key, gives, keeps, record, write_id},
};
use crate::{
    Outcome::{Conflict, Done, Gone},
    Store, StoreError, write_id_of,
};

/// The number of concurrent operations.
const MANY: usize = 50;

/// Of many concurrent `create`s under one key, exactly one succeeds, and its record is stored. The key is new, or its
/// record has expired.
///
/// # Errors
/// [`Broken`]
pub async fn of_many_creations_at_once_one_is_done<S: Store>(store: S) -> Result<(), Broken> {
    let (store, key) = (Arc::new(store), fresh_key());
    for round in 0..4 {
        if round % 2 == 1 {
            // Expired before the race begins, but perhaps not freed.
            store.create(&key, "{}", vestiary::Ttl::Millis(1), false).await?;
            super::support::expires(&*store, &key, std::time::Duration::from_millis(50)).await?;
        }
        let answers = at_once(MANY, |n| {
            let (store, key) = (Arc::clone(&store), key.clone());
            async move { store.create(&key, &numbered(n), LONG, n % 2 == 0).await }
        })
        .await?;
        let winner = only(&answers, |created| *created);
        let promise = format!("of {MANY} `create`s at once, one answers `true`");
        let winner = winner.ok_or(Broken(promise))?;
        let promise = "the record of the `create` that answered `true` is there";
        gives(promise, store.read(&key).await, Some(numbered(winner)))?;
        gives("`remove` with the expected write ID", remove(&*store, &key).await, Done)?;
    }
    Ok(())
}

/// Of many concurrent `replace`s that expect the same write ID, exactly one succeeds; of many `remove`s, too.
///
/// # Errors
/// [`Broken`]
pub async fn of_many_writes_at_once_one_is_done<S: Store>(store: S) -> Result<(), Broken> {
    let (store, key, a) = (Arc::new(store), fresh_key(), write_id('A'));
    for _ in 0..4 {
        store.create(&key, &record(Some(&a), "{}"), LONG, false).await?;
        let answers = at_once(MANY, |n| {
            let (store, key, a) = (Arc::clone(&store), key.clone(), a.clone());
            async move { store.replace(&key, Some(&a), &numbered(n), LONG).await }
        })
        .await?;
        let winner = only(&answers, |outcome| *outcome == Done);
        let promise = format!(
            "of {MANY} `replace`s at once that expect the same write ID, one is `Done`: the store must compare and \
             write in one step"
        );
        let winner = winner.ok_or(Broken(promise))?;
        let others = answers.iter().all(|outcome| matches!(outcome, Done | Conflict));
        keeps("a `replace` that came too late to a record answers `Conflict`", others)?;
        let promise = "the record of the `replace` that was `Done` is there";
        gives(promise, store.read(&key).await, Some(numbered(winner)))?;

        let answers = at_once(MANY, |_| {
            let (store, key) = (Arc::clone(&store), key.clone());
            async move { store.remove(&key, WriteId::parse(&numbered_id(winner)).as_ref()).await }
        })
        .await?;
        let promise = format!(
            "of {MANY} `remove`s at once that expect the same write ID, one is `Done`: the store must compare and \
             remove in one step"
        );
        only(&answers, |outcome| *outcome == Done).ok_or(Broken(promise))?;
        let others = answers.iter().all(|outcome| matches!(outcome, Done | Gone));
        keeps("a `remove` that came too late to a record that is gone answers `Gone`", others)?;
        gives("`read` of what was removed", store.read(&key).await, None)?;
    }
    Ok(())
}

/// A client that reads, changes, writes with the write ID it has read, and retries after a `Conflict`, loses no change
/// of other clients. The session protocol works like this.
///
/// # Errors
/// [`Broken`]
pub async fn with_compare_and_retry_no_change_is_lost<S: Store>(store: S) -> Result<(), Broken> {
    let (store, key) = (Arc::new(store), fresh_key());
    store.create(&key, &numbered(0), LONG, false).await?;
    let answers = at_once(MANY, |_| {
        let (store, key) = (Arc::clone(&store), key.clone());
        async move {
            loop {
                let Some(found) = store.read(&key).await? else { return Ok(false) };
                // A store in memory never waits, so the tasks would not interleave.
                tokio::task::yield_now().await;
                let Some(expected) = write_id_of(&found).and_then(WriteId::parse) else {
                    return Ok(false);
                };
                let n: usize = expected.as_str().trim_start_matches('_').parse().unwrap_or(0);
                if store.replace(&key, Some(&expected), &numbered(n + 1), LONG).await? == Done {
                    return Ok(true);
                }
            }
        }
    })
    .await?;
    let promise = "what is only replaced is there, and as it was written";
    keeps(promise, answers.iter().all(|found| *found))?;
    let promise = format!("{MANY} changes, each by compare and retry, are all there");
    gives(&promise, store.read(&key).await, Some(numbered(MANY)))?;
    gives("`remove` with the expected write ID", remove(&*store, &key).await, Done)
}

/// A successful `remove` is final, whatever writes and touches run at the same time: an ended session does not come
/// back.
///
/// # Errors
/// [`Broken`]
pub async fn what_was_removed_stays_removed_whatever_else_happens<S: Store>(
    store: S,
) -> Result<(), Broken> {
    let (store, key, a, b) = (Arc::new(store), fresh_key(), write_id('A'), write_id('B'));
    for round in 0..40 {
        store.create(&key, &record(Some(&a), "{}"), LONG, false).await?;
        let outcomes = at_once(8, |n| {
            let (store, key, a, b) = (Arc::clone(&store), key.clone(), a.clone(), b.clone());
            async move {
                // Each kind of operation goes first in some round.
                match (n + round) % 8 {
                    0 => store.remove(&key, Some(&a)).await.map(Some),
                    1 => {
                        store.replace(&key, Some(&a), &record(Some(&b), "{}"), LONG).await.map(Some)
                    }
                    _ => store.touch(&key, LONG).await.map(|_| None),
                }
            }
        })
        .await?;
        let done = outcomes.iter().filter(|outcome| **outcome == Some(Done)).count();
        let promise =
            "of a `remove` and a `replace` at once that expect the same write ID, one is `Done`";
        keeps(promise, done == 1)?;
        let remove = outcomes.iter().enumerate().find(|(n, _)| (n + round) % 8 == 0);
        if remove.is_some_and(|(_, outcome)| *outcome == Some(Done)) {
            let promise = "what was removed is not there, although it was touched and replaced at the same time";
            gives(promise, store.read(&key).await, None)?;
        } else {
            let promise = "a record that was replaced is there, although a `remove` came too late";
            gives(promise, store.read(&key).await, Some(record(Some(&b), "{}")))?;
            gives("`remove` with the expected write ID", store.remove(&key, Some(&b)).await, Done)?;
        }
    }
    Ok(())
}

/// Spawns all operations, each as a task of its own, before awaiting the first.
pub(super) async fn at_once<T: Send + 'static, F>(
    number: usize,
    run: impl Fn(usize) -> F,
) -> Result<Vec<T>, Broken>
where
    F: Future<Output = Result<T, StoreError>> + Send + 'static,
{
    let tasks: Vec<_> = (0..number).map(|n| tokio::spawn(run(n))).collect();
    let mut answers = Vec::with_capacity(number);
    for task in tasks {
        answers.push(task.await.map_err(|_| Broken("the store panicked".to_owned()))??);
    }
    Ok(answers)
}

/// The position of the only answer that matches.
fn only<T>(answers: &[T], is: impl Fn(&T) -> bool) -> Option<usize> {
    let mut found = answers.iter().enumerate().filter(|(_, answer)| is(answer));
    let (first, _) = found.next()?;
    found.next().is_none().then_some(first)
}

async fn remove<S: Store>(store: &S, key: &str) -> Result<crate::Outcome, StoreError> {
    let found = store.read(key).await?.unwrap_or_default();
    store.remove(key, write_id_of(&found).and_then(WriteId::parse).as_ref()).await
}

fn numbered(n: usize) -> String {
    record(WriteId::parse(&numbered_id(n)).as_ref(), &n.to_string())
}

fn numbered_id(n: usize) -> String {
    format!("{n:_>16}")
}
