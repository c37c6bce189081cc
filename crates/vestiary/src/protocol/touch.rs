use alloc::boxed::Box;

use super::{Answer, Ask, Step, TRIES, Terms, is_proof};
use crate::{Error, Follower, Lead, Record, SessionId, UnixMillis, WriteId};

/// Gives the record of a session another TTL, and never a tombstone: of a session that was renewed
/// meanwhile it touches the successor, of one that a login has replaced nothing.
///
/// ```
/// # use vestiary::{Limits, Record, SessionId, Ttl, UnixMillis};
/// # use vestiary::protocol::{Answer, Ask, Step, Terms, Touch, Touched};
/// # let id = SessionId::from_entropy(&[1; 24]);
/// # let loaded = Record::decode(r#"{"v":"AAAAAAAAAAAAAAAA","data":{}}"#, Limits::LOAD)?;
/// let terms = Terms { ttl: Ttl::Millis(60_000), ..Terms::default() };
/// let now = UnixMillis(0);
/// let mut touch = Touch::new(id, (loaded, now), &terms);
/// let Step::Ask(Ask::Touch(_, expected, ttl)) = touch.start(now)? else { panic!() };
/// assert_eq!(ttl, Ttl::Millis(60_000));
/// assert!(matches!(touch.answered(Answer::Done, now)?, Step::Finished(Touched::Done(_))));
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Debug)]
pub struct Touch {
    id: SessionId,
    current: Record,
    /// When it was seen.
    read_at: UnixMillis,
    /// The write ID that the record has to have.
    expected: Option<WriteId>,
    /// The session's own record was seen.
    admitted: bool,
    terms: Terms,
    looking: bool,
    tries: u8,
}

/// How a [`Touch`] ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Touched {
    /// This record, under [`Touch::id`], has another TTL.
    Done(Box<Record>),
    /// The session was ended meanwhile, or is another visitor's now. No cookie may be sent.
    Gone,
    /// There is no record, but the session was read so long ago that it may have got another ID, and the
    /// tombstone that led there has expired.
    Untraced,
    /// Other requests were faster each time, or the store did not answer.
    GaveUp,
}

impl Touch {
    /// Another TTL for the session whose record was `loaded`, and when.
    #[must_use]
    pub fn new(id: SessionId, (loaded, read_at): (Record, UnixMillis), terms: &Terms) -> Self {
        let admitted = loaded.meta().next.is_none();
        let terms = terms.clone();
        let expected = loaded.write_id().cloned();
        let (current, looking, tries) = (loaded, false, 0);
        Self { id, current, read_at, expected, admitted, terms, looking, tries }
    }

    /// The ID under which the session was found in the end: another one if it was renewed meanwhile.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The first step.
    ///
    /// # Errors
    /// [`Error`] if the loaded record is a tombstone that cannot be read.
    pub fn start(&mut self, now: UnixMillis) -> Result<Step<Touched>, Error> {
        let read_at = self.read_at;
        let step = self.found(self.current.clone(), now);
        // It was not read again.
        self.read_at = read_at;
        step
    }

    /// The answer of the store to the last [`Step::Ask`].
    ///
    /// # Errors
    /// [`Error`] if the record that is there is a tombstone that cannot be read.
    pub fn answered(&mut self, answer: Answer, now: UnixMillis) -> Result<Step<Touched>, Error> {
        let looked = core::mem::take(&mut self.looking);
        match answer {
            Answer::Done => Ok(Step::Finished(Touched::Done(Box::new(self.current.clone())))),
            // A replica may not have it yet. The answer to a touch is certain.
            Answer::Gone if looked => Ok(self.touch(now)),
            Answer::Gone if is_proof(self.read_at, now) => Ok(Step::Finished(Touched::Gone)),
            Answer::Gone => Ok(Step::Finished(Touched::Untraced)),
            Answer::Record(record) => self.found(*record, now),
            Answer::Conflict | Answer::Exists | Answer::Unknown => Ok(self.look()),
        }
    }

    fn found(&mut self, record: Record, now: UnixMillis) -> Result<Step<Touched>, Error> {
        let follower = if self.admitted { Follower::Admitted } else { Follower::Cookie(now) };
        match record.lead(&self.id, follower)? {
            Lead::Nowhere => Ok(Step::Finished(Touched::Gone)),
            Lead::To(next) => {
                self.id = next;
                // No record under the new ID has this write ID, so a touch of it only finds out whether
                // there is a record.
                self.expected = record.write_id().cloned();
                Ok(self.look())
            }
            Lead::Here if self.terms.timeouts.is_over(record.meta(), now) => {
                Ok(Step::Finished(Touched::Gone))
            }
            Lead::Here => {
                self.admitted = true;
                self.expected = record.write_id().cloned();
                self.current = record;
                self.read_at = now;
                Ok(self.touch(now))
            }
        }
    }

    fn touch(&self, now: UnixMillis) -> Step<Touched> {
        let ttl = self.terms.ttl_of(self.current.meta(), now);
        Step::Ask(Ask::Touch(self.id.clone(), self.expected.clone(), ttl))
    }

    fn look(&mut self) -> Step<Touched> {
        self.tries += 1;
        if self.tries > TRIES {
            return Step::Finished(Touched::GaveUp);
        }
        self.looking = true;
        Step::Ask(Ask::Load(self.id.clone()))
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::{super::TRUSTED, *};
    use crate::Limits;
    use crate::Ttl;

    const NOW: UnixMillis = UnixMillis(1_000);
    const TTL: Ttl = Ttl::Millis(60_000);

    fn mark(n: u8) -> WriteId {
        WriteId::from_entropy(&[n; 12])
    }

    fn id(n: u8) -> SessionId {
        SessionId::from_entropy(&[n; 24])
    }

    fn record(n: u8) -> Record {
        let text = format!(r#"{{"v":"{}","data":{{}}}}"#, mark(n).as_str());
        Record::decode(&text, Limits::LOAD).unwrap()
    }

    fn pointer(grace: Option<UnixMillis>) -> Record {
        record(1).retired(mark(2), &id(1), &id(2), grace).unwrap()
    }

    fn touch(loaded: Record) -> Touch {
        Touch::new(id(1), (loaded, NOW), &Terms { ttl: TTL, ..Terms::default() })
    }

    fn asked(n: u8, expected: u8) -> Step<Touched> {
        Step::Ask(Ask::Touch(id(n), Some(mark(expected)), TTL))
    }

    #[test]
    fn a_pointer_of_a_login_is_never_touched() {
        let mut touch = touch(record(1));
        assert_eq!(touch.start(NOW), Ok(asked(1, 1)));
        assert_eq!(touch.answered(Answer::Conflict, NOW), Ok(Step::Ask(Ask::Load(id(1)))));
        let step = touch.answered(Answer::Record(pointer(None).into()), NOW);
        assert_eq!(step, Ok(Step::Finished(Touched::Gone)));
        assert_eq!(self::touch(pointer(None)).start(NOW), Ok(Step::Finished(Touched::Gone)));
    }

    #[test]
    fn a_session_that_was_renewed_is_touched_under_its_new_id_after_the_grace_period_too() {
        for grace in [NOW, NOW.plus(5)] {
            let mut touch = touch(record(1));
            touch.start(NOW).unwrap();
            touch.answered(Answer::Conflict, NOW).unwrap();
            let step = touch.answered(Answer::Record(pointer(Some(grace)).into()), NOW);
            assert_eq!(step, Ok(Step::Ask(Ask::Load(id(2)))));
            // A stale replica does not know it. The probe touches no record.
            assert_eq!(touch.answered(Answer::Gone, NOW), Ok(asked(2, 2)));
            assert_eq!(touch.answered(Answer::Conflict, NOW), Ok(Step::Ask(Ask::Load(id(2)))));
            assert_eq!(touch.answered(Answer::Record(record(3).into()), NOW), Ok(asked(2, 3)));
            let done = Step::Finished(Touched::Done(record(3).into()));
            assert_eq!(touch.answered(Answer::Done, NOW), Ok(done));
            assert_eq!(touch.id(), &id(2));
        }
        // A request that comes with the old ID is not admitted after the grace period.
        assert_eq!(touch(pointer(Some(NOW))).start(NOW), Ok(Step::Finished(Touched::Gone)));
        let within = touch(pointer(Some(NOW.plus(1)))).start(NOW);
        assert_eq!(within, Ok(Step::Ask(Ask::Load(id(2)))));
    }

    #[test]
    fn a_session_that_has_expired_meanwhile_is_not_touched() {
        let mut touch = touch(record(1));
        touch.start(NOW).unwrap();
        touch.answered(Answer::Conflict, NOW).unwrap();
        let (mark, over) = (mark(3), NOW.0);
        let text =
            format!(r#"{{"v":"{}","data":{{}},"meta":{{"absolute":{over}}}}}"#, mark.as_str());
        let found = Record::decode(&text, Limits::LOAD).unwrap();
        let step = touch.answered(Answer::Record(found.into()), NOW);
        assert_eq!(step, Ok(Step::Finished(Touched::Gone)));
    }

    #[test]
    fn it_touches_what_another_request_has_written_and_gives_up_in_the_end() {
        let mut touch = touch(record(1));
        touch.start(NOW).unwrap();
        for n in 0..TRIES {
            assert_eq!(touch.answered(Answer::Unknown, NOW), Ok(Step::Ask(Ask::Load(id(1)))));
            let found = Answer::Record(record(10 + n).into());
            assert_eq!(touch.answered(found, NOW), Ok(asked(1, 10 + n)));
        }
        assert_eq!(touch.answered(Answer::Conflict, NOW), Ok(Step::Finished(Touched::GaveUp)));
        assert_eq!(touch.answered(Answer::Gone, NOW), Ok(Step::Finished(Touched::Gone)));
    }

    #[test]
    fn the_absence_of_the_record_is_no_proof_once_a_tombstone_may_have_expired() {
        for (later, ended) in [(TRUSTED - 1, Touched::Gone), (TRUSTED, Touched::Untraced)] {
            let mut touch = touch(record(1));
            touch.start(NOW.plus(later)).unwrap();
            let step = touch.answered(Answer::Gone, NOW.plus(later));
            assert_eq!(step, Ok(Step::Finished(ended)));
        }
    }
}
