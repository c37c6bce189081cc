//! A stored record of a session: its parts, and the metadata of the library in it.

mod format;
mod meta;
mod parts;
mod slots;

use alloc::{
    borrow::{Cow, ToOwned as _},
    string::String,
    sync::Arc,
};
use core::{fmt, ops::Range};

use crate::{
    Error, SessionId, UnixMillis, WriteId, json,
    protocol::{Fault, seeded},
};

pub use format::Format;
pub use meta::{HiddenId, Meta, Next, UserRef};
pub(crate) use meta::{millis, push_name};
use parts::{Parts, check_whole, text_at};
pub(crate) use parts::{check_size, push_members, unreadable, write_id_of};
pub use slots::Slots;

/// The record of a session in a store.
///
/// It is JSON in one of two formats:
///
/// - [`Format::SvelteKitSessions`], readable by svelte-kit-sessions and its stores:
///   `{"v":"<write id>","cookie":{…},"data":{…},"meta":{"created":ms,…}}`. `v` and `meta` are absent
///   in records of svelte-kit-sessions.
/// - [`Format::ExpressSession`], readable by express-session and its stores: the data lies flat beside
///   `"cookie":{"v":…,"meta":{…},"originalMaxAge":ms,"expires":…,…}`, whose `originalMaxAge` identifies the format.
///   express-session drops `v` and `meta` when it writes, so metadata that must survive (owner, deadlines, cookie
///   attributes) is also stored as `"vestiary":{…}` beside the data.
///
/// `v` comes first and has a fixed width. Data stays text; text that was decoded here is safe to parse. A clone shares
/// the text.
///
/// ```
/// # use vestiary::{Format, Limits, Record};
/// let seed = r#"{"cookie":{"path":"/"},"data":{"userId":"7"}}"#;
/// let record = Record::decode(seed, Limits::LOAD)?;
/// assert_eq!(record.data(), r#"{"userId":"7"}"#);
/// assert_eq!(record.write_id(), None);
///
/// let express = r#"{"cookie":{"originalMaxAge":null,"path":"/"},"userId":"7"}"#;
/// let record = Record::decode(express, Limits::LOAD)?;
/// assert_eq!(record.data(), r#"{"userId":"7"}"#);
/// assert_eq!(record.format(), Format::ExpressSession);
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Clone)]
pub struct Record(Arc<Kept>);

/// The contents of a record.
struct Kept {
    format: Format,
    write_id: Option<WriteId>,
    meta: Meta,
    /// The text of the record; cookie and data are ranges of it.
    text: String,
    /// `None` for an empty object that is not in the text.
    cookie: Option<Range<usize>>,
    data: Range<usize>,
    /// Whether the text is the stored one.
    is_encoded: bool,
    /// The text that was read, if `text` does not parse to this record.
    source: Option<String>,
}

/// The destination of a record: [`Record::lead`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lead {
    /// It is the session's own record.
    Here,
    /// It is a tombstone, and the session has this ID now.
    To(SessionId),
    /// It is a tombstone that leads this follower nowhere.
    Nowhere,
}

/// Who follows a tombstone to a session's new ID.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Follower {
    /// A request with the old ID in its cookie, at this time: only until the end of the grace period.
    Cookie(UnixMillis),
    /// A request that read the session before it was renewed: as long as the tombstone exists. The grace period limits
    /// cookies, not requests that were admitted.
    Admitted,
}

/// The result of [`Record::inspect`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Inspection<'t> {
    /// The format of the record.
    pub format: Format,
    /// The library's own metadata.
    pub meta: Meta,
    /// The session data in the text; `None` in [`Format::ExpressSession`], where it is not a separate object.
    pub data: Option<&'t str>,
}

/// The maximum size and depth of session data.
///
/// Only the application's data counts, so the library's own metadata never makes a stored session too large.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The maximum size in bytes of JSON. The whole record may be 64 KiB larger.
    pub bytes: usize,
    /// The maximum number of nested levels, including the data itself.
    pub depth: usize,
}

impl Limits {
    /// The limits for reading, which accept larger records that were stored before.
    pub const LOAD: Self = Self { bytes: 1 << 20, depth: 32 };

    /// The limits for writing: 64 KiB.
    pub const SAVE: Self = Self { bytes: 64 << 10, depth: 32 };

    /// The maximum size of a record without its data.
    const BESIDE: usize = 64 << 10;
}

impl Record {
    /// Creates a record to write. `cookie` and `data` are texts of JSON objects.
    /// [`Options::record_cookie`](crate::Options::record_cookie) makes the cookie of an [`Format::ExpressSession`] record.
    ///
    /// # Errors
    /// [`Error`] if the data cannot be stored.
    pub fn new(
        format: Format,
        write_id: WriteId,
        cookie: &str,
        data: &str,
        meta: Meta,
        limits: Limits,
    ) -> Result<Self, Error> {
        check_object(cookie, false, limits)?;
        check_object(data, format == Format::ExpressSession, limits)?;
        Ok(Self::of(format, Some(write_id), cookie, data, meta))
    }

    /// Creates a record of parts that were checked.
    fn of(format: Format, write_id: Option<WriteId>, cookie: &str, data: &str, meta: Meta) -> Self {
        let mut text = String::with_capacity(ROOM + cookie.len() + data.len());
        let is_encoded = format == Format::SvelteKitSessions;
        if is_encoded {
            text.push('{');
            push_write_id(&mut text, write_id.as_ref());
            text.push_str("\"cookie\":");
        }
        let cookie = Some(push_placed(&mut text, cookie));
        if is_encoded {
            text.push_str(",\"data\":");
        }
        let data = push_placed(&mut text, data);
        if is_encoded {
            text.push_str(",\"meta\":");
            meta.push(&mut text);
            text.push('}');
        }
        let source = None;
        Self(Arc::new(Kept { format, write_id, meta, text, cookie, data, is_encoded, source }))
    }

    /// Reads a record of a store. It ignores unknown members.
    ///
    /// # Errors
    /// [`Error`] if the text is not a record, is too large or too deep, or has a forbidden key. The request then has no
    /// session.
    pub fn decode(text: &str, limits: Limits) -> Result<Self, Error> {
        Self::decode_owned(text.to_owned(), limits)
    }

    /// Reads a record as [`Record::decode`] does, and keeps the text. It copies nothing of it if the data is an object of
    /// its own in the text.
    ///
    /// # Errors
    /// Those of [`Record::decode`].
    pub fn decode_owned(text: String, limits: Limits) -> Result<Self, Error> {
        let parts = Parts::of(&text, limits)?;
        let (write_id, meta) = (write_id_of(&text).and_then(WriteId::parse), parts.meta()?);
        if parts.format == Format::ExpressSession {
            let mut data = String::from("{");
            push_members(&mut data, &text, &RESERVED.map(str::as_bytes), limits)?;
            data.push('}');
            let mut read = Self::of(parts.format, write_id, parts.cookie(), &data, meta);
            if let Some(kept) = Arc::get_mut(&mut read.0) {
                kept.source = Some(text);
            }
            return Ok(read);
        }
        let Parts { format, cookie, data, .. } = parts;
        let (is_encoded, source) = (false, None);
        Ok(Self(Arc::new(Kept { format, write_id, meta, text, cookie, data, is_encoded, source })))
    }

    /// Reads a record as [`Record::decode`] does, without copying the data.
    ///
    /// # Errors
    /// Those of [`Record::decode`].
    pub fn inspect(text: &str, limits: Limits) -> Result<Inspection<'_>, Error> {
        let parts = Parts::of(text, limits)?;
        Ok(Inspection {
            format: parts.format,
            meta: parts.meta()?,
            data: (parts.format == Format::SvelteKitSessions).then_some(parts.data()),
        })
    }

    /// The write ID at the head of a record's text, where a store finds it without parsing. A write ID elsewhere in the text
    /// does not count, because no store would find it.
    ///
    /// ```
    /// # use vestiary::Record;
    /// assert_eq!(Record::write_id_of(r#"{"v":"AAAAAAAAAAAAAAAA","data":{}}"#), Some("AAAAAAAAAAAAAAAA"));
    /// assert_eq!(Record::write_id_of(r#"{"data":{},"v":"AAAAAAAAAAAAAAAA"}"#), None);
    /// ```
    #[must_use]
    pub fn write_id_of(text: &str) -> Option<&str> {
        write_id_of(text)
    }

    /// The text to store.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the record would be too large to read.
    pub fn encode(&self, limits: Limits) -> Result<String, Error> {
        self.encoded(limits).map(Cow::into_owned)
    }

    /// The text to store, without a copy if the record has it already.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the record would be too large to read.
    pub fn encoded(&self, limits: Limits) -> Result<Cow<'_, str>, Error> {
        let Kept { format, write_id, meta, text, is_encoded, .. } = &*self.0;
        if *is_encoded {
            check_whole(text.len(), limits)?;
            return Ok(text.as_str().into());
        }
        if *format == Format::SvelteKitSessions {
            let (cookie, data) = (self.cookie(), self.data());
            let again =
                Self::of(Format::SvelteKitSessions, write_id.clone(), cookie, data, meta.clone());
            return again.encode(limits).map(Cow::Owned);
        }
        let mut text = String::with_capacity(ROOM + self.0.text.len());
        text.push_str("{\"cookie\":{");
        push_write_id(&mut text, write_id.as_ref());
        text.push_str("\"meta\":");
        meta.push(&mut text);
        // The cookie that was read has the write ID and the metadata of the previous write.
        push_members(&mut text, self.cookie(), &[b"v", b"meta"], limits)?;
        text.push('}');
        if let Some(lasting) = meta.lasting() {
            text.push_str(",\"vestiary\":");
            lasting.push(&mut text);
        }
        push_members(&mut text, self.data(), &[], limits)?;
        text.push('}');
        check_whole(text.len(), limits)?;
        Ok(text.into())
    }

    /// Whether `stored` is the text that the record was read from, or the text to store.
    #[must_use]
    pub fn is_of(&self, stored: &str) -> bool {
        match &*self.0 {
            Kept { source: Some(text), .. } => text == stored,
            Kept { format, text, .. } => *format == Format::SvelteKitSessions && text == stored,
        }
    }

    /// A text that decodes to this record, without a copy if it is the one that was read.
    ///
    /// # Errors
    /// As [`Record::encoded`].
    pub fn source(&self, limits: Limits) -> Result<Cow<'_, str>, Error> {
        match &*self.0 {
            Kept { source: Some(text), .. }
            | Kept { format: Format::SvelteKitSessions, text, .. } => Ok(text.as_str().into()),
            _ => self.encoded(limits),
        }
    }

    /// The format in which the record was read, or is to be written.
    #[must_use]
    pub fn format(&self) -> Format {
        self.0.format
    }

    /// The session data: text of a JSON object.
    #[must_use]
    pub fn data(&self) -> &str {
        self.0.text.get(self.0.data.clone()).unwrap_or_default()
    }

    /// The library's own metadata of the session.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.0.meta
    }

    /// Whether the record comes from this write, or remembers it as an earlier one.
    #[must_use]
    pub fn has_write(&self, id: &WriteId) -> bool {
        self.write_id() == Some(id) || self.meta().writes.contains(id)
    }

    /// Creates the record that replaces this one, with other data and other metadata of the same session.
    ///
    /// Unchanged data is always within the limits, even if they have become stricter. So a session that could be read can
    /// be written, as long as the application changes nothing in it.
    ///
    /// # Errors
    /// Those of [`Record::new`].
    pub fn rewritten(
        &self,
        format: Format,
        write_id: WriteId,
        cookie: &str,
        data: &str,
        meta: Meta,
        limits: Limits,
    ) -> Result<Self, Error> {
        let mut writes = self.meta().writes.clone();
        if let Some(last) = self.write_id() {
            writes.insert(0, last.clone());
        }
        writes.truncate(Meta::WRITES);
        let meta = Meta { writes, ..meta };
        if data != self.data() || seeded(Fault::RewriteChecks) {
            if cookie != self.cookie() {
                check_object(cookie, false, limits)?;
            }
            check_object(data, format == Format::ExpressSession, limits)?;
            return Ok(Self::of(format, Some(write_id), cookie, data, meta));
        }
        if format == self.format() {
            return Ok(Self::of(format, Some(write_id), cookie, data, meta));
        }
        // The other format reserves other keys, and counts the levels from another object.
        let loads = Self::new(
            format,
            write_id.clone(),
            cookie,
            data,
            meta.clone(),
            Limits { bytes: usize::MAX, ..Limits::LOAD },
        );
        loads.or_else(|_| Ok(Self::of(self.format(), Some(write_id), self.cookie(), data, meta)))
    }

    /// Creates the tombstone that replaces this record under the ID `old`, when its session gets the ID `new`. With `grace`,
    /// it leads to the new ID until then.
    ///
    /// # Errors
    /// Those of [`Record::new`].
    pub fn tombstone(
        &self,
        write_id: WriteId,
        old: &SessionId,
        new: &SessionId,
        grace: Option<UnixMillis>,
    ) -> Result<Self, Error> {
        self.tombstone_of(None, write_id, old, new, grace)
    }

    /// [`Record::tombstone`] that names the user of the session, and so the entry in the user's session list.
    pub(crate) fn tombstone_of(
        &self,
        user: Option<UserRef>,
        write_id: WriteId,
        old: &SessionId,
        new: &SessionId,
        grace: Option<UnixMillis>,
    ) -> Result<Self, Error> {
        let next = Some(Next { id: HiddenId::new(new, old, &write_id), grace });
        // So the session whose ID is used again after a renewal is known without another read.
        let log = grace.filter(|_| user.is_none()).map(|_| self.meta().log_id(old));
        let meta = Meta { log, user, next, ..Meta::default() };
        self.rewritten(self.format(), write_id, self.cookie(), "{}", meta, Limits::LOAD)
    }

    /// The pointer of a tombstone that was found under the ID `old`: the session's new ID, and the end of the grace period.
    /// `None` if the record is not a tombstone.
    ///
    /// # Errors
    /// [`Error::Json`] if `old` does not reveal the new ID.
    pub fn next(&self, old: &SessionId) -> Result<Option<(SessionId, Option<UnixMillis>)>, Error> {
        let Some(Next { id, grace }) = &self.meta().next else { return Ok(None) };
        let id = self.write_id().and_then(|write_id| id.reveal(old, write_id));
        Ok(Some((id.ok_or(Error::Json)?, *grace)))
    }

    /// The destination to which this record, which was found under the ID `old`, leads `follower`. This is the only rule
    /// about following tombstones.
    ///
    /// # Errors
    /// [`Error::Json`] if `old` does not reveal the new ID.
    pub fn lead(&self, old: &SessionId, follower: Follower) -> Result<Lead, Error> {
        let Some((next, grace)) = self.next(old)? else { return Ok(Lead::Here) };
        let follows = match (grace, follower) {
            // After a login the old ID is worthless, because an attacker may have planted it.
            (None, _) => false,
            (Some(grace), Follower::Cookie(now)) => now < grace,
            (Some(_), Follower::Admitted) => true,
        };
        Ok(if follows { Lead::To(next) } else { Lead::Nowhere })
    }

    /// The `cookie` of the record: text of a JSON object.
    #[must_use]
    pub fn cookie(&self) -> &str {
        text_at(&self.0.text, self.0.cookie.as_ref())
    }

    /// The write ID of the record; `None` in records of svelte-kit-sessions.
    #[must_use]
    pub fn write_id(&self) -> Option<&WriteId> {
        self.0.write_id.as_ref()
    }
}

impl Eq for Record {}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        let parts = |record: &Self| (record.format(), record.0.write_id.clone());
        parts(self) == parts(other)
            && self.meta() == other.meta()
            && (self.cookie(), self.data()) == (other.cookie(), other.data())
    }
}

/// Hides the session data, which is the application's secret.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("write_id", &self.0.write_id)
            .field("meta", &self.0.meta)
            .field("bytes", &self.data().len())
            .finish_non_exhaustive()
    }
}

/// The usual number of bytes in a record beside cookie and data.
const ROOM: usize = 256;

/// Checks an object that is to be written. A `flat` one has its members beside the library's own.
fn check_object(object: &str, flat: bool, limits: Limits) -> Result<(), Error> {
    check_size(object.len(), limits)?;
    // The object is a level itself.
    let depth = limits.depth.saturating_sub(1);
    json::members(object, depth, limits.depth, &mut |key, _| {
        // In a flat object, these keys would replace the library's own.
        match RESERVED.into_iter().find(|name| name.as_bytes() == key) {
            Some(key) if flat => Err(Error::ForbiddenKey { key }),
            _ => Ok(()),
        }
    })
}

fn push_write_id(text: &mut String, id: Option<&WriteId>) {
    if let Some(id) = id {
        text.extend(["\"v\":\"", id.as_str(), "\","]);
    }
}

/// Appends a part, and returns its place.
fn push_placed(text: &mut String, part: &str) -> Range<usize> {
    let start = text.len();
    text.push_str(part);
    start..text.len()
}

/// The library's names beside the data in a record of the express-session format.
const RESERVED: [&str; 2] = ["cookie", "vestiary"];

#[cfg(test)]
mod tests;
