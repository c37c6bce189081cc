use std::{collections::BTreeMap, fmt};

use arbitrary::{Result, Unstructured};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, json, value::RawValue};
use vestiary::{
    Device, Error, Format, Handle, Limits, Meta, Record, SessionId, SessionsPerUser, Ttl,
    UnixMillis, WhenFull, WriteId, merge,
    protocol::{Lifetime, UserChange, UserSessions},
};

use crate::json;

/// Fuzzes the values that a store returns: records, users' session lists, and data that is merged.
pub fn record(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        check_record(text);
        check_sessions(text);
        // Corpus seeds have the three objects on one line each.
        let mut lines = text.splitn(3, '\n');
        if let (Some(base), Some(mine), Some(theirs)) = (lines.next(), lines.next(), lines.next()) {
            check_merge(base, mine, theirs);
        }
    }
    // Too few bytes make no recipe.
    let _ = made(&mut Unstructured::new(data));
}

/// Text that a store may return more often than chance would have it.
fn made(u: &mut Unstructured<'_>) -> Result<()> {
    match u.int_in_range(0..=4)? {
        0 => {
            let mut text = String::new();
            record_text(u, &mut text)?;
            check_record(&text);
        }
        1 => {
            let mut text = String::from("{\"v\":\"AAAAAAAAAAAAAAAA\",\"sessions\":{");
            for n in 0..u.int_in_range(0..=3)? {
                text.push_str(if n > 0 { "," } else { "" });
                text.extend(["\"", u.choose(&["AAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBB", "a"])?]);
                text.push_str("\":");
                if u.ratio(1, 4)? {
                    json::value(u, &mut text, 4)?;
                } else {
                    text.push_str("{\"created\":1,\"seen\":2,\"until\":3,\"label\":");
                    json::value(u, &mut text, 4)?;
                    text.push('}');
                }
            }
            text.push_str("},\"after\":");
            json::value(u, &mut text, 4)?;
            text.push('}');
            check_sessions(&text);
        }
        2 => made_sessions(u)?,
        _ => {
            let mut texts = [const { String::new() }; 3];
            for text in &mut texts {
                json::object(u, text, 3, 0..=6)?;
            }
            let [base, mine, theirs] = &texts;
            check_merge(base, mine, theirs);
        }
    }
    Ok(())
}

/// A list as logins, logouts and uses create it is read back as it was written.
fn made_sessions(u: &mut Unstructured<'_>) -> Result<()> {
    let mut sessions = UserSessions::default();
    for _ in 0..u.int_in_range(1..=12)? {
        let handle = Handle::from_entropy(&[u.int_in_range(0..=5)?; WriteId::ENTROPY]);
        let (now, since) = (UnixMillis(u.arbitrary()?), UnixMillis(u.arbitrary()?));
        let ttl = if u.arbitrary()? { Ttl::Infinite } else { Ttl::Millis(u.arbitrary()?) };
        let change = match u.int_in_range(0..=3)? {
            0 => {
                let label: Option<&str> = u.arbitrary()?;
                let label = label.map(UserSessions::label);
                let (browser, system, address) = (u.arbitrary()?, u.arbitrary()?, u.arbitrary()?);
                let device = Device { browser, system, address }.json();
                let replaces = Handle::from_entropy(&[u.int_in_range(0..=5)?; WriteId::ENTROPY]);
                let replaces = u.arbitrary::<bool>()?.then_some(replaces);
                let when_full = if u.arbitrary()? { WhenFull::Refuse } else { WhenFull::Evict };
                let limit = SessionsPerUser { most: u.int_in_range(0..=4)?, when_full };
                UserChange::Add { handle, replaces, label, device, provider: None, since, limit }
            }
            1 => UserChange::Seen(handle),
            2 => UserChange::Remove(handle),
            _ => UserChange::End { keep: u.arbitrary::<bool>()?.then_some(handle), at: since },
        };
        let lifetime = Lifetime { ttl, absolute: u.arbitrary()? };
        sessions.apply(&change, lifetime, now);
        let write_id = WriteId::from_entropy(&[9; WriteId::ENTROPY]);
        let text = sessions.encode(&write_id);
        let read = UserSessions::decode(&text);
        assert_eq!(read.as_ref().map(UserSessions::sessions), Ok(sessions.sessions()), "{text:?}");
        assert_eq!(read.map(|read| read.ttl(now)), Ok(sessions.ttl(now)), "{text:?}");
        check_sessions(&text);
    }
    Ok(())
}

/// Something like a record, of either format.
fn record_text(u: &mut Unstructured<'_>, text: &mut String) -> Result<()> {
    text.push_str(u.choose(&[
        "{",
        "{\"v\":\"AAAAAAAAAAAAAAAA\",",
        "{\"v\":\"AAAAAAAAAAAAAA\\u0041\",",
        " {\"v\":\"AAAAAAAAAAAAAAAA\",",
    ])?);
    text.push_str(u.choose(&[
        "\"cookie\":{",
        "\"cookie\":{\"originalMaxAge\":null,",
        "\"cookie\":{\"v\":\"BBBBBBBBBBBBBBBB\",\"originalMaxAge\":1,",
    ])?);
    text.push_str("\"meta\":");
    json::object(u, text, 3, 0..=4)?;
    text.push_str("},");
    if u.arbitrary()? {
        text.push_str("\"meta\":");
        json::object(u, text, 3, 0..=4)?;
        text.push(',');
    }
    text.push_str(u.choose(&["\"data\":", "\"a\":", "\"__proto__\":"])?);
    json::object(u, text, 4, 0..=6)?;
    text.push_str(u.choose(&["}", "}", "} ", ",\"data\":{}}", ",\"cookie\":{}}", "}}", "}x"])?);
    Ok(())
}

fn check_record(text: &str) {
    let decoded = Record::decode(text, Limits::LOAD);
    assert_eq!(
        Record::inspect(text, Limits::LOAD).map(|seen| (seen.format, seen.meta)),
        decoded.clone().map(|record| (record.format(), record.meta().clone())),
        "inspected {text:?}"
    );
    let record = match decoded {
        Ok(record) => record,
        Err(error) => {
            assert!(!is_record(text), "{error}: {text:?}");
            return;
        }
    };
    // The record itself, and 32 levels.
    assert!(depth(text) <= 33, "{} levels in {text:?}", depth(text));
    assert_eq!(record.write_id().map(WriteId::as_str), write_id(text), "the write ID of {text:?}");
    if let Some(value) = parsed(text) {
        check_parts(&record, text, value);
    }

    let again = match record.encode(Limits::LOAD) {
        Ok(again) => again,
        // The metadata is written in full, which may be longer.
        Err(Error::TooLarge { .. }) if text.len() > Limits::LOAD.bytes / 2 => return,
        Err(error) => panic!("{error} when {text:?} is encoded"),
    };
    assert!(serde_json::from_str::<IgnoredAny>(&again).is_ok(), "not JSON: {again:?}");
    assert_eq!(
        record.write_id().map(WriteId::as_str),
        write_id(&again),
        "the write ID of {again:?}"
    );
    let read = Record::decode(&again, Limits::LOAD);
    let read = read.unwrap_or_else(|error| panic!("{error}: {again:?}, which was {text:?}"));
    assert_eq!(read.data(), record.data(), "{again:?}, which was {text:?}");
    assert_eq!(read.meta(), record.meta(), "{again:?}, which was {text:?}");
    assert_eq!(read.format(), record.format(), "{again:?}, which was {text:?}");
    assert_eq!(read.write_id(), record.write_id(), "{again:?}, which was {text:?}");
    match record.format() {
        Format::SvelteKitSessions => assert_eq!(read, record, "{again:?}, which was {text:?}"),
        Format::ExpressSession => assert_eq!(
            express_cookie(read.cookie()),
            express_cookie(record.cookie()),
            "{again:?}, which was {text:?}"
        ),
    }
    // A rewritten record is read back, too.
    assert_eq!(read.encode(Limits::LOAD).as_ref(), Ok(&again), "from {text:?}");
    check_tombstone(&record);
}

/// Whether this is certainly a record: it has each required member once, no key that might be forbidden, and no
/// metadata on which its validity depends.
fn is_record(text: &str) -> bool {
    let uncertain = ["\\u00", "__proto__", "constructor", "prototype", "\"user\"", "\"next\""];
    if text.len() > Limits::LOAD.bytes || uncertain.iter().any(|part| text.contains(part)) {
        return false;
    }
    let Ok(value) = serde_json::from_str::<Value>(text) else { return false };
    if !value.is_object() || depth(text) > 33 {
        return false;
    }
    let members = Members::of(text);
    let Some(cookie) = value.get("cookie").filter(|cookie| cookie.is_object()) else {
        return members.distinct().is_some() && value.get("data").is_some_and(Value::is_object);
    };
    let in_cookie = members.last("\"cookie\"").map(Members::of);
    members.distinct().is_some()
        && in_cookie.is_some_and(|members| members.distinct().is_some())
        && (cookie.get("originalMaxAge").is_some()
            || value.get("data").is_some_and(Value::is_object))
}

/// The parts of a record are those that a JSON parser finds.
fn check_parts(record: &Record, text: &str, value: Value) {
    let Value::Object(mut members) = value else { panic!("no object: {text:?}") };
    for name in ["\"v\"", "\"cookie\"", "\"data\"", "\"meta\""] {
        let times = Members::of(text).0.iter().filter(|member| member.0 == name).count();
        assert!(times <= 1, "{times} times {name} in {text:?}");
    }
    let cookie = members.remove("cookie").unwrap_or_else(|| json!({}));
    let (format, head, meta) = match cookie.get("originalMaxAge") {
        // With two members of one name, it is not certain which one a reader takes.
        Some(_)
            if Members::of(record.cookie()).distinct().is_some()
                || record.format() == Format::ExpressSession =>
        {
            (Format::ExpressSession, "{\"cookie\":{", cookie.get("meta").cloned())
        }
        _ => (Format::SvelteKitSessions, "{\"v\"", members.remove("meta")),
    };
    assert_eq!(record.format(), format, "the format of {text:?}");
    if let Some(write_id) = record.write_id().filter(|_| text.starts_with(head)) {
        let named =
            if format == Format::ExpressSession { cookie.get("v") } else { members.get("v") };
        assert_eq!(named, Some(&json!(write_id.as_str())), "the write ID of {text:?}");
    }
    assert_eq!(parsed(record.cookie()), Some(cookie), "the cookie of {text:?}");
    let data = if format == Format::ExpressSession {
        Some(Value::Object(members))
    } else {
        members.remove("data")
    };
    assert_eq!(parsed(record.data()), data, "the data of {text:?}");
    let instant = |name| meta.as_ref()?.get(name)?.as_u64().map(UnixMillis);
    let Meta { created, renewed, idle, absolute, .. } = record.meta();
    for (name, read) in
        [("created", created), ("renewed", renewed), ("idle", idle), ("absolute", absolute)]
    {
        assert_eq!(*read, instant(name), "`{name}` of {text:?}");
    }
}

/// A record turned into a tombstone leads the holder of the old ID, and no one else, to the new one, whatever it
/// contained.
fn check_tombstone(record: &Record) {
    let [old, new, other] = [1, 2, 3].map(|n| SessionId::from_entropy(&[n; SessionId::ENTROPY]));
    let write_id = WriteId::from_entropy(&[7; WriteId::ENTROPY]);
    let grace = Some(UnixMillis(5));
    let tombstone = match record.tombstone(write_id.clone(), &old, &new, grace) {
        Ok(tombstone) => tombstone,
        Err(Error::TooLarge { .. }) => return,
        Err(error) => panic!("{error} for the tombstone of {:?}", record.cookie()),
    };
    let Ok(text) = tombstone.encode(Limits::LOAD) else { return };
    let read = Record::decode(&text, Limits::LOAD);
    let read = read.unwrap_or_else(|error| panic!("{error}: {text:?}, a tombstone"));
    assert_eq!(read.write_id(), Some(&write_id), "{text:?}");
    assert_eq!(read.data(), "{}", "{text:?}");
    assert_eq!(read.next(&old), Ok(Some((new.clone(), grace))), "{text:?}");
    assert_ne!(read.next(&other).ok().flatten().map(|(id, _)| id), Some(new), "{text:?}");
}

/// express-session's own part of the cookie in its records. The write ID and the metadata are in the cookie, too.
fn express_cookie(cookie: &str) -> Vec<(&str, &str)> {
    let Members(mut members) = Members::of(cookie);
    members.retain(|(name, _)| !["\"v\"", "\"meta\""].contains(name));
    members
}

fn check_sessions(text: &str) {
    let Ok(sessions) = UserSessions::decode(text) else { return };
    assert_eq!(
        sessions.write_id().map(WriteId::as_str),
        write_id(text),
        "the write ID of {text:?}"
    );
    assert!(sessions.write_id().is_some(), "a list without a write ID: {text:?}");
    if let Some(value) = parsed(text) {
        let named = value.get("sessions").and_then(Value::as_object).expect("an object");
        for session in sessions.sessions() {
            let named = named.get(session.handle.as_str());
            assert!(named.is_some_and(Value::is_object), "an invented session in {text:?}");
        }
        // Of two entries with one handle both count, until the next write.
        assert!(sessions.sessions().len() >= named.len(), "a forgotten session in {text:?}");
    }
    let write_id = WriteId::from_entropy(&[7; WriteId::ENTROPY]);
    let again = sessions.encode(&write_id);
    let _ = parsed(&again);
    let read = UserSessions::decode(&again);
    let read = read.unwrap_or_else(|error| panic!("{error}: {again:?}, which was {text:?}"));
    assert_eq!(read.write_id(), Some(&write_id), "{again:?}");
    assert_eq!(read.sessions(), sessions.sessions(), "{again:?}, which was {text:?}");
    // The text contains everything but the write ID, so the deadlines are restored, too.
    assert_eq!(read.encode(&write_id), again, "from {text:?}");
    let now = UnixMillis(2);
    assert_eq!(read.ttl(now), sessions.ttl(now), "{again:?}, which was {text:?}");
}

fn check_merge(base: &str, mine: &str, theirs: &str) {
    let Ok(merged) = merge(base, mine, theirs, Limits::LOAD) else { return };
    let shown = format!("{merged:?} of {base:?}, {mine:?} and {theirs:?}");
    let size = merged.len();
    let within = |bytes| merge(base, mine, theirs, Limits { bytes, ..Limits::LOAD });
    assert_eq!(within(size).as_ref(), Ok(&merged), "{shown}");
    let limit = size - 1;
    assert_eq!(within(limit), Err(Error::TooLarge { size, limit }), "{shown}");
    let value = parsed(&merged);
    assert!(value.as_ref().is_none_or(Value::is_object), "no object: {shown}");

    // Member by member, where each has a name of its own.
    let texts = [base, mine, theirs].map(|text| Members::of(text).distinct());
    let [Some(base), Some(mine), Some(theirs)] = texts else { return };
    let mut expected = theirs;
    expected.retain(|name, _| !base.contains_key(name) || mine.contains_key(name));
    expected.extend(mine.iter().filter(|(name, value)| base.get(*name) != Some(value)));
    assert_eq!(Members::of(&merged).distinct(), Some(expected), "{shown}");
}

/// The value that `serde_json` parses from text that the core accepts; `None` if `serde_json` cannot represent it.
fn parsed(text: &str) -> Option<Value> {
    assert!(serde_json::from_str::<IgnoredAny>(text).is_ok(), "not JSON to others: {text:?}");
    match serde_json::from_str(text) {
        Ok(value) => {
            no_prototypes(&value, text);
            Some(value)
        }
        // Half a surrogate pair, and 1e999: JavaScript reads both.
        Err(error) => {
            let why = error.to_string();
            assert!(why.contains("hex escape") || why.contains("out of range"), "{why}: {text:?}");
            None
        }
    }
}

/// Keys as JavaScript would see them, their escapes resolved.
fn no_prototypes(value: &Value, text: &str) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| no_prototypes(value, text)),
        Value::Object(members) => {
            for (key, value) in members {
                let bad = ["__proto__", "constructor", "prototype"].contains(&key.as_str());
                assert!(!bad, "the key {key:?} in {text:?}");
                no_prototypes(value, text);
            }
        }
        _ => {}
    }
}

/// How deep JSON text goes, counted as it stands: of two members with one name a parser would hide one.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// The write ID as a store finds it, which compares text.
pub(crate) fn write_id(text: &str) -> Option<&str> {
    let seed = text.strip_prefix("{\"v\":\"");
    let rest = seed.or_else(|| text.strip_prefix("{\"cookie\":{\"v\":\""))?;
    let (write_id, _) = rest.split_once('"')?;
    let fits = write_id.len() == 16
        && write_id.chars().all(|c| matches!(c, 'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '_'));
    fits.then_some(write_id)
}

/// The members of an object as they are spelled, names and values.
pub(crate) struct Members<'t>(Vec<(&'t str, &'t str)>);

impl<'t> Members<'t> {
    pub(crate) fn of(object: &'t str) -> Self {
        serde_json::from_str(object).unwrap_or_else(|error| panic!("{error}: {object:?}"))
    }

    /// Of several members with one name, JSON parsers take the last.
    pub(crate) fn last(&self, name: &str) -> Option<&'t str> {
        self.0.iter().rfind(|member| member.0 == name).map(|member| member.1)
    }

    /// `None` if two have the same name.
    fn distinct(&self) -> Option<BTreeMap<&'t str, &'t str>> {
        let members: BTreeMap<_, _> = self.0.iter().copied().collect();
        (members.len() == self.0.len()).then_some(members)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    members.push((name.get(), value.get()));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
