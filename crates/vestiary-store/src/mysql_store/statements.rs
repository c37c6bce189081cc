use crate::sql::{MOST_KEYS, SWEEP};

/// The statements on one table.
pub(super) struct Statements {
    pub(super) table: String,
    pub(super) read: String,
    pub(super) read_two: String,
    pub(super) insert: String,
    pub(super) revive: String,
    pub(super) replace: String,
    pub(super) touch: String,
    pub(super) touch_if: String,
    pub(super) remove: String,
    pub(super) now: String,
    pub(super) expired: String,
    pub(super) sweep: String,
    pub(super) scan: String,
    pub(super) entry: String,
    /// The beginning of [`write_ids`](Self::write_ids).
    written: String,
}

/// The numbers of keys in a question about write IDs: the server prepares a statement for each.
pub(super) const SIZES: [usize; 3] = [8, 64, MOST_KEYS];

/// The beginning of a statement that first waits for the writes of the other servers in a cluster. Otherwise a server
/// could read a session that another one has ended, and not find one that another one has created. Only MariaDB
/// reads such a comment.
pub(super) const CAUSAL: &str = "/*M! SET STATEMENT wsrep_sync_wait = 7 FOR */ ";

/// Now, in milliseconds. The time zone of the connection has no influence; with a local time, an hour of each autumn
/// would be ambiguous.
const NOW: &str = "(TIMESTAMPDIFF(MICROSECOND, MAKEDATE(1970, 1), UTC_TIMESTAMP(3)) DIV 1000)";

/// The write ID of a record, as an SQL expression. The literals are the bytes of `{"v":"`, `{"cookie":{"v":"`, `"` and
/// `-`: no character set, collation or `sql_mode` has an influence on the comparison.
const WRITE_ID: &str = "CASE
    WHEN LEFT(record, 6) = X'7B2276223A22' AND SUBSTRING(record, 23, 1) = X'22' THEN SUBSTRING(record, 7, 16)
    WHEN LEFT(record, 16) = X'7B22636F6F6B6965223A7B2276223A22' AND SUBSTRING(record, 33, 1) = X'22'
    THEN SUBSTRING(record, 17, 16) ELSE X'2D' END";

impl Statements {
    /// The statements on this table, each with this beginning.
    pub(super) fn of(name: &str, begin: &str) -> Self {
        let table = format!("`{name}`");
        // In a small table, a server may otherwise read all rows, and wait for those that others have locked.
        let by_key = format!("{table} FORCE INDEX (PRIMARY)");
        let present = format!("`key` = ? AND expires > {NOW}");
        let expected = format!("{present} AND {WRITE_ID} = ?");
        // A write always changes the row, by a millisecond if need be: some connections count the rows that a statement
        // has changed, and others those that it has found.
        let expires = format!("expires = {NOW} + ? + (expires = {NOW} + ?)");
        let keys = vec!["?"; SWEEP as usize].join(", ");
        let entry = format!("{begin}SELECT `key`, record, expires - {NOW} FROM {table}");
        Self {
            table: name.to_owned(),
            read: format!("{begin}SELECT record FROM {table} WHERE {present}"),
            read_two: format!(
                "{begin}SELECT `key`, record FROM {by_key} WHERE `key` IN (?, ?) AND expires > {NOW}"
            ),
            insert: format!(
                "{begin}INSERT INTO {table} (`key`, record, expires) VALUES (?, ?, {NOW} + ?)"
            ),
            revive: format!(
                "{begin}UPDATE {table} SET record = ?, {expires} WHERE `key` = ? AND expires <= {NOW}"
            ),
            replace: format!("{begin}UPDATE {table} SET record = ?, {expires} WHERE {expected}"),
            touch: format!("{begin}UPDATE {table} SET {expires} WHERE {present}"),
            touch_if: format!("{begin}UPDATE {table} SET {expires} WHERE {expected}"),
            remove: format!("{begin}DELETE FROM {table} WHERE {expected}"),
            now: format!("{begin}SELECT {NOW}"),
            expired: format!(
                "SELECT `key` FROM {table} WHERE expires <= {NOW} ORDER BY expires LIMIT {SWEEP}
                FOR UPDATE SKIP LOCKED"
            ),
            sweep: format!(
                "DELETE old FROM {table} AS old FORCE INDEX (PRIMARY)
                WHERE `key` IN ({keys}) AND expires <= {NOW}"
            ),
            scan: format!(
                "{entry} WHERE `key` > ? AND `key` < ? AND expires > {NOW} ORDER BY `key` LIMIT ?"
            ),
            entry: format!("{entry} WHERE {present}"),
            written: format!("{begin}SELECT `key`, {WRITE_ID} FROM {by_key} WHERE `key` IN"),
        }
    }

    /// Reads the write IDs of so many keys.
    pub(super) fn write_ids(&self, size: usize) -> String {
        format!("{} ({})", self.written, vec!["?"; size].join(", "))
    }
}
