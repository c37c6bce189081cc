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
fn an_object_of_more_members_than_a_token_has_is_malformed() {
    let members = |count: usize| {
        let members: Vec<_> = (0..count).map(|n| format!(r#""m{n}":1"#)).collect();
        format!(r"{{{}}}", members.join(","))
    };
    let good = token(r#"{"alg":"ES256"}"#, &members(Object::MOST));
    assert!(Jwt::parse(&good, &Algorithm::ALL).is_ok());
    // Their names are compared with each other, so their number is a time.
    assert_eq!(
        refusal(&token(r#"{"alg":"ES256"}"#, &members(Object::MOST + 1))),
        JwtError::Malformed
    );
}

#[test]
fn a_key_that_is_none_hides_no_other_one_of_its_set() {
    let key = r#"{"kty":"EC","crv":"P-256","kid":"1","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;
    for other in ["null", "5", r#"{"kty":"EC","kty":"RSA"}"#, r#"{"kid":5}"#] {
        let set = format!(r#"{{"keys":[{other},{key}]}}"#);
        let found = Key::of_set(&set, Algorithm::Es256, Some("1")).unwrap();
        assert_eq!(found.len(), 1, "{other}");
    }
    assert_eq!(Key::of_set(r#"{"keys":{}}"#, Algorithm::Es256, None), None);
}

#[test]
fn the_name_of_a_field_may_be_encoded() {
    assert_eq!(form_value("logout%5Ftoken=a", "logout_token").as_deref(), Some("a"));
    assert_eq!(form_value("sid=a&s%69d=b", "sid"), None);
    assert_eq!(form_value("%FF=a&sid=b", "sid").as_deref(), Some("b"));
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
