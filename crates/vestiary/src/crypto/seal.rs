use alloc::{string::String, vec::Vec};
use core::fmt;

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};

use crate::{
    Error, Limits, SessionId, WriteId,
    crypto::{base64, hash::MacKey},
    json,
    record::write_id_of,
};

/// Encrypts records: XChaCha20-Poly1305, with a key for each session.
///
/// The key is derived with HKDF-SHA256 (RFC 5869) from a secret **and** the session's ID. An attacker with the store
/// also needs the secret and, if IDs are hashed ([`Options::store_key`](crate::Options::store_key)), the visitor's
/// cookie. The encryption authenticates the namespace, the key in the store and the write ID, so a sealed record cannot
/// be moved. The first secret seals; the record names the one that opens it.
///
/// A sealed record is JSON like any other, `{"v":"<write id>","sealed":"<base64url>"}`. The sealed bytes are, in this
/// order: the algorithm (one byte, 1), the key's name (4 bytes), the nonce (24 bytes), the ciphertext and the tag.
///
/// ```
/// # use vestiary::{SealRing, SessionId};
/// let ring = SealRing::new(&["thirty-two bytes, or better more"], None)?;
/// let id = SessionId::from_entropy(&[1; 24]);
/// let record = r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{"card":"4111"},"meta":{}}"#;
/// // The nonce comes from the caller's random source and must never be reused.
/// let sealed = ring.seal(&id, "sess:1", record, &[7; SealRing::NONCE]);
/// assert!(sealed.starts_with(r#"{"v":"AAAAAAAAAAAAAAAA","sealed":""#) && !sealed.contains("4111"));
/// assert_eq!(ring.open(&id, "sess:1", &sealed)?, record);
/// assert!(ring.open(&id, "sess:2", &sealed).is_err());
/// # Ok::<(), vestiary::Error>(())
/// ```
pub struct SealRing {
    keys: Vec<SealKey>,
    namespace: String,
}

struct SealKey {
    key: MacKey,
    name: [u8; NAME],
}

/// The algorithm number of XChaCha20-Poly1305.
const ALGORITHM: u8 = 1;

const NAME: usize = 4;

impl SealRing {
    /// The number of bytes in a nonce.
    pub const NONCE: usize = 24;

    /// The minimum length of a secret, in bytes.
    pub const SHORTEST: usize = 32;

    /// Creates the keys from these secrets. A namespace has keys of its own.
    ///
    /// # Errors
    /// [`Error::SecretMissing`] without a secret, [`Error::SecretShort`] for a short one.
    #[inline(never)]
    pub fn new<S: AsRef<str>>(secrets: &[S], namespace: Option<&str>) -> Result<Self, Error> {
        let short = |secret: &S| secret.as_ref().len() < Self::SHORTEST;
        if let Some(index) = secrets.iter().position(short) {
            return Err(Error::SecretShort { position: index + 1, minimum: Self::SHORTEST });
        }
        if secrets.is_empty() {
            return Err(Error::SecretMissing);
        }
        let keys = secrets.iter().map(|secret| {
            let key = MacKey::extracted(b"vestiary/v1", secret.as_ref().as_bytes());
            let name = key.expanded(b"vestiary.seal-name.v1");
            SealKey { key, name: name.first_chunk().copied().unwrap_or_default() }
        });
        Ok(Self { keys: keys.collect(), namespace: namespace.unwrap_or_default().into() })
    }

    /// Encrypts a record's text for the session `id`, to be stored under `key`. The nonce must be new and random each
    /// time. A text without a write ID is not a record of Vestiary: it is not sealed, and the result is empty.
    #[must_use]
    pub fn seal(&self, id: &SessionId, key: &str, text: &str, nonce: &[u8; Self::NONCE]) -> String {
        let sealed = self.keys.first().zip(write_id_of(text)).and_then(|(with, write_id)| {
            let write_id = WriteId::parse(write_id)?;
            let aad = self.bound_to(with, key, &write_id);
            let payload = Payload { msg: text.as_bytes(), aad: &aad };
            let cipher = self.cipher(with, id);
            let text = cipher.encrypt(&XNonce::from(*nonce), payload).ok()?;
            let mut sealed = Vec::with_capacity(1 + NAME + Self::NONCE + text.len());
            sealed.push(ALGORITHM);
            sealed.extend(with.name);
            sealed.extend(nonce);
            sealed.extend(text);
            let sealed = base64::url(&sealed);
            Some(["{\"v\":\"", write_id.as_str(), "\",\"sealed\":\"", &sealed, "\"}"].concat())
        });
        sealed.unwrap_or_default()
    }

    /// Whether this is a sealed record, with whatever secret.
    ///
    /// ```
    /// # use vestiary::SealRing;
    /// assert!(SealRing::is_sealed(r#"{"v":"AAAAAAAAAAAAAAAA","sealed":"AQID"}"#));
    /// assert!(!SealRing::is_sealed(r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{"sealed":""}}"#));
    /// ```
    #[must_use]
    pub fn is_sealed(text: &str) -> bool {
        parts(text).is_ok()
    }

    /// Decrypts a sealed record that was found under `key`.
    ///
    /// # Errors
    /// [`Error::NotSealed`] for text that is not sealed; [`Error::Unsealable`] if none of the secrets has sealed it for
    /// this session and this key.
    pub fn open(&self, id: &SessionId, key: &str, text: &str) -> Result<String, Error> {
        let (write_id, sealed) = parts(text)?;
        let write_id = WriteId::parse(write_id).ok_or(Error::Unsealable)?;
        let sealed = base64::decode_url(sealed).ok_or(Error::Unsealable)?;
        self.decrypt(id, key, &write_id, &sealed).ok_or(Error::Unsealable)
    }

    fn decrypt(
        &self,
        id: &SessionId,
        key: &str,
        write_id: &WriteId,
        sealed: &[u8],
    ) -> Option<String> {
        let rest = sealed.strip_prefix(&[ALGORITHM])?;
        let (name, rest) = rest.split_first_chunk::<NAME>()?;
        let (nonce, msg) = rest.split_first_chunk::<{ Self::NONCE }>()?;
        let with = self.keys.iter().find(|key| key.name == *name)?;
        let aad = self.bound_to(with, key, write_id);
        let text = self.cipher(with, id).decrypt(&XNonce::from(*nonce), Payload { msg, aad: &aad });
        String::from_utf8(text.ok()?).ok()
    }

    fn cipher(&self, with: &SealKey, id: &SessionId) -> XChaCha20Poly1305 {
        let purpose = ["vestiary.record.v1\0", &self.namespace, "\0", id.expose()].concat();
        XChaCha20Poly1305::new(&with.key.expanded(purpose.as_bytes()).into())
    }

    fn bound_to(&self, with: &SealKey, key: &str, write_id: &WriteId) -> Vec<u8> {
        let place = ["\0", key, "\0", write_id.as_str()].concat();
        [&[ALGORITHM], &with.name[..], self.namespace.as_bytes(), place.as_bytes()].concat()
    }
}

/// The write ID and the sealed bytes of a sealed record.
fn parts(text: &str) -> Result<(&str, &str), Error> {
    let Limits { depth, .. } = Limits::LOAD;
    let (mut write_id, mut sealed) = (None, None);
    json::members(text, depth, depth, &mut |key, place| {
        let value = text.get(place).and_then(|v| v.strip_prefix('"')?.strip_suffix('"'));
        match key {
            b"v" => write_id = value,
            b"sealed" => sealed = value,
            _ => {}
        }
        Ok(())
    })?;
    Ok((write_id.ok_or(Error::NotSealed)?, sealed.ok_or(Error::NotSealed)?))
}

impl fmt::Debug for SealRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealRing").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    const OLD: &str = "the secret of last year, 32 bytes and more";
    const NEW: &str = "the secret of this year, 32 bytes and more";
    const TEXT: &str = r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{"a":"canary"},"meta":{}}"#;
    const NONCE: [u8; 24] = [9; 24];

    fn id(n: u8) -> SessionId {
        SessionId::from_entropy(&[n; 24])
    }

    fn ring(secrets: &[&str], namespace: Option<&str>) -> SealRing {
        SealRing::new(secrets, namespace).unwrap()
    }

    #[test]
    fn only_the_session_at_its_place_opens_a_record() {
        let own = ring(&[OLD], Some("a"));
        let sealed = own.seal(&id(1), "k", TEXT, &NONCE);
        assert!(!sealed.contains("canary"));
        assert_eq!(own.open(&id(1), "k", &sealed).as_deref(), Ok(TEXT));
        let moved = sealed.replacen("AAAAAAAAAAAAAAAA", "BAAAAAAAAAAAAAAA", 1);
        for (what, opened) in [
            ("another ID", own.open(&id(2), "k", &sealed)),
            ("another key", own.open(&id(1), "l", &sealed)),
            ("another write", own.open(&id(1), "k", &moved)),
            ("another namespace", ring(&[OLD], Some("b")).open(&id(1), "k", &sealed)),
            ("none", ring(&[OLD], None).open(&id(1), "k", &sealed)),
            ("another secret", ring(&[NEW], Some("a")).open(&id(1), "k", &sealed)),
        ] {
            assert_eq!(opened, Err(Error::Unsealable), "{what}");
        }
    }

    #[test]
    fn the_newest_secret_seals_and_all_open() {
        let before = ring(&[OLD], None).seal(&id(1), "k", TEXT, &NONCE);
        let both = ring(&[NEW, OLD], None);
        assert_eq!(both.open(&id(1), "k", &before).as_deref(), Ok(TEXT));
        let after = both.seal(&id(1), "k", TEXT, &NONCE);
        assert!(SealRing::is_sealed(&after) && !SealRing::is_sealed(TEXT));
        assert_eq!(ring(&[NEW], None).open(&id(1), "k", &after).as_deref(), Ok(TEXT));
        assert!(ring(&[OLD], None).open(&id(1), "k", &after).is_err());
    }

    #[test]
    fn a_changed_bit_or_a_missing_end_opens_nothing() {
        let ring = ring(&[OLD], None);
        let sealed = ring.seal(&id(1), "k", TEXT, &NONCE);
        for at in 0..sealed.len() {
            assert!(ring.open(&id(1), "k", sealed.split_at(at).0).is_err(), "{at}");
            for bit in 0..7 {
                let mut bytes = sealed.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let damaged = String::from_utf8(bytes).unwrap();
                assert!(ring.open(&id(1), "k", &damaged).is_err(), "{at} {bit}");
            }
        }
    }

    #[test]
    fn text_that_is_not_sealed_has_errors_of_its_own() {
        let ring = ring(&[OLD], None);
        assert_eq!(ring.open(&id(1), "k", TEXT), Err(Error::NotSealed));
        assert_eq!(ring.open(&id(1), "k", "{}"), Err(Error::NotSealed));
        assert_eq!(ring.open(&id(1), "k", "nothing"), Err(Error::DataNotObject));
        assert_eq!(ring.seal(&id(1), "k", "{}", &NONCE), "");
    }

    #[test]
    fn short_secrets_are_refused_by_position_and_none_shows() {
        let error = SealRing::new(&[OLD, "hunter2"], None).err();
        assert_eq!(error, Some(Error::SecretShort { position: 2, minimum: 32 }));
        assert_eq!(SealRing::new::<&str>(&[], None).err(), Some(Error::SecretMissing));
        assert_eq!(format!("{:?}", ring(&[OLD], None)), "SealRing { keys: 1, .. }");
    }
}
