use super::{Answer, Ask, Step, TRIES, is_proof};
use crate::{Record, SessionId, UnixMillis, UserRef, WriteId};

/// Ends a session, also if its ID changes meanwhile.
///
/// The tombstone of a renewal is followed, since the session is the same one. That of a login is not: the session
/// that the login began is another one, and an attacker may have planted the old ID.
///
/// Only the record of the session itself is removed. What a change of the ID leaves behind stays
/// until it expires: of two logouts at once, one would else remove the only way to the new ID, lose
/// the answer, and the other one find nothing and call it done.
///
/// ```
/// # use vestiary::{Limits, Record, SessionId, UnixMillis};
/// # use vestiary::protocol::{Answer, Ask, Destroy, Destroyed, Step};
/// # let loaded = Record::decode(r#"{"v":"AAAAAAAAAAAAAAAA","data":{}}"#, Limits::LOAD)?;
/// let (read_at, now) = (UnixMillis(0), UnixMillis(5));
/// let mut destroy = Destroy::new(SessionId::from_entropy(&[1; 24]), &loaded, read_at);
/// assert!(matches!(destroy.start(), Step::Ask(Ask::Remove(..))));
/// assert_eq!(destroy.answered(Answer::Done, now), Step::Finished(Destroyed::Confirmed));
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Debug)]
pub struct Destroy {
    id: SessionId,
    /// The write ID of the record, as last seen.
    seen: Option<WriteId>,
    /// When the session's record, or the pointer that led here, was last seen.
    read_at: UnixMillis,
    /// The ID whose pointer led here.
    pointer: Option<SessionId>,
    phase: Phase,
    /// The user in the record that was seen last.
    owner: Option<UserRef>,
    tries: u8,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// A login has ended the session already.
    Superseded,
    Removing,
    Looking,
    /// There is no record where a pointer leads. That proves something only if the pointer is still there.
    Verifying,
}

/// How a [`Destroy`] ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Destroyed {
    /// The session is in the store no more, under any ID.
    Confirmed,
    /// The store did not answer: it may be there still. Tell the application; the cookie is removed
    /// all the same.
    Unconfirmed,
    /// There is no record, but the session was read so long ago that it may have got another ID, and the
    /// tombstone that led there has expired. Tell the application as well.
    Untraced,
}

impl Destroy {
    /// Ends the session whose record was loaded at `read_at`, also if the record is a tombstone.
    #[must_use]
    pub fn new(id: SessionId, loaded: &Record, read_at: UnixMillis) -> Self {
        let seen = loaded.write_id().cloned();
        let owner = loaded.meta().user.clone();
        let (id, pointer, phase) = match loaded.next(&id) {
            Ok(Some((next, Some(_)))) => (next, Some(id), Phase::Looking),
            Ok(Some((_, None))) => (id, None, Phase::Superseded),
            _ => (id, None, Phase::Removing),
        };
        Self { id, seen, read_at, pointer, phase, owner, tries: 0 }
    }

    /// The user in whose list the session that was ended stands.
    #[must_use]
    pub fn owner(&self) -> Option<&UserRef> {
        self.owner.as_ref()
    }

    /// The first step.
    #[must_use]
    pub fn start(&self) -> Step<Destroyed> {
        match (self.phase, &self.pointer) {
            (Phase::Superseded, _) => Step::Finished(Destroyed::Confirmed),
            (Phase::Removing, _) => Step::Ask(Ask::Remove(self.id.clone(), self.seen.clone())),
            (Phase::Verifying, Some(pointer)) => Step::Ask(Ask::Load(pointer.clone())),
            (Phase::Looking | Phase::Verifying, _) => Step::Ask(Ask::Load(self.id.clone())),
        }
    }

    /// The answer of the store to the last [`Step::Ask`].
    #[must_use]
    pub fn answered(&mut self, answer: Answer, now: UnixMillis) -> Step<Destroyed> {
        match (self.phase, answer) {
            // As long as the pointer is there, so would be a tombstone that was written after it.
            (Phase::Verifying, Answer::Record(_)) | (Phase::Removing, Answer::Done) => {
                Step::Finished(Destroyed::Confirmed)
            }
            (Phase::Verifying, Answer::Gone) => Step::Finished(Destroyed::Untraced),
            (Phase::Superseded, _) => Step::Finished(Destroyed::Confirmed),
            (Phase::Verifying, _) => self.next(Phase::Verifying),
            (_, Answer::Record(record)) => {
                match record.next(&self.id) {
                    Ok(None) => {}
                    Ok(Some((next, Some(_)))) => {
                        self.pointer = Some(core::mem::replace(&mut self.id, next));
                        self.seen = None;
                        return self.next(Phase::Looking);
                    }
                    // A login has ended the session, or the record leads nowhere.
                    Ok(Some((_, None))) | Err(_) => return Step::Finished(Destroyed::Confirmed),
                }
                self.owner.clone_from(&record.meta().user);
                self.seen = record.write_id().cloned();
                self.read_at = now;
                self.pointer = None;
                self.phase = Phase::Removing;
                self.start()
            }
            // A replica may not have it yet, or have it still. The answer to a removal is certain.
            (Phase::Looking, Answer::Gone | Answer::Done) => {
                self.phase = Phase::Removing;
                self.start()
            }
            (Phase::Removing, Answer::Gone) if self.pointer.is_some() => {
                self.next(Phase::Verifying)
            }
            (Phase::Removing, Answer::Gone) if is_proof(self.read_at, now) => {
                Step::Finished(Destroyed::Confirmed)
            }
            (Phase::Removing, Answer::Gone) => Step::Finished(Destroyed::Untraced),
            (_, Answer::Conflict | Answer::Exists | Answer::Unknown) => self.next(Phase::Looking),
        }
    }

    fn next(&mut self, phase: Phase) -> Step<Destroyed> {
        self.tries += 1;
        if self.tries > 2 * TRIES {
            return Step::Finished(Destroyed::Unconfirmed);
        }
        self.phase = phase;
        self.start()
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::{super::TRUSTED, *};
    use crate::Limits;

    const NOW: UnixMillis = UnixMillis(1_000);

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

    /// The tombstone under the ID `n` of a session that was renewed to the ID `n + 1`.
    fn retired(n: u8) -> Record {
        record(n).retired(mark(n + 1), &id(n), &id(n + 1), Some(UnixMillis(0))).unwrap()
    }

    /// The same of a login.
    fn superseded(n: u8) -> Record {
        record(n).retired(mark(n + 1), &id(n), &id(n + 1), None).unwrap()
    }

    fn remove(n: u8, seen: Option<u8>) -> Step<Destroyed> {
        Step::Ask(Ask::Remove(id(n), seen.map(mark)))
    }

    fn load(n: u8) -> Step<Destroyed> {
        Step::Ask(Ask::Load(id(n)))
    }

    #[test]
    fn of_a_removal_the_store_is_believed_that_it_is_gone_of_a_read_it_is_not() {
        let mut destroy = Destroy::new(id(1), &record(1), NOW);
        assert_eq!(destroy.start(), remove(1, Some(1)));
        assert_eq!(destroy.answered(Answer::Unknown, NOW), load(1));
        assert_eq!(destroy.answered(Answer::Gone, NOW), remove(1, Some(1)));
        assert_eq!(destroy.answered(Answer::Gone, NOW), Step::Finished(Destroyed::Confirmed));
    }

    #[test]
    fn it_follows_every_change_of_the_id_and_removes_none_of_what_they_left() {
        let mut destroy = Destroy::new(id(1), &retired(1), NOW);
        assert_eq!(destroy.start(), load(2));
        assert_eq!(destroy.answered(Answer::Record(retired(2).into()), NOW), load(3));
        assert_eq!(destroy.answered(Answer::Record(record(7).into()), NOW), remove(3, Some(7)));
        assert_eq!(destroy.answered(Answer::Conflict, NOW), load(3));
        assert_eq!(destroy.answered(Answer::Record(record(8).into()), NOW), remove(3, Some(8)));
        assert_eq!(destroy.answered(Answer::Done, NOW), Step::Finished(Destroyed::Confirmed));
    }

    #[test]
    fn the_session_of_a_login_is_not_ended_by_the_id_that_the_login_replaced() {
        let done = Step::Finished(Destroyed::Confirmed);
        assert_eq!(Destroy::new(id(1), &superseded(1), NOW).start(), done);
        let mut destroy = Destroy::new(id(1), &record(1), NOW);
        assert_eq!(destroy.start(), remove(1, Some(1)));
        assert_eq!(destroy.answered(Answer::Conflict, NOW), load(1));
        assert_eq!(destroy.answered(Answer::Record(superseded(1).into()), NOW), done);
        // Renewed first, then logged in.
        let mut destroy = Destroy::new(id(1), &retired(1), NOW);
        assert_eq!(destroy.start(), load(2));
        assert_eq!(destroy.answered(Answer::Record(superseded(2).into()), NOW), done);
    }

    #[test]
    fn the_owner_is_the_one_of_the_record_that_was_removed() {
        let owned = Record::decode(
            r#"{"v":"AAAAAAAAAAAAAAAA","meta":{"user":"ada","handle":"BBBBBBBBBBBBBBBB"},"data":{}}"#,
            Limits::LOAD,
        )
        .unwrap();
        assert_eq!(Destroy::new(id(1), &owned, NOW).owner(), owned.meta().user.as_ref());
        let mut destroy = Destroy::new(id(1), &retired(1), NOW);
        assert_eq!(destroy.owner(), None);
        let _ = destroy.answered(Answer::Record(owned.clone().into()), NOW);
        assert_eq!(destroy.owner(), owned.meta().user.as_ref());
    }

    #[test]
    fn it_says_so_when_the_store_did_not_answer() {
        let mut destroy = Destroy::new(id(1), &record(1), NOW);
        for n in 0..2 * TRIES {
            assert_eq!(destroy.answered(Answer::Unknown, NOW), load(1), "{n}");
        }
        let ended = Step::Finished(Destroyed::Unconfirmed);
        assert_eq!(destroy.answered(Answer::Unknown, NOW), ended);
    }

    #[test]
    fn the_absence_of_a_record_is_no_proof_once_a_tombstone_may_have_expired() {
        let cases = [(TRUSTED - 1, Destroyed::Confirmed), (TRUSTED, Destroyed::Untraced)];
        for (later, ended) in cases {
            let mut destroy = Destroy::new(id(1), &record(1), NOW);
            assert_eq!(destroy.answered(Answer::Gone, NOW.plus(later)), Step::Finished(ended));
        }
        // It was there a moment ago.
        let now = NOW.plus(TRUSTED);
        let mut destroy = Destroy::new(id(1), &record(1), NOW);
        assert_eq!(destroy.answered(Answer::Conflict, now), load(1));
        assert_eq!(destroy.answered(Answer::Record(record(7).into()), now), remove(1, Some(7)));
        let confirmed = Step::Finished(Destroyed::Confirmed);
        assert_eq!(destroy.answered(Answer::Gone, now), confirmed);
    }

    #[test]
    fn the_absence_of_the_record_a_pointer_leads_to_is_proof_only_while_the_pointer_is_there() {
        for (pointer, ended) in [
            (Answer::Record(retired(1).into()), Destroyed::Confirmed),
            (Answer::Gone, Destroyed::Untraced),
        ] {
            let mut destroy = Destroy::new(id(1), &retired(1), NOW);
            assert_eq!(destroy.start(), load(2));
            assert_eq!(destroy.answered(Answer::Gone, NOW), remove(2, Some(2)));
            assert_eq!(destroy.answered(Answer::Gone, NOW), load(1));
            assert_eq!(destroy.answered(Answer::Unknown, NOW), load(1));
            assert_eq!(destroy.answered(pointer, NOW), Step::Finished(ended));
        }
    }
}
