use alloc::{string::String, vec::Vec};

use super::{Algorithm, Object};
use crate::crypto::base64;

/// A public key of a set (RFC 7517), in base64: the two numbers that make it up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Key {
    /// An RSA key.
    Rsa {
        /// The modulus.
        n: String,
        /// The exponent.
        e: String,
    },
    /// A key on the curve P-256.
    P256 {
        /// The first coordinate.
        x: String,
        /// The second coordinate.
        y: String,
    },
}

impl Key {
    /// Reads one key, for signatures by this algorithm. `None` for a key of another kind or use, and for an RSA key of
    /// less than 2,048 bits.
    #[must_use]
    pub fn parse(key: &Object, algorithm: Algorithm) -> Option<Self> {
        let is_for = |name: &str, value: &str| {
            key.text(name).is_none() || key.string(name).as_deref() == Some(value)
        };
        if !is_for("use", "sig") || !is_for("alg", algorithm.name()) {
            return None;
        }
        let number = |name: &str, least: usize| {
            let text = key.string(name)?;
            (base64::decode_url(&text)?.len() >= least).then_some(text)
        };
        match (algorithm, key.string("kty")?.as_str()) {
            (Algorithm::Es256, "EC") if key.string("crv")? == "P-256" => {
                Some(Self::P256 { x: number("x", 32)?, y: number("y", 32)? })
            }
            (Algorithm::Rs256 | Algorithm::Ps256, "RSA") => {
                Some(Self::Rsa { n: number("n", 256)?, e: number("e", 1)? })
            }
            _ => None,
        }
    }

    /// The keys of a set that may have signed a token with this algorithm and `kid`. A token without `kid` may be signed
    /// by each key of its kind. `None` if the text is not a set of keys.
    ///
    /// ```
    /// use vestiary::jwt::{Algorithm, Key};
    ///
    /// let set = r#"{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"RSA","kid":"1","n":"AQAB","e":"AQAB"}]}"#;
    /// // The secret is no public key, and the other one is too short.
    /// assert_eq!(Key::of_set(set, Algorithm::Rs256, Some("1")), Some(vec![]));
    /// ```
    #[must_use]
    pub fn of_set(set: &str, algorithm: Algorithm, kid: Option<&str>) -> Option<Vec<Self>> {
        let keys = Object::parse(set.into())?.objects("keys")?;
        let is_named = |key: &&Object| kid.is_none() || key.string("kid").as_deref() == kid;
        Some(keys.iter().filter(is_named).filter_map(|key| Self::parse(key, algorithm)).collect())
    }

    /// The two numbers: `n` and `e`, or `x` and `y`.
    #[must_use]
    pub fn texts(&self) -> [&str; 2] {
        let (Self::Rsa { n: one, e: other } | Self::P256 { x: one, y: other }) = self;
        [one, other]
    }

    /// The two numbers, as bytes.
    #[must_use]
    pub fn numbers(&self) -> [Vec<u8>; 2] {
        self.texts().map(|text| base64::decode_url(text).unwrap_or_default())
    }
}
