//! Signed JSON Web Tokens (RFC 7519) in the compact form (RFC 7515), split and decoded without a key.
//!
//! The core checks the form of a token, and which algorithm signs it. A driver checks the signature, with the platform's
//! cryptography. Then the core judges the claims.

mod form;
mod key;
mod logout;
mod object;

use alloc::{string::String, vec::Vec};
use core::fmt;

pub use form::form_value;
pub use key::Key;
pub use logout::{LogoutError, LogoutToken, Relying};
pub use object::Object;

use crate::crypto::base64;

/// A token whose signature has not been checked yet.
///
/// Nothing of it may be believed before the driver has checked that [`Jwt::signature`] signs [`Jwt::signing_input`], with
/// [`Jwt::algorithm`] and a key that belongs to the expected signer.
///
/// ```
/// use vestiary::jwt::{Algorithm, Jwt};
///
/// // {"alg":"ES256","kid":"1"} and {"iss":"https://login.example"}
/// let text = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUifQ.AAAA";
/// let jwt = Jwt::parse(text, &[Algorithm::Es256])?;
/// assert_eq!(jwt.header().string("kid").as_deref(), Some("1"));
/// assert_eq!(jwt.claims().string("iss").as_deref(), Some("https://login.example"));
/// assert_eq!(jwt.signing_input().len() + ".AAAA".len(), text.len());
/// assert_eq!(jwt.signature(), [0, 0, 0]);
///
/// // An algorithm that the caller does not name is refused, so also `none`.
/// assert!(Jwt::parse(text, &[Algorithm::Rs256]).is_err());
/// # Ok::<(), vestiary::jwt::JwtError>(())
/// ```
pub struct Jwt<'t> {
    algorithm: Algorithm,
    header: Object,
    claims: Object,
    signing_input: &'t str,
    signature: Vec<u8>,
}

/// An algorithm of a signature: asymmetric, with a name of its own in RFC 7518. There is no `none` and no HMAC, so that a
/// public key can never serve as a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256. The signature has 64 bytes: `r`, then `s`.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256, and a salt of 32 bytes.
    Ps256,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 3] = [Self::Es256, Self::Rs256, Self::Ps256];

    /// The name in the header `alg`.
    ///
    /// ```
    /// # use vestiary::jwt::Algorithm;
    /// assert_eq!(Algorithm::Es256.name(), "ES256");
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
        }
    }
}

/// A token that is refused for its form. The message repeats none of the token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum JwtError {
    /// Text that is not a signed token in compact form: three parts of base64 without padding, the first two of them JSON
    /// objects; or a token longer than [`Jwt::LONGEST`].
    Malformed,
    /// A signature by an algorithm that the caller does not allow, such as `none`.
    Algorithm,
    /// A header `crit`: an extension that must be understood. None is.
    Critical,
}

impl JwtError {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::Critical => "token_critical",
        }
    }
}

impl fmt::Display for JwtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the token is not a signed JWT in compact form",
            Self::Algorithm => "the token is signed by an algorithm that is not allowed",
            Self::Critical => "the token requires an extension that is not supported",
        })
    }
}

impl core::error::Error for JwtError {}

impl<'t> Jwt<'t> {
    /// The greatest length of a token, in bytes.
    pub const LONGEST: usize = 16 << 10;

    /// Splits and decodes a token that one of these algorithms signs.
    ///
    /// # Errors
    /// [`JwtError`]; the algorithm is checked before the claims are read.
    pub fn parse(text: &'t str, allowed: &[Algorithm]) -> Result<Self, JwtError> {
        let too_long = text.len() > Self::LONGEST;
        let (signing_input, signature) =
            text.rsplit_once('.').filter(|_| !too_long).ok_or(JwtError::Malformed)?;
        let (header, claims) = signing_input.split_once('.').ok_or(JwtError::Malformed)?;
        let header = object(header)?;
        let name = header.string("alg").ok_or(JwtError::Malformed)?;
        let algorithm = allowed.iter().find(|algorithm| algorithm.name() == name);
        let algorithm = *algorithm.ok_or(JwtError::Algorithm)?;
        if header.text("crit").is_some() {
            return Err(JwtError::Critical);
        }
        // A further point is not base64, so a token of five parts, which is encrypted, is malformed.
        let claims = object(claims)?;
        let signature = base64::decode_url(signature).ok_or(JwtError::Malformed)?;
        Ok(Self { algorithm, header, claims, signing_input, signature })
    }

    /// The algorithm of the signature, one of those that were allowed.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Object {
        &self.header
    }

    /// The claims. They are anyone's until the signature has been checked.
    #[must_use]
    pub fn claims(&self) -> &Object {
        &self.claims
    }

    /// The text that is signed: the first two parts, with the point between them.
    #[must_use]
    pub fn signing_input(&self) -> &'t str {
        self.signing_input
    }

    /// The bytes of the signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Whether the header `typ` is one of these. An absent `typ` is the empty string here. Upper and lower case are the
    /// same, and `application/` may be left out (RFC 7515 section 4.1.9).
    ///
    /// ```
    /// # use vestiary::jwt::{Algorithm, Jwt};
    /// // {"alg":"ES256","typ":"application/Logout+JWT"}
    /// let text = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImFwcGxpY2F0aW9uL0xvZ291dCtKV1QifQ.e30.AAAA";
    /// let jwt = Jwt::parse(text, &Algorithm::ALL)?;
    /// assert!(jwt.is_typed(&["logout+jwt"]) && !jwt.is_typed(&["", "jwt"]));
    /// # Ok::<(), vestiary::jwt::JwtError>(())
    /// ```
    #[must_use]
    pub fn is_typed(&self, types: &[&str]) -> bool {
        const PREFIX: &str = "application/";
        let given = match self.header.text("typ") {
            None => return types.contains(&""),
            Some(_) => self.header.string("typ").unwrap_or_default(),
        };
        let prefix = given.get(..PREFIX.len()).filter(|start| start.eq_ignore_ascii_case(PREFIX));
        let short = given.get(prefix.map_or(0, str::len)..).unwrap_or_default();
        !short.is_empty() && types.iter().any(|name| name.eq_ignore_ascii_case(short))
    }
}

/// Hides the token: an attacker who has a valid one could send it again.
impl fmt::Debug for Jwt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Decodes a part of a token: base64 of a JSON object.
fn object(part: &str) -> Result<Object, JwtError> {
    let text = base64::decode_url(part).and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(Object::parse).ok_or(JwtError::Malformed)
}

#[cfg(test)]
mod tests;
