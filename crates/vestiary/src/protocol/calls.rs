use alloc::{
    borrow::{Cow, ToOwned as _},
    string::String,
    vec::Vec,
};

use super::{
    Fault, Rules,
    fault::seeded,
    host::{Call, Doubt, Failed, Host, NewId, Reply},
};
use crate::{Record, SealRing, SessionId, Ttl, UnixMillis, UserRef, WriteId};

/// The conversation of one operation with the store: what was lost, and when to stop.
pub(crate) struct Calls<'h, H: Host> {
    pub(crate) host: &'h mut H,
    pub(crate) rules: &'h Rules,
    /// When the store was asked last.
    pub(crate) at: UnixMillis,
    /// How often it was.
    pub(crate) count: u32,
    /// It was asked to write.
    pub(crate) wrote: bool,
    /// The time by the store's own clock when it was asked for it last, if it has one.
    pub(crate) time: Option<UnixMillis>,
    /// A user's session list that was read together with a record: its key and its text.
    ahead: Option<(String, Option<String>)>,
    looks: u32,
    /// Microseconds that the last answer took.
    pub(crate) took: u64,
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

#[cfg_attr(plain, maybe_async::must_be_sync)]
impl<'h, H: Host> Calls<'h, H> {
    #[inline(never)]
    pub(crate) fn new(host: &'h mut H, rules: &'h Rules) -> Self {
        let at = host.now();
        Self {
            host,
            rules,
            at,
            count: 0,
            wrote: false,
            time: None,
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

    /// Reads the record of a session, again and again if replies are lost, but no more than `most` times with those that
    /// were counted in `tries` already.
    pub(crate) async fn read_again(
        &mut self,
        id: &SessionId,
        tries: &mut u8,
        most: u8,
    ) -> Result<Again, H::Error> {
        while *tries < most {
            *tries += 1;
            match self.ask(Place::Session(id), Query::Read).await? {
                Answer::Text(text) => return Ok(Again::Found(self.rules.record(text)?)),
                Answer::Gone => return Ok(Again::Nothing),
                _ => {}
            }
        }
        Ok(Again::Enough)
    }

    /// Asks the store to write to a record.
    pub(crate) async fn write(
        &mut self,
        id: &SessionId,
        query: Query<'_>,
    ) -> Result<Wrote, H::Error> {
        Ok(match self.ask(Place::Session(id), query).await? {
            Answer::Done => Wrote::Done,
            Answer::Gone => Wrote::Gone,
            Answer::InDoubt => Wrote::InDoubt,
            Answer::Conflict | Answer::Text(_) => Wrote::Conflict,
        })
    }

    /// Asks the store for several things at the same time, first of all. A reply that is lost ([`Answer::InDoubt`]) says
    /// nothing of the other keys: each is asked about again by itself. If all are lost, they count as one loss in a row.
    pub(crate) async fn ask_all(
        &mut self,
        asked: &[(Place<'_>, Query<'_>)],
    ) -> Result<Vec<Result<Answer, H::Error>>, H::Error> {
        self.at = self.host.now();
        let mut texts = Vec::with_capacity(asked.len());
        for (place, query) in asked {
            texts.push(self.prepared(*place, query)?);
        }
        let calls: Vec<_> = asked
            .iter()
            .zip(&texts)
            .map(|((_, query), (key, text))| query.call(key, text))
            .collect();
        let began = self.host.elapsed();
        let replies = self.host.call_all(&calls).await;
        self.took = self.host.elapsed().saturating_sub(began);
        let mut answers = Vec::with_capacity(asked.len());
        let mut is_down = true;
        for ((&(place, query), (key, _)), reply) in asked.iter().zip(&texts).zip(replies) {
            (self.is_lost, self.lost_writes) = (false, 0);
            answers.push(self.heard(place, key, query, reply));
            is_down &= self.is_lost;
        }
        (self.is_lost, self.lost_writes) = (is_down, 0);
        if !is_down {
            self.failure = None;
        }
        Ok(answers)
    }

    /// Whether the store has not answered the last question, or any of the last ones.
    pub(crate) fn is_down(&self) -> bool {
        self.is_lost
    }

    /// Reads a text, in an operation that does not read again.
    pub(crate) async fn look(&mut self, place: Place<'_>) -> Result<Option<String>, H::Error> {
        let answer = self.ask(place, Query::Read).await?;
        self.text(answer)
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
            (NewId::Random(id), Some(keys), Some(user)) => keys.hinted(&id, &user.decoded_name()),
            (NewId::Random(id) | NewId::Own(id), ..) => id,
        })
    }

    /// Reads a list, and the time (`time`) by the clock of the node that holds it.
    pub(crate) async fn read_timed(&mut self, key: &str) -> Result<Answer, H::Error> {
        loop {
            let answer = self.ask(Place::List(key), Query::ReadTimed).await?;
            if !matches!(answer, Answer::InDoubt) {
                return Ok(answer);
            }
        }
    }

    /// Whether replicas of the store know that the record of this session was removed; `None` if the store cannot say so.
    pub(crate) async fn confirm(&mut self, id: &SessionId) -> Option<bool> {
        let key = self.rules.options.store_key(id);
        match self.host.call(Call::Confirm(&key)).await {
            Ok(Reply::Confirmed(confirmed)) => confirmed,
            // It was removed. If this fails, it is only unknown whether replicas know it.
            _ => Some(false),
        }
    }

    /// Whether the reply to the last request was lost.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Forgets what became of the requests so far: it says nothing of the keys that are asked about from now on.
    pub(crate) fn forget(&mut self) {
        (self.failure, self.looks) = (None, 0);
    }

    /// The error of an operation that gives up: that of a reply that was lost, since then it is unknown whether it was done.
    #[inline(never)]
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
            Place::Session(id) => options.key_of(id),
            Place::List(key) => key.into(),
        };
        let text = match query {
            Query::Create(body, ..) | Query::Replace(_, body, _) => match body {
                Body::Record(record) => record.encoded(options.load_limits())?,
                Body::List(text) => Cow::from(*text),
            },
            Query::ReadAhead(text) | Query::Stamp(text, _) => return Ok((key, Cow::from(*text))),
            Query::Read | Query::ReadTimed | Query::Touch(..) | Query::Remove(_) => {
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

    /// The answer in a reply, or in its loss.
    fn heard(
        &mut self,
        place: Place<'_>,
        key: &str,
        query: Query<'_>,
        reply: Result<Reply, Failed<H::Error>>,
    ) -> Result<Answer, H::Error> {
        self.count += 1;
        let writes = !matches!(query, Query::Read | Query::ReadAhead(_) | Query::ReadTimed);
        self.wrote |= writes;
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
            Ok(Reply::Timed(text, time)) => {
                self.time = time;
                self.found(place, key, text)?
            }
            // Asked for without this.
            Ok(Reply::Confirmed(_)) => Answer::InDoubt,
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
                return Ok(Answer::InDoubt);
            }
        };
        self.is_lost = false;
        if writes {
            self.lost_writes = 0;
        }
        let resends = self.rules.resends && !seeded(Fault::ResendCertain);
        if matches!(answer, Answer::Conflict) && self.took > RESENT && resends {
            // The client may have lost its connection, and sent it again: what was there may be ours.
            let host = &mut *self.host;
            self.failure.get_or_insert_with(|| host.doubt(Doubt::LostReply));
            return Ok(Answer::InDoubt);
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
/// the answer took. It is never zero, so that the number of pauses does not depend on chance. To read again at once is best for two writers; of many, all but one would come too late again.
fn backoff(looks: u32, took: u64, random: u8) -> u64 {
    let Some(doublings) = looks.checked_sub(2) else { return 0 };
    let least = 1_000 << doublings.min(8);
    let most = took.saturating_mul(1 << looks.min(20)).clamp(least, LONGEST_PAUSE);
    (most * (u64::from(random) + 1)) >> 8
}

/// The longest pause between two attempts to write, in microseconds.
const LONGEST_PAUSE: u64 = 1_000_000;

/// A new write ID.
pub(crate) fn write_id<H: Host>(host: &mut H) -> Result<WriteId, H::Error> {
    let mut entropy = [0; WriteId::ENTROPY];
    host.fill(&mut entropy)?;
    Ok(WriteId::from_entropy(&entropy))
}

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
    /// The list, and the time.
    ReadTimed,
    /// For so long, and whether it belongs to a user.
    Create(Body<'a>, Ttl, bool),
    /// In place of what has this write ID.
    Replace(Option<&'a WriteId>, Body<'a>, Ttl),
    /// A list that ends with the time. It is not encrypted.
    Stamp(&'a str, Ttl),
    Touch(Option<&'a WriteId>, Ttl),
    Remove(Option<&'a WriteId>),
}

/// A text to store.
#[derive(Clone, Copy)]
pub(crate) enum Body<'a> {
    Record(&'a Record),
    List(&'a str),
}

/// The answer of the store.
#[derive(Debug)]
pub(crate) enum Answer {
    Done,
    /// There is another text than the expected one, or one where there was to be none.
    Conflict,
    Gone,
    /// The text, decrypted.
    Text(String),
    /// No answer came: it may have been done, or not.
    InDoubt,
}

/// The record that was read once more.
pub(crate) enum Again {
    Found(Record),
    /// There is none, or a replica does not have it yet. The answer to a write is certain.
    Nothing,
    /// It was read so often that the operation has to give up.
    Enough,
}

/// The outcome of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wrote {
    Done,
    /// There is another record than the expected one, or one where there was to be none.
    Conflict,
    Gone,
    /// No answer came: it may have been done, or not.
    InDoubt,
}

impl<'a> Query<'a> {
    fn call(self, key: &'a str, text: &'a str) -> Call<'a> {
        match self {
            Self::Read => Call::Read(key),
            Self::ReadAhead(_) => Call::ReadTwo(key, text),
            Self::ReadTimed => Call::ReadTimed(key),
            Self::Create(_, ttl, owned) => Call::Create { key, text, ttl, owned },
            Self::Replace(expected, _, ttl) => Call::Replace { key, expected, text, ttl },
            Self::Stamp(_, ttl) => Call::Stamp { key, text, ttl },
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
            ((4, 0, 51), 812),
            ((4, 0, 0), 15),
        ];
        for ((looks, took, random), expected) in table {
            assert_eq!(backoff(looks, took, random), expected, "{looks} {took} {random}");
        }
    }
}
