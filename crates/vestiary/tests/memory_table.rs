//! The table of the memory stores: unexpired records, and the exact limits.

#![allow(clippy::missing_docs_in_private_items, clippy::unwrap_used, reason = "a test may fail")]

use vestiary::{MemoryLimits, MemoryTable, Outcome, Ttl, UnixMillis};

const NOW: UnixMillis = UnixMillis(1_000);
const WRITE_ID: &str = "AAAAAAAAAAAAAAAA";
const RECORD: &str = r#"{"v":"AAAAAAAAAAAAAAAA","data":{}}"#;

fn table(bytes: usize) -> MemoryTable {
    MemoryTable::new(MemoryLimits { entries: 10, bytes, default_ttl: 5_000 })
}

/// Bytes that a record under a key of one character counts.
fn bytes_of(record: &str) -> usize {
    let mut table = table(1 << 20);
    table.set("a", record, Ttl::Infinite, NOW).unwrap();
    table.bytes()
}

#[test]
fn only_a_touch_with_the_write_id_of_the_record_prolongs_it() {
    for (write_id, outcome, lives) in
        [(Some(WRITE_ID), Outcome::Done, true), (None, Outcome::Conflict, false)]
    {
        let mut table = table(1 << 20);
        assert!(table.is_empty());
        table.set("a", RECORD, Ttl::Millis(10), NOW).unwrap();
        assert!(!table.is_empty());
        assert_eq!(table.touch_by_write_id("a", write_id, Ttl::Millis(100), NOW), outcome);
        assert_eq!(table.get("a", UnixMillis(1_050)).is_some(), lives);
    }
}

#[test]
fn expired_records_are_not_listed() {
    let mut table = table(1 << 20);
    table.set("a", RECORD, Ttl::Millis(10), NOW).unwrap();
    table.set("b", RECORD, Ttl::Millis(20), NOW).unwrap();
    let listed =
        |now| table.iter(UnixMillis(now)).map(|(key, _, ttl)| (key, ttl)).collect::<Vec<_>>();
    assert_eq!(listed(1_009), [("a", Ttl::Millis(1)), ("b", Ttl::Millis(11))]);
    assert_eq!(listed(1_010), [("b", Ttl::Millis(10))]);
    assert_eq!(listed(1_020), []);
    assert_eq!(
        format!("{table:?}"),
        format!("MemoryTable {{ entries: 2, bytes: {}, .. }}", table.bytes())
    );
}

#[test]
fn a_record_that_fits_exactly_is_stored_and_replaced_and_takes_the_place_of_anonymous_ones() {
    let bytes = bytes_of(RECORD);
    let mut exact = table(bytes);
    let stored = exact.create("a", RECORD, Ttl::Infinite, false, NOW);
    assert_eq!(stored, Ok(Outcome::Done));
    assert_eq!(exact.replace("a", Some(WRITE_ID), RECORD, Ttl::Infinite, NOW), Ok(Outcome::Done));
    assert!(exact.create("b", RECORD, Ttl::Infinite, false, NOW).is_err());
    // A user's session of the same size.
    assert_eq!(exact.create("b", RECORD, Ttl::Infinite, true, NOW), Ok(Outcome::Done));
    assert_eq!((exact.len(), exact.get("a", NOW)), (1, None));
    assert!(exact.create("c", RECORD, Ttl::Infinite, true, NOW).is_err());
    assert!(table(bytes - 1).create("a", RECORD, Ttl::Infinite, true, NOW).is_err());
}
