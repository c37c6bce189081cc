//! Proofs that are refused, and bound cookies that open nothing.

use axum::http::StatusCode;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ring::hmac;

use super::{Site, after, jar::Jar};
use crate::support::device::{Device, TOKEN};

/// A signed token with another header.
fn with_header(device: &Device, header: &str) -> String {
    device.token(header, &format!(r#"{{"jti":"{}"}}"#, device.challenge()))
}

/// A token signed with HMAC by the public key.
fn by_public_key(device: &Device, alg: &str) -> String {
    let header = format!(r#"{{"alg":"{alg}","typ":"dbsc+jwt"}}"#);
    let claims = format!(r#"{{"jti":"{}"}}"#, device.challenge());
    let [header, claims] =
        [header, claims].map(|part| Base64UrlUnpadded::encode_string(part.as_bytes()));
    let text = format!("{header}.{claims}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &device.coordinates().concat());
    let tag = hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", Base64UrlUnpadded::encode_string(tag.as_ref()))
}

/// The attacks on a refresh: a name, and the proof that is sent.
fn proofs(device: &Device) -> Vec<(&'static str, String)> {
    let good = device.proof();
    let parts: Vec<_> = good.split('.').collect();
    let [header, claims, signature] = [parts[0], parts[1], parts[2]];
    let challenge = device.challenge();
    let token = |header: &str, claims: &str| device.token(header, claims);
    let claimed = |claims: &str| device.token(TOKEN, claims);
    let mut flipped = Base64UrlUnpadded::decode_vec(signature).unwrap();
    flipped[0] ^= 1;
    let flipped = Base64UrlUnpadded::encode_string(&flipped);
    let raw = Base64UrlUnpadded::decode_vec(signature).unwrap();
    let short = Base64UrlUnpadded::encode_string(&raw[..63]);
    let long = Base64UrlUnpadded::encode_string(&[&*raw, &[0]].concat());
    let zeros = Base64UrlUnpadded::encode_string(&[0; 64]);
    let jti = format!(r#""jti":"{challenge}""#);
    vec![
        ("another key", Device::new().token(TOKEN, &format!("{{{jti}}}"))),
        ("another key in the header", {
            let other = Device::new();
            let header = format!(r#"{{"alg":"ES256","jwk":{},"typ":"dbsc+jwt"}}"#, other.jwk());
            other.token(&header, &format!("{{{jti}}}"))
        }),
        ("a flipped bit in the signature", format!("{header}.{claims}.{flipped}")),
        ("a short signature", format!("{header}.{claims}.{short}")),
        ("a long signature", format!("{header}.{claims}.{long}")),
        ("a signature of zeros", format!("{header}.{claims}.{zeros}")),
        ("no signature", format!("{header}.{claims}.")),
        ("the claims of another token", {
            let other = Base64UrlUnpadded::encode_string(b"{\"jti\":\"x\"}");
            format!("{header}.{other}.{signature}")
        }),
        (
            "no algorithm",
            format!(
                "{}.{claims}.",
                Base64UrlUnpadded::encode_string(br#"{"alg":"none","typ":"dbsc+jwt"}"#)
            ),
        ),
        ("the algorithm none, signed", with_header(device, r#"{"alg":"none","typ":"dbsc+jwt"}"#)),
        ("HMAC with the public key", by_public_key(device, "HS256")),
        ("HMAC that says ES256", by_public_key(device, "ES256")),
        ("RS256", with_header(device, r#"{"alg":"RS256","typ":"dbsc+jwt"}"#)),
        ("es256 in small letters", with_header(device, r#"{"alg":"es256","typ":"dbsc+jwt"}"#)),
        (
            "an algorithm that is no string",
            with_header(device, r#"{"alg":["ES256"],"typ":"dbsc+jwt"}"#),
        ),
        ("two algorithms", with_header(device, r#"{"alg":"ES256","alg":"none","typ":"dbsc+jwt"}"#)),
        ("another type", with_header(device, r#"{"alg":"ES256","typ":"jwt"}"#)),
        ("no type", with_header(device, r#"{"alg":"ES256"}"#)),
        (
            "a critical extension",
            with_header(device, r#"{"alg":"ES256","typ":"dbsc+jwt","crit":["x"]}"#),
        ),
        ("a header that is a list", token("[]", &format!("{{{jti}}}"))),
        ("a header that is no JSON", token("alg", &format!("{{{jti}}}"))),
        ("two challenges", claimed(&format!(r#"{{{jti},"jti":"x"}}"#))),
        ("two equal challenges", claimed(&format!("{{{jti},{jti}}}"))),
        ("a challenge with an escape", claimed(&format!(r#"{{"\u006ati":"{challenge}"}}"#))),
        ("no challenge", claimed("{}")),
        ("a challenge that is a list", claimed(&format!(r#"{{"jti":["{challenge}"]}}"#))),
        ("claims that are no JSON", claimed("jti")),
        ("claims with something behind", claimed(&format!("{{{jti}}}x"))),
        ("claims with a prototype", claimed(&format!(r#"{{{jti},"__proto__":{{}}}}"#))),
        ("a point more", format!("{good}.")),
        ("a part more", format!("{good}.{signature}")),
        ("a part less", format!("{header}.{claims}")),
        ("only points", "..".into()),
        ("something behind", format!("{good}x")),
        ("padding", format!("{good}=")),
        (
            "another alphabet",
            format!("{header}.{claims}.{}", signature.replace(['-', '_'], "+") + "+"),
        ),
        ("a blank inside", format!("{header} .{claims}.{signature}")),
        ("one quote", format!("\"{good}")),
        ("two tokens", format!("{good}, {good}")),
        ("too large", claimed(&format!(r#"{{{jti},"x":"{}"}}"#, "x".repeat(4_096)))),
        ("no token", "x".into()),
    ]
}

#[tokio::test]
async fn each_forged_proof_of_a_refresh_is_refused_and_changes_nothing() {
    let site = Site::new();
    let (mut jar, mut device) = site.bound().await;
    after(200_000);
    let before = jar.bound.clone();
    for (attack, proof) in proofs(&device) {
        let answer = jar.refresh(&device.name(), &proof).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{attack}");
        assert_eq!((answer.challenge, &*answer.cookie, &*answer.body), (None, "", ""), "{attack}");
        assert_eq!(site.events.take(), ["bound"], "{attack}");
        assert_eq!(jar.bound, before, "{attack}");
    }
    // The right one still counts.
    let answer = jar.refresh(&device.name(), &device.proof()).await;
    assert_eq!(answer.status, StatusCode::OK);
    device.took(answer.challenge.as_ref());
    assert_eq!(jar.page().await, "ada true");
}

#[tokio::test]
async fn each_forged_registration_is_refused_and_the_right_device_can_still_register() {
    let site = Site::new();
    let mut jar = Jar::new(&site.app);
    let (mine, other) = (Device::new(), Device::new());
    let challenge = jar.login().await.unwrap();
    site.events.take();
    let claims = format!(r#"{{"jti":"{challenge}"}}"#);
    let registering = |jwk: &str| {
        let header = format!(r#"{{"alg":"ES256","jwk":{jwk},"typ":"dbsc+jwt"}}"#);
        mine.token(&header, &claims)
    };
    let [x, y] = mine.coordinates().map(Base64UrlUnpadded::encode_string);
    let point = |x: &str, y: &str| format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    let zeros = Base64UrlUnpadded::encode_string(&[0; 32]);
    let longer = Base64UrlUnpadded::encode_string(&[&[0], mine.coordinates()[0]].concat());
    let foreign = {
        let mut other = Jar::new(&site.app);
        other.login().await.unwrap()
    };
    site.events.take();
    let attacks = [
        ("no proof", String::new()),
        ("a challenge of another session", mine.register(&foreign)),
        ("an invented challenge", mine.register("x")),
        ("an empty challenge", mine.register("")),
        ("no key", mine.token(TOKEN, &claims)),
        ("the key of another device", registering(&other.jwk())),
        ("a key that is a text", registering("\"x\"")),
        ("a key on another curve", registering(&mine.jwk().replace("P-256", "P-384"))),
        ("an RSA key", registering(&format!(r#"{{"kty":"RSA","n":"{x}","e":"AQAB"}}"#))),
        ("a secret as key", registering(&format!(r#"{{"kty":"oct","k":"{x}"}}"#))),
        ("a key for encryption", registering(&mine.jwk().replace('{', r#"{"use":"enc","#))),
        ("a key with two coordinates x", registering(&mine.jwk().replace('{', r#"{"x":"AAAA","#))),
        ("a point that is not on the curve", registering(&point(&zeros, &y))),
        ("the point at infinity", registering(&point(&zeros, &zeros))),
        ("a short coordinate", registering(&point(&x[..42], &y))),
        ("a long coordinate", registering(&point(&longer, &y))),
        ("swapped coordinates", registering(&point(&y, &x))),
        ("the refresh of an unbound session", mine.token(TOKEN, &claims)),
    ];
    for (attack, proof) in attacks {
        let answer = jar.register(&proof).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{attack}");
        assert_eq!((answer.challenge, &*answer.cookie), (None, ""), "{attack}");
        assert_eq!(jar.page().await, "ada false", "{attack}");
    }
    assert_eq!(jar.refresh(&mine.name(), &mine.token(TOKEN, &claims)).await.status, 400);
    assert_eq!(jar.register(&mine.register(&challenge)).await.status, StatusCode::OK);
    assert_eq!(jar.page().await, "ada true");
}

#[tokio::test]
async fn a_proof_of_another_session_is_refused() {
    let site = Site::new();
    let (mut mine, device) = site.bound().await;
    let (_, other) = site.bound().await;
    // The other device's own, valid proof; then the other one's challenge, signed by this device.
    let refused = mine.refresh(&device.name(), &other.proof()).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let refused = mine.refresh(&other.name(), &device.proof()).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let claims = format!(r#"{{"jti":"{}"}}"#, other.challenge());
    let asked = mine.refresh(&device.name(), &device.token(TOKEN, &claims)).await;
    assert_eq!((asked.status, &*asked.cookie), (StatusCode::FORBIDDEN, ""));
    assert_eq!(asked.challenge, device.asked);
}

#[tokio::test]
async fn a_proof_without_the_session_cookie_is_refused() {
    let site = Site::new();
    let (jar, device) = site.bound().await;
    let mut none = Jar { session: None, ..jar.clone() };
    let answer = none.refresh(&device.name(), &device.proof()).await;
    assert_eq!((answer.status, answer.challenge), (StatusCode::BAD_REQUEST, None));
    let forged = jar.session.clone().map(|cookie| format!("{cookie}x"));
    let mut forged = Jar { session: forged, ..jar };
    let answer = forged.refresh(&device.name(), &device.proof()).await;
    assert_eq!((answer.status, answer.challenge), (StatusCode::BAD_REQUEST, None));
}

#[tokio::test]
async fn a_bound_cookie_that_was_not_signed_for_this_device_opens_nothing() {
    let site = Site::new();
    let (jar, _) = site.bound().await;
    let (other, _) = site.bound().await;
    after(60_000);
    let good = jar.bound.clone().unwrap();
    let (until, signature) = good.split_once('.').unwrap();
    let later = format!("{}{}", until.replace("18", "19"), "");
    let session = jar.session.clone().unwrap();
    let session_signature = session.rsplit_once('.').unwrap().1;
    let values = [
        ("another device's", other.bound.clone().unwrap()),
        ("a later end", format!("{later}.{signature}")),
        ("an earlier end", format!("{}.{signature}", until.replace("1800", "1799"))),
        ("a leading zero", format!("0{until}.{signature}")),
        ("a sign", format!("+{until}.{signature}")),
        ("no end", format!(".{signature}")),
        ("no signature", format!("{until}.")),
        ("no point", until.to_owned()),
        ("a short signature", format!("{until}.{}", &signature[..42])),
        ("a long signature", format!("{good}A")),
        ("the session cookie's signature", format!("{until}.{session_signature}")),
        ("the session cookie", session.clone()),
        ("two points", format!("{until}..{signature}")),
        ("an endless one", format!("18446744073709551615.{signature}")),
        ("empty", String::new()),
        ("huge", "9".repeat(4_000)),
    ];
    for (attack, value) in values {
        let mut thief = Jar { bound: Some(value), ..jar.clone() };
        assert_eq!(thief.page().await, " false", "{attack}");
    }
    // A planted cookie of the same name, before the right one, locks the browser out as little.
    let mut planted = Jar { bound: Some(format!("x; sid.bound={good}")), ..jar.clone() };
    assert_eq!(planted.page().await, "ada true");
}

#[tokio::test]
async fn a_planted_cookie_of_a_bound_session_does_not_hide_the_visitors_own() {
    let site = Site::new();
    let (attacker, _) = site.bound().await;
    let (own, _) = site.bound().await;
    after(60_000);
    // A sibling domain has planted the attacker's session cookie, which comes first.
    let planted = format!("{}; sid={}", attacker.session.unwrap(), own.session.clone().unwrap());
    let mut visitor = Jar { session: Some(planted), ..own };
    assert_eq!(visitor.page().await, "ada true");
}
