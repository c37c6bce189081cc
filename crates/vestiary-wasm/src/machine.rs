use alloc::{borrow::ToOwned as _, boxed::Box, string::String};

use vestiary::{
    Limits, Outcome, Record, SessionId, Ttl, UnixMillis, UserRef, WriteId, merge,
    protocol::{
        self, Ask, Commit, Committed, Destroy, Destroyed, Rotate, Rotated, Touch, Touched,
        UserCommit, UserCommitted, UserStep,
    },
};
use wasm_bindgen::prelude::*;

use crate::convert::{millis, thrown, ttl_number};

/// A machine of `vestiary::protocol`, and what it asks.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Machine {
    inner: Inner,
    /// The limits of records that are read.
    limits: Limits,
    step: Step,
    id: Option<SessionId>,
    expected: Option<WriteId>,
    text: String,
    ttl: Ttl,
    ended: Ended,
    owner: Option<UserRef>,
}

#[derive(Debug)]
enum Inner {
    Commit(Commit),
    Destroy(Destroy),
    Rotate(Rotate),
    Touch(Touch),
    User(UserCommit),
}

/// What to do next.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Load the record.
    Load,
    /// Store the text, if there is none.
    Create,
    /// Store the text in place of the expected record.
    Replace,
    /// Remove the expected record.
    Remove,
    /// Give the expected record another TTL.
    Touch,
    /// Run the application's function on the text.
    Compute,
    /// It is over.
    Finished,
}

/// What the store said.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// It was done.
    Done,
    /// There is another record.
    Conflict,
    /// There is none.
    Gone,
    /// This is the record.
    Record,
    /// No answer came.
    Unknown,
}

/// How it ended.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Ended {
    /// As it should: the text, or the ID, is the session's.
    Done,
    /// The session was ended meanwhile, or the change may not be made.
    Gone,
    /// It did not come about, or nobody knows.
    GaveUp,
    /// Somebody else gave the session the ID.
    Elsewhere,
    /// Begin again, with another new ID.
    TryAnother,
    /// There is no record, and that proves nothing any more.
    Untraced,
}

#[wasm_bindgen]
impl Machine {
    /// What to do next.
    #[wasm_bindgen(getter)]
    pub fn step(&self) -> Step {
        self.step
    }

    /// The session that the step is about; after it is over, the ID of the session.
    #[wasm_bindgen(getter)]
    pub fn id(&self) -> Option<String> {
        self.id.as_ref().map(|id| id.expose().to_owned())
    }

    /// The mark that the record has to have; undefined if none.
    #[wasm_bindgen(getter)]
    pub fn expected(&self) -> Option<String> {
        self.expected.as_ref().map(|mark| mark.as_str().to_owned())
    }

    /// The text to store, or to compute on; after it is over, the session's record.
    #[wasm_bindgen(getter)]
    pub fn text(&self) -> String {
        self.text.clone()
    }

    /// Its life in milliseconds.
    #[wasm_bindgen(getter)]
    pub fn ttl(&self) -> f64 {
        ttl_number(self.ttl)
    }

    /// How it ended.
    #[wasm_bindgen(getter)]
    pub fn ended(&self) -> Ended {
        self.ended
    }

    /// The user of the session that was ended, as JSON text.
    #[wasm_bindgen(getter)]
    pub fn user(&self) -> Option<String> {
        self.owner.as_ref().map(|owner| owner.name.clone())
    }

    /// The handle of the session that was ended.
    #[wasm_bindgen(getter)]
    pub fn handle(&self) -> Option<String> {
        self.owner.as_ref().map(|owner| owner.handle.as_str().to_owned())
    }

    /// When all sessions of the user had been ended, before this change of their list.
    #[wasm_bindgen(getter, js_name = endedBefore)]
    pub fn ended_before(&self) -> Option<f64> {
        let Inner::User(commit) = &self.inner else { return None };
        commit.ended_before().map(|at| at.0 as f64)
    }

    /// Whether the change was applied to what another request had written.
    #[wasm_bindgen(getter)]
    pub fn merged(&self) -> bool {
        matches!(&self.inner, Inner::Commit(commit) if commit.is_merged())
    }

    /// Goes on with the result of the application's function: `mine`, made of `base`, which is the text as the same
    /// serialiser writes it. Values that the function did not change stay as they are spelled in the record.
    pub fn computed(&mut self, base: &str, mine: &str, now: f64) -> Result<Step, String> {
        if let Inner::Commit(commit) = &mut self.inner {
            // The size is checked when the result is written.
            let limits = Limits { bytes: usize::MAX, ..self.limits };
            let changed = (base != mine).then(|| merge(base, mine, &self.text, limits));
            let changed = changed.transpose().map_err(thrown)?;
            let data = changed.as_deref().unwrap_or(&self.text);
            let step = commit.computed(data, millis(now)).map_err(thrown)?;
            self.commit_step(step)?;
        }
        Ok(self.step)
    }
}

impl Machine {
    pub(crate) fn commit(commit: Commit, limits: Limits, now: UnixMillis) -> Result<Self, String> {
        let mut machine = Self::of(Inner::Commit(commit), limits);
        if let Inner::Commit(commit) = &mut machine.inner {
            let step = commit.start(now).map_err(thrown)?;
            machine.commit_step(step)?;
        }
        Ok(machine)
    }

    pub(crate) fn destroy(destroy: Destroy, limits: Limits) -> Result<Self, String> {
        let step = destroy.start();
        let mut machine = Self::of(Inner::Destroy(destroy), limits);
        machine.destroy_step(step)?;
        Ok(machine)
    }

    pub(crate) fn rotate(rotate: Rotate, limits: Limits) -> Result<Self, String> {
        let step = rotate.start();
        let mut machine = Self::of(Inner::Rotate(rotate), limits);
        machine.rotate_step(step)?;
        Ok(machine)
    }

    pub(crate) fn touch(mut touch: Touch, limits: Limits, now: UnixMillis) -> Result<Self, String> {
        let step = touch.start(now).map_err(thrown)?;
        let mut machine = Self::of(Inner::Touch(touch), limits);
        machine.touch_step(step)?;
        Ok(machine)
    }

    pub(crate) fn user_commit(commit: UserCommit) -> Self {
        Self::of(Inner::User(commit), Limits::LOAD)
    }

    fn of(inner: Inner, limits: Limits) -> Self {
        let (text, ttl) = (String::new(), Ttl::Infinite);
        let (id, expected) = (None, None);
        let owner = None;
        Self {
            inner,
            limits,
            step: Step::Load,
            id,
            expected,
            text,
            ttl,
            ended: Ended::GaveUp,
            owner,
        }
    }

    pub(crate) fn answered(
        &mut self,
        answer: Answer,
        text: Option<String>,
        fresh: WriteId,
        now: UnixMillis,
    ) -> Result<Step, String> {
        if let Inner::User(commit) = &mut self.inner {
            let step = match self.step {
                Step::Load => commit.loaded(text.as_deref(), &fresh, now),
                _ => commit.written(&answer.into()),
            };
            self.user_step(step)?;
            return Ok(self.step);
        }
        let answer = match text {
            Some(text) => {
                let record = Record::decode(&text, self.limits).map_err(thrown)?;
                protocol::Answer::Record(Box::new(record))
            }
            None => answer.into(),
        };
        match &mut self.inner {
            Inner::Commit(commit) => {
                let step = commit.answered(answer, fresh, now).map_err(thrown)?;
                self.commit_step(step)?;
            }
            Inner::Destroy(destroy) => {
                let step = destroy.answered(answer, now);
                self.destroy_step(step)?;
            }
            Inner::Rotate(rotate) => {
                let step = rotate.answered(answer, fresh, now).map_err(thrown)?;
                self.rotate_step(step)?;
            }
            Inner::Touch(touch) => {
                let step = touch.answered(answer, now).map_err(thrown)?;
                self.touch_step(step)?;
            }
            Inner::User(_) => {}
        }
        Ok(self.step)
    }

    fn ask(&mut self, ask: Ask) -> Result<(), String> {
        let (step, id, record, expected, ttl) = match ask {
            Ask::Load(id) => (Step::Load, id, None, None, None),
            Ask::Create(id, record, ttl) => (Step::Create, id, Some(record), None, Some(ttl)),
            Ask::Replace(id, expected, record, ttl) => {
                (Step::Replace, id, Some(record), expected, Some(ttl))
            }
            Ask::Remove(id, expected) => (Step::Remove, id, None, expected, None),
            Ask::Touch(id, expected, ttl) => (Step::Touch, id, None, expected, Some(ttl)),
        };
        self.step = step;
        self.id = Some(id);
        self.expected = expected;
        self.ttl = ttl.unwrap_or(self.ttl);
        if let Some(record) = record {
            self.text = record.encode(self.limits).map_err(thrown)?;
        }
        Ok(())
    }

    fn finish(&mut self, ended: Ended) {
        self.step = Step::Finished;
        self.ended = ended;
    }

    fn commit_step(&mut self, step: protocol::Step<Committed>) -> Result<(), String> {
        match step {
            protocol::Step::Ask(ask) => self.ask(ask)?,
            protocol::Step::Compute(data) => {
                self.step = Step::Compute;
                self.text = data;
            }
            protocol::Step::Finished(committed) => {
                if let Inner::Commit(commit) = &self.inner {
                    self.id = Some(commit.id().clone());
                }
                if let Committed::Saved(record) = &committed {
                    self.text = record.encode(self.limits).map_err(thrown)?;
                }
                self.finish(match committed {
                    Committed::Saved(_) => Ended::Done,
                    Committed::Gone => Ended::Gone,
                    Committed::Untraced => Ended::Untraced,
                    Committed::GaveUp => Ended::GaveUp,
                });
            }
        }
        Ok(())
    }

    fn destroy_step(&mut self, step: protocol::Step<Destroyed>) -> Result<(), String> {
        if let Inner::Destroy(destroy) = &self.inner {
            self.owner = destroy.owner().cloned();
        }
        match step {
            protocol::Step::Ask(ask) => self.ask(ask)?,
            protocol::Step::Finished(Destroyed::Confirmed) => self.finish(Ended::Done),
            protocol::Step::Finished(Destroyed::Untraced) => self.finish(Ended::Untraced),
            _ => self.finish(Ended::GaveUp),
        }
        Ok(())
    }

    fn rotate_step(&mut self, step: protocol::Step<Rotated>) -> Result<(), String> {
        match step {
            protocol::Step::Ask(ask) => self.ask(ask)?,
            protocol::Step::Compute(_) => {}
            protocol::Step::Finished(rotated) => {
                let ended = match rotated {
                    Rotated::To(id) => {
                        self.id = Some(id);
                        if let Inner::Rotate(rotate) = &self.inner {
                            let record = rotate.successor();
                            self.text = record.encode(self.limits).map_err(thrown)?;
                        }
                        Ended::Done
                    }
                    Rotated::Elsewhere(id) => {
                        self.id = id;
                        Ended::Elsewhere
                    }
                    Rotated::Gone => Ended::Gone,
                    Rotated::Untraced => Ended::Untraced,
                    Rotated::TryAnother => Ended::TryAnother,
                    Rotated::GaveUp => Ended::GaveUp,
                };
                self.finish(ended);
            }
        }
        Ok(())
    }

    fn touch_step(&mut self, step: protocol::Step<Touched>) -> Result<(), String> {
        match step {
            protocol::Step::Ask(ask) => self.ask(ask)?,
            protocol::Step::Compute(_) => {}
            protocol::Step::Finished(touched) => {
                if let Inner::Touch(touch) = &self.inner {
                    self.id = Some(touch.id().clone());
                }
                let ended = match touched {
                    Touched::Done(record) => {
                        self.text = record.encode(self.limits).map_err(thrown)?;
                        Ended::Done
                    }
                    Touched::Gone => Ended::Gone,
                    Touched::Untraced => Ended::Untraced,
                    Touched::GaveUp => Ended::GaveUp,
                };
                self.finish(ended);
            }
        }
        Ok(())
    }

    fn user_step(&mut self, step: UserStep) -> Result<(), String> {
        match step {
            UserStep::Load => self.step = Step::Load,
            UserStep::Create(text, ttl) => {
                (self.step, self.text, self.ttl) = (Step::Create, text, ttl);
            }
            UserStep::Replace(expected, text, ttl) => {
                (self.step, self.text, self.ttl) = (Step::Replace, text, ttl);
                self.expected = expected;
            }
            UserStep::Finished(committed) => self.finish(match committed {
                UserCommitted::Done => Ended::Done,
                UserCommitted::Refused => Ended::Gone,
                UserCommitted::GaveUp => Ended::GaveUp,
                UserCommitted::Unreadable(error) => return Err(thrown(error)),
            }),
        }
        Ok(())
    }
}

impl From<Answer> for protocol::Answer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Done => Self::Done,
            Answer::Conflict => Self::Conflict,
            Answer::Gone => Self::Gone,
            // A record comes with its text.
            Answer::Record | Answer::Unknown => Self::Unknown,
        }
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
