//! An operation under way.

use alloc::{borrow::ToOwned as _, string::String, sync::Arc, vec::Vec};

use vestiary::{
    Event, Limits, Outcome, SessionId, merge,
    protocol::{
        Answered, Asked, Doubt, Effect, NewId, Pending, Post, Question, Reply, Rules, Seen,
        Stopped, Told,
    },
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::{millis, thrown, ttl_number},
    ending::{Ending, text_of},
    operations::Operation,
};

/// An operation, and its last effect.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Running {
    pending: Pending<Ending>,
    asked: Option<Asked>,
    millis: f64,
    /// The data to compute on.
    data: String,
    computed: Option<String>,
    ended: Ended,
    ending: Option<Ending>,
    failure: Option<u32>,
    told: Vec<String>,
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
    /// It has something there that is no text.
    Unreadable,
    /// It has this text, if any, and this list, if any; with a number other than 0 the list is not known.
    Two,
    /// Replicas know it if the number is 1, and do not if it is 0; with NaN the store cannot say so.
    Confirmed,
    /// Its clock says so many milliseconds since the epoch; NaN if it has none.
    Time,
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
    /// Load the record, and the list that has the text as its key.
    LoadTwo,
    /// Ask for the time.
    Clock,
    /// Ask whether replicas know of the last write.
    Confirm,
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
    /// The ID is out of use: the text is its tombstone.
    Retired,
    /// The session cannot be read here: the text is the error, as it would be thrown.
    Unreadable,
    /// It has expired.
    Expired,
    /// There is no record, and that proves nothing any more.
    Untraced,
    /// The store did not say whether it has written.
    Unsaid,
    /// With the error of the number `failure`.
    Failed,
}

#[wasm_bindgen]
impl Running {
    /// The question to the store: the key, the text to store, and the write ID that the record must have, which is missing
    /// if it must have none. Of a computation, the text alone.
    #[wasm_bindgen(getter)]
    pub fn asked(&mut self) -> Vec<String> {
        let Some(Asked { key, text, expected, .. }) = &mut self.asked else {
            return Vec::from([self.data.clone()]);
        };
        let mut texts = Vec::from([key.clone(), core::mem::take(text)]);
        texts.extend(expected.as_ref().map(|expected| expected.as_str().to_owned()));
        texts
    }

    /// How long the text may stay, or a pause is to last, in milliseconds.
    #[wasm_bindgen(getter)]
    pub fn ttl(&self) -> f64 {
        self.asked.as_ref().map_or(self.millis, |asked| ttl_number(asked.ttl))
    }

    /// Whether the record belongs to a user.
    #[wasm_bindgen(getter)]
    pub fn owned(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.owned)
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

    /// The session: its ID, the text of its record, its data, its own cookie attributes if it has some, and the user's
    /// name and its handle if it has a user. Without a session, the text of the ending.
    #[wasm_bindgen(getter)]
    pub fn texts(&mut self) -> Vec<String> {
        let Some(ending) = &mut self.ending else { return Vec::new() };
        let Some(Seen { id, record, .. }) = &ending.session else {
            return Vec::from([core::mem::take(&mut ending.text)]);
        };
        let data = record.data().to_owned();
        let mut texts = Vec::from([id.expose().to_owned(), text_of(record), data]);
        texts.extend(ending.others());
        texts
    }

    /// When the store was asked for the record, or to store it; of the end of all sessions of a user, when that was. In
    /// milliseconds since the epoch.
    #[wasm_bindgen(getter)]
    pub fn at(&self) -> f64 {
        self.ending.as_ref().map_or(0.0, |ending| {
            let at = ending.session.as_ref().map_or(ending.at, |session| session.at);
            at.0 as f64
        })
    }

    /// When all sessions of a user had been ended before, 0 if never.
    #[wasm_bindgen(getter)]
    pub fn before(&self) -> f64 {
        self.ending.as_ref().map_or(0.0, |ending| ending.before.0 as f64)
    }

    /// Bits of `Fact`.
    #[wasm_bindgen(getter)]
    pub fn facts(&self) -> u8 {
        self.ending.as_ref().map_or(0, |ending| ending.facts)
    }

    /// Records that count for nothing, and IDs that led to no session: `Ending::spent`.
    #[wasm_bindgen(getter)]
    pub fn spent(&mut self) -> Vec<String> {
        self.ending.as_mut().map(|ending| core::mem::take(&mut ending.spent)).unwrap_or_default()
    }

    /// The reports of the operation, each a word and what belongs to it, in lines: the name of an event and its code;
    /// `failed` and the number of an error; `thrown` and an error as it would be thrown; `retired` and an ID.
    #[wasm_bindgen(getter)]
    pub fn told(&mut self) -> Vec<String> {
        core::mem::take(&mut self.told)
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
    pub(crate) fn new(rules: Arc<Rules>, operation: Operation) -> Self {
        Self {
            pending: Pending::new(move |mut host: Post| {
                let (operation, rules) = (operation.clone(), Arc::clone(&rules));
                async move { operation.run(&mut host, &rules).await }
            }),
            asked: None,
            millis: 0.0,
            data: String::new(),
            computed: None,
            ended: Ended::Busy,
            ending: None,
            failure: None,
            told: Vec::new(),
        }
    }

    /// Lets it go on at `now`, without random bytes.
    pub(crate) fn poll(&mut self, answer: Answered, now: f64) -> Effect<Ending> {
        self.pending.poll(answer, millis(now), 0, &[0; Pending::<()>::ENTROPY])
    }

    /// Whether it has told nothing.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.pending.told().is_empty()
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
            Answer::Begin => Answered::Begin,
            Answer::Done => Answered::Reply(Reply::Done),
            Answer::Conflict => Answered::Reply(Reply::Conflict),
            Answer::Gone => Answered::Reply(Reply::Gone),
            Answer::Text => Answered::Reply(Reply::Text(text.unwrap_or_default())),
            Answer::Two => Answered::Reply(Reply::Two(text, (number == 0.0).then_some(list))),
            Answer::Confirmed => {
                let confirmed = (!number.is_nan()).then_some(number > 0.0);
                Answered::Reply(Reply::Confirmed(confirmed))
            }
            Answer::Time => {
                Answered::Reply(Reply::Time((!number.is_nan()).then(|| millis(number))))
            }
            Answer::Lost => Answered::Lost(number as u32),
            Answer::Refused => Answered::Refused(number as u32),
            Answer::Unreadable => Answered::Unreadable,
            Answer::Slept => Answered::Slept,
            Answer::NewId => {
                let id = SessionId::parse(&text.unwrap_or_default()).map_err(thrown)?;
                Answered::NewId(NewId::Own(id))
            }
            Answer::Computed => Answered::Computed(self.computed.take().unwrap_or_default()),
        })
    }

    /// Lets the operation go on.
    pub(crate) fn answered(
        &mut self,
        answer: Answered,
        now: f64,
        elapsed: f64,
        entropy: &[u8; Pending::<()>::ENTROPY],
    ) -> Result<Step, String> {
        let elapsed = (elapsed * 1_000.0) as u64;
        self.asked = None;
        let effect = self.pending.poll(answer, millis(now), elapsed, entropy);
        self.told.extend(self.pending.told().into_iter().filter_map(line_of));
        Ok(match effect {
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
        })
    }
}

fn line_of(told: Told) -> Option<String> {
    Some(match told {
        // The driver remembers it by how the operation has ended.
        Told::Touched(_) => return None,
        Told::Event(event) => {
            let code = match event {
                Event::Unreadable { code } => code,
                Event::Rotated { reason } => reason.name(),
                _ => "",
            };
            [event.name(), "\n", code].concat()
        }
        Told::Retired(id) => ["retired\n", id.expose()].concat(),
        Told::Failed(Stopped::Core(error)) => ["thrown\n", &thrown(error)].concat(),
        Told::Failed(Stopped::Host(number)) => ["failed\n", &decimal(number)].concat(),
        Told::Failed(_) => String::from("busy\n"),
    })
}

fn decimal(number: u32) -> String {
    let (mut digits, mut rest) = (String::new(), number);
    loop {
        digits.insert(0, char::from_digit(rest % 10, 10).unwrap_or_default());
        rest /= 10;
        if rest == 0 {
            return digits;
        }
    }
}

fn step_of(kind: Question) -> Step {
    match kind {
        Question::Read => Step::Load,
        Question::Clock => Step::Clock,
        Question::ReadTwo => Step::LoadTwo,
        Question::Confirm => Step::Confirm,
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
