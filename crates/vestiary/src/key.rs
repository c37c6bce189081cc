use alloc::{string::String, vec::Vec};
use core::fmt;

use base64ct::{Base64Unpadded, Base64UrlUnpadded, Encoding as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};

use crate::{Error, Format, SessionId, WriteId, id::user_hash};

/// The secrets that sign the session cookie: the first signs, all verify.
///
/// The state of each HMAC key is computed once, here; a request then costs two SHA-256 blocks a
/// key. `Debug` shows no secret.
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
    signer: HmacSha256,
    verifiers: Vec<HmacSha256>,
    /// The byte that each of the verifiers puts at the end of its hints.
    marks: Vec<u8>,
}

type HmacSha256 = Hmac<Sha256>;

/// base64 without padding of the 32 bytes of an HMAC-SHA256.
const SIGNATURE: usize = 43;

/// Characters of an ID that can get a hint: those of [`SessionId::from_entropy`].
const HINTED: usize = SessionId::ENTROPY / 3 * 4;

/// Bytes of the hash of a user's name.
const HASH: usize = 32;

/// No cookie value of ours is longer, even with every character percent-encoded; a longer one
/// costs no crypto.
const LONGEST_VALUE: usize = 1024;

impl KeyRing {
    /// Fewer bytes than this are refused in production ([`KeyRing::checked`]).
    pub const SHORTEST: usize = 16;

    /// The ring of these secrets, taken as UTF-8.
    ///
    /// svelte-kit-sessions cut every UTF-16 unit of a secret to its low byte. For a secret beyond
    /// ASCII that other key is added to those that verify, so that its cookies stay valid; it
    /// never signs.
    ///
    /// # Errors
    /// [`Error::SecretMissing`] if there is no secret, or an empty one among them.
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
            let master = key(secret.as_bytes())?;
            if let Some(namespace) = namespace {
                verifiers.push(key(&mac(&master, &["vestiary.namespace.v1", namespace]))?);
                continue;
            }
            verifiers.push(master);
            if !secret.is_ascii() {
                verifiers.push(key(&low_bytes(secret))?);
            }
        }
        let signer = verifiers.first().ok_or(Error::SecretMissing)?.clone();
        let marks = verifiers.iter().map(|key| hint_pad(key, "")[0]).collect();
        Ok(Self { signer, verifiers, marks })
    }

    /// As [`KeyRing::new`]; in production, short secrets are refused. The keys of a `namespace` are
    /// its own, `HMAC-SHA256(secret, "vestiary.namespace.v1" ‖ namespace)`: what they sign, no other
    /// namespace takes for genuine.
    ///
    /// # Errors
    /// [`Error::SecretShort`] names the position of the first short one, never its text.
    pub fn checked<S: AsRef<str>>(
        secrets: &[S],
        namespace: Option<&str>,
        production: bool,
    ) -> Result<Self, Error> {
        let ring = Self::of(secrets, namespace)?;
        let short = |secret: &S| secret.as_ref().len() < Self::SHORTEST;
        match secrets.iter().position(short) {
            Some(index) if production => {
                Err(Error::SecretShort { position: index + 1, minimum: Self::SHORTEST })
            }
            _ => Ok(ring),
        }
    }

    /// The cookie value of an ID: `<id>.<base64 HMAC-SHA256>` without padding, as
    /// svelte-kit-sessions and npm `cookie-signature` make it; express-session puts an `s:` before
    /// it. Not percent-encoded yet.
    #[must_use]
    pub fn sign(&self, id: &SessionId, format: Format) -> String {
        let mut value = String::with_capacity(id.expose().len() + 3 + SIGNATURE);
        let buffer = &mut [0; SIGNATURE];
        let signature = signature(&self.signer, id, buffer);
        value.extend([format.cookie_prefix(), id.expose(), ".", signature]);
        value
    }

    /// The ID in a cookie value, if one of the secrets signed it.
    ///
    /// Takes the value as it stands in the header, percent-encoded or not, with or without the
    /// `s:` of express-session. Anything else is `None`, in time linear in its length.
    #[must_use]
    pub fn verify(&self, value: &[u8]) -> Option<SessionId> {
        let CookieValue { id, signature, .. } = CookieValue::parse(value).ok()?;
        self.signed_by_one(&id, &signature).then_some(id)
    }

    /// The same ID with a hint of its user's session list, so that a request reads the session and the list at once:
    /// `<id>~<44 characters>`, base64url of the hash in [`user_key`](crate::user_key) XOR
    /// `HMAC-SHA256(signing key, "vestiary.hint.v1\0" ‖ id)`, and a byte that tells the keys apart. Without the secret,
    /// neither the user nor whether two IDs belong to one user can be told from it.
    ///
    /// For new IDs of [`SessionId::from_entropy`]: any other ID is returned as it is.
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
        let Some(mark) = self.marks.first().filter(|_| own.len() == HINTED) else {
            return id.clone();
        };
        let mut hint = Vec::from(user_hash(user));
        hide_hint(&mut hint, &self.signer, own);
        hint.push(*mark);
        let hinted = [own, "~", &Base64UrlUnpadded::encode_string(&hint)].concat();
        SessionId::from_bytes(hinted.as_bytes()).unwrap_or_else(|| id.clone())
    }

    /// The hash in the key of the user's session list that an ID hints at ([`KeyRing::hinted`]): what
    /// [`user_key`](crate::user_key) makes of the user's name. `None` if the ID has no hint, or none of these secrets
    /// made it.
    ///
    /// It says which list to read beforehand, and nothing else: whose session it is, its record says.
    #[must_use]
    pub fn hint(&self, id: &SessionId) -> Option<String> {
        let (own, hint) = id.expose().split_at_checked(HINTED)?;
        let mut hint = Base64UrlUnpadded::decode_vec(hint.strip_prefix('~')?).ok()?;
        let mark = hint.pop().filter(|_| hint.len() == HASH)?;
        let at = self.marks.iter().position(|one| *one == mark)?;
        hide_hint(&mut hint, self.verifiers.get(at)?, own);
        Some(Base64UrlUnpadded::encode_string(&hint))
    }

    /// Compares text with text: decoding the presented signature first would accept several
    /// spellings of the same bytes. Every key is tried, so time does not tell which one fits.
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

/// A cookie value, taken apart: for whoever wants to know why it is not accepted. Whether it is genuine,
/// [`KeyRing::verify`] says.
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
    /// Whose format it has.
    pub format: Format,
    /// Whether it was percent-encoded.
    pub encoded: bool,
    /// The ID, which anybody may have written there.
    pub id: SessionId,
    signature: [u8; SIGNATURE],
}

/// Why something is no cookie value of ours, whatever the secrets are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MalformedCookie {
    /// It is longer than any of ours.
    TooLong,
    /// It does not end in a dot and the 43 characters of a signature.
    Signature,
    /// What stands before the signature cannot be an ID.
    Id,
}

impl CookieValue {
    /// Takes apart what stands in a `Cookie` header, percent-encoded or not, with or without the `s:` of
    /// express-session; in time linear in its length.
    ///
    /// # Errors
    /// [`MalformedCookie`] says which part is none.
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
        // The signature is the last 43 characters, and before it stands a dot.
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

/// Whoever has all of it has the session.
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

/// The value without its percent-encoding, whose first `%` is at `first`. Mostly that is one of a few
/// characters near its end: what stands before is copied as it is, and nothing is allocated.
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

/// One function for all, for the size of the WebAssembly core.
#[inline(never)]
fn mac(key: &HmacSha256, parts: &[&str]) -> [u8; HASH] {
    let mac = parts.iter().fold(key.clone(), HmacSha256::chain_update);
    mac.finalize().into_bytes().into()
}

#[inline(never)]
fn key(secret: &[u8]) -> Result<HmacSha256, Error> {
    // HMAC takes a key of any length; only the type says it could fail.
    HmacSha256::new_from_slice(secret).map_err(|_| Error::SecretMissing)
}

/// Hides the hint of this ID, or shows it.
#[inline(never)]
fn hide_hint(hint: &mut [u8], key: &HmacSha256, id: &str) {
    hint.iter_mut().zip(hint_pad(key, id)).for_each(|(byte, pad)| *byte ^= pad);
}

/// The zero byte keeps it apart from signatures, for no ID has one.
#[inline(never)]
fn hint_pad(key: &HmacSha256, id: &str) -> [u8; HASH] {
    mac(key, &["vestiary.hint.v1\0", id])
}

fn signature<'b>(key: &HmacSha256, id: &SessionId, buffer: &'b mut [u8; SIGNATURE]) -> &'b str {
    let mac = mac(key, &[id.expose()]);
    // The buffer has the length of the text, so this is never the empty string (which would match
    // nothing: a presented signature has `SIGNATURE` characters).
    Base64Unpadded::encode(&mac, buffer).unwrap_or_default()
}

/// In constant time, as slices are compared by [`ConstantTimeEq`], but in steps of eight bytes.
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

/// Hides bytes from all but the holder of `id`: base64url of the bytes, each of them XOR
/// `HMAC-SHA256(id, "vestiary.next.v1" ‖ mark ‖ n)`, block by block. Good for one use of each mark.
pub(crate) fn hide(bytes: &[u8], id: &SessionId, mark: &WriteId) -> String {
    Base64UrlUnpadded::encode_string(&padded(bytes, id, mark))
}

/// What was hidden; `None` if it is not base64url.
pub(crate) fn reveal(hidden: &str, id: &SessionId, mark: &WriteId) -> Option<Vec<u8>> {
    Some(padded(&Base64UrlUnpadded::decode_vec(hidden).ok()?, id, mark))
}

fn padded(bytes: &[u8], id: &SessionId, mark: &WriteId) -> Vec<u8> {
    let mut padded = Vec::with_capacity(bytes.len());
    let Ok(key) = key(id.expose().as_bytes()) else { return padded };
    let key = key.chain_update("vestiary.next.v1").chain_update(mark.as_str());
    for (n, block) in (0..=u8::MAX).zip(bytes.chunks(32)) {
        let pad = key.clone().chain_update([n]).finalize().into_bytes();
        padded.extend(block.iter().zip(pad).map(|(byte, pad)| byte ^ pad));
    }
    padded
}

#[cfg(test)]
mod tests;
