use alloc::{borrow::ToOwned as _, string::String, vec::Vec};
use core::fmt;

use crate::{Error, Format, SessionId, UnixMillis, WriteId, date, json};

/// What a store keeps under a session's key.
///
/// As JSON, in one of two shapes, which are told apart by what they are:
///
/// - [`Format::Seed`], readable by svelte-kit-sessions and its stores:
///   `{"v":"<write id>","cookie":{…},"data":{…},"meta":{"created":ms}}`. `v` and `meta` are absent
///   in records that the seed wrote.
/// - [`Format::Express`], readable by express-session and its stores: the data lies flat beside
///   `"cookie":{"v":…,"meta":{…},"originalMaxAge":ms,"expires":…,…}`, whose `originalMaxAge` gives
///   the shape away. express-session drops `v` and `meta` when it writes.
///
/// `v` comes first and has a fixed width. Data is kept as text: whoever wants values parses them,
/// and text that was decoded here is safe to parse.
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
/// assert_eq!(record.format(), Format::Express);
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Record {
    format: Format,
    write_id: Option<WriteId>,
    cookie: String,
    data: String,
    meta: Meta,
}

/// What the library itself knows of a session. It lives outside `data`, so that no key of the
/// application can touch it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Meta {
    /// When the session was created; `None` in the seed's records.
    pub created: Option<UnixMillis>,
    /// The writes before this one, newest first, at most [`Meta::WRITES`]: a writer that never
    /// learnt whether its write arrived finds it here.
    pub writes: Vec<WriteId>,
    /// The session has another ID now; this record only says so.
    pub next: Option<Next>,
}

/// Where a session went that changed its ID.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Next {
    /// Its new ID.
    pub id: SessionId,
    /// Until when the old ID still leads to it: after a renewal, for requests that were under way.
    /// `None` after a login: the old ID is nobody's.
    pub grace: Option<UnixMillis>,
}

/// How large and how deep a record may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of the whole record.
    pub bytes: usize,
    /// Levels of nesting in the data; the data itself is the first.
    pub depth: usize,
}

impl Limits {
    /// For a record that is read: wider in bytes, so that what is already in a store loads.
    pub const LOAD: Self = Self { bytes: 1 << 20, depth: 32 };

    /// For a record that is written: 64 KiB.
    pub const SAVE: Self = Self { bytes: 64 << 10, depth: 32 };
}

impl Meta {
    /// As many writers may write one session at once without mistaking what became of a write.
    pub const WRITES: usize = 8;

    /// Metadata of a session created at `created`.
    #[must_use]
    pub fn created(created: UnixMillis) -> Self {
        Self { created: Some(created), ..Self::default() }
    }
}

impl Record {
    /// A record to be written. `cookie` and `data` are texts of JSON objects; the cookie of an
    /// [`Format::Express`] record is made by [`Options::record_cookie`](crate::Options::record_cookie).
    ///
    /// # Errors
    /// [`Error`] says what about the data cannot be stored.
    pub fn new(
        format: Format,
        write_id: WriteId,
        cookie: &str,
        data: &str,
        meta: Meta,
        limits: Limits,
    ) -> Result<Self, Error> {
        for object in [cookie, data] {
            check_size(object.len(), limits)?;
            // The object is a level itself.
            let depth = limits.depth.saturating_sub(1);
            json::members(object, depth, limits.depth, &mut |key, _| {
                // Flat, this key would be taken for the cookie.
                match (format, key) {
                    (Format::Express, b"cookie") => Err(Error::ForbiddenKey { key: "cookie" }),
                    _ => Ok(()),
                }
            })?;
        }
        Ok(Self {
            format,
            write_id: Some(write_id),
            cookie: cookie.to_owned(),
            data: data.to_owned(),
            meta,
        })
    }

    /// Reads a record out of a store. What it does not know in there it leaves alone.
    ///
    /// # Errors
    /// [`Error`] if it is no record, too large, too deep or has a forbidden key. To a request that
    /// means "no session".
    pub fn decode(text: &str, limits: Limits) -> Result<Self, Error> {
        let parts = Parts::of(text, limits)?;
        let data = match parts.format {
            Format::Seed => parts.data.to_owned(),
            Format::Express => {
                let mut data = String::from("{");
                push_members(&mut data, text, b"cookie", limits)?;
                data.push('}');
                data
            }
        };
        let write_id = |v: &str| WriteId::parse(v.strip_prefix('"')?.strip_suffix('"')?);
        Ok(Self {
            format: parts.format,
            write_id: parts.write_id.and_then(write_id),
            cookie: parts.cookie.to_owned(),
            data,
            meta: parts.meta.map(meta_of).transpose()?.unwrap_or_default(),
        })
    }

    /// The shape of a record, if [`Record::decode`] can read it.
    ///
    /// # Errors
    /// Those of [`Record::decode`].
    pub fn check(text: &str, limits: Limits) -> Result<Format, Error> {
        Ok(Parts::of(text, limits)?.format)
    }

    /// The text that a store keeps.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if it has more than `limits.bytes`.
    pub fn encode(&self, limits: Limits) -> Result<String, Error> {
        let mut text = String::with_capacity(96 + self.cookie.len() + self.data.len());
        match self.format {
            Format::Seed => {
                text.push('{');
                self.push_write_id(&mut text);
                text.extend(["\"cookie\":", &self.cookie, ",\"data\":", &self.data, ","]);
                self.push_meta(&mut text);
            }
            Format::Express => {
                text.push_str("{\"cookie\":{");
                self.push_write_id(&mut text);
                self.push_meta(&mut text);
                push_members(&mut text, &self.cookie, b"", limits)?;
                text.push('}');
                push_members(&mut text, &self.data, b"", limits)?;
            }
        }
        text.push('}');
        check_size(text.len(), limits)?;
        Ok(text)
    }

    fn push_write_id(&self, text: &mut String) {
        if let Some(id) = &self.write_id {
            text.extend(["\"v\":\"", id.as_str(), "\","]);
        }
    }

    fn push_meta(&self, text: &mut String) {
        text.push_str("\"meta\":{");
        if let Some(UnixMillis(created)) = self.meta.created {
            text.push_str("\"created\":");
            date::push_number(text, created, 1);
        }
        let mut before =
            if self.meta.created.is_some() { ",\"writes\":[\"" } else { "\"writes\":[\"" };
        for write in &self.meta.writes {
            text.extend([before, write.as_str()]);
            before = "\",\"";
        }
        if !self.meta.writes.is_empty() {
            text.push_str("\"]");
        }
        if let Some(Next { id, grace }) = &self.meta.next {
            if !text.ends_with('{') {
                text.push(',');
            }
            text.extend(["\"next\":\"", id.expose(), "\""]);
            if let Some(UnixMillis(grace)) = *grace {
                text.push_str(",\"grace\":");
                date::push_number(text, grace, 1);
            }
        }
        text.push('}');
    }

    /// The shape that it was read in, or is written in.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The session data: text of a JSON object.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// What the library knows of the session.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Whether this write made the record, or one of those before it.
    #[must_use]
    pub fn has_write(&self, id: &WriteId) -> bool {
        self.write_id.as_ref() == Some(id) || self.meta.writes.contains(id)
    }

    /// The record that is to take the place of this one: other data, the same session.
    ///
    /// # Errors
    /// Those of [`Record::new`].
    pub fn rewritten(
        &self,
        write_id: WriteId,
        cookie: &str,
        data: &str,
        limits: Limits,
    ) -> Result<Self, Error> {
        let earlier = self.write_id.iter().chain(&self.meta.writes).take(Meta::WRITES).cloned();
        let meta = Meta { writes: earlier.collect(), ..self.meta.clone() };
        Self::new(self.format, write_id, cookie, data, meta, limits)
    }

    /// The record that is to take the place of this one when its session gets another ID.
    ///
    /// # Errors
    /// Those of [`Record::new`].
    pub fn retired(&self, write_id: WriteId, next: Next) -> Result<Self, Error> {
        let record = self.rewritten(write_id, &self.cookie, "{}", Limits::LOAD)?;
        Ok(Self { meta: Meta { next: Some(next), ..record.meta }, ..record })
    }

    /// The `cookie` of the record: text of a JSON object.
    #[must_use]
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// The mark of the write that made this record; `None` in the seed's records.
    #[must_use]
    pub fn write_id(&self) -> Option<&WriteId> {
        self.write_id.as_ref()
    }
}

/// Session data is the application's secret, so it is not shown.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("write_id", &self.write_id)
            .field("meta", &self.meta)
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

fn check_size(size: usize, limits: Limits) -> Result<(), Error> {
    if size <= limits.bytes { Ok(()) } else { Err(Error::TooLarge { size, limit: limits.bytes }) }
}

/// What a stored record has, as text.
struct Parts<'t> {
    format: Format,
    write_id: Option<&'t str>,
    cookie: &'t str,
    /// An object; without meaning in [`Format::Express`].
    data: &'t str,
    meta: Option<&'t str>,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str, limits: Limits) -> Result<Self, Error> {
        check_size(text.len(), limits)?;
        let [write_id, meta, cookie, data] =
            find(text, [b"v", b"meta", b"cookie", b"data"], limits)?;
        let cookie = cookie.unwrap_or("{}");
        if let Ok([write_id, meta, Some(_), _]) =
            find(cookie, [b"v", b"meta", b"originalMaxAge", b"data"], limits)
        {
            return Ok(Self { format: Format::Express, write_id, cookie, data: "", meta });
        }
        let data = data.filter(|data| data.starts_with('{')).ok_or(Error::DataNotObject)?;
        Ok(Self { format: Format::Seed, write_id, cookie, data, meta })
    }
}

/// The values of four members of an object.
fn find<'t>(
    object: &'t str,
    names: [&[u8]; 4],
    Limits { depth, .. }: Limits,
) -> Result<[Option<&'t str>; 4], Error> {
    let mut found = [None; 4];
    json::members(object, depth, depth, &mut |key, place| {
        let at = names.iter().position(|name| *name == key);
        let Some(value) = at.and_then(|at| found.get_mut(at)) else { return Ok(()) };
        // Two of one name: readers would disagree which one counts.
        match value.replace(object.get(place).unwrap_or_default()) {
            Some(_) => Err(Error::Json),
            None => Ok(()),
        }
    })?;
    Ok(found)
}

/// Appends the members of an object but one, a comma before each that is not the first.
pub(crate) fn push_members(
    text: &mut String,
    object: &str,
    without: &[u8],
    Limits { depth, .. }: Limits,
) -> Result<(), Error> {
    let mut end = 0;
    json::members(object, depth, depth, &mut |key, place| {
        let before = object.as_bytes().get(end..).unwrap_or_default();
        let quote = end + before.iter().take_while(|byte| **byte != b'"').count();
        end = place.end;
        if key != without {
            if !text.ends_with('{') {
                text.push(',');
            }
            text.push_str(object.get(quote..end).unwrap_or_default());
        }
        Ok(())
    })
}

/// Metadata that cannot be understood is unknown; the session is still good. But one that was
/// retired stays retired: what `next` says is part of whether the record is a session at all.
fn meta_of(text: &str) -> Result<Meta, Error> {
    let Ok([created, writes, next, grace]) =
        find(text, [b"created", b"writes", b"next", b"grace"], Limits::LOAD)
    else {
        return Ok(Meta::default());
    };
    let millis = |text: Option<&str>| text.and_then(|at| at.parse().ok()).map(UnixMillis);
    let next = next.map(|id| {
        let id = id.strip_prefix('"').and_then(|id| id.strip_suffix('"')).ok_or(Error::Json)?;
        Ok(Next { id: SessionId::parse(id)?, grace: millis(grace) })
    });
    Ok(Meta {
        created: millis(created),
        writes: writes.unwrap_or_default().split('"').filter_map(WriteId::parse).collect(),
        next: next.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    fn write_id() -> WriteId {
        WriteId::from_entropy(&[0; 12])
    }

    fn data(data: &str) -> Result<(), Error> {
        Record::new(Format::Seed, write_id(), "{}", data, Meta::default(), Limits::SAVE).map(drop)
    }

    #[test]
    fn what_is_written_starts_with_the_write_id() {
        let meta = Meta::created(UnixMillis(1_700_000_000_000));
        let record = Record::new(
            Format::Seed,
            write_id(),
            r#"{"path":"/"}"#,
            r#"{"a":1}"#,
            meta,
            Limits::SAVE,
        )
        .unwrap();
        let text = record.encode(Limits::SAVE).unwrap();
        assert_eq!(
            text,
            r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{"path":"/"},"data":{"a":1},"meta":{"created":1700000000000}}"#
        );
        assert_eq!(Record::decode(&text, Limits::LOAD), Ok(record));
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        let odd = r#" { "meta" : {"created":"yesterday","x":[]} , "v": 7, "next": null, "data" : { "a" : 1 } } "#;
        let record = Record::decode(odd, Limits::LOAD).unwrap();
        assert_eq!(
            (record.data(), record.write_id(), record.meta()),
            (r#"{ "a" : 1 }"#, None, &Meta::default())
        );
    }

    #[test]
    fn keys_that_become_prototypes_are_refused_both_ways() {
        for key in ["__proto__", "constructor", "prototype"] {
            let hidden = format!(r#"{{"\u{:04x}{}":1}}"#, key.as_bytes()[0], key.split_at(1).1);
            assert_eq!(data(&hidden), Err(Error::Json), "{hidden}");
            for bad in [format!(r#"{{"{key}":1}}"#), format!(r#"{{"a":[{{"{key}":1}}]}}"#)] {
                assert_eq!(data(&bad), Err(Error::ForbiddenKey { key }), "{bad}");
                let stored = format!(r#"{{"cookie":{{}},"data":{bad}}}"#);
                assert_eq!(
                    Record::decode(&stored, Limits::LOAD).err(),
                    Some(Error::ForbiddenKey { key })
                );
            }
        }
        assert_eq!(data(r#"{"a":"__proto__"}"#), Ok(()));
    }

    #[test]
    fn depth_is_bounded_at_the_same_level_both_ways() {
        let nested = |levels: usize| {
            format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1))
        };
        let stored = |levels| format!(r#"{{"data":{}}}"#, nested(levels));
        assert_eq!(data(&nested(32)), Ok(()));
        assert_eq!(data(&nested(33)), Err(Error::TooDeep { limit: 32 }));
        assert!(Record::decode(&stored(32), Limits::LOAD).is_ok());
        assert_eq!(
            Record::decode(&stored(33), Limits::LOAD).err(),
            Some(Error::TooDeep { limit: 32 })
        );
        // Far beyond any stack.
        let limits = Limits { bytes: usize::MAX, depth: 32 };
        assert!(Record::decode(&stored(1_000_000), limits).is_err());
    }

    #[test]
    fn size_is_bounded() {
        let record = |n: usize| {
            let data = format!(r#"{{"a":"{}"}}"#, "x".repeat(n));
            Record::new(Format::Seed, write_id(), "{}", &data, Meta::default(), Limits::SAVE)?
                .encode(Limits::SAVE)
        };
        assert!(record(60_000).is_ok());
        assert!(matches!(record(65_500), Err(Error::TooLarge { limit: 65_536, .. })));
        assert!(matches!(record(70_000), Err(Error::TooLarge { limit: 65_536, .. })));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for bad in [
            "",
            "null",
            "[]",
            "{}",
            "{\"data\":1}",
            "{\"data\":[]}",
            "{\"data\":{}",
            "{\"data\":{}}x",
            "\0",
            "{\"data\":{},\"data\":{}}",
            "{\"data\":{\"a\":01}}",
            "{\"data\":{\"a\":\"\n\"}}",
        ] {
            assert!(Record::decode(bad, Limits::LOAD).is_err(), "{bad:?}");
        }
        for bad in
            ["1", "null", "[]", "\"{}\"", "{\"a\":NaN}", "{a:1}", "{\"a\":1,}", "{\"\\u0041\":1}"]
        {
            assert!(data(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_no_data() {
        let record = Record::decode(r#"{"data":{"card":"4111"}}"#, Limits::LOAD).unwrap();
        assert!(!format!("{record:?}").contains("4111"));
    }
}
