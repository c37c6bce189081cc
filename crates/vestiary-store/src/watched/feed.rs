//! The feed of a store's changes, connected while sessions are watched, or the near cache is in use.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{sleep, timeout},
};

use super::{bell::Hint, poll};
use crate::{AnyStore, ChangeListener, Sessions, Store as _, near::Near, sessions::Inner};

/// The connection to the feed. Its failures reach no request: without it, the store is only asked less often.
#[derive(Default)]
pub(super) struct Feed {
    is_running: Mutex<bool>,
    unwanted: Notify,
}

/// The time for which a connection stays that is not wanted.
const LINGER: Duration = Duration::from_secs(1);

/// The time between two questions whether the near cache is still in use.
const LOOKS: Duration = Duration::from_secs(5);

/// The pauses before a lost connection is opened again, in milliseconds.
const SHORTEST_PAUSE: u64 = 100;
const LONGEST_PAUSE: u64 = 5_000;

/// Whether a store has a feed, or is polled.
pub(super) fn is_there(store: &AnyStore) -> bool {
    store.name_of("").is_some() || store.polling().is_some()
}

impl Feed {
    /// Connects, unless it is connected or there is no runtime of tokio that could keep the connection.
    pub(super) fn open(&self, sessions: &Sessions) {
        let mut is_running = self.is_running();
        if *is_running {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            *is_running = true;
            let (inner, is_over) = (Arc::clone(&sessions.inner), AtomicBool::new(false));
            runtime.spawn(run(Running { inner, is_over }));
        }
    }

    /// Disconnects, unless it is opened again at once, as when the only visitor goes to the next page.
    pub(super) fn close(&self) {
        self.unwanted.notify_one();
    }

    fn is_running(&self) -> MutexGuard<'_, bool> {
        self.is_running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that the task no longer runs, even when its runtime ends.
struct Running {
    inner: Arc<Inner>,
    is_over: AtomicBool,
}

impl Running {
    /// Whether no session is watched, and the near cache is not in use. The task has ended then.
    fn is_over(&self) -> bool {
        let Inner { watched, near, .. } = &*self.inner;
        let mut is_running = watched.feed.is_running();
        // A session that is entered now opens the feed after this.
        *is_running = watched.is_any() || near.as_ref().is_some_and(Near::is_warm);
        self.is_over.store(!*is_running, Ordering::Relaxed);
        !*is_running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Another task may run already if this one has said that it is over.
        if !*self.is_over.get_mut() {
            *self.inner.watched.feed.is_running() = false;
        }
    }
}

async fn run(running: Running) {
    let inner = Arc::clone(&running.inner);
    let mut pause = SHORTEST_PAUSE;
    while !running.is_over() {
        let hears = Hears { inner: Arc::downgrade(&inner), connected: AtomicBool::new(false) };
        let watching = async {
            match inner.store.polling() {
                Some(polling) => poll::run(&inner, polling).await,
                None => drop(inner.store.watch(&hears).await),
            }
        };
        if until_unwanted(&running, watching).await {
            break;
        }
        if hears.connected.load(Ordering::Relaxed) {
            pause = SHORTEST_PAUSE;
        }
        // With jitter, so that not all processes connect at once.
        let part = inner.watched.random() % 64;
        sleep(Duration::from_millis(pause / 2 + pause * part / 128)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Stays connected until the connection is lost, or has not been wanted for a while. Returns whether it is not wanted.
async fn until_unwanted<T>(running: &Running, watching: impl Future<Output = T>) -> bool {
    let unwanted = async {
        loop {
            let notified = running.inner.watched.feed.unwanted.notified();
            // A cache that is used no longer does not say so.
            if running.inner.near.is_some() {
                let _ = timeout(LOOKS, notified).await;
            } else {
                notified.await;
            }
            sleep(LINGER).await;
            if running.is_over() {
                break;
            }
        }
    };
    let (mut watching, mut unwanted) = (pin!(watching), pin!(unwanted));
    poll_fn(|context| {
        if unwanted.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        watching.as_mut().poll(context).map(|_| false)
    })
    .await
}

/// Has sessions checked, and entries of the near cache dropped, as the feed says.
struct Hears {
    inner: Weak<Inner>,
    connected: AtomicBool,
}

impl ChangeListener for Hears {
    fn changed(&self, name: &str) {
        if let Some(inner) = self.inner.upgrade() {
            if let Some(near) = &inner.near {
                near.changed(name);
            }
            inner.watched.hint(name, Hint::Maybe);
        }
    }

    fn connected(&self) {
        self.connected.store(true, Ordering::Relaxed);
        if let Some(inner) = self.inner.upgrade() {
            if let Some(near) = &inner.near {
                near.clear();
            }
            inner.watched.hint_all();
        }
    }
}
