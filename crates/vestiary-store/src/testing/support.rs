use std::{fmt::Debug, time::Duration};

use vestiary::{Ttl, WriteId};

use super::Broken;
use crate::{Store, StoreError, clock};

/// A TTL that outlasts every check.
pub(super) const LONG: Ttl = Ttl::Millis(600_000);

/// A key that was never used.
pub(super) fn fresh_key() -> String {
    let mut bytes = [0; WriteId::ENTROPY];
    // Without randomness, the checks would use each other's keys, and fail visibly.
    let _ = getrandom::fill(&mut bytes);
    format!("test-{}", WriteId::from_entropy(&bytes).as_str())
}

pub(super) fn random() -> u32 {
    getrandom::u32().unwrap_or_default()
}

/// A write ID of one repeated letter.
pub(super) fn write_id(letter: char) -> WriteId {
    let text: String = std::iter::repeat_n(letter, WriteId::LENGTH).collect();
    WriteId::parse(&text).unwrap_or_else(|| WriteId::from_entropy(&[0; WriteId::ENTROPY]))
}

/// A record that has this write ID, or none.
pub(super) fn record(write_id: Option<&WriteId>, data: &str) -> String {
    let write_id =
        write_id.map(|write_id| format!("\"v\":\"{}\",", write_id.as_str())).unwrap_or_default();
    format!("{{{write_id}\"cookie\":{{}},\"data\":{data},\"meta\":{{}}}}")
}

/// Checks a promise.
pub(super) fn keeps(promise: &str, kept: bool) -> Result<(), Broken> {
    if kept { Ok(()) } else { Err(Broken(promise.to_owned())) }
}

/// Checks a promise about an answer.
pub(super) fn gives<T: Debug + PartialEq>(
    promise: &str,
    answer: Result<T, StoreError>,
    expected: T,
) -> Result<(), Broken> {
    let answer = answer?;
    if answer == expected {
        return Ok(());
    }
    let [answer, expected] = [answer, expected].map(|value| short(&value));
    Err(Broken(format!("{promise}: the answer must be {expected}, and was {answer}")))
}

/// Waits until there is no record under a key. Fails if the store took the TTL for another unit.
pub(super) async fn expires<S: Store>(store: &S, key: &str, life: Duration) -> Result<(), Broken> {
    let watch = clock::Stopwatch::start();
    // A slow machine needs longer; a store that counts in seconds would need a thousand times as long.
    loop {
        let late = watch.elapsed() > 20 * life;
        if store.read(key).await?.is_none() {
            return Ok(());
        }
        if late {
            break;
        }
        clock::pause(life / 10).await;
    }
    Err(Broken(format!(
        "a record whose life is over is not there: this one is, long after its {} milliseconds; is that \
         the unit?",
        life.as_millis()
    )))
}

pub(super) fn millis(life: Duration) -> Ttl {
    Ttl::Millis(u64::try_from(life.as_millis()).unwrap_or(u64::MAX))
}

fn short(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    if text.chars().count() <= 120 {
        return text;
    }
    let head: String = text.chars().take(100).collect();
    format!("{head}… ({} characters)", text.chars().count())
}
