use alloc::{
    borrow::{Cow, ToOwned as _},
    string::String,
    sync::Arc,
    vec::Vec,
};

use vestiary::{
    Event, Limits, Outcome, Record, SessionId, UnixMillis, merge,
    protocol::{
        Answered, Asked, Doubt, Effect, NewId, Pending, Post, Question, Reply, Rules, Seen,
        Stopped, Told, Written,
    },
    session::{self, Found, Opening, Spent},
};
use wasm_bindgen::prelude::*;

use crate::convert::{millis, thrown, ttl_number};
use crate::operations::Operation;

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
    told: Vec<String>,
}

/// Bits of `facts`.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Fact {
    /// The change was applied to data that another request had written.
    Merged = 1,
    /// The record may hold more than the request has seen.
    Reread = 2,
    /// The cookie has an earlier ID of the session.
    Renewed = 4,
    /// The session is to be renewed.
    Due = 8,
    /// The record has to be written again, or it would expire though it is used.
    Stale = 16,
    /// The use of the session has to be written in its user's list.
    Unseen = 32,
    /// The session belongs to a user.
    Owned = 64,
    /// It has cookie attributes of its own.
    Cookie = 128,
}

/// The end of an operation.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) ended: Ended,
    /// The session, or the record under an ID that is out of use.
    pub(crate) session: Option<Seen>,
    /// Its own cookie attributes.
    pub(crate) cookie: Option<String>,
    /// A text, if there is no session.
    pub(crate) text: String,
    /// An instant, if there is no session.
    pub(crate) at: UnixMillis,
    pub(crate) before: UnixMillis,
    /// Bits of `Fact`.
    pub(crate) facts: u8,
    /// Three texts for each: records that count for nothing (ID, text, and `listed` or nothing), and IDs that led to no
    /// session, or to one that has expired (ID, nothing, and `lost`).
    pub(crate) spent: Vec<String>,
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
    /// Another request gave the session the ID.
    Elsewhere,
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
    /// The effect to bring about.
    #[wasm_bindgen(getter)]
    pub fn step(&self) -> Step {
        self.step
    }

    /// What the store is asked: the key, the text to store, and the write ID that the record must have, which is missing
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
        let at = self.session().map(|session| session.at);
        let at = at.or(self.ending.as_ref().map(|ending| ending.at));
        at.map_or(0.0, |at| at.0 as f64)
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

impl Running {
    pub(crate) fn new(rules: Arc<Rules>, operation: Operation) -> Self {
        Self {
            pending: Pending::new(async move |mut host: Post| {
                operation.run(&mut host, &rules).await
            }),
            step: Step::Finished,
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

impl Running {
    fn session(&self) -> Option<&Seen> {
        self.ending.as_ref()?.session.as_ref()
    }
}

impl Ending {
    pub(crate) fn of(ended: Ended) -> Self {
        Self {
            ended,
            session: None,
            cookie: None,
            text: String::new(),
            at: UnixMillis(0),
            before: UnixMillis(0),
            facts: 0,
            spent: Vec::new(),
        }
    }

    /// Of its session: its own cookie attributes if it has some, and the user's name and its handle if it has a user.
    pub(crate) fn others(&self) -> Vec<String> {
        let mut texts: Vec<_> = self.cookie.iter().cloned().collect();
        let meta = self.session.as_ref().map(|session| session.record.meta());
        if let Some(user) = meta.and_then(|meta| meta.user.as_ref()) {
            texts.extend([user.decoded_name(), user.handle.as_str().to_owned()]);
        }
        texts
    }

    pub(crate) fn is(done: bool) -> Self {
        Self::of(if done { Ended::Done } else { Ended::Gone })
    }

    pub(crate) fn text(text: String) -> Self {
        Self { text, ..Self::of(Ended::Done) }
    }

    /// An operation that ended with this session.
    pub(crate) fn session(rules: &Rules, session: Seen) -> Result<Self, Stopped> {
        Self::at(Ended::Done, rules, session)
    }

    /// As [`Ending::session`]; without one, it was ended meanwhile.
    pub(crate) fn perhaps(rules: &Rules, session: Option<Seen>) -> Result<Self, Stopped> {
        session.map_or(Ok(Self::of(Ended::Gone)), |session| Self::session(rules, session))
    }

    fn at(ended: Ended, rules: &Rules, session: Seen) -> Result<Self, Stopped> {
        let meta = session.record.meta();
        let cookie = rules.options.own_cookie(meta).map(|own| own.as_str().to_owned());
        let facts = bits([(meta.user.is_some(), Fact::Owned), (cookie.is_some(), Fact::Cookie)]);
        Ok(Self { cookie, facts, session: Some(session), ..Self::of(ended) })
    }

    pub(crate) fn opening(rules: &Rules, opening: Opening) -> Result<Self, Stopped> {
        let Opening { found, spent, lost } = opening;
        let mut ending = match found {
            Found::Session(opened) => Self::opened(rules, *opened)?,
            Found::Retired(tombstone) => Self::at(Ended::Retired, rules, *tombstone)?,
            Found::Expired(session) => Self::at(Ended::Expired, rules, *session)?,
            Found::Unreadable(error) => Self { text: thrown(error), ..Self::of(Ended::Unreadable) },
            Found::Nobody => Self::of(Ended::Gone),
        };
        for id in lost {
            ending.spent.extend([id.expose().to_owned(), String::new(), "lost".to_owned()]);
        }
        for Spent { session: Seen { id, record, .. }, is_listed } in spent {
            let text = text_of(&record);
            let listed = if is_listed { "listed" } else { "" };
            ending.spent.extend([id.expose().to_owned(), text, listed.to_owned()]);
        }
        Ok(ending)
    }

    fn opened(rules: &Rules, opened: session::Opened) -> Result<Self, Stopped> {
        let facts = Self::facts_of(rules, &opened);
        Ok(Self { facts, ..Self::session(rules, opened.session)? })
    }

    pub(crate) fn facts_of(rules: &Rules, opened: &session::Opened) -> u8 {
        let session::Opened { session, renewed, due, stale, unseen } = opened;
        let meta = session.record.meta();
        bits([
            (*renewed, Fact::Renewed),
            (*due, Fact::Due),
            (*stale, Fact::Stale),
            (*unseen, Fact::Unseen),
            (meta.user.is_some(), Fact::Owned),
            (rules.options.own_cookie(meta).is_some(), Fact::Cookie),
        ])
    }

    pub(crate) fn written(rules: &Rules, written: Written) -> Result<Self, Stopped> {
        match written {
            Written::Gone => Ok(Self::of(Ended::Gone)),
            Written::Saved { session, merged, reread } => {
                let mut ending = Self::session(rules, *session)?;
                ending.facts |= bits([(merged, Fact::Merged), (reread, Fact::Reread)]);
                Ok(ending)
            }
        }
    }
}

/// The text of a record, however large it is: it was read, or stored.
fn text_of(record: &Record) -> String {
    let limits = Limits { bytes: usize::MAX, ..Limits::LOAD };
    record.source(limits).map(Cow::into_owned).unwrap_or_default()
}

fn bits<const N: usize>(facts: [(bool, Fact); N]) -> u8 {
    facts.into_iter().map(|(is, fact)| u8::from(is) * fact as u8).sum()
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
