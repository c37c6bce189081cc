//! The memory store keeps the promises of `Store` and `Scan`.

#![allow(clippy::missing_docs_in_private_items, clippy::unwrap_used, reason = "a test may fail")]

use vestiary::{MemoryLimits, Ttl, UnixMillis};
use vestiary_store::{AnyStore, MemoryStore, Scan as _, Store, StoreError, conformance_tests};

mod in_parts {
    use super::*;

    async fn store() -> MemoryStore {
        MemoryStore::default()
    }

    conformance_tests!(store);
    conformance_tests!(scan store);
}

mod in_one_part {
    use super::*;

    async fn store() -> MemoryStore {
        MemoryStore::new(MemoryLimits { entries: 1_000, ..MemoryLimits::default() })
    }

    conformance_tests!(store);
    conformance_tests!(scan store);
}

mod as_a_store_of_any_kind {
    use super::*;

    async fn store() -> AnyStore {
        AnyStore::new(MemoryStore::default())
    }

    conformance_tests!(store);
}

/// The number of users' sessions that fit into a store with these limits: all of the same size, among many more.
async fn capacity(limits: MemoryLimits) -> usize {
    let store = MemoryStore::new(limits);
    assert!(store.is_empty());
    let mut stored = 0;
    for number in 0..20_000 {
        match store.create(&format!("{number:032}"), &"x".repeat(100), Ttl::Infinite, true).await {
            Ok(created) => stored += usize::from(created),
            Err(error) => assert!(matches!(error, StoreError::Full(_)), "{error}"),
        }
    }
    assert_eq!((store.len(), store.is_empty()), (stored, false));
    stored
}

#[tokio::test]
async fn a_store_in_one_part_holds_as_many_as_it_may_and_one_in_parts_an_eighth_more() {
    let entries = |entries| MemoryLimits { entries, ..MemoryLimits::default() };
    assert_eq!(capacity(entries(1)).await, 1);
    assert_eq!(capacity(entries(4_095)).await, 4_095);
    assert_eq!(capacity(entries(4_096)).await, 4_096 / 8 * 9);
}

#[tokio::test]
async fn the_bytes_of_a_store_are_divided_among_its_parts_as_its_entries_are() {
    let one = MemoryLimits { entries: 1_000, bytes: 11_250, ..MemoryLimits::default() };
    let parts = MemoryLimits { entries: 1_000_000, bytes: 640_000, ..MemoryLimits::default() };
    let in_one = capacity(one).await;
    assert!((10..100).contains(&in_one), "{in_one}");
    assert_eq!(capacity(parts).await, in_one * 64);
}

#[tokio::test]
async fn a_store_of_any_kind_has_the_clock_and_the_default_ttl_of_its_store() {
    let limits = MemoryLimits { default_ttl: 5_000, ..MemoryLimits::default() };
    let store = AnyStore::new(MemoryStore::with_clock(limits, || UnixMillis(7)));
    assert_eq!(store.now("key").await.unwrap(), Some(UnixMillis(7)));
    assert_eq!(store.default_ttl(), Ttl::Millis(5_000));
    assert!(!store.resends());
    assert_eq!(format!("{store:?}"), "AnyStore { .. }");
}

#[tokio::test]
async fn a_scan_ends_with_the_last_part() {
    for (entries, parts) in [(1_000, 1), (1_000_000, 64)] {
        let store = MemoryStore::new(MemoryLimits { entries, ..MemoryLimits::default() });
        let mut pages = 0;
        let mut at = None;
        loop {
            let page = store.scan(at.as_ref(), 10).await.unwrap();
            pages += 1;
            at = page.next;
            if at.is_none() {
                break;
            }
        }
        assert_eq!(pages, parts);
    }
}

#[tokio::test]
async fn an_entry_shows_neither_its_key_nor_its_record_and_says_whether_it_is_text() {
    let store = MemoryStore::default();
    for (record, is_text) in [("canary", true), ("\u{fffd}", false)] {
        store.create("secret", record, Ttl::Millis(60_000), false).await.unwrap();
        let entry = store.entry("secret").await.unwrap().unwrap();
        assert_eq!(entry.is_text(), is_text);
        let shown = format!("{entry:?}");
        assert!(shown.starts_with("Entry { ttl: Millis("), "{shown}");
        assert!(!shown.contains("secret") && !shown.contains("canary"), "{shown}");
        store.remove("secret", None).await.unwrap();
    }
}

#[test]
fn debug_output_shows_how_many_records_there_are() {
    assert_eq!(format!("{:?}", MemoryStore::default()), "MemoryStore { len: 0, .. }");
}
