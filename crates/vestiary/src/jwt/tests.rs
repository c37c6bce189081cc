use std::{format, string::String, vec::Vec};

use super::*;

fn token(header: &str, claims: &str) -> String {
    let part = |text: &str| base64::url(text.as_bytes());
    format!("{}.{}.AAAA", part(header), part(claims))
}

fn refusal(text: &str) -> JwtError {
    Jwt::parse(text, &Algorithm::ALL).unwrap_err()
}

#[test]
fn a_token_of_each_algorithm_is_split_and_decoded() {
    for algorithm in Algorithm::ALL {
        let text = token(&format!(r#"{{"alg":"{}"}}"#, algorithm.name()), r#"{"sub":"ada"}"#);
        let jwt = Jwt::parse(&text, &Algorithm::ALL).unwrap();
        assert_eq!(jwt.algorithm(), algorithm);
        assert_eq!(jwt.claims().string("sub").as_deref(), Some("ada"));
        assert_eq!(Some(jwt.signing_input()), text.strip_suffix(".AAAA"));
        assert_eq!(jwt.signature(), [0; 3]);
    }
}

#[test]
fn only_the_allowed_algorithms_pass_by_their_exact_name() {
    let names = ["none", "None", "", "HS256", "es256", "ES256 ", "ES384", "EdDSA"];
    for name in names {
        let text = token(&format!(r#"{{"alg":"{name}"}}"#), "{}");
        assert_eq!(refusal(&text), JwtError::Algorithm, "{name}");
    }
    let rs256 = token(r#"{"alg":"RS256"}"#, "{}");
    assert_eq!(Jwt::parse(&rs256, &[Algorithm::Es256]).unwrap_err(), JwtError::Algorithm);
    assert_eq!(Jwt::parse(&rs256, &[]).unwrap_err(), JwtError::Algorithm);
    for header in ["{}", r#"{"alg":null}"#, r#"{"alg":["ES256"]}"#, r#"{"ALG":"ES256"}"#] {
        assert_eq!(refusal(&token(header, "{}")), JwtError::Malformed, "{header}");
    }
}

#[test]
fn text_in_another_form_is_malformed() {
    let good = token(r#"{"alg":"ES256"}"#, "{}");
    assert!(Jwt::parse(&good, &Algorithm::ALL).is_ok());
    let (header, rest) = good.split_once('.').unwrap();
    let others = [
        String::new(),
        ".".into(),
        "..".into(),
        header.into(),
        format!("{header}.{header}"),
        format!(" {good}"),
        format!("{good}="),
        format!("{good}."),
        format!("{good}.AAAA"),
        format!("{good}.AAAA.AAAA"),
        // The unused bits of the last character are not zero.
        format!("{header}.e31.AAAA"),
        // Not UTF-8, then not JSON, then not an object.
        format!("{header}.{}.AAAA", base64::url(b"{\"a\":\"\xFF\"}")),
        format!("{header}.{}.AAAA", base64::url(b"{")),
        format!("{header}.{}.AAAA", base64::url(b"[]")),
        format!("{}.{rest}", base64::url(b"\"ES256\"")),
        // A member that stands twice, also under another spelling.
        token(r#"{"alg":"ES256","alg":"none"}"#, "{}"),
        token(r#"{"alg":"ES256"}"#, r#"{"sub":"a","sub":"b"}"#),
        token(r#"{"alg":"ES256"}"#, r#"{"a-b":1,"a\u002db":2}"#),
        token(r#"{"alg":"ES256"}"#, r#"{"__proto__":{}}"#),
        token(r#"{"alg":"ES256"}"#, &"[".repeat(50)),
        token(r#"{"alg":"ES256"}"#, &format!(r#"{{"a":"{}"}}"#, "x".repeat(Jwt::LONGEST))),
    ];
    for text in others {
        assert_eq!(refusal(&text), JwtError::Malformed, "{text}");
    }
}

#[test]
fn a_critical_extension_is_refused() {
    for crit in [r#"["b64"]"#, "[]", "null"] {
        let header = format!(r#"{{"alg":"ES256","b64":false,"crit":{crit}}}"#);
        assert_eq!(refusal(&token(&header, "{}")), JwtError::Critical);
    }
}

#[test]
fn the_type_is_compared_as_a_media_type() {
    let is = |header: &str, types: &[&str]| {
        let text = token(&format!(r#"{{"alg":"ES256"{header}}}"#), "{}");
        Jwt::parse(&text, &Algorithm::ALL).unwrap().is_typed(types)
    };
    for typ in ["logout+jwt", "LOGOUT+JWT", "application/logout+jwt", "Application/Logout+jwt"] {
        assert!(is(&format!(r#","typ":"{typ}""#), &["logout+jwt"]), "{typ}");
    }
    for typ in [r#""jwt""#, r#""""#, r#""application/""#, "null", "1", r#"["logout+jwt"]"#] {
        assert!(!is(&format!(r#","typ":{typ}"#), &["logout+jwt", ""]), "{typ}");
    }
    assert!(is("", &["logout+jwt", ""]) && !is("", &["logout+jwt"]));
}

#[test]
fn codes_and_debug_output_show_nothing_of_a_token() {
    let errors = [JwtError::Malformed, JwtError::Algorithm, JwtError::Critical];
    let codes: Vec<_> = errors.iter().map(|error| error.code()).collect();
    assert_eq!(codes, ["token_malformed", "token_algorithm", "token_critical"]);
    for error in errors {
        assert!(format!("{error}").starts_with("the token "));
    }
    let text = token(r#"{"alg":"ES256"}"#, r#"{"sub":"ada"}"#);
    let jwt = Jwt::parse(&text, &Algorithm::ALL).unwrap();
    assert_eq!(format!("{jwt:?}"), "Jwt { algorithm: Es256, .. }");
    assert_eq!(format!("{:?}", jwt.claims()), "Object { members: 1, .. }");
}
