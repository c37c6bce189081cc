//! Whole requests of several browsers on random schedules, with their cookies. Sessions are begun, changed, renewed,
//! logged in, logged out and revoked concurrently, with lost replies, a failing store and dying processes. Time passes,
//! responses arrive in another order, and data reaches its limits.
//!
//! Everything follows from a seed:
//! `SEED=7 cargo test -p vestiary-tower --test request_schedules -- --nocapture`. More of them, in parts:
//! `FROM=500000 SCHEDULES=500000 cargo test --release -p vestiary-tower --test request_schedules each_cookie`.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test may fail"
)]

mod app;
mod checks;
#[cfg(feature = "seeded-faults")]
mod faults;
mod model;
mod schedule;
mod settings;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
};

use schedule::Schedule;
use support::scheduled::Care;

/// The number of schedules in each test run.
const SCHEDULES: u64 = 4_000;

#[test]
fn each_cookie_leads_to_the_session_that_its_response_promised() {
    let faults = run(Care::Compares);
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn a_seed_repeats_exactly() {
    let played = |seed| {
        let mut schedule = Schedule::new(seed, Care::Overwrites);
        schedule.play();
        let faults = schedule.faults();
        (schedule.log, faults)
    };
    for seed in 0..200 {
        let (one, other) = (played(seed), played(seed));
        for (one, other) in one.0.iter().zip(&other.0) {
            assert_eq!(one, other, "{seed}");
        }
        assert_eq!(one, other, "{seed}");
    }
}

#[test]
fn the_checks_find_what_a_store_that_overwrites_does() {
    let faults = run(Care::Overwrites);
    for fault in ["an acknowledged change is lost", "an ended session is back"] {
        assert!(faults.contains_key(fault), "{faults:?}");
    }
}

fn played(seed: u64, care: Care) -> (Schedule, BTreeSet<&'static str>) {
    let mut schedule = Schedule::new(seed, care);
    schedule.play();
    let faults = schedule.faults();
    (schedule, faults)
}

/// Runs the schedules; in how many of them each fault is.
fn run(care: Care) -> BTreeMap<&'static str, u64> {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let count = number("SCHEDULES").unwrap_or(SCHEDULES);
    let (mut all, mut seen) = (BTreeMap::new(), BTreeMap::new());
    let from = number("FROM").unwrap_or(0);
    for seed in number("SEED").map_or(from..from + count, |seed| seed..seed + 1) {
        let (schedule, faults) = played(seed, care);
        for (what, times) in &schedule.seen {
            *seen.entry(*what).or_insert(0) += times;
        }
        for fault in faults {
            let seeds: &mut u64 = all.entry(fault).or_default();
            *seeds += 1;
            if care == Care::Compares {
                let log = if *seeds == 1 { schedule.log.join("\n") } else { String::new() };
                println!("seed {seed}: {fault}\n{log}");
            }
        }
    }
    println!("{care:?}: {count} schedules; {seen:?}; {all:?}");
    let is_enough = |what| seen.get(what).is_some_and(|times| *times > 250);
    let wanted = ["changes", "logins", "ends", "cookies that arrived after newer ones"];
    assert!(env::var("SEED").is_ok() || wanted.into_iter().all(is_enough), "{seen:?}");
    all
}
