//! An operation under way.

use alloc::{rc::Rc, string::String, sync::Arc, vec::Vec};
use core::cell::RefCell;

use vestiary::{
    Error, Event, Limits, Outcome, Record, SessionId, merge,
    protocol::{Answered, Asked, Effect, NewId, Pending, Question, Reply, Report, Rules},
    visit::{Facts, Known},
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::{millis, thrown, ttl_number},
    ending::{Ended, Ending, fault},
    memory::MemoryTable,
    operations::{Fact, Operation},
    options::Core,
};

/// By which a purpose is multiplied where it stands beside a step.
pub(crate) const STEPS: u32 = 16;

/// Bit of a purpose, above those of `vestiary::visit::Purpose`: a session is about to begin, whose cookie no other handle may
/// take.
pub(crate) const RESERVED: u32 = 4;

/// Another one: there are several questions.
pub(crate) const SEVERAL: u32 = 8;

/// Another one: there are reports.
pub(crate) const REPORTS: u32 = 16;

/// An operation, and its last effect.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Running {
    pending: Pending<Ending>,
    own: Rc<Own>,
    pub(crate) step: Step,
    /// The questions to the store, and the one that getters are about.
    asked: Vec<Asked>,
    place: usize,
    answers: Vec<Answered>,
    millis: f64,
    /// The data to compute on.
    data: String,
    computed: Option<String>,
}

/// An operation and its facts.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) rules: Arc<Rules>,
    pub(crate) facts: Rc<Facts>,
    /// The record that an operation has ended with last: mostly the next one begins with it.
    pub(crate) record: Rc<RefCell<Option<Record>>>,
    /// Nothing while it runs.
    operation: RefCell<Operation>,
}

/// The answer to an effect.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// The store did it.
    Done,
    /// It has another record.
    Conflict,
    /// It has none.
    Gone,
    /// It has this text.
    Text,
    /// It has something there that is no text.
    Unreadable,
    /// It has this text, if any, and this list, if any; with a number other than 0 the list is not known.
    Two,
    /// Replicas know it if the number is 1, and do not if it is 0; with NaN the store cannot say so.
    Confirmed,
    /// It has this text, if any, and its clock says so many milliseconds since the epoch; NaN if it has none.
    Timed,
    /// It did not answer; the error has this number.
    Lost,
    /// It refused, with the error of this number.
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

/// The effect that an operation needs next. The questions to the store have the order of `Question`: then [`step_of`] costs
/// nothing.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Load the record.
    Load,
    /// Load the record, and the list that has the text as its key.
    LoadTwo,
    /// Load the list, and ask for the time.
    LoadTimed,
    /// Ask whether replicas know of the last write.
    Confirm,
    /// Store the text, if there is none.
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
    /// Let some milliseconds pass.
    Sleep,
    /// Make a session ID.
    NewId,
    /// None: it has ended.
    Finished,
    /// None: it has to begin again with random bytes, since it has something to write.
    Again,
    /// None: there is no session cookie.
    Absent,
}

#[wasm_bindgen]
impl Running {
    /// The question to the store, with a NUL between its parts: the key, the text to store, and the write ID that the record
    /// must have, which is empty if it must have none. Of a computation, the text alone.
    #[wasm_bindgen(getter)]
    pub fn asked(&mut self) -> String {
        let Some(Asked { key, text, expected, .. }) = self.question() else {
            return self.data.clone();
        };
        let write_id = expected.as_ref().map_or("", |expected| expected.as_str());
        [key, "\0", text, "\0", write_id].concat()
    }

    /// How long the text may stay, or a pause is to last, in milliseconds.
    #[wasm_bindgen(getter)]
    pub fn ttl(&self) -> f64 {
        self.question().map_or(self.millis, |asked| ttl_number(asked.ttl))
    }

    /// Whether the record belongs to a user.
    #[wasm_bindgen(getter)]
    pub fn owned(&self) -> bool {
        self.question().is_some_and(|asked| asked.owned)
    }

    /// The next one of several questions, which the store is asked at the same time: `Finished` after the last one.
    pub fn next(&mut self) -> Step {
        self.place += 1;
        self.question().map_or(Step::Finished, |asked| step_of(asked.kind))
    }

    /// Takes the result of the application's function: `mine` of `base`, which is the text as the same serialiser
    /// writes it. Members that the function did not change stay as they are spelled in the record.
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
    /// Runs this operation.
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

    /// Forgets the operation, and keeps the memory of it for another one.
    #[cfg(plain)]
    pub(crate) fn forget(&mut self) {
        self.pending.renew();
        self.own.facts.renew();
        self.own.operation.take();
        self.asked.clear();
    }

    /// Runs this operation after one that was forgotten.
    #[cfg(plain)]
    pub(crate) fn renew(&mut self, operation: Operation) {
        self.own.operation.replace(operation);
    }

    /// Has the store's calls answered by a table. If the operation only `reads`, it is never polled again.
    pub(crate) fn answer_by(&mut self, table: MemoryTable, reads: bool) {
        self.pending.answer_by(table.source(), reads);
    }

    /// Has the first question for a session ID answered at once, by this one.
    pub(crate) fn offer(&mut self, id: Option<SessionId>) {
        self.pending.offer(id);
    }

    /// Takes what the driver knows at this moment: bits of `Fact`.
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

    /// The answer to an effect, of the parts in which JavaScript gives it.
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

    /// Lets the operation go on. Nothing while it has not ended.
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

    /// The purpose for which the store is asked, and bits besides.
    fn purpose(&self) -> u32 {
        self.own.facts.purpose.get() as u32
            | (u32::from(self.own.facts.reserved.get()) * RESERVED)
            | (u32::from(self.asked.len() > 1) * SEVERAL)
    }

    /// Its step, and above it the bits of its purpose.
    fn progress(&self) -> u32 {
        self.purpose() * STEPS + self.step as u32
    }

    /// The question to the store.
    pub(crate) fn question(&self) -> Option<&Asked> {
        self.asked.get(self.place)
    }
}

#[wasm_bindgen]
impl Core {
    /// Lets an operation go on with the answer to its last effect: texts, or a number. New random bytes are in the input.
    /// Of several questions, it goes on with the last answer. When it has ended, `numbers` say how.
    ///
    /// Its next step, and above it the bits of `purpose`.
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
    /// Lets an operation go on, with random bytes of the input if they were `drawn`.
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
                Event::Destroyed { confirmed: Some(true) } => "yes",
                Event::Destroyed { confirmed: Some(false) } => "no",
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
