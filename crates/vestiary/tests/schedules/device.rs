//! The devices of the schedules, and their proofs.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::{Value, json};
use vestiary::{Record, UnixMillis, binding::Answer};

/// The owner of the session, or a thief with another device.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Who {
    Owner,
    Thief,
}

/// The coordinates of a device's key.
fn coordinates(who: Who) -> [[u8; 32]; 2] {
    [[who as u8 + 1; 32], [who as u8 + 3; 32]]
}

/// The key of a device, as the record has it.
pub(crate) fn point(who: Who) -> String {
    Base64UrlUnpadded::encode_string(&coordinates(who).concat())
}

/// A proof whose signature the driver has still to check.
pub(crate) fn proof(who: Who, registers: bool, challenge: &str) -> String {
    let mut header = json!({ "alg": "ES256", "typ": "dbsc+jwt" });
    if registers {
        let [x, y] = coordinates(who).map(|number| Base64UrlUnpadded::encode_string(&number));
        header["jwk"] = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y });
    }
    let parts = [header, json!({ "jti": challenge })]
        .map(|part| Base64UrlUnpadded::encode_string(part.to_string().as_bytes()));
    format!("{}.{}", parts.join("."), Base64UrlUnpadded::encode_string(&[0; 64]))
}

/// The key to which a session is bound.
pub(crate) fn key_of(record: &Record) -> Option<String> {
    let slot = record.meta().slots.value("vestiary:device", UnixMillis(0))?;
    let binding: Value = serde_json::from_str(slot).unwrap();
    binding["key"].as_str().map(ToOwned::to_owned)
}

/// The name of a binding, which its answers have.
pub(crate) fn name_of(key: &str) -> String {
    let text = format!("vestiary.device.v1{key}");
    let hash = <sha2::Sha256 as sha2::Digest>::digest(text.as_bytes());
    Base64UrlUnpadded::encode_string(&hash).chars().take(16).collect()
}

/// The value of the bound cookie in an answer.
pub(crate) fn value_of(answer: &Answer) -> Option<String> {
    let (pair, _) = answer.cookie.as_ref()?.split_once(';')?;
    pair.split_once('=').map(|(_, value)| value.to_owned())
}
