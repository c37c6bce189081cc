//! The vectors that the TypeScript side reads, too. `vectors/README.md` says where they come from.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;
use vestiary::{
    CookieOptions, Error, Event, Format, KeyRing, Limits, MaxAge, Meta, Options, OptionsInput,
    Record, SameSiteOption, SealRing, SessionId, Ttl, UnixMillis, WriteId, cookie_header,
    decide::{CookieStep, Known, Operation, Plan, Policy, Stage, StoreStep, decide},
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors")
}

fn cases(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    assert!(!file["origin"].as_str().unwrap().is_empty(), "{name} names no origin");
    let cases = file["cases"].as_array().unwrap().clone();
    assert!(!cases.is_empty(), "{name} is empty");
    cases
}

fn format(case: &Value) -> Format {
    match case["format"].as_str() {
        Some("express-session") => Format::ExpressSession,
        Some("svelte-kit-sessions") | None => Format::SvelteKitSessions,
        Some(other) => panic!("{other}"),
    }
}

/// A header as JavaScript has it: one character for each byte.
fn bytes(header: &Value) -> Vec<u8> {
    header.as_str().unwrap().chars().map(|c| u8::try_from(c).unwrap()).collect()
}

#[test]
fn every_file_is_read() {
    let here: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    let read = [
        "cookie-header",
        "cookie-header-attacks",
        "decisions",
        "lives",
        "names",
        "namespaces",
        "records",
        "tombstones",
        // Played by the layer: crates/vestiary-tower/tests/scenarios.rs.
        "scenarios",
        "sealed",
        "set-cookie",
        "set-cookie-refusals",
        "signed-values",
        "written-records",
    ];
    assert_eq!(here, read.into_iter().map(str::to_owned).collect());
}

#[test]
fn names() {
    let named = |kind: &str| -> Vec<Value> {
        let is_ours = |case: &Value| !case[kind].is_null() && !case["rust"].is_null();
        cases("names").into_iter().filter(is_ours).collect()
    };
    let events: BTreeSet<String> =
        named("event").iter().map(|case| format!("{} {}", case["event"], case["rust"])).collect();
    let ours = Event::ALL.iter().map(|event| {
        format!("{} {}", Value::from(event.name()), Value::from(event.fields().to_vec()))
    });
    assert_eq!(ours.collect::<BTreeSet<_>>(), events);
    let codes = named("code");
    let codes = codes.iter().filter(|case| case["rust"] == "Error");
    let codes: BTreeSet<_> = codes.map(|case| case["code"].as_str().unwrap()).collect();
    assert_eq!(Error::CODES.into_iter().collect::<BTreeSet<_>>(), codes);
}

#[test]
fn signed_values() {
    for case in cases("signed-values") {
        let secrets: Vec<_> =
            case["secrets"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
        let ring = KeyRing::new(&secrets).unwrap();
        let value = case["value"].as_str().unwrap();
        let id = ring.verify(value.as_bytes());
        assert_eq!(id.as_ref().map(SessionId::expose), case["id"].as_str(), "{case}");
        if case["ours"] == true {
            assert_eq!(ring.sign(&id.unwrap(), format(&case)), value, "{case}");
        }
    }
}

#[test]
fn cookie_headers() {
    for case in cases("cookie-header").into_iter().chain(cases("cookie-header-attacks")) {
        let name = vestiary::CookieName::new(case["name"].as_str().unwrap()).unwrap();
        let header = bytes(&case["header"]);
        let found: Vec<_> = cookie_header::candidates(&header, &name).collect();
        let expected: Vec<_> = case["values"].as_array().unwrap().iter().map(bytes).collect();
        assert_eq!(found, expected, "{case}");
    }
}

fn header(case: &Value) -> Result<String, Error> {
    let cookie = &case["cookie"];
    let same_site = match &cookie["sameSite"] {
        Value::Bool(flag) => Some(SameSiteOption::Flag(*flag)),
        Value::String(name) => Some(SameSiteOption::Name(name)),
        _ => None,
    };
    let options = Options::new(OptionsInput {
        name: case["name"].as_str(),
        cookie: CookieOptions {
            domain: cookie["domain"].as_str(),
            expires: cookie["expires"].as_f64(),
            http_only: cookie["httpOnly"].as_bool(),
            max_age: cookie["maxAge"].as_f64(),
            partitioned: cookie["partitioned"].as_bool().unwrap_or_default(),
            path: cookie["path"].as_str(),
            priority: cookie["priority"].as_str(),
            same_site,
            secure: cookie["secure"].as_bool(),
        },
        ..OptionsInput::default()
    })?;
    Ok(options.set_cookie(false).with_value(case["value"].as_str().unwrap()))
}

#[test]
fn set_cookies() {
    for case in cases("set-cookie") {
        assert_eq!(header(&case).unwrap(), case["header"].as_str().unwrap(), "{case}");
    }
    for case in cases("set-cookie-refusals") {
        assert_eq!(header(&case).unwrap_err().code(), case["code"].as_str().unwrap(), "{case}");
    }
}

#[test]
fn records() {
    for case in cases("records") {
        let decoded = Record::decode(case["record"].as_str().unwrap(), Limits::LOAD);
        assert_eq!(decoded.as_ref().err().map(Error::code), case["fault"].as_str(), "{case}");
        if let Ok(record) = decoded {
            // Text that the core accepts as JSON, another parser accepts, too, except for lone surrogates, which only
            // JavaScript writes.
            let data = serde_json::from_str::<Value>(record.data());
            assert!(data.is_ok() || record.data().contains("half"), "{case}");
            let express = case.get("express");
            assert_eq!(record.format() == Format::ExpressSession, express.is_some(), "{case}");
            if express.is_some() {
                assert_eq!(data.ok().as_ref(), express, "{case}");
            }
        }
    }
}

#[test]
fn written_records() {
    for case in cases("written-records") {
        let mut attributes = case["cookie"].clone();
        if format(&case) == Format::ExpressSession {
            for key in ["maxAge", "expires"] {
                attributes.as_object_mut().unwrap().remove(key);
            }
        }
        let options = Options::new(OptionsInput {
            cookie: CookieOptions {
                max_age: case["cookie"]["maxAge"].as_f64(),
                expires: case["cookie"]["expires"].as_f64(),
                ..CookieOptions::default()
            },
            format: format(&case),
            ..OptionsInput::default()
        })
        .unwrap();
        let now = UnixMillis(case["now"].as_u64().unwrap());
        let meta = case["created"].as_u64().map(|at| Meta::created(UnixMillis(at)));
        let mut meta = meta.unwrap_or_default();
        meta.until = case["until"].as_u64().map(UnixMillis);
        let attributes = attributes.to_string();
        let text = options.record_cookie(&attributes, now).and_then(|cookie| {
            Record::new(
                options.format(),
                WriteId::from_entropy(&[0; 12]),
                &cookie,
                &case["data"].to_string(),
                meta.clone(),
                Limits::SAVE,
            )?
            .encode(Limits::SAVE)
        });
        assert_eq!(text.as_ref().err().map(Error::code), case["fault"].as_str(), "{case}");
        if let Ok(text) = text {
            let expected = case["record"].as_str().unwrap().replace("<16>", "AAAAAAAAAAAAAAAA");
            // Compared as values, since `Value` sorts members; the write ID must come first.
            let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(parsed(&text), parsed(&expected), "{case}");
            assert_eq!(text.find("AAAA"), expected.find("AAAA"), "{case}");
            let read = Record::decode(&text, Limits::LOAD).unwrap();
            assert_eq!(parsed(read.data()), case["data"], "{case}");
            assert!(read.write_id().is_some(), "{case}");
            assert_eq!(read.meta(), &meta, "{case}");
        }
    }
}

#[test]
fn sealed_records() {
    for case in cases("sealed") {
        let text = |name: &str| case[name].as_str().unwrap();
        let ring = SealRing::new(&[text("secret")], case["namespace"].as_str()).unwrap();
        let id = SessionId::parse(text("id")).unwrap();
        let mut nonce = [0; SealRing::NONCE];
        for (at, byte) in nonce.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text("nonce")[2 * at..2 * at + 2], 16).unwrap();
        }
        let opened = ring.open(&id, text("key"), text("sealed"));
        assert_eq!(opened.as_deref(), Ok(text("text")), "{case}");
        assert_eq!(ring.seal(&id, text("key"), text("text"), &nonce), text("sealed"), "{case}");
    }
}

#[test]
fn namespaces() {
    for case in cases("namespaces") {
        let text = |name: &str| case[name].as_str().unwrap();
        let namespace = case["namespace"].as_str();
        let ring = KeyRing::checked(&[text("secret")], namespace, false).unwrap();
        let id = SessionId::parse(text("id")).unwrap();
        assert_eq!(ring.sign(&id, Format::SvelteKitSessions), text("cookie"), "{case}");
        for (hash_ids, key) in [(false, "key"), (true, "hashed")] {
            let input = OptionsInput { namespace, hash_ids, ..OptionsInput::default() };
            let options = Options::new(input).unwrap();
            assert_eq!(options.store_key(&id), text(key), "{case}");
            assert_eq!(options.user_key(text("user")), text("userKey"), "{case}");
        }
    }
}

#[test]
fn tombstones() {
    for case in cases("tombstones") {
        let text = |name: &str| case[name].as_str().unwrap();
        let record = Record::decode(text("record"), Limits::LOAD).unwrap();
        let old = SessionId::parse(text("id")).unwrap();
        let next = SessionId::parse(text("next")).unwrap();
        assert_eq!(record.next(&old), Ok(Some((next, Some(UnixMillis(5))))), "{case}");
    }
}

#[test]
fn lives() {
    for case in cases("lives") {
        let ttl = Ttl::of(
            case["maxAge"].as_f64().map(|seconds| MaxAge::from_seconds(seconds).unwrap()),
            case["expires"].as_u64().map(UnixMillis),
            UnixMillis(case["now"].as_u64().unwrap()),
        );
        let expected = case["ttl"].as_u64().map_or(Ttl::Infinite, Ttl::Millis);
        assert_eq!(ttl, expected, "{case}");
    }
}

#[test]
fn decisions() {
    for case in cases("decisions") {
        let has =
            |list: &str, name: &str| case[list].as_array().unwrap().iter().any(|item| item == name);
        let stage = |value: &Value| match value.as_str().unwrap() {
            "New" => Stage::New,
            "Stored" => Stage::Stored,
            other => panic!("{other}"),
        };
        let operation = match case["operation"].as_str().unwrap() {
            "Open" => Operation::Open,
            "Change" => Operation::Change,
            "Save" => Operation::Save,
            "Touch" => Operation::Touch,
            "Destroy" => Operation::Destroy,
            "Finish" => Operation::Finish,
            other => panic!("{other}"),
        };
        let policy = Policy {
            rolling: has("policy", "rolling"),
            save_uninitialized: has("policy", "saveUninitialized"),
            auto_save: has("policy", "autoSave"),
        };
        let known = Known {
            cookie_out: has("known", "CookieOut"),
            unsaved: has("known", "Unsaved"),
            expired: has("known", "Expired"),
            finishes: has("known", "Finishes"),
            left: has("known", "Left"),
            touched: has("known", "Touched"),
        };
        let expected = Plan {
            store: match case["plan"]["store"].as_str().unwrap() {
                "Keep" => StoreStep::Keep,
                "Create" => StoreStep::Create,
                "Replace" => StoreStep::Replace,
                "Touch" => StoreStep::Touch,
                "Take" => StoreStep::Take,
                other => panic!("{other}"),
            },
            cookie: match case["plan"]["cookie"].as_str().unwrap() {
                "Keep" => CookieStep::Keep,
                "Set" => CookieStep::Set,
                "Clear" => CookieStep::Clear,
                "Late" => CookieStep::Late,
                other => panic!("{other}"),
            },
            stage: stage(&case["plan"]["stage"]),
        };
        assert_eq!(decide(policy, stage(&case["stage"]), operation, known), expected, "{case}");
    }
}
