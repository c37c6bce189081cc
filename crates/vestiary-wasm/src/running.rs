use alloc::{borrow::ToOwned as _, string::String, vec::Vec};

use vestiary::{
    Limits, Outcome, SessionId, merge,
    protocol::{
        Answered, Asked, Doubt, Effect, NewId, Pending, Post, Question, Reply, Seen, Stopped, Told,
        Written,
    },
};
use wasm_bindgen::prelude::*;

use crate::convert::{millis, thrown, ttl_number};

/// An operation of `vestiary::protocol`, and its last effect.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Running {
    pending: Pending<Ending>,
    step: Step,
    asked: Option<Asked>,
    millis: f64,
    /// The data to compute on.
    data: String,
    computed: Option<String>,
    ended: Ended,
    ending: Option<Ending>,
    failure: Option<u32>,
    survived: Vec<u32>,
    unreadable: Option<String>,
}

/// How an operation ended.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) ended: Ended,
    pub(crate) id: Option<SessionId>,
    /// The session's record.
    pub(crate) text: String,
    /// When the store was asked for it, or to store it.
    pub(crate) at: f64,
    pub(crate) merged: bool,
    pub(crate) reread: bool,
}

/// The answer to an effect.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// The operation begins.
    Begin,
    /// The store did it.
    Done,
    /// It has another record.
    Conflict,
    /// It has none.
    Gone,
    /// It has this text.
    Text,
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
}

/// The effect that an operation needs next.
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
    /// Let some milliseconds pass.
    Sleep,
    /// Make a session ID.
    NewId,
    /// None: it has ended.
    Finished,
}

/// How an operation ended.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Ended {
    /// As it should: the text, or the ID, is the session's.
    Done,
    /// The session was ended meanwhile, or the change may not be made.
    Gone,
    /// Other requests were faster each time.
    Busy,
    /// Another request gave the session the ID.
    Elsewhere,
    /// There is no record, and that proves nothing any more.
    Untraced,
    /// The store did not say whether it has written.
    Unsaid,
    /// With the error of the number `failure`.
    Failed,
}

#[wasm_bindgen]
impl Running {
    /// The effect to bring about.
    #[wasm_bindgen(getter)]
    pub fn step(&self) -> Step {
        self.step
    }

    /// The key that the store is asked about.
    #[wasm_bindgen(getter)]
    pub fn key(&self) -> String {
        self.asked.as_ref().map(|asked| asked.key.clone()).unwrap_or_default()
    }

    /// The write ID that the record must have; undefined if none.
    #[wasm_bindgen(getter)]
    pub fn expected(&self) -> Option<String> {
        let expected = self.asked.as_ref()?.expected.as_ref()?;
        Some(expected.as_str().to_owned())
    }

    /// The text to store, or to compute on; after the end, the session's record.
    #[wasm_bindgen(getter)]
    pub fn text(&mut self) -> String {
        let kept = match (&mut self.ending, &mut self.asked) {
            (Some(ending), _) => &mut ending.text,
            (None, Some(asked)) => &mut asked.text,
            (None, None) => return self.data.clone(),
        };
        core::mem::take(kept)
    }

    /// How long the text may stay, in milliseconds.
    #[wasm_bindgen(getter)]
    pub fn ttl(&self) -> f64 {
        self.asked.as_ref().map_or(f64::INFINITY, |asked| ttl_number(asked.ttl))
    }

    /// Whether the record belongs to a user.
    #[wasm_bindgen(getter)]
    pub fn owned(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.owned)
    }

    /// Milliseconds to let pass.
    #[wasm_bindgen(getter)]
    pub fn millis(&self) -> f64 {
        self.millis
    }

    /// How it ended.
    #[wasm_bindgen(getter)]
    pub fn ended(&self) -> Ended {
        self.ended
    }

    /// The number of the error that ended it.
    #[wasm_bindgen(getter)]
    pub fn failure(&self) -> Option<u32> {
        self.failure
    }

    /// The ID of the session.
    #[wasm_bindgen(getter)]
    pub fn id(&self) -> Option<String> {
        self.ending.as_ref()?.id.as_ref().map(|id| id.expose().to_owned())
    }

    /// When the store was asked for the record, or to store it; of a list, when all sessions in it had been ended
    /// before, 0 if never. In milliseconds since the epoch.
    #[wasm_bindgen(getter)]
    pub fn at(&self) -> f64 {
        self.ending.as_ref().map_or(0.0, |ending| ending.at)
    }

    /// Whether the change was applied to data that another request had written.
    #[wasm_bindgen(getter)]
    pub fn merged(&self) -> bool {
        self.ending.as_ref().is_some_and(|ending| ending.merged)
    }

    /// Whether the record may hold more than the request has seen.
    #[wasm_bindgen(getter)]
    pub fn reread(&self) -> bool {
        self.ending.as_ref().is_some_and(|ending| ending.reread)
    }

    /// The numbers of the errors that the operation has survived.
    #[wasm_bindgen(getter)]
    pub fn survived(&self) -> Vec<u32> {
        self.survived.clone()
    }

    /// The error of the core that it has survived, as it would be thrown.
    #[wasm_bindgen(getter)]
    pub fn unreadable(&self) -> Option<String> {
        self.unreadable.clone()
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

impl Running {
    pub(crate) fn new<F>(operation: impl FnOnce(Post) -> F) -> Self
    where
        F: Future<Output = Result<Ending, Stopped>> + 'static,
    {
        Self {
            pending: Pending::new(operation),
            step: Step::Finished,
            asked: None,
            millis: 0.0,
            data: String::new(),
            computed: None,
            ended: Ended::Busy,
            ending: None,
            failure: None,
            survived: Vec::new(),
            unreadable: None,
        }
    }

    pub(crate) fn answered(
        &mut self,
        answer: Answer,
        text: Option<String>,
        number: u32,
        now: f64,
        elapsed: f64,
        entropy: &[u8; Pending::<()>::ENTROPY],
    ) -> Result<Step, String> {
        let answer = match answer {
            Answer::Begin => Answered::Begin,
            Answer::Done => Answered::Reply(Reply::Done),
            Answer::Conflict => Answered::Reply(Reply::Conflict),
            Answer::Gone => Answered::Reply(Reply::Gone),
            Answer::Text => Answered::Reply(Reply::Text(text.unwrap_or_default())),
            Answer::Lost => Answered::Lost(number),
            Answer::Refused => Answered::Refused(number),
            Answer::Slept => Answered::Slept,
            Answer::NewId => {
                let id = SessionId::parse(&text.unwrap_or_default()).map_err(thrown)?;
                Answered::NewId(NewId::Own(id))
            }
            Answer::Computed => Answered::Computed(self.computed.take().unwrap_or_default()),
        };
        let elapsed = (elapsed * 1_000.0) as u64;
        self.asked = None;
        let effect = self.pending.poll(answer, millis(now), elapsed, entropy);
        for told in self.pending.told() {
            match told {
                Told::Failed(Stopped::Host(number)) => self.survived.push(number),
                Told::Failed(Stopped::Core(error)) => self.unreadable = Some(thrown(error)),
                // The TypeScript side emits the events of these operations, and retires their IDs.
                Told::Failed(_) | Told::Event(_) | Told::Retired(_) | Told::Touched(_) => {}
            }
        }
        self.step = match effect {
            Effect::Call(asked) => {
                let step = step_of(asked.kind);
                self.asked = Some(asked);
                step
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
            Effect::Finished(Err(Stopped::Core(error))) => return Err(thrown(error)),
            Effect::Finished(ended) => {
                match ended {
                    Ok(ending) => {
                        self.ended = ending.ended;
                        self.ending = Some(ending);
                    }
                    Err(Stopped::Doubt(Doubt::Untraced)) => self.ended = Ended::Untraced,
                    Err(Stopped::Doubt(Doubt::Unsaid)) => self.ended = Ended::Unsaid,
                    Err(Stopped::Host(number)) => {
                        (self.ended, self.failure) = (Ended::Failed, Some(number));
                    }
                    Err(_) => self.ended = Ended::Busy,
                }
                Step::Finished
            }
        };
        Ok(self.step)
    }
}

impl Ending {
    pub(crate) fn of(ended: Ended) -> Self {
        Self { ended, id: None, text: String::new(), at: 0.0, merged: false, reread: false }
    }

    pub(crate) fn session(session: Seen, limits: Limits) -> Result<Self, Stopped> {
        let Seen { id, record, at } = session;
        let text = record.encode(limits)?;
        Ok(Self { id: Some(id), text, at: at.0 as f64, ..Self::of(Ended::Done) })
    }

    pub(crate) fn written(written: Written, limits: Limits) -> Result<Self, Stopped> {
        match written {
            Written::Gone => Ok(Self::of(Ended::Gone)),
            Written::Saved { session, merged, reread } => {
                Ok(Self { merged, reread, ..Self::session(*session, limits)? })
            }
        }
    }
}

fn step_of(kind: Question) -> Step {
    match kind {
        // None of the operations that JavaScript runs asks for two texts, for the time or for a confirmation.
        Question::Read | Question::ReadTwo | Question::Clock | Question::Confirm => Step::Load,
        Question::Create => Step::Create,
        Question::Replace => Step::Replace,
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
