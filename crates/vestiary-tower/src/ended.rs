//! Streams that end when their session does.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::{ReadOnlySession, Session, visit::Visit};

impl<T> Session<T> {
    /// Waits until the session has ended, for code that outlives its request, such as a WebSocket: until it was destroyed
    /// or revoked, was replaced by a login, or has expired. For a stream, see [`until`](Self::until). It holds no lock, and
    /// needs no executor. The session is the one that the visitor has when the future is polled for the first time.
    ///
    /// A logout ends it at once in this process. In other processes it takes no longer than
    /// [`Config::recheck_after`](crate::Config::recheck_after), after which the store is asked again. While the store cannot
    /// be reached, nothing is known, and the future goes on waiting. An open stream does not extend its session.
    ///
    /// An anonymous session is watched as soon as it is stored. A session that cannot be read counts as ended.
    ///
    /// ```
    /// # use vestiary_tower::Session;
    /// # async fn next_message() -> Option<String> { None }
    /// async fn chat(session: Session) {
    ///     let mut ended = session.ended();
    ///     loop {
    ///         tokio::select! {
    ///             () = &mut ended => break,
    ///             message = next_message() => if message.is_none() { break },
    ///         }
    ///     }
    /// }
    /// ```
    pub fn ended(&self) -> Ended {
        Ended(Step::Opening(Box::pin(watch(self.clone().into_visit()))))
    }

    /// The same stream, until the session has [ended](Self::ended). The source is dropped then. After a logout in this
    /// process has returned, the stream delivers no further item.
    ///
    /// ```
    /// # use futures_core::Stream;
    /// # use vestiary_tower::Session;
    /// use axum::response::sse::{Event, Sse};
    ///
    /// # type Events = std::pin::Pin<Box<dyn Stream<Item = Result<Event, std::convert::Infallible>> + Send>>;
    /// # fn prices() -> Events { unimplemented!() }
    /// async fn stream(session: Session) -> Sse<impl Stream<Item = Result<Event, std::convert::Infallible>>> {
    ///     Sse::new(session.until(prices()))
    /// }
    /// ```
    pub fn until<S: Stream>(&self, stream: S) -> Until<S> {
        Until { stream: Some(stream), ended: self.ended() }
    }
}

impl ReadOnlySession {
    /// As [`Session::ended`].
    pub fn ended(&self) -> Ended {
        Ended(Step::Watching(self.sessions().ended(self.stored())))
    }

    /// As [`Session::until`].
    pub fn until<S: Stream>(&self, stream: S) -> Until<S> {
        Until { stream: Some(stream), ended: self.ended() }
    }
}

/// The session of the request, as soon as it is stored. `None` if it has ended.
async fn watch(visit: Arc<Visit>) -> Option<vestiary_store::Ended> {
    loop {
        let stored = {
            let state = visit.open_to_write().await.ok()?;
            if let Some(session) = state.session() {
                return Some(visit.sessions.ended(&session.clone().into()));
            }
            if state.has_ended() {
                return None;
            }
            state.listen()
        };
        stored.await;
    }
}

/// Waits for the end of a session: [`Session::ended`].
#[must_use = "futures do nothing unless they are polled"]
pub struct Ended(Step);

enum Step {
    Opening(Pin<Box<dyn Future<Output = Option<vestiary_store::Ended>> + Send>>),
    Watching(vestiary_store::Ended),
    Over,
}

impl Ended {
    /// Whether a caller in this process may know already that the session has ended, and the store has not confirmed it.
    fn is_in_doubt(&self) -> bool {
        matches!(&self.0, Step::Watching(ended) if ended.is_in_doubt())
    }
}

impl Future for Ended {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            self.0 = match &mut self.0 {
                Step::Over => return Poll::Ready(()),
                Step::Opening(opening) => {
                    ready!(opening.as_mut().poll(context)).map_or(Step::Over, Step::Watching)
                }
                Step::Watching(ended) => {
                    ready!(Pin::new(ended).poll(context));
                    Step::Over
                }
            };
        }
    }
}

/// Shows nothing of the session.
impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended").finish_non_exhaustive()
    }
}

pin_project! {
    /// A stream that ends when its session does: [`Session::until`].
    #[must_use = "streams do nothing unless they are polled"]
    pub struct Until<S> {
        #[pin]
        stream: Option<S>,
        ended: Ended,
    }
}

impl<S: Stream> Stream for Until<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        let Some(stream) = this.stream.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let item = if Pin::new(&mut *this.ended).poll(context).is_ready() {
            None
        } else if this.ended.is_in_doubt() {
            return Poll::Pending;
        } else {
            ready!(stream.poll_next(context))
        };
        if item.is_none() {
            // Drops the source, and watches the session no longer.
            this.stream.set(None);
            this.ended.0 = Step::Over;
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.stream.as_ref().map_or(Some(0), |stream| stream.size_hint().1))
    }
}

/// Shows nothing of the session, nor of the stream.
impl<S> fmt::Debug for Until<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Until").finish_non_exhaustive()
    }
}
