use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use futures_timer::Delay;
use vestiary::{Moment, UnixMillis};

#[cfg(not(target_arch = "wasm32"))]
use std::time::{Instant, SystemTime, UNIX_EPOCH};
#[cfg(target_arch = "wasm32")]
use web_time::{Instant, SystemTime, UNIX_EPOCH};

#[cfg(all(feature = "clock", not(target_arch = "wasm32")))]
thread_local! {
    /// The time on this thread, if a test has set it.
    static SET: std::cell::Cell<Option<UnixMillis>> = const { std::cell::Cell::new(None) };
}

/// Freezes the time for all sessions and memory stores on this thread, so that a test of a deadline need not wait.
/// `None` restores the system's clock.
///
/// Other threads keep the system's clock, so an async test needs a single-threaded runtime. Store timeouts keep the
/// system's clock. A back-off does not wait at all: an operation that retries only yields to the thread's other tasks.
///
/// ```
/// use std::time::Duration;
/// use vestiary_store::{Config, Found, MemoryStore, Sessions, set_clock};
///
/// # futures_executor::block_on(async {
/// let config = Config::new("a long random secret, from the environment")
///     .idle_timeout(Duration::from_secs(60));
/// let sessions = Sessions::new(&config, MemoryStore::default())?;
/// let session = sessions.create("{}", None).await?;
/// let cookie = format!("connect.sid={}", sessions.sign(session.id()));
///
/// set_clock(Some(sessions.now().plus(70_000)));
/// let found = sessions.find(&sessions.cookies([cookie.as_bytes()])).await?;
/// assert!(matches!(found, Found::Expired(_)));
/// # Ok::<(), vestiary_store::SessionError>(())
/// # }).unwrap();
/// ```
#[cfg(all(feature = "clock", not(target_arch = "wasm32")))]
pub fn set_clock(now: Option<UnixMillis>) {
    SET.set(now);
}

/// The current time; 1970 if the clock is earlier.
#[cfg_attr(
    not(target_arch = "wasm32"),
    expect(clippy::disallowed_methods, reason = "the one place where the time comes from")
)]
pub(crate) fn now() -> UnixMillis {
    #[cfg(all(feature = "clock", not(target_arch = "wasm32")))]
    if let Some(now) = SET.get() {
        return now;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Measures elapsed time.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[cfg_attr(
        not(target_arch = "wasm32"),
        expect(clippy::disallowed_methods, reason = "the other place where the time comes from")
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The current moment. If a test has set the time, both clocks show it.
pub(crate) fn moment(watch: &Stopwatch) -> Moment {
    #[cfg(all(feature = "clock", not(target_arch = "wasm32")))]
    if let Some(now) = SET.get() {
        return Moment { now, elapsed: now.0.saturating_mul(1_000) };
    }
    let elapsed = u64::try_from(watch.elapsed().as_micros()).unwrap_or(u64::MAX);
    Moment { now: now(), elapsed }
}

/// Awaits an answer with a timeout; `None` when it runs out. An answer that is ready at once needs no timer.
///
/// Every other answer of a server does. A runtime's timer is an entry in its list. The portable timer wakes a thread
/// twice, which takes longer than all else that a request does here.
pub async fn within<T>(after: Option<Duration>, answer: impl Future<Output = T>) -> Option<T> {
    let mut answer = pin!(answer);
    let mut alarm: Option<Alarm> = None;
    std::future::poll_fn(|context| {
        if let Poll::Ready(answer) = answer.as_mut().poll(context) {
            return Poll::Ready(Some(answer));
        }
        let Some(after) = after else { return Poll::Pending };
        alarm.get_or_insert_with(|| Alarm::after(after)).poll(context).map(|()| None)
    })
    .await
}

/// A timer that fires once.
pub(crate) enum Alarm {
    /// Tokio's timer. Boxed, because few answers need one.
    #[cfg(feature = "tokio")]
    Tokio(Pin<Box<tokio::time::Sleep>>),
    /// A timer with a thread of its own.
    Thread(Delay),
}

impl Alarm {
    pub(crate) fn after(time: Duration) -> Self {
        #[cfg(feature = "tokio")]
        if tokio::runtime::Handle::try_current().is_ok() {
            return Self::Tokio(Box::pin(tokio::time::sleep(time)));
        }
        Self::Thread(Delay::new(time))
    }

    /// Starts the timer. From then on it wakes once, when it fires or its runtime ends, also if it is not polled again.
    pub(crate) fn start(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            // A task that has done much already would be woken at once, and the timer not be started.
            #[cfg(feature = "tokio")]
            Self::Tokio(sleep) => pin!(tokio::task::unconstrained(sleep.as_mut())).poll(context),
            Self::Thread(delay) => Pin::new(delay).poll(context),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            #[cfg(feature = "tokio")]
            Self::Tokio(sleep) => sleep.as_mut().poll(context),
            Self::Thread(delay) => Pin::new(delay).poll(context),
        }
    }
}

/// Pauses between two attempts. Not with tokio's timer: its resolution of a millisecond is longer than most pauses.
pub(crate) async fn pause(time: Duration) {
    Delay::new(time).await;
}

/// Waits before an operation retries. If a test has set the time, it only yields to other tasks once, so that the same
/// schedule of tasks gives the same result each time.
pub(crate) async fn back_off(time: Duration) {
    #[cfg(all(feature = "clock", not(target_arch = "wasm32")))]
    if SET.get().is_some() {
        let mut waited = false;
        return std::future::poll_fn(|context| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
    pause(time).await;
}
