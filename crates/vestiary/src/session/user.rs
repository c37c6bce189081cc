use alloc::vec::Vec;

use super::admission::leave;
use crate::{
    Handle, UnixMillis, UserRef, WriteId,
    protocol::{
        Calls, Fault, Host, OwnEnd, Place, Proof, Rules, UserChange, UserSession, UserSessions,
        change_list, change_list_by, seeded,
    },
};

/// A login.
pub struct Join<'a> {
    /// The application's name for the user.
    pub name: &'a str,
    /// The application's label for the session.
    pub label: Option<&'a str>,
    /// When the visitor proved who it is, by this server's clock.
    pub proven: UnixMillis,
    /// The end of all sessions of the user by the same request.
    pub own_end: Option<OwnEnd>,
    /// The most sessions a user may have.
    pub most: usize,
}

/// Puts a new session on its user's session list, before it is stored. `None` if all sessions of the user were ended
/// since the visitor proved who it is.
///
/// # Errors
/// The host's error if the name is none ([`UserSessions::check_name`]), and if the store failed: then there is no entry
/// unless the store failed twice.
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
    let change = UserChange::Add {
        handle: user.handle.clone(),
        label: join.label.map(UserSessions::label),
        since,
        most: join.most,
    };
    let changed = change_list_by(&mut calls, &key, &change, None, Some(read)).await;
    let may_be_listed = calls.wrote;
    match changed {
        Ok(changed) => Ok(changed.made.then_some(user)),
        Err(error) => {
            // It is not stored. That this fails must not hide why.
            if may_be_listed {
                let _ = leave(host, rules, &user).await;
            }
            Err(error)
        }
    }
}

/// The sessions of a user that have not expired, the one that was used last first.
///
/// # Errors
/// The host's error if the list cannot be read, and if the store failed.
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

/// Ends one session of a user.
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
    UserSessions::check_name(name)?;
    if seeded(Fault::RevokesNothing) {
        return Ok(());
    }
    let key = rules.options.user_key(name);
    change_list(host, rules, &key, &UserChange::Remove(handle.clone()), None).await.map(drop)
}

/// Ends all sessions of a user but `keep`, and keeps logins out that are under way: when, and when that was done before.
///
/// It takes two round trips: one that reads the list and the store's clock, and one that writes the list.
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

/// Shows no label: it is a value of the application.
impl core::fmt::Debug for Join<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Join").field("proven", &self.proven).finish_non_exhaustive()
    }
}
