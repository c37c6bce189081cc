use alloc::{
    borrow::{Cow, ToOwned as _},
    boxed::Box,
    string::String,
    vec::Vec,
};

use super::{Answer, Ask, Step, TRIES, Terms, is_proof};
use crate::{
    Error, Follower, Lead, Limits, Meta, Record, SessionId, Ttl, UnixMillis, WriteId, merge,
};

/// Writes the data of a session that is stored.
///
/// ```
/// # use vestiary::{Limits, Record, SessionId, Ttl, UnixMillis, WriteId};
/// # use vestiary::protocol::{Answer, Ask, Change, Commit, Committed, Step, Terms};
/// # let id = SessionId::from_entropy(&[1; 24]);
/// # let loaded = Record::decode(r#"{"v":"AAAAAAAAAAAAAAAA","data":{"n":1}}"#, Limits::LOAD)?;
/// let change = Change::Merge { base: r#"{"n":1}"#.into(), mine: r#"{"n":2}"#.into() };
/// let write = WriteId::from_entropy(&[1; 12]);
/// let terms = Terms { ttl: Ttl::Millis(60_000), ..Terms::default() };
/// let now = UnixMillis(0);
/// let mut commit = Commit::new(id, (loaded, now), change, write, terms);
/// let Step::Ask(Ask::Replace(_, expected, ..)) = commit.start(now)? else { panic!() };
/// assert_eq!(expected.unwrap().as_str(), "AAAAAAAAAAAAAAAA");
/// // Another request was faster: look at what it wrote.
/// let [second, third, fourth] = [2, 3, 4].map(|n| WriteId::from_entropy(&[n; 12]));
/// assert!(matches!(commit.answered(Answer::Conflict, second, now)?, Step::Ask(Ask::Load(_))));
/// let theirs = Record::decode(r#"{"v":"BBBBBBBBBBBBBBBB","data":{"n":1,"m":5}}"#, Limits::LOAD)?;
/// let found = Answer::Record(theirs.into());
/// let Step::Ask(Ask::Replace(_, _, record, _)) = commit.answered(found, third, now)?
/// else { panic!() };
/// assert_eq!(record.data(), r#"{"n":2,"m":5}"#);
/// let step = commit.answered(Answer::Done, fourth, now)?;
/// assert!(matches!(step, Step::Finished(Committed::Saved(_))));
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not the states of one machine"
)]
pub struct Commit {
    id: SessionId,
    /// As the request has seen it.
    loaded: Record,
    /// When the session's record was last seen.
    read_at: UnixMillis,
    /// The session's own record was seen, so a renewal is followed however late it is.
    admitted: bool,
    /// As last seen, under this ID or under one of before.
    current: Record,
    /// Under this one.
    here: bool,
    change: Change,
    /// The mark of the next attempt. Each has its own: under one mark there is never but one content.
    write_id: WriteId,
    terms: Terms,
    pending: Box<Record>,
    attempts: Vec<Attempt>,
    /// One of them was done, and whether it was applied to what another request had written.
    done: Option<bool>,
    /// The pending record is.
    merges: bool,
    tries: u8,
    /// How often a record could not tell what became of them.
    silent: u8,
    looking: bool,
}

/// A write that was tried.
#[derive(Debug)]
struct Attempt {
    expected: Option<WriteId>,
    mark: WriteId,
    /// Nobody knows whether it was done, or will be.
    doubtful: bool,
    /// It was applied to what another request had written.
    merges: bool,
}

/// How many records may not tell: a replica may have an old one.
pub(super) const SILENT: u8 = 2;

/// What a request did to the data.
#[derive(Clone, Eq, PartialEq)]
pub enum Change {
    /// It set and removed keys: `mine` was made of `base`. See [`merge`].
    Merge {
        /// The data that the request loaded.
        base: String,
        /// The data that it wants to have.
        mine: String,
    },
    /// It has a function of the data, which is run again on whatever is there.
    Rerun,
}

/// How a [`Commit`] ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Committed {
    /// The change is in this record, which is, or was, the session's.
    Saved(Box<Record>),
    /// The session was ended meanwhile, or is another visitor's now. Nothing was written, and no cookie may be
    /// sent.
    Gone,
    /// There is no record, but the session was read so long ago that it may have got another ID, and the
    /// tombstone that led there has expired. Nothing was written.
    Untraced,
    /// Others were faster each time, or the store did not answer. Whether it was written is unknown
    /// if one of the answers was.
    GaveUp,
}

impl Commit {
    /// A change of the session whose record was `loaded`, and when. `write_id` is new.
    #[must_use]
    pub fn new(
        id: SessionId,
        (loaded, read_at): (Record, UnixMillis),
        change: Change,
        write_id: WriteId,
        terms: Terms,
    ) -> Self {
        let pending = Box::new(loaded.clone());
        Self {
            id,
            admitted: loaded.meta().next.is_none(),
            current: loaded.clone(),
            loaded,
            read_at,
            here: true,
            change,
            write_id,
            terms,
            pending,
            attempts: Vec::new(),
            done: None,
            merges: false,
            tries: 0,
            silent: 0,
            looking: false,
        }
    }

    /// The ID under which the session was found in the end: another one if it was renewed meanwhile.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Whether the change was applied to what another request had written meanwhile. A write whose reply was
    /// lost is no such conflict.
    #[must_use]
    pub fn is_merged(&self) -> bool {
        self.done.unwrap_or(self.merges)
    }

    /// The first step.
    ///
    /// # Errors
    /// [`Error`] if the data cannot be stored. Nothing was written.
    pub fn start(&mut self, now: UnixMillis) -> Result<Step<Committed>, Error> {
        if self.terms.timeouts.is_over(self.current.meta(), now) {
            // Another request may have used the session since, and moved its deadline.
            return Ok(self.look_again());
        }
        // What only says where the session went is nothing to write over.
        let read_at = self.read_at;
        let step = self.found(self.current.clone(), now);
        // It was not read again.
        self.read_at = read_at;
        step
    }

    /// What the application's function made of the data of a [`Step::Compute`].
    ///
    /// # Errors
    /// [`Error`] if the data cannot be stored. Nothing was written.
    pub fn computed(&mut self, data: &str, now: UnixMillis) -> Result<Step<Committed>, Error> {
        let (record, ttl) = self.rewritten(data, now)?;
        Ok(self.replace(record, ttl))
    }

    /// The answer of the store to the last [`Step::Ask`]. `fresh` is a new write ID; of [`Answer::Done`] none
    /// is used.
    ///
    /// # Errors
    /// [`Error`] if the change, applied to what is there now, cannot be stored.
    pub fn answered(
        &mut self,
        answer: Answer,
        fresh: WriteId,
        now: UnixMillis,
    ) -> Result<Step<Committed>, Error> {
        let looked = core::mem::take(&mut self.looking);
        let mark = core::mem::replace(&mut self.write_id, fresh);
        // What was done, nobody asks after.
        if !looked && self.here && answer != Answer::Done {
            let expected = self.current.write_id().cloned();
            let doubtful = answer == Answer::Unknown;
            let merges = self.merges;
            self.attempts.push(Attempt { expected, mark, doubtful, merges });
        }
        match answer {
            Answer::Done => Ok(Step::Finished(Committed::Saved(self.pending.clone()))),
            // A replica may not have it yet. What the store says of a write is certain.
            Answer::Gone if looked => self.attempt(now),
            Answer::Gone if is_proof(self.read_at, now) => Ok(Step::Finished(Committed::Gone)),
            Answer::Gone => Ok(Step::Finished(Committed::Untraced)),
            Answer::Record(record) => self.found(*record, now),
            // Of both the record says more: whether it was our own write that was faster.
            Answer::Conflict | Answer::Exists | Answer::Unknown => Ok(self.look_again()),
        }
    }

    fn found(&mut self, record: Record, now: UnixMillis) -> Result<Step<Committed>, Error> {
        let done = self.attempts.iter().find(|attempt| record.has_write(&attempt.mark));
        self.done = self.done.or(done.map(|attempt| attempt.merges));
        let follower = if self.admitted { Follower::Admitted } else { Follower::Cookie(now) };
        match record.lead(&self.id, follower)? {
            // A login took the ID away: a request that holds the old one may write nothing.
            Lead::Nowhere => return Ok(Step::Finished(Committed::Gone)),
            Lead::To(next) => {
                self.id = next;
                self.here = false;
                return Ok(self.look_again());
            }
            Lead::Here => self.admitted = true,
        }
        if self.done.is_some() {
            return Ok(Step::Finished(Committed::Saved(Box::new(record))));
        }
        if self.terms.timeouts.is_over(record.meta(), now) {
            return Ok(Step::Finished(Committed::Gone));
        }
        if !self.attempts.iter().all(|attempt| attempt.is_settled_by(&record)) {
            // What a replica had before; or so much was written since that nobody knows any more. To try
            // again could be to do it twice.
            self.silent += 1;
            if self.silent > SILENT {
                return Ok(Step::Finished(Committed::GaveUp));
            }
            return Ok(self.look_again());
        }
        self.current = record;
        self.read_at = now;
        self.here = true;
        self.attempt(now)
    }

    fn look_again(&mut self) -> Step<Committed> {
        self.tries += 1;
        if self.tries > TRIES {
            return Step::Finished(Committed::GaveUp);
        }
        self.looking = true;
        Step::Ask(Ask::Load(self.id.clone()))
    }

    fn attempt(&mut self, now: UnixMillis) -> Result<Step<Committed>, Error> {
        if !self.here {
            // No record under this ID has, or will have, the mark of one under another: this writes
            // nothing, however late it comes, and only finds out for certain whether there is a record.
            let (nobodys, any) = (self.current.write_id().cloned(), self.pending.clone());
            return Ok(Step::Ask(Ask::Replace(self.id.clone(), nobodys, any, self.terms.ttl)));
        }
        match &self.change {
            Change::Rerun => Ok(Step::Compute(self.current.data().to_owned())),
            Change::Merge { base, mine } => {
                // Mostly nobody else has written, and there is nothing to merge.
                let data = match self.current.data() {
                    theirs if base == theirs => Cow::from(mine),
                    theirs if base == mine => Cow::from(theirs),
                    // The result is checked when it is written.
                    theirs => {
                        merge(base, mine, theirs, Limits { bytes: usize::MAX, ..Limits::LOAD })?
                            .into()
                    }
                };
                let (record, ttl) = self.rewritten(&data, now)?;
                Ok(self.replace(record, ttl))
            }
        }
    }

    /// The record with this data, and how long it may live.
    fn rewritten(&self, data: &str, now: UnixMillis) -> Result<(Record, Ttl), Error> {
        let terms = &self.terms;
        let (meta, cookie, ttl) = terms.stamped(self.current.meta().without_writes(), now)?;
        let mark = self.write_id.clone();
        let record =
            self.current.rewritten(terms.format, mark, &cookie, data, meta, terms.limits)?;
        Ok((record, ttl))
    }

    /// Asks the store to put this record in place of the current one.
    fn replace(&mut self, record: Record, ttl: Ttl) -> Step<Committed> {
        *self.pending = record;
        self.merges = self.current.data() != self.loaded.data();
        let expected = self.current.write_id().cloned();
        Step::Ask(Ask::Replace(self.id.clone(), expected, self.pending.clone(), ttl))
    }
}

impl Attempt {
    /// Whether a record that has not its mark shows that it was not done: it remembers what was to be
    /// replaced, or all writes that there ever were.
    fn is_settled_by(&self, record: &Record) -> bool {
        if !self.doubtful {
            return true;
        }
        match &self.expected {
            Some(expected) => record.has_write(expected),
            None => record.meta().writes.len() < Meta::WRITES,
        }
    }
}

/// Session data is the application's secret, so it is not shown.
impl core::fmt::Debug for Change {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Merge { .. } => "Merge",
            Self::Rerun => "Rerun",
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::{super::TRUSTED, *};

    const NOW: UnixMillis = UnixMillis(1_000);

    fn mark(n: u8) -> WriteId {
        WriteId::from_entropy(&[n; 12])
    }

    fn id(n: u8) -> SessionId {
        SessionId::from_entropy(&[n; 24])
    }

    fn record(n: u8, data: &str) -> Record {
        let text = format!(r#"{{"v":"{}","data":{data}}}"#, mark(n).as_str());
        Record::decode(&text, Limits::LOAD).unwrap()
    }

    /// A change of `n` to 2 in the session that holds `{"n":1}` under the mark 1.
    fn commit() -> Commit {
        let change = Change::Merge { base: r#"{"n":1}"#.into(), mine: r#"{"n":2}"#.into() };
        let loaded = record(1, r#"{"n":1}"#);
        let terms = Terms { ttl: Ttl::Millis(60_000), ..Terms::default() };
        Commit::new(id(1), (loaded, NOW), change, mark(9), terms)
    }

    #[test]
    fn of_a_write_the_store_is_believed_that_it_is_gone_of_a_read_it_is_not() {
        let mut commit = commit();
        commit.start(NOW).unwrap();
        let looking = commit.answered(Answer::Conflict, mark(50), NOW);
        assert!(matches!(looking, Ok(Step::Ask(Ask::Load(_)))));
        let again = commit.answered(Answer::Gone, mark(51), NOW);
        assert!(matches!(again, Ok(Step::Ask(Ask::Replace(_, Some(by), ..))) if by == mark(1)));
        let gone = Step::Finished(Committed::Gone);
        assert_eq!(commit.answered(Answer::Gone, mark(50), NOW).unwrap(), gone);
    }

    #[test]
    fn what_was_done_needs_no_fresh_mark() {
        let mut commit = commit();
        commit.start(NOW).unwrap();
        let step = commit.answered(Answer::Done, mark(50), NOW).unwrap();
        let Step::Finished(Committed::Saved(record)) = step else { panic!("{step:?}") };
        assert_eq!(record.write_id(), Some(&mark(9)));
        assert!(!record.encode(Limits::SAVE).unwrap().contains(mark(50).as_str()));
    }

    #[test]
    fn the_lost_answer_of_a_read_leaves_no_doubt_about_a_write() {
        let mut commit = commit();
        commit.start(NOW).unwrap();
        // The store has said that it did not do it.
        commit.answered(Answer::Conflict, mark(50), NOW).unwrap();
        let again = commit.answered(Answer::Unknown, mark(51), NOW);
        assert_eq!(again, Ok(Step::Ask(Ask::Load(id(1)))));
        let theirs = Answer::Record(record(3, r#"{"n":3}"#).into());
        let retried = commit.answered(theirs, mark(52), NOW);
        assert!(matches!(retried, Ok(Step::Ask(Ask::Replace(_, Some(by), ..))) if by == mark(3)));
    }

    #[test]
    fn a_request_that_had_the_session_open_follows_a_renewal_after_the_grace_period_too() {
        for (grace, follows) in [(Some(4), true), (Some(0), true), (None, false)] {
            let grace = grace.map(|grace| NOW.plus(grace));
            let retired = record(1, "{}").retired(mark(2), &id(1), &id(2), grace).unwrap();
            let mut commit = commit();
            commit.start(NOW).unwrap();
            commit.answered(Answer::Conflict, mark(50), NOW).unwrap();
            let step = commit.answered(Answer::Record(retired.into()), mark(50), NOW).unwrap();
            if follows {
                assert_eq!(step, Step::Ask(Ask::Load(id(2))), "{grace:?}");
            } else {
                assert_eq!(step, Step::Finished(Committed::Gone), "{grace:?}");
            }
            assert_eq!(commit.id() == &id(2), follows);
        }
    }

    #[test]
    fn a_change_is_merged_only_with_what_another_request_has_changed() {
        let ended = |theirs: Record, answers: [Answer; 2]| {
            let mut commit = commit();
            commit.start(NOW).unwrap();
            let [first, second] = answers;
            commit.answered(first, mark(50), NOW).unwrap();
            commit.answered(Answer::Record(theirs.into()), mark(51), NOW).unwrap();
            commit.answered(second, mark(52), NOW).unwrap();
            commit.is_merged()
        };
        let same = || record(3, r#"{"n":1}"#);
        assert!(ended(record(3, r#"{"n":1,"m":5}"#), [Answer::Conflict, Answer::Done]));
        // Such as a write of new deadlines.
        assert!(!ended(same(), [Answer::Conflict, Answer::Done]));
        // A lost reply is no conflict.
        assert!(!ended(record(1, r#"{"n":1}"#), [Answer::Unknown, Answer::Done]));
        let mut commit = commit();
        commit.start(NOW).unwrap();
        commit.answered(Answer::Unknown, mark(50), NOW).unwrap();
        let later = format!(
            r#"{{"v":"{}","meta":{{"writes":["{}"]}},"data":{{"n":7}}}}"#,
            mark(5).as_str(),
            mark(9).as_str()
        );
        let later = Record::decode(&later, Limits::LOAD).unwrap();
        let step = commit.answered(Answer::Record(later.clone().into()), mark(51), NOW).unwrap();
        assert_eq!(step, Step::Finished(Committed::Saved(later.into())));
        assert!(!commit.is_merged());
    }

    #[test]
    fn where_it_follows_a_renewal_to_nothing_it_does_not_change_what_was_there_before() {
        let retired = record(1, "{}").retired(mark(2), &id(1), &id(2), Some(NOW.plus(5))).unwrap();
        let mut commit =
            Commit::new(id(1), (retired, NOW), Change::Rerun, mark(9), Terms::default());
        commit.start(NOW).unwrap();
        let probe = commit.answered(Answer::Gone, mark(50), NOW).unwrap();
        let Step::Ask(Ask::Replace(to, expected, ..)) = &probe else { panic!("{probe:?}") };
        assert_eq!((to, expected), (&id(2), &Some(mark(2))));
        assert_eq!(
            commit.answered(Answer::Conflict, mark(50), NOW),
            Ok(Step::Ask(Ask::Load(id(2))))
        );
        let found = commit.answered(Answer::Record(record(3, r#"{"n":3}"#).into()), mark(50), NOW);
        assert_eq!(found, Ok(Step::Compute(r#"{"n":3}"#.into())));
        commit.computed(r#"{"n":4}"#, NOW).unwrap();
        assert_eq!(
            commit.answered(Answer::Gone, mark(50), NOW),
            Ok(Step::Finished(Committed::Gone))
        );
    }

    #[test]
    fn what_only_says_where_a_session_went_is_never_written_over() {
        let retired = record(1, "{}").retired(mark(2), &id(1), &id(2), Some(NOW.plus(5))).unwrap();
        let started = |now| {
            let (loaded, terms) = (retired.clone(), Terms::default());
            Commit::new(id(1), (loaded, NOW), Change::Rerun, mark(9), terms).start(now).unwrap()
        };
        assert_eq!(started(NOW), Step::Ask(Ask::Load(id(2))));
        assert_eq!(started(NOW.plus(5)), Step::Finished(Committed::Gone));
    }

    #[test]
    fn it_gives_up_after_so_many_looks() {
        let mut commit = commit();
        commit.start(NOW).unwrap();
        for n in 0..TRIES {
            let step = commit.answered(Answer::Conflict, mark(50), NOW).unwrap();
            assert_eq!(step, Step::Ask(Ask::Load(id(1))), "{n}");
            let theirs = record(10 + n, &format!(r#"{{"n":1,"m":{n}}}"#));
            let step = commit.answered(Answer::Record(theirs.into()), mark(50), NOW).unwrap();
            assert!(matches!(step, Step::Ask(Ask::Replace(..))), "{n}");
        }
        let step = commit.answered(Answer::Conflict, mark(50), NOW).unwrap();
        assert_eq!(step, Step::Finished(Committed::GaveUp));
    }

    #[test]
    fn a_write_whose_answer_was_lost_is_found_as_long_as_the_record_remembers_it() {
        let later = |writes: &[u8]| {
            let ring: Vec<_> = writes.iter().map(|&n| format!("{:?}", mark(n).as_str())).collect();
            let (v, ring) = (mark(40), ring.join(","));
            let text =
                format!(r#"{{"v":"{}","meta":{{"writes":[{ring}]}},"data":{{}}}}"#, v.as_str());
            Record::decode(&text, Limits::LOAD).unwrap()
        };
        let found = |record: Record| {
            let mut commit = commit();
            commit.start(NOW).unwrap();
            commit.answered(Answer::Unknown, mark(50), NOW).unwrap();
            commit.answered(Answer::Record(record.into()), mark(51), NOW).unwrap()
        };
        // Ours, and another one since.
        let done = later(&[9, 1]);
        assert_eq!(found(done.clone()), Step::Finished(Committed::Saved(done.into())));
        // Another one in its place: again, under another mark.
        let Step::Ask(Ask::Replace(_, expected, again, _)) = found(later(&[1])) else { panic!() };
        assert_eq!((expected, again.write_id()), (Some(mark(40)), Some(&mark(51))));
        // Not there yet, or nothing was written: again, and only one of both can be done.
        let Step::Ask(Ask::Replace(_, expected, ..)) = found(record(1, "{}")) else { panic!() };
        assert_eq!(expected, Some(mark(1)));
        // So many since that nobody knows. It could be a replica that is behind, though.
        let silent = later(&[31, 32, 33, 34, 35, 36, 37, 38]);
        assert_eq!(found(silent.clone()), Step::Ask(Ask::Load(id(1))));
        let mut commit = commit();
        commit.start(NOW).unwrap();
        commit.answered(Answer::Unknown, mark(50), NOW).unwrap();
        for _ in 0..SILENT {
            let step = commit.answered(Answer::Record(silent.clone().into()), mark(51), NOW);
            assert_eq!(step, Ok(Step::Ask(Ask::Load(id(1)))));
        }
        let step = commit.answered(Answer::Record(silent.clone().into()), mark(51), NOW);
        assert_eq!(step, Ok(Step::Finished(Committed::GaveUp)));
        // Of a conflict it is known that nothing was done, however much was written since.
        let mut commit = self::commit();
        commit.start(NOW).unwrap();
        commit.answered(Answer::Conflict, mark(50), NOW).unwrap();
        let step = commit.answered(Answer::Record(silent.into()), mark(51), NOW).unwrap();
        assert!(matches!(step, Step::Ask(Ask::Replace(..))));
    }

    #[test]
    fn of_a_record_without_a_mark_all_that_was_written_since_is_known_or_nothing() {
        let loaded = Record::decode(r#"{"cookie":{},"data":{}}"#, Limits::LOAD).unwrap();
        let mut commit =
            Commit::new(id(1), (loaded, NOW), Change::Rerun, mark(9), Terms::default());
        commit.start(NOW).unwrap();
        commit.computed("{}", NOW).unwrap();
        commit.answered(Answer::Unknown, mark(50), NOW).unwrap();
        let doubt = commit.attempts.first().unwrap();
        assert!(doubt.is_settled_by(&record(1, "{}")));
        let mut many = record(1, "{}");
        for n in 0..8 {
            assert!(doubt.is_settled_by(&many), "{n}");
            let meta = many.meta().clone();
            many = many
                .rewritten(crate::Format::Seed, mark(60 + n), "{}", "{}", meta, Limits::SAVE)
                .unwrap();
        }
        assert!(!doubt.is_settled_by(&many));
    }

    #[test]
    fn the_absence_of_the_record_is_no_proof_once_a_tombstone_may_have_expired() {
        for (later, ended) in [(TRUSTED - 1, Committed::Gone), (TRUSTED, Committed::Untraced)] {
            let mut commit = commit();
            commit.start(NOW.plus(later)).unwrap();
            let step = commit.answered(Answer::Gone, mark(50), NOW.plus(later));
            assert_eq!(step, Ok(Step::Finished(ended)));
        }
    }

    #[test]
    fn debug_shows_no_data() {
        let change = Change::Merge { base: r#"{"n":"secret"}"#.into(), mine: "{}".into() };
        assert_eq!(format!("{change:?} {:?}", Change::Rerun), "Merge Rerun");
    }
}
