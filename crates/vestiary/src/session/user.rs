use alloc::{vec, vec::Vec};

use super::{
    admission::leave,
    provider::{Provider, index},
};
use crate::{
    CookieOverrides, Device, Handle, Meta, UnixMillis, UserRef, WriteId,
    protocol::{
        Answer, Calls, Fault, Host, OwnEnd, Place, Proof, Query, Rules, UserChange, UserSession,
        UserSessions, change_list, change_list_by, seeded, write_id,
    },
    tokens::Grant,
};

/// The arguments of a login.
pub struct Join<'a> {
    /// The application's name for the user.
    pub name: &'a str,
    /// The application's label for the session.
    pub label: Option<&'a str>,
    /// The device of the session.
    pub device: Device<'a>,
    /// When the visitor proved their identity, by this server's clock.
    pub proven: UnixMillis,
    /// The revocation of all sessions of the user by the same request.
    pub own_end: Option<OwnEnd>,
    /// The session's own cookie attributes.
    pub cookie: Option<CookieOverrides>,
    /// The provider at which the visitor logged in.
    pub provider: Option<Provider>,
    /// The provider's tokens, for the record of the new session ([`visit::tokens`](crate::visit::tokens())). Only
    /// [`log_in`](super::log_in) makes a record.
    pub tokens: Option<Grant>,
}

impl Join<'_> {
    /// The entry of the new session in its user's session list, for a proof of this time by the clock that dates the list.
    pub(super) fn entry(&self, rules: &Rules, user: &UserRef, since: UnixMillis) -> UserChange {
        UserChange::Add {
            handle: user.handle.clone(),
            replaces: None,
            label: self.label.map(UserSessions::label),
            device: self.device.json(),
            provider: self.provider.as_ref().map(|provider| provider.lists.clone()),
            since,
            limit: rules.options.sessions_per_user(),
        }
    }
}

/// Adds a new session to its user's session list, before it is stored. `None` if all sessions of the user were revoked
/// since the visitor proved their identity.
///
/// # Errors
/// The host's error if the name is invalid ([`UserSessions::check_name`]), if the list is full
/// ([`Error::TooManySessions`](crate::Error::TooManySessions)), or if the store failed. No entry is left unless the store
/// failed twice.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn enter<H: Host>(
    host: &mut H,
    rules: &Rules,
    join: &Join<'_>,
) -> Result<Option<UserRef>, H::Error> {
    UserSessions::check_name(join.name)?;
    let user = UserRef::new(join.name, new_handle(host)?);
    let key = rules.options.user_key(join.name);
    let mut calls = Calls::new(host, rules);
    let read = calls.read_timed(&key).await?;
    let (here, store) = (calls.host.now(), calls.time);
    let proof = Proof { at: join.proven, here, store, own_end: join.own_end };
    let Some(since) = proof.since() else { return Ok(None) };
    let change = join.entry(rules, &user, since);
    let meta = Meta { cookie: join.cookie.clone(), ..Meta::default() };
    let changed = change_list_by(&mut calls, &key, &change, Some(&meta), Some(read)).await;
    let may_be_listed = calls.wrote;
    match changed {
        Ok(changed) => {
            if !changed.verdict.admits()? {
                return Ok(None);
            }
            let indexed = index(host, rules, join, &user, &meta).await;
            if !matches!(indexed, Ok(true))
                && let Err(error) = leave(host, rules, &user).await
            {
                host.failed(error);
            }
            Ok(indexed?.then_some(user))
        }
        Err(error) => {
            // The session is not stored. A second failure must not hide the first.
            if may_be_listed {
                let _ = leave(host, rules, &user).await;
            }
            Err(error)
        }
    }
}

/// The active sessions of a user, the most recently used first.
///
/// # Errors
/// The host's error if the list cannot be read, or the store failed.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn list<H: Host>(
    host: &mut H,
    rules: &Rules,
    name: &str,
) -> Result<Vec<UserSession>, H::Error> {
    UserSessions::check_name(name)?;
    let key = rules.options.user_key(name);
    let text = Calls::new(host, rules).look(Place::List(&key)).await?;
    let Some(text) = text else { return Ok(Vec::new()) };
    let mut sessions = UserSessions::decode(&text)?;
    sessions.sweep(host.now());
    Ok(sessions.into_latest())
}

/// Revokes one session of a user.
///
/// # Errors
/// As [`list`].
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn revoke<H: Host>(
    host: &mut H,
    rules: &Rules,
    name: &str,
    handle: &Handle,
) -> Result<(), H::Error> {
    revoke_each(host, rules, name, vec![handle.clone()]).await
}

/// Revokes several sessions of a user, in one write.
///
/// # Errors
/// As [`list`].
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn revoke_each<H: Host>(
    host: &mut H,
    rules: &Rules,
    name: &str,
    handles: Vec<Handle>,
) -> Result<(), H::Error> {
    UserSessions::check_name(name)?;
    if seeded(Fault::RevokesNothing) {
        return Ok(());
    }
    let key = rules.options.user_key(name);
    change_list(host, rules, &key, &UserChange::RemoveEach(handles), None).await.map(drop)
}

/// Revokes all sessions of a user except `keep`, and rejects logins that are in progress. Returns the time, and the
/// time of the previous revocation.
///
/// Revoking all takes one round trip if the store can date its writes ([`Call::Stamp`](crate::protocol::Call::Stamp)).
/// Otherwise, and if that reply is lost or one session is kept, it takes two: one reads the list and the store's clock,
/// and one writes the list. After a dated write, the operation waits for as long as the store took, and a millisecond.
///
/// # Errors
/// As [`list`].
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn end_all<H: Host>(
    host: &mut H,
    rules: &Rules,
    name: &str,
    keep: Option<Handle>,
) -> Result<OwnEnd, H::Error> {
    UserSessions::check_name(name)?;
    let key = rules.options.user_key(name);
    let mut calls = Calls::new(host, rules);
    // The store cannot date encrypted text.
    if keep.is_none() && rules.seals.is_none() {
        let write_id = if seeded(Fault::OneStamp) {
            WriteId::from_entropy(&[0; WriteId::ENTROPY])
        } else {
            write_id(calls.host)?
        };
        let (text, ttl) = UserSessions::undated(&write_id);
        let found = calls.ask(Place::List(&key), Query::Stamp(&text, ttl)).await?;
        let is_trusted = match found {
            Answer::InDoubt => seeded(Fault::TrustsLostStamp),
            _ => seeded(Fault::TrustsNoStamp),
        };
        let at = if is_trusted { calls.time.or(Some(calls.host.now())) } else { calls.time };
        if let Some(at) = at {
            let mut before = UnixMillis(0);
            if let Answer::Text(text) = found {
                // A list that no instance can read proves nothing about other requests.
                before = match UserSessions::decode(&text) {
                    Ok(list) => list.ended().unwrap_or_default(),
                    Err(_) => at,
                };
            }
            // A login knows the age of its proof up to a round trip and a millisecond. A proof that is newer than this
            // return must not be refused.
            let micros = calls.took + 1_000;
            calls.host.sleep(micros).await;
            return Ok(OwnEnd { at, before });
        }
    }
    let read = calls.read_timed(&key).await?;
    let at = match calls.time {
        Some(time) => time,
        None => calls.host.now(),
    };
    if keep.is_some() && seeded(Fault::OthersStay) {
        return Ok(OwnEnd { at, before: UnixMillis(0) });
    }
    let keep = keep.filter(|_| !seeded(Fault::OthersEndOwn));
    let end = UserChange::End { keep, at };
    let changed = change_list_by(&mut calls, &key, &end, None, Some(read)).await?;
    Ok(OwnEnd { at, before: changed.ended_before.unwrap_or_default() })
}

pub(super) fn new_handle<H: Host>(host: &mut H) -> Result<Handle, H::Error> {
    let mut entropy = [0; WriteId::ENTROPY];
    host.fill(&mut entropy)?;
    Ok(Handle::from_entropy(&entropy))
}

/// Hides the label and the device, which are application data.
impl core::fmt::Debug for Join<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Join").field("proven", &self.proven).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::*;
    use crate::protocol::{
        Answered, Asked, Effect, Pending, Question, Reply, Stopped, testing::rules,
    };

    const NOW: UnixMillis = UnixMillis(5_000);

    fn ending(keep: Option<Handle>) -> Pending<OwnEnd> {
        Pending::new(move |mut host| {
            let (rules, keep) = (rules(), keep.clone());
            async move { end_all(&mut host, &rules, "ada", keep).await }
        })
    }

    fn asks(ending: &mut Pending<OwnEnd>, answer: Answered) -> Asked {
        match ending.poll(answer, NOW, 0, &[7; Pending::<()>::ENTROPY]) {
            Effect::Call(asked) => asked,
            effect => panic!("{effect:?}"),
        }
    }

    fn ends(mut ending: Pending<OwnEnd>, answer: Answered) -> Result<OwnEnd, Stopped> {
        match ending.poll(answer, NOW, 0, &[7; Pending::<()>::ENTROPY]) {
            Effect::Finished(ended) => ended,
            Effect::Sleep(_) => ends(ending, Answered::Slept),
            effect => panic!("{effect:?}"),
        }
    }

    fn timed(text: Option<&str>, time: Option<u64>) -> Answered {
        Answered::Reply(Reply::Timed(text.map(String::from), time.map(UnixMillis)))
    }

    const LIST: &str = r#"{"v":"AAAAAAAAAAAAAAAA","sessions":{},"after":4000}"#;

    #[test]
    fn the_store_dates_the_end_of_all_sessions() {
        for (before, ended_before) in [
            (None, 0),
            (Some(LIST), 4_000),
            (Some(r#"{"v":"AAAAAAAAAAAAAAAA","sessions":{}}"#), 0),
            // A list that no instance can read may have been revoked just now.
            (Some(r#"{"v":"AAAAAAAAAAAAAAAA","sessions":{"#), 6_000),
        ] {
            let mut ending = ending(None);
            let asked = asks(&mut ending, Answered::Begin);
            assert_eq!(asked.kind, Question::Stamp);
            let stored = UserSessions::decode(&format!("{}6000}}", asked.text)).unwrap();
            assert_eq!((stored.sessions(), stored.ended()), (&[][..], Some(UnixMillis(6_000))));
            let [at, before_it] = [6_000, ended_before].map(UnixMillis);
            let ended = ends(ending, timed(before, Some(6_000)));
            assert_eq!(ended, Ok(OwnEnd { at, before: before_it }), "{before:?}");
        }
    }

    #[test]
    fn a_list_that_the_store_has_not_dated_is_read_and_replaced() {
        for answer in [timed(None, None), Answered::Lost(1)] {
            let mut ending = ending(None);
            asks(&mut ending, Answered::Begin);
            assert_eq!(asks(&mut ending, answer).kind, Question::ReadTimed);
            let replaced = asks(&mut ending, timed(Some(LIST), Some(6_000)));
            assert_eq!(replaced.kind, Question::Replace);
            let stored = UserSessions::decode(&replaced.text).unwrap();
            assert_eq!(stored.ended(), Some(UnixMillis(6_000)));
            let [at, before] = [6_000, 4_000].map(UnixMillis);
            assert_eq!(ends(ending, Answered::Reply(Reply::Done)), Ok(OwnEnd { at, before }));
        }
        let mut others = ending(Some(Handle::from_entropy(&[1; 12])));
        assert_eq!(asks(&mut others, Answered::Begin).kind, Question::ReadTimed);
    }
}
