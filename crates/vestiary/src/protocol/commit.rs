use alloc::{borrow::Cow, boxed::Box, string::String, vec::Vec};

use super::{
    Fault, Host, Rules, TRIES,
    calls::{Again, Body, Calls, Query, Wrote, write_id},
    fault::{self, seeded},
    host::Doubt,
    is_proof,
};
use crate::{
    CookieOverrides, Follower, Lead, Limits, Meta, Record, SessionId, Slots, UnixMillis, WriteId,
    merge,
};

/// A session as a request has read or written it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seen {
    /// The ID of the session.
    pub id: SessionId,
    /// The record of the session.
    pub record: Record,
    /// The time at which the store was asked for the record, or to store it.
    pub at: UnixMillis,
}

impl Seen {
    /// The session's name for logs: 16 characters that stay the same until the session ends, also over renewals, and reveal
    /// nothing of its ID. For the session of a user, it is the handle.
    #[must_use]
    pub fn log_id(&self) -> String {
        self.record.meta().log_id(&self.id).as_str().into()
    }
}

/// A request's change of the data, or of something beside it.
#[derive(Clone, Eq, PartialEq)]
pub enum Change {
    /// Keys that the request has set or removed: the difference between `base` and `mine`. See [`merge`].
    Merge {
        /// The data that the request loaded.
        base: String,
        /// The data that the request wants to store.
        mine: String,
    },
    /// The application's function of the data ([`Host::compute`]). It runs again on the current data after a conflict.
    Rerun,
    /// A value to put into a slot, in place of the one that it has. The data stays.
    Put {
        /// The key of the slot.
        key: String,
        /// The value: JSON text.
        value: String,
        /// The end of the slot.
        until: UnixMillis,
    },
    /// A slot to remove, by its key. The data stays. Of several requests that take a value at the same time, one gets it,
    /// because only one write has removed it.
    Take(String),
    /// The user has proven their identity again, at this time. The data stays.
    Confirm(UnixMillis),
    /// A value to put into a slot, if the slot has the expected one. The data stays. Of several requests that swap the same
    /// value at the same time, one does.
    Swap {
        /// The key of the slot.
        key: String,
        /// The value that the slot must have: JSON text. `None` for an empty slot.
        expected: Option<String>,
        /// The value: JSON text.
        value: String,
        /// The end of the slot.
        until: UnixMillis,
    },
    /// No change of the data, as for another deadline. Data of an older version stays as it is.
    Keep,
}

/// The cookie of a session that is written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CookieEdit {
    /// The session's own cookie attributes, if they change; `Some(None)` removes them.
    pub own: Option<Option<CookieOverrides>>,
    /// Whether the response sets the cookie, whose lifetime then begins again.
    pub is_set: bool,
}

/// How a [`commit`] ended.
#[derive(Debug, Eq, PartialEq)]
pub enum Written {
    /// The change is in this record, which is or was the session's. The session has another ID if another request has
    /// renewed it.
    Saved {
        /// The session.
        session: Box<Seen>,
        /// Whether the change was merged into data that another request had written meanwhile. A write whose reply was lost
        /// does not count as such a conflict.
        merged: bool,
        /// Whether the record may have more than the request has seen.
        reread: bool,
        /// The value that this change has removed from a slot, or put there in a swap: JSON text.
        taken: Option<String>,
    },
    /// The session has ended, or belongs to another visitor now. Nothing was written, and no cookie may be sent.
    Gone,
}

/// An attempt to write.
struct Attempt {
    expected: Option<WriteId>,
    write_id: WriteId,
    /// Whether the store may have written it, or may still do so.
    is_in_doubt: bool,
    /// Whether it merges the change into the data of another request.
    merges: bool,
    /// The value that it removes from a slot, or swaps in.
    taken: Option<String>,
}

/// The number of records that may leave a write in doubt. A replica may return an old record.
const INCONCLUSIVE: u8 = 2;

/// Writes the data of a stored session, or something beside it, and what becomes of its `cookie`.
///
/// A write replaces only the record that it was made from. After a conflict with another request, the change is applied
/// again, to the current data. A write whose reply was lost is recognised by its write ID, and not done twice.
///
/// ```
/// # use vestiary::{Options, OptionsInput, Record, Limits, SessionId, UnixMillis, WriteId};
/// # use vestiary::protocol::{Answered, Asked, Change, CookieEdit, Effect, Pending, Question, Reply, Rules, Seen, Written, commit};
/// # let options = Options::new(OptionsInput::default())?;
/// # let rules = Rules { options: options.into(), keys: None, seals: None, atomic: true, migrates: false, resends: false, default_ttl: vestiary::Ttl::Infinite };
/// let record = Record::decode(r#"{"v":"AAAAAAAAAAAAAAAA","data":{"n":1}}"#, Limits::LOAD)?;
/// let session = Seen { id: SessionId::from_entropy(&[1; 24]), record, at: UnixMillis(0) };
/// let change = Change::Merge { base: r#"{"n":1}"#.into(), mine: r#"{"n":2}"#.into() };
/// let mut writing = Pending::new(async move |mut host| {
///     commit(&mut host, &rules, session, &change, CookieEdit::default()).await
/// });
/// let mut poll = |answer| writing.poll(answer, UnixMillis(5), 0, &[7; Pending::<()>::ENTROPY]);
/// assert!(matches!(poll(Answered::Begin), Effect::Call(Asked { kind: Question::Replace, .. })));
/// // Another request was faster: read its record.
/// let look = poll(Answered::Reply(Reply::Conflict));
/// assert!(matches!(look, Effect::Call(Asked { kind: Question::Read, .. })));
/// let theirs = r#"{"v":"BBBBBBBBBBBBBBBB","data":{"n":1,"m":5}}"#.to_owned();
/// let Effect::Call(again) = poll(Answered::Reply(Reply::Text(theirs))) else { panic!() };
/// assert!(again.text.contains(r#""data":{"n":2,"m":5}"#));
/// let saved = poll(Answered::Reply(Reply::Done));
/// let Effect::Finished(Ok(Written::Saved { merged, .. })) = saved else { panic!() };
/// assert!(merged);
/// # Ok::<(), vestiary::Error>(())
/// ```
///
/// # Errors
/// The host's error if the data cannot be stored, if the store failed, and if a [`Doubt`] remains.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn commit<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: Seen,
    change: &Change,
    cookie: CookieEdit,
) -> Result<Written, H::Error> {
    let timeouts = rules.options.timeouts();
    let mut calls = Calls::new(host, rules);
    let Seen { mut id, record: loaded, at: mut read_at } = session;
    let (mut current, mut here) = (loaded.clone(), true);
    // The request has read the session's own record, so it follows a renewal even after the grace period.
    let mut admitted = loaded.meta().next.is_none();
    let mut attempts: Vec<Attempt> = Vec::new();
    // Set once an attempt is known to be stored: whether it merged the change into the data of another request, and the
    // value that it removed from a slot.
    let mut done = None;
    let (mut tries, mut inconclusive) = (0, 0);
    // Another request may have moved the deadline of an expired session since.
    let is_expired = timeouts.is_expired(loaded.meta(), calls.at);
    let is_old = calls.host.behind(&id).await || is_expired;
    let mut seen = (!is_old).then(|| (loaded.clone(), read_at));
    loop {
        let found = match seen.take() {
            Some(found) => Some(found),
            None => match calls.read_again(&id, &mut tries, TRIES).await? {
                Again::Found(record) => Some((record, calls.at)),
                Again::Nothing if seeded(Fault::SaveTrustsReplica) => return Ok(Written::Gone),
                Again::Nothing => None,
                Again::Enough => return Err(calls.gave_up()),
            },
        };
        let now = calls.host.now();
        if let Some((record, at)) = found {
            let mut mine = attempts.iter().filter(|attempt| record.has_write(&attempt.write_id));
            done = done.or_else(|| mine.next().map(Attempt::done));
            let follower = if admitted { Follower::Admitted } else { Follower::Cookie(now) };
            match fault::lead(&record, &id, follower, Fault::SaveFollowsLogin)? {
                // A login has replaced the ID. A request with the old one may write nothing.
                Lead::Nowhere => return Ok(Written::Gone),
                Lead::To(next) => {
                    (id, here) = (next, false);
                    continue;
                }
                Lead::Here => admitted = true,
            }
            if let Some((merged, taken)) = done {
                let session = Seen { id, record, at: calls.at }.into();
                return Ok(Written::Saved { session, merged, reread: true, taken });
            }
            if timeouts.is_expired(record.meta(), now) {
                // The session ends here. Otherwise a write of another request in flight could bring it back without this
                // change.
                match calls.write(&id, Query::Remove(record.write_id())).await? {
                    Wrote::Done | Wrote::Gone => return Ok(Written::Gone),
                    Wrote::Conflict | Wrote::InDoubt => continue,
                }
            }
            let is_settled = attempts.iter().all(|attempt| attempt.is_settled_by(&record));
            if !is_settled && !seeded(Fault::SettledIgnored) {
                // The record comes from an old replica, or has had so many writes since that it does not say whether ours
                // was one. A retry could make the change twice.
                inconclusive += 1;
                if inconclusive > INCONCLUSIVE {
                    return Err(calls.gave_up());
                }
                continue;
            }
            (current, read_at, here) = (record, at, true);
        }
        let wrote = if here {
            let Some((mut meta, taken)) = changed_meta(change, &cookie, &current, &loaded, now)?
            else {
                let session = Seen { id, record: current, at: read_at }.into();
                return Ok(Written::Saved { session, merged: false, reread: true, taken: None });
            };
            if change.is_of_data() {
                // A newer version stays: another instance of the application has written it.
                meta.version = meta.version.max(rules.options.version());
            }
            let data = changed(calls.host, rules, change, &current).await?;
            let (mut write_id, now) = (write_id(calls.host)?, calls.host.now());
            if let Some(first) = attempts.first().filter(|_| seeded(Fault::OneWriteId)) {
                write_id = first.write_id.clone();
            }
            let record = rules.rewritten(&current, write_id.clone(), &data, meta, now)?;
            let ttl = rules.ttl_of(record.meta(), now);
            let merges = change.is_of_data() && current.data() != loaded.data();
            let expected = current.write_id().cloned();
            let query = Query::Replace(expected.as_ref(), Body::Record(&record), ttl);
            let wrote = calls.write(&id, query).await?;
            if wrote == Wrote::Done {
                let session = Seen { id, record, at: calls.at }.into();
                let reread = calls.count > 1;
                return Ok(Written::Saved { session, merged: merges, reread, taken });
            }
            let is_in_doubt = wrote == Wrote::InDoubt && !seeded(Fault::SaveForgetsDoubt);
            attempts.push(Attempt { expected, write_id, is_in_doubt, merges, taken });
            wrote
        } else {
            // No record under this ID ever has the write ID of a record under another ID. So this call writes nothing,
            // however late it arrives. It only shows for certain whether there is a record.
            let query =
                Query::Replace(current.write_id(), Body::Record(&current), rules.default_ttl);
            calls.write(&id, query).await?
        };
        if wrote == Wrote::Gone {
            let is_proof = is_proof(read_at, calls.host.now());
            return if is_proof {
                Ok(Written::Gone)
            } else {
                Err(calls.host.doubt(Doubt::Untraced))
            };
        }
        // After a conflict or a lost reply, the record says whether our own write is in it.
    }
}

/// The metadata of a record after the change, and the value that it removes from a slot or swaps in. `None` if another
/// request has taken or swapped the value, so that there is nothing to write.
fn changed_meta(
    change: &Change,
    cookie: &CookieEdit,
    current: &Record,
    loaded: &Record,
    now: UnixMillis,
) -> Result<Option<(Meta, Option<String>)>, crate::Error> {
    let mut meta = current.meta().without_writes();
    if let Some(own) = &cookie.own {
        meta.cookie.clone_from(own);
    }
    if cookie.is_set {
        meta.until = None;
    }
    if seeded(Fault::SaveRevertsConfirmation) {
        meta.confirmed = loaded.meta().confirmed;
    }
    if let Change::Confirm(at) = change {
        meta.confirmed = meta.confirmed.max(Some(*at));
    } else if seeded(Fault::SaveConfirms) {
        meta.confirmed = Some(now);
    }
    let slots = if seeded(Fault::SlotsOverwrite) { &loaded.meta().slots } else { &meta.slots };
    let Some((slots, mut taken)) = change.slots(slots, now)? else { return Ok(Some((meta, None))) };
    meta.slots = slots;
    if let Change::Take(key) = change
        && seeded(Fault::TakesTwice)
    {
        taken = loaded.meta().slots.take(key, now).1;
    }
    let is_made = taken.is_some() || matches!(change, Change::Put { .. });
    if !is_made {
        return Ok(None);
    }
    Ok(Some((meta, taken)))
}

/// The data that a change makes of a record's.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn changed<'a, H: Host>(
    host: &mut H,
    rules: &Rules,
    change: &'a Change,
    record: &'a Record,
) -> Result<Cow<'a, str>, H::Error> {
    // The request's view of older data is the migrated one, so its changes are merged into that.
    let theirs = match rules.options.outdated(record.meta()) {
        Some(version) if change.is_of_data() => host.migrate(record.data(), version).await?.into(),
        _ => Cow::Borrowed(record.data()),
    };
    Ok(match change {
        Change::Keep
        | Change::Put { .. }
        | Change::Take(_)
        | Change::Swap { .. }
        | Change::Confirm(_) => theirs,
        Change::Rerun => host.compute(&theirs).await?.into(),
        Change::Merge { mine, .. } if seeded(Fault::SaveOverwrites) => mine.into(),
        Change::Merge { base, mine } => merged_data(base, mine, theirs)?,
    })
}

/// The data of a record after a merge.
fn merged_data<'a>(
    base: &str,
    mine: &'a str,
    theirs: Cow<'a, str>,
) -> Result<Cow<'a, str>, crate::Error> {
    // Usually no other request has written, and there is nothing to merge.
    if base == theirs {
        return Ok(mine.into());
    }
    if base == mine {
        return Ok(theirs);
    }
    // The result is checked when it is written.
    merge(base, mine, &theirs, Limits { bytes: usize::MAX, ..Limits::LOAD }).map(Cow::from)
}

impl Change {
    fn is_of_data(&self) -> bool {
        matches!(self, Self::Merge { .. } | Self::Rerun)
    }

    /// These slots after the change, and the value that it removes or swaps in. `None` if it changes none.
    pub(crate) fn slots(
        &self,
        slots: &Slots,
        now: UnixMillis,
    ) -> Result<Option<(Slots, Option<String>)>, crate::Error> {
        Ok(match self {
            Self::Merge { .. } | Self::Rerun | Self::Keep | Self::Confirm(_) => None,
            Self::Put { key, value, until } => Some((slots.put(key, value, *until, now)?, None)),
            Self::Take(key) => Some(slots.take(key, now)),
            Self::Swap { key, expected, value, until } => {
                let skips = match expected {
                    None => Fault::SwapTakesOver,
                    Some(_) => Fault::SwapUnfenced,
                };
                Some(if slots.value(key, now) == expected.as_deref() || seeded(skips) {
                    (slots.put(key, value, *until, now)?, Some(value.clone()))
                } else {
                    (slots.clone(), None)
                })
            }
        })
    }
}

impl Attempt {
    /// Whether it has merged the change into the data of another request, and the value of a slot.
    fn done(&self) -> (bool, Option<String>) {
        (self.merges, self.taken.clone().filter(|_| !seeded(Fault::SwapForgetsOwn)))
    }

    /// Whether a record without this attempt's write ID proves that the attempt was not stored. It does if it remembers the
    /// write that was to be replaced, or every write of the session.
    fn is_settled_by(&self, record: &Record) -> bool {
        if !self.is_in_doubt {
            return true;
        }
        match &self.expected {
            Some(expected) => record.has_write(expected),
            None => record.meta().writes.len() < Meta::WRITES,
        }
    }
}

/// Hides the session data and the slots, which are the application's secrets.
impl core::fmt::Debug for Change {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Merge { .. } => "Merge",
            Self::Rerun => "Rerun",
            Self::Put { .. } => "Put",
            Self::Take(_) => "Take",
            Self::Confirm(_) => "Confirm",
            Self::Swap { .. } => "Swap",
            Self::Keep => "Keep",
        })
    }
}

#[cfg(test)]
mod tests;
