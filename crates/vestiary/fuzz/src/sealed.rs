use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use vestiary::{SealRing, SessionId, WriteId};

use crate::{
    edit::{Edit, edited},
    record::{Members, write_id},
};

/// Fuzzes sealed records: a sealed record opens at its place, and nothing else opens anywhere.
pub fn sealed(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        let seed = seed();
        seed.check(text);
        seed.check(&seed.with_box(text));
    }
    if let Ok(forgery) = Unstructured::new(data).arbitrary::<Forgery<'_>>() {
        forgery.check();
    }
}

/// Rings that open what others must not: of another namespace, of none, and with another secret.
static RINGS: LazyLock<[SealRing; 4]> = LazyLock::new(|| {
    [
        (&[NEW, OLD][..], Some("a")),
        (&[NEW, OLD], Some("b")),
        (&[NEW, OLD], None),
        (&["the secret of another app, 32 bytes"], Some("a")),
    ]
    .map(|(secrets, namespace)| SealRing::new(secrets, namespace).expect("good secrets"))
});

/// The ring with the previous secret: the current ring opens its records.
static OLD_RING: LazyLock<SealRing> =
    LazyLock::new(|| SealRing::new(&[OLD], Some("a")).expect("a good secret"));

const NEW: &str = "the secret of this year, 32 bytes and more";
const OLD: &str = "the secret of last year, 32 bytes and more";

// The parts of `corpus_seeds/sealed/valid`.
const SEED_ENTROPY: [u8; SessionId::ENTROPY] = [7; SessionId::ENTROPY];
const SEED_NONCE: [u8; SealRing::NONCE] = [9; SealRing::NONCE];
const SEED_KEY: &str = "sess:7";
const SEED_TEXT: &str =
    r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{"a":1},"meta":{"created":5}}"#;

fn seed() -> Sealed<'static> {
    Sealed::new(&RINGS[0], SEED_ENTROPY, SEED_KEY, SEED_TEXT, SEED_NONCE)
}

/// A record, sealed at its place.
struct Sealed<'t> {
    id: SessionId,
    key: &'t str,
    text: &'t str,
    stored: String,
}

impl<'t> Sealed<'t> {
    fn new(
        ring: &SealRing,
        entropy: [u8; SessionId::ENTROPY],
        key: &'t str,
        text: &'t str,
        nonce: [u8; SealRing::NONCE],
    ) -> Self {
        let id = SessionId::from_entropy(&entropy);
        let stored = ring.seal(&id, key, text, &nonce);
        Self { id, key, text, stored }
    }

    /// `presented` opens only if it equals the sealed record, and then gives the text.
    fn check(&self, presented: &str) {
        match RINGS[0].open(&self.id, self.key, presented) {
            Ok(opened) => {
                assert_eq!(opened, self.text, "from {presented:?}");
                // Blanks and unknown members around the box are of no account.
                let [ours, theirs] = [&self.stored, presented].map(members);
                assert_eq!(theirs, ours, "{presented:?} opens");
            }
            Err(_) => assert_ne!(presented, self.stored, "what was sealed does not open"),
        }
    }

    /// The record with other sealed bytes and the valid write ID. The bytes may contain a quote.
    fn with_box(&self, other: &str) -> String {
        let write_id = write_id(self.text).unwrap_or_default();
        format!("{{\"v\":\"{write_id}\",\"sealed\":\"{other}\"}}")
    }
}

/// The write ID and the sealed bytes, with their quotes.
fn members(sealed: &str) -> [Option<&str>; 2] {
    let members = Members::of(sealed);
    ["\"v\"", "\"sealed\""].map(|name| members.last(name))
}

/// A sealed record, and edits of it.
#[derive(Arbitrary, Debug)]
struct Forgery<'a> {
    text: Text<'a>,
    key: &'a str,
    entropy: [u8; SessionId::ENTROPY],
    nonce: [u8; SealRing::NONCE],
    by_old: bool,
    edits: Vec<Edit<'a>>,
    place: Place<'a>,
    spelling: Spelling,
}

#[derive(Arbitrary, Debug)]
enum Text<'a> {
    Seed {
        write_id: [u8; WriteId::ENTROPY],
        rest: &'a str,
    },
    Express {
        write_id: [u8; WriteId::ENTROPY],
        rest: &'a str,
    },
    /// With an invalid write ID of the right length.
    Odd {
        write_id: [u8; WriteId::LENGTH],
        rest: &'a str,
    },
    /// Most likely without a write ID.
    Any(&'a str),
}

/// Another box that a lenient decoder would take for the same, or a short one.
#[derive(Arbitrary, Debug)]
enum Spelling {
    Padded,
    Standard,
    /// Bits after the last byte, which decoding ignores.
    Trailing,
    LineBreak {
        at: u16,
    },
    Start {
        groups: u8,
    },
    End {
        groups: u8,
    },
}

impl Spelling {
    fn of(&self, sealed: &str) -> String {
        const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        match *self {
            Self::Padded => sealed.to_owned() + ["", "=", "==", "="][sealed.len() % 4],
            Self::Standard => sealed.replace('-', "+").replace('_', "/"),
            Self::Trailing => {
                let (rest, last) = sealed.split_at(sealed.len() - 1);
                let at = ALPHABET.find(last).expect("base64url");
                rest.to_owned() + &ALPHABET[at ^ 1..=at ^ 1]
            }
            Self::LineBreak { at } => {
                let (start, end) = sealed.split_at(usize::from(at) % (sealed.len() + 1));
                [start, "\\n", end].concat()
            }
            Self::Start { groups } => sealed.chars().take(4 * usize::from(groups)).collect(),
            Self::End { groups } => sealed.chars().skip(4 * usize::from(groups)).collect(),
        }
    }
}

/// The place under which it is presented.
#[derive(Arbitrary, Debug)]
enum Place<'a> {
    Session([u8; SessionId::ENTROPY]),
    Key(&'a str),
    Ring(u8),
}

impl Forgery<'_> {
    fn check(&self) {
        let text = match self.text {
            Text::Seed { write_id, rest } => {
                format!("{{\"v\":\"{}\"{rest}", WriteId::from_entropy(&write_id).as_str())
            }
            Text::Express { write_id, rest } => {
                format!(
                    "{{\"cookie\":{{\"v\":\"{}\"{rest}",
                    WriteId::from_entropy(&write_id).as_str()
                )
            }
            Text::Odd { write_id, rest } => {
                let write_id: String =
                    write_id.map(|byte| char::from(b' ' + byte % 95)).iter().collect();
                format!("{{\"v\":\"{write_id}\"{rest}")
            }
            Text::Any(text) => text.to_owned(),
        };
        let ring = if self.by_old { &*OLD_RING } else { &RINGS[0] };
        let valid = Sealed::new(ring, self.entropy, self.key, &text, self.nonce);
        let Some(write_id) = write_id(&text) else {
            assert_eq!(valid.stored, "", "{text:?} has no write ID and was sealed");
            return;
        };
        assert_eq!(crate::record::write_id(&valid.stored), Some(write_id), "of {:?}", valid.stored);
        valid.check(&valid.stored);
        self.check_place(&valid);
        let sealed = members(&valid.stored)[1].expect("a box").trim_matches('"');
        valid.check(&valid.with_box(&self.spelling.of(sealed)));
        if let Ok(presented) = String::from_utf8(edited(&valid.stored, &self.edits)) {
            valid.check(&presented);
        }
    }

    /// Nothing opens anywhere but where it was sealed.
    fn check_place(&self, valid: &Sealed<'_>) {
        let Sealed { id, key, stored, .. } = valid;
        let opened = match self.place {
            Place::Session(entropy) if entropy != self.entropy => {
                RINGS[0].open(&SessionId::from_entropy(&entropy), key, stored)
            }
            Place::Key(other) if other != *key => RINGS[0].open(id, other, stored),
            Place::Ring(n) => RINGS[1 + usize::from(n) % 3].open(id, key, stored),
            _ => return,
        };
        assert!(opened.is_err(), "{stored:?} opens at {:?}", self.place);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_seed_of_the_corpus_is_valid() {
        assert_eq!(include_str!("../corpus_seeds/sealed/valid").trim_end(), super::seed().stored);
    }
}
