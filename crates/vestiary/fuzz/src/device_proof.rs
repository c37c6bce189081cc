use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use serde_json::Value;
use vestiary::{
    Limits, Meta, Record,
    binding::{Exchange, Proof},
};

use crate::edit::{Edit, edited};

/// Fuzzes the proof of a device: a proof is read in its one spelling, with the key, the challenge and the signature that it
/// has, and a refresh with the key of the session only.
pub fn device_proof(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        check(text);
    }
    if let Ok(forgery) = Unstructured::new(data).arbitrary::<Forgery<'_>>() {
        forgery.check();
    }
}

/// The longest header that is read, in bytes.
const LONGEST: usize = 4_096;

/// The key of a bound session.
const BOUND_TO: [[u8; 32]; 2] = [[7; 32], [9; 32]];

/// A session that was never offered a binding, one that was, one with a binding of another form, and one that is bound.
static SESSIONS: LazyLock<[Meta; 4]> = LazyLock::new(|| {
    let key = url(&BOUND_TO.concat());
    [
        String::new(),
        slot(r#"{"challenge":"c","at":1}"#),
        slot("5"),
        slot(&format!(r#"{{"key":"{key}","first":"f","since":1,"challenge":"c","at":1}}"#)),
    ]
    .map(|slots| {
        let text = format!(
            r#"{{"v":"AAAAAAAAAAAAAAAA","cookie":{{}},"data":{{}},"meta":{{"created":5{slots}}}}}"#
        );
        Record::decode(&text, Limits::LOAD).expect("a valid record").meta().clone()
    })
});

fn slot(binding: &str) -> String {
    format!(r#","slots":{{"vestiary:device":{{"until":253402300799999,"value":{binding}}}}}"#)
}

/// Reads the text as a registration and as a refresh of each session, and compares what is found with an own reading.
fn check(text: &str) {
    let claimed = Claimed::of(text);
    for (session, meta) in SESSIONS.iter().enumerate() {
        for registers in [true, false] {
            let exchange = Exchange { registers, proof: text, session: "" };
            let Some(proof) = exchange.read(meta) else { continue };
            let claimed = claimed.as_ref().unwrap_or_else(|| panic!("{text:?} is read"));
            assert_eq!(claimed.signing_input, proof.signing_input, "what {text:?} signs");
            assert_eq!(claimed.signature, proof.signature, "the signature of {text:?}");
            if registers {
                assert_eq!(claimed.key, Some(proof.key), "the key of {text:?}");
            } else {
                assert_eq!((session, proof.key), (3, BOUND_TO), "the key of the session");
            }
            check_texts(&proof, text);
        }
    }
}

/// A proof has one spelling: what was read, written again, is the token.
fn check_texts(proof: &Proof<'_>, text: &str) {
    let [x, y, signature] = proof.texts();
    assert_eq!([x, y], proof.key.map(|number| url(&number)));
    assert_eq!([proof.signing_input, ".", &signature].concat(), inner(text), "another spelling");
}

/// The header without blanks and without its quotes.
fn inner(header: &str) -> &str {
    let header = header.trim_matches(|c: char| c.is_ascii_whitespace());
    match header.len() {
        2.. if header.starts_with('"') && header.ends_with('"') => &header[1..header.len() - 1],
        _ => header,
    }
}

/// The parts of a proof, read the slow way: RFC 7515, and the draft of device-bound sessions.
struct Claimed<'t> {
    signing_input: &'t str,
    signature: [u8; 64],
    key: Option<[[u8; 32]; 2]>,
}

impl<'t> Claimed<'t> {
    fn of(header: &'t str) -> Option<Self> {
        let text = inner(header);
        let parts: Vec<_> = text.split('.').collect();
        let [head, claims, signature] = parts[..] else { return None };
        let [head, claims] = [head, claims].map(|part| {
            let bytes = decoded(part)?;
            serde_json::from_slice::<Value>(&bytes).ok().filter(Value::is_object)
        });
        let (head, claims) = (head?, claims?);
        let kind = head["typ"].as_str()?.to_ascii_lowercase();
        let is_right = text.len() <= LONGEST
            && head["alg"] == "ES256"
            && head.get("crit").is_none()
            && matches!(&*kind, "dbsc+jwt" | "application/dbsc+jwt")
            && claims["jti"].is_string();
        let jwk = &head["jwk"];
        let number = |name: &str| decoded(jwk[name].as_str()?)?.try_into().ok();
        let key = match (number("x"), number("y")) {
            (Some(x), Some(y)) if jwk["kty"] == "EC" && jwk["crv"] == "P-256" => Some([x, y]),
            _ => None,
        };
        let signing_input = &text[..text.len() - signature.len() - 1];
        let signature = decoded(signature)?.try_into().ok()?;
        is_right.then_some(Self { signing_input, signature, key })
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The bytes as base64url without padding, by way of their bits.
fn url(bytes: &[u8]) -> String {
    let bits: Vec<u8> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1)).collect();
    let symbol = |six: &[u8]| {
        let value = (0..6).fold(0, |sum, n| sum << 1 | six.get(n).copied().unwrap_or(0));
        char::from(ALPHABET[usize::from(value)])
    };
    bits.chunks(6).map(symbol).collect()
}

/// The bytes of this text, if it is how [`url`] writes them.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let place = |symbol: u8| ALPHABET.iter().position(|&one| one == symbol);
    let values: Vec<usize> = text.bytes().map(place).collect::<Option<_>>()?;
    let bits: Vec<usize> =
        values.iter().flat_map(|value| (0..6).rev().map(move |n| value >> n & 1)).collect();
    let byte = |eight: &[usize]| {
        u8::try_from(eight.iter().fold(0, |sum, bit| sum << 1 | bit)).expect("eight bits")
    };
    let bytes: Vec<u8> = bits.chunks_exact(8).map(byte).collect();
    (url(&bytes) == text).then_some(bytes)
}

/// A valid proof, and edits of it.
#[derive(Arbitrary, Debug)]
struct Forgery<'a> {
    registers: bool,
    key: [[u8; 32]; 2],
    signature: [[u8; 32]; 2],
    challenge: &'a str,
    other: &'a str,
    typ: Type,
    quotes: bool,
    blanks: u8,
    /// Edits of the header, of the parts as JSON, and of the whole.
    head: Vec<Edit<'a>>,
    claims: Vec<Edit<'a>>,
    whole: Vec<Edit<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Type {
    Plain,
    Full,
    Capital,
}

impl Forgery<'_> {
    fn check(&self) {
        let kind = match self.typ {
            Type::Plain => "dbsc+jwt",
            Type::Full => "application/dbsc+jwt",
            Type::Capital => "DBSC+JWT",
        };
        let [x, y] = self.key.map(|number| url(&number));
        let jwk = if self.registers {
            format!(r#","jwk":{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#)
        } else {
            String::new()
        };
        let [challenge, other] =
            [self.challenge, self.other].map(|text| Value::from(text).to_string());
        let head = format!(r#"{{"other":{other},"alg":"ES256","typ":"{kind}"{jwk}}}"#);
        let claims = format!(r#"{{"jti":{challenge},"sub":{other}}}"#);
        let valid = self.token(head.as_bytes(), claims.as_bytes());
        if valid.len() <= LONGEST {
            let exchange = Exchange { registers: self.registers, proof: &valid, session: "" };
            let proof =
                exchange.read(&SESSIONS[3]).unwrap_or_else(|| panic!("{valid:?} is not read"));
            assert_eq!(proof.key, if self.registers { self.key } else { BOUND_TO });
            assert_eq!(proof.signature.as_slice(), self.signature.concat());
        }
        check(&valid);
        check(&self.token(&edited(&head, &self.head), &edited(&claims, &self.claims)));
        if let Ok(text) = String::from_utf8(edited(&valid, &self.whole)) {
            check(&text);
        }
    }

    /// The header with a token of these parts.
    fn token(&self, head: &[u8], claims: &[u8]) -> String {
        let token = [head, claims, &self.signature.concat()].map(url).join(".");
        let blanks = " \t".repeat(usize::from(self.blanks % 3));
        let quote = if self.quotes { "\"" } else { "" };
        [&blanks, quote, &token, quote, &blanks].concat()
    }
}
