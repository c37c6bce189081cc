use alloc::{string::String, vec::Vec};
use core::fmt;

use subtle::{Choice, ConstantTimeEq as _};

use crate::{
    Error, Format, SessionId, WriteId,
    crypto::{
        base64,
        hash::{HASH, MacKey},
        strength::is_guessable,
    },
    id::user_hash,
};

/// The secrets that sign the session cookie: the first signs, all verify.
///
/// The state of each HMAC key is computed once, here. A request then costs two SHA-256 blocks per key. `Debug` shows no
/// secret.
///
/// ```
/// # use vestiary::{Format, KeyRing, SessionId};
/// let id = SessionId::from_entropy(&[1; 24]);
/// let old = KeyRing::new(&["the secret of last year, long enough"])?;
/// let both = KeyRing::new(&["the secret of this year, long enough", "the secret of last year, long enough"])?;
///
/// let cookie = old.sign(&id, Format::SvelteKitSessions);
/// assert_eq!(both.verify(cookie.as_bytes()), Some(id.clone()));
/// assert_eq!(old.verify(both.sign(&id, Format::SvelteKitSessions).as_bytes()), None);
/// # Ok::<(), vestiary::Error>(())
/// ```
pub struct KeyRing {
    /// The first one signs.
    verifiers: Vec<MacKey>,
    /// The byte that each verifier appends to its hints.
    tags: Vec<u8>,
}

/// The length of base64 without padding of the 32 bytes of an HMAC-SHA256.
const SIGNATURE: usize = 43;

/// The number of characters of an ID that can get a hint: those of [`SessionId::from_entropy`].
const HINTED: usize = SessionId::ENTROPY / 3 * 4;

/// The longest cookie value of Vestiary, even with every character percent-encoded. A longer value is rejected without
/// cryptography.
const LONGEST_VALUE: usize = 1024;

impl KeyRing {
    /// The minimum length of a secret in production, in bytes ([`KeyRing::checked`]).
    pub const SHORTEST: usize = 16;

    /// Creates a key ring from these secrets, encoded as UTF-8.
    ///
    /// svelte-kit-sessions truncates every UTF-16 unit of a secret to its low byte. For a secret beyond ASCII, the
    /// truncated key is added for verifying, so that those cookies stay valid; it never signs.
    ///
    /// # Errors
    /// [`Error::SecretMissing`] if there is no secret, or one is empty.
    pub fn new<S: AsRef<str>>(secrets: &[S]) -> Result<Self, Error> {
        Self::of(secrets, None)
    }

    #[inline(never)]
    fn of<S: AsRef<str>>(secrets: &[S], namespace: Option<&str>) -> Result<Self, Error> {
        let mut verifiers = Vec::with_capacity(secrets.len());
        for secret in secrets.iter().map(AsRef::as_ref) {
            if secret.is_empty() {
                return Err(Error::SecretMissing);
            }
            let master = MacKey::new(secret.as_bytes());
            if let Some(namespace) = namespace {
                let own = master.mac(&[b"vestiary.namespace.v1", namespace.as_bytes()]);
                verifiers.push(MacKey::new(&own));
                continue;
            }
            verifiers.push(master);
            if !secret.is_ascii() {
                verifiers.push(MacKey::new(&low_bytes(secret)));
            }
        }
        if verifiers.is_empty() {
            return Err(Error::SecretMissing);
        }
        let tags = verifiers.iter().map(|key| hint_pad(key, "")[0]).collect();
        Ok(Self { verifiers, tags })
    }

    /// As [`KeyRing::new`]; in production, secrets that are short or can be guessed are rejected. A secret can be guessed
    /// if all but seven of its runs of three bytes occur earlier in it, or in samples of documentation and in rows of keys. A `namespace` has keys of its own,
    /// `HMAC-SHA256(secret, "vestiary.namespace.v1" ‖ namespace)`, so its cookies are invalid in any other namespace.
    ///
    /// # Errors
    /// [`Error::SecretShort`] or [`Error::SecretWeak`] with the position of the first such secret, never its text.
    pub fn checked<S: AsRef<str>>(
        secrets: &[S],
        namespace: Option<&str>,
        production: bool,
    ) -> Result<Self, Error> {
        let ring = Self::of(secrets, namespace)?;
        for (position, secret) in (1..).zip(secrets.iter().map(AsRef::as_ref)) {
            if production && secret.len() < Self::SHORTEST {
                return Err(Error::SecretShort { position, minimum: Self::SHORTEST });
            }
            if production && is_guessable(secret) {
                return Err(Error::SecretWeak { position });
            }
        }
        Ok(ring)
    }

    /// The cookie value of an ID: `<id>.<base64 HMAC-SHA256>` without padding, as in svelte-kit-sessions and npm
    /// `cookie-signature`. express-session puts `s:` before it. The value is not percent-encoded yet.
    #[must_use]
    pub fn sign(&self, id: &SessionId, format: Format) -> String {
        let mut value = String::with_capacity(id.expose().len() + 3 + SIGNATURE);
        let buffer = &mut [0; SIGNATURE];
        // There is one.
        let signature = self.verifiers.first().map_or("", |key| signature(key, id, buffer));
        value.extend([format.cookie_prefix(), id.expose(), ".", signature]);
        value
    }

    /// The ID of a cookie value, if one of the secrets has signed it.
    ///
    /// Accepts the value as it stands in the header, percent-encoded or not, with or without the `s:` of
    /// express-session. Anything else is `None`, in time linear in its length.
    #[must_use]
    pub fn verify(&self, value: &[u8]) -> Option<SessionId> {
        let CookieValue { id, signature, .. } = CookieValue::parse(value).ok()?;
        self.signed_by_one(&id, &signature).then_some(id)
    }

    /// Adds a hint of the user's session list to an ID, so that a request reads the session and the list at once:
    /// `<id>~<44 characters>`, base64url of the hash in [`user_key`](crate::user_key) XOR `HMAC-SHA256(signing key,
    /// "vestiary.hint.v1\0" ‖ id)`, and a byte that tells the keys apart. Without the secret, the hint reveals neither
    /// the user nor whether two IDs belong to one user.
    ///
    /// Only new IDs of [`SessionId::from_entropy`] get a hint; any other ID is returned unchanged.
    ///
    /// ```
    /// # use vestiary::{KeyRing, SessionId, user_key};
    /// let ring = KeyRing::new(&["a long random secret, from the environment"])?;
    /// let id = ring.hinted(&SessionId::from_entropy(&[1; 24]), "ada");
    /// assert_eq!(ring.hint(&id), Some(user_key("ada")));
    /// # Ok::<(), vestiary::Error>(())
    /// ```
    #[must_use]
    pub fn hinted(&self, id: &SessionId, user: &str) -> SessionId {
        let own = id.expose();
        let first = self.tags.first().zip(self.verifiers.first());
        let Some((tag, key)) = first.filter(|_| own.len() == HINTED) else {
            return id.clone();
        };
        let mut hint = Vec::from(user_hash(user));
        hide_hint(&mut hint, key, own);
        hint.push(*tag);
        let hinted = [own, "~", &base64::url(&hint)].concat();
        SessionId::from_bytes(hinted.as_bytes()).unwrap_or_else(|| id.clone())
    }

    /// The hash in the key of the user's session list that an ID hints at ([`KeyRing::hinted`]), as
    /// [`user_key`](crate::user_key) computes it. `None` if the ID has no hint, or none of these secrets made it.
    ///
    /// A hint only says which list to read ahead. The record says who owns the session.
    #[must_use]
    pub fn hint(&self, id: &SessionId) -> Option<String> {
        let (own, hint) = id.expose().split_at_checked(HINTED)?;
        let mut hint = base64::decode_url(hint.strip_prefix('~')?)?;
        let tag = hint.pop().filter(|_| hint.len() == HASH)?;
        let at = self.tags.iter().position(|one| *one == tag)?;
        hide_hint(&mut hint, self.verifiers.get(at)?, own);
        Some(base64::url(&hint))
    }

    /// Signs a bound cookie that ends at `until`, for the public key of a device:
    /// `HMAC-SHA256(secret, "vestiary.bound.v1\0" ‖ until ‖ "." ‖ key)`.
    pub(crate) fn sign_bound(&self, until: &str, key: &str) -> String {
        let first = self.verifiers.first();
        first.map_or_else(String::new, |verifier| base64::url(&bound(verifier, until, key)))
    }

    /// Whether one of the secrets has signed such a cookie: [`KeyRing::sign_bound`].
    pub(crate) fn signs_bound(&self, until: &str, key: &str, signature: &str) -> bool {
        let mut found = Choice::from(0);
        for verifier in &self.verifiers {
            let expected = base64::url(&bound(verifier, until, key));
            found |= expected.as_bytes().ct_eq(signature.as_bytes());
        }
        found.into()
    }

    /// Compares text with text: decoding the presented signature first would accept several spellings of the same
    /// bytes. Every key is tried, so the time does not reveal which one matches.
    fn signed_by_one(&self, id: &SessionId, presented: &[u8; SIGNATURE]) -> bool {
        let mut found = Choice::from(0);
        for verifier in &self.verifiers {
            let expected = &mut [0; SIGNATURE];
            let expected = signature(verifier, id, expected).as_bytes().first_chunk();
            found |= expected.map_or(Choice::from(0), |expected| is_same(expected, presented));
        }
        found.into()
    }
}

/// The parts of a cookie value, for diagnosing why a cookie is rejected. [`KeyRing::verify`] decides whether it is
/// valid.
///
/// ```
/// # use vestiary::{CookieValue, Format, KeyRing, MalformedCookie, SessionId};
/// let ring = KeyRing::new(&["a long random secret, from the environment"])?;
/// let id = SessionId::from_entropy(&[1; 24]);
/// let value = CookieValue::parse(ring.sign(&id, Format::ExpressSession).as_bytes());
/// assert!(value.is_ok_and(|value| value.format == Format::ExpressSession && value.id == id));
/// assert_eq!(CookieValue::parse(b"tampered").err(), Some(MalformedCookie::Signature));
/// # Ok::<(), vestiary::Error>(())
/// ```
pub struct CookieValue {
    /// The format of the cookie.
    pub format: Format,
    /// Whether it was percent-encoded.
    pub encoded: bool,
    /// The ID, which is not verified.
    pub id: SessionId,
    signature: [u8; SIGNATURE],
}

/// The reason why a cookie value is malformed, whatever the secrets are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MalformedCookie {
    /// It is longer than any cookie of Vestiary.
    TooLong,
    /// It does not end with a dot and the 43 characters of a signature.
    Signature,
    /// The text before the signature is not a valid ID.
    Id,
}

impl CookieValue {
    /// Parses a value of a `Cookie` header, percent-encoded or not, with or without the `s:` of express-session. Takes
    /// time linear in its length.
    ///
    /// # Errors
    /// [`MalformedCookie`] names the malformed part.
    pub fn parse(value: &[u8]) -> Result<Self, MalformedCookie> {
        if value.len() > LONGEST_VALUE {
            return Err(MalformedCookie::TooLong);
        }
        let mut buffer;
        let decoded = match value.iter().position(|byte| *byte == b'%') {
            None => value,
            Some(first) => {
                buffer = [0; LONGEST_VALUE];
                percent_decoded(value, first, &mut buffer)
            }
        };
        let (format, rest) = match decoded.strip_prefix(b"s:") {
            Some(rest) => (Format::ExpressSession, rest),
            None => (Format::SvelteKitSessions, decoded),
        };
        // The signature is the last 43 characters, after a dot.
        let (id, signature) =
            rest.split_last_chunk::<SIGNATURE>().ok_or(MalformedCookie::Signature)?;
        let id = id.strip_suffix(b".").ok_or(MalformedCookie::Signature)?;
        let id = SessionId::from_bytes(id).ok_or(MalformedCookie::Id)?;
        Ok(Self { format, encoded: decoded != value, id, signature: *signature })
    }
}

impl fmt::Display for MalformedCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it is longer than a cookie of a session can be",
            Self::Signature => "it does not end in a dot and a signature of 43 characters",
            Self::Id => "what stands before the signature cannot be a session ID",
        })
    }
}

impl core::error::Error for MalformedCookie {}

/// Hides the ID and the signature, which together are the session.
impl fmt::Debug for CookieValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieValue").field("format", &self.format).finish_non_exhaustive()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("keys", &self.verifiers.len()).finish_non_exhaustive()
    }
}

/// Decodes a percent-encoded value whose first `%` is at `first`. Usually only a few characters near the end are
/// encoded, so everything before is copied unchanged, and nothing is allocated.
fn percent_decoded<'v>(
    value: &'v [u8],
    first: usize,
    buffer: &'v mut [u8; LONGEST_VALUE],
) -> &'v [u8] {
    let parts = value.split_at_checked(first).zip(buffer.split_at_mut_checked(first));
    let Some(((plain, encoded), (head, tail))) = parts else { return value };
    head.copy_from_slice(plain);
    let decoded =
        percent_encoding::percent_decode(encoded).zip(tail).map(|(byte, place)| *place = byte);
    let end = first + decoded.count();
    buffer.get(..end).unwrap_or_default()
}

/// Hides the hint of this ID, or reveals it again.
#[inline(never)]
fn hide_hint(hint: &mut [u8], key: &MacKey, id: &str) {
    hint.iter_mut().zip(hint_pad(key, id)).for_each(|(byte, pad)| *byte ^= pad);
}

/// The one-time pad of a hint. The zero byte separates it from signatures, because no ID contains one.
#[inline(never)]
fn hint_pad(key: &MacKey, id: &str) -> [u8; HASH] {
    key.mac(&[b"vestiary.hint.v1\0", id.as_bytes()])
}

/// The signature of a bound cookie. The zero byte separates it from the signatures of IDs.
fn bound(verifier: &MacKey, until: &str, key: &str) -> [u8; HASH] {
    verifier.mac(&[b"vestiary.bound.v1\0", until.as_bytes(), b".", key.as_bytes()])
}

fn signature<'b>(key: &MacKey, id: &SessionId, buffer: &'b mut [u8; SIGNATURE]) -> &'b str {
    let mac = key.mac(&[id.expose().as_bytes()]);
    // The buffer has exactly the length of the text, so this is never empty. Even an empty string would match nothing,
    // since a presented signature has `SIGNATURE` characters.
    base64::encode(base64::STANDARD, &mac, buffer)
}

/// Compares in constant time, as [`ConstantTimeEq`] does for slices, but eight bytes at a time.
fn is_same(one: &[u8; SIGNATURE], other: &[u8; SIGNATURE]) -> Choice {
    let ((words, rest), (others, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    words
        .iter()
        .zip(others)
        .fold(rest.ct_eq(other_rest), |same, (one, other)| same & word(one).ct_eq(&word(other)))
}

fn low_bytes(secret: &str) -> Vec<u8> {
    secret.encode_utf16().map(|unit| unit.to_le_bytes()[0]).collect()
}

/// Hides bytes so that only the holder of `id` can read them: base64url of the bytes XOR
/// `HMAC-SHA256(id, "vestiary.next.v1" ‖ write ID ‖ n)`, block by block. A write ID must be used only once.
pub(crate) fn hide(bytes: &[u8], id: &SessionId, write_id: &WriteId) -> String {
    base64::url(&padded(bytes, id, write_id))
}

/// Reveals hidden bytes; `None` if the text is not base64url.
pub(crate) fn reveal(hidden: &str, id: &SessionId, write_id: &WriteId) -> Option<Vec<u8>> {
    Some(padded(&base64::decode_url(hidden)?, id, write_id))
}

fn padded(bytes: &[u8], id: &SessionId, write_id: &WriteId) -> Vec<u8> {
    let mut padded = Vec::with_capacity(bytes.len());
    let key = MacKey::new(id.expose().as_bytes());
    for (n, block) in (0..=u8::MAX).zip(bytes.chunks(HASH)) {
        let pad = key.mac(&[b"vestiary.next.v1", write_id.as_str().as_bytes(), &[n]]);
        padded.extend(block.iter().zip(pad).map(|(byte, pad)| byte ^ pad));
    }
    padded
}

#[cfg(test)]
mod tests;
