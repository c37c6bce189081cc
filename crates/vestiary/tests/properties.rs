//! Bounded fuzzing of header, value and record, in every `cargo test`: each input of an attacker, and each reply of a
//! store, has a correct answer in bounded time.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::collections::{BTreeMap, BTreeSet};

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use proptest::prelude::*;
use vestiary::{
    CookieName, Domain, Format, Handle, HiddenId, KeyRing, Limits, MaxAge, MemoryLimits,
    MemoryTable, Meta, Next, Options, OptionsInput, Path, Record, SameSite, SessionId, SetCookie,
    Ttl, UnixMillis, UserRef, WriteId, cookie_header,
};

fn ring() -> KeyRing {
    KeyRing::new(&["0123456789abcdef", "sécret, sécret"]).unwrap()
}

fn name() -> CookieName {
    CookieName::new("connect.sid").unwrap()
}

/// Bytes that look like a header more often than chance would have it.
fn header() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"connect.sid".to_vec()),
        Just(b"=".to_vec()),
        Just(b";".to_vec()),
        Just(b" ".to_vec()),
        Just(b"%".to_vec()),
        Just(
            ring().sign(&SessionId::from_entropy(&[3; 24]), Format::SvelteKitSessions).into_bytes()
        ),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// JSON text of any shape.
fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_header_is_split_as_the_specification_says(header in header()) {
        // RFC 6265bis section 5.6, implemented the slow way.
        let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
        let trim = |bytes: &[u8]| -> Vec<u8> {
            let start = bytes.iter().position(|b| !blank(b)).unwrap_or(bytes.len());
            let end = bytes.iter().rposition(|b| !blank(b)).map_or(start, |at| at + 1);
            bytes[start..end].to_vec()
        };
        let mut expected = Vec::new();
        for pair in header.split(|byte| *byte == b';') {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            if let (Some(key), Some(value)) = (halves.next(), halves.next())
                && trim(key) == name().as_str().as_bytes()
                && expected.len() < cookie_header::MOST_CANDIDATES
            {
                expected.push(trim(value));
            }
        }
        let found: Vec<_> = cookie_header::candidates(&header, &name()).map(<[u8]>::to_vec).collect();
        prop_assert_eq!(&found, &expected);
        // Nothing is verified that we have not signed.
        let valid = SessionId::from_entropy(&[3; 24]);
        for value in &found {
            if let Some(id) = ring().verify(value) {
                prop_assert_eq!(&id, &valid);
            }
        }
    }

    #[test]
    fn only_what_we_signed_is_verified(value in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(ring().verify(&value), None);
    }

    #[test]
    fn every_id_comes_back(entropy in any::<[u8; 24]>(), key in 0..2usize) {
        let secrets = ["0123456789abcdef", "sécret, sécret"];
        let id = SessionId::from_entropy(&entropy);
        let value = KeyRing::new(&[secrets[key]]).unwrap().sign(&id, Format::SvelteKitSessions);
        prop_assert_eq!(ring().verify(value.as_bytes()), Some(id));
    }

    #[test]
    fn every_hint_comes_back(entropy in any::<[u8; 24]>(), key in 0..2usize, user in any::<String>()) {
        let secrets = ["0123456789abcdef", "sécret, sécret"];
        let id = SessionId::from_entropy(&entropy);
        let hinted = KeyRing::new(&[secrets[key]]).unwrap().hinted(&id, &user);
        prop_assert_eq!(ring().hint(&hinted), Some(vestiary::user_key(&user)));
        prop_assert_eq!(ring().hint(&id), None);
    }

    #[test]
    fn no_id_of_others_has_a_hint_that_fails(id in "[!#-+.-:<-\\[\\]-~]{16,256}", hint in "[!#-+.-:<-\\[\\]-~]{43,45}") {
        for id in [id.clone(), format!("{}~{hint}", &"A".repeat(32))] {
            let Ok(id) = SessionId::parse(&id) else { continue };
            prop_assert!(ring().hint(&id).is_none_or(|hash| hash.len() == 43));
        }
    }

    #[test]
    fn a_set_cookie_reads_back_as_what_it_was(
        value in any::<String>(),
        host in "[a-z0-9]{1,8}(\\.[a-z]{1,5}){0,2}",
        path in "/[ -:<-~]{0,20}",
        max_age in any::<f64>(),
        flags in any::<[bool; 4]>(),
        expires in any::<u64>(),
    ) {
        let mut cookie = SetCookie::new(name(), Path::new(path.trim_end()).unwrap());
        cookie.domain = Some(Domain::new(&host).unwrap());
        cookie.max_age = MaxAge::from_seconds(max_age).ok();
        cookie.expires = Some(UnixMillis(expires));
        [cookie.http_only, cookie.secure, cookie.partitioned] = [flags[0], flags[1], flags[2]];
        cookie.same_site = flags[3].then_some(SameSite::Strict);

        let header = cookie.with_value(&value);
        prop_assert!(header.bytes().all(|byte| (0x20..0x7F).contains(&byte)));
        let mut parts = header.split("; ");
        let encoded = parts.next().unwrap().strip_prefix("connect.sid=").unwrap();
        let decoded = percent_decoded(encoded);
        prop_assert_eq!(decoded, value.into_bytes());
        let mut expected = Vec::new();
        if let Some(max_age) = cookie.max_age {
            expected.push(format!("Max-Age={}", max_age.seconds()));
        }
        expected.push(format!("Domain={host}"));
        expected.push(format!("Path={}", path.trim_end()));
        let rest: Vec<_> = parts.map(str::to_owned).collect();
        prop_assert_eq!(&rest[..expected.len()], &expected[..]);
        prop_assert!(rest[expected.len()].starts_with("Expires="));
        for (flag, attribute) in flags.into_iter().zip(["HttpOnly", "Secure", "Partitioned", "SameSite=Strict"]) {
            prop_assert_eq!(rest.iter().any(|part| part == attribute), flag);
        }
    }

    #[test]
    fn json_is_what_others_call_json(text in any::<String>()) {
        let ours = Record::decode(&format!("{{\"data\":{{\"a\":{text}}}}}"), Limits::LOAD);
        let theirs = serde_json::from_str::<serde_json::Value>(&format!("{{\"a\":{text}}}"));
        if let Ok(record) = ours {
            prop_assert!(theirs.is_ok(), "{}", record.data());
        }
    }

    #[test]
    fn every_record_comes_back(
        data in json(),
        created in any::<u64>(),
        entropy in any::<[u8; 12]>(),
        express in any::<bool>(),
        writes in prop::collection::vec(any::<[u8; 12]>(), 0..=Meta::WRITES),
        next in any::<Option<([u8; 24], Option<u64>)>>(),
        deadlines in any::<[Option<u64>; 3]>(),
        user in any::<Option<(String, [u8; 12])>>(),
    ) {
        let data = serde_json::json!({ "a": data }).to_string();
        let id = WriteId::from_entropy(&entropy);
        let mut meta = Meta::created(UnixMillis(created));
        meta.writes = writes.iter().map(WriteId::from_entropy).collect();
        [meta.renewed, meta.idle, meta.absolute] = deadlines.map(|at| at.map(UnixMillis));
        meta.user = user.map(|(name, entropy)| UserRef {
            name: serde_json::json!(name).to_string(),
            handle: Handle::from_entropy(&entropy),
        });
        let old = SessionId::from_entropy(&[0; 24]);
        let next = next.map(|(entropy, grace)| (SessionId::from_entropy(&entropy), grace.map(UnixMillis)));
        meta.next = next.clone().map(|(new, grace)| Next { id: HiddenId::new(&new, &old, &id), grace });
        let limits = Limits { depth: 64, ..Limits::SAVE };
        let format = if express { Format::ExpressSession } else { Format::SvelteKitSessions };
        let input = OptionsInput { format, ..OptionsInput::default() };
        let options = Options::new(input).unwrap();
        let cookie = options.record_cookie(r#"{"path":"/"}"#, UnixMillis(created)).unwrap();
        let record = Record::new(format, id.clone(), &cookie, &data, meta.clone(), limits).unwrap();
        let text = record.encode(limits).unwrap();
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        let read = Record::decode(&text, limits).unwrap();
        prop_assert_eq!(read.format(), format);
        prop_assert_eq!(read.data(), data);
        prop_assert_eq!(read.write_id(), Some(&id));
        prop_assert_eq!(read.meta(), &meta);
        prop_assert_eq!(read.next(&old), Ok(next));
    }

    #[test]
    fn a_damaged_record_is_no_other_record(at in any::<prop::sample::Index>(), bit in 0..8u8, cut in any::<bool>()) {
        let text = r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{"path":"/"},"data":{"a":["b",1,null]},"meta":{"created":5}}"#;
        let mut bytes = text.as_bytes().to_vec();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        if let Ok(damaged) = String::from_utf8(bytes)
            && let Ok(record) = Record::decode(&damaged, Limits::LOAD)
        {
            // A changed letter inside a string is another session's data, but still JSON.
            prop_assert!(!cut);
            prop_assert!(serde_json::from_str::<serde_json::Value>(record.data()).is_ok());
        }
    }

    #[test]
    fn the_memory_table_is_a_map_with_ttls(steps in prop::collection::vec((0..6usize, 0..4u8, 0..50u64, 0..9u64), 1..200)) {
        let limits = MemoryLimits { entries: 4, bytes: 1 << 20, default_ttl: 30 };
        let mut table = MemoryTable::new(limits);
        let mut model: BTreeMap<String, (String, u64)> = BTreeMap::default();
        let mut now = 1_000_000;
        for (key, step, ttl, pause) in steps {
            now += pause;
            model.retain(|_, (_, deadline)| *deadline > now);
            let key = format!("key {key}");
            let at = UnixMillis(now);
            let life = if ttl == 49 { Ttl::Infinite } else { Ttl::Millis(ttl) };
            let deadline = now + if ttl == 49 { 30 } else { ttl };
            match step {
                0 => prop_assert_eq!(table.get(&key, at).map(str::to_owned), model.get(&key).map(|e| e.0.clone())),
                1 => {
                    let done = table.set(&key, &now.to_string(), life, at);
                    if ttl == 0 {
                        prop_assert!(done.is_ok());
                        model.remove(&key);
                    } else if done.is_ok() {
                        model.insert(key, (now.to_string(), deadline));
                        prop_assert!(model.len() <= limits.entries);
                    } else {
                        // Refused only if it is full of unexpired records, or was within the last second.
                        prop_assert!(!model.contains_key(&key) && table.len() >= limits.entries);
                    }
                }
                2 => {
                    prop_assert_eq!(table.touch(&key, life, at), model.contains_key(&key));
                    if ttl == 0 {
                        model.remove(&key);
                    } else if let Some(entry) = model.get_mut(&key) {
                        entry.1 = deadline;
                    }
                }
                _ => {
                    prop_assert!(table.remove(&key) || !model.contains_key(&key));
                    model.remove(&key);
                }
            }
        }
        table.sweep(UnixMillis(now));
        prop_assert_eq!(table.len(), model.values().filter(|(_, deadline)| *deadline > now).count());
        table.sweep(UnixMillis(u64::MAX));
        prop_assert_eq!((table.len(), table.bytes()), (0, 0));
    }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
            }
            plain => plain,
        });
    }
    decoded
}

#[test]
fn a_megabyte_of_garbage_is_answered() {
    let name = name();
    for piece in
        [&b"a"[..], b";", b"=", b"; =", b"connect.sid=x; ", b"connect.sid", b" ", b"\xFF", b"%"]
    {
        let garbage = piece.repeat((1 << 20) / piece.len());
        let found = cookie_header::candidates(&garbage, &name)
            .filter_map(|value| ring().verify(value))
            .count();
        assert_eq!(found, 0);
        assert_eq!(ring().verify(&garbage), None);
        let text = String::from_utf8_lossy(&garbage);
        assert!(Record::decode(&text, Limits::LOAD).is_err());
    }
}

/// The text of a secret that a tool makes of 32 random bytes, or of 16 for a UUID: hexadecimal, base64 and a UUID.
fn made_of(bytes: [u8; 32]) -> [String; 4] {
    let hex = bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let part = |start: usize, end: usize| hex.get(start..end).unwrap();
    let (a, b, c, d) = (part(0, 8), part(8, 12), part(13, 16), part(17, 20));
    let uuid = format!("{a}-{b}-4{c}-a{d}-{}", part(20, 32));
    [
        hex.to_uppercase(),
        Base64::encode_string(&bytes),
        Base64UrlUnpadded::encode_string(&bytes),
        uuid,
    ]
}

/// Words of a passphrase: at most two of them are words of samples, and the others may resemble each other.
fn words() -> impl Strategy<Value = Vec<String>> {
    let word =
        prop_oneof!["[a-z]{3,9}", prop::sample::select(WORDS.as_slice()).prop_map(str::to_owned)];
    let words = prop::collection::btree_set(word, 6);
    let samples = prop::sample::subsequence(SAMPLES.as_slice(), 0..=2);
    (words, samples).prop_map(|(words, samples)| {
        let samples = samples.into_iter().map(str::to_owned);
        samples.chain(words).take(6).collect()
    })
}

/// Words of which no sample consists.
const WORDS: [&str; 24] = [
    "acid", "acorn", "acre", "acts", "afar", "bat", "cater", "catnip", "chant", "chat", "even",
    "event", "ever", "every", "jab", "jabs", "jam", "jams", "longing", "sad", "say", "set", "them",
    "yours",
];

/// Words of samples.
const SAMPLES: [&str; 11] = [
    "cat",
    "change",
    "environment",
    "from",
    "key",
    "keyboard",
    "long",
    "password",
    "random",
    "secret",
    "the",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn production_accepts_random_bytes_in_any_form(bytes in any::<[u8; 32]>()) {
        // A generator that shrinks towards zero makes bytes that no random source makes.
        prop_assume!(bytes.iter().collect::<BTreeSet<_>>().len() >= 16);
        for secret in made_of(bytes) {
            prop_assert!(KeyRing::checked(&[&secret], None, true).is_ok(), "{secret}");
        }
    }

    #[test]
    fn production_accepts_six_words(words in words()) {
        for separator in [" ", "-", ""] {
            let secret = words.join(separator);
            let checked = KeyRing::checked(&[&secret], None, true);
            prop_assert!(checked.is_ok() || secret.len() < KeyRing::SHORTEST, "{secret}");
        }
    }
}
