use alloc::boxed::Box;

use super::{Answer, Ask, REMEMBERED, Step, TRIES, Terms, is_proof};
use crate::{Error, Follower, Format, Lead, Meta, Record, SessionId, Ttl, UnixMillis, WriteId};

/// Gives a session another ID: the new record is there, for as long as it shall be, before the old one
/// is retired. A crash between the two leaves a record whose ID nobody knows, and which expires.
///
/// ```
/// # use vestiary::{Format, Limits, Meta, Record, SessionId, UnixMillis, WriteId};
/// # use vestiary::protocol::{Answer, Ask, Kind, Rotate, Rotated, Step, Terms};
/// # let [old, new] = [1, 2].map(|n| SessionId::from_entropy(&[n; 24]));
/// # let [a, b, fresh] = [3, 4, 5].map(|n| WriteId::from_entropy(&[n; 12]));
/// # let loaded = Record::decode(r#"{"v":"AAAAAAAAAAAAAAAA","data":{}}"#, Limits::LOAD)?;
/// let login = Record::new(Format::Seed, a, "{}", r#"{"user":7}"#, Meta::default(), Limits::SAVE)?;
/// let (kind, now) = (Kind::Privilege(login.into()), UnixMillis(0));
/// let loaded = (loaded, now);
/// let mut rotate = Rotate::new(old, loaded, new.clone(), kind, b, Terms::default(), now)?;
/// assert!(matches!(rotate.start(), Step::Ask(Ask::Create(..))));
/// assert!(matches!(rotate.answered(Answer::Done, fresh.clone(), now)?, Step::Ask(Ask::Replace(..))));
/// assert_eq!(rotate.answered(Answer::Done, fresh, now)?, Step::Finished(Rotated::To(new)));
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Debug)]
pub struct Rotate {
    old: SessionId,
    /// The old record, as last seen.
    current: Record,
    /// When it was seen.
    read_at: UnixMillis,
    new: SessionId,
    successor: Box<Record>,
    grace: Option<UnixMillis>,
    /// The write that retires the old record.
    retirement: WriteId,
    terms: Terms,
    /// How long the new record may stay.
    ttl: Ttl,
    phase: Phase,
    /// The old record may be retired, or be retired yet.
    doubt: bool,
    tries: u8,
}

/// Why a session gets another ID.
#[derive(Debug)]
pub enum Kind {
    /// Somebody logged in, or got other rights. The new record is this one; the old ID is nobody's
    /// at once, or whoever planted it would be logged in with it.
    Privilege(Box<Record>),
    /// It is time. The data goes along; until `grace` the old ID leads to the new one, for the
    /// requests that are under way.
    Renewal {
        /// Until when.
        grace: UnixMillis,
        /// The mark of the new record.
        write_id: WriteId,
    },
}

/// How a [`Rotate`] ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rotated {
    /// The session has this ID now.
    To(SessionId),
    /// Another request was faster. A renewal's tombstone leads to this ID, a login's to none
    /// ([`Record::lead`]).
    Elsewhere(Option<SessionId>),
    /// The session was ended meanwhile. No cookie may be sent.
    Gone,
    /// There is no record, but the session was read so long ago that another request may have given it
    /// another ID, and the tombstone that led there has expired.
    Untraced,
    /// The new ID cannot be used: begin again with another one. An ID whose record may or may not
    /// have been created is given up, for it may still be created after it was removed.
    TryAnother,
    /// The store did not answer, or others were faster each time.
    GaveUp,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Phase {
    Creating,
    Retiring,
    Checking,
    Carrying(Box<Record>),
    Leaving(Rotated),
    /// express-session would take the tombstone for a session.
    Removing,
}

impl Rotate {
    /// Gives the session the ID `new` whose record was `loaded` under `old`, and when. `retirement` is a new
    /// write ID.
    ///
    /// # Errors
    /// [`Error`] if the data cannot be stored.
    pub fn new(
        old: SessionId,
        loaded: (Record, UnixMillis),
        new: SessionId,
        kind: Kind,
        retirement: WriteId,
        terms: Terms,
        now: UnixMillis,
    ) -> Result<Self, Error> {
        let (loaded, read_at) = loaded;
        let mut elsewhere = elsewhere(&loaded, &old, Follower::Cookie(now))?;
        let (successor, ttl, grace) = match kind {
            Kind::Privilege(record) => {
                let ttl = terms.timeouts.ttl(terms.ttl, record.meta(), now);
                (record, ttl, None)
            }
            Kind::Renewal { grace, write_id } => {
                if terms.format == Format::Express && elsewhere.is_none() {
                    return Err(Error::ExpressRenewal);
                }
                let (record, ttl) = renewed(&loaded, write_id, &terms, now)?;
                (Box::new(record), ttl, Some(grace))
            }
        };
        if elsewhere.is_none() && terms.timeouts.is_over(loaded.meta(), now) {
            elsewhere = Some(Rotated::Gone);
        }
        Ok(Self {
            old,
            current: loaded,
            read_at,
            new,
            successor,
            grace,
            retirement,
            terms,
            ttl,
            // What only says where the session went, or has expired, is nothing to retire.
            phase: elsewhere.map_or(Phase::Creating, Phase::Leaving),
            doubt: false,
            tries: 0,
        })
    }

    /// The record under the new ID, as it was last written.
    #[must_use]
    pub fn successor(&self) -> &Record {
        &self.successor
    }

    /// The first step.
    #[must_use]
    pub fn start(&self) -> Step<Rotated> {
        if let Phase::Leaving(ended) = &self.phase {
            return Step::Finished(ended.clone());
        }
        Step::Ask(Ask::Create(self.new.clone(), self.successor.clone(), self.ttl))
    }

    /// The answer of the store to the last [`Step::Ask`]. `fresh` is a new write ID, in case one is
    /// needed; of [`Answer::Done`] none is.
    ///
    /// # Errors
    /// [`Error`] if what the session holds now cannot be stored.
    pub fn answered(
        &mut self,
        answer: Answer,
        fresh: WriteId,
        now: UnixMillis,
    ) -> Result<Step<Rotated>, Error> {
        match (&self.phase, answer) {
            (Phase::Creating, Answer::Done)
            // A replica may not have it yet. What the store says of a write is certain.
            | (Phase::Checking, Answer::Gone) => self.retire(now),
            (Phase::Creating, _) => Ok(Step::Finished(Rotated::TryAnother)),

            (Phase::Carrying(_), Answer::Unknown) => Ok(self.carry_again()),
            (Phase::Carrying(_), Answer::Gone) => Ok(self.give_up()),
            // A conflict is with our own first try, whose answer was lost.
            (Phase::Carrying(carried), _) => {
                self.successor = carried.clone();
                self.retire(now)
            }

            (Phase::Retiring, Answer::Done) => Ok(self.done()),
            (Phase::Retiring, Answer::Gone) => Ok(self.gone(now)),
            (Phase::Checking, Answer::Record(record)) => self.found(*record, fresh, now),
            (Phase::Retiring, answer) => {
                self.doubt |= answer == Answer::Unknown;
                Ok(self.check())
            }
            (Phase::Checking, _) => Ok(self.check()),

            (Phase::Leaving(ended), _) => Ok(Step::Finished(ended.clone())),
            (Phase::Removing, _) => Ok(Step::Finished(Rotated::To(self.new.clone()))),
        }
    }

    fn retire(&mut self, now: UnixMillis) -> Result<Step<Rotated>, Error> {
        self.phase = Phase::Retiring;
        let retirement = self.retirement.clone();
        let tombstone = self.current.retired(retirement, &self.old, &self.new, self.grace)?;
        let expected = self.current.write_id().cloned();
        let life = self.grace.map_or(0, |grace| grace.since(now)).max(REMEMBERED);
        let ttl = Ttl::Millis(life);
        Ok(Step::Ask(Ask::Replace(self.old.clone(), expected, Box::new(tombstone), ttl)))
    }

    /// Somebody wrote the old record meanwhile, or the answer was lost.
    fn check(&mut self) -> Step<Rotated> {
        self.tries += 1;
        if self.tries > TRIES {
            return self.give_up();
        }
        self.phase = Phase::Checking;
        Step::Ask(Ask::Load(self.old.clone()))
    }

    fn found(
        &mut self,
        record: Record,
        fresh: WriteId,
        now: UnixMillis,
    ) -> Result<Step<Rotated>, Error> {
        if record.has_write(&self.retirement) {
            return Ok(self.done());
        }
        if let Some(elsewhere) = elsewhere(&record, &self.old, Follower::Admitted)? {
            return Ok(self.drop_new(elsewhere));
        }
        let known = self.current.write_id();
        if record.write_id() == known {
            return self.retire(now);
        }
        if !known.is_none_or(|known| record.has_write(known)) {
            // Older than what was seen already.
            return Ok(self.check());
        }
        // Had the old record been retired by our lost request, nobody could have written it after.
        self.doubt = false;
        self.current = record;
        self.read_at = now;
        if self.grace.is_none() {
            return self.retire(now);
        }
        // The data goes along, so what was written meanwhile goes, too. A mark of its own: whoever
        // has read the new record as it was must not write over this one.
        let (carried, ttl) = renewed(&self.current, fresh, &self.terms, now)?;
        self.ttl = ttl;
        self.phase = Phase::Carrying(Box::new(carried));
        Ok(self.carry())
    }

    fn carry(&self) -> Step<Rotated> {
        let Phase::Carrying(carried) = &self.phase else { return self.start() };
        let expected = self.successor.write_id().cloned();
        Step::Ask(Ask::Replace(self.new.clone(), expected, carried.clone(), self.ttl))
    }

    fn carry_again(&mut self) -> Step<Rotated> {
        self.tries += 1;
        if self.tries > TRIES { self.give_up() } else { self.carry() }
    }

    fn done(&mut self) -> Step<Rotated> {
        if self.terms.format != Format::Express {
            return Step::Finished(Rotated::To(self.new.clone()));
        }
        self.phase = Phase::Removing;
        Step::Ask(Ask::Remove(self.old.clone(), Some(self.retirement.clone())))
    }

    /// If the old record may be retired yet, by a request that is late, the new one has to be there
    /// then.
    fn give_up(&mut self) -> Step<Rotated> {
        if self.doubt { Step::Finished(Rotated::GaveUp) } else { self.drop_new(Rotated::GaveUp) }
    }

    /// The old record is not there any more.
    fn gone(&mut self, now: UnixMillis) -> Step<Rotated> {
        match (is_proof(self.read_at, now), self.doubt) {
            (true, _) => self.drop_new(Rotated::Gone),
            // The tombstone may be our own, and have expired: then the session lives under the new ID.
            (false, true) => Step::Finished(Rotated::GaveUp),
            (false, false) => self.drop_new(Rotated::Untraced),
        }
    }

    /// Nobody knows the new ID, and nobody will. If this fails, the record expires soon.
    fn drop_new(&mut self, ended: Rotated) -> Step<Rotated> {
        self.phase = Phase::Leaving(ended);
        Step::Ask(Ask::Remove(self.new.clone(), self.successor.write_id().cloned()))
    }
}

/// How a rotation ends that meets a tombstone.
fn elsewhere(
    record: &Record,
    old: &SessionId,
    follower: Follower,
) -> Result<Option<Rotated>, Error> {
    Ok(match record.lead(old, follower)? {
        Lead::Here => None,
        Lead::To(next) => Some(Rotated::Elsewhere(Some(next))),
        Lead::Nowhere => Some(Rotated::Elsewhere(None)),
    })
}

/// The session under another ID: data, deadlines, user and cookie attributes go along.
fn renewed(
    old: &Record,
    mark: WriteId,
    terms: &Terms,
    now: UnixMillis,
) -> Result<(Record, Ttl), Error> {
    let (meta, cookie, ttl) = terms.stamped(old.meta().clone(), now)?;
    let meta = Meta { renewed: Some(now), ..meta };
    let record = old.rewritten(terms.format, mark, &cookie, old.data(), meta, terms.limits)?;
    Ok((record, ttl))
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

    fn record(n: u8, writes: &[u8]) -> Record {
        let ring: alloc::vec::Vec<_> = writes.iter().map(|&n| mark(n)).collect();
        let ring: alloc::vec::Vec<_> =
            ring.iter().map(|mark| format!("{:?}", mark.as_str())).collect();
        let (v, ring) = (mark(n), ring.join(","));
        let text =
            format!(r#"{{"v":"{}","meta":{{"writes":[{ring}]}},"data":{{"n":{n}}}}}"#, v.as_str());
        Record::decode(&text, Limits::LOAD).unwrap()
    }

    /// A renewal of the session 1 under the mark 1: to the session 2, under the mark 2.
    fn renewal() -> Rotate {
        let kind = Kind::Renewal { grace: NOW.plus(30_000), write_id: mark(2) };
        let terms = Terms { ttl: Ttl::Millis(5_000_000), ..Terms::default() };
        Rotate::new(id(1), (record(1, &[]), NOW), id(2), kind, mark(3), terms, NOW).unwrap()
    }

    fn told(rotate: &mut Rotate, answer: Answer) -> Step<Rotated> {
        rotate.answered(answer, mark(4), NOW).unwrap()
    }

    /// Loads the old record that nobody has changed, and nobody retired, as often as it is asked for.
    fn busy(rotate: &mut Rotate, answer: &Answer) -> Step<Rotated> {
        told(rotate, Answer::Done);
        for n in 0..TRIES {
            assert_eq!(told(rotate, answer.clone()), Step::Ask(Ask::Load(id(1))), "{n}");
            let step = told(rotate, Answer::Record(record(1, &[]).into()));
            assert!(matches!(step, Step::Ask(Ask::Replace(..))), "{n}");
        }
        told(rotate, answer.clone())
    }

    #[test]
    fn it_gives_up_after_so_many_looks_and_removes_what_nobody_knows() {
        let rotate = &mut renewal();
        let step = busy(rotate, &Answer::Conflict);
        assert_eq!(step, Step::Ask(Ask::Remove(id(2), Some(mark(2)))));
        assert_eq!(told(rotate, Answer::Done), Step::Finished(Rotated::GaveUp));
    }

    #[test]
    fn what_a_late_request_may_still_lead_to_is_kept() {
        let rotate = &mut renewal();
        assert_eq!(busy(rotate, &Answer::Unknown), Step::Finished(Rotated::GaveUp));
        // Somebody has written the old record since: what was late is refused.
        let rotate = &mut renewal();
        told(rotate, Answer::Done);
        told(rotate, Answer::Unknown);
        let carry = told(rotate, Answer::Record(record(5, &[1]).into()));
        assert!(matches!(&carry, Step::Ask(Ask::Replace(to, ..)) if *to == id(2)));
        assert_eq!(told(rotate, Answer::Gone), Step::Ask(Ask::Remove(id(2), Some(mark(2)))));
    }

    #[test]
    fn what_only_says_where_a_session_went_is_not_retired_again() {
        let grace = Some(NOW.plus(5));
        let retired = record(1, &[]).retired(mark(3), &id(1), &id(2), grace).unwrap();
        let kind = Kind::Privilege(Box::new(record(2, &[])));
        let terms = Terms::default();
        let rotate = Rotate::new(id(1), (retired, NOW), id(4), kind, mark(5), terms, NOW);
        let elsewhere = Step::Finished(Rotated::Elsewhere(Some(id(2))));
        assert_eq!(rotate.unwrap().start(), elsewhere);
    }

    #[test]
    fn what_was_written_meanwhile_goes_along() {
        let rotate = &mut renewal();
        told(rotate, Answer::Done);
        told(rotate, Answer::Conflict);
        let step = told(rotate, Answer::Record(record(5, &[1]).into()));
        let Step::Ask(Ask::Replace(to, expected, carried, _)) = step.clone() else { panic!() };
        assert_eq!((to, expected, carried.data()), (id(2), Some(mark(2)), r#"{"n":5}"#));
        for n in 0..TRIES - 1 {
            assert_eq!(told(rotate, Answer::Unknown), step, "{n}");
        }
        // A conflict is with the first try.
        let step = told(rotate, Answer::Conflict);
        assert!(
            matches!(step, Step::Ask(Ask::Replace(to, Some(by), ..)) if to == id(1) && by == mark(5))
        );
        assert_eq!(rotate.successor(), &*carried);
    }

    #[test]
    fn an_older_record_than_the_one_that_was_seen_is_not_carried() {
        let rotate = &mut renewal();
        told(rotate, Answer::Done);
        told(rotate, Answer::Conflict);
        let step = told(rotate, Answer::Record(record(6, &[]).into()));
        assert_eq!(step, Step::Ask(Ask::Load(id(1))));
    }

    #[test]
    fn it_carries_no_more_than_so_often() {
        let rotate = &mut renewal();
        told(rotate, Answer::Done);
        told(rotate, Answer::Conflict);
        let carry = told(rotate, Answer::Record(record(5, &[1]).into()));
        for n in 1..TRIES {
            assert_eq!(told(rotate, Answer::Unknown), carry, "{n}");
        }
        assert!(matches!(told(rotate, Answer::Unknown), Step::Ask(Ask::Remove(..))));
        assert_eq!(told(rotate, Answer::Unknown), Step::Finished(Rotated::GaveUp));
    }

    #[test]
    fn a_crash_once_the_old_id_is_retired_costs_no_life() {
        let rotate = &mut renewal();
        let Step::Ask(Ask::Create(to, new, ttl)) = rotate.start() else { panic!() };
        assert_eq!((to, ttl), (id(2), Ttl::Millis(5_000_000)));
        assert_eq!((new.meta().created, new.meta().renewed), (Some(NOW), Some(NOW)));
        assert!(matches!(told(rotate, Answer::Done), Step::Ask(Ask::Replace(..))));
        assert_eq!(told(rotate, Answer::Done), Step::Finished(Rotated::To(id(2))));
    }

    #[test]
    fn a_request_that_had_the_session_open_follows_a_renewal_after_the_grace_period_too() {
        for (grace, elsewhere) in [(Some(NOW), Some(id(2))), (None, None)] {
            let theirs = record(1, &[]).retired(mark(7), &id(1), &id(2), grace).unwrap();
            let rotate = &mut renewal();
            told(rotate, Answer::Done);
            told(rotate, Answer::Conflict);
            let step = told(rotate, Answer::Record(theirs.clone().into()));
            assert!(matches!(step, Step::Ask(Ask::Remove(..))));
            assert_eq!(told(rotate, Answer::Done), Step::Finished(Rotated::Elsewhere(elsewhere)));
            // A request that comes with the old ID is not admitted any more.
            let kind = Kind::Privilege(Box::new(record(2, &[])));
            let (loaded, terms) = ((theirs, NOW), Terms::default());
            let late = Rotate::new(id(1), loaded, id(4), kind, mark(5), terms, NOW).unwrap();
            assert_eq!(late.start(), Step::Finished(Rotated::Elsewhere(None)));
        }
    }

    #[test]
    fn the_absence_of_the_old_record_is_no_proof_once_a_tombstone_may_have_expired() {
        for (later, doubt, ended) in [
            (TRUSTED - 1, false, Rotated::Gone),
            (TRUSTED - 1, true, Rotated::Gone),
            (TRUSTED, false, Rotated::Untraced),
            (TRUSTED, true, Rotated::GaveUp),
        ] {
            let rotate = &mut renewal();
            told(rotate, Answer::Done);
            if doubt {
                told(rotate, Answer::Unknown);
                told(rotate, Answer::Gone);
            }
            let step = rotate.answered(Answer::Gone, mark(4), NOW.plus(later)).unwrap();
            if ended == Rotated::GaveUp {
                // The new record stays: the tombstone may lead to it.
                assert_eq!(step, Step::Finished(ended));
                continue;
            }
            assert_eq!(step, Step::Ask(Ask::Remove(id(2), Some(mark(2)))));
            assert_eq!(told(rotate, Answer::Done), Step::Finished(ended));
        }
    }
}
