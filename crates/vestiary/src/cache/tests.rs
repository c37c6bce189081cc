use alloc::format;

use super::*;

fn at(millis: u64) -> Moment {
    Moment { now: UnixMillis(millis), elapsed: millis * 1_000 }
}

/// Reads a record and adds it, at once.
fn add(cache: &mut NearCache, key: &str, text: &str, millis: u64) {
    let reading = cache.reading(key, key, at(millis));
    cache.put(key, text, reading);
}

fn text(cache: &mut NearCache, key: &str, millis: u64) -> Option<alloc::string::String> {
    cache.get(key, 1_000, at(millis)).map(|(text, _)| text.into())
}

#[test]
fn an_entry_ends_by_whichever_clock_is_further() {
    let mut cache = NearCache::new(10);
    add(&mut cache, "a", "1", 5_000);
    assert!(text(&mut cache, "a", 5_999).is_some());
    assert!(text(&mut cache, "a", 6_000).is_none());
    let moment = |now, elapsed| Moment { now: UnixMillis(now), elapsed };
    // The wall clock was set back; the monotonic clock has stopped; each has gone on alone.
    for wrong in [(4_999, 5_000_000), (5_000, 4_999_999), (6_000, 5_000_000), (5_000, 6_000_000)] {
        assert!(cache.get("a", 1_000, moment(wrong.0, wrong.1)).is_none(), "{wrong:?}");
    }
    assert!(cache.get("a", 1_000, moment(5_999, 5_999_999)).is_some());
}

#[test]
fn a_hit_makes_no_entry_younger() {
    let mut cache = NearCache::new(10);
    add(&mut cache, "a", "1", 0);
    for millis in (0..1_000).step_by(100) {
        let hit = cache.get("a", 1_000, at(millis));
        assert_eq!(hit.map(|(text, ticket)| (text, ticket.read)), Some(("1", UnixMillis(0))));
    }
    assert!(text(&mut cache, "a", 1_000).is_none());
}

#[test]
fn a_change_drops_the_entry_and_the_reads_under_way() {
    for how in ["by its key", "by its name", "with all others"] {
        let change = |cache: &mut NearCache| match how {
            "by its key" => cache.changed("a"),
            "by its name" => cache.changed("name of a"),
            _ => cache.clear(),
        };
        let mut cache = NearCache::new(1_000);
        let reading = cache.reading("a", "name of a", at(0));
        cache.put("a", "1", reading);
        let other = cache.reading("b", "b", at(0));
        cache.put("b", "2", other);
        let under_way = cache.reading("a", "name of a", at(1));
        change(&mut cache);
        assert!(text(&mut cache, "a", 2).is_none(), "{how}");
        assert_eq!(text(&mut cache, "b", 2).is_some(), how != "with all others");
        cache.put("a", "1", under_way);
        assert!(text(&mut cache, "a", 2).is_none(), "{how}");
        let later = cache.reading("a", "name of a", at(2));
        cache.put("a", "3", later);
        assert_eq!(text(&mut cache, "a", 3).as_deref(), Some("3"), "{how}");
    }
}

/// A cache with the entries `a` and `list`, which were read at 0 and 10.
fn with_list() -> NearCache {
    let mut cache = NearCache::new(64);
    for (key, name, millis) in [("a", "name of a", 0), ("list", "name of list", 10)] {
        let reading = cache.reading(key, name, at(millis));
        cache.put(key, key, reading);
    }
    cache
}

/// A ticket for both entries.
fn ticket(cache: &mut NearCache, at: Moment) -> Ticket {
    let [record, list] = ["a", "list"].map(|key| cache.get(key, 1_000, at).unwrap().1);
    record.and(list)
}

type Change<'a> = &'a dyn Fn(&mut NearCache, &str);

#[test]
fn a_ticket_holds_until_one_of_its_entries_changes_or_is_dropped() {
    let again = |cache: &mut NearCache, key: &str| {
        add(cache, key, "newer", 20);
    };
    let changes: [Change<'_>; 5] = [
        &|cache, key| cache.changed(key),
        &|cache, key| cache.changed(&format!("name of {key}")),
        &|cache, _| cache.clear(),
        &again,
        &|cache, key| cache.evict(cache.slot(key)),
    ];
    for (place, change) in changes.iter().enumerate() {
        for key in ["a", "list"] {
            let mut cache = with_list();
            let ticket = ticket(&mut cache, at(15));
            cache.changed("other");
            again(&mut cache, "another");
            assert!(cache.holds(&ticket, [5.0; 2]), "{place}");
            change(&mut cache, key);
            assert!(!cache.holds(&ticket, [5.0; 2]), "{place}");
        }
    }
}

#[test]
fn a_ticket_ends_with_its_first_entry_by_whichever_clock_is_further() {
    let mut cache = with_list();
    let moment = |now, elapsed| Moment { now: UnixMillis(now), elapsed };
    let since = moment(400, 400_700);
    let ticket = ticket(&mut cache, since);
    assert_eq!((ticket.read, ticket.left), (UnixMillis(0), 599_300));
    assert_eq!(ticket.last(since.now), UnixMillis(999));
    for (age, elapsed, expected) in [
        (0.0, 0.0, true),
        (599.0, 599.299, true),
        (599.0, 599.3, false),
        (600.0, 0.0, false),
        // A clock was set back.
        (-1.0, 0.0, false),
        (0.0, -0.001, false),
        (f64::NAN, 0.0, false),
    ] {
        assert_eq!(cache.holds(&ticket, [age, elapsed]), expected, "{age} {elapsed}");
    }
    let one = cache.get("list", 1_000, since).unwrap().1;
    assert_eq!((one.read, one.left), (UnixMillis(10), 609_300));
    assert_eq!(cache.get("list", u64::MAX, since).unwrap().1.left, u32::MAX);
}

#[test]
fn the_later_of_two_reads_counts() {
    let mut cache = NearCache::new(10);
    let [early, late] = [at(1), at(2)].map(|at| cache.reading("a", "a", at));
    cache.put("a", "late", late);
    cache.put("a", "early", early);
    assert_eq!(text(&mut cache, "a", 3).as_deref(), Some("late"));
    // An entry that answers no longer is in no one's way.
    cache.changed("a");
    add(&mut cache, "a", "again", 1);
    assert_eq!(text(&mut cache, "a", 3).as_deref(), Some("again"));
    assert_eq!(cache.len(), 1);
}

#[test]
fn entries_and_bytes_are_bounded() {
    let mut cache = NearCache::new(16);
    for number in 0..1_000 {
        let key = format!("key {number}");
        let reading = cache.reading(&key, &key, at(0));
        cache.put(&key, &"x".repeat(number * 5), reading);
        assert!(cache.len() <= 16);
        let entries = cache.slots.iter().filter_map(|slot| slot.entry.as_ref());
        let sizes = entries.map(|entry| OVERHEAD + entry.text.len());
        assert_eq!(cache.bytes, sizes.clone().sum::<usize>());
        assert_eq!(cache.count, sizes.count());
        assert!(cache.bytes <= 16 * BYTES);
    }
    let huge = "x".repeat(16 * BYTES);
    let reading = cache.reading("huge", "huge", at(0));
    cache.put("huge", &huge, reading);
    assert!(text(&mut cache, "huge", 0).is_none());
    assert!(!cache.is_empty());
}

#[test]
fn entries_that_answer_no_longer_are_freed() {
    let mut cache = NearCache::new(1_000);
    for number in 0..500 {
        let key = format!("key {number}");
        add(&mut cache, &key, "{}", 0);
    }
    let later = constants::LONGEST_STALE.into();
    // Each looks at a few of the slots, of which there are 16,384.
    for _ in 0..256 {
        add(&mut cache, "another", "{}", later);
    }
    assert_eq!(cache.len(), 1);
}

#[test]
fn nothing_of_a_session_is_shown() {
    let mut cache = NearCache::new(10);
    let reading = cache.reading("secret key", "", at(0));
    cache.put("secret key", "secret text", reading);
    assert_eq!(format!("{cache:?}"), "NearCache { entries: 1, .. }");
}

#[test]
fn few_entries_share_a_slot() {
    let mut cache = NearCache::new(10_000);
    for n in 0..1_000 {
        let key = format!("sid{n}");
        add(&mut cache, &key, "{}", 1);
    }
    // With two slots for each entry, 15 of them were evicted.
    assert!(cache.len() >= 997, "{}", cache.len());
}

#[test]
fn the_table_has_the_size_that_the_documentation_says() {
    let bytes = |most| NearCache::new(most).slots.len() * size_of::<Slot>();
    assert_eq!([10_000, 1_000_000].map(bytes), [4 << 20, 32 << 20]);
}
