use std::string::ToString as _;

use super::*;

const T0: UnixMillis = UnixMillis(1_700_000_000_000);

fn table(entries: usize, bytes: usize) -> MemoryTable {
    MemoryTable::new(MemoryLimits { entries, bytes, default_ttl: 5_000 })
}

#[test]
fn expiry_frees() {
    let mut table = table(10_000, 1 << 24);
    for n in 0..1_000u64 {
        table.set(&n.to_string(), "{}", Ttl::Millis(1 + n), T0).unwrap();
    }
    table.set("forever", "{}", Ttl::Infinite, T0).unwrap();
    assert_eq!(table.len(), 1_001);
    // Calls free them, also those about another key.
    for _ in 0..2 * 1_001 / LOOKS {
        assert_eq!(table.get("none", T0.plus(1_000)), None);
    }
    assert_eq!((table.len(), table.bytes()), (1, cost("forever{}".len())));
    table.sweep(T0.plus(5_000));
    assert_eq!((table.len(), table.bytes()), (0, 0));
}

#[test]
fn expired_records_are_missing_whatever_the_position_of_the_sweep() {
    let mut table = table(1_000, 1 << 20);
    for n in 0..100u64 {
        let ttl = if n == 50 { Ttl::Millis(10) } else { Ttl::Infinite };
        table.set(&n.to_string(), "{}", ttl, T0).unwrap();
    }
    table.hand = 0;
    assert_eq!(table.get("50", T0.plus(10)), None);
    assert_eq!(table.len(), 99);
}

#[test]
fn touch_extends_and_never_creates() {
    let mut table = table(10, 1 << 20);
    assert!(!table.touch("sid", Ttl::Millis(50), T0));
    assert!(table.is_empty());
    table.set("sid", "{}", Ttl::Millis(10), T0).unwrap();
    assert!(table.touch("sid", Ttl::Millis(50), T0.plus(9)));
    assert_eq!(table.get("sid", T0.plus(58)), Some("{}"));
    assert_eq!(table.get("sid", T0.plus(59)), None);
    assert!(!table.touch("sid", Ttl::Millis(50), T0.plus(59)));
}

#[test]
fn a_record_does_not_exist_after_its_ttl() {
    let mut table = table(10, 1 << 20);
    table.set("sid", "{}", Ttl::Millis(10), T0).unwrap();
    table.set("sid", "{}", Ttl::Millis(0), T0).unwrap();
    assert!(table.is_empty());
    table.set("sid", "{}", Ttl::Millis(10), T0).unwrap();
    assert!(table.touch("sid", Ttl::Millis(0), T0));
    assert!(table.is_empty());
}

#[test]
fn a_full_table_refuses_what_is_new_and_keeps_what_it_has() {
    let mut table = table(2, 1_000);
    table.set("a", "1", Ttl::Infinite, T0).unwrap();
    table.set("b", "1", Ttl::Infinite, T0).unwrap();
    let full = table.set("c", "1", Ttl::Infinite, T0);
    assert_eq!(full, Err(Error::StoreFull { limit: 2, unit: "entries" }));
    table.set("a", "2", Ttl::Infinite, T0).unwrap();
    let full = table.set("a", &"x".repeat(1_000), Ttl::Infinite, T0);
    assert_eq!(full, Err(Error::StoreFull { limit: 1_000, unit: "bytes" }));
    assert_eq!(table.get("a", T0), Some("2"));
    // What expires makes room.
    assert_eq!(table.set("c", "1", Ttl::Infinite, T0.plus(5_000)), Ok(()));
}

#[test]
fn a_flood_of_a_full_table_does_not_make_it_slow() {
    let mut table = table(1_000, 1 << 24);
    for n in 0..1_000 {
        table.set(&n.to_string(), "{}", Ttl::Infinite, T0).unwrap();
    }
    assert!(table.set("c", "1", Ttl::Infinite, T0.plus(10)).is_err());
    assert_eq!(table.swept, T0.plus(10));
    assert!(table.set("c", "1", Ttl::Infinite, T0.plus(20)).is_err());
    assert_eq!(table.swept, T0.plus(10), "swept again within the same second");
}

#[test]
fn a_recreated_record_is_not_expired_by_its_former_ttl() {
    let mut table = table(10, 1 << 20);
    table.set("sid", "1", Ttl::Millis(10), T0).unwrap();
    table.remove("sid");
    table.set("sid", "2", Ttl::Millis(50), T0).unwrap();
    assert_eq!(table.get("sid", T0.plus(10)), Some("2"));
}

#[test]
fn a_clock_that_steps_back_revives_nothing() {
    let mut table = table(10, 1 << 20);
    table.set("sid", "{}", Ttl::Millis(10), T0).unwrap();
    assert_eq!(table.get("sid", T0.plus(10)), None);
    assert_eq!(table.get("sid", T0), None);
}

const MARKED: &str = r#"{"v":"AAAAAAAAAAAAAAAA","data":{}}"#;
const OTHER: &str = r#"{"cookie":{"v":"BBBBBBBBBBBBBBBB"},"n":1}"#;
const TTL: Ttl = Ttl::Millis(100);

#[test]
fn conditional_writes_compare_write_ids_and_never_create() {
    let mut table = MemoryTable::new(MemoryLimits::default());
    let now = UnixMillis(0);
    let [a, b] = ["A", "B"].map(|letter| letter.repeat(16));
    let (a, b) = (Some(a.as_str()), Some(b.as_str()));
    assert_eq!(table.replace("k", a, MARKED, TTL, now), Ok(Outcome::Gone));
    assert_eq!(table.remove_by_write_id("k", a, now), Outcome::Gone);
    assert_eq!(table.len(), 0);
    assert_eq!(table.create("k", MARKED, TTL, false, now), Ok(Outcome::Done));
    assert_eq!(table.create("k", OTHER, TTL, false, now), Ok(Outcome::Conflict));
    assert_eq!(table.get("k", now), Some(MARKED));
    for wrong in [b, None, Some("")] {
        assert_eq!(table.replace("k", wrong, OTHER, TTL, now), Ok(Outcome::Conflict));
        assert_eq!(table.remove_by_write_id("k", wrong, now), Outcome::Conflict);
    }
    assert_eq!(table.replace("k", a, OTHER, TTL, now), Ok(Outcome::Done));
    // The write ID of the other shape, and none at all.
    assert_eq!(table.replace("k", b, "{}", TTL, now), Ok(Outcome::Done));
    assert_eq!(table.remove_by_write_id("k", b, now), Outcome::Conflict);
    assert_eq!(table.remove_by_write_id("k", None, now), Outcome::Done);
    assert_eq!((table.len(), table.bytes()), (0, 0));
    // What has expired is not there.
    assert_eq!(table.create("k", MARKED, TTL, false, now), Ok(Outcome::Done));
    assert_eq!(table.replace("k", a, OTHER, TTL, UnixMillis(100)), Ok(Outcome::Gone));
    assert_eq!(table.create("k", OTHER, TTL, false, UnixMillis(100)), Ok(Outcome::Done));
}

#[test]
fn a_flood_of_visitors_neither_prevents_logins_nor_ends_them() {
    let limits = MemoryLimits { entries: 10, ..MemoryLimits::default() };
    let mut table = MemoryTable::new(limits);
    let now = UnixMillis(0);
    for n in 0..3 {
        table.create(&std::format!("user{n}"), MARKED, TTL, true, now).unwrap();
    }
    let admitted = (0..1_000)
        .filter(|n| table.create(&std::format!("bot{n}"), MARKED, TTL, false, now).is_ok())
        .count();
    assert_eq!(admitted, 7);
    // Six more users take the places of bots, and a record that is replaced keeps its place.
    for n in 3..9 {
        let key = std::format!("user{n}");
        assert_eq!(table.create(&key, MARKED, TTL, true, now), Ok(Outcome::Done));
        table.set(&key, OTHER, TTL, now).unwrap();
    }
    assert_eq!(table.create("user9", MARKED, TTL, true, now), Ok(Outcome::Done));
    let full = Error::StoreFull { limit: 10, unit: "entries" };
    assert_eq!(table.create("user10", MARKED, TTL, true, now), Err(full));
    assert!((0..10).all(|n| table.get(&std::format!("user{n}"), now).is_some()));
}

#[test]
fn a_record_of_a_user_that_grows_evicts_anonymous_ones_and_no_other() {
    let large = |n: usize| std::format!(r#"{{"v":"AAAAAAAAAAAAAAAA","data":"{}"}}"#, "x".repeat(n));
    let mut table = table(100, 10_000);
    table.create("user", MARKED, TTL, true, T0).unwrap();
    table.create("other", MARKED, TTL, true, T0).unwrap();
    let mut bots = 0;
    while table.create(&std::format!("bot{bots}"), &large(100), TTL, false, T0).is_ok() {
        bots += 1;
    }
    let write_id = Some("AAAAAAAAAAAAAAAA");
    // An anonymous record is refused, whether it is new or grows.
    assert!(table.replace("bot3", write_id, &large(5_000), TTL, T0).is_err());
    assert_eq!(table.len(), bots + 2);
    assert_eq!(table.replace("user", write_id, &large(5_000), TTL, T0), Ok(Outcome::Done));
    assert!(table.get("other", T0).is_some() && table.len() > 3 && table.bytes() <= 10_000);
    // What does not fit without all of them evicts none of them.
    let left = table.len();
    assert!(table.replace("user", write_id, &large(20_000), TTL, T0).is_err());
    assert!(table.create("third", &large(20_000), TTL, true, T0).is_err());
    assert_eq!(table.len(), left);
    assert_eq!(table.get("user", T0).map(str::len), Some(large(5_000).len()));
    table.set("user", &large(9_500), TTL, T0).unwrap();
    assert_eq!(table.len(), 2);
    assert_eq!((table.owned.entries, table.owned.bytes), (2, table.bytes()));
    table.sweep(T0.plus(100));
    assert_eq!((table.owned.entries, table.owned.bytes, table.bytes()), (0, 0, 0));
}

#[test]
fn a_touch_can_compare_the_write_id() {
    let mut table = table(10, 1 << 20);
    let write_id = Some("AAAAAAAAAAAAAAAA");
    assert_eq!(table.touch_by_write_id("sid", write_id, TTL, T0), Outcome::Gone);
    table.set("sid", MARKED, Ttl::Millis(10), T0).unwrap();
    assert_eq!(table.touch_by_write_id("sid", None, TTL, T0), Outcome::Conflict);
    assert_eq!(table.touch_by_write_id("sid", write_id, TTL, T0), Outcome::Done);
    assert_eq!(table.get("sid", T0.plus(99)), Some(MARKED));
}
