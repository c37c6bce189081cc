//! The conformance suite for stores: whether a store keeps the promises of [`Store`].
//!
//! The stores of this crate are tested with it. A failure names the broken promise.
//!
//! ```
//! // In `tests/my_store.rs`, with tokio's features `macros` and `rt-multi-thread`.
//! use vestiary_store::{MemoryStore, conformance_tests};
//!
//! async fn my_store() -> MemoryStore {
//!     MemoryStore::default()
//! }
//!
//! // One test per promise; with `scan`, also those of `Scan`.
//! conformance_tests!(my_store);
//! conformance_tests!(scan my_store);
//! # fn main() {}
//! ```
//!
//! The store may be shared and hold other records: each check uses keys of its own, and removes its records unless it
//! fails.
//!
//! [`Store`]: crate::Store
mod changes;
mod model;
mod races;
mod records;
mod scanning;
mod stamping;
mod support;

use std::{error::Error, fmt, future::Future};

use crate::{Scan, Store, StoreError};

/// The checks, one by one. [`conformance`] runs them, and [`conformance_tests`](crate::conformance_tests) makes a test
/// of each.
pub mod checks {
    pub use super::{
        changes::{a_feed_tells_of_each_change, write_ids_show_each_change},
        model::does_what_a_model_does,
        races::{
            of_many_creations_at_once_one_is_done, of_many_writes_at_once_one_is_done,
            what_was_removed_stays_removed_whatever_else_happens,
            with_compare_and_retry_no_change_is_lost,
        },
        records::{
            a_life_of_nothing_stores_nothing, a_record_without_an_end_is_kept, create_creates_once,
            gives_back_every_character, keys_are_kept_apart, knows_nothing_that_was_not_stored,
            nothing_but_create_creates, read_two_reads_both, records_expire,
            replace_and_remove_compare_write_ids, touch_gives_a_new_life,
            touch_if_compares_write_ids,
        },
        scanning::{scan_finds_everything_that_is_there_all_the_time, scan_finds_nothing_else},
        stamping::{of_many_stamps_each_replaces_another_one, stamp_dates_what_it_stores},
    };
}

/// A broken promise of [`Store`] or [`Scan`].
#[derive(Clone, Eq, PartialEq)]
pub struct Broken(String);

/// Runs all checks of [`Store`] one after the other. Needs a tokio runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), vestiary_store::testing::Broken> {
/// use vestiary_store::{MemoryStore, testing};
///
/// testing::conformance(|| async { MemoryStore::default() }).await
/// # }
/// ```
///
/// # Errors
/// [`Broken`], with a line for each check that failed.
pub async fn conformance<S: Store, F: Future<Output = S>>(
    make: impl Fn() -> F,
) -> Result<(), Broken> {
    let mut broken = Vec::new();
    crate::conformance_tests!(@store @run broken make);
    Broken::all(&broken)
}

/// Runs all checks of [`Scan`].
///
/// # Errors
/// [`Broken`], with a line for each check that failed.
pub async fn scan_conformance<S: Scan, F: Future<Output = S>>(
    make: impl Fn() -> F,
) -> Result<(), Broken> {
    let mut broken = Vec::new();
    crate::conformance_tests!(@scan @run broken make);
    Broken::all(&broken)
}

/// Defines a test for each check of [`Store`], or with `scan` of [`Scan`]. The argument is
/// an async function that creates the store. See [`testing`](crate::testing).
#[macro_export]
macro_rules! conformance_tests {
    (@tests $make:path; $($check:ident)*) => {$(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() -> ::core::result::Result<(), $crate::testing::Broken> {
            $crate::testing::checks::$check($make().await).await
        }
    )*};
    (@run $broken:ident $make:ident; $($check:ident)*) => {$(
        if let Err(Broken(how)) = checks::$check($make().await).await {
            $broken.push(format!("{}: {how}", stringify!($check)));
        }
    )*};
    (@store $($then:tt)*) => {
        $crate::conformance_tests! {
            $($then)*;
            knows_nothing_that_was_not_stored
            create_creates_once
            nothing_but_create_creates
            replace_and_remove_compare_write_ids
            touch_if_compares_write_ids
            keys_are_kept_apart
            read_two_reads_both
            gives_back_every_character
            records_expire
            touch_gives_a_new_life
            a_record_without_an_end_is_kept
            a_life_of_nothing_stores_nothing
            of_many_creations_at_once_one_is_done
            of_many_writes_at_once_one_is_done
            with_compare_and_retry_no_change_is_lost
            what_was_removed_stays_removed_whatever_else_happens
            stamp_dates_what_it_stores
            of_many_stamps_each_replaces_another_one
            a_feed_tells_of_each_change
            write_ids_show_each_change
            does_what_a_model_does
        }
    };
    (@scan $($then:tt)*) => {
        $crate::conformance_tests! {
            $($then)*;
            scan_finds_everything_that_is_there_all_the_time
            scan_finds_nothing_else
        }
    };
    (scan $make:path) => { $crate::conformance_tests!(@scan @tests $make); };
    ($make:path) => { $crate::conformance_tests!(@store @tests $make); };
}

impl Broken {
    fn all(broken: &[String]) -> Result<(), Self> {
        if broken.is_empty() { Ok(()) } else { Err(Self(broken.join("\n"))) }
    }
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self(format!("the store must do what it is asked, and said: {error}"))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As `Display`, because a test that returns an error shows this.
impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Broken {}
