use std::{fmt, time::Duration};

use vestiary::{
    Error, SessionId, Ticket, UnixMillis,
    protocol::{Call, Doubt, Failed, Host, NewId, Reply, Seen},
};

use crate::{
    Event, Outcome, SessionError, Sessions, Stamped, Store as _, StoreError, StoreOperation,
    clock::{self, Stopwatch},
    sessions::fill,
    store::{all, both},
    turns::Turn,
};

/// The function of an update: computes new JSON text from the JSON text of a session's data.
pub type Compute<'a> = dyn FnMut(&str) -> Result<String, SessionError> + Send + 'a;

/// Runs the core's operations ([`Sessions::host`]): asks the store, and calls the application's function.
pub struct StoreHost<'a, 'c> {
    sessions: &'a Sessions,
    operation: StoreOperation,
    compute: Option<&'a mut Compute<'c>>,
    watch: Option<Stopwatch>,
    turn: Turn<'a>,
}

impl<'a, 'c> StoreHost<'a, 'c> {
    pub(crate) fn new(sessions: &'a Sessions, operation: StoreOperation) -> Self {
        Self { sessions, operation, compute: None, watch: None, turn: Turn::Free }
    }

    /// Sets the function that the operation calls.
    #[must_use]
    pub fn computing(self, compute: &'a mut Compute<'c>) -> Self {
        Self { compute: Some(compute), ..self }
    }

    /// Sets the operation that errors name from now on.
    pub fn asks_to(&mut self, operation: StoreOperation) {
        self.operation = operation;
    }
}

impl Host for StoreHost<'_, '_> {
    type Error = SessionError;

    fn now(&mut self) -> UnixMillis {
        clock::now()
    }

    fn elapsed(&mut self) -> u64 {
        let watch = self.watch.get_or_insert_with(Stopwatch::start);
        u64::try_from(watch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), SessionError> {
        fill(bytes)
    }

    async fn new_id(&mut self) -> Result<NewId, SessionError> {
        Ok(NewId::Random(self.sessions.new_id()?))
    }

    fn emit(&mut self, event: Event) {
        self.sessions.emit(&event);
    }

    fn take_out_of_use(&mut self, id: &SessionId) {
        self.sessions.take_out_of_use(id);
    }

    fn touched(&mut self, session: &Seen) {
        self.sessions.note_touch(session);
    }

    fn failed(&mut self, error: SessionError) {
        self.sessions.emit(&Event::StoreFailed { code: error.code() });
    }

    fn unreadable(error: SessionError) -> Result<Error, SessionError> {
        match error {
            SessionError::Data(error) => Ok(error),
            error => Err(error),
        }
    }

    fn doubt(&mut self, doubt: Doubt) -> SessionError {
        match doubt {
            Doubt::Busy => SessionError::Busy,
            Doubt::Untraced => SessionError::Unconfirmed,
            Doubt::LostReply => SessionError::Store {
                operation: self.operation,
                source: StoreError::failed("it did not say whether it wrote the session"),
            },
        }
    }

    fn survives(&mut self, error: SessionError) -> Result<(), SessionError> {
        if !error.is_refusal() && !matches!(error, SessionError::Data(_)) {
            return Err(error);
        }
        self.failed(error);
        Ok(())
    }

    async fn turn(&mut self, key: &str, writes: bool) {
        self.turn.wait(self.sessions, key, writes).await;
    }

    async fn behind(&mut self, id: &SessionId) -> bool {
        self.turn.wait_behind(self.sessions, id).await
    }

    async fn call(&mut self, call: Call<'_>) -> Result<Reply, Failed<SessionError>> {
        let reply = ask(self.sessions, self.operation, call).await;
        if let Ok(Reply::Conflict) = reply {
            self.turn.conflicted();
        }
        reply
    }

    async fn call_all(&mut self, calls: &[Call<'_>]) -> Vec<Result<Reply, Failed<SessionError>>> {
        let sessions = self.sessions;
        let operation = self.operation;
        all(calls.iter().map(|call| ask(sessions, operation, *call))).await
    }

    fn cached(&mut self, key: &str, max_stale: u64) -> Option<(String, Ticket)> {
        self.sessions.inner.near.as_ref()?.get(key, max_stale)
    }

    async fn sleep(&mut self, micros: u64) {
        clock::back_off(Duration::from_micros(micros)).await;
    }

    async fn compute(&mut self, data: &str) -> Result<String, SessionError> {
        self.compute.as_mut().map_or(Err(SessionError::Busy), |compute| compute(data))
    }

    async fn migrate(&mut self, data: &str, version: u32) -> Result<String, SessionError> {
        Ok(self.sessions.migrate(data, version))
    }
}

/// Performs one call on the store.
async fn ask(
    sessions: &Sessions,
    operation: StoreOperation,
    call: Call<'_>,
) -> Result<Reply, Failed<SessionError>> {
    let store = &sessions.inner.store;
    let _written = Written::of(sessions, call);
    let near = sessions.inner.near.as_ref();
    let readings = near.map(|near| near.readings(store, call));
    let answer = async {
        Ok(match call {
            Call::Read(key) => store.read(key).await?.map_or(Reply::Gone, Reply::Text),
            Call::ReadTwo(key, list) => {
                let [text, list] = store.read_two(key, list).await;
                Reply::Two(text?, list.ok())
            }
            Call::ReadTimed(key) => {
                let (text, time) = both(store.read(key), store.now(key)).await;
                Reply::Timed(text?, time?)
            }
            Call::Confirm(key) => Reply::Confirmed(store.confirm(key).await?),
            Call::Create { key, text, ttl, owned } => {
                let created = store.create(key, text, ttl, owned).await?;
                if created { Reply::Done } else { Reply::Conflict }
            }
            Call::Replace { key, expected, text, ttl } => {
                reply_of(store.replace(key, expected, text, ttl).await?)
            }
            Call::Stamp { key, text, ttl } => match store.stamp(key, text, ttl).await? {
                Some(Stamped { time, before }) => Reply::Timed(before, Some(time)),
                None => Reply::Timed(None, None),
            },
            Call::Touch { key, expected, ttl } => {
                reply_of(store.touch_if(key, expected, ttl).await?)
            }
            Call::Remove { key, expected } => reply_of(store.remove(key, expected).await?),
        })
    };
    let answer = sessions.ask(operation, answer).await;
    if let (Some(near), Some(readings), Ok(reply)) = (near, readings, &answer) {
        near.keep(readings, reply);
        sessions.inner.watched.open_feed(sessions);
    }
    answer.map_err(
        |error| if error.is_refusal() { Failed::Refused(error) } else { Failed::Lost(error) },
    )
}

/// After the call that writes a record, drops it from the near cache, and has the watched sessions checked that depend
/// on it, even if the reply was lost or the caller no longer waits for it.
struct Written<'a> {
    sessions: &'a Sessions,
    key: &'a str,
    /// Whether the call may end a session.
    ends: bool,
}

impl<'a> Written<'a> {
    /// `None` unless the call may change the text.
    fn of(sessions: &'a Sessions, call: Call<'a>) -> Option<Self> {
        match call {
            Call::Replace { key, .. } | Call::Remove { key, .. } | Call::Stamp { key, .. } => {
                Some(Self { sessions, key, ends: true })
            }
            Call::Create { key, .. } => Some(Self { sessions, key, ends: false }),
            _ => None,
        }
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        let inner = &self.sessions.inner;
        if let Some(near) = &inner.near {
            near.changed(self.key);
        }
        if self.ends {
            inner.watched.written(&inner.store, self.key);
        }
    }
}

fn reply_of(outcome: Outcome) -> Reply {
    match outcome {
        Outcome::Done => Reply::Done,
        Outcome::Conflict => Reply::Conflict,
        Outcome::Gone => Reply::Gone,
    }
}

/// Shows nothing of the sessions.
impl fmt::Debug for StoreHost<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreHost").field("operation", &self.operation).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

    use vestiary::UnixMillis;

    use crate::{Config, Login, MemoryStore, SessionError, Sessions, Store as _, Stored};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    /// A session that was read long ago and renewed since; the tombstone under its old ID has expired.
    async fn read_long_ago(sessions: &Sessions) -> Stored {
        let owner = sessions.of("ada").admit(&Login::default()).await.unwrap();
        let stored = sessions.create("{}", Some(owner)).await.unwrap();
        assert!(sessions.renew(&stored).await.unwrap().is_some());
        let key = sessions.options().store_key(stored.id());
        let tombstone = sessions.load(stored.id()).await.unwrap().unwrap();
        sessions.store().remove(&key, tombstone.record.write_id()).await.unwrap();
        Stored { at: UnixMillis(1), ..stored }
    }

    #[tokio::test]
    async fn a_session_whose_record_may_be_elsewhere_is_not_taken_for_ended() {
        let sessions = Sessions::new(&Config::new(SECRET), MemoryStore::default()).unwrap();
        let stored = read_long_ago(&sessions).await;
        let nothing = || "{}".to_owned();
        let saved = sessions.commit(&stored, nothing(), nothing()).await;
        assert!(matches!(saved, Err(SessionError::Unconfirmed)), "{saved:?}");
        let touched = sessions.touch(&stored).await;
        assert!(matches!(touched, Err(SessionError::Unconfirmed)), "{touched:?}");
        let updated = sessions.update(&stored, &mut |data| Ok(data.to_owned())).await;
        assert!(matches!(updated, Ok(None)), "{updated:?}");
        assert!(sessions.is_out_of_use(stored.id()));
        assert_eq!(sessions.of("ada").list().await.unwrap().len(), 1);
    }
}
