//! Sequential operations.
use std::time::Duration;

use vestiary::{Ttl, WriteId};

use super::{
    Broken,
    support::{LONG, expires, fresh_key, gives, keeps, millis, record, write_id},
};
use crate::{
    Outcome::{Conflict, Done, Gone},
    Store, clock,
};

/// There is nothing under a key that was never used: nothing to read, replace, remove or touch.
///
/// # Errors
/// [`Broken`]
pub async fn knows_nothing_that_was_not_stored<S: Store>(store: S) -> Result<(), Broken> {
    let (key, a) = (fresh_key(), write_id('A'));
    gives("`read` of what was never stored", store.read(&key).await, None)?;
    gives("`remove` of what was never stored", store.remove(&key, Some(&a)).await, Gone)?;
    gives("`remove` of what was never stored", store.remove(&key, None).await, Gone)?;
    store.confirm(&key).await?;
    Ok(())
}

/// `create` stores a record if there is none, and otherwise does nothing.
///
/// # Errors
/// [`Broken`]
pub async fn create_creates_once<S: Store>(store: S) -> Result<(), Broken> {
    let (key, a, b) = (fresh_key(), write_id('A'), write_id('B'));
    let (first, second) = (record(Some(&a), "{}"), record(Some(&b), "{}"));
    let created = store.create(&key, &first, LONG, false).await;
    gives("`create` where there is nothing", created, true)?;
    gives("`read` of what was created", store.read(&key).await, Some(first.clone()))?;
    let again = store.create(&key, &second, LONG, true).await;
    gives("`create` where there is a record", again, false)?;
    let unchanged = "a `create` that answers `false` changes nothing";
    gives(unchanged, store.read(&key).await, Some(first))?;
    gives("`remove` with the expected write ID", store.remove(&key, Some(&a)).await, Done)?;
    gives("`read` of what was removed", store.read(&key).await, None)?;
    store.confirm(&key).await?;
    let after = store.create(&key, &second, LONG, true).await;
    gives("`create` after `remove`", after, true)?;
    gives("`remove` with the expected write ID", store.remove(&key, Some(&b)).await, Done)
}

/// `replace`, `touch` and `remove` on a missing record create nothing, both before one was stored and after it was
/// removed.
///
/// # Errors
/// [`Broken`]
pub async fn nothing_but_create_creates<S: Store>(store: S) -> Result<(), Broken> {
    let (key, a, b) = (fresh_key(), write_id('A'), write_id('B'));
    let new = record(Some(&b), "{}");
    for before in ["never stored", "removed"] {
        for expected in [Some(&a), None] {
            let replaced = store.replace(&key, expected, &new, LONG).await;
            gives(&format!("`replace` of what was {before}"), replaced, Gone)?;
            let promise = format!("`replace` never creates, not even what was {before}");
            gives(&promise, store.read(&key).await, None)?;
        }
        gives(&format!("`touch` of what was {before}"), store.touch(&key, LONG).await, false)?;
        let promise = format!("`touch` never creates, not even what was {before}");
        gives(&promise, store.read(&key).await, None)?;
        let removed = store.remove(&key, Some(&b)).await;
        gives(&format!("`remove` of what was {before}"), removed, Gone)?;
        if before == "never stored" {
            store.create(&key, &record(Some(&a), "{}"), LONG, false).await?;
            gives("`remove` with the expected write ID", store.remove(&key, Some(&a)).await, Done)?;
        }
    }
    Ok(())
}

/// `replace` and `remove` act only if the write ID is the expected one: for records of both formats, for records
/// without a write ID, and for those that have one elsewhere in the text.
///
/// # Errors
/// [`Broken`]
pub async fn replace_and_remove_compare_write_ids<S: Store>(store: S) -> Result<(), Broken> {
    let (key, [a, b, c]) = (fresh_key(), ['A', 'B', 'C'].map(write_id));
    let [in_a, in_b, in_c] = [&a, &b, &c].map(WriteId::as_str);
    let express =
        format!(r#"{{"cookie":{{"v":"{in_b}","meta":{{}},"originalMaxAge":null}},"n":1}}"#);
    let records: [(Option<&WriteId>, String); 8] = [
        (Some(&a), record(Some(&a), "{}")),
        (Some(&b), express),
        (None, format!(r#"{{"cookie":{{"path":"/"}},"data":{{"v":"{in_c}"}}}}"#)),
        (None, format!(r#"{{"data":{{}},"v":"{in_a}"}}"#)),
        (None, format!(r#"{{"v":"{in_a}x","data":{{}}}}"#)),
        (None, format!(r#"{{"v":"{}","data":{{}}}}"#, in_a.split_at(15).0)),
        (None, "{}".to_owned()),
        (Some(&b), record(Some(&b), r#"{"text":"é"}"#)),
    ];
    let mut present: Option<&(Option<&WriteId>, String)> = None;
    for next in &records {
        let written = match present {
            None => store.create(&key, &next.1, LONG, false).await.map(|_| Done),
            Some((expected, _)) => store.replace(&key, *expected, &next.1, LONG).await,
        };
        gives("`replace` with the expected write ID", written, Done)?;
        gives("`read` of what was written", store.read(&key).await, Some(next.1.clone()))?;
        for wrong in [Some(&a), Some(&b), Some(&c), None] {
            if wrong == next.0 {
                continue;
            }
            let replaced = store.replace(&key, wrong, "{}", LONG).await;
            gives("`replace` with another write ID", replaced, Conflict)?;
            let removed = store.remove(&key, wrong).await;
            gives("`remove` with another write ID", removed, Conflict)?;
            let promise = "a write that answers `Conflict` changes nothing";
            gives(promise, store.read(&key).await, Some(next.1.clone()))?;
        }
        present = Some(next);
    }
    gives("`remove` with the expected write ID", store.remove(&key, Some(&b)).await, Done)?;
    gives("`remove` for the second time", store.remove(&key, Some(&b)).await, Gone)
}

/// `touch_if` restarts the TTL of a record with the expected write ID, and of no other; it never creates one.
///
/// # Errors
/// [`Broken`]
pub async fn touch_if_compares_write_ids<S: Store>(store: S) -> Result<(), Broken> {
    let short = Duration::from_millis(250);
    let (key, a, b) = (fresh_key(), write_id('A'), write_id('B'));
    let [with_id, without_id, witness] = ["m", "u", "w"].map(|end| format!("{key}{end}"));
    for expected in [Some(&a), None] {
        let touched = store.touch_if(&with_id, expected, LONG).await;
        gives("`touch_if` of what was never stored", touched, Gone)?;
        gives("`touch_if` never creates", store.read(&with_id).await, None)?;
    }
    let (with, without) = (record(Some(&a), "{}"), record(None, "{}"));
    store.create(&with_id, &with, LONG, false).await?;
    store.create(&without_id, &without, LONG, false).await?;
    for (key, wrong) in [(&with_id, Some(&b)), (&with_id, None), (&without_id, Some(&a))] {
        let touched = store.touch_if(key, wrong, millis(short)).await;
        gives("`touch_if` with another write ID", touched, Conflict)?;
    }
    // If a refused touch had shortened the TTL, the record would be gone before this one.
    store.create(&witness, &with, millis(short * 2), false).await?;
    expires(&store, &witness, short * 2).await?;
    let promise = "a `touch_if` that answers `Conflict` changes nothing";
    gives(promise, store.read(&with_id).await, Some(with))?;
    gives(promise, store.read(&without_id).await, Some(without))?;
    for (key, right) in [(&with_id, Some(&a)), (&without_id, None)] {
        let touched = store.touch_if(key, right, millis(short)).await;
        gives("`touch_if` with the expected write ID", touched, Done)?;
        expires(&store, key, short).await?;
    }
    Ok(())
}

/// Keys that differ in one character are different keys: keys are no patterns, are case-sensitive, and are not
/// truncated.
///
/// # Errors
/// [`Broken`]
pub async fn keys_are_kept_apart<S: Store>(store: S) -> Result<(), Broken> {
    let (key, a) = (fresh_key(), write_id('A'));
    let odd = [
        "a", "A", "aa", "_", "%", "*", "?", "[a]", "{a}", "{b}", "^a", "a-b", "+", "/", "=", "~",
        "|", "!", "#", "$", "&", "'", "(", ")", ".", "..", ":", "@", "`", "<", ">", "%61", "\"",
        ";",
    ];
    let keys: Vec<String> =
        odd.iter().map(|end| format!("{key}{end}")).chain([key.clone()]).collect();
    for (n, key) in keys.iter().enumerate() {
        let created = store.create(key, &record(Some(&a), &n.to_string()), LONG, false).await;
        gives(&format!("`create` under the key `{key}`, which is another"), created, true)?;
    }
    for (n, key) in keys.iter().enumerate() {
        let expected = Some(record(Some(&a), &n.to_string()));
        gives(&format!("`read` under the key `{key}`"), store.read(key).await, expected)?;
    }
    for (n, key) in keys.iter().enumerate() {
        gives(&format!("`remove` under the key `{key}`"), store.remove(key, Some(&a)).await, Done)?;
        for (other, left) in keys.iter().enumerate().skip(n + 1) {
            let expected = Some(record(Some(&a), &other.to_string()));
            let promise =
                format!("`remove` under the key `{key}` removes nothing else, not `{left}`");
            gives(&promise, store.read(left).await, expected)?;
        }
    }
    Ok(())
}

/// `read_two` returns for each of two keys what `read` does, in the order of the keys.
///
/// # Errors
/// [`Broken`]
pub async fn read_two_reads_both<S: Store>(store: S) -> Result<(), Broken> {
    let (key, a) = (fresh_key(), write_id('A'));
    let keys = ["one", "other", "none"].map(|end| format!("{key}-{end}"));
    for stored in &keys[..2] {
        let text = record(Some(&a), &format!("\"{stored}\""));
        let created = store.create(stored, &text, LONG, false).await;
        gives("`create` where there is nothing", created, true)?;
    }
    for one in &keys {
        for other in &keys {
            let answers = store.read_two(one, other).await;
            for (key, answer) in [one, other].into_iter().zip(answers) {
                let expected = store.read(key).await?;
                gives(&format!("`read_two` of `{one}` and `{other}`: `{key}`"), answer, expected)?;
            }
        }
    }
    for stored in &keys[..2] {
        gives("`remove` with the expected write ID", store.remove(stored, Some(&a)).await, Done)?;
    }
    Ok(())
}

/// A record is returned as it was stored, with characters of every length, and with 64 KiB of them.
///
/// # Errors
/// [`Broken`]
pub async fn gives_back_every_character<S: Store>(store: S) -> Result<(), Broken> {
    let (key, a, b) = (fresh_key(), write_id('A'), write_id('B'));
    let odd = record(
        Some(&a),
        r#"{"text":"é ü 秘密 🧥 \u0000 \ud83e   \" \\ \n </script> %00 ' $1 ? ' "}"#,
    );
    store.create(&key, &odd, LONG, false).await?;
    gives("a record is given back as it was stored", store.read(&key).await, Some(odd))?;
    for filler in ["x", "🧥"] {
        let empty = record(Some(&b), r#"{"text":""}"#);
        let text = filler.repeat(((64 << 10) - empty.len()) / filler.len());
        let large = record(Some(&b), &format!(r#"{{"text":"{text}"}}"#));
        let expected = if filler == "x" { &a } else { &b };
        let replaced = store.replace(&key, Some(expected), &large, LONG).await;
        gives("`replace` by 64 KiB with the expected write ID", replaced, Done)?;
        gives("64 KiB are given back as they were stored", store.read(&key).await, Some(large))?;
    }
    gives("`remove` of 64 KiB with the expected write ID", store.remove(&key, Some(&b)).await, Done)
}

/// A record does not exist after its TTL, in milliseconds, for any operation.
///
/// # Errors
/// [`Broken`]
pub async fn records_expire<S: Store>(store: S) -> Result<(), Broken> {
    let short = Duration::from_millis(250);
    let (key, a, b) = (fresh_key(), write_id('A'), write_id('B'));
    let (old, new) = (record(Some(&a), "{}"), record(Some(&b), "{}"));
    let [created, replaced, touched] = ["c", "r", "t"].map(|end| format!("{key}{end}"));
    store.create(&created, &old, millis(short), false).await?;
    store.create(&replaced, &old, LONG, false).await?;
    let written = store.replace(&replaced, Some(&a), &new, millis(short)).await;
    gives("`replace` with the expected write ID", written, Done)?;
    store.create(&touched, &old, LONG, false).await?;
    gives("`touch` of what is there", store.touch(&touched, millis(short)).await, true)?;
    for key in [&created, &replaced, &touched] {
        expires(&store, key, short).await?;
    }
    let late = store.replace(&created, Some(&a), &new, LONG).await;
    gives("`replace` of what has expired", late, Gone)?;
    gives("`remove` of what has expired", store.remove(&replaced, Some(&b)).await, Gone)?;
    gives("`touch` of what has expired", store.touch(&touched, LONG).await, false)?;
    for key in [&created, &replaced, &touched] {
        let promise = "what has expired does not come back but by `create`";
        gives(promise, store.read(key).await, None)?;
        let again = store.create(key, &new, LONG, false).await;
        gives("`create` where a record has expired", again, true)?;
        gives("`read` of what was created", store.read(key).await, Some(new.clone()))?;
        store.remove(key, Some(&b)).await?;
    }
    Ok(())
}

/// `touch` restarts the TTL, and changes nothing else.
///
/// # Errors
/// [`Broken`]
pub async fn touch_gives_a_new_life<S: Store>(store: S) -> Result<(), Broken> {
    let a = write_id('A');
    // If the machine is too busy for the shortest TTL, a longer one leaves more time.
    for life in [250, 2_000, 10_000].map(Duration::from_millis) {
        let (key, text) = (fresh_key(), record(Some(&a), r#"{"n":1}"#));
        let watch = clock::Stopwatch::start();
        store.create(&key, &text, millis(life), false).await?;
        let touched = store.touch(&key, LONG).await?;
        if !touched && watch.elapsed() >= life {
            continue;
        }
        keeps("`touch` of what is there answers `true`", touched)?;
        clock::pause(2 * life).await;
        let promise = "a record that was touched is there as long as `touch` said, as it was";
        gives(promise, store.read(&key).await, Some(text))?;
        return gives("`touch` leaves the write ID", store.remove(&key, Some(&a)).await, Done);
    }
    Err(Broken("the store took seconds for a `create` and a `touch`".to_owned()))
}

/// With [`Ttl::Infinite`] the store chooses the TTL: the record neither expires at once nor is refused.
///
/// # Errors
/// [`Broken`]
pub async fn a_record_without_an_end_is_kept<S: Store>(store: S) -> Result<(), Broken> {
    let (key, a, b) = (fresh_key(), write_id('A'), write_id('B'));
    let (old, new) = (record(Some(&a), "{}"), record(Some(&b), "{}"));
    for life in [Ttl::Infinite, Ttl::Millis(u64::MAX)] {
        let created = store.create(&key, &old, life, false).await;
        gives("`create` for a life without an end", created, true)?;
        gives("`read` of what has no end", store.read(&key).await, Some(old.clone()))?;
        let replaced = store.replace(&key, Some(&a), &new, life).await;
        gives("`replace` for a life without an end", replaced, Done)?;
        gives("`touch` for a life without an end", store.touch(&key, life).await, true)?;
        gives("`read` of what has no end", store.read(&key).await, Some(new.clone()))?;
        gives("`remove` of what has no end", store.remove(&key, Some(&b)).await, Done)?;
    }
    Ok(())
}

/// A TTL of 0 has already passed: nothing is stored, and a replaced record is gone.
///
/// # Errors
/// [`Broken`]
pub async fn a_life_of_nothing_stores_nothing<S: Store>(store: S) -> Result<(), Broken> {
    let (key, a, b, over) = (fresh_key(), write_id('A'), write_id('B'), Ttl::Millis(0));
    let (old, new) = (record(Some(&a), "{}"), record(Some(&b), "{}"));
    let created = store.create(&key, &old, over, false).await;
    gives("`create` for a life of 0 where there is nothing", created, true)?;
    gives("`create` for a life of 0 stores nothing", store.read(&key).await, None)?;
    store.create(&key, &old, LONG, false).await?;
    let wrong = store.replace(&key, Some(&b), &new, over).await;
    gives("`replace` for a life of 0 with another write ID", wrong, Conflict)?;
    let replaced = store.replace(&key, Some(&a), &new, over).await;
    gives("`replace` for a life of 0 with the expected write ID", replaced, Done)?;
    gives("after `replace` for a life of 0", store.read(&key).await, None)?;
    store.create(&key, &old, LONG, false).await?;
    gives("`touch` for a life of 0", store.touch(&key, over).await, true)?;
    gives("after `touch` for a life of 0", store.read(&key).await, None)
}
