use alloc::{borrow::ToOwned as _, string::String, vec::Vec};

use super::Slots;
use crate::{
    CookieOverrides, Error, Handle, Limits, SessionId, UnixMillis, WriteId, json, time::date,
};

/// The library's own metadata of a session. It is stored outside the data, so that no key of the application can
/// collide with it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Meta {
    /// When the session was created; `None` in records of svelte-kit-sessions.
    pub created: Option<UnixMillis>,
    /// When the user last proved their identity, if that is not the time of the login.
    pub confirmed: Option<UnixMillis>,
    /// When the session got its current ID, if that is not the first one.
    pub renewed: Option<UnixMillis>,
    /// The name of the session for logs, if it follows neither from its ID nor from its user, because no user has it and it
    /// has been renewed.
    pub log: Option<Handle>,
    /// The idle deadline.
    pub idle: Option<UnixMillis>,
    /// The absolute deadline. Nothing moves it.
    pub absolute: Option<UnixMillis>,
    /// When the browser drops the cookie, if the cookie has a `Max-Age` and does not roll.
    pub until: Option<UnixMillis>,
    /// The owner of the session.
    pub user: Option<UserRef>,
    /// The cookie attributes of this session that differ from the options.
    pub cookie: Option<CookieOverrides>,
    /// Values beside the data, each with an end of its own.
    pub slots: Slots,
    /// The version of the data, if the application numbers them: [`Options::version`](crate::Options::version).
    pub version: Option<u32>,
    /// The write IDs of previous writes, newest first, at most [`Meta::WRITES`]. With them, a request whose reply was
    /// lost can tell whether its write succeeded.
    pub writes: Vec<WriteId>,
    /// Present in a tombstone: where the session went.
    pub next: Option<Next>,
}

/// The owner of a session.
#[derive(Clone, Eq, PartialEq)]
pub struct UserRef {
    /// The application's name for the user, as JSON text: a string with its quotes.
    pub name: String,
    /// The handle of the session in the user's session list.
    pub handle: Handle,
}

impl UserRef {
    /// Creates the reference to a user of this name, whose session list has the session under `handle`.
    #[must_use]
    pub fn new(name: &str, handle: Handle) -> Self {
        Self { name: json::quoted(name), handle }
    }

    /// The application's name for the user, decoded. Empty if the record has an invalid text; no user has an empty
    /// name.
    #[must_use]
    pub fn decoded_name(&self) -> String {
        Self::decoded(&self.name)
    }

    /// Decodes the JSON text of a name. Empty if it is invalid; no user has an empty name.
    #[must_use]
    pub fn decoded(name: &str) -> String {
        json::unquoted(name).unwrap_or_default()
    }
}

/// The successor of a session ID, in a tombstone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Next {
    /// The new ID, readable only with the old one.
    pub id: HiddenId,
    /// The end of the grace period of a renewal, until which the old ID leads to the session. `None` after a login: the
    /// old ID leads nowhere.
    pub grace: Option<UnixMillis>,
}

/// A session ID that only the holder of another one can read, so that no store ever has it in plain text.
///
/// ```
/// # use vestiary::{HiddenId, SessionId, WriteId};
/// # let [old, new, other] = [1, 2, 3].map(|n| SessionId::from_entropy(&[n; 24]));
/// let write_id = WriteId::from_entropy(&[7; 12]);
/// let hidden = HiddenId::new(&new, &old, &write_id);
/// assert_eq!(hidden.reveal(&old, &write_id), Some(new.clone()));
/// assert_ne!(hidden.reveal(&other, &write_id), Some(new));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HiddenId(String);

impl HiddenId {
    /// Hides `id` so that only the holder of `old` can read it. `write_id` is the write ID of the record that holds it:
    /// it is unique, so nothing is hidden twice in the same way.
    #[must_use]
    pub fn new(id: &SessionId, old: &SessionId, write_id: &WriteId) -> Self {
        Self(crate::crypto::hide(id.expose().as_bytes(), old, write_id))
    }

    /// The ID, if `old` and `write_id` are those with which it was hidden. With others, the result is `None`, or an ID
    /// that no session has.
    #[must_use]
    pub fn reveal(&self, old: &SessionId, write_id: &WriteId) -> Option<SessionId> {
        SessionId::from_bytes(&crate::crypto::reveal(&self.0, old, write_id)?)
    }
}

impl Meta {
    /// The maximum number of concurrent writers of one session whose lost replies can be told apart.
    pub const WRITES: usize = 8;

    /// Creates the metadata of a session that was created at `created`.
    #[must_use]
    pub fn created(created: UnixMillis) -> Self {
        Self { created: Some(created), ..Self::default() }
    }

    /// Creates the metadata of a session that belongs to this user, if there is one.
    #[must_use]
    pub fn owned(user: Option<UserRef>) -> Self {
        Self { user, ..Self::default() }
    }

    /// Whether the user has proven their identity within this time: at the login, or since. Never without a user.
    #[must_use]
    pub fn is_fresh(&self, millis: u64, now: UnixMillis) -> bool {
        let since = self.user.as_ref().and(self.confirmed.or(self.created));
        since.is_some_and(|since| now < since.plus(millis))
    }

    /// The name for logs of the session that has this ID: it stays the same over renewals.
    #[must_use]
    pub fn log_id(&self, id: &SessionId) -> Handle {
        self.known_log_id().cloned().unwrap_or_else(|| Handle::of(id))
    }

    /// The name for logs that the record has; `None` if it follows from the session's ID.
    #[must_use]
    pub fn known_log_id(&self) -> Option<&Handle> {
        self.user.as_ref().map(|user| &user.handle).or(self.log.as_ref())
    }

    /// A copy without the previous writes, for a new write.
    pub(crate) fn without_writes(&self) -> Self {
        let Self {
            created,
            confirmed,
            renewed,
            log,
            idle,
            absolute,
            until,
            user,
            cookie,
            slots,
            version,
            writes: _,
            next,
        } = self;
        Self {
            created: *created,
            confirmed: *confirmed,
            renewed: *renewed,
            log: log.clone(),
            idle: *idle,
            absolute: *absolute,
            until: *until,
            user: user.clone(),
            cookie: cookie.clone(),
            slots: slots.clone(),
            version: *version,
            writes: Vec::new(),
            next: next.clone(),
        }
    }

    /// The part that must survive a write by another library: all except the write protocol's own. `None` if there is
    /// no such part.
    pub(crate) fn lasting(&self) -> Option<Self> {
        let Self { renewed, idle, absolute, user, cookie, slots, version, .. } = self;
        let is_needed = idle.or(*absolute).or(*renewed).is_some()
            || user.is_some()
            || cookie.is_some()
            || !slots.is_empty()
            || version.is_some();
        is_needed.then(|| Self { next: None, ..self.without_writes() })
    }

    /// Appends the text of the JSON object.
    pub(crate) fn push(&self, text: &mut String) {
        text.push('{');
        for (name, instant) in [
            ("created", self.created),
            ("confirmed", self.confirmed),
            ("renewed", self.renewed),
            ("idle", self.idle),
            ("absolute", self.absolute),
            ("until", self.until),
        ] {
            if let Some(instant) = instant {
                push_name(text, name);
                date::push_number(text, instant.0, 1);
            }
        }
        if let Some(log) = &self.log {
            push_text(text, "log", log.as_str());
        }
        if let Some(UserRef { name, handle }) = &self.user {
            push_name(text, "user");
            text.push_str(name);
            push_text(text, "handle", handle.as_str());
        }
        if let Some(cookie) = &self.cookie {
            push_name(text, "cookie");
            text.push_str(cookie.as_str());
        }
        if !self.slots.is_empty() {
            push_name(text, "slots");
            text.push_str(self.slots.as_str());
        }
        if let Some(version) = self.version {
            push_name(text, "version");
            date::push_number(text, version.into(), 1);
        }
        let mut before = "[\"";
        for write in &self.writes {
            if before.len() == 2 {
                push_name(text, "writes");
            }
            text.extend([before, write.as_str()]);
            before = "\",\"";
        }
        if !self.writes.is_empty() {
            text.push_str("\"]");
        }
        if let Some(Next { id, grace }) = &self.next {
            push_text(text, "next", &id.0);
            if let Some(grace) = grace {
                push_name(text, "grace");
                date::push_number(text, grace.0, 1);
            }
        }
        text.push('}');
    }

    /// Parses metadata. Metadata that cannot be understood is ignored, and the session stays valid, with one exception:
    /// `next` makes a record a tombstone, so it must be readable.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        let mut meta = Self::default();
        let mut user = None;
        let mut handle = None;
        let mut next = None;
        let mut grace = None;
        let Limits { depth, .. } = Limits::LOAD;
        let walked = json::members(text, depth, depth, &mut |key, place| {
            let value = text.get(place).unwrap_or_default();
            match key {
                b"created" => meta.created = millis(value),
                b"confirmed" => meta.confirmed = millis(value),
                b"log" => meta.log = unquoted(value).and_then(Handle::parse),
                b"renewed" => meta.renewed = millis(value),
                b"idle" => meta.idle = millis(value),
                b"absolute" => meta.absolute = millis(value),
                b"until" => meta.until = millis(value),
                b"user" => user = Some(value),
                b"handle" => handle = unquoted(value).and_then(Handle::parse),
                b"cookie" => meta.cookie = CookieOverrides::parse(value).ok().flatten(),
                b"slots" => meta.slots = Slots::read(value),
                b"version" => meta.version = json::whole(value).and_then(|it| it.try_into().ok()),
                b"writes" => {
                    meta.writes.reserve_exact(Self::WRITES);
                    meta.writes.extend(
                        value
                            .as_bytes()
                            .split(|byte| *byte == b'"')
                            .filter_map(WriteId::from_bytes),
                    );
                }
                b"next" => next = Some(value),
                b"grace" => grace = millis(value),
                _ => {}
            }
            Ok(())
        });
        if walked.is_err() {
            return Ok(Self::default());
        }
        // Reject a record whose user is unreadable: the user may have revoked it.
        meta.user = match (user, handle) {
            (None, _) => None,
            (Some(name), Some(handle)) if name.starts_with('"') => {
                Some(UserRef { name: name.to_owned(), handle })
            }
            _ => return Err(Error::Json),
        };
        if let Some(id) = next {
            let id = HiddenId(unquoted(id).ok_or(Error::Json)?.to_owned());
            meta.next = Some(Next { id, grace });
        }
        Ok(meta)
    }
}

/// Hides the user, who must not be in a log.
impl core::fmt::Debug for UserRef {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("UserRef").finish_non_exhaustive()
    }
}

/// Parses an instant in a record.
pub(crate) fn millis(text: &str) -> Option<UnixMillis> {
    json::whole(text).map(UnixMillis)
}

fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

/// Appends `"name":`, after a comma if it is not the first member.
pub(crate) fn push_name(text: &mut String, name: &str) {
    if !text.ends_with('{') {
        text.push(',');
    }
    text.extend(["\"", name, "\":"]);
}

fn push_text(text: &mut String, name: &str, value: &str) {
    push_name(text, name);
    text.extend(["\"", value, "\""]);
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::{Limits, Record};

    #[test]
    fn a_record_with_an_unreadable_user_is_rejected() {
        let read = |user: &str| {
            let meta = format!(r#"{{"user":{user},"handle":"AAAAAAAAAAAAAAAA"}}"#);
            let text = format!(r#"{{"v":"AAAAAAAAAAAAAAAA","meta":{meta},"data":{{}}}}"#);
            Record::decode(&text, Limits::LOAD).map(|record| record.meta().user.clone())
        };
        let ada = read(r#""ada""#).unwrap().unwrap();
        assert_eq!(ada.name, r#""ada""#);
        assert_eq!(format!("{ada:?}"), "UserRef { .. }");
        for bad in ["5", "null", "{}", "[\"ada\"]"] {
            assert_eq!(read(bad), Err(Error::Json), "{bad}");
        }
    }

    #[test]
    fn all_but_what_a_write_needs_lasts_where_another_library_writes() {
        let none = Meta { created: Some(UnixMillis(1)), ..Meta::default() };
        assert!(none.lasting().is_none());
        let read = |meta: &str| {
            let text = format!(r#"{{"v":"AAAAAAAAAAAAAAAA","meta":{meta},"data":{{}}}}"#);
            Record::decode(&text, Limits::LOAD).unwrap().meta().clone()
        };
        for meta in [
            r#"{"renewed":5}"#,
            r#"{"renewed":5,"log":"AAAAAAAAAAAAAAAA"}"#,
            r#"{"confirmed":5,"user":"ada","handle":"AAAAAAAAAAAAAAAA"}"#,
            r#"{"idle":5}"#,
            r#"{"absolute":5}"#,
            r#"{"user":"ada","handle":"AAAAAAAAAAAAAAAA"}"#,
            r#"{"cookie":{"maxAge":5}}"#,
            r#"{"slots":{"a":{"until":5,"value":1}}}"#,
            r#"{"version":5}"#,
        ] {
            let meta = read(meta);
            let lasting = meta.lasting();
            assert_eq!(lasting.as_ref(), Some(&meta));
        }
    }
}
