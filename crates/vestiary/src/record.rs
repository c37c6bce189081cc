use std::{cell::Cell, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{Error, UnixMillis, WriteId};

/// What a store keeps under a session's key.
///
/// As JSON, readable by svelte-kit-sessions and its stores:
/// `{"v":"<write id>","cookie":{…},"data":{…},"meta":{"created":ms}}`. `v` comes first and has a
/// fixed width; `v` and `meta` are absent in records that the seed wrote. Data is kept as text:
/// whoever wants values parses them, and text that was decoded here is safe to parse.
///
/// ```
/// # use vestiary::{Limits, Record};
/// let seed = r#"{"cookie":{"path":"/"},"data":{"userId":"7"}}"#;
/// let record = Record::decode(seed, Limits::LOAD)?;
/// assert_eq!(record.data(), r#"{"userId":"7"}"#);
/// assert_eq!(record.write_id(), None);
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Record {
    write_id: Option<WriteId>,
    cookie: Box<RawValue>,
    data: Box<RawValue>,
    meta: Meta,
}

/// What the library itself knows of a session. It lives outside `data`, so that no key of the
/// application can touch it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Meta {
    /// When the session was created, in milliseconds since the epoch; `None` in the seed's records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
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

impl Record {
    /// A record to be written. `cookie` and `data` are JSON objects.
    ///
    /// # Errors
    /// [`Error`] says what about the data cannot be stored.
    pub fn new(
        write_id: WriteId,
        cookie: &str,
        data: &str,
        meta: Meta,
        limits: Limits,
    ) -> Result<Self, Error> {
        let cookie = RawValue::from_string(cookie.to_owned()).map_err(|_| Error::Json)?;
        let data = RawValue::from_string(data.to_owned()).map_err(|_| Error::Json)?;
        inspect(&data, limits.depth)?;
        Ok(Self { write_id: Some(write_id), cookie, data, meta })
    }

    /// Reads a record out of a store.
    ///
    /// # Errors
    /// [`Error`] if it is no record, too large, too deep or has a forbidden key. To a request that
    /// means "no session".
    pub fn decode(text: &str, limits: Limits) -> Result<Self, Error> {
        check_size(text.len(), limits)?;
        let stored: Stored = serde_json::from_str(text).map_err(|_| Error::Json)?;
        inspect(&stored.data, limits.depth)?;
        Ok(Self {
            write_id: stored.v.as_deref().and_then(WriteId::parse),
            cookie: stored.cookie.unwrap_or_else(|| RawValue::NULL.to_owned()),
            data: stored.data,
            meta: stored.meta,
        })
    }

    /// The text that a store keeps.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if it has more than `limits.bytes`.
    pub fn encode(&self, limits: Limits) -> Result<String, Error> {
        let mut text = String::with_capacity(96 + self.cookie.get().len() + self.data.get().len());
        text.push('{');
        if let Some(id) = &self.write_id {
            text.push_str("\"v\":\"");
            text.push_str(id.as_str());
            text.push_str("\",");
        }
        text.push_str("\"cookie\":");
        text.push_str(self.cookie.get());
        text.push_str(",\"data\":");
        text.push_str(self.data.get());
        text.push_str(",\"meta\":");
        text.push_str(&serde_json::to_string(&self.meta).map_err(|_| Error::Json)?);
        text.push('}');
        check_size(text.len(), limits)?;
        Ok(text)
    }

    /// The session data: text of a JSON object.
    #[must_use]
    pub fn data(&self) -> &str {
        self.data.get()
    }

    /// What the library knows of the session.
    #[must_use]
    pub fn meta(&self) -> Meta {
        self.meta
    }

    /// The mark of the write that made this record; `None` in the seed's records.
    #[must_use]
    pub fn write_id(&self) -> Option<&WriteId> {
        self.write_id.as_ref()
    }

    /// When the session was created, if the record says so.
    #[must_use]
    pub fn created(&self) -> Option<UnixMillis> {
        self.meta.created.map(UnixMillis)
    }
}

#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    v: Option<String>,
    #[serde(default)]
    cookie: Option<Box<RawValue>>,
    data: Box<RawValue>,
    #[serde(default)]
    meta: Meta,
}

fn check_size(size: usize, limits: Limits) -> Result<(), Error> {
    if size <= limits.bytes { Ok(()) } else { Err(Error::TooLarge { size, limit: limits.bytes }) }
}

fn inspect(data: &RawValue, depth: usize) -> Result<(), Error> {
    if !data.get().starts_with('{') {
        return Err(Error::DataNotObject);
    }
    let fault = Cell::new(None);
    let mut json = serde_json::Deserializer::from_str(data.get());
    let walked = Inspect { left: depth, limit: depth, fault: &fault }.deserialize(&mut json);
    walked.map_err(|_| fault.take().unwrap_or(Error::Json))
}

/// Walks a JSON value without building it, and stops at what must not be stored.
#[derive(Clone, Copy)]
struct Inspect<'f> {
    left: usize,
    limit: usize,
    fault: &'f Cell<Option<Error>>,
}

impl Inspect<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.left.checked_sub(1) {
            Some(left) => Ok(Self { left, ..self }),
            None => Err(self.stop(Error::TooDeep { limit: self.limit })),
        }
    }

    fn stop<E: serde::de::Error>(self, fault: Error) -> E {
        self.fault.set(Some(fault));
        E::custom("")
    }
}

impl<'de> DeserializeSeed<'de> for Inspect<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inspect<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while let Some(forbidden) = map.next_key_seed(Key)? {
            if let Some(key) = forbidden {
                return Err(self.stop(Error::ForbiddenKey { key }));
            }
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// A key, unescaped: `"__pr\u006fto__"` is `__proto__` too.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(["__proto__", "constructor", "prototype"].into_iter().find(|bad| *bad == key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_id() -> WriteId {
        WriteId::from_entropy(&[0; 12])
    }

    fn data(data: &str) -> Result<(), Error> {
        Record::new(write_id(), "{}", data, Meta::default(), Limits::SAVE).map(drop)
    }

    #[test]
    fn what_is_written_starts_with_the_write_id() {
        let meta = Meta { created: Some(1_700_000_000_000) };
        let record =
            Record::new(write_id(), r#"{"path":"/"}"#, r#"{"a":1}"#, meta, Limits::SAVE).unwrap();
        let text = record.encode(Limits::SAVE).unwrap();
        assert_eq!(
            text,
            r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{"path":"/"},"data":{"a":1},"meta":{"created":1700000000000}}"#
        );
        let again = Record::decode(&text, Limits::LOAD).unwrap();
        assert_eq!(again.write_id(), Some(&write_id()));
        assert_eq!(again.data(), r#"{"a":1}"#);
        assert_eq!(again.created(), Some(UnixMillis(1_700_000_000_000)));
    }

    #[test]
    fn keys_that_become_prototypes_are_refused_both_ways() {
        for key in ["__proto__", "constructor", "prototype"] {
            for bad in [
                format!(r#"{{"{key}":1}}"#),
                format!(r#"{{"a":[{{"{key}":1}}]}}"#),
                format!(r#"{{"\u{:04x}{}":1}}"#, key.as_bytes()[0], key.split_at(1).1),
            ] {
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
        assert_eq!(data(&nested(32)), Ok(()));
        assert_eq!(data(&nested(33)), Err(Error::TooDeep { limit: 32 }));
        let stored = format!(r#"{{"data":{}}}"#, nested(33));
        assert_eq!(Record::decode(&stored, Limits::LOAD).err(), Some(Error::TooDeep { limit: 32 }));
        // Far beyond any stack.
        assert!(data(&nested(1_000_000)).is_err());
    }

    #[test]
    fn size_is_bounded() {
        let record = |n: usize| {
            Record::new(
                write_id(),
                "{}",
                &format!(r#"{{"a":"{}"}}"#, "x".repeat(n)),
                Meta::default(),
                Limits::SAVE,
            )
            .unwrap()
            .encode(Limits::SAVE)
        };
        assert!(record(60_000).is_ok());
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
            "\u{0}",
        ] {
            assert!(Record::decode(bad, Limits::LOAD).is_err(), "{bad:?}");
        }
        for bad in ["1", "null", "[]", "\"{}\"", "{\"a\":NaN}", "{\"a\":\"\\ud800\"}", "{a:1}"] {
            assert!(data(bad).is_err(), "{bad:?}");
        }
    }
}
