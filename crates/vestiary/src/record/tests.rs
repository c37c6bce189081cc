use std::format;

use super::*;
use crate::{CookieOverrides, Handle, UserRef};

fn write_id() -> WriteId {
    WriteId::from_entropy(&[0; 12])
}

fn data(data: &str) -> Result<(), Error> {
    Record::new(Format::SvelteKitSessions, write_id(), "{}", data, Meta::default(), Limits::SAVE)
        .map(drop)
}

#[test]
fn a_written_record_starts_with_the_write_id() {
    let meta = Meta::created(UnixMillis(1_700_000_000_000));
    let record = Record::new(
        Format::SvelteKitSessions,
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
fn unknown_members_are_left_alone() {
    let odd = r#" { "meta" : {"created":"yesterday","x":[]} , "v": 7, "next": null, "data" : { "a" : 1 } } "#;
    let record = Record::decode(odd, Limits::LOAD).unwrap();
    assert_eq!(
        (record.data(), record.write_id(), record.meta()),
        (r#"{ "a" : 1 }"#, None, &Meta::default())
    );
}

#[test]
fn a_record_that_was_read_can_be_rewritten_and_turned_into_a_tombstone() {
    let [old, new] = [1, 2].map(|n| SessionId::from_entropy(&[n; 24]));
    for text in [
        r#"{"cookie":{"v":"AAAAAAAAAAAAAAAA","meta":{"created":5},"originalMaxAge":60000,"path":"/"},"userId":"7"}"#,
        r#"{"cookie":{"originalMaxAge":null,"cookie":1,"path":"/"},"":1,"userId":"7"}"#,
        r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{"v":1,"path":"/"},"data":{"":1},"meta":{"created":5}}"#,
        r#"{"cookie":5,"data":{}}"#,
        r#"{"data":{}}"#,
    ] {
        let record = Record::decode(text, Limits::LOAD).unwrap();
        let seen = Record::inspect(text, Limits::LOAD).unwrap();
        assert_eq!((seen.format, &seen.meta), (record.format(), record.meta()));
        let data = (record.format() == Format::SvelteKitSessions).then_some(record.data());
        assert_eq!(seen.data, data);
        assert!(text.contains(record.cookie()) || record.cookie() == "{}", "{text}");
        assert_eq!(record.cookie().contains("path"), text.contains("path"), "{text}");
        let again = record.encode(Limits::LOAD).unwrap();
        assert_eq!(Record::decode(&again, Limits::LOAD).unwrap().data(), record.data(), "{again}");
        let tombstone = record.tombstone(write_id(), &old, &new, None).unwrap();
        let tombstone =
            Record::decode(&tombstone.encode(Limits::LOAD).unwrap(), Limits::LOAD).unwrap();
        assert_eq!(tombstone.next(&old), Ok(Some((new.clone(), None))), "{text}");
        assert_eq!(tombstone.write_id(), Some(&write_id()));
    }
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
    let nested =
        |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    let stored = |levels| format!(r#"{{"data":{}}}"#, nested(levels));
    assert_eq!(data(&nested(32)), Ok(()));
    assert_eq!(data(&nested(33)), Err(Error::TooDeep { limit: 32 }));
    assert!(Record::decode(&stored(32), Limits::LOAD).is_ok());
    assert_eq!(Record::decode(&stored(33), Limits::LOAD).err(), Some(Error::TooDeep { limit: 32 }));
    // Far beyond any stack.
    let limits = Limits { bytes: usize::MAX, depth: 32 };
    assert!(Record::decode(&stored(1_000_000), limits).is_err());
}

#[test]
fn size_is_bounded() {
    let record = |n: usize| {
        let data = format!(r#"{{"a":"{}"}}"#, "x".repeat(n));
        Record::new(
            Format::SvelteKitSessions,
            write_id(),
            "{}",
            &data,
            Meta::default(),
            Limits::SAVE,
        )?
        .encode(Limits::SAVE)
    };
    // Only the data counts, whatever stands beside it.
    assert!(record(65_528).is_ok());
    assert!(matches!(record(65_529), Err(Error::TooLarge { size: 65_537, limit: 65_536 })));
    assert!(matches!(record(70_000), Err(Error::TooLarge { limit: 65_536, .. })));
}

#[test]
fn data_that_is_stored_already_can_be_written_again_whatever_the_limits_are() {
    let id = |n| SessionId::from_entropy(&[n; 24]);
    // As deep as a flat record may be, too large, and with keys that a flat record has no place for.
    let deep = format!("{}{}", "[".repeat(32), "]".repeat(32));
    let large = "x".repeat(70_000);
    for text in [
        format!(r#"{{"cookie":{{"originalMaxAge":null}},"a":{deep}}}"#),
        format!(r#"{{"cookie":{{}},"data":{{"a":"{large}"}}}}"#),
        r#"{"cookie":{"path":"/"},"data":{"cookie":1,"vestiary":2}}"#.into(),
    ] {
        let record = Record::decode(&text, Limits::LOAD).unwrap();
        let formats = [
            (Format::SvelteKitSessions, "{}"),
            (Format::ExpressSession, r#"{"originalMaxAge":null}"#),
        ];
        for (format, cookie) in formats {
            let again = record.rewritten(
                format,
                write_id(),
                cookie,
                record.data(),
                Meta::created(UnixMillis(5)),
                Limits::SAVE,
            );
            let again = again.unwrap().encode(Limits::LOAD).unwrap();
            let read = Record::decode(&again, Limits::LOAD).unwrap();
            assert!(read.data() == record.data(), "{format:?}");
            assert_eq!(read.meta().created, Some(UnixMillis(5)));
        }
        assert!(record.tombstone(write_id(), &id(1), &id(2), None).is_ok());
    }
}

#[test]
fn metadata_that_express_session_drops_is_kept_beside_the_data() {
    let user = UserRef { name: r#""ada""#.into(), handle: Handle::from_entropy(&[1; 12]) };
    let cookie = CookieOverrides::parse(r#"{"path":"/app"}"#).unwrap();
    let meta = Meta {
        created: Some(UnixMillis(5)),
        absolute: Some(UnixMillis(9)),
        user: Some(user),
        cookie,
        ..Meta::default()
    };
    let cookie = r#"{"originalMaxAge":60000,"path":"/"}"#;
    let (format, data) = (Format::ExpressSession, r#"{"n":1}"#);
    let record = Record::new(format, write_id(), cookie, data, meta.clone(), Limits::SAVE).unwrap();
    let text = record.encode(Limits::LOAD).unwrap();
    let read = Record::decode(&text, Limits::LOAD).unwrap();
    assert_eq!((read.data(), read.meta()), (record.data(), &meta));
    // express-session keeps the attributes of the cookie that it knows, and all data.
    let start = text.find(r#","vestiary""#).unwrap();
    let rest = text.split_at(start).1;
    // It measures the lifetime some milliseconds after it has set it.
    for millis in ["120500", "119990"] {
        let theirs = format!(r#"{{"cookie":{{"originalMaxAge":{millis}}}{rest}"#);
        let read = Record::decode(&theirs, Limits::LOAD).unwrap();
        assert_eq!((read.data(), read.write_id()), (data, None));
        let own = read.meta().cookie.as_ref().map(CookieOverrides::as_str);
        assert_eq!(own, Some(r#"{"path":"/app","maxAge":120}"#));
        let [mine, theirs] = [&meta, read.meta()].map(|it| Meta { cookie: None, ..it.clone() });
        assert_eq!(theirs, mine);
    }
    for key in ["cookie", "vestiary"] {
        let data = format!(r#"{{"{key}":1}}"#);
        let written = Record::new(format, write_id(), "{}", &data, Meta::default(), Limits::SAVE);
        assert_eq!(written.err(), Some(Error::ForbiddenKey { key }));
    }
}

#[test]
fn text_that_is_no_record_is_refused() {
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
        "{\"v\":\"AAAAAAAAAAAAAAAA\",\"data\":{},\"v\":1}",
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
