use super::{
    Host, Moved, TOMBSTONE_TTL, TRIES,
    calls::{Again, Answer, Body, Calls, Place, Query},
    rotate::elsewhere,
};
use crate::{Error, Follower, Format, Record, SessionId, Ttl, UnixMillis, WriteId};

/// The replacement of an old record by its tombstone, in progress.
pub(crate) struct Replacement<'a> {
    /// The old record, as it was read last.
    pub(crate) current: Record,
    pub(crate) read_at: UnixMillis,
    /// The ID of the session that takes its place.
    pub(crate) new: &'a SessionId,
    /// The write ID of its tombstone.
    pub(crate) tombstone_write: WriteId,
    /// The end of the grace period, in which the tombstone leads to the new ID. `None`: it never does.
    pub(crate) grace: Option<UnixMillis>,
}

impl Replacement<'_> {
    /// The tombstone.
    pub(crate) fn tombstone(&self, old: &SessionId) -> Result<Record, Error> {
        self.current.tombstone(self.tombstone_write.clone(), old, self.new, self.grace)
    }

    /// The write that puts the tombstone in the place of the record.
    pub(crate) fn query<'q>(&'q self, tombstone: &'q Record) -> Query<'q> {
        Query::Replace(self.current.write_id(), Body::Record(tombstone), Ttl::Millis(TOMBSTONE_TTL))
    }
}

/// Replaces the record of a session that a login ends by its tombstone, whatever other requests write meanwhile.
/// [`rotate`](super::rotate) does the same, and also carries the data over. `first` is the answer to the first attempt, if
/// the caller has made it already.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub(crate) async fn replace_by_tombstone<H: Host>(
    calls: &mut Calls<'_, H>,
    old: &SessionId,
    replacement: &mut Replacement<'_>,
    format: Format,
    mut first: Option<Answer>,
) -> Result<Ended, H::Error> {
    let mut tries = 0;
    let ended = 'ended: loop {
        let answer = if let Some(answer) = first.take() {
            answer
        } else {
            let tombstone = replacement.tombstone(old)?;
            calls.ask(Place::Session(old), replacement.query(&tombstone)).await?
        };
        match answer {
            Answer::Done => break Ended::Replaced,
            Answer::Gone => break Ended::Vanished,
            _ => {}
        }
        // Another request wrote the old record meanwhile, or the reply was lost.
        loop {
            let record = match calls.read_again(old, &mut tries, TRIES).await? {
                Again::Found(record) => record,
                Again::Nothing => break,
                Again::Enough => break 'ended Ended::GaveUp,
            };
            if record.has_write(&replacement.tombstone_write) {
                break 'ended Ended::Replaced;
            }
            if let Some(elsewhere) = elsewhere(&record, old, Follower::Admitted)? {
                break 'ended Ended::Dropped(elsewhere);
            }
            let known = replacement.current.write_id();
            if record.write_id() == known {
                break;
            }
            if !known.is_none_or(|known| record.has_write(known)) {
                // An older record than the one that was read before.
                continue;
            }
            replacement.current = record;
            replacement.read_at = calls.at;
            break;
        }
    };
    if matches!(ended, Ended::Replaced) && format == Format::ExpressSession {
        // express-session would take the tombstone for a session.
        calls.ask(Place::Session(old), Query::Remove(Some(&replacement.tombstone_write))).await?;
    }
    Ok(ended)
}

/// How the replacement of the old record ended.
pub(crate) enum Ended {
    /// The tombstone is in the place of the record.
    Replaced,
    /// The old record does not exist any more.
    Vanished,
    /// Every attempt met a conflict, or its reply was lost.
    GaveUp,
    /// Another request gave the session another ID first.
    Dropped(Moved),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::testing::{
        BEGIN, CONFLICT, DONE, Driven, NOW, id, record, text, write_id, written,
    };

    #[test]
    fn a_record_that_is_read_again_is_as_old_as_the_question() {
        let mut driven = Driven::new(|mut host, rules| async move {
            let (new, current) = (id(2), record(1, "{}"));
            let (read_at, tombstone_write) = (NOW, write_id(8));
            let mut replacement =
                Replacement { current, read_at, new: &new, tombstone_write, grace: None };
            let mut calls = Calls::new(&mut host, &rules);
            replace_by_tombstone(
                &mut calls,
                &id(1),
                &mut replacement,
                Format::SvelteKitSessions,
                None,
            )
            .await?;
            Ok(replacement.read_at)
        });
        driven.asks(BEGIN);
        driven.now = NOW.plus(3);
        driven.asks(CONFLICT);
        driven.now = NOW.plus(900);
        driven.asks(text(&written(5, &[1], "{}")));
        assert_eq!(driven.ends(DONE), Ok(NOW.plus(3)));
    }
}
