use super::{Answer, Ask, Step, TRIES};
use crate::{Record, SessionId, UserRef, WriteId};

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
/// # use vestiary::{Limits, Record, SessionId};
/// # use vestiary::protocol::{Answer, Ask, Destroy, Destroyed, Step};
/// # let loaded = Record::decode(r#"{"v":"AAAAAAAAAAAAAAAA","data":{}}"#, Limits::LOAD)?;
/// let mut destroy = Destroy::new(SessionId::from_entropy(&[1; 24]), &loaded);
/// assert!(matches!(destroy.start(), Step::Ask(Ask::Remove(..))));
/// assert_eq!(destroy.answered(Answer::Done), Step::Finished(Destroyed::Confirmed));
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Debug)]
pub struct Destroy {
    id: SessionId,
    /// The mark of the record, as last seen.
    seen: Option<WriteId>,
    looking: bool,
    /// A login has ended the session already.
    superseded: bool,
    /// The user in the record that was seen last.
    owner: Option<UserRef>,
    tries: u8,
}

/// How a [`Destroy`] ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Destroyed {
    /// The session is in the store no more, under any ID.
    Confirmed,
    /// The store did not answer: it may be there still. Tell the application; the cookie is removed
    /// all the same.
    Unconfirmed,
}

impl Destroy {
    /// Ends the session that was `loaded`, also if the record only says that it has another ID.
    #[must_use]
    pub fn new(id: SessionId, loaded: &Record) -> Self {
        let seen = loaded.write_id().cloned();
        let (id, looking, superseded) = match loaded.next(&id) {
            Ok(Some((next, Some(_)))) => (next, true, false),
            Ok(Some((_, None))) => (id, false, true),
            _ => (id, false, false),
        };
        let owner = loaded.meta().user.clone();
        Self { id, seen, looking, superseded, owner, tries: 0 }
    }

    /// The user in whose list the session that was ended stands.
    #[must_use]
    pub fn owner(&self) -> Option<&UserRef> {
        self.owner.as_ref()
    }

    /// The first step.
    #[must_use]
    pub fn start(&self) -> Step<Destroyed> {
        if self.superseded {
            return Step::Finished(Destroyed::Confirmed);
        }
        if self.looking {
            return Step::Ask(Ask::Load(self.id.clone()));
        }
        Step::Ask(Ask::Remove(self.id.clone(), self.seen.clone()))
    }

    /// The answer of the store to the last [`Step::Ask`].
    #[must_use]
    pub fn answered(&mut self, answer: Answer) -> Step<Destroyed> {
        let looked = core::mem::take(&mut self.looking);
        match answer {
            Answer::Record(record) => {
                match record.next(&self.id) {
                    Ok(None) => {}
                    Ok(Some((next, Some(_)))) => {
                        self.id = next;
                        self.seen = None;
                        return self.look();
                    }
                    // A login has ended the session, or the record leads nowhere.
                    Ok(Some((_, None))) | Err(_) => return Step::Finished(Destroyed::Confirmed),
                }
                self.owner.clone_from(&record.meta().user);
                self.seen = record.write_id().cloned();
                self.start()
            }
            // A replica may not have it yet, or have it still. What the store says of a removal is
            // certain.
            Answer::Gone if looked => self.start(),
            Answer::Done | Answer::Gone => Step::Finished(Destroyed::Confirmed),
            Answer::Conflict | Answer::Exists | Answer::Unknown => self.look(),
        }
    }

    fn look(&mut self) -> Step<Destroyed> {
        self.tries += 1;
        if self.tries > 2 * TRIES {
            return Step::Finished(Destroyed::Unconfirmed);
        }
        self.looking = true;
        Step::Ask(Ask::Load(self.id.clone()))
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::{Limits, UnixMillis};

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
        let mut destroy = Destroy::new(id(1), &record(1));
        assert_eq!(destroy.start(), remove(1, Some(1)));
        assert_eq!(destroy.answered(Answer::Unknown), load(1));
        assert_eq!(destroy.answered(Answer::Gone), remove(1, Some(1)));
        assert_eq!(destroy.answered(Answer::Gone), Step::Finished(Destroyed::Confirmed));
    }

    #[test]
    fn it_follows_every_change_of_the_id_and_removes_none_of_what_they_left() {
        let mut destroy = Destroy::new(id(1), &retired(1));
        assert_eq!(destroy.start(), load(2));
        assert_eq!(destroy.answered(Answer::Record(retired(2).into())), load(3));
        assert_eq!(destroy.answered(Answer::Record(record(7).into())), remove(3, Some(7)));
        assert_eq!(destroy.answered(Answer::Conflict), load(3));
        assert_eq!(destroy.answered(Answer::Record(record(8).into())), remove(3, Some(8)));
        assert_eq!(destroy.answered(Answer::Done), Step::Finished(Destroyed::Confirmed));
    }

    #[test]
    fn the_session_of_a_login_is_not_ended_by_the_id_that_the_login_replaced() {
        let done = Step::Finished(Destroyed::Confirmed);
        assert_eq!(Destroy::new(id(1), &superseded(1)).start(), done);
        let mut destroy = Destroy::new(id(1), &record(1));
        assert_eq!(destroy.start(), remove(1, Some(1)));
        assert_eq!(destroy.answered(Answer::Conflict), load(1));
        assert_eq!(destroy.answered(Answer::Record(superseded(1).into())), done);
        // Renewed first, then logged in.
        let mut destroy = Destroy::new(id(1), &retired(1));
        assert_eq!(destroy.start(), load(2));
        assert_eq!(destroy.answered(Answer::Record(superseded(2).into())), done);
    }

    #[test]
    fn the_owner_is_the_one_of_the_record_that_was_removed() {
        let owned = Record::decode(
            r#"{"v":"AAAAAAAAAAAAAAAA","meta":{"user":"ada","handle":"BBBBBBBBBBBBBBBB"},"data":{}}"#,
            Limits::LOAD,
        )
        .unwrap();
        assert_eq!(Destroy::new(id(1), &owned).owner(), owned.meta().user.as_ref());
        let mut destroy = Destroy::new(id(1), &retired(1));
        assert_eq!(destroy.owner(), None);
        let _ = destroy.answered(Answer::Record(owned.clone().into()));
        assert_eq!(destroy.owner(), owned.meta().user.as_ref());
    }

    #[test]
    fn it_says_so_when_the_store_did_not_answer() {
        let mut destroy = Destroy::new(id(1), &record(1));
        for n in 0..2 * TRIES {
            assert_eq!(destroy.answered(Answer::Unknown), load(1), "{n}");
        }
        let ended = Step::Finished(Destroyed::Unconfirmed);
        assert_eq!(destroy.answered(Answer::Unknown), ended);
    }
}
