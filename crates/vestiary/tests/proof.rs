//! The proofs of devices, as anyone may send them: each is read or refused in bounded time, and what is read is what another
//! parser of JSON reads.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use base64ct::{Base64UrlUnpadded, Encoding as _};
use proptest::{prelude::*, strategy::ValueTree as _};
use serde_json::Value;
use vestiary::{Limits, Meta, Record, binding::Exchange};

/// The metadata of a session that is bound to the key of ones.
fn bound() -> Meta {
    let key = Base64UrlUnpadded::encode_string(&[1; 64]);
    let binding = format!(r#"{{"key":"{key}","first":"a","since":1,"challenge":"b","at":1}}"#);
    let slot = format!(r#"{{"vestiary:device":{{"until":253402300799999,"value":{binding}}}}}"#);
    let text = format!(r#"{{"v":"AAAAAAAAAAAAAAAA","data":{{}},"meta":{{"slots":{slot}}}}}"#);
    Record::decode(&text, Limits::LOAD).unwrap().meta().clone()
}

/// Text of a JSON object that is often nearly the one of a browser.
fn object(members: &'static [&'static str]) -> impl Strategy<Value = String> {
    let member = prop_oneof![
        9 => prop::sample::select(members).prop_map(str::to_owned),
        1 => "\"[a-z]{1,3}\":(1|\"x\"|\\[\\]|null)",
    ];
    let whole = members.join(",");
    prop_oneof![
        3 => Just(format!("{{{whole}}}")),
        6 => prop::collection::vec(member, 0..4).prop_map(|all| format!("{{{}}}", all.join(","))),
        1 => "[\\[{\"a:,}\\]]{0,8}",
    ]
}

const HEADER: &[&str] = &[
    r#""alg":"ES256""#,
    r#""typ":"dbsc+jwt""#,
    r#""jwk":{"kty":"EC","crv":"P-256","x":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","y":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"}"#,
];
const CLAIMS: &[&str] = &[r#""jti":"b""#];

/// A token, and often an edit of its text.
fn token() -> impl Strategy<Value = String> {
    let signature = prop_oneof![8 => Just(64_usize), 1 => 0..80_usize];
    let edit =
        prop_oneof![4 => Just(None), 1 => (0..400_usize, "[-.=\"A-Za-z0-9_é ]").prop_map(Some)];
    (object(HEADER), object(CLAIMS), signature, edit).prop_map(|(header, claims, length, edit)| {
        let [header, claims] =
            [header, claims].map(|part| Base64UrlUnpadded::encode_string(part.as_bytes()));
        let signature = Base64UrlUnpadded::encode_string(&vec![7; length]);
        let mut text = format!("{header}.{claims}.{signature}");
        if let Some((at, with)) = edit {
            let at = at % (text.len() + 1);
            text.insert_str(at, &with);
        }
        text
    })
}

fn part(text: &str) -> Value {
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(text).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_proof_that_is_read_is_one_to_another_parser(text in token(), registers: bool) {
        let exchange = Exchange { registers, proof: &text, session: "" };
        let Some(proof) = exchange.read(&bound()) else { return Ok(()) };
        let text = text.trim().trim_matches('"');
        let parts: Vec<_> = text.split('.').collect();
        prop_assert_eq!(parts.len(), 3);
        let (header, claims) = (part(parts[0]), part(parts[1]));
        prop_assert_eq!(&header["alg"], "ES256");
        prop_assert!(header["typ"].as_str().unwrap().eq_ignore_ascii_case("dbsc+jwt"));
        prop_assert!(claims["jti"].is_string());
        prop_assert_eq!(proof.signing_input, &[parts[0], parts[1]].join("."));
        let signature = Base64UrlUnpadded::decode_vec(parts[2]).unwrap();
        prop_assert_eq!(&signature[..], &proof.signature[..]);
        prop_assert_eq!(proof.key, [[1; 32]; 2]);
        prop_assert!(!registers || header["jwk"].is_object());
    }

    #[test]
    fn any_text_is_answered(text in "(?s).{0,200}", registers: bool) {
        let exchange = Exchange { registers, proof: &text, session: &text };
        prop_assert!(exchange.read(&bound()).is_none());
        prop_assert!(exchange.read(&Meta::default()).is_none());
    }
}

#[test]
fn most_tokens_of_the_property_are_read() {
    // Otherwise it would say little.
    let (mut runner, strategy) = (proptest::test_runner::TestRunner::deterministic(), token());
    let read = (0..1_000).filter(|_| {
        let text = strategy.new_tree(&mut runner).unwrap().current();
        [true, false].into_iter().any(|registers| {
            Exchange { registers, proof: &text, session: "" }.read(&bound()).is_some()
        })
    });
    let read = read.count();
    assert!(read > 100, "{read}");
}
