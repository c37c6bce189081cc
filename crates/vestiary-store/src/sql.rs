#[cfg(any(feature = "sqlite", feature = "mysql"))]
use std::time::Duration;

use crate::{StoreError, failure::Failure};
#[cfg(any(feature = "sqlite", feature = "mysql"))]
use crate::{
    clock::{self, Stopwatch},
    failure::of_sqlx,
    sessions::entropy,
};

/// The default table.
pub(crate) const TABLE: &str = "sessions";

/// The number of expired records that one sweep removes: few, so that no request is slow.
pub(crate) const SWEEP: u32 = 20;

/// The time for which a statement is retried that the database has not run. Its own timeout would go on after the request
/// has given up, hold a connection, and write in the end.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest pause between two attempts.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
const PAUSE: Duration = Duration::from_millis(50);

/// The write ID of a record, as an SQL expression; `''` without one. It implements [`write_id_of`](crate::write_id_of).
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) const WRITE_ID: &str = r#"CASE
    WHEN substr(record, 1, 6) = '{"v":"' AND substr(record, 23, 1) = '"' THEN substr(record, 7, 16)
    WHEN substr(record, 1, 16) = '{"cookie":{"v":"' AND substr(record, 33, 1) = '"' THEN substr(record, 17, 16)
    ELSE '' END"#;

/// Validates a table name that is inserted into statements unquoted.
pub(crate) fn table(name: &str) -> Result<&str, StoreError> {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.len() > LONGEST_NAME
        || !name.bytes().all(named)
        || name.bytes().next().is_none_or(|first| first.is_ascii_digit())
    {
        return Err(Failure::error(format!(
            "the name of the table must be {LONGEST_NAME} letters, digits and `_` at most, not beginning with a \
             digit"
        )));
    }
    Ok(name)
}

/// An upper bound of all keys that begin with the prefix, where text is compared by its bytes.
pub(crate) fn after_all(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

/// Runs a statement, and retries it while its error says that other writers were in the way and that it did nothing.
/// Nothing is in progress between two attempts, so giving up then means that nothing was done.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) async fn patiently<T, F>(
    run: impl Fn() -> F,
    is_in_the_way: fn(&sqlx::Error) -> bool,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let watch = Stopwatch::start();
    let mut pause = Duration::from_millis(1);
    loop {
        match run().await {
            Err(error) if is_in_the_way(&error) && watch.elapsed() < PATIENCE => {
                let [byte] = entropy().unwrap_or_default();
                // Jitter, so that several waiting writers do not return at once.
                clock::pause(pause * (256 + u32::from(byte)) / 512).await;
                pause = (pause * 2).min(PAUSE);
            }
            answer => return answer.map_err(of_sqlx),
        }
    }
}

/// Postgres truncates names to 63 characters, and the index is named after the table.
const LONGEST_NAME: usize = 54;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_plain_name() {
        for name in ["sessions", "_a1", &"x".repeat(54)] {
            assert_eq!(table(name).unwrap(), name);
        }
        for name in ["", "1a", "a-b", "a b", "a\"", "a;b", "é", "a.b", &"x".repeat(55)] {
            assert!(table(name).is_err(), "{name}");
        }
    }
}
