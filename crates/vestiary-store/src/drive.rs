//! Runs the machines of [`vestiary::protocol`]: asks the store what they say, and tells them what it said.

use std::{borrow::Cow, time::Duration};

use vestiary::{
    Error, Handle, Record, SessionId, UnixMillis, UserRef, WriteId,
    protocol::{
        Answer, Ask, Commit, Committed, Destroy, Destroyed, Rotate, Rotated as Ended, Step, Touch,
        Touched, UserCommit, UserCommitted, UserStep,
    },
};

use crate::{
    Event, Outcome, SessionError, Sessions, Store as _, StoreError, StoreOperation, Stored,
    Written,
    clock::{self, Stopwatch},
    sessions::{entropy, write_id},
    users::name_of,
};

/// What an update makes of the data of a session: JSON text of JSON text.
pub type Compute<'a> = dyn FnMut(&str) -> Result<String, SessionError> + Send + 'a;

/// `next` is the mark of another attempt, should one be needed.
pub(crate) async fn commit(
    sessions: &Sessions,
    machine: &mut Commit,
    next: WriteId,
    now: UnixMillis,
    compute: &mut Compute<'_>,
) -> Result<Option<Written>, SessionError> {
    let mut drive = sessions.driver(StoreOperation::Write, false);
    let mut next = Some(next);
    let mut step = machine.start(now)?;
    loop {
        step = match step {
            Step::Ask(ask) => {
                let answer = drive.answer(ask).await?;
                let next = next.take().map_or_else(write_id, Ok)?;
                machine.answered(answer, next, clock::now())?
            }
            Step::Compute(data) => machine.computed(&compute(&data)?, clock::now())?,
            Step::Finished(Committed::Gone) => return Ok(None),
            Step::Finished(Committed::Untraced) => return Err(SessionError::Unconfirmed),
            Step::Finished(Committed::GaveUp) => return Err(drive.gave_up()),
            Step::Finished(Committed::Saved(record)) => {
                let stored = Stored { id: machine.id().clone(), record: *record, at: drive.asked };
                return Ok(Some(Written { stored, merged: machine.is_merged() }));
            }
        }
    }
}

/// The session with another TTL, under the ID that it has now; `None` if it was ended meanwhile.
pub(crate) async fn touch(
    sessions: &Sessions,
    mut machine: Touch,
    now: UnixMillis,
) -> Result<Option<Stored>, SessionError> {
    let mut drive = sessions.driver(StoreOperation::Touch, false);
    let mut step = machine.start(now)?;
    loop {
        step = match step {
            Step::Ask(ask) => machine.answered(drive.answer(ask).await?, clock::now())?,
            Step::Finished(Touched::Gone) => return Ok(None),
            Step::Finished(Touched::Untraced) => return Err(SessionError::Unconfirmed),
            Step::Finished(Touched::GaveUp) | Step::Compute(_) => return Err(drive.gave_up()),
            Step::Finished(Touched::Done(record)) => {
                let (id, record) = (machine.id().clone(), *record);
                return Ok(Some(Stored { id, record, at: drive.asked }));
            }
        }
    }
}

/// Ends a session and takes it out of its user's list. The ID under which it was last.
pub(crate) async fn destroy(
    sessions: &Sessions,
    mut machine: Destroy,
    id: SessionId,
) -> Result<SessionId, SessionError> {
    let mut drive = sessions.driver(StoreOperation::Remove, false);
    let mut last = id;
    let mut leaving = Leaving::default();
    let mut step = machine.start();
    loop {
        step = match step {
            Step::Ask(ask) => {
                // Before the record is removed: if this fails, the record still says whose session it is when the
                // removal is repeated.
                if matches!(ask, Ask::Remove(..)) {
                    leaving.leave(sessions, machine.owner()).await?;
                }
                if let Ask::Load(id) | Ask::Remove(id, _) = &ask {
                    last.clone_from(id);
                }
                machine.answered(drive.answer(ask).await?, clock::now())
            }
            // A session that has left its user's list is ended, under whatever ID it is.
            Step::Finished(Destroyed::Untraced) if !leaving.is_out => {
                return Err(SessionError::Unconfirmed);
            }
            Step::Finished(Destroyed::Confirmed | Destroyed::Untraced) | Step::Compute(_) => {
                leaving.leave(sessions, machine.owner()).await?;
                return Ok(last);
            }
            Step::Finished(Destroyed::Unconfirmed) => return Err(drive.gave_up()),
        }
    }
}

/// How a session that is being ended leaves its user's list.
#[derive(Default)]
struct Leaving {
    /// The entry that was dealt with.
    left: Option<Handle>,
    /// The entry is gone.
    is_out: bool,
}

impl Leaving {
    /// Takes the session out of its user's list, unless that was done already. A list that is not written at all, for
    /// it cannot be read or the store refuses to, does not keep the session from being ended.
    async fn leave(
        &mut self,
        sessions: &Sessions,
        owner: Option<&UserRef>,
    ) -> Result<(), SessionError> {
        let Some(user) = owner.filter(|user| self.left.as_ref() != Some(&user.handle)) else {
            return Ok(());
        };
        match sessions.of(&name_of(user)).remove(&user.handle).await {
            Err(error) if error.is_refusal() || matches!(error, SessionError::Data(_)) => {
                sessions.tell(Event::StoreFailed { code: error.code() });
            }
            removed => {
                removed?;
                self.is_out = true;
            }
        }
        self.left = Some(user.handle.clone());
        Ok(())
    }
}

/// What became of a change of the ID.
#[derive(Debug)]
pub(crate) enum Rotated {
    /// The session has another ID.
    To(Box<Stored>),
    /// Another request was faster, and gave it this one; or a login has replaced it.
    Elsewhere(Option<SessionId>),
    /// It was ended meanwhile.
    Gone,
}

/// `None` if the new ID could not be used. `lost` is why that is not known of the one before.
pub(crate) async fn rotate(
    sessions: &Sessions,
    mut machine: Rotate,
    bound: bool,
    lost: &mut Option<SessionError>,
) -> Result<Option<Rotated>, SessionError> {
    let mut drive = sessions.driver(StoreOperation::Write, bound);
    let mut step = machine.start();
    loop {
        step = match step {
            Step::Ask(ask) => {
                machine.answered(drive.answer(ask).await?, write_id()?, clock::now())?
            }
            Step::Finished(Ended::TryAnother) => {
                // Not that the ID is taken was the answer, but none, and that twice.
                let again = lost.is_some();
                *lost = drive.failure.take();
                return if again { lost.take().map_or(Ok(None), Err) } else { Ok(None) };
            }
            Step::Finished(Ended::GaveUp) | Step::Compute(_) => return Err(drive.gave_up()),
            Step::Finished(Ended::Gone) => return Ok(Some(Rotated::Gone)),
            Step::Finished(Ended::Untraced) => return Err(SessionError::Unconfirmed),
            Step::Finished(Ended::Elsewhere(id)) => return Ok(Some(Rotated::Elsewhere(id))),
            Step::Finished(Ended::To(id)) => {
                let record = machine.successor().clone();
                let stored = Stored { id, record, at: drive.asked };
                return Ok(Some(Rotated::To(Box::new(stored))));
            }
        }
    }
}

/// Changes a user's list, under its key. False if it may not be.
pub(crate) async fn user(
    sessions: &Sessions,
    machine: &mut UserCommit,
    key: &str,
) -> Result<bool, SessionError> {
    let mut drive = sessions.driver(StoreOperation::Write, true);
    let mut step = UserStep::Load;
    loop {
        step = match step {
            UserStep::Load => {
                let text = drive.list(key).await?;
                machine.loaded(text.as_deref(), &write_id()?, clock::now())
            }
            UserStep::Create(text, ttl) => {
                let text = sealed_list(sessions, key, text)?;
                let create = sessions.inner.store.create(key, &text, ttl, true);
                let created = drive
                    .ask(async { Ok(if create.await? { Answer::Done } else { Answer::Exists }) });
                machine.written(&created.await?)
            }
            UserStep::Replace(mark, text, ttl) => {
                let text = sealed_list(sessions, key, text)?;
                let replace = sessions.inner.store.replace(key, mark.as_ref(), &text, ttl);
                let replaced = drive.ask(async { Ok(answer_of(replace.await?)) });
                machine.written(&replaced.await?)
            }
            UserStep::Finished(UserCommitted::Done) => return Ok(true),
            UserStep::Finished(UserCommitted::Refused) => return Ok(false),
            UserStep::Finished(UserCommitted::GaveUp) => return Err(drive.gave_up()),
            UserStep::Finished(UserCommitted::Unreadable(error)) => return Err(error.into()),
        }
    }
}

/// The text of a user's list, decrypted.
pub(crate) fn opened_list(sessions: &Sessions, key: &str, text: String) -> Result<String, Error> {
    sessions.opened(&SessionId::parse(key)?, key, text)
}

fn sealed_list<'t>(
    sessions: &Sessions,
    key: &str,
    text: String,
) -> Result<Cow<'t, str>, SessionError> {
    sessions.sealed(&SessionId::parse(key)?, key, text.into())
}

/// A client that sends a request again has lost its connection, and needs longer than this for another one.
const RESENT: Duration = Duration::from_millis(20);

/// One run of a machine.
pub(crate) struct Drive<'a> {
    sessions: &'a Sessions,
    operation: StoreOperation,
    bound: bool,
    looks: u32,
    /// Since the last question.
    watch: Stopwatch,
    /// When that was asked.
    asked: UnixMillis,
    /// The reply to the last request was lost.
    lost: bool,
    /// The replies to so many writes in a row were, whatever was read between them.
    lost_writes: u8,
    /// Why one of them was.
    failure: Option<SessionError>,
}

impl<'a> Drive<'a> {
    pub(crate) fn new(sessions: &'a Sessions, operation: StoreOperation, bound: bool) -> Self {
        Self {
            sessions,
            operation,
            bound,
            looks: 0,
            watch: Stopwatch::start(),
            asked: clock::now(),
            lost: false,
            lost_writes: 0,
            failure: None,
        }
    }

    /// What the store says.
    async fn answer(&mut self, ask: Ask) -> Result<Answer, SessionError> {
        let sessions = self.sessions;
        let (options, store) = (&sessions.inner.options, &sessions.inner.store);
        match ask {
            Ask::Load(id) => {
                self.look().await?;
                let key = options.store_key(&id);
                let read = async { Ok(store.read(&key).await?.map_or(Read::Nothing, Read::Text)) };
                match self.asked(read, false).await? {
                    None => Ok(Answer::Unknown),
                    Some(Read::Nothing) => Ok(Answer::Gone),
                    Some(Read::Text(text)) => {
                        let text = sessions.opened(&id, &key, text)?;
                        Ok(Answer::Record(Box::new(Record::decode_owned(
                            text,
                            sessions.load_limits(),
                        )?)))
                    }
                }
            }
            Ask::Create(id, record, ttl) => {
                let key = options.store_key(&id);
                let text = sessions.sealed(&id, &key, record.encoded(sessions.load_limits())?)?;
                let bound = self.bound;
                self.ask(async {
                    let created = store.create(&key, &text, ttl, bound).await?;
                    Ok(if created { Answer::Done } else { Answer::Exists })
                })
                .await
            }
            Ask::Replace(id, expected, record, ttl) => {
                let key = options.store_key(&id);
                let text = sessions.sealed(&id, &key, record.encoded(sessions.load_limits())?)?;
                self.ask(async {
                    Ok(answer_of(store.replace(&key, expected.as_ref(), &text, ttl).await?))
                })
                .await
            }
            Ask::Touch(id, expected, ttl) => {
                let key = options.store_key(&id);
                self.ask(async {
                    Ok(answer_of(store.touch_if(&key, expected.as_ref(), ttl).await?))
                })
                .await
            }
            Ask::Remove(id, expected) => {
                let key = options.store_key(&id);
                self.ask(async { Ok(answer_of(store.remove(&key, expected.as_ref()).await?)) })
                    .await
            }
        }
    }

    /// The text of a user's list.
    async fn list(&mut self, key: &str) -> Result<Option<String>, SessionError> {
        let store = &self.sessions.inner.store;
        let read = || async { Ok(store.read(key).await?.map_or(Read::Nothing, Read::Text)) };
        loop {
            self.look().await?;
            match self.asked(read(), false).await? {
                // A list is changed by what it is, so it is read again. A second failure is an error.
                None => {}
                Some(Read::Nothing) => return Ok(None),
                Some(Read::Text(text)) => {
                    return Ok(Some(opened_list(self.sessions, key, text)?));
                }
            }
        }
    }

    async fn ask(
        &mut self,
        answer: impl Future<Output = Result<Answer, StoreError>>,
    ) -> Result<Answer, SessionError> {
        let answer = self.asked(answer, true).await?.unwrap_or(Answer::Unknown);
        if answer == Answer::Conflict
            && self.watch.elapsed() > RESENT
            && self.sessions.inner.store.resends()
        {
            // The client may have lost its connection, and sent it again: what was there may be ours.
            self.failure.get_or_insert_with(|| SessionError::Store {
                operation: self.operation,
                source: StoreError::failed("it did not say whether the session was written"),
            });
            return Ok(Answer::Unknown);
        }
        Ok(answer)
    }

    /// Asks the store; `None` if nobody knows what it did.
    async fn asked<T>(
        &mut self,
        answer: impl Future<Output = Result<T, StoreError>>,
        writes: bool,
    ) -> Result<Option<T>, SessionError> {
        self.asked = clock::now();
        self.watch = Stopwatch::start();
        let answer = self.sessions.ask(self.operation, answer).await;
        match answer {
            Ok(answer) => {
                self.lost = false;
                if writes {
                    self.lost_writes = 0;
                }
                Ok(Some(answer))
            }
            // An answer of the store is final.
            Err(error) if error.is_refusal() => Err(error),
            // Two in a row: it is down; three writes: it answers reads only. The machines can be left at any step.
            Err(error) if self.lost || writes && self.lost_writes > 1 => Err(error),
            Err(error) => {
                self.lost = true;
                self.lost_writes += u8::from(writes);
                self.failure = Some(error);
                Ok(None)
            }
        }
    }

    /// Waits before the store is asked again.
    async fn look(&mut self) -> Result<(), SessionError> {
        self.looks += 1;
        if self.looks > 1 {
            let [random] = entropy()?;
            clock::pause(clock::backoff(self.looks, self.watch.elapsed(), random)).await;
        }
        Ok(())
    }

    /// If one of the answers was lost, nobody knows what was done.
    fn gave_up(&mut self) -> SessionError {
        self.failure.take().unwrap_or(SessionError::Busy)
    }
}

enum Read {
    Text(String),
    Nothing,
}

fn answer_of(outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Done => Answer::Done,
        Outcome::Conflict => Answer::Conflict,
        Outcome::Gone => Answer::Gone,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

    use vestiary::UnixMillis;

    use crate::{Config, Login, MemoryStore, SessionError, Sessions, Store as _, Stored};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    /// A session that was read long ago, and renewed since; the tombstone under its old ID has expired.
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
        assert!(sessions.is_retired(stored.id()));
        assert_eq!(sessions.of("ada").list().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_session_that_has_left_the_list_of_its_user_is_ended_under_whatever_id_it_is() {
        let sessions = Sessions::new(&Config::new(SECRET), MemoryStore::default()).unwrap();
        let ada = sessions.of("ada");
        let owner = ada.admit(&Login::default()).await.unwrap();
        for (owner, is_ended) in [(Some(owner), true), (None, false)] {
            let stored = sessions.create("{}", owner).await.unwrap();
            let key = sessions.options().store_key(stored.id());
            sessions.store().remove(&key, stored.record.write_id()).await.unwrap();
            // So long ago that a tombstone could have expired.
            let read_long_ago = Stored { at: UnixMillis(0), ..stored };
            let ended = sessions.destroy(&read_long_ago).await;
            assert_eq!(ended.is_ok(), is_ended, "{ended:?}");
            assert!(is_ended || matches!(ended, Err(SessionError::Unconfirmed)));
        }
        assert_eq!(ada.list().await.unwrap(), []);
    }
}
