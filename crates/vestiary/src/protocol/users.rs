use alloc::{borrow::ToOwned as _, string::String, vec::Vec};
use core::cell::Cell;

use super::{Fault, Lifetime, UserChange, Verdict, fault::seeded, lifetime::seen_every};
use crate::{
    Error, Handle, Limits, SessionsPerUser, Ttl, UnixMillis, WhenFull, WriteId,
    device::cut,
    json,
    record::{check_size, millis, push_name, unreadable, write_id_of},
    time::date,
};

/// A user's session list. The store has it under [`Options::user_key`](crate::Options::user_key).
///
/// A session of a user is valid only while it is in the list. So one write ends all of them, however many there are, and
/// whatever happens to their records. The list is JSON:
/// `{"v":"<write id>","sessions":{"<handle>":{"created":ms,"seen":ms,"until":ms,"label":"…","device":{…},"provider":[…],"bound":true}},"after":ms}`.
///
/// ```
/// # use vestiary::{Handle, SessionsPerUser, Ttl, UnixMillis, WriteId};
/// # use vestiary::protocol::{Lifetime, UserChange, UserSessions, Verdict};
/// let phone = Handle::from_entropy(&[1; 12]);
/// let (handle, since) = (phone.clone(), UnixMillis(5));
/// let limit = SessionsPerUser::default();
/// let login = UserChange::Add {
///     handle, replaces: None, label: None, device: None, provider: None, since, limit,
/// };
/// let lifetime = Lifetime { ttl: Ttl::Millis(60_000), absolute: None };
/// let mut sessions = UserSessions::default();
/// assert_eq!(sessions.apply(&login, lifetime, UnixMillis(5)), Verdict::Made);
/// assert!(sessions.knows(&phone));
///
/// let text = sessions.encode(&WriteId::from_entropy(&[0; 12]));
/// let mut read = UserSessions::decode(&text)?;
/// let end = UserChange::End { keep: None, at: UnixMillis(6) };
/// assert_eq!(read.apply(&end, lifetime, UnixMillis(6)), Verdict::Made);
/// assert!(!read.knows(&phone));
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UserSessions {
    write_id: Option<WriteId>,
    /// The time at which all sessions were ended. A login that began earlier is refused.
    after: Option<UnixMillis>,
    sessions: Vec<UserSession>,
}

/// One of a user's sessions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserSession {
    /// The public name of the session.
    pub handle: Handle,
    /// The time at which the session began.
    pub created: UnixMillis,
    /// The time of the last use that was recorded.
    pub seen: UnixMillis,
    /// The time from which the session has certainly ended.
    until: UnixMillis,
    /// The application's label for the session, as JSON text: a string with its quotes.
    pub label: Option<String>,
    /// The device of the login, as JSON text: [`Device::json`](crate::Device::json).
    pub device: Option<String>,
    /// The lists of its provider that have it, too, as JSON text: the hashes in their keys.
    pub(crate) provider: Option<String>,
    /// Whether it was bound to its device: [`binding`](crate::binding).
    pub bound: bool,
}

/// The time for which a session stays in the list after its end, in milliseconds. A server whose clock is ahead must not
/// drop a live session.
const KEPT: u64 = 300_000;

/// The longest name of a user, in bytes.
const NAME: usize = 1_024;

/// The longest label, in characters.
const LABEL: usize = 256;

impl UserSessions {
    /// The time for which a list remembers the end of all sessions, in milliseconds. It is longer than any login takes. A
    /// login whose proof is older is refused: [`Proof::since`](super::Proof::since).
    pub const REMEMBERED: u64 = 86_400_000;

    /// Reads a list that a store has.
    ///
    /// # Errors
    /// [`Error::Json`] if the text is not a list, [`Error::TooLarge`], and [`Error::Unsealable`] if it is encrypted. Such a
    /// list is never overwritten, because another instance of the application may be able to read it.
    pub fn decode(text: &str) -> Result<Self, Error> {
        check_size(text.len(), Limits::LOAD)?;
        let mut read = Self {
            write_id: Some(write_id_of(text).and_then(WriteId::parse).ok_or(Error::Json)?),
            ..Self::default()
        };
        let Limits { depth, .. } = Limits::LOAD;
        let mut sessions = None;
        json::members(text, depth, depth, &mut |key, place| {
            let value = text.get(place).unwrap_or_default();
            match key {
                b"after" => read.after = millis(value),
                b"sessions" => sessions = Some(value),
                _ => {}
            }
            Ok(())
        })?;
        let sessions = sessions.ok_or_else(|| unreadable(text, Error::Json))?;
        json::members(sessions, depth, depth, &mut |key, place| {
            let handle = core::str::from_utf8(key).ok().and_then(Handle::parse);
            let session = session(handle, sessions.get(place).unwrap_or_default())?;
            read.sessions.push(session);
            Ok(())
        })?;
        Ok(read)
    }

    /// Validates the application's name for a user, which each record of the user contains.
    ///
    /// ```
    /// # use vestiary::protocol::UserSessions;
    /// assert!(UserSessions::check_name("ada").is_ok() && UserSessions::check_name("").is_err());
    /// ```
    ///
    /// # Errors
    /// [`Error::UserName`] if the name is empty, or longer than 1,024 bytes.
    pub fn check_name(name: &str) -> Result<(), Error> {
        if (1..=NAME).contains(&name.len()) { Ok(()) } else { Err(Error::UserName) }
    }

    /// The text to store.
    #[must_use]
    pub fn encode(&self, write_id: &WriteId) -> String {
        let mut text = String::with_capacity(ROOM + LONGEST * self.sessions.len());
        text.extend(["{\"v\":\"", write_id.as_str(), "\""]);
        push_name(&mut text, "sessions");
        text.push('{');
        for session in &self.sessions {
            session.push(&mut text);
        }
        text.push('}');
        if let Some(after) = self.after {
            push_name(&mut text, "after");
            date::push_number(&mut text, after.0, 1);
        }
        text.push('}');
        text
    }

    /// The text of a list without sessions, up to the time at which they ended, for [`Call::Stamp`](super::Call::Stamp); and
    /// its TTL.
    pub(crate) fn undated(write_id: &WriteId) -> (String, Ttl) {
        let text = ["{\"v\":\"", write_id.as_str(), "\",\"sessions\":{},\"after\":"].concat();
        (text, Ttl::Millis(Self::REMEMBERED + KEPT))
    }

    /// Converts a label to the form in the list: JSON text of its first 256 characters.
    ///
    /// ```
    /// # use vestiary::protocol::UserSessions;
    /// assert_eq!(UserSessions::label("Ada's \"old\" phone"), r#""Ada's \"old\" phone""#);
    /// assert_eq!(UserSessions::label(&"é".repeat(1_000)).chars().count(), 258);
    /// ```
    #[must_use]
    pub fn label(text: &str) -> String {
        json::quoted(cut(text, LABEL))
    }

    /// The time at which all sessions of the user were ended last.
    pub(crate) fn ended(&self) -> Option<UnixMillis> {
        self.after
    }

    /// The write ID of the list that was read.
    #[must_use]
    pub fn write_id(&self) -> Option<&WriteId> {
        self.write_id.as_ref()
    }

    /// The sessions, the last one used last.
    #[must_use]
    pub fn sessions(&self) -> &[UserSession] {
        &self.sessions
    }

    /// The lists of its provider that have the session that was used last, too.
    pub(crate) fn latest_provider(&self) -> Option<&str> {
        self.sessions.last()?.provider.as_deref()
    }

    /// The sessions, the last one used first.
    pub(crate) fn into_latest(mut self) -> Vec<UserSession> {
        self.sessions.reverse();
        self.sessions
    }

    /// Whether the list has this session, so that the session is valid.
    #[must_use]
    pub fn knows(&self, handle: &Handle) -> bool {
        self.place_of(handle).is_some()
    }

    /// Whether the use of this session must be recorded in the list before its record gets a longer TTL. That is due every
    /// few minutes, and more often for a session with a short lifetime.
    #[must_use]
    pub fn is_stale(&self, handle: &Handle, ttl: Ttl, now: UnixMillis) -> bool {
        let session = self.place_of(handle).and_then(|place| self.sessions.get(place));
        session.is_some_and(|session| now.since(session.seen) >= seen_every(ttl))
    }

    /// Makes a change, unless it may not be made.
    pub fn apply(&mut self, change: &UserChange, lifetime: Lifetime, now: UnixMillis) -> Verdict {
        self.keep(&|session| now < session.until.plus(KEPT));
        match change {
            UserChange::Add { handle, replaces, label, device, provider, since, limit } => {
                let is_old = self.after.is_some_and(|after| *since < after);
                if is_old && !seeded(Fault::AdmitsOldLogin) {
                    return Verdict::Outdated;
                }
                let session = UserSession {
                    label: label.clone(),
                    device: device.clone(),
                    provider: provider.clone(),
                    ..UserSession::bare(handle, now, lifetime.end(now, now))
                };
                return self.add(session, replaces.as_ref(), *limit, now);
            }
            UserChange::Stay { handle, instead } => {
                // The write that was to replace the session has listed the new one, unless all sessions were ended since.
                // Without it, another login may have replaced the session.
                let is_ours = |(new, since): &_| self.knows(new) || self.after > Some(*since);
                if instead.as_ref().is_none_or(is_ours) {
                    self.stay(handle, lifetime, now);
                }
                if let Some((new, _)) =
                    instead.as_ref().filter(|_| !seeded(Fault::LoginLeavesEntry))
                {
                    self.keep(&|session| session.handle != *new);
                }
            }
            UserChange::Seen(handle) => {
                let Some(place) = self.place_of(handle) else {
                    if seeded(Fault::SeenRelists) {
                        self.sessions.push(UserSession::bare(handle, now, lifetime.end(now, now)));
                    }
                    return Verdict::Outdated;
                };
                let session = self.sessions.remove(place);
                // A session that a login has replaced stays replaced.
                let end = lifetime.end(session.created, now);
                let until = if session.is_left() { session.until } else { end };
                self.sessions.push(UserSession { seen: now, until, ..session });
            }
            UserChange::Bound(handle) => {
                let session = self.sessions.iter_mut().find(|session| session.handle == *handle);
                let Some(session) = session else { return Verdict::Outdated };
                session.bound = true;
            }
            UserChange::Remove(handle) => self.keep(&|session| session.handle != *handle),
            UserChange::RemoveEach(handles) => {
                self.keep(&|session| !handles.contains(&session.handle));
            }
            UserChange::Reused(handle) => {
                // Requests must not take the session of a login in progress for revoked.
                let is_it = |session: &&UserSession| session.handle == *handle;
                if self.sessions.iter().find(is_it).is_none_or(UserSession::is_left) {
                    return Verdict::Outdated;
                }
                self.keep(&|session| session.handle != *handle);
            }
            UserChange::End { keep, at } => {
                self.keep(&|session| Some(&session.handle) == keep.as_ref());
                if !seeded(Fault::ForgetsEnd) {
                    self.after = Some((*at).max(self.after.unwrap_or_default()));
                }
            }
            UserChange::LoggedOut { at, receipt } => {
                if receipt.as_ref().is_some_and(|receipt| self.knows(receipt)) {
                    return Verdict::Outdated;
                }
                if !seeded(Fault::ProviderForgetsEnd) {
                    self.after = Some((*at).max(self.after.unwrap_or_default()));
                }
                let until = now.plus(Self::REMEMBERED);
                let receipt =
                    receipt.as_ref().map(|receipt| UserSession::bare(receipt, now, until));
                self.sessions.extend(receipt);
            }
        }
        Verdict::Made
    }

    /// Adds the session of a login.
    fn add(
        &mut self,
        new: UserSession,
        replaces: Option<&Handle>,
        limit: SessionsPerUser,
        now: UnixMillis,
    ) -> Verdict {
        let refuses = limit.when_full == WhenFull::Refuse;
        let before = refuses.then(|| (self.sessions.clone(), self.living(now)));
        if let Some(replaced) = replaces.filter(|_| !seeded(Fault::CountsReplaced)) {
            self.leave(replaced, now);
        }
        self.keep(&|session| session.handle != new.handle);
        // A session that a login is replacing takes no room, but must stay in the list for a while.
        let living = self.living(now);
        let over = living.saturating_sub(limit.most.saturating_sub(1));
        self.sessions.push(new);
        if let Some((before, count)) = before {
            // A login that replaces a session needs no other place, even if there are too many sessions already.
            let mut is_full = over > 0 && living == count;
            if self.too_many() > 0 {
                self.sweep(now);
                is_full |= self.too_many() > 0;
            }
            if is_full {
                self.sessions = before;
                return Verdict::Full;
            }
            return Verdict::Made;
        }
        let over = Cell::new(over);
        self.keep(&|session| {
            let is_evicted = over.get() > 0 && now < session.until;
            over.set(over.get() - usize::from(is_evicted));
            !is_evicted
        });
        self.evict(self.too_many());
        Verdict::Made
    }

    /// The number of sessions that have not ended.
    fn living(&self, now: UnixMillis) -> usize {
        self.sessions.iter().filter(|session| now < session.until).count()
    }

    /// Records that a login replaces a session. The session is no longer shown, takes no room, and stays in the list for a
    /// while. Otherwise a request that meets it before its record is a tombstone would take it for revoked, and begin a
    /// session in the place of the login's.
    pub(crate) fn leave(&mut self, handle: &Handle, now: UnixMillis) {
        if let Some(place) = self.place_of(handle) {
            let session = self.sessions.remove(place);
            let until = session.until.min(UnixMillis(now.0.saturating_sub(1)));
            self.sessions.insert(0, UserSession { seen: now, until, ..session });
        }
    }

    /// Reverts [`UserSessions::leave`], after a login that failed.
    pub(crate) fn stay(&mut self, handle: &Handle, lifetime: Lifetime, now: UnixMillis) {
        if let Some(place) = self.place_of(handle) {
            let session = self.sessions.remove(place);
            let until = lifetime.end(session.created, now);
            self.sessions.push(UserSession { seen: now, until, ..session });
        }
    }

    fn place_of(&self, handle: &Handle) -> Option<usize> {
        self.sessions.iter().position(|session| session.handle == *handle)
    }

    /// Drops all sessions but these.
    fn keep(&mut self, is_kept: &dyn Fn(&UserSession) -> bool) {
        self.sessions.retain(is_kept);
    }

    /// Evicts the least recently used sessions, of this number.
    fn evict(&mut self, count: usize) {
        self.sessions.drain(..count);
    }

    /// The number of sessions to evict so that the list is no larger than a record.
    fn too_many(&self) -> usize {
        let size = |session: &UserSession| {
            let mut text = String::from("{,");
            session.push(&mut text);
            text.len() - 1
        };
        let most = |session: &UserSession| {
            let texts = [&session.label, &session.device, &session.provider].into_iter().flatten();
            LONGEST + texts.map(String::len).sum::<usize>()
        };
        if self.sessions.iter().map(most).sum::<usize>() <= Limits::SAVE.bytes - ROOM {
            return 0;
        }
        let sizes: usize = self.sessions.iter().map(size).sum();
        let mut over = sizes.saturating_sub(Limits::SAVE.bytes - ROOM);
        let last = self.sessions.len().saturating_sub(1);
        let evicted = self.sessions.iter().take(last).take_while(|session| {
            let is_in_excess = over > 0;
            over = over.saturating_sub(size(session));
            is_in_excess
        });
        evicted.count()
    }

    /// Drops the sessions that have ended.
    pub fn sweep(&mut self, now: UnixMillis) {
        self.keep(&|session| now < session.until);
    }

    /// The TTL of the list in the store. It is longer than the lifetime of each session.
    #[must_use]
    pub fn ttl(&self, now: UnixMillis) -> Ttl {
        let ended = self.after.map_or(0, |after| after.plus(Self::REMEMBERED + KEPT).since(now));
        let longest = self.sessions.iter().map(|session| session.until.plus(KEPT).since(now)).max();
        match longest.unwrap_or(0).max(ended) {
            ttl if ttl >= u64::MAX - now.0 => Ttl::Infinite,
            // A list without sessions is written, too, and expires then.
            ttl => Ttl::Millis(ttl.max(1_000)),
        }
    }
}

impl UserSession {
    /// The JSON text of sessions: an object that has a member for each session, named by its handle.
    #[must_use]
    pub fn json(sessions: &[Self]) -> String {
        let mut text = String::from("{");
        for session in sessions {
            session.push(&mut text);
        }
        text.push('}');
        text
    }

    /// An entry without a label.
    fn bare(handle: &Handle, now: UnixMillis, until: UnixMillis) -> Self {
        let (handle, bound) = (handle.clone(), false);
        let (label, device, provider) = (None, None, None);
        Self { handle, created: now, seen: now, until, label, device, provider, bound }
    }

    /// Whether a login has replaced the session ([`UserSessions::leave`]).
    fn is_left(&self) -> bool {
        self.until < self.seen
    }

    fn push(&self, text: &mut String) {
        push_name(text, self.handle.as_str());
        text.push('{');
        for (name, at) in [("created", self.created), ("seen", self.seen), ("until", self.until)] {
            push_name(text, name);
            date::push_number(text, at.0, 1);
        }
        let Self { label, device, provider, .. } = self;
        let bound = &self.bound.then(|| "true".to_owned());
        let texts =
            [("label", label), ("device", device), ("provider", provider), ("bound", bound)];
        for (name, value) in texts {
            if let Some(value) = value {
                push_name(text, name);
                text.push_str(value);
            }
        }
        text.push('}');
    }
}

/// The maximum size of a list without its sessions, in bytes.
const ROOM: usize = 256;

/// The maximum number of bytes of a session in a list, without its label and device.
const LONGEST: usize = 160;

fn session(handle: Option<Handle>, text: &str) -> Result<UserSession, Error> {
    let mut instants = [None; 3];
    let (mut label, mut device, mut provider, mut bound) = (None, None, None, false);
    let Limits { depth, .. } = Limits::LOAD;
    json::members(text, depth, depth, &mut |key, place| {
        let value = text.get(place).unwrap_or_default();
        let [created, seen, until] = &mut instants;
        match key {
            b"created" => *created = millis(value),
            b"seen" => *seen = millis(value),
            b"until" => *until = millis(value),
            b"label" if value.starts_with('"') => label = Some(value.to_owned()),
            b"device" if value.starts_with('{') => device = Some(value.to_owned()),
            b"provider" if value.starts_with('[') => provider = Some(value.to_owned()),
            b"bound" => bound = value == "true",
            _ => {}
        }
        Ok(())
    })?;
    match (handle, instants) {
        (Some(handle), [Some(created), Some(seen), Some(until)]) => {
            Ok(UserSession { handle, created, seen, until, label, device, provider, bound })
        }
        _ => Err(Error::Json),
    }
}

#[cfg(test)]
mod tests;
