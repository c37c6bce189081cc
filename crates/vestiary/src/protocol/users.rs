use alloc::{borrow::ToOwned as _, string::String, vec::Vec};
use core::cell::Cell;

use super::{Fault, fault::seeded};
use crate::{
    Error, Handle, Limits, Ttl, UnixMillis, WriteId, date, json,
    meta::{millis, push_name},
    record::{check_size, mark_of, unreadable},
};

/// The sessions of one user: what a store keeps under
/// [`Options::user_key`](crate::Options::user_key).
///
/// A session that belongs to a user is good only as long as it stands here. So all of them are ended
/// by one write, however many they are, and whatever becomes of their records:
/// `{"v":"<write id>","after":ms,"sessions":{"<handle>":{"created":ms,"seen":ms,"until":ms,"label":"…"}}}`.
///
/// ```
/// # use vestiary::{Handle, Ttl, UnixMillis, WriteId};
/// # use vestiary::protocol::{Lifetime, UserChange, UserSessions};
/// let phone = Handle::from_entropy(&[1; 12]);
/// let login = UserChange::Add { handle: phone.clone(), label: None, since: UnixMillis(5), most: 100 };
/// let lifetime = Lifetime { ttl: Ttl::Millis(60_000), absolute: None };
/// let mut sessions = UserSessions::default();
/// assert!(sessions.apply(&login, lifetime, UnixMillis(5)));
/// assert!(sessions.knows(&phone));
///
/// let text = sessions.encode(&WriteId::from_entropy(&[0; 12]));
/// let mut read = UserSessions::decode(&text)?;
/// let end = UserChange::End { keep: None, at: UnixMillis(6) };
/// assert!(read.apply(&end, lifetime, UnixMillis(6)));
/// assert!(!read.knows(&phone));
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UserSessions {
    mark: Option<WriteId>,
    /// When all were ended: a login that began before is too old.
    after: Option<UnixMillis>,
    sessions: Vec<UserSession>,
}

/// One of a user's sessions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserSession {
    /// What the list calls it.
    pub handle: Handle,
    /// When it began.
    pub created: UnixMillis,
    /// When it was last used, as far as was written down.
    pub seen: UnixMillis,
    /// When the session has ended for certain.
    until: UnixMillis,
    /// What the application calls it, as JSON text: a string with its quotes.
    pub label: Option<String>,
}

/// What happens to the sessions of a user. Done twice, each is as if done once, so a lost answer does no
/// harm.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UserChange {
    /// Somebody logged in.
    Add {
        /// The new session.
        handle: Handle,
        /// The application's label for it, as JSON text: [`UserSessions::label`].
        label: Option<String>,
        /// When the visitor proved who it is: [`Proof::since`](super::Proof::since).
        since: UnixMillis,
        /// The most sessions a user may have: of more, those that were not used for the longest time
        /// end.
        most: usize,
    },
    /// A session was used.
    Seen(Handle),
    /// One of them ends.
    Remove(Handle),
    /// All of them end but one.
    End {
        /// That one.
        keep: Option<Handle>,
        /// When the end was asked for. A login that began earlier is refused.
        at: UnixMillis,
    },
}

/// How long a session lasts that is used now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lifetime {
    /// The TTL of its record.
    pub ttl: Ttl,
    /// The absolute timeout, in milliseconds since the login.
    pub absolute: Option<u64>,
}

/// How often it is written down that a session was used, in milliseconds, at most.
const SEEN_EVERY: u64 = 300_000;

/// How long a session is kept in the list after its end, in milliseconds: a server whose clock is ahead must not
/// drop one that is alive.
const KEPT: u64 = 300_000;

/// The longest name of a user, in bytes.
const NAME: usize = 1_024;

/// The longest label, in characters.
const LABEL: usize = 256;

impl UserSessions {
    /// How long it is remembered that all sessions were ended, in milliseconds: longer than any login takes. A login
    /// whose proof is older is refused: [`Proof::since`](super::Proof::since).
    pub const REMEMBERED: u64 = 86_400_000;

    /// Reads what a store has.
    ///
    /// # Errors
    /// [`Error::Json`] if it is something else, [`Error::TooLarge`], and [`Error::Unsealable`] if it is encrypted.
    /// Such a list is never written over: another instance of the application may be able to read it.
    pub fn decode(text: &str) -> Result<Self, Error> {
        check_size(text.len(), Limits::LOAD)?;
        let mut read = Self {
            mark: Some(mark_of(text).and_then(WriteId::parse).ok_or(Error::Json)?),
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

    /// Validates the application's name for a user: it stands in each record.
    ///
    /// ```
    /// # use vestiary::protocol::UserSessions;
    /// assert!(UserSessions::check_name("ada").is_ok() && UserSessions::check_name("").is_err());
    /// ```
    ///
    /// # Errors
    /// [`Error::UserName`] for one that is empty, or longer than 1,024 bytes.
    pub fn check_name(name: &str) -> Result<(), Error> {
        if (1..=NAME).contains(&name.len()) { Ok(()) } else { Err(Error::UserName) }
    }

    /// The text to store.
    #[must_use]
    pub fn encode(&self, mark: &WriteId) -> String {
        let mut text = ["{\"v\":\"", mark.as_str(), "\""].concat();
        if let Some(after) = self.after {
            push_name(&mut text, "after");
            date::push_number(&mut text, after.0, 1);
        }
        push_name(&mut text, "sessions");
        text.push('{');
        for session in &self.sessions {
            session.push(&mut text);
        }
        text.push_str("}}");
        text
    }

    /// A label as the list keeps it: JSON text, of the first 256 characters.
    ///
    /// ```
    /// # use vestiary::protocol::UserSessions;
    /// assert_eq!(UserSessions::label("Ada's \"old\" phone"), r#""Ada's \"old\" phone""#);
    /// assert_eq!(UserSessions::label(&"é".repeat(1_000)).chars().count(), 258);
    /// ```
    #[must_use]
    pub fn label(text: &str) -> String {
        let end = text.char_indices().nth(LABEL).map_or(text.len(), |(end, _)| end);
        json::quoted(text.get(..end).unwrap_or_default())
    }

    /// When all sessions of the user were ended last.
    pub(super) fn ended(&self) -> Option<UnixMillis> {
        self.after
    }

    /// The mark of what was read.
    #[must_use]
    pub fn mark(&self) -> Option<&WriteId> {
        self.mark.as_ref()
    }

    /// The sessions, the last one used last.
    #[must_use]
    pub fn sessions(&self) -> &[UserSession] {
        &self.sessions
    }

    /// The sessions, the last one used first.
    pub(crate) fn into_latest(mut self) -> Vec<UserSession> {
        self.sessions.reverse();
        self.sessions
    }

    /// Whether this session is good.
    #[must_use]
    pub fn knows(&self, handle: &Handle) -> bool {
        self.place_of(handle).is_some()
    }

    /// Whether it has to be written down that this session is used, before its record is given more
    /// life: now and then, and the more often the shorter it lives.
    #[must_use]
    pub fn is_stale(&self, handle: &Handle, ttl: Ttl, now: UnixMillis) -> bool {
        let session = self.place_of(handle).and_then(|place| self.sessions.get(place));
        session.is_some_and(|session| now.since(session.seen) >= seen_every(ttl))
    }

    /// Makes a change; false if it may not be made: a login that began before all sessions were ended,
    /// or the use of a session that was ended.
    pub fn apply(&mut self, change: &UserChange, lifetime: Lifetime, now: UnixMillis) -> bool {
        self.keep(&|session| now < session.until.plus(KEPT));
        match change {
            UserChange::Add { handle, label, since, most } => {
                let is_old = self.after.is_some_and(|after| *since < after);
                if is_old && !seeded(Fault::AdmitsOldLogin) {
                    return false;
                }
                let (handle, label) = (handle.clone(), label.clone());
                self.keep(&|session| session.handle != handle);
                // One that a login replaces just now takes no room, and has to be known for a while.
                let living = self.sessions.iter().filter(|session| now < session.until).count();
                let over = Cell::new(living.saturating_sub(most.saturating_sub(1)));
                self.keep(&|session| {
                    let is_evicted = over.get() > 0 && now < session.until;
                    over.set(over.get() - usize::from(is_evicted));
                    !is_evicted
                });
                let until = lifetime.end(now, now);
                let session = UserSession { handle, created: now, seen: now, until, label };
                self.sessions.push(session);
                self.evict(self.too_many());
            }
            UserChange::Seen(handle) => {
                let Some(place) = self.place_of(handle) else {
                    if seeded(Fault::SeenRelists) {
                        let (handle, until) = (handle.clone(), lifetime.end(now, now));
                        let (created, seen) = (now, now);
                        self.sessions.push(UserSession {
                            handle,
                            created,
                            seen,
                            until,
                            label: None,
                        });
                    }
                    return false;
                };
                let session = self.sessions.remove(place);
                // One that a login has replaced stays so.
                let is_left = session.until < session.seen;
                let end = lifetime.end(session.created, now);
                let until = if is_left { session.until } else { end };
                self.sessions.push(UserSession { seen: now, until, ..session });
            }
            UserChange::Remove(handle) => self.keep(&|session| session.handle != *handle),
            UserChange::End { keep, at } => {
                self.keep(&|session| Some(&session.handle) == keep.as_ref());
                if !seeded(Fault::ForgetsEnd) {
                    self.after = Some((*at).max(self.after.unwrap_or_default()));
                }
            }
        }
        true
    }

    /// A login replaces a session. It is shown no more, takes no room, and is known for a while yet: a request that meets
    /// it before its record is a tombstone must not take it for revoked, and begin a session that takes the login's place.
    pub(crate) fn leave(&mut self, handle: &Handle, now: UnixMillis) {
        if let Some(place) = self.place_of(handle) {
            let session = self.sessions.remove(place);
            let until = session.until.min(UnixMillis(now.0.saturating_sub(1)));
            self.sessions.insert(0, UserSession { seen: now, until, ..session });
        }
    }

    /// That login has failed.
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

    /// Evicts so many sessions: those that were not used for the longest time.
    fn evict(&mut self, count: usize) {
        self.sessions.drain(..count);
    }

    /// How many sessions must be evicted for the list to be no larger than a record.
    fn too_many(&self) -> usize {
        let size = |session: &UserSession| {
            let mut text = String::from("{,");
            session.push(&mut text);
            text.len() - 1
        };
        let sizes: usize = self.sessions.iter().map(size).sum();
        let mut over = sizes.saturating_sub(Limits::SAVE.bytes - ROOM);
        let last = self.sessions.len().saturating_sub(1);
        let evicted = self.sessions.iter().take(last).take_while(|session| {
            let is_over = over > 0;
            over = over.saturating_sub(size(session));
            is_over
        });
        evicted.count()
    }

    /// Drops the sessions that have ended.
    pub fn sweep(&mut self, now: UnixMillis) {
        self.keep(&|session| now < session.until);
    }

    /// How long the store has to keep it: longer than any of the sessions.
    #[must_use]
    pub fn ttl(&self, now: UnixMillis) -> Ttl {
        let ended = self.after.map_or(0, |after| after.plus(Self::REMEMBERED + KEPT).since(now));
        let longest = self.sessions.iter().map(|session| session.until.plus(KEPT).since(now)).max();
        match longest.unwrap_or(0).max(ended) {
            life if life >= u64::MAX - now.0 => Ttl::Infinite,
            // Also of what has none any more: it is written, and then it expires.
            life => Ttl::Millis(life.max(1_000)),
        }
    }
}

impl UserSession {
    /// JSON text of sessions: an object with a member for each, of the name of its handle.
    #[must_use]
    pub fn json(sessions: &[Self]) -> String {
        let mut text = String::from("{");
        for session in sessions {
            session.push(&mut text);
        }
        text.push('}');
        text
    }

    fn push(&self, text: &mut String) {
        push_name(text, self.handle.as_str());
        text.push('{');
        for (name, at) in [("created", self.created), ("seen", self.seen), ("until", self.until)] {
            push_name(text, name);
            date::push_number(text, at.0, 1);
        }
        if let Some(label) = &self.label {
            push_name(text, "label");
            text.push_str(label);
        }
        text.push('}');
    }
}

impl Lifetime {
    /// When a session has ended for certain that is used now: its record may be given its TTL again for as long as
    /// its use need not be written down.
    fn end(self, created: UnixMillis, now: UnixMillis) -> UnixMillis {
        let unused = match self.ttl {
            Ttl::Infinite => UnixMillis(u64::MAX),
            Ttl::Millis(millis) => now.plus(millis.saturating_add(seen_every(self.ttl))),
        };
        self.absolute.map_or(unused, |absolute| unused.min(created.plus(absolute)))
    }
}

/// Room for what stands beside the sessions in a list.
const ROOM: usize = 256;

/// How often it is written down at most that a session is used, in milliseconds.
fn seen_every(ttl: Ttl) -> u64 {
    match ttl {
        Ttl::Infinite => SEEN_EVERY,
        Ttl::Millis(millis) => SEEN_EVERY.min(millis / 10),
    }
}

fn session(handle: Option<Handle>, text: &str) -> Result<UserSession, Error> {
    let mut instants = [None; 3];
    let mut label = None;
    let Limits { depth, .. } = Limits::LOAD;
    json::members(text, depth, depth, &mut |key, place| {
        let value = text.get(place).unwrap_or_default();
        let [created, seen, until] = &mut instants;
        match key {
            b"created" => *created = millis(value),
            b"seen" => *seen = millis(value),
            b"until" => *until = millis(value),
            b"label" if value.starts_with('"') => label = Some(value.to_owned()),
            _ => {}
        }
        Ok(())
    })?;
    match (handle, instants) {
        (Some(handle), [Some(created), Some(seen), Some(until)]) => {
            Ok(UserSession { handle, created, seen, until, label })
        }
        _ => Err(Error::Json),
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    const TTL: Lifetime = Lifetime { ttl: Ttl::Millis(10_000), absolute: None };

    const ENDLESS: Lifetime = Lifetime { ttl: Ttl::Infinite, absolute: None };

    fn handle(n: u8) -> Handle {
        Handle::from_entropy(&[n; 12])
    }

    fn end(at: u64) -> UserChange {
        UserChange::End { keep: None, at: UnixMillis(at) }
    }

    fn add(n: u8, since: u64, most: usize) -> UserChange {
        UserChange::Add { handle: handle(n), label: None, since: UnixMillis(since), most }
    }

    #[test]
    fn the_longest_unused_session_makes_room() {
        let mut sessions = UserSessions::default();
        for n in 0..3 {
            assert!(sessions.apply(&add(n, 1, 3), TTL, UnixMillis(u64::from(n))));
        }
        assert!(sessions.apply(&UserChange::Seen(handle(0)), TTL, UnixMillis(5)));
        assert!(sessions.apply(&add(3, 6, 3), TTL, UnixMillis(6)));
        let used = sessions.sessions().iter().find(|session| session.handle == handle(0)).unwrap();
        assert_eq!((used.created, used.seen), (UnixMillis(0), UnixMillis(5)));
        assert_eq!(used.until, UnixMillis(11_005));
        let known = [0, 1, 2, 3].map(|n| sessions.knows(&handle(n)));
        assert_eq!(known, [true, false, true, true]);
        assert!(sessions.apply(&add(4, 6, 1), TTL, UnixMillis(6)));
        assert_eq!(sessions.sessions().len(), 1);
    }

    #[test]
    fn a_session_that_a_login_replaces_is_known_but_not_shown_and_takes_no_room() {
        let mut sessions = UserSessions::default();
        for n in 0..3 {
            assert!(sessions.apply(&add(n, 1, 9), TTL, UnixMillis(1)));
        }
        sessions.leave(&handle(2), UnixMillis(5));
        assert!(sessions.knows(&handle(2)));
        let mut shown = sessions.clone();
        shown.sweep(UnixMillis(5));
        assert_eq!([0, 1, 2].map(|n| shown.knows(&handle(n))), [true, true, false]);
        // A late request of it does not put it back, and the failure of the login does.
        let is_shown = |mut shown: UserSessions| {
            shown.sweep(UnixMillis(6));
            shown.knows(&handle(2))
        };
        let mut used = sessions.clone();
        assert!(used.apply(&UserChange::Seen(handle(2)), TTL, UnixMillis(6)));
        assert!(!is_shown(used));
        let mut stays = sessions.clone();
        stays.stay(&handle(2), TTL, UnixMillis(6));
        assert!(is_shown(stays));
        assert!(sessions.apply(&add(3, 5, 3), TTL, UnixMillis(5)));
        assert_eq!([0, 1, 2, 3].map(|n| sessions.knows(&handle(n))), [true, true, true, true]);
        assert!(sessions.apply(&add(4, 5, 3), TTL, UnixMillis(5)));
        assert_eq!([0, 1, 2, 3].map(|n| sessions.knows(&handle(n))), [false, true, true, true]);
    }

    #[test]
    fn a_login_that_began_before_the_end_of_all_is_too_old() {
        let mut sessions = UserSessions::default();
        sessions.apply(&add(1, 5, 9), TTL, UnixMillis(5));
        sessions.apply(&add(2, 5, 9), TTL, UnixMillis(5));
        let keep = UserChange::End { keep: Some(handle(2)), at: UnixMillis(7) };
        assert!(sessions.apply(&keep, TTL, UnixMillis(7)));
        assert!(!sessions.knows(&handle(1)) && sessions.knows(&handle(2)));
        assert!(!sessions.apply(&UserChange::Seen(handle(1)), TTL, UnixMillis(7)));
        for since in 0..7 {
            assert!(!sessions.apply(&add(3, since, 9), TTL, UnixMillis(8)), "{since}");
        }
        // In the same millisecond, as when a request ends all sessions and logs in again.
        assert!(sessions.apply(&add(3, 7, 9), TTL, UnixMillis(8)));
        // A clock that is behind does not make the end earlier.
        assert!(sessions.apply(&end(3), TTL, UnixMillis(3)));
        assert!(!sessions.apply(&add(4, 6, 9), TTL, UnixMillis(8)));
    }

    #[test]
    fn it_is_stored_longer_than_what_it_lists() {
        let mut sessions = UserSessions::default();
        sessions.apply(&add(1, 5, 9), TTL, UnixMillis(5));
        assert_eq!(sessions.ttl(UnixMillis(5)), Ttl::Millis(11_000 + KEPT));
        assert!(!sessions.is_stale(&handle(1), TTL.ttl, UnixMillis(1_004)));
        assert!(sessions.is_stale(&handle(1), TTL.ttl, UnixMillis(1_005)));
        // Of a session that is not in the list nothing is written down.
        assert!(!sessions.is_stale(&handle(2), TTL.ttl, UnixMillis(1_005)));
        sessions.apply(&add(2, 5, 9), ENDLESS, UnixMillis(20_004));
        assert_eq!(sessions.sessions().len(), 2);
        assert_eq!(sessions.ttl(UnixMillis(20_004)), Ttl::Infinite);
        let late = UnixMillis(11_005 + KEPT);
        sessions.apply(&UserChange::Remove(handle(2)), TTL, late);
        assert_eq!((sessions.sessions(), sessions.ttl(late)), (&[][..], Ttl::Millis(1_000)));
        sessions.apply(&end(late.0), TTL, late);
        assert_eq!(sessions.ttl(late), Ttl::Millis(UserSessions::REMEMBERED + KEPT));
    }

    #[test]
    fn what_is_stored_comes_back_and_nothing_else_is_taken_for_it() {
        let mut sessions = UserSessions::default();
        sessions.apply(&add(1, 5, 9), TTL, UnixMillis(5));
        let label = Some(r#""Firefox, \"old\"""#.to_owned());
        let change = UserChange::Add { handle: handle(2), label, since: UnixMillis(6), most: 9 };
        sessions.apply(&change, ENDLESS, UnixMillis(6));
        sessions.after = Some(UnixMillis(3));
        let mark = WriteId::from_entropy(&[9; 12]);
        let text = sessions.encode(&mark);
        let read = UserSessions { mark: Some(mark.clone()), ..sessions };
        assert_eq!(read.mark(), Some(&mark));
        assert_eq!(UserSessions::decode(&text), Ok(read));
        let unnamed = text.replace(r#""label":"Firefox, \"old\"""#, r#""label":5"#);
        assert_ne!(unnamed, text);
        assert_eq!(UserSessions::decode(&unnamed).unwrap().sessions()[1].label, None);
        for end in 0..text.len() {
            assert!(UserSessions::decode(text.get(..end).unwrap_or("")).is_err(), "{end}");
        }
        for bad in [
            "{}",
            r#"{"v":"AAAAAAAAAAAAAAAA"}"#,
            r#"{"v":"AAAAAAAAAAAAAAAA","sessions":[]}"#,
            r#"{"v":"AAAAAAAAAAAAAAAA","sessions":{"short":{"created":1,"seen":1,"until":1}}}"#,
            r#"{"v":"AAAAAAAAAAAAAAAA","sessions":{"AAAAAAAAAAAAAAAA":{"created":1,"seen":1}}}"#,
        ] {
            assert!(UserSessions::decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_session_is_listed_until_its_record_has_ended_and_never_beyond_its_absolute_deadline() {
        let listed = |sessions: &UserSessions, now| {
            let mut sessions = sessions.clone();
            sessions.sweep(UnixMillis(now));
            sessions.sessions().len()
        };
        let mut sessions = UserSessions::default();
        sessions.apply(&add(1, 0, 9), TTL, UnixMillis(0));
        assert_eq!((listed(&sessions, 10_999), listed(&sessions, 11_000)), (1, 0));
        // A server whose clock is ahead drops nothing that another one still takes for alive.
        sessions.apply(&add(2, 0, 9), TTL, UnixMillis(KEPT + 10_999));
        assert!(sessions.knows(&handle(1)));
        sessions.apply(&add(3, 0, 9), TTL, UnixMillis(KEPT + 11_000));
        assert!(!sessions.knows(&handle(1)));

        let absolute = Lifetime { absolute: Some(15_000), ..TTL };
        let mut sessions = UserSessions::default();
        sessions.apply(&add(1, 0, 9), absolute, UnixMillis(0));
        assert!(sessions.apply(&UserChange::Seen(handle(1)), absolute, UnixMillis(9_000)));
        assert_eq!((listed(&sessions, 14_999), listed(&sessions, 15_000)), (1, 0));
    }

    #[test]
    fn a_list_is_no_larger_than_a_record_and_the_longest_unused_session_makes_room() {
        let label = Some(UserSessions::label(&"\u{1}".repeat(100_000)));
        let mut sessions = UserSessions::default();
        for n in 0..=255 {
            let (handle, label) = (handle(n), label.clone());
            let change = UserChange::Add { handle, label, since: UnixMillis(0), most: usize::MAX };
            assert!(sessions.apply(&change, TTL, UnixMillis(0)));
            assert!(sessions.encode(&WriteId::from_entropy(&[0; 12])).len() <= Limits::SAVE.bytes);
        }
        let kept = sessions.sessions().len();
        assert!((30..60).contains(&kept), "{kept}");
        assert!(sessions.knows(&handle(255)) && !sessions.knows(&handle(0)));
    }

    #[test]
    fn no_more_sessions_are_evicted_than_a_list_has_to_lose() {
        let mut sessions = UserSessions::default();
        let mut length = 0;
        for n in 0..=255 {
            let label = Some(UserSessions::label(&"x".repeat(200 + usize::from(n) % 40)));
            let change = UserChange::Add {
                handle: handle(n),
                label,
                since: UnixMillis(0),
                most: usize::MAX,
            };
            assert!(sessions.apply(&change, TTL, UnixMillis(0)));
            length = sessions.encode(&WriteId::from_entropy(&[0; 12])).len();
            assert!(length <= Limits::SAVE.bytes, "{n} {length}");
        }
        assert!(!sessions.knows(&handle(0)));
        // Another one would not have fitted beside the room for what stands there.
        assert!(length + 400 > Limits::SAVE.bytes - ROOM, "{length}");
    }

    #[test]
    fn a_name_has_a_limit_in_bytes() {
        for (name, is_valid) in [(1, true), (NAME, true), (0, false), (NAME + 1, false)] {
            assert_eq!(UserSessions::check_name(&"n".repeat(name)).is_ok(), is_valid, "{name}");
        }
        assert_eq!(UserSessions::check_name(&"é".repeat(513)), Err(Error::UserName));
    }

    #[test]
    fn a_label_is_cut_between_characters() {
        for (text, label) in
            [("", r#""""#), ("a\"b\\c\n\u{1}\u{7f}é😀", "\"a\\\"b\\\\c\\u000a\\u0001\u{7f}é😀\"")]
        {
            assert_eq!(UserSessions::label(text), label);
        }
        let label = UserSessions::label(&"😀".repeat(257));
        assert_eq!(label, format!("\"{}\"", "😀".repeat(256)));
    }
}
