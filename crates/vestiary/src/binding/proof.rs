use alloc::{string::String, vec::Vec};

use super::{Binding, name_of};
use crate::{
    Meta,
    crypto::base64,
    jwt::{Algorithm, Jwt, Key},
};

/// A browser's request to register its key, or to refresh the bound cookie.
#[derive(Clone, Copy, Default)]
pub struct Exchange<'a> {
    /// Whether the browser registers: a `POST` to [`DeviceBoundOptions::path`](crate::DeviceBoundOptions::path) and `/register`.
    /// Otherwise it refreshes: `/refresh`.
    pub registers: bool,
    /// The header `Secure-Session-Response`, empty if it is absent.
    pub proof: &'a str,
    /// The header `Sec-Secure-Session-Id`, empty if it is absent.
    pub session: &'a str,
}

/// A proof that a device has its key, in the right form: a `dbsc+jwt`, signed with ES256. Its signature is the driver's to
/// check.
pub struct Proof<'a> {
    /// The text that is signed.
    pub signing_input: &'a str,
    /// The signature: `r`, then `s`.
    pub signature: [u8; 64],
    /// The public key whose private key must have signed it: both coordinates of a point on the curve P-256.
    pub key: [[u8; 32]; 2],
    /// The same key, as the record has it.
    pub(crate) point: String,
    /// The challenge that is answered.
    pub(crate) challenge: String,
}

/// The longest header with a proof, in bytes. That of a browser has less than 500.
const LONGEST: usize = 4_096;

impl<'a> Exchange<'a> {
    /// The proof that the driver must check: of the device of the session with this metadata or, for a registration, of the
    /// device that registers. `None` if there is none, or its form is wrong.
    #[must_use]
    pub fn read(&self, meta: &Meta) -> Option<Proof<'a>> {
        let text = unquoted(self.proof);
        if text.len() > LONGEST {
            return None;
        }
        let jwt = Jwt::parse(text, &[Algorithm::Es256]).ok()?;
        if !jwt.is_typed(&["dbsc+jwt"]) {
            return None;
        }
        let point = if self.registers {
            let key = Key::parse(&jwt.header().object("jwk")?, Algorithm::Es256)?;
            base64::url(&key.numbers().concat())
        } else {
            match Binding::of(meta)? {
                Binding::Bound { key, .. } => key,
                Binding::Offered(_) | Binding::Unreadable => return None,
            }
        };
        let bytes: [u8; 64] = exactly(base64::decode_url(&point)?)?;
        let (x, y) = bytes.split_at_checked(32)?;
        Some(Proof {
            signing_input: jwt.signing_input(),
            signature: exactly(jwt.signature().into())?,
            key: [x.try_into().ok()?, y.try_into().ok()?],
            point,
            challenge: jwt.claims().string("jti")?,
        })
    }

    /// Whether the request is about the binding with this key.
    pub(crate) fn is_about(&self, key: &str) -> bool {
        unquoted(self.session) == name_of(key)
    }
}

impl Proof<'_> {
    /// Both coordinates of the key and the signature, in base64 as a JSON Web Key has it.
    #[must_use]
    pub fn texts(&self) -> [String; 3] {
        let [x, y] = self.key.map(|number| base64::url(&number));
        [x, y, base64::url(&self.signature)]
    }
}

/// The value of a header that is a string of structured fields (RFC 9651). Chromium sends it without its quotes.
fn unquoted(header: &str) -> &str {
    let header = header.trim_ascii();
    let inner = header.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(header)
}

fn exactly<const N: usize>(bytes: Vec<u8>) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// Hides the headers: an attacker could send them again.
impl core::fmt::Debug for Exchange<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Exchange").field("registers", &self.registers).finish_non_exhaustive()
    }
}

/// Hides the token.
impl core::fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Proof").finish_non_exhaustive()
    }
}
