//! The operations on records and lists on random schedules: requests of one visitor, interleaved at each call to the
//! store, with crashes, lost replies, lost and late requests, and stale reads.
//!
//! The operations are those of both products. Each is a [`Pending`](vestiary::protocol::Pending): the scheduler decides
//! which one continues, and a dying process drops its operation.
//!
//! Everything follows from a seed, which a failure prints: `SEED=… cargo test --test schedules`. `SCHEDULES` sets the
//! number of schedules.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

#[path = "schedules/bound.rs"]
mod bound;
#[path = "schedules/chance.rs"]
mod chance;
#[path = "schedules/checks.rs"]
mod checks;
#[path = "schedules/device.rs"]
mod device;
#[cfg(feature = "seeded-faults")]
#[path = "schedules/faults.rs"]
mod faults;
#[path = "schedules/lists.rs"]
mod lists;
#[path = "schedules/logins.rs"]
mod logins;
#[path = "schedules/near.rs"]
mod near;
#[path = "schedules/operations.rs"]
mod operations;
#[path = "schedules/play.rs"]
mod play;
#[path = "schedules/process.rs"]
mod process;
#[path = "schedules/provider.rs"]
mod provider;
#[path = "schedules/store.rs"]
mod store;
#[path = "schedules/texts.rs"]
mod texts;

use std::{collections::BTreeMap, env};

use chance::Seeds;
use play::Schedule;
use store::Kin;

#[test]
fn an_atomic_store_loses_nothing_and_nothing_comes_back() {
    let faults = run(Kin::Atomic);
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_checks_find_what_an_upserting_store_does() {
    let faults = run(Kin::Upsert);
    assert!(faults.contains_key("an ended session is back"), "{faults:#?}");
    assert!(faults.contains_key("an acknowledged change is lost"), "{faults:#?}");
}

#[test]
fn the_checks_find_what_writes_without_versions_do() {
    let faults = run(Kin::OnlyIfThere);
    assert!(faults.contains_key("an acknowledged change is lost"), "{faults:#?}");
}

#[test]
fn the_checks_find_what_reading_before_removing_does() {
    let faults = run(Kin::ReadThenRemove);
    assert!(faults.contains_key("an ended session is back"), "{faults:#?}");
}

#[test]
fn the_checks_find_what_touches_without_versions_do() {
    let faults = run(Kin::TouchesAny);
    assert!(faults.contains_key("a tombstone was given more life"), "{faults:#?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..64 {
        assert_eq!(
            Schedule::new(seed, Kin::Atomic).trace(),
            Schedule::new(seed, Kin::Atomic).trace()
        );
    }
}

/// Runs the schedules. Returns for each kind of fault the first seed that finds it, and how many do.
fn run(kin: Kin) -> BTreeMap<&'static str, (u64, usize)> {
    let Seeds { count, range, .. } = Seeds::of_environment();
    let mut faults = BTreeMap::new();
    let mut asks = 0;
    for seed in range {
        let mut schedule = Schedule::new(seed, kin);
        schedule.play();
        asks += schedule.asks;
        if env::var("SEED").is_ok() {
            println!("{:?}\n{}", schedule.wants, schedule.log.join("\n"));
        }
        for fault in schedule.faults() {
            let (_, times) = faults.entry(fault).or_insert((seed, 0));
            *times += 1;
        }
    }
    println!("{kin:?}: {count} schedules, {asks} requests to the store: {faults:?}");
    faults
}
