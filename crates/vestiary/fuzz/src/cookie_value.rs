use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use vestiary::{Format, KeyRing, SessionId};

use crate::edit::{Edit, edited};

/// Fuzzes the signed value of the cookie: a signed value is accepted in each spelling, and nothing else is.
pub fn cookie_value(data: &[u8]) {
    check(data);
    if let Ok(forgery) = Unstructured::new(data).arbitrary::<Forgery<'_>>() {
        forgery.check();
    }
}

/// A ring of two secrets. The second one, cut to the low bytes of its UTF-16 as svelte-kit-sessions
/// did, is [`LEGACY`]: U+0173 becomes `s`.
static RING: LazyLock<KeyRing> = LazyLock::new(|| ring(&[SECRET, BEYOND_ASCII]));

/// Each key of the ring alone: who could have signed.
static SIGNERS: LazyLock<[KeyRing; 3]> =
    LazyLock::new(|| [SECRET, BEYOND_ASCII, LEGACY].map(|secret| ring(&[secret])));

const SECRET: &str = "the secret of this year, long enough";
const BEYOND_ASCII: &str = "the \u{173}ecret of last year, long enough";
const LEGACY: &str = "the secret of last year, long enough";

fn ring(secrets: &[&str]) -> KeyRing {
    KeyRing::new(secrets).expect("good secrets")
}

fn check(value: &[u8]) {
    let verified = RING.verify(value);
    assert_eq!(verified, expected(value), "of {:?}", String::from_utf8_lossy(value));
    let Some(id) = verified else { return };
    assert!(is_id(id.expose().as_bytes()), "accepted as an ID");
    assert!(RING.hint(&id).is_none_or(|hash| hash.len() == 43), "a hint of another length");
    for format in [Format::SvelteKitSessions, Format::ExpressSession] {
        // An own ID may have a `%`, which is encoded on its way into a cookie.
        let again = RING.sign(&id, format).replace('%', "%25");
        assert_eq!(RING.verify(again.as_bytes()), Some(id.clone()), "signed again");
    }
}

/// The expected ID, derived from [`KeyRing::sign`] alone: one of the signers would have written exactly this value.
fn expected(value: &[u8]) -> Option<SessionId> {
    if value.len() > 1024 {
        return None;
    }
    let decoded = String::from_utf8(percent_decoded(value)).ok()?;
    let value = decoded.strip_prefix("s:").unwrap_or(&decoded);
    // A signature is base64, which has no dot.
    let (id, _) = value.rsplit_once('.')?;
    let id = SessionId::parse(id).ok()?;
    SIGNERS.iter().any(|signer| signer.sign(&id, Format::SvelteKitSessions) == value).then_some(id)
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).and_then(|digits| str::from_utf8(digits).ok());
        // `from_str_radix` alone takes a sign for a digit.
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match (text[at], digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

/// A valid value, and edits of it.
#[derive(Arbitrary, Debug)]
struct Forgery<'a> {
    id: Id<'a>,
    signer: u8,
    express: bool,
    /// Which characters are percent-encoded.
    encoded: &'a [u8],
    edits: Vec<Edit<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Id<'a> {
    Ours([u8; SessionId::ENTROPY]),
    /// An ID of the application's own generator: visible ASCII, of which a cookie allows only a part.
    Own {
        length: u16,
        characters: &'a [u8],
    },
}

impl Id<'_> {
    fn made(&self) -> Option<SessionId> {
        match *self {
            Self::Ours(entropy) => Some(SessionId::from_entropy(&entropy)),
            Self::Own { length, characters } => {
                let visible = characters.iter().map(|byte| b'!' + byte % 94);
                let id: Vec<u8> = visible.cycle().take(usize::from(length % 300)).collect();
                let made = SessionId::from_bytes(&id);
                assert_eq!(made.is_some(), is_id(&id), "{:?}", String::from_utf8_lossy(&id));
                made
            }
        }
    }
}

/// RFC 6265 section 4.1.1, `cookie-octet`, with an allowed length and without express-session's `s:`.
fn is_id(id: &[u8]) -> bool {
    let octet = |byte: &u8| byte.is_ascii_graphic() && !b"\",;\\".contains(byte);
    (16..=256).contains(&id.len()) && id.iter().all(octet) && !id.starts_with(b"s:")
}

impl Forgery<'_> {
    fn check(&self) {
        let Some(id) = self.id.made() else { return };
        let format = if self.express { Format::ExpressSession } else { Format::SvelteKitSessions };
        let signer = &SIGNERS[usize::from(self.signer) % SIGNERS.len()];
        let value = self.percent_encoded(&signer.sign(&id, format));
        assert_eq!(RING.verify(value.as_bytes()), Some(id), "a valid value");
        check(&edited(&value, &self.edits));
    }

    /// Percent-encodes more than necessary. A `%` is always encoded.
    fn percent_encoded(&self, value: &str) -> String {
        let hex = |byte| format!("%{byte:02x}");
        let mut encoded = String::new();
        for (at, byte) in value.bytes().enumerate() {
            let chosen = self.encoded.get(at % self.encoded.len().max(1)).copied().unwrap_or(0);
            match chosen % 4 {
                1 => encoded.push_str(&hex(byte).to_uppercase()),
                2 => encoded.push_str(&hex(byte)),
                _ if byte == b'%' => encoded.push_str("%25"),
                _ => encoded.push(char::from(byte)),
            }
        }
        encoded
    }
}
