//! The key of a device, with which a browser proves that it still has its session.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};

/// The header of a proof.
pub const TOKEN: &str = r#"{"alg":"ES256","typ":"dbsc+jwt"}"#;

/// The key of a device, and the challenge that it has to answer.
pub struct Device {
    pair: EcdsaKeyPair,
    /// The header `Secure-Session-Challenge`.
    pub asked: Option<String>,
}

impl Device {
    pub fn new() -> Self {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap();
        Self { pair, asked: None }
    }

    /// Both coordinates of the key.
    pub fn coordinates(&self) -> [&[u8]; 2] {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        [x, y]
    }

    /// The key, as the record has it.
    pub fn point(&self) -> String {
        Base64UrlUnpadded::encode_string(&self.coordinates().concat())
    }

    /// The name of the binding.
    pub fn name(&self) -> String {
        let text = format!("vestiary.device.v1{}", self.point());
        let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        Base64UrlUnpadded::encode_string(hash.as_ref()).chars().take(16).collect()
    }

    pub fn jwk(&self) -> String {
        let [x, y] = self.coordinates().map(Base64UrlUnpadded::encode_string);
        format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
    }

    /// The proof of a registration, as Chromium makes it.
    pub fn register(&self, challenge: &str) -> String {
        let header = format!(r#"{{"alg":"ES256","jwk":{},"typ":"dbsc+jwt"}}"#, self.jwk());
        self.token(&header, &format!(r#"{{"jti":"{challenge}"}}"#))
    }

    /// The proof of a refresh, for the challenge of the last answer.
    pub fn proof(&self) -> String {
        self.token(TOKEN, &format!(r#"{{"jti":"{}"}}"#, self.challenge()))
    }

    /// The challenge of the last answer.
    pub fn challenge(&self) -> String {
        let asked = self.asked.as_ref().unwrap();
        asked.split('"').nth(1).unwrap().to_owned()
    }

    /// Keeps the challenge of an answer.
    pub fn took(&mut self, asked: Option<&String>) {
        self.asked = asked.cloned();
    }

    pub fn token(&self, header: &str, claims: &str) -> String {
        let [header, claims] =
            [header, claims].map(|part| Base64UrlUnpadded::encode_string(part.as_bytes()));
        let text = format!("{header}.{claims}");
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", Base64UrlUnpadded::encode_string(signature.as_ref()))
    }
}
