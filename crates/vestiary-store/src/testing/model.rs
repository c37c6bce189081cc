//! Random operations, compared with a model.
use std::{
    collections::HashMap,
    env,
    fmt::{self, Write as _},
};

use vestiary::WriteId;

use super::{
    Broken,
    support::{LONG, fresh_key, random, record, write_id},
};
use crate::{Outcome, Store, StoreError};

const STEPS: usize = 400;

/// The store answers every sequence of operations as a map does. A failure names its seed, and `VESTIARY_SEED` repeats
/// it.
///
/// # Errors
/// [`Broken`]
pub async fn does_what_a_model_does<S: Store>(store: S) -> Result<(), Broken> {
    let given = env::var("VESTIARY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(random);
    let mut chance = Chance(seed);
    let mut model = HashMap::new();
    let mut trace = String::new();
    let base = fresh_key();
    for step in 0..STEPS {
        let request = Request::random(&mut chance);
        let key = format!("{base}-{}", request.key);
        let expected = request.of_model(&mut model, &key);
        let answer = request.of_store(&store, &key).await?;
        let _ = writeln!(trace, "{step}: {request}: {answer}");
        if answer != expected {
            return Err(Broken(format!(
                "a sequence of requests is answered as by a map: the last answer must be {expected} \
                 (seed {seed})\n{trace}"
            )));
        }
    }
    for (key, found) in model {
        store.remove(&key, crate::write_id_of(&found).and_then(WriteId::parse).as_ref()).await?;
    }
    Ok(())
}

struct Request {
    key: u32,
    what: What,
    /// The expected write ID; `None`: a record without one.
    expected: Option<WriteId>,
    written: Option<WriteId>,
}

#[derive(Debug)]
enum What {
    Read,
    Create,
    Replace,
    Touch,
    TouchIf,
    Remove,
}

#[derive(PartialEq)]
enum Answer {
    Read(Option<String>),
    Did(bool),
    Came(Outcome),
}

impl Request {
    fn random(chance: &mut Chance) -> Self {
        let mut write_id = || match chance.below(3) {
            0 => None,
            1 => Some(write_id('A')),
            _ => Some(write_id('B')),
        };
        let (expected, written) = (write_id(), write_id());
        let what = match chance.below(6) {
            0 => What::Read,
            1 => What::Create,
            2 => What::Replace,
            3 => What::Touch,
            4 => What::TouchIf,
            _ => What::Remove,
        };
        Self { key: chance.below(3), what, expected, written }
    }

    async fn of_store<S: Store>(&self, store: &S, key: &str) -> Result<Answer, StoreError> {
        let (expected, record) = (self.expected.as_ref(), record(self.written.as_ref(), "{}"));
        Ok(match self.what {
            What::Read => Answer::Read(store.read(key).await?),
            What::Create => Answer::Did(store.create(key, &record, LONG, self.key == 0).await?),
            What::Replace => Answer::Came(store.replace(key, expected, &record, LONG).await?),
            What::Touch => Answer::Did(store.touch(key, LONG).await?),
            What::TouchIf => Answer::Came(store.touch_if(key, expected, LONG).await?),
            What::Remove => Answer::Came(store.remove(key, expected).await?),
        })
    }

    fn of_model(&self, model: &mut HashMap<String, String>, key: &str) -> Answer {
        let present = model.get(key).cloned();
        let outcome = match &present {
            None => Outcome::Gone,
            Some(found)
                if crate::write_id_of(found) == self.expected.as_ref().map(WriteId::as_str) =>
            {
                Outcome::Done
            }
            Some(_) => Outcome::Conflict,
        };
        let written = record(self.written.as_ref(), "{}");
        match self.what {
            What::Read => return Answer::Read(present),
            What::Touch => return Answer::Did(present.is_some()),
            What::Create if present.is_none() => model.insert(key.to_owned(), written),
            What::Create => return Answer::Did(false),
            What::Replace if outcome == Outcome::Done => model.insert(key.to_owned(), written),
            What::Remove if outcome == Outcome::Done => model.remove(key),
            What::Replace | What::TouchIf | What::Remove => return Answer::Came(outcome),
        };
        if matches!(self.what, What::Create) { Answer::Did(true) } else { Answer::Came(outcome) }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [expected, written] =
            [&self.expected, &self.written].map(|write_id| letter(write_id.as_ref()));
        match self.what {
            What::Read | What::Touch => write!(f, "{:?} of {}", self.what, self.key),
            What::Create => write!(f, "Create of {} with {written}", self.key),
            What::Replace => write!(f, "Replace of {}, {expected} by {written}", self.key),
            What::TouchIf => write!(f, "TouchIf of {}, {expected}", self.key),
            What::Remove => write!(f, "Remove of {}, {expected}", self.key),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(None) => f.write_str("nothing"),
            Self::Read(Some(found)) => {
                f.write_str(&letter(crate::write_id_of(found).and_then(WriteId::parse).as_ref()))
            }
            Self::Did(did) => write!(f, "{did}"),
            Self::Came(outcome) => write!(f, "{outcome:?}"),
        }
    }
}

/// The short name of a write ID in messages.
fn letter(write_id: Option<&WriteId>) -> String {
    let letter = write_id.as_ref().and_then(|write_id| write_id.as_str().chars().next());
    letter.map_or_else(|| "no write ID".to_owned(), String::from)
}

/// A reproducible random source (mulberry32).
struct Chance(u32);

impl Chance {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x6d2b_79f5);
        let state = self.0;
        let mut mixed = (state ^ (state >> 15)).wrapping_mul(1 | state);
        mixed ^= mixed.wrapping_add((mixed ^ (mixed >> 7)).wrapping_mul(0x3d | mixed));
        (mixed ^ (mixed >> 14)) % limit
    }
}
