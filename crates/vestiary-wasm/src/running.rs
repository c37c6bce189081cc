//! An operation in progress.

use alloc::{rc::Rc, string::String, sync::Arc, vec::Vec};
use core::cell::RefCell;

use vestiary::{
    Error, Event, Limits, Outcome, Record, SessionId, Ticket, merge,
    protocol::{Answered, Asked, Effect, NewId, Pending, Question, Reply, Report, Rules, Source},
    visit::{Facts, Known},
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::{millis, thrown, ttl_number},
    ending::{Ended, Ending, fault},
    operations::{Fact, Operation},
    options::Core,
};

/// The factor of a purpose in a number that also has a step.
pub(crate) const STEPS: u32 = 16;

/// The bit of a purpose for a session that is about to begin, whose cookie no other handle may take. It is above the bits of
/// `vestiary::visit::Purpose`.
pub(crate) const RESERVED: u32 = 4;

/// The bit of a purpose for several store calls at the same time.
pub(crate) const SEVERAL: u32 = 8;

/// The bit of a purpose for reports.
pub(crate) const REPORTS: u32 = 16;

/// An operation, and its last effect.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Running {
    pending: Pending<Ending>,
    own: Rc<Own>,
    pub(crate) step: Step,
    /// The store calls to make.
    asked: Vec<Asked>,
    /// The place of the call that the getters describe.
    place: usize,
    answers: Vec<Answered>,
    millis: f64,
    /// The data for the application's function.
    data: String,
    computed: Option<String>,
}

/// An operation and its facts.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) rules: Arc<Rules>,
    pub(crate) facts: Rc<Facts>,
    /// The record with which the last operation has ended. Usually the next one begins with it.
    pub(crate) record: Rc<RefCell<Option<Record>>>,
    /// The operation; a placeholder while it runs.
    operation: RefCell<Operation>,
}

/// The answer to an effect.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// The store did it.
    Done,
    /// The store has another record.
    Conflict,
    /// The store has no record.
    Gone,
    /// The store has this text.
    Text,
    /// The store has a value that is not text.
    Unreadable,
    /// The store has this text, if any, and this list, if any. With a number other than 0, the list could not be read.
    Two,
    /// The replicas have confirmed the removal if the number is 1, and have not if it is 0. With NaN the store cannot tell.
    Confirmed,
    /// The store has this text, if any. The number is the time by its clock, in milliseconds since the epoch; NaN without a
    /// clock.
    Timed,
    /// The reply was lost. The number is that of the error.
    Lost,
    /// The store or the application refused. The number is that of the error.
    Refused,
    /// The time has passed.
    Slept,
    /// The application's function has run.
    Computed,
    /// The application has made this ID.
    NewId,
    /// This ID was made at random.
    RandomId,
}

/// The effect that an operation needs next. The store calls have the order of `Question`, so that [`step_of`] costs nothing.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Load the record.
    Load,
    /// Load the record, and the list that has the text as its key.
    LoadTwo,
    /// Load the list, and read the store's clock.
    LoadTimed,
    /// Ask whether the replicas have confirmed the last removal.
    Confirm,
    /// Store the text, if the key has none.
    Create,
    /// Store the text in place of the expected record.
    Replace,
    /// Store a text and the time, in place of a record that begins alike.
    Stamp,
    /// Give the expected record another TTL.
    Touch,
    /// Remove the expected record.
    Remove,
    /// Run the application's function on the text.
    Compute,
    /// Sleep for some milliseconds.
    Sleep,
    /// Make a session ID.
    NewId,
    /// No effect: the operation has ended.
    Finished,
    /// No effect: the operation must begin again with random bytes, because it has something to write.
    Again,
    /// No effect: the request has no session cookie.
    Absent,
    /// Migrate the text, which has the version of `ttl`.
    Migrate,
}

#[wasm_bindgen]
impl Running {
    /// The parts of the store call, with a NUL between them: the key, the text to store, and the write ID that the record
    /// must have. The write ID is empty for a record without one. For a computation, it is only the text.
    #[wasm_bindgen(getter)]
    pub fn asked(&mut self) -> String {
        let Some(Asked { key, text, expected, .. }) = self.question() else {
            return self.data.clone();
        };
        let write_id = expected.as_ref().map_or("", |expected| expected.as_str());
        [key, "\0", text, "\0", write_id].concat()
    }

    /// The TTL of the text, or the time to sleep, in milliseconds; the version of the data to migrate.
    #[wasm_bindgen(getter)]
    pub fn ttl(&self) -> f64 {
        self.question().map_or(self.millis, |asked| ttl_number(asked.ttl))
    }

    /// Whether the record belongs to a user.
    #[wasm_bindgen(getter)]
    pub fn owned(&self) -> bool {
        self.question().is_some_and(|asked| asked.owned)
    }

    /// Goes to the next of several store calls that are made at the same time, and returns its step; `Finished` after the
    /// last one.
    pub fn next(&mut self) -> Step {
        self.place += 1;
        self.question().map_or(Step::Finished, |asked| step_of(asked.kind))
    }

    /// Takes the result of the application's function. `base` is the data before and `mine` the data after, both written by
    /// the same serialiser. Members that the function did not change keep their spelling in the record.
    pub fn computed(&mut self, base: &str, mine: &str) -> Result<(), String> {
        // The size is checked when the result is written.
        let limits = Limits { bytes: usize::MAX, ..Limits::LOAD };
        let changed = (base != mine).then(|| merge(base, mine, &self.data, limits));
        let changed = changed.transpose().map_err(thrown)?;
        self.computed = Some(changed.unwrap_or_else(|| core::mem::take(&mut self.data)));
        Ok(())
    }
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
impl Running {
    /// Creates an operation in progress.
    pub(crate) fn new(
        rules: Arc<Rules>,
        record: Rc<RefCell<Option<Record>>>,
        operation: Operation,
    ) -> Self {
        let (facts, operation) = (Rc::default(), RefCell::new(operation));
        let own = Rc::new(Own { rules, facts, record, operation });
        let running = Rc::clone(&own);
        Self {
            pending: Pending::new(move |host| {
                let own = Rc::clone(&running);
                async move {
                    let operation = own.operation.take();
                    let ended = operation.run(host, &own).await;
                    own.operation.replace(operation);
                    ended
                }
            }),
            own,
            step: Step::Finished,
            asked: Vec::new(),
            place: 0,
            answers: Vec::new(),
            millis: 0.0,
            data: String::new(),
            computed: None,
        }
    }

    /// Forgets the operation, and keeps its memory for another one.
    #[cfg(plain)]
    pub(crate) fn forget(&mut self) {
        self.pending.renew();
        self.own.facts.renew();
        self.own.operation.take();
        self.asked.clear();
    }

    /// Takes this operation after one that was forgotten.
    #[cfg(plain)]
    pub(crate) fn renew(&mut self, operation: Operation) {
        self.own.operation.replace(operation);
    }

    /// Lets a table answer the store calls, or a near cache find the session. If the operation only `reads`, it is never
    /// polled again.
    pub(crate) fn answer_by(&mut self, source: Rc<dyn Source>, reads: bool) {
        self.pending.answer_by(source, reads);
    }

    /// Provides the session ID that the operation gets when it first needs one.
    pub(crate) fn offer(&mut self, id: Option<SessionId>) {
        self.pending.offer(id);
    }

    /// The ticket of the session that the operation has found in the near cache.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        self.pending.ticket()
    }

    /// Says whether the operation has waited for another one that writes the same session.
    pub(crate) fn waited(&mut self, has_waited: bool) {
        self.pending.waited(has_waited);
    }

    /// Takes the facts that the driver knows now: bits of `Fact`.
    fn learn(&self, facts: u32) {
        let is = |bit: Fact| facts & bit as u32 != 0;
        let (left, taken) = (is(Fact::Left), is(Fact::Taken));
        let mut known = Known { left, taken, ..Known::default() };
        let mut ids = facts / Fact::SessionOutOfUse as u32;
        while ids != 0 {
            let place = ids.trailing_zeros() as usize;
            let list = if place < 2 { &mut known.out_of_use } else { &mut known.touched };
            list.extend(self.own.operation.borrow().id(place));
            ids &= ids - 1;
        }
        self.own.facts.learn(known);
    }

    /// Assembles the answer to an effect from the parts that JavaScript passes.
    pub(crate) fn answer(
        &mut self,
        answer: Answer,
        text: Option<String>,
        list: Option<String>,
        number: f64,
    ) -> Result<Answered, String> {
        Ok(match answer {
            Answer::Done => Answered::Reply(Reply::Done),
            Answer::Conflict => Answered::Reply(Reply::Conflict),
            Answer::Gone => Answered::Reply(Reply::Gone),
            Answer::Text => Answered::Reply(Reply::Text(text.unwrap_or_default())),
            Answer::Two => Answered::Reply(Reply::Two(text, (number == 0.0).then_some(list))),
            Answer::Confirmed => {
                let confirmed = (!number.is_nan()).then_some(number > 0.0);
                Answered::Reply(Reply::Confirmed(confirmed))
            }
            Answer::Timed => {
                let time = (!number.is_nan()).then(|| millis(number));
                Answered::Reply(Reply::Timed(text, time))
            }
            Answer::Lost => Answered::Lost(number as u32),
            Answer::Refused => Answered::Refused(number as u32),
            Answer::Unreadable => Answered::Failed(Error::Json),
            Answer::Slept => Answered::Slept,
            Answer::NewId | Answer::RandomId => {
                let id = SessionId::parse(&text.unwrap_or_default()).map_err(thrown)?;
                let is_own = matches!(answer, Answer::NewId);
                Answered::NewId(if is_own { NewId::Own(id) } else { NewId::Random(id) })
            }
            Answer::Computed => Answered::Computed(self.computed.take().unwrap_or_default()),
        })
    }

    /// Continues the operation. Returns its end; `None` until it has ended.
    pub(crate) fn poll(
        &mut self,
        answer: Answered,
        facts: u32,
        now: f64,
        elapsed: f64,
        entropy: &[u8; Pending::<()>::ENTROPY],
    ) -> Option<Ended> {
        self.learn(facts);
        let elapsed = (elapsed * 1_000.0) as u64;
        self.asked.clear();
        self.place = 0;
        let effect = self.pending.poll(answer, millis(now), elapsed, entropy);
        self.step = match effect {
            Effect::Call(asked) => {
                let step = step_of(asked.kind);
                self.asked.push(asked);
                step
            }
            Effect::Calls(asked) => {
                self.asked = asked;
                self.question().map_or(Step::Finished, |asked| step_of(asked.kind))
            }
            Effect::Sleep(micros) => {
                self.millis = micros as f64 / 1_000.0;
                Step::Sleep
            }
            Effect::Compute(data) => {
                self.data = data;
                Step::Compute
            }
            Effect::Migrate(data, version) => {
                (self.data, self.millis) = (data, version.into());
                Step::Migrate
            }
            Effect::NewId => Step::NewId,
            Effect::Finished(ending) => {
                self.step = Step::Finished;
                if let Ok(Ending::Visit { visit, .. }) = &ending {
                    self.own.record.replace(visit.session().map(|seen| seen.record.clone()));
                }
                return Some(Ended::of(&self.own.rules, ending));
            }
        };
        None
    }

    /// The purpose of the store calls, with the bits above it.
    fn purpose(&self) -> u32 {
        self.own.facts.purpose.get() as u32
            | (u32::from(self.own.facts.reserved.get()) * RESERVED)
            | (u32::from(self.asked.len() > 1) * SEVERAL)
    }

    /// The operation's step, and above it the bits of its purpose.
    fn progress(&self) -> u32 {
        self.purpose() * STEPS + self.step as u32
    }

    /// The store call that the getters describe.
    pub(crate) fn question(&self) -> Option<&Asked> {
        self.asked.get(self.place)
    }
}

#[wasm_bindgen]
impl Core {
    /// Continues an operation with the answer to its last effect: texts, or a number. New random bytes are in the input.
    /// After several store calls, it continues with the last answer. When it has ended, `numbers` describe its end.
    ///
    /// Returns its next step, and above it the bits of its purpose.
    #[expect(clippy::too_many_arguments, reason = "an object would cost a JSON reader or js-sys")]
    pub fn answered(
        &mut self,
        running: &mut Running,
        answer: Answer,
        text: Option<String>,
        list: Option<String>,
        number: f64,
        facts: u32,
        now: f64,
        elapsed: f64,
    ) -> Result<u32, String> {
        let answer = running.answer(answer, text, list, number)?;
        let answer = if running.asked.len() > 1 {
            running.answers.push(answer);
            if running.answers.len() < running.asked.len() {
                return Ok(running.progress());
            }
            Answered::All(core::mem::take(&mut running.answers))
        } else {
            answer
        };
        Ok(self.poll(running, answer, true, facts, now, elapsed))
    }
}

impl Core {
    /// Continues an operation, with the random bytes of the input if they were `drawn`.
    pub(crate) fn poll(
        &mut self,
        running: &mut Running,
        answer: Answered,
        drawn: bool,
        facts: u32,
        now: f64,
        elapsed: f64,
    ) -> u32 {
        let entropy = self.input.first_chunk().filter(|_| drawn);
        let entropy = entropy.unwrap_or(&[0; Pending::<()>::ENTROPY]);
        if let Some(ended) = running.poll(answer, facts, now, elapsed, entropy) {
            self.end(ended);
        }
        self.reports.clear();
        for report in running.pending.reports() {
            self.reports.push_str(&line_of(report));
            self.reports.push('\0');
        }
        let reports = u32::from(!self.reports.is_empty()) * REPORTS;
        running.progress() + reports * STEPS
    }
}

fn line_of(report: Report) -> String {
    let (word, rest) = match &report {
        Report::Event(event) => {
            let code = match event {
                Event::Unreadable { code } => code,
                Event::Rotated { reason } => reason.name(),
                Event::Bound { reason } => reason.name(),
                Event::Destroyed { confirmed: Some(true) } => "yes",
                Event::Destroyed { confirmed: Some(false) } => "no",
                Event::Reuse { log_id, revoked } => {
                    let log_id = log_id.as_ref().map_or("", |log_id| log_id.as_str());
                    let sign = if *revoked { "!" } else { "" };
                    return [event.name(), "\n", log_id, sign].concat();
                }
                _ => "",
            };
            (event.name(), code)
        }
        Report::Touched(id) => ("touched", id.expose()),
        Report::OutOfUse(id) => ("out_of_use", id.expose()),
        Report::Failed(error) => return fault(error),
    };
    [word, "\n", rest].concat()
}

pub(crate) fn step_of(kind: Question) -> Step {
    match kind {
        Question::Read => Step::Load,
        Question::ReadTimed => Step::LoadTimed,
        Question::ReadTwo => Step::LoadTwo,
        Question::Confirm => Step::Confirm,
        Question::Create => Step::Create,
        Question::Replace => Step::Replace,
        Question::Stamp => Step::Stamp,
        Question::Touch => Step::Touch,
        Question::Remove => Step::Remove,
    }
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::Conflict => Self::Conflict,
            Outcome::Gone => Self::Gone,
        }
    }
}
