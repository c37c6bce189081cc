//! Session IDs, write IDs, handles and the keys of a store.

mod recent;
mod store_key;

use alloc::{string::String, sync::Arc};
use core::{fmt, ops::RangeInclusive};

pub use recent::RecentIds;
pub use store_key::StoreKey;

use crate::{
    Error,
    crypto::{base64, hash},
};

/// A session ID. A browser that has it, signed, has the session, so it is never shown.
///
/// `Debug` hides the value, and there is neither `Display` nor `Serialize`. [`SessionId::expose`] marks each place
/// where the value is used. A clone shares the text.
///
/// ```
/// # use vestiary::SessionId;
/// let id = SessionId::from_entropy(&[0; SessionId::ENTROPY]);
/// assert_eq!(id.expose(), "A".repeat(32));
/// assert_eq!(format!("{id:?}"), "SessionId(…)");
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct SessionId(Arc<str>);

impl SessionId {
    /// The number of random bytes in a generated ID: 192 bits, as in svelte-kit-sessions.
    pub const ENTROPY: usize = 24;

    const LENGTH: RangeInclusive<usize> = 16..=256;

    /// Creates an ID from bytes of a cryptographic random source: base64url without padding, 32 characters.
    #[must_use]
    pub fn from_entropy(entropy: &[u8; Self::ENTROPY]) -> Self {
        // The buffer has exactly the length of the text.
        let buffer = &mut [0; Self::ENTROPY / 3 * 4];
        Self(base64::encode(base64::URL, entropy, buffer).into())
    }

    /// Validates an ID from a verified cookie, or from the application's own generator.
    ///
    /// # Errors
    /// [`Error::SessionId`] unless it has 16 to 256 visible ASCII characters that need no quoting in a cookie (RFC 6265
    /// section 4.1.1, `cookie-octet`), and does not begin with `s:`, which express-session puts before an ID.
    pub fn parse(id: &str) -> Result<Self, Error> {
        Self::from_bytes(id.as_bytes()).ok_or(Error::SessionId)
    }

    /// As [`SessionId::parse`], for bytes that may not be text; `None` if they are not an ID.
    #[must_use]
    pub fn from_bytes(id: &[u8]) -> Option<Self> {
        // Checks all bytes without an early exit, so that the compiler can vectorise the loop.
        let fits = Self::LENGTH.contains(&id.len())
            && id.iter().fold(true, |fits, byte| fits & is_cookie_octet(*byte));
        let text = str::from_utf8(id).ok().filter(|text| fits && !text.starts_with("s:"))?;
        Some(Self(text.into()))
    }

    /// The text of the ID, for the cookie and the store.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

impl SessionId {
    /// The hash of the ID for the store: base64url of `SHA-256("vestiary.id.v1" ‖ id)`, 43 characters. No cookie can be
    /// made from it.
    #[must_use]
    pub fn hashed(&self) -> String {
        hashed("vestiary.id.v1", &self.0)
    }
}

/// The name of a user's session list in the store: base64url of `SHA-256("vestiary.user.v1" ‖ name)`.
#[must_use]
pub fn user_key(name: &str) -> String {
    base64::url(&user_hash(name))
}

/// The hash in [`user_key`].
pub(crate) fn user_hash(name: &str) -> [u8; 32] {
    hash_for("vestiary.user.v1", name)
}

pub(crate) fn hashed(purpose: &str, text: &str) -> String {
    base64::url(&hash_for(purpose, text))
}

pub(crate) fn hash_for(purpose: &str, text: &str) -> [u8; 32] {
    hash::hash(&[purpose.as_bytes(), text.as_bytes()])
}

/// The handle of a session in its user's session list: 16 random characters, which reveal neither the session's ID nor
/// its key in the store.
///
/// ```
/// # use vestiary::Handle;
/// assert_eq!(Handle::from_entropy(&[0; 12]).as_str(), "AAAAAAAAAAAAAAAA");
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Handle(WriteId);

impl Handle {
    /// Creates a handle from random bytes.
    #[must_use]
    pub fn from_entropy(entropy: &[u8; WriteId::ENTROPY]) -> Self {
        Self(WriteId::from_entropy(entropy))
    }

    /// Creates the name for logs of a session that no user has. It follows from the ID, and reveals nothing of it.
    pub(crate) fn of(id: &SessionId) -> Self {
        let hash = hash_for("vestiary.log.v1", id.expose());
        Self::from_entropy(hash.first_chunk().unwrap_or(&[0; WriteId::ENTROPY]))
    }

    /// Parses a handle from a record or from an operator; `None` if it has another form.
    #[must_use]
    pub fn parse(handle: &str) -> Option<Self> {
        WriteId::parse(handle).map(Self)
    }

    /// The 16 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// The write ID of a record: 12 random bytes, 16 characters, new with each write.
///
/// It comes first in a record and has a fixed width, so a store can compare it without parsing.
///
/// ```
/// # use vestiary::WriteId;
/// assert_eq!(WriteId::from_entropy(&[255; WriteId::ENTROPY]).as_str(), "________________");
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct WriteId([u8; Self::LENGTH]);

impl WriteId {
    /// The number of random bytes in a write ID.
    pub const ENTROPY: usize = 12;

    /// The number of characters in a write ID.
    pub const LENGTH: usize = 16;

    /// Creates a write ID from random bytes.
    #[must_use]
    pub fn from_entropy(entropy: &[u8; Self::ENTROPY]) -> Self {
        let mut id = Self([0; Self::LENGTH]);
        base64::encode(base64::URL, entropy, &mut id.0);
        id
    }

    /// Parses a write ID from a record; `None` if it has another form.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        Self::from_bytes(id.as_bytes())
    }

    pub(crate) fn from_bytes(id: &[u8]) -> Option<Self> {
        let id: &[u8; Self::LENGTH] = id.try_into().ok()?;
        let is_url = |b: &u8| b.is_ascii_alphanumeric() | matches!(b, b'-' | b'_');
        let fits = id.iter().fold(true, |fits, byte| fits & is_url(byte));
        fits.then_some(Self(*id))
    }

    /// The 16 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // All characters are ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteId").field(&self.as_str()).finish()
    }
}

/// Whether a byte is a `cookie-octet` of RFC 6265 section 4.1.1: visible ASCII except `"`, `,`, `;` and `\`.
pub(crate) fn is_cookie_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2B | 0x2D..=0x3A | 0x3C..=0x5B | 0x5D..=0x7E)
}

#[cfg(test)]
mod tests {
    use std::string::ToString as _;

    use super::*;

    #[test]
    fn every_symbol_appears_at_every_position() {
        // Detects a bias of the alphabet: over these 64 inputs, every sextet takes every value.
        for sextet in 0..64u32 {
            let group = sextet << 18 | sextet << 12 | sextet << 6 | sextet;
            let [_, a, b, c] = group.to_be_bytes();
            let mut entropy = [0; SessionId::ENTROPY];
            for chunk in entropy.chunks_mut(3) {
                chunk.copy_from_slice(&[a, b, c]);
            }
            let id = SessionId::from_entropy(&entropy);
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let symbol = char::from(alphabet[sextet as usize]);
            assert_eq!(id.expose(), symbol.to_string().repeat(32));
        }
    }

    #[test]
    fn foreign_ids_are_bounded_and_cookie_safe() {
        assert!(SessionId::parse("c0ffee00-1111-4222-8333-444455556666").is_ok());
        for bad in [
            "",
            "short",
            &"x".repeat(257),
            "has a space in the id",
            "semi;colon;semi;colon",
            "s:an-id-of-the-app-itself",
            "nul\0nul\0nul\0nul\0nul\0",
            "über-über-über-über",
        ] {
            assert_eq!(SessionId::parse(bad), Err(Error::SessionId), "{bad:?}");
        }
    }

    #[test]
    fn write_ids_have_one_shape() {
        assert!(WriteId::parse("abcdefghABCDEF-_").is_some());
        assert!(WriteId::parse("abcdefghABCDEF-").is_none());
        assert!(WriteId::parse("abcdefghABCDEF\"_").is_none());
    }
}
