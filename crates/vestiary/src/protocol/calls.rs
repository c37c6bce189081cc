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

/// The store calls of one operation. Counts lost replies, and stops the operation after too many.
pub(crate) struct Calls<'h, H: Host> {
    pub(crate) host: &'h mut H,
    pub(crate) rules: &'h Rules,
    /// The time of the last call.
    pub(crate) at: UnixMillis,
    /// The number of calls.
    pub(crate) count: u32,
    /// Whether one of the calls was a write.
    pub(crate) wrote: bool,
    /// The time by the store's own clock in its last reply, if it has a clock.
    pub(crate) time: Option<UnixMillis>,
    /// A user's session list that was read together with a record: its key and its text.
    ahead: Option<(String, Option<String>)>,
    /// The number of reads, for the back-off.
    reads: u32,
    /// The time that the last reply took, in microseconds.
    pub(crate) took: u64,
    /// Whether the last reply was lost.
    is_lost: bool,
    /// The number of lost replies to writes in a row, not counting the reads between them.
    lost_writes: u8,
    /// The error with which a reply was lost.
    failure: Option<H::Error>,
}

/// The least time of a request that a client has sent again, in microseconds: it had to connect again before.
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
            reads: 0,
            took: 0,
            is_lost: false,
            lost_writes: 0,
            failure: None,
        }
    }

    /// Makes a store call.
    ///
    /// All operations wait here and nowhere else, because each function that awaits adds code to the WebAssembly.
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
        if seeded(Fault::RereadsCache)
            && self.wrote
            && matches!(query, Query::Read)
            && let Some((text, _)) = self.host.cached(&key, u64::MAX)
        {
            return self.found(place, &key, Some(text));
        }
        self.host.turn(&key, query.writes()).await;
        let began = self.host.elapsed();
        let reply = self.host.call(query.call(&key, &text)).await;
        self.took = self.host.elapsed().saturating_sub(began);
        self.received(place, &key, query, reply)
    }

    /// Reads the record of a session, again if a reply is lost. Counts the reads in `tries`, and stops at `most`.
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

    /// Writes to the record of a session.
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

    /// Makes several store calls at the same time, before any other call. A lost reply ([`Answer::InDoubt`]) says nothing
    /// about the other keys, so the caller asks again for each key by itself. If all replies are lost, they count as one.
    pub(crate) async fn ask_all(
        &mut self,
        asked: &[(Place<'_>, Query<'_>)],
    ) -> Result<Vec<Result<Answer, H::Error>>, H::Error> {
        // JavaScript would wait for the replies to no calls.
        if asked.is_empty() {
            return Ok(Vec::new());
        }
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
            answers.push(self.received(place, key, query, reply));
            is_down &= self.is_lost;
        }
        (self.is_lost, self.lost_writes) = (is_down, 0);
        if !is_down {
            self.failure = None;
        }
        Ok(answers)
    }

    /// Whether the store has answered neither the last call nor any of those made at the same time.
    pub(crate) fn is_down(&self) -> bool {
        self.is_lost
    }

    /// Reads a text, in an operation that does not retry.
    pub(crate) async fn look(&mut self, place: Place<'_>) -> Result<Option<String>, H::Error> {
        let answer = self.ask(place, Query::Read).await?;
        self.text(answer)
    }

    /// The text in the answer to a read, in an operation that does not retry.
    pub(crate) fn text(&mut self, answer: Answer) -> Result<Option<String>, H::Error> {
        match answer {
            Answer::Text(text) => Ok(Some(text)),
            Answer::Gone => Ok(None),
            _ => Err(self.gave_up()),
        }
    }

    /// The key of the session list that an ID hints at; `None` if a list was read already.
    pub(crate) fn hint(&self, id: &SessionId) -> Option<String> {
        if self.ahead.is_some() {
            return None;
        }
        let hash = self.rules.keys.as_ref()?.hint(id)?;
        Some(self.rules.options.list_key(&hash))
    }

    /// Makes a session ID that was never used, for a session of this user.
    pub(crate) async fn new_id(&mut self, user: Option<&UserRef>) -> Result<SessionId, H::Error> {
        Ok(match (self.host.new_id().await?, &self.rules.keys, user) {
            (NewId::Random(id), Some(keys), Some(user)) => keys.hinted(&id, &user.decoded_name()),
            (NewId::Random(id) | NewId::Own(id), ..) => id,
        })
    }

    /// Reads a list, and sets `time` by the clock of the node that holds it.
    pub(crate) async fn read_timed(&mut self, key: &str) -> Result<Answer, H::Error> {
        loop {
            let answer = self.ask(Place::List(key), Query::ReadTimed).await?;
            if !matches!(answer, Answer::InDoubt) {
                return Ok(answer);
            }
        }
    }

    /// Whether the replicas of the store have confirmed the removal of this session's record; `None` if the store cannot
    /// tell.
    pub(crate) async fn confirm(&mut self, id: &SessionId) -> Option<bool> {
        let key = self.rules.options.store_key(id);
        match self.host.call(Call::Confirm(&key)).await {
            Ok(Reply::Confirmed(confirmed)) => confirmed,
            // The record was removed. If this call fails, only the confirmation is missing.
            _ => Some(false),
        }
    }

    /// Whether a reply was lost.
    pub(crate) fn was_in_doubt(&self) -> bool {
        self.failure.is_some()
    }

    /// Whether the reply to the last call was lost.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Forgets the lost replies so far. They say nothing about the keys of later calls.
    pub(crate) fn forget(&mut self) {
        (self.failure, self.reads) = (None, 0);
    }

    /// The error of an operation that gives up. A lost reply comes first, because its write is in doubt.
    #[inline(never)]
    pub(crate) fn gave_up(&mut self) -> H::Error {
        match self.failure.take() {
            Some(failure) => failure,
            None => self.host.doubt(Doubt::Busy),
        }
    }

    /// The key and the text of a call.
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

    /// The answer in a reply, which may have been lost.
    fn received(
        &mut self,
        place: Place<'_>,
        key: &str,
        query: Query<'_>,
        reply: Result<Reply, Failed<H::Error>>,
    ) -> Result<Answer, H::Error> {
        self.count += 1;
        let writes = query.writes();
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
            // `confirm` makes its call without this function.
            Ok(Reply::Confirmed(_)) => Answer::InDoubt,
            // A refusal is final.
            Err(Failed::Refused(error)) => return Err(error),
            Err(Failed::Lost(error)) => {
                // After two lost replies in a row the store is down. After three lost replies to writes it answers only
                // reads. An operation may stop at any step.
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
            // The client may have lost its connection and sent the write again. The record that it met may be our own.
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

    /// The back-off before a call, in microseconds.
    fn pause(&mut self, query: &Query<'_>) -> Result<u64, H::Error> {
        self.at = self.host.now();
        if !matches!(query, Query::Read) {
            return Ok(0);
        }
        self.reads += 1;
        if self.reads < 2 {
            return Ok(0);
        }
        let mut random = [0];
        self.host.fill(&mut random)?;
        let [random] = random;
        Ok(backoff(self.reads, self.took, random))
    }
}

/// The back-off before a read, in microseconds. `took` is the time of the last reply, also in microseconds.
///
/// The first read follows at once. Each later one waits for a random part of a time that doubles. The time begins with a
/// millisecond, or with four times `took` if that is longer. It is never zero, so that the number of pauses does not depend
/// on chance. Two writers would do best to retry at once; of many writers, all but one would conflict again.
fn backoff(reads: u32, took: u64, random: u8) -> u64 {
    let Some(doublings) = reads.checked_sub(2) else { return 0 };
    let least = 1_000 << doublings.min(8);
    let most = took.saturating_mul(1 << reads.min(20)).clamp(least, LONGEST_PAUSE);
    (most * (u64::from(random) + 1)) >> 8
}

/// The longest pause between two attempts to write, in microseconds.
const LONGEST_PAUSE: u64 = 1_000_000;

/// Makes a new write ID.
pub(crate) fn write_id<H: Host>(host: &mut H) -> Result<WriteId, H::Error> {
    let mut entropy = [0; WriteId::ENTROPY];
    host.fill(&mut entropy)?;
    Ok(WriteId::from_entropy(&entropy))
}

/// The place of a text in the store.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// The record of this session.
    Session(&'a SessionId),
    /// The user's session list under this key.
    List(&'a str),
}

/// A store call, before keys and encryption.
#[derive(Clone, Copy)]
pub(crate) enum Query<'a> {
    Read,
    /// Reads a record, and the list under this key.
    ReadAhead(&'a str),
    /// Reads a list, and the time.
    ReadTimed,
    /// Creates a text with this TTL. The flag says whether it belongs to a user.
    Create(Body<'a>, Ttl, bool),
    /// Replaces the text that has this write ID.
    Replace(Option<&'a WriteId>, Body<'a>, Ttl),
    /// Stores a list that ends with the time. It is not encrypted.
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
    /// The store has another text than the expected one, or a text where it was to create one.
    Conflict,
    Gone,
    /// The text, decrypted.
    Text(String),
    /// The reply was lost: the store may have done it, or not.
    InDoubt,
}

/// The result of reading a record again.
pub(crate) enum Again {
    Found(Record),
    /// The record does not exist, or a replica does not have it yet. Only the reply to a write is certain.
    Nothing,
    /// The operation has read so often that it must give up.
    Enough,
}

/// The outcome of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wrote {
    Done,
    /// The store has another record than the expected one, or a record where it was to create one.
    Conflict,
    Gone,
    /// The reply was lost: the store may have done it, or not.
    InDoubt,
}

impl<'a> Query<'a> {
    fn writes(&self) -> bool {
        !matches!(self, Self::Read | Self::ReadAhead(_) | Self::ReadTimed)
    }

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
    fn pauses_double_from_a_millisecond_or_from_four_replies_up_to_a_second() {
        let table = [
            // No pause before the first read; then a store that replies at once.
            ((1, 9_000, 255), 0),
            ((2, 0, 255), 1_000),
            ((3, 0, 255), 2_000),
            ((4, 0, 255), 4_000),
            ((10, 0, 255), 256_000),
            ((11, 0, 255), 256_000),
            // A slow store.
            ((2, 3_000, 255), 12_000),
            ((3, 3_000, 255), 24_000),
            ((9, 3_000, 255), 1_000_000),
            ((99, 3_000, 255), 1_000_000),
            // Other random parts.
            ((4, 0, 51), 812),
            ((4, 0, 0), 15),
        ];
        for ((reads, took, random), expected) in table {
            assert_eq!(backoff(reads, took, random), expected, "{reads} {took} {random}");
        }
    }
}
