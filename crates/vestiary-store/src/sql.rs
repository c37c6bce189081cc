use crate::{StoreError, failure::Failure};

/// The default table.
pub(crate) const TABLE: &str = "sessions";

/// The number of expired records that one sweep removes: few, so that no request is slow.
pub(crate) const SWEEP: u32 = 20;

/// The write ID of a record, as an SQL expression; `''` without one. It implements [`write_id_of`](crate::write_id_of).
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
