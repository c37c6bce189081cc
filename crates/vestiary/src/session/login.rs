use alloc::{boxed::Box, string::String, vec, vec::Vec};

use super::{
    admission::leave,
    open::{Spent, current, tidy},
    provider::index,
    user::{Join, new_handle},
    write::new_record,
};
use crate::{
    Event, Meta, Reason, SessionId, Slots, UnixMillis, UserRef, WhenFull, binding,
    constants::RENEWALS,
    protocol::{
        Answer, Body, Calls, Doubt, Draft, Ended, Fault, Host, IDS, Moved, Place, Proof, Query,
        Replacement, Rules, Seen, UserChange, UserSessions, Verdict, change_list, change_list_by,
        is_proof, replace_by_tombstone, seeded, write_id,
    },
};

/// Logs a user in: replaces the visitor's session with a new one that has this data and is in the user's session list.
/// The old ID dies at once. `None` if all sessions of the user were revoked since the visitor proved their identity.
///
/// It takes two round trips: one for the list, the store's clock and the new record; and one that writes the list and
/// replaces the old session with a tombstone. These are two if a full list refuses logins ([`WhenFull::Refuse`]). Writing the list makes the login valid: before, no list has the new
/// session, and no visitor has its ID.
///
/// A login that fails removes the record it has stored. If the first round trip refuses the login, the old session
/// stays. If all sessions are revoked between the two, or the store fails there, the old ID may be out of use;
/// [`Host::take_out_of_use`] is then called.
///
/// # Errors
/// The host's error if the name is invalid ([`UserSessions::check_name`]), if the list or the data cannot be read, if
/// the store failed, or if every attempt conflicted with another request; and [`crate::Error::TooManySessions`] if the
/// list is full. Then the old session stays.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn log_in<H: Host>(
    host: &mut H,
    rules: &Rules,
    old: Option<Seen>,
    join: &Join<'_>,
    data: &str,
) -> Result<Option<Box<Seen>>, H::Error> {
    UserSessions::check_name(join.name)?;
    let user = UserRef::new(join.name, new_handle(host)?);
    let mut login = Login {
        rules,
        key: rules.options.user_key(join.name),
        leaving: Leaving::None,
        change: join.entry(rules, &user, join.proven),
        meta: Meta {
            cookie: join.cookie.clone(),
            // A proof of less than a second ago is as new as the session.
            slots: beside(host, rules, join)?,
            confirmed: Some(join.proven).filter(|at| host.now().since(*at) >= 1_000),
            ..Meta::owned(Some(user.clone()))
        },
        user,
        has_entry: false,
        has_left: false,
    };
    if let Some(before) = old.as_ref().and_then(|old| old.record.meta().user.clone()) {
        let key = rules.list_key(&before);
        login.leaving = if key == login.key {
            if let UserChange::Add { replaces, .. } = &mut login.change {
                *replaces = Some(before.handle.clone());
            }
            Leaving::Same(before)
        } else {
            Leaving::Other { key, user: before }
        };
    }
    let (session, asked) = login.begin(host, data).await?;
    let before = old.as_ref().map(|old| old.id.clone());
    let old = old.filter(|_| !seeded(Fault::LoginSparesOld));
    let mut entered = login.enter(host, &session.id, old, join, asked).await;
    if matches!(entered, Ok(Some(_))) {
        match index(host, rules, join, &login.user, &login.meta).await {
            Ok(true) => {}
            Ok(false) => entered = Ok(None),
            Err(error) => entered = Err(error),
        }
    }
    match entered {
        Ok(Some(replaced)) => {
            host.touched(&session);
            host.emit(if before.is_some() && replaced {
                Event::Rotated { reason: Reason::Login }
            } else {
                Event::Created
            });
            Ok(Some(session))
        }
        Ok(None) => {
            login.undo(host, &session, before).await;
            Ok(None)
        }
        Err(error) => {
            login.undo(host, &session, before).await;
            Err(error)
        }
    }
}

/// The values beside the data of the new session.
fn beside<H: Host>(host: &mut H, rules: &Rules, join: &Join<'_>) -> Result<Slots, H::Error> {
    let slots = match rules.options.device_bound() {
        Some(_) => binding::offered(host)?,
        None => Slots::default(),
    };
    Ok(match &join.tokens {
        Some(grant) => grant.put_into(&slots, host.now())?,
        None => slots,
    })
}

/// A login in progress.
struct Login<'a> {
    rules: &'a Rules,
    /// The key of the user's session list.
    key: String,
    user: UserRef,
    /// The metadata of the new session.
    meta: Meta,
    change: UserChange,
    leaving: Leaving,
    /// Whether the list may have an entry of the new session.
    has_entry: bool,
    /// Whether the old session has left its list, or must leave it.
    has_left: bool,
}

/// The entry of the old session in a session list.
enum Leaving {
    /// There is none.
    None,
    /// It is in the list of the same user.
    Same(UserRef),
    /// It is in the list of another user.
    Other { key: String, user: UserRef },
}

/// The answers of the first round trip, except the one about the new record.
struct Asked<E> {
    list: Result<Answer, E>,
    /// The time by the store's clock.
    time: Option<UnixMillis>,
    /// The list with the old session.
    left: Option<Result<Answer, E>>,
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
impl Login<'_> {
    /// Reads the list and the store's clock, and creates the new record.
    async fn begin<H: Host>(
        &self,
        host: &mut H,
        data: &str,
    ) -> Result<(Box<Seen>, Asked<H::Error>), H::Error> {
        let rules = self.rules;
        let mut calls = Calls::new(host, rules);
        let mut asked = None;
        for _ in 0..IDS {
            let id = calls.new_id(Some(&self.user)).await?;
            // Each attempt has its own write ID, so that no two records share one.
            let record = new_record(calls.host, rules, data, self.meta.clone())?;
            let now = calls.host.now();
            let ttl = rules.ttl_of(record.meta(), now);
            let creation = (Place::Session(&id), Query::Create(Body::Record(&record), ttl, true));
            let created = if asked.is_none() {
                let list = Place::List(&self.key);
                let mut queries = vec![creation, (list, Query::ReadTimed)];
                if let Leaving::Other { key, .. } = &self.leaving {
                    queries.push((Place::List(key), Query::Read));
                }
                let mut answers = calls.ask_all(&queries).await?.into_iter();
                let mut next = || answers.next().unwrap_or(Ok(Answer::InDoubt));
                let created = next();
                let list = next();
                let left = matches!(self.leaving, Leaving::Other { .. }).then(next);
                if calls.is_down() {
                    return Err(calls.gave_up());
                }
                asked = Some(Asked { list, time: calls.time, left });
                created?
            } else {
                calls.ask(creation.0, creation.1).await?
            };
            // If the creation is in doubt, the ID is abandoned.
            if matches!(created, Answer::Done) {
                let at = calls.at;
                let session = Box::new(Seen { id, record, at });
                return match asked {
                    Some(asked) => Ok((session, asked)),
                    None => Err(calls.gave_up()),
                };
            }
        }
        Err(calls.gave_up())
    }

    /// Writes the list and replaces the old session. Returns whether there was a session to replace; `None` if the
    /// login is refused.
    async fn enter<H: Host>(
        &mut self,
        host: &mut H,
        new: &SessionId,
        old: Option<Seen>,
        join: &Join<'_>,
        asked: Asked<H::Error>,
    ) -> Result<Option<bool>, H::Error> {
        let rules = self.rules;
        let mut calls = Calls::new(host, rules);
        calls.time = asked.time;
        let list = match asked.list? {
            Answer::InDoubt => calls.read_timed(&self.key).await?,
            read => read,
        };
        let (here, store) = (calls.host.now(), calls.time);
        let proof = Proof { at: join.proven, here, store, own_end: join.own_end };
        let Some(proven) = proof.since() else { return Ok(None) };
        if let UserChange::Add { since, .. } = &mut self.change {
            *since = proven;
        }
        let refuses = rules.options.sessions_per_user().when_full == WhenFull::Refuse;
        let is_hasty = seeded(Fault::RefusalEndsOld) || seeded(Fault::LoginCountsOnce);
        let draft = if refuses && !is_hasty {
            // A full list must not refuse a login whose old session has ended.
            if !self.list(&mut calls, Some(list)).await? {
                return Ok(None);
            }
            None
        } else {
            let list = calls.text(list)?;
            let mut enter = |sessions: &mut UserSessions, lifetime, now| {
                sessions.apply(&self.change, lifetime, now)
            };
            let draft = Draft::new(host, rules, list.as_deref(), Some(&self.meta), &mut enter)?;
            if !draft.verdict.admits()? {
                return Ok(None);
            }
            Some(draft)
        };
        let old = match old {
            Some(old) => Some(Old::new(host, old, new)?),
            None => None,
        };
        // A list that cannot be read is left alone; the entry expires by itself.
        let left = match (asked.left, &self.leaving) {
            (Some(Ok(Answer::Text(text))), Leaving::Other { user, .. }) => {
                Draft::new(host, rules, Some(&text), None, &mut |sessions, _, now| {
                    sessions.leave(&user.handle, now);
                    Verdict::Made
                })
                .ok()
            }
            _ => None,
        };
        let draft = draft.filter(|_| !seeded(Fault::LoginUnlisted));
        let mut queries = Vec::new();
        if let Some(draft) = &draft {
            queries.push((Place::List(&self.key), draft.query()));
        }
        let tombstone = old.as_ref().map(|old| old.replacement.tombstone(&old.id)).transpose()?;
        if let (Some(old), Some(tombstone)) = (&old, &tombstone) {
            let query = old.replacement.query(tombstone);
            queries.push((Place::Session(&old.id), query));
        }
        if let (Some(left), Leaving::Other { key, .. }) = (&left, &self.leaving) {
            queries.push((Place::List(key), left.query()));
        }
        (self.has_entry, self.has_left) = (true, true);
        let mut answers = Calls::new(host, rules).ask_all(&queries).await?.into_iter();
        let mut next = || answers.next().unwrap_or(Ok(Answer::InDoubt));
        let listed = draft.as_ref().map_or(Ok(Answer::Done), |_| next());
        let first = old.as_ref().map(|_| next());
        let has_left = left.as_ref().map(|_| next());

        // Also if the login fails.
        let is_replaced = matches!(first, Some(Ok(Answer::Done)));
        if let Some(old) = old.as_ref().filter(|_| is_replaced) {
            host.take_out_of_use(&old.id);
        }
        if listed.is_err() {
            // The store has confirmed that it did not write the list.
            self.has_entry = false;
            self.has_left = is_replaced || matches!(self.leaving, Leaving::Other { .. });
        }
        match listed? {
            Answer::Done => {}
            Answer::InDoubt if seeded(Fault::LoginTrustsLostList) => {}
            #[cfg(feature = "seeded-faults")]
            _ if CARELESS.into_iter().any(seeded) => {
                self.list_carelessly(host, draft.as_ref()).await?;
            }
            _ => {
                if !self.list(&mut Calls::new(host, rules), None).await? {
                    return Ok(None);
                }
            }
        }
        let mut replaced = false;
        if let (Some(old), Some(first)) = (old, first) {
            replaced = old.replace(host, rules, new, first?).await?;
        }
        // The session has no record any more, so the entry is harmless and expires by itself.
        if let Leaving::Other { user, .. } = &self.leaving
            && !matches!(has_left, Some(Ok(Answer::Done)))
            && let Err(error) = leave(host, rules, user).await
        {
            host.failed(error);
        }
        Ok(Some(replaced))
    }

    /// Writes the list alone. Returns `false` if the login is outdated.
    async fn list<H: Host>(
        &mut self,
        calls: &mut Calls<'_, H>,
        read: Option<Answer>,
    ) -> Result<bool, H::Error> {
        let (change, meta) = (&self.change, Some(&self.meta));
        let listed = change_list_by(calls, &self.key, change, meta, read).await;
        self.has_entry = match &listed {
            Ok(listed) => listed.verdict == Verdict::Made,
            Err(_) => self.has_entry || calls.wrote,
        };
        self.has_left |= self.has_entry && matches!(self.leaving, Leaving::Same(_));
        Ok(listed?.verdict.admits()?)
    }

    /// Overwrites the list although another request has written it: a seeded fault, which no login may have.
    #[cfg(feature = "seeded-faults")]
    async fn list_carelessly<H: Host>(
        &self,
        host: &mut H,
        draft: Option<&Draft>,
    ) -> Result<(), H::Error> {
        if seeded(Fault::LoginOverwritesList)
            && let Some(draft) = draft
        {
            let mut calls = Calls::new(host, self.rules);
            let found = calls.look(Place::List(&self.key)).await?;
            let draft = draft.over(found.as_deref());
            calls.ask(Place::List(&self.key), draft.query()).await?;
            return Ok(());
        }
        let mut change = self.change.clone();
        if let UserChange::Add { since, limit, .. } = &mut change {
            if seeded(Fault::LoginSkipsEnd) {
                *since = UnixMillis(u64::MAX);
            } else {
                *limit = usize::MAX.into();
            }
        }
        change_list(host, self.rules, &self.key, &change, None).await.map(drop)
    }

    /// Keeps the old session in its list. If the new one is in the same list, it leaves with the same write: between two
    /// writes, another login could take its place.
    async fn stay<H: Host>(&self, host: &mut H) -> Result<(), H::Error> {
        let (key, user, instead) = match &self.leaving {
            Leaving::None => return Ok(()),
            Leaving::Same(user) => (&self.key, user, true),
            Leaving::Other { key, user } => (key, user, false),
        };
        let UserChange::Add { handle: new, since, .. } = &self.change else { return Ok(()) };
        let instead = instead.then(|| (new.clone(), *since));
        let change = UserChange::Stay { handle: user.handle.clone(), instead };
        change_list(host, self.rules, key, &change, None).await.map(drop)
    }

    /// Undoes a failed login. If this fails, an event is emitted: the record that is left is no valid session, or no
    /// visitor has its ID.
    async fn undo<H: Host>(&self, host: &mut H, session: &Seen, before: Option<SessionId>) {
        let old = match (&self.leaving, before) {
            (Leaving::Same(user) | Leaving::Other { user, .. }, Some(before)) if self.has_left => {
                Some((user, current(host, self.rules, before).await))
            }
            _ => None,
        };
        let stays = matches!(old, Some((_, Ok(Some(_)))));
        let is_removed = stays && matches!(self.leaving, Leaving::Same(_));
        if self.has_entry
            && !is_removed
            && !seeded(Fault::LoginLeavesEntry)
            && let Err(error) = leave(host, self.rules, &self.user).await
        {
            host.failed(error);
        }
        let settled = match old {
            Some((_, Ok(Some(_)))) => self.stay(host).await,
            // This login or another one has replaced the session, so its entry is harmless.
            Some((user, Ok(None))) => leave(host, self.rules, user).await,
            Some((_, Err(error))) => Err(error),
            None => Ok(()),
        };
        if let Err(error) = settled {
            host.failed(error);
        }
        let spent = Spent { session: session.clone(), is_listed: false };
        tidy(host, self.rules, &spent).await;
    }
}

/// The faults of a login whose list another request has written meanwhile.
#[cfg(feature = "seeded-faults")]
const CARELESS: [Fault; 3] =
    [Fault::LoginOverwritesList, Fault::LoginSkipsEnd, Fault::LoginCountsOnce];

/// The session that a login replaces.
struct Old<'a> {
    id: SessionId,
    replacement: Replacement<'a>,
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
impl<'a> Old<'a> {
    fn new<H: Host>(host: &mut H, old: Seen, new: &'a SessionId) -> Result<Self, H::Error> {
        let Seen { id, record: current, at: read_at } = old;
        let grace = seeded(Fault::LoginLeavesPointer).then(|| host.now().plus(30_000));
        let tombstone_write = write_id(host)?;
        let replacement = Replacement { current, read_at, new, tombstone_write, grace };
        Ok(Self { id, replacement })
    }

    /// Continues after the first attempt to replace the session. If another request renewed the session meanwhile, it
    /// ends under its new ID. Returns whether there was a session to replace.
    async fn replace<H: Host>(
        self,
        host: &mut H,
        rules: &Rules,
        new: &'a SessionId,
        first: Answer,
    ) -> Result<bool, H::Error> {
        let format = rules.options.format();
        let (mut old, mut first) = (self, Some(first));
        for _ in 0..=RENEWALS {
            let mut calls = Calls::new(host, rules);
            let (id, replacement, first) = (&old.id, &mut old.replacement, first.take());
            let ended = replace_by_tombstone(&mut calls, id, replacement, format, first).await?;
            let next = match ended {
                Ended::Replaced => {
                    host.take_out_of_use(&old.id);
                    return Ok(true);
                }
                // Giving up silently would leave the old ID valid beside the new one.
                Ended::GaveUp => return Err(calls.gave_up()),
                Ended::Vanished if is_proof(old.replacement.read_at, calls.host.now()) => {
                    host.take_out_of_use(&old.id);
                    return Ok(false);
                }
                Ended::Vanished => return Err(calls.host.doubt(Doubt::Untraced)),
                Ended::Dropped(Moved::Elsewhere(Some(next))) => next,
                Ended::Dropped(_) => {
                    host.take_out_of_use(&old.id);
                    return Ok(false);
                }
            };
            host.take_out_of_use(&old.id);
            let Some(session) = current(host, rules, next).await? else { return Ok(false) };
            old = Old::new(host, session, new)?;
        }
        Err(host.doubt(Doubt::Busy))
    }
}

#[cfg(test)]
mod tests;
