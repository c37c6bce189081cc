//! Operations that a test drives step by step.

use alloc::{format, string::String, sync::Arc, vec::Vec};

use super::{
    Answered, Asked, Doubt, Effect, NewId, Pending, Post, Question, Reply, Rules, Seen, Stopped,
};
use crate::{Limits, Options, OptionsInput, Record, SessionId, Ttl, UnixMillis, WriteId};

pub(super) const NOW: UnixMillis = UnixMillis(1_000);

pub(super) fn write_id(n: u8) -> WriteId {
    WriteId::from_entropy(&[n; 12])
}

pub(super) fn id(n: u8) -> SessionId {
    SessionId::from_entropy(&[n; 24])
}

/// A record with the write ID `n`, and the write IDs `writes` before it.
pub(super) fn written(n: u8, writes: &[u8], data: &str) -> Record {
    let writes: Vec<_> = writes.iter().map(|&n| format!("{:?}", write_id(n).as_str())).collect();
    let (v, writes) = (write_id(n), writes.join(","));
    let text = format!(r#"{{"v":"{}","meta":{{"writes":[{writes}]}},"data":{data}}}"#, v.as_str());
    Record::decode(&text, Limits::LOAD).unwrap()
}

pub(super) fn record(n: u8, data: &str) -> Record {
    written(n, &[], data)
}

/// The tombstone under the ID `n` of the record with the write ID `n`: its session has the ID `n + 1`.
pub(super) fn tombstone(n: u8, grace: Option<UnixMillis>) -> Record {
    record(n, "{}").tombstone(write_id(n + 1), &id(n), &id(n + 1), grace).unwrap()
}

pub(super) fn seen(n: u8, record: Record) -> Seen {
    Seen { id: id(n), record, at: NOW }
}

pub(crate) fn rules() -> Arc<Rules> {
    rules_of(OptionsInput::default())
}

/// The rules of an application with these options.
pub(crate) fn rules_of(options: OptionsInput<'_>) -> Arc<Rules> {
    let options = Arc::new(Options::new(options).unwrap());
    let default_ttl = Ttl::Millis(10_000);
    Arc::new(Rules {
        options,
        keys: None,
        seals: None,
        atomic: true,
        migrates: false,
        resends: true,
        default_ttl,
    })
}

/// An operation, and the surroundings that the test gives it.
pub(super) struct Driven<T> {
    pending: Pending<T>,
    pub(super) now: UnixMillis,
    /// The next write ID.
    pub(super) write_id: u8,
    pub(super) new_id: u8,
}

impl<T: core::fmt::Debug> Driven<T> {
    pub(super) fn new<F>(operation: impl FnOnce(Post, Arc<Rules>) -> F) -> Self
    where
        F: Future<Output = Result<T, Stopped>> + 'static,
    {
        let pending = Pending::new(|host| operation(host, rules()));
        Self { pending, now: NOW, write_id: 9, new_id: 2 }
    }

    /// The next effect but pauses and new IDs.
    pub(super) fn effect(&mut self, answer: Answered) -> Effect<T> {
        match self.pending.poll(answer, self.now, 0, &[self.write_id; Pending::<()>::ENTROPY]) {
            Effect::Sleep(_) => self.effect(Answered::Slept),
            Effect::NewId => {
                self.new_id += 1;
                self.effect(Answered::NewId(NewId::Random(id(self.new_id - 1))))
            }
            effect => effect,
        }
    }

    /// The next store call.
    pub(super) fn asks(&mut self, answer: Answered) -> Asked {
        match self.effect(answer) {
            Effect::Call(asked) => asked,
            effect => panic!("{effect:?}"),
        }
    }

    /// The same after an answer that took longer than a client needs to lose its connection and to send again.
    pub(super) fn slow(&mut self, answer: Answered) {
        let effect =
            self.pending.poll(answer, self.now, 30_000, &[self.write_id; Pending::<()>::ENTROPY]);
        let Effect::Call(asked) = effect else { panic!("{effect:?}") };
        assert_eq!(asked.kind, Question::Read);
    }

    pub(super) fn ends(&mut self, answer: Answered) -> Result<T, Stopped> {
        match self.effect(answer) {
            Effect::Finished(ended) => ended,
            effect => panic!("{effect:?}"),
        }
    }
}

pub(super) const BEGIN: Answered = Answered::Begin;
pub(super) const DONE: Answered = Answered::Reply(Reply::Done);
pub(super) const CONFLICT: Answered = Answered::Reply(Reply::Conflict);
pub(super) const GONE: Answered = Answered::Reply(Reply::Gone);
pub(super) const LOST: Answered = Answered::Lost(1);

/// The operation ends with this doubt.
pub(super) fn doubts<T>(doubt: Doubt) -> Result<T, Stopped> {
    Err(Stopped::Doubt(doubt))
}

pub(super) fn text(record: &Record) -> Answered {
    Answered::Reply(Reply::Text(record.encode(Limits::LOAD).unwrap()))
}

impl Asked {
    /// The operation, the number of the ID, and the number of the expected write ID.
    pub(super) fn brief(&self) -> (Question, u8, Option<u8>) {
        let number = (0..=255).find(|&n| id(n).expose() == self.key).unwrap();
        let expected = self.expected.as_ref();
        (self.kind, number, expected.map(|by| (0..=255).find(|&n| write_id(n) == *by).unwrap()))
    }

    pub(super) fn record(&self) -> Record {
        let text: &String = &self.text;
        Record::decode(text, Limits::LOAD).unwrap()
    }
}
