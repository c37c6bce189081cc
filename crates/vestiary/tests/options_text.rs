//! Options that come as JSON text are the options that are given as values.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use proptest::{option, prelude::*};
use serde_json::{Map, Value, json};
use vestiary::{
    CookieOptions, Error, Format, OnReuse, OptionType, Options, OptionsInput, OptionsText,
    SameSiteOption, SessionsPerUser, Timeouts, UnixMillis, WhenFull,
};

const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";

fn read(text: &str) -> Result<Options, Error> {
    OptionsText::read(text).and_then(|text| Options::new(text.input()?))
}

/// Text as applications write it, and as none does.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z./_-]{1,8}", "(?s).{0,12}", "/[\"\\\\a-z]{0,5}"]
}

/// Seconds, valid ones and others.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        (0_u32..100_000).prop_map(f64::from),
        (0_u32..9_999).prop_map(|n| f64::from(n) / 1_000.0),
        -1e3..1e19
    ]
}

prop_compose! {
    fn given()(
        texts in (option::of(text()), option::of(text()), option::of(text()), option::of(text())),
        same_site in option::of(prop_oneof![Just(json!(true)), Just(json!(false)), Just(json!("lax")), text().prop_map(Value::from)]),
        flags in prop::array::uniform7(option::of(any::<bool>())),
        numbers in prop::array::uniform9(option::of(number())),
        express in option::of(any::<bool>()),
        reuse in option::of(prop_oneof![Just("report"), Just("revoke")]),
        max_stale in option::of(0_u32..70_000),
        (bound, bound_max_age, bound_path) in
            (option::of(any::<bool>()), option::of(number()), option::of(text())),
    ) -> (Value, Value) {
        let (name, domain, path, namespace) = texts;
        let [http_only, partitioned, secure, rolling, uninitialized, auto_save, hash_ids] = flags;
        let [expires, max_age, touch_after, idle, absolute, renew_after, renew_grace, max_bytes, recheck] = numbers;
        let cookie = json!({
            "domain": domain, "expires": expires, "httpOnly": http_only, "maxAge": max_age,
            "partitioned": partitioned, "path": path, "sameSite": same_site, "secure": secure,
        });
        let options = json!({
            "name": name, "rolling": rolling, "saveUninitialized": uninitialized, "autoSave": auto_save,
            "touchAfter": touch_after, "format": express.map(|is| if is { "express-session" } else { "svelte-kit-sessions" }),
            "idleTimeout": idle, "absoluteTimeout": absolute, "renewAfter": renew_after,
            "renewGrace": renew_grace, "namespace": namespace, "hashIds": hash_ids, "maxBytes": max_bytes,
            "onReuse": reuse, "recheckAfter": recheck, "maxStale": max_stale,
            "deviceBound": bound, "boundMaxAge": bound_max_age, "boundPath": bound_path,
        });
        (options, cookie)
    }
}

/// Omits absent members, as `JSON.stringify` does.
fn present(object: &Value) -> Map<String, Value> {
    let members = object.as_object().unwrap().iter();
    members
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn input<'a>(
    options: &'a Value,
    cookie: &'a Value,
    attributes: &'a str,
) -> Result<OptionsInput<'a>, Error> {
    let text = |value: &'a Value| value.as_str().filter(|text| !text.is_empty());
    let flag = |name: &str| options[name].as_bool().unwrap_or_default();
    let same_site = &cookie["sameSite"];
    Ok(OptionsInput {
        name: text(&options["name"]),
        cookie: CookieOptions {
            domain: text(&cookie["domain"]),
            expires: cookie["expires"].as_f64(),
            http_only: cookie["httpOnly"].as_bool(),
            max_age: cookie["maxAge"].as_f64(),
            partitioned: cookie["partitioned"].as_bool().unwrap_or_default(),
            path: text(&cookie["path"]),
            priority: None,
            same_site: same_site
                .as_bool()
                .map(SameSiteOption::Flag)
                .or_else(|| text(same_site).map(SameSiteOption::Name)),
            secure: cookie["secure"].as_bool(),
        },
        rolling: flag("rolling"),
        save_uninitialized: flag("saveUninitialized"),
        auto_save: flag("autoSave"),
        touch_after: options["touchAfter"].as_f64(),
        format: if options["format"] == "express-session" {
            Format::ExpressSession
        } else {
            Format::SvelteKitSessions
        },
        timeouts: Timeouts::new(
            options["idleTimeout"].as_f64(),
            options["absoluteTimeout"].as_f64(),
            options["renewAfter"].as_f64(),
            options["renewGrace"].as_f64(),
        )?,
        namespace: options["namespace"].as_str(),
        hash_ids: flag("hashIds"),
        max_bytes: options["maxBytes"].as_f64(),
        encrypts: options["sealSecrets"].is_array(),
        sessions_per_user: options["sessionsPerUser"].as_f64(),
        when_full: WhenFull::Evict,
        version: options["version"].as_f64(),
        on_reuse: if options["onReuse"] == "revoke" { OnReuse::Revoke } else { OnReuse::Report },
        recheck_after: options["recheckAfter"].as_f64(),
        max_stale: options["maxStale"].as_f64(),
        max_entries: options["maxEntries"].as_f64(),
        device_bound: flag("deviceBound"),
        bound_max_age: options["boundMaxAge"].as_f64(),
        bound_path: options["boundPath"].as_str(),
        attributes: Some(attributes),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn options_are_the_same_as_text_and_as_values((options, cookie) in given()) {
        let mut text = present(&options);
        text.insert("cookie".into(), present(&cookie).into());
        let text = Value::from(text).to_string();
        let expected = input(&options, &cookie, "{}").and_then(Options::new);
        let now = UnixMillis(5);
        match (read(&text), expected) {
            (Ok(read), Ok(expected)) => {
                prop_assert_eq!(read.set_cookie(true), expected.set_cookie(true));
                prop_assert_eq!(read.secure(), expected.secure());
                prop_assert_eq!(read.policy(), expected.policy());
                prop_assert_eq!(read.limits(), expected.limits());
                prop_assert_eq!(read.timeouts(), expected.timeouts());
                prop_assert_eq!(read.touch_after(), expected.touch_after());
                prop_assert_eq!(read.ttl(now), expected.ttl(now));
                prop_assert_eq!(read.namespace(), expected.namespace());
                prop_assert_eq!(read.version(), expected.version());
                prop_assert_eq!(read.on_reuse(), expected.on_reuse());
                prop_assert_eq!(read.user_key("ada"), expected.user_key("ada"));
                let shown: Value = serde_json::from_str(&read.shown_cookie(now).unwrap()).unwrap();
                prop_assert_eq!(&shown["path"], &present(&cookie).get("path").cloned().unwrap_or_default());
            }
            (read, expected) => prop_assert_eq!(read.err(), expected.err()),
        }
    }

    #[test]
    fn any_text_is_read_or_refused_and_never_repeated(text in "(?s).{0,80}") {
        if let Err(error) = OptionsText::read(&text) {
            prop_assert_eq!(error.code(), "options");
        }
    }

    #[test]
    fn a_number_is_read_as_it_is_written(number in prop_oneof![number(), any::<u32>().prop_map(f64::from), -1e15..1e15_f64]) {
        let text = json!({ "maxBytes": number }).to_string();
        let text = OptionsText::read(&text).unwrap();
        let read = text.input().unwrap().max_bytes.unwrap();
        // At least 15 digits are kept, and whole numbers are exact.
        prop_assert!((read - number).abs() <= number.abs() * 1.2e-15, "{} {}", read, number);
        prop_assert!(number.fract() != 0.0 || read.to_bits() == number.to_bits() || number.abs() > 1e15);
    }
}

#[test]
fn a_wrong_type_is_refused_by_the_name_of_the_option_and_without_its_value() {
    for (name, kind) in OptionsText::TYPES.into_iter().chain(CookieOptions::TYPES) {
        let fits = |value: &Value| match kind {
            OptionType::Boolean => value.is_boolean(),
            OptionType::BooleanOrString => value.is_boolean() || value.is_string(),
            OptionType::Date | OptionType::Number => value.is_number() || value.is_null(),
            OptionType::String => value.is_string(),
            OptionType::Strings => value == &json!([]) || value == &json!([SECRET]),
            _ => false,
        };
        for value in [
            json!(true),
            json!(null),
            json!(5),
            json!(SECRET),
            json!([]),
            json!([SECRET]),
            json!([SECRET, 5]),
            json!([[SECRET]]),
            json!({}),
            json!({ "a": SECRET }),
        ] {
            let text = match name.strip_prefix("cookie.") {
                Some(attribute) => json!({ "cookie": { attribute: value } }),
                None => json!({ name: value }),
            };
            let read = OptionsText::read(&text.to_string());
            let is_choice = name == "format" && value.is_string();
            assert_eq!(read.is_ok(), fits(&value) && !is_choice, "{text}");
            if let Err(error) = read {
                assert!(
                    matches!(error, Error::OptionType { name: found, .. } if found == name),
                    "{text}"
                );
                assert_eq!(error.code(), "options");
                assert!(error.to_string().starts_with(&format!("`{name}` must be ")), "{error}");
                assert!(!error.to_string().contains("hunter2"), "{error}");
            }
        }
    }
}

#[test]
fn unknown_options_are_rejected_and_not_repeated() {
    for text in [
        "",
        "null",
        "[]",
        "5",
        "{",
        r#"{"secrets":["hunter2"]"#,
        r#"{"hunter2":1}"#,
        r#"{"cookie":{"hunter2":1}}"#,
        r#"{"cookie":5}"#,
        r#"{"cookie":["hunter2"]}"#,
        r#"{"cookie.path":"/"}"#,
        r#"{"cookie":{"cookie.path":"/"}}"#,
        r#"{"encode":1}"#,
        r#"{"path":"/"}"#,
        r#"{"__proto__":1}"#,
        r#"{"n\u0061me":"sid"}"#,
        r#"{"":1}"#,
        r#"{"name":[[[[[1]]]]]}"#,
    ] {
        let error = OptionsText::read(text).unwrap_err();
        assert_eq!(error, Error::OptionsText, "{text}");
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[test]
fn an_invalid_number_is_reported_by_its_option() {
    for (text, expected) in [
        (r#"{"touchAfter":null}"#, Error::Timeout { name: "touchAfter" }),
        (r#"{"idleTimeout":null}"#, Error::Timeout { name: "idleTimeout" }),
        (r#"{"absoluteTimeout":null}"#, Error::Timeout { name: "absoluteTimeout" }),
        (r#"{"renewAfter":1e999}"#, Error::Timeout { name: "renewAfter" }),
        (r#"{"renewGrace":-1e-3}"#, Error::Timeout { name: "renewGrace" }),
        (r#"{"recheckAfter":301}"#, Error::Timeout { name: "recheckAfter" }),
        (
            r#"{"maxStale":60001}"#,
            Error::OptionType {
                name: "cache.maxStale",
                expected: "a whole number of milliseconds from 1 to 60000",
            },
        ),
        (r#"{"maxBytes":null}"#, Error::MaxBytes),
        (r#"{"maxBytes":1024.5}"#, Error::MaxBytes),
        (r#"{"sessionsPerUser":0}"#, Error::SessionsPerUser),
        (r#"{"sessionsPerUser":null}"#, Error::SessionsPerUser),
        (r#"{"format":"express-session","sealSecrets":["secret"]}"#, Error::EncryptExpress),
        (r#"{"idleTimeout":0.9999999999999999}"#, Error::Timeout { name: "idleTimeout" }),
    ] {
        assert_eq!(read(text).unwrap_err(), expected, "{text}");
    }
    for text in [r#"{"cookie":{"maxAge":null}}"#, r#"{"cookie":{"maxAge":9007199254740992}}"#] {
        assert_eq!(
            read(text).unwrap_err().to_string(),
            "`cookie.maxAge` is not valid: a finite number of seconds"
        );
    }
    for text in [
        r#"{"cookie":{"expires":null}}"#,
        r#"{"cookie":{"expires":-1}}"#,
        r#"{"cookie":{"expires":1e300}}"#,
    ] {
        let error = read(text).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`cookie.expires` is not valid: a Date between 1970 and the year 9999"
        );
    }
    assert!(read(r#"{"cookie":{"maxAge":9007199254740991}}"#).is_ok());
}

#[test]
fn a_full_list_evicts_unless_it_is_to_refuse() {
    for (text, most, when_full) in [
        ("{}", 100, WhenFull::Evict),
        (r#"{"sessionsPerUser":3}"#, 3, WhenFull::Evict),
        (r#"{"whenFull":"refuse"}"#, 100, WhenFull::Refuse),
        (r#"{"sessionsPerUser":4294967295,"whenFull":"evict"}"#, 4_294_967_295, WhenFull::Evict),
    ] {
        let limit = SessionsPerUser { most, when_full };
        assert_eq!(read(text).unwrap().sessions_per_user(), limit, "{text}");
    }
    assert_eq!(
        read(r#"{"whenFull":"queue"}"#).unwrap_err().to_string(),
        "`sessionsPerUser.whenFull` must be 'evict' or 'refuse'"
    );
}

#[test]
fn the_record_shows_the_attributes_as_they_were_given() {
    let shown = |text: &str| read(text).unwrap().shown_cookie(UnixMillis(0)).unwrap().into_owned();
    let cookie = r#""cookie":{"path":"/a\"\\b","httpOnly":false,"maxAge":60.5,"expires":1000,"sameSite":true}"#;
    assert_eq!(
        shown(&format!("{{{cookie}}}")),
        r#"{"path":"/a\"\\b","httpOnly":false,"maxAge":60.5,"sameSite":true,"expires":"1970-01-01T00:00:01.000Z"}"#
    );
    assert_eq!(
        shown(&format!(r#"{{"format":"express-session",{cookie}}}"#)),
        r#"{"originalMaxAge":60000,"expires":"1970-01-01T00:01:00.000Z","path":"/a\"\\b","httpOnly":false,"sameSite":true}"#
    );
}

#[test]
fn the_short_names_of_the_formats_are_still_accepted() {
    for (short, name, format) in [
        ("seed", "svelte-kit-sessions", Format::SvelteKitSessions),
        ("express", "express-session", Format::ExpressSession),
    ] {
        for written in [short, name] {
            let options = read(&format!(r#"{{"format":"{written}"}}"#)).unwrap();
            assert_eq!(options.format(), format, "{written}");
        }
    }
}

#[test]
fn secrets_sign_and_encrypt_and_are_not_shown() {
    let text =
        json!({ "secrets": [SECRET, "é\"\\\n"], "sealSecrets": [SECRET], "production": false });
    let text = OptionsText::read(&text.to_string()).unwrap();
    assert!(text.keys().unwrap().is_some());
    let options = Options::new(text.input().unwrap()).unwrap();
    assert!(text.rules(options).unwrap().seals.is_some());
    assert_eq!(format!("{text:?}"), "OptionsText(…)");
    let text = json!({ "secrets": ["short"], "sealSecrets": ["short"], "production": true });
    let text = OptionsText::read(&text.to_string()).unwrap();
    assert_eq!(text.keys().unwrap_err().code(), "secret_short");
    let options = Options::new(text.input().unwrap()).unwrap();
    assert_eq!(text.rules(options).unwrap_err().code(), "secret_short");
    assert!(OptionsText::read("{}").unwrap().keys().unwrap().is_none());
    assert_eq!(
        OptionsText::read(r#"{"secrets":[]}"#).unwrap().keys().unwrap_err(),
        Error::SecretMissing
    );
}
