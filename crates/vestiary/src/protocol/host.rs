use alloc::{
    borrow::{Cow, ToOwned as _},
    string::String,
    sync::Arc,
};

use super::{Fault, Lifetime, Seen, fault::seeded};
use crate::{
    Error, Event, KeyRing, Meta, Options, Record, SealRing, SessionId, Ttl, UnixMillis, UserRef,
    WriteId, json,
};

/// The surroundings of an operation: a store, clocks, entropy, and the application's function.
///
/// An operation is an `async fn` of this module. It does no I/O itself but awaits what its host does. A host that has
/// futures of its own, such as those of a native store, awaits them here; [`Pending`](super::Pending) is the host for
/// all others.
#[expect(async_fn_in_trait, reason = "whether a future is `Send` is up to the host")]
pub trait Host {
    /// Error of an operation.
    type Error: From<Error>;

    /// The wall clock.
    fn now(&mut self) -> UnixMillis;

    /// Microseconds of a clock that is never set back, since any instant.
    fn elapsed(&mut self) -> u64;

    /// Fills a buffer with random bytes.
    ///
    /// # Errors
    /// The host's, if it has none.
    fn fill(&mut self, entropy: &mut [u8]) -> Result<(), Self::Error>;

    /// A session ID that was never used, of the application's own making perhaps.
    ///
    /// # Errors
    /// The host's, if it cannot make one.
    async fn new_id(&mut self) -> Result<NewId, Self::Error>;

    /// Emits an event.
    fn emit(&mut self, event: Event);

    /// Remembers that an ID is out of use: no response of this process sets its cookie any more.
    fn retire(&mut self, id: &SessionId);

    /// Remembers that a session has its full lifetime from now on: it need not be touched for a while.
    fn touched(&mut self, session: &Seen);

    /// Emits a failure that the operation survives, whatever it is.
    fn failed(&mut self, error: Self::Error);

    /// The error of the core, for text that it cannot read.
    ///
    /// # Errors
    /// Any other error, as it is.
    fn unreadable(error: Self::Error) -> Result<Error, Self::Error>;

    /// The error that tells the application of a doubt.
    fn doubt(&mut self, doubt: Doubt) -> Self::Error;

    /// Emits a failure that the operation survives: the store refused to write, or has what cannot be read.
    ///
    /// # Errors
    /// Any other error, as it is.
    fn survives(&mut self, error: Self::Error) -> Result<(), Self::Error>;

    /// Asks the store for one atomic operation on one key.
    async fn call(&mut self, call: Call<'_>) -> Result<Reply, Failed<Self::Error>>;

    /// Lets so many microseconds pass.
    async fn sleep(&mut self, micros: u64);

    /// Runs the application's function on the data of a session: JSON text of JSON text.
    ///
    /// # Errors
    /// The function's.
    async fn compute(&mut self, data: &str) -> Result<String, Self::Error>;
}

/// A session ID that was never used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NewId {
    /// [`SessionId::from_entropy`]. It may get a hint of its user's session list.
    Random(SessionId),
    /// Of the application's own making: it stays as it is.
    Own(SessionId),
}

/// A question to the store: one atomic operation on one key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Call<'a> {
    /// The text under this key. Answered with [`Reply::Text`] or [`Reply::Gone`].
    Read(&'a str),
    /// The texts under two keys: a record, and a user's session list. Answered with [`Reply::Two`].
    ReadTwo(&'a str, &'a str),
    /// The store's own clock, as the node has it that holds this key. Answered with [`Reply::Time`].
    Clock(&'a str),
    /// Store a text if there is none. Answered with [`Reply::Done`] or [`Reply::Conflict`].
    Create {
        /// The key.
        key: &'a str,
        /// The text.
        text: &'a str,
        /// How long it may stay.
        ttl: Ttl,
        /// It belongs to a user.
        owned: bool,
    },
    /// Store a text in place of the record that has the write ID `expected` (`None`: none, as those of
    /// svelte-kit-sessions). Never creates. Answered with [`Reply::Done`], [`Reply::Conflict`] or [`Reply::Gone`].
    Replace {
        /// The key.
        key: &'a str,
        /// The write ID that the record must have.
        expected: Option<&'a WriteId>,
        /// The text.
        text: &'a str,
        /// How long it may stay.
        ttl: Ttl,
    },
    /// Give the record that has this write ID another TTL. Answered as [`Call::Replace`].
    Touch {
        /// The key.
        key: &'a str,
        /// The write ID that the record must have.
        expected: Option<&'a WriteId>,
        /// How long it may stay.
        ttl: Ttl,
    },
    /// Remove the record that has this write ID. Answered as [`Call::Replace`].
    Remove {
        /// The key.
        key: &'a str,
        /// The write ID that the record must have.
        expected: Option<&'a WriteId>,
    },
}

/// The answer of a store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// It was done.
    Done,
    /// Nothing was done: there is another record than the expected one.
    Conflict,
    /// Nothing was done: there is no record.
    Gone,
    /// The text, as it is now, or was a moment ago.
    Text(String),
    /// The texts, or none where there is none; nothing of the second one if it could not be read.
    Two(Option<String>, Option<Option<String>>),
    /// The time; `None` if the store has no clock.
    Time(Option<UnixMillis>),
}

/// Why a store gave no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Failed<E> {
    /// Whether it was done is unknown.
    Lost(E),
    /// It was not done: the store has said so, or was not asked.
    Refused(E),
}

/// A doubt that remains when an operation ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Doubt {
    /// Other requests were faster each time: nothing was written.
    Busy,
    /// The store did not say whether it has written.
    Unsaid,
    /// There is no record, but the session was read so long ago that it may have got another ID, and the tombstone
    /// that led there has expired.
    Untraced,
}

/// The rules of one application, of which all operations are made.
#[derive(Debug)]
pub struct Rules {
    /// Its options.
    pub options: Arc<Options>,
    /// Its secrets to sign with; `None` while the application is built.
    pub keys: Option<Arc<KeyRing>>,
    /// Its secrets to encrypt with, if records are encrypted.
    pub seals: Option<Arc<SealRing>>,
    /// Records that are not encrypted are read, too.
    pub migrates: bool,
    /// The store compares before it writes.
    pub atomic: bool,
    /// The store's client sends a request again, by itself, when it has lost its connection.
    pub resends: bool,
    /// How long the store keeps a record that is stored without a TTL.
    pub default_ttl: Ttl,
}

impl Rules {
    /// How long a session of a user lasts that is used now: one with this metadata.
    #[must_use]
    pub fn lifetime(&self, meta: Option<&Meta>, now: UnixMillis) -> Lifetime {
        let own = meta.map_or(Cow::Borrowed(&*self.options), |meta| self.options.for_session(meta));
        let ttl = match own.ttl(now) {
            Ttl::Infinite => self.default_ttl,
            ttl @ Ttl::Millis(_) => ttl,
        };
        self.options.timeouts().lifetime(ttl)
    }

    /// The text that the store has under `key`, decrypted.
    fn opened(&self, place: Place<'_>, key: &str, text: String) -> Result<String, Error> {
        let Some(seals) = &self.seals else { return Ok(text) };
        let opened = match place {
            Place::Session(id) => seals.open(id, key, &text),
            Place::List(list) => seals.open(&SessionId::parse(list)?, key, &text),
        };
        match opened {
            Err(Error::NotSealed) if self.migrates => Ok(text),
            opened => opened,
        }
    }

    /// The record of this text.
    pub(crate) fn record(&self, text: String) -> Result<Record, Error> {
        Record::decode_owned(text, self.options.load_limits())
    }
}

/// A new write ID.
pub(crate) fn write_id<H: Host>(host: &mut H) -> Result<WriteId, H::Error> {
    let mut entropy = [0; WriteId::ENTROPY];
    host.fill(&mut entropy)?;
    Ok(WriteId::from_entropy(&entropy))
}

/// The conversation of one operation with the store: what was lost, and when to stop.
pub(crate) struct Calls<'h, H: Host> {
    pub(crate) host: &'h mut H,
    pub(crate) rules: &'h Rules,
    /// When the store was asked last.
    pub(crate) at: UnixMillis,
    /// How often it was.
    pub(crate) count: u32,
    /// A user's session list that was read together with a record: its key and its text.
    ahead: Option<(String, Option<String>)>,
    looks: u32,
    /// Microseconds that the last answer took.
    took: u64,
    /// The last reply was lost.
    is_lost: bool,
    /// So many replies to writes were in a row, whatever was read between them.
    lost_writes: u8,
    /// Why one of them was.
    failure: Option<H::Error>,
}

/// A client that sends a request again has lost its connection, and needs longer than this for another one, in
/// microseconds.
const RESENT: u64 = 20_000;

impl<'h, H: Host> Calls<'h, H> {
    pub(crate) fn new(host: &'h mut H, rules: &'h Rules) -> Self {
        let at = host.now();
        Self {
            host,
            rules,
            at,
            count: 0,
            ahead: None,
            looks: 0,
            took: 0,
            is_lost: false,
            lost_writes: 0,
            failure: None,
        }
    }

    /// Asks the store.
    ///
    /// All operations wait here and nowhere else: each function that awaits is code of its own in WebAssembly.
    pub(crate) async fn ask(
        &mut self,
        place: Place<'_>,
        query: Query<'_>,
    ) -> Result<Answer, H::Error> {
        if let (Query::Read, Place::List(key)) = (query, place)
            && let Some((_, text)) = self.ahead.take_if(|(ahead, _)| ahead == key)
        {
            return self.found(place, key, text);
        }
        let micros = self.pause(&query)?;
        if micros > 0 {
            self.host.sleep(micros).await;
        }
        let (key, text) = self.prepared(place, &query)?;
        let began = self.host.elapsed();
        let reply = self.host.call(query.call(&key, &text)).await;
        self.took = self.host.elapsed().saturating_sub(began);
        self.heard(place, &key, query, reply)
    }

    /// The text of an answer to a reading, in an operation that does not read again.
    pub(crate) fn text(&mut self, answer: Answer) -> Result<Option<String>, H::Error> {
        match answer {
            Answer::Text(text) => Ok(Some(text)),
            Answer::Gone => Ok(None),
            _ => Err(self.gave_up()),
        }
    }

    /// The key of the list at which an ID hints, unless a list was read already.
    pub(crate) fn hint(&self, id: &SessionId) -> Option<String> {
        if self.ahead.is_some() {
            return None;
        }
        let hash = self.rules.keys.as_ref()?.hint(id)?;
        Some(self.rules.options.list_key(&hash))
    }

    /// A session ID that was never used, for a session of this user.
    pub(crate) async fn new_id(&mut self, user: Option<&UserRef>) -> Result<SessionId, H::Error> {
        Ok(match (self.host.new_id().await?, &self.rules.keys, user) {
            (NewId::Random(id), Some(keys), Some(user)) => {
                keys.hinted(&id, &json::unquoted(&user.name).unwrap_or_default())
            }
            (NewId::Random(id) | NewId::Own(id), ..) => id,
        })
    }

    /// The store's own clock, as the node has it that holds this key.
    pub(crate) async fn clock(&mut self, key: &str) -> Result<Option<UnixMillis>, H::Error> {
        match self.ask(Place::List(key), Query::Clock).await? {
            Answer::Time(time) => Ok(time),
            _ => Err(self.gave_up()),
        }
    }

    /// Whether the reply to the last request was lost.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Forgets the replies that were lost: they say nothing of the keys that are asked about from now on.
    pub(crate) fn forget(&mut self) {
        self.failure = None;
    }

    /// The error of an operation that gives up: of a reply that was lost, since then nobody knows whether it was done.
    pub(crate) fn gave_up(&mut self) -> H::Error {
        match self.failure.take() {
            Some(failure) => failure,
            None => self.host.doubt(Doubt::Busy),
        }
    }

    /// The key, and the text to store.
    fn prepared<'q>(
        &mut self,
        place: Place<'q>,
        query: &Query<'q>,
    ) -> Result<(Cow<'q, str>, Cow<'q, str>), H::Error> {
        let options = &self.rules.options;
        let key = match place {
            Place::Session(id) => Cow::from(options.store_key(id)),
            Place::List(key) => key.into(),
        };
        let text = match query {
            Query::Create(body, ..) | Query::Replace(_, body, _) => match body {
                Body::Record(record) => record.encoded(options.load_limits())?,
                Body::List(text) => Cow::from(*text),
            },
            Query::ReadAhead(list) => return Ok((key, Cow::from(*list))),
            Query::Read | Query::Clock | Query::Touch(..) | Query::Remove(_) => {
                return Ok((key, "".into()));
            }
        };
        let Some(seals) = &self.rules.seals else { return Ok((key, text)) };
        let mut nonce = [0; SealRing::NONCE];
        self.host.fill(&mut nonce)?;
        let text = match place {
            Place::Session(id) => seals.seal(id, &key, &text, &nonce),
            Place::List(list) => seals.seal(&SessionId::parse(list)?, &key, &text, &nonce),
        };
        self.at = self.host.now();
        Ok((key, text.into()))
    }

    /// What a reply, or its loss, says.
    fn heard(
        &mut self,
        place: Place<'_>,
        key: &str,
        query: Query<'_>,
        reply: Result<Reply, Failed<H::Error>>,
    ) -> Result<Answer, H::Error> {
        self.count += 1;
        let writes = !matches!(query, Query::Read | Query::ReadAhead(_) | Query::Clock);
        let answer = match reply {
            Ok(Reply::Done) => Answer::Done,
            Ok(Reply::Gone) => Answer::Gone,
            Ok(Reply::Conflict) => Answer::Conflict,
            Ok(Reply::Text(text)) => self.found(place, key, Some(text))?,
            Ok(Reply::Two(text, list)) => {
                if let (Query::ReadAhead(key), Some(list)) = (query, list) {
                    self.ahead = Some((key.to_owned(), list));
                }
                self.found(place, key, text)?
            }
            Ok(Reply::Time(time)) => Answer::Time(time),
            // The answer of a store is final.
            Err(Failed::Refused(error)) => return Err(error),
            Err(Failed::Lost(error)) => {
                // Two in a row: it is down; three writes: it answers reads only. An operation can be left at any step.
                if self.is_lost || writes && self.lost_writes > 1 {
                    return Err(error);
                }
                self.is_lost = true;
                self.lost_writes += u8::from(writes);
                self.failure = Some(error);
                return Ok(Answer::Unknown);
            }
        };
        self.is_lost = false;
        if writes {
            self.lost_writes = 0;
        }
        let resends = self.rules.resends && !seeded(Fault::ResendCertain);
        if answer == Answer::Conflict && self.took > RESENT && resends {
            // The client may have lost its connection, and sent it again: what was there may be ours.
            let host = &mut *self.host;
            self.failure.get_or_insert_with(|| host.doubt(Doubt::Unsaid));
            return Ok(Answer::Unknown);
        }
        Ok(answer)
    }

    fn found(&self, place: Place<'_>, key: &str, text: Option<String>) -> Result<Answer, H::Error> {
        let Some(text) = text else { return Ok(Answer::Gone) };
        Ok(Answer::Text(self.rules.opened(place, key, text)?))
    }

    /// The pause before the store is asked, in microseconds.
    fn pause(&mut self, query: &Query<'_>) -> Result<u64, H::Error> {
        self.at = self.host.now();
        if !matches!(query, Query::Read) {
            return Ok(0);
        }
        self.looks += 1;
        if self.looks < 2 {
            return Ok(0);
        }
        let mut random = [0];
        self.host.fill(&mut random)?;
        let [random] = random;
        Ok(backoff(self.looks, self.took, random))
    }
}

/// The pause before a record is read again, in microseconds, after an answer that `took` so many: none before it is read
/// first, and from then on a random part of a time that doubles, beginning with a millisecond and with four times what
/// the answer took. To read again at once is best for two writers; of many, all but one would come too late again.
fn backoff(looks: u32, took: u64, random: u8) -> u64 {
    let Some(doublings) = looks.checked_sub(2) else { return 0 };
    let least = 1_000 << doublings.min(8);
    let most = took.saturating_mul(1 << looks.min(20)).clamp(least, LONGEST_PAUSE);
    most * u64::from(random) / 255
}

/// The longest pause between two attempts to write, in microseconds.
const LONGEST_PAUSE: u64 = 1_000_000;

/// Where a text is stored.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// The record of this session.
    Session(&'a SessionId),
    /// The list of a user, under this key.
    List(&'a str),
}

/// A question to the store, before keys and encryption.
#[derive(Clone, Copy)]
pub(crate) enum Query<'a> {
    Read,
    /// A record, and the list under this key.
    ReadAhead(&'a str),
    Clock,
    /// For so long, and whether it belongs to a user.
    Create(Body<'a>, Ttl, bool),
    /// In place of what has this write ID.
    Replace(Option<&'a WriteId>, Body<'a>, Ttl),
    Touch(Option<&'a WriteId>, Ttl),
    Remove(Option<&'a WriteId>),
}

/// A text to store.
#[derive(Clone, Copy)]
pub(crate) enum Body<'a> {
    Record(&'a Record),
    List(&'a str),
}

/// What the store has said.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    Done,
    /// There is another text than the expected one, or one where there was to be none.
    Conflict,
    Gone,
    /// The text, decrypted.
    Text(String),
    Time(Option<UnixMillis>),
    /// No answer came: it may have been done, or not.
    Unknown,
}

impl<'a> Query<'a> {
    fn call(self, key: &'a str, text: &'a str) -> Call<'a> {
        match self {
            Self::Read => Call::Read(key),
            Self::ReadAhead(_) => Call::ReadTwo(key, text),
            Self::Clock => Call::Clock(key),
            Self::Create(_, ttl, owned) => Call::Create { key, text, ttl, owned },
            Self::Replace(expected, _, ttl) => Call::Replace { key, expected, text, ttl },
            Self::Touch(expected, ttl) => Call::Touch { key, expected, ttl },
            Self::Remove(expected) => Call::Remove { key, expected },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_a_millisecond_or_from_four_answers_up_to_a_second() {
        let table = [
            // None before the first look; then a store that answers at once.
            ((1, 9_000, 255), 0),
            ((2, 0, 255), 1_000),
            ((3, 0, 255), 2_000),
            ((4, 0, 255), 4_000),
            ((10, 0, 255), 256_000),
            ((11, 0, 255), 256_000),
            // One that takes its time.
            ((2, 3_000, 255), 12_000),
            ((3, 3_000, 255), 24_000),
            ((9, 3_000, 255), 1_000_000),
            ((99, 3_000, 255), 1_000_000),
            // A part of it.
            ((4, 0, 51), 800),
            ((4, 0, 0), 0),
        ];
        for ((looks, took, random), expected) in table {
            assert_eq!(backoff(looks, took, random), expected, "{looks} {took} {random}");
        }
    }
}
