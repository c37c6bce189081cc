use std::{format, string::String, vec::Vec};

use super::*;
use crate::crypto::base64;

const NOW: u64 = 1_700_000_000;

const CLAIMS: &str = r#"{"iss":"https://login.example","aud":"cloakroom","iat":1700000000,"exp":1700000120,
"jti":"a1","sid":"s1","sub":"ada","events":{"http://schemas.openid.net/event/backchannel-logout":{}}}"#;

fn judged(header: &str, claims: &str) -> Result<(String, Handle), LogoutError> {
    let part = |text: &str| base64::url(text.as_bytes());
    let text = format!("{}.{}.AAAA", part(header), part(claims));
    let relying = Relying {
        issuer: "https://login.example",
        client_id: "cloakroom",
        algorithms: &[Algorithm::Rs256],
        now: UnixMillis(NOW * 1_000),
    };
    LogoutToken::judge(&text, &relying).map(|token| (token.list, token.receipt))
}

fn with(from: &str, to: &str) -> Result<(String, Handle), LogoutError> {
    assert!(CLAIMS.contains(from), "{from}");
    judged(r#"{"alg":"RS256","typ":"logout+jwt"}"#, &CLAIMS.replace(from, to))
}

#[test]
fn a_token_names_the_sessions_of_its_sid_or_else_all_of_its_user() {
    let issuer = "https://login.example";
    let receipt = provider_receipt(issuer, "a1");
    let (sid, sub) = (provider_list("sid", issuer, "s1"), provider_list("sub", issuer, "ada"));
    assert_eq!(with("a1", "a1"), Ok((sid.clone(), receipt.clone())));
    assert_eq!(with(r#""sub":"ada","#, ""), Ok((sid, receipt.clone())));
    assert_eq!(with(r#""sid":"s1","#, ""), Ok((sub, receipt)));
    // Neither another issuer nor another kind of name leads to the same list.
    let lists = [
        provider_list("sid", issuer, "ada"),
        provider_list("sub", issuer, "ada"),
        provider_list("sub", "https://other.example", "ada"),
        provider_list("sub", "https://login.example\"", "ada"),
        crate::user_key("ada"),
    ];
    for (at, list) in lists.iter().enumerate() {
        assert!(!lists.iter().skip(at + 1).any(|other| other == list));
    }
}

#[test]
fn tokens_that_the_specification_allows_are_accepted() {
    let allowed = [
        (r#""aud":"cloakroom""#, r#""aud":["other","cloakroom"]"#),
        // Within a minute of difference between the clocks.
        (r#""iat":1700000000"#, r#""iat":1700000060"#),
        (r#""exp":1700000120"#, r#""exp":1699999940.5"#),
        (r#""exp":1700000120"#, r#""exp":1700082800"#),
        (r#"logout":{}"#, r#"logout":{"reason":"x"},"https://other.example":1"#),
        (r#""jti""#, r#""trace_id":"t","jti""#),
    ];
    for (from, to) in allowed {
        assert!(with(from, to).is_ok(), "{to}");
    }
    for typ in ["", r#","typ":"JWT""#, r#","typ":"application/logout+jwt""#] {
        assert!(judged(&format!(r#"{{"alg":"RS256"{typ}}}"#), CLAIMS).is_ok(), "{typ}");
    }
}

#[test]
fn each_check_of_the_specification_refuses() {
    use LogoutError as E;
    let table = [
        (r#""iss":"https://login.example""#, r#""iss":"https://login.example/""#, E::Issuer),
        (r#""iss":"https://login.example","#, "", E::Issuer),
        (r#""iss":"https://login.example""#, r#""iss":["https://login.example"]"#, E::Issuer),
        (r#""aud":"cloakroom","#, "", E::Audience),
        (r#""aud":"cloakroom""#, r#""aud":"cloakroom2""#, E::Audience),
        (r#""aud":"cloakroom""#, r#""aud":[]"#, E::Audience),
        (r#""aud":"cloakroom""#, r#""aud":["cloakroom",1]"#, E::Audience),
        (r#""iat":1700000000,"#, "", E::Issued),
        (r#""iat":1700000000"#, r#""iat":1700000061"#, E::Issued),
        (r#""iat":1700000000"#, r#""iat":"1700000000""#, E::Issued),
        (r#""exp":1700000120,"#, "", E::Expired),
        (r#""exp":1700000120"#, r#""exp":1699999940"#, E::Expired),
        (r#""exp":1700000120"#, r#""exp":null"#, E::Expired),
        (r#""exp":1700000120"#, r#""exp":1700082801"#, E::Lifetime),
        (r#""exp":1700000120"#, r#""exp":1e999"#, E::Lifetime),
        ("backchannel-logout", "other", E::Events),
        (r#"logout":{}"#, r#"logout":true"#, E::Events),
        (r#""events":"#, r#""event":"#, E::Events),
        (r#""sid""#, r#""nonce":"n","sid""#, E::Nonce),
        (r#""sid""#, r#""nonce":null,"sid""#, E::Nonce),
        (r#""sid":"s1","sub":"ada","#, "", E::Subject),
        (r#""sid":"s1""#, r#""sid":1"#, E::Subject),
        (r#""sid":"s1""#, r#""sid":"""#, E::Subject),
        (r#""sub":"ada""#, r#""sub":["ada"]"#, E::Subject),
        (r#""jti":"a1","#, "", E::Id),
        (r#""jti":"a1""#, r#""jti":"""#, E::Id),
        (r#""jti":"a1""#, r#""jti":7"#, E::Id),
        // Two parsers could read two issuers.
        (r#""jti""#, r#""iss":"https://evil.example","jti""#, E::Token(JwtError::Malformed)),
    ];
    for (from, to, error) in table {
        assert_eq!(with(from, to), Err(error), "{to}");
    }
    let headers = [
        (r#"{"alg":"none"}"#, E::Token(JwtError::Algorithm)),
        (r#"{"alg":"HS256"}"#, E::Token(JwtError::Algorithm)),
        // An algorithm that this application does not use.
        (r#"{"alg":"ES256"}"#, E::Token(JwtError::Algorithm)),
        (r#"{"alg":"RS256","crit":["b64"]}"#, E::Token(JwtError::Critical)),
        (r#"{"alg":"RS256","typ":"at+jwt"}"#, E::Type),
        (r#"{"alg":"RS256","typ":"secevent+jwt"}"#, E::Type),
    ];
    for (header, error) in headers {
        assert_eq!(judged(header, CLAIMS), Err(error), "{header}");
    }
}

#[test]
fn errors_have_codes_and_show_nothing_of_the_token() {
    let error = with("cloakroom", "secret-audience").unwrap_err();
    assert_eq!(error.code(), "token_audience");
    assert_eq!(format!("{error}"), "the logout token is for another client");
    assert_eq!(LogoutError::Replayed.code(), "token_replayed");
}

#[test]
fn the_codes_are_those_in_the_list_of_names() {
    let names: serde_json::Value =
        serde_json::from_str(include_str!("../../../../../vectors/names.json")).unwrap();
    let listed = names["cases"].as_array().unwrap().iter();
    let listed = listed.filter(|case| case["rust"] == "ProviderLogoutError");
    let mut listed: Vec<_> = listed.map(|case| case["code"].as_str().unwrap()).collect();
    let mut codes = LogoutError::ALL.map(LogoutError::code).to_vec();
    listed.sort_unstable();
    codes.sort_unstable();
    assert_eq!(codes, listed);
    for error in LogoutError::ALL {
        assert!(error.message().starts_with("the logout token "));
    }
}
