//! A store that does not answer is waited for as long as the options say, by whatever clock there is.

#![allow(clippy::missing_docs_in_private_items, clippy::unwrap_used, reason = "a test may fail")]

use std::{future::pending, time::Duration};

use vestiary::{Ttl, WriteId};
use vestiary_store::{Config, Outcome, SessionError, Sessions, Store, StoreError};

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

/// What comes of a session that is stored there.
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
async fn where_tokio_runs_it_is_tokios_clock() {
    // It goes on by itself when everybody waits: by any other clock this would take an hour.
    let after = Duration::from_secs(3_600);
    let error = stored(after).await;
    assert!(matches!(error, SessionError::Timeout { after: waited, .. } if waited == after));
}
