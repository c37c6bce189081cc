//! Sessions that streams watch, while another process ends them.

use std::{future::Future, time::Duration};

use super::until;
use vestiary_store::{Config, Ended, Login, Sessions, Stored};

pub const SECRET: &str = "a secret of the tests, of more than 32 bytes";

/// The longest time between two checks, so that a stream which ends during a test owes it to the feed.
pub fn config() -> Config {
    Config::new(SECRET).recheck_after(Duration::from_secs(300))
}

pub async fn login(sessions: &Sessions, user: &str) -> Stored {
    until("the proof is newer than the last revocation", async || {
        let owner = sessions.of(user).admit(&Login::default()).await.ok()?;
        sessions.create("{}", Some(owner)).await.ok()
    })
    .await
}

/// Waits for it, for longer than any test takes but the time between two checks.
pub async fn soon(ended: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(90), ended).await.expect("the feed is late");
}

/// Waits until it has been asked about once.
pub async fn begins(ended: &mut Ended) {
    for _ in 0..20 {
        tokio::time::timeout(Duration::from_millis(5), &mut *ended).await.unwrap_err();
    }
}
