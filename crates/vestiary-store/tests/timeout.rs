//! Timeouts of a store that does not reply, with each kind of timer.

#![allow(clippy::missing_docs_in_private_items, clippy::unwrap_used, reason = "a test may fail")]

use std::{
    future::{Future as _, pending},
    time::Duration,
};

use vestiary::{Ttl, WriteId};
use vestiary_store::{
    Cache, Config, DeviceBound, Outcome, SessionError, Sessions, Store, StoreError,
};

/// Never answers.
struct Silent;

impl Store for Silent {
    async fn read(&self, _: &str) -> Result<Option<String>, StoreError> {
        pending().await
    }

    async fn create(&self, _: &str, _: &str, _: Ttl, _: bool) -> Result<bool, StoreError> {
        pending().await
    }

    async fn replace(
        &self,
        _: &str,
        _: Option<&WriteId>,
        _: &str,
        _: Ttl,
    ) -> Result<Outcome, StoreError> {
        pending().await
    }

    async fn touch(&self, _: &str, _: Ttl) -> Result<bool, StoreError> {
        pending().await
    }

    async fn remove(&self, _: &str, _: Option<&WriteId>) -> Result<Outcome, StoreError> {
        pending().await
    }
}

/// The error of storing a session there.
async fn stored(after: Duration) -> SessionError {
    let config = Config::new("a long random secret, from the environment").store_timeout(after);
    Sessions::new(&config, Silent).unwrap().create("{}", None).await.unwrap_err()
}

#[test]
fn no_runtime_is_needed() {
    let after = Duration::from_millis(1);
    let error = futures_executor::block_on(stored(after));
    assert!(matches!(error, SessionError::Timeout { after: waited, .. } if waited == after));
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn timeouts_use_tokios_clock_where_tokio_runs() {
    // Tokio's paused clock advances when all tasks wait; any other clock would take an hour.
    let after = Duration::from_secs(3_600);
    let error = stored(after).await;
    assert!(matches!(error, SessionError::Timeout { after: waited, .. } if waited == after));
}

#[test]
fn no_limit_and_a_limit_beyond_all_clocks_wait() {
    for after in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
        let config = Config::new("a long random secret, from the environment").store_timeout(after);
        let sessions = Sessions::new(&config, Silent).unwrap();
        let mut storing = std::pin::pin!(sessions.create("{}", None));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..3 {
            assert!(storing.as_mut().poll(&mut context).is_pending(), "{after:?}");
        }
    }
}

#[test]
fn every_duration_of_the_options_is_checked_or_means_what_it_says() {
    type With = fn(Config, Duration) -> Config;
    // Zero disables the timeout, and a time beyond all clocks is accepted.
    let options: [(&str, With, bool, bool); 10] = [
        ("max_age", |config, time| config.max_age(time), true, false),
        ("touch_after", |config, time| config.touch_after(time), true, false),
        ("idle_timeout", |config, time| config.idle_timeout(time), false, false),
        ("absolute_timeout", |config, time| config.absolute_timeout(time), false, false),
        ("renew_after", |config, time| config.renew_after(time), false, false),
        ("renew_grace", |config, time| config.renew_grace(time), true, false),
        ("recheck_after", |config, time| config.recheck_after(time), false, false),
        ("store_timeout", |config, time| config.store_timeout(time), true, true),
        // `DeviceBound::max_age`.
        ("max_age", |config, time| config.device_bound(bound_for(time)), false, false),
        // `Cache::new`.
        ("new", |config, time| config.cache(Cache::new(time)), false, false),
    ];
    for (name, with, zero, endless) in options {
        for (time, good) in
            [(Duration::ZERO, zero), (Duration::from_secs(60), true), (Duration::MAX, endless)]
        {
            let config = with(Config::new("a long random secret, from the environment"), time);
            assert_eq!(Sessions::new(&config, Silent).is_ok(), good, "{name} {time:?}");
        }
    }
    let declared: Vec<&str> = include_str!("../src/config.rs")
        .lines()
        .filter(|line| line.contains("pub fn ") && line.contains("Duration"))
        .filter_map(|line| line.split("pub fn ").nth(1)?.split('(').next())
        .collect();
    let mut tested: Vec<&str> = options.iter().map(|(name, ..)| *name).collect();
    let mut declared = declared;
    declared.sort_unstable();
    tested.sort_unstable();
    assert_eq!(declared, tested);
}

fn bound_for(time: Duration) -> DeviceBound {
    DeviceBound::default().max_age(time)
}

#[test]
fn a_store_that_says_nothing_of_it_may_have_sent_a_write_twice() {
    assert!(Silent.resends());
}
