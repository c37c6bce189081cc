use std::{format, string::ToString as _, vec};

use base64ct::{Base64UrlUnpadded, Encoding as _};

use super::*;
use crate::user_key;

fn id() -> SessionId {
    SessionId::from_entropy(&[9; 24])
}

#[test]
fn refuses_to_be_empty() {
    assert_eq!(KeyRing::new::<&str>(&[]).err(), Some(Error::SecretMissing));
    assert_eq!(KeyRing::new(&[""]).err(), Some(Error::SecretMissing));
    assert_eq!(KeyRing::new(&["long enough, surely", ""]).err(), Some(Error::SecretMissing));
}

#[test]
fn production_refuses_short_secrets_and_those_that_can_be_guessed_by_position() {
    let secrets = ["J8fQ2mZr7LxPw0Ks", "hunter2"];
    assert!(KeyRing::checked(&secrets[..1], None, true).is_ok());
    assert!(KeyRing::checked(&secrets, None, false).is_ok());
    let error = KeyRing::checked(&secrets, None, true).unwrap_err();
    assert_eq!(error, Error::SecretShort { position: 2, minimum: 16 });
    assert!(!error.to_string().contains("hunter2"));
    let secrets = ["J8fQ2mZr7LxPw0Ks", "hunter2-hunter2-hunter2", "hunter2"];
    assert!(KeyRing::checked(&secrets, None, false).is_ok());
    let error = KeyRing::checked(&secrets, None, true).unwrap_err();
    assert_eq!(error, Error::SecretWeak { position: 2 });
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn a_changed_bit_anywhere_is_refused() {
    let ring = KeyRing::new(&["0123456789abcdef"]).unwrap();
    let value = ring.sign(&id(), Format::SvelteKitSessions);
    assert!(ring.verify(value.as_bytes()).is_some());
    for at in 0..value.len() {
        for bit in 0..8 {
            let mut forged = value.clone().into_bytes();
            forged[at] ^= 1 << bit;
            assert_eq!(ring.verify(&forged), None, "byte {at}, bit {bit}");
        }
    }
    for end in 0..value.len() {
        assert_eq!(ring.verify(&value.as_bytes()[..end]), None);
    }
}

#[test]
fn a_value_is_taken_apart() {
    let ring = KeyRing::new(&["0123456789abcdef"]).unwrap();
    for format in [Format::SvelteKitSessions, Format::ExpressSession] {
        let plain = ring.sign(&id(), format);
        let encoded = plain.replace(':', "%3A").replace('.', "%2E");
        for (text, is_encoded) in [(&plain, false), (&encoded, true)] {
            let value = CookieValue::parse(text.as_bytes()).unwrap();
            assert_eq!((value.format, value.encoded, &value.id), (format, is_encoded, &id()));
            assert!(!format!("{value:?}").contains(id().expose()));
        }
    }
    let signature = "A".repeat(SIGNATURE);
    for (text, why) in [
        ("a".repeat(LONGEST_VALUE + 1), MalformedCookie::TooLong),
        (String::new(), MalformedCookie::Signature),
        (id().expose().into(), MalformedCookie::Signature),
        (format!("{}!{signature}", id().expose()), MalformedCookie::Signature),
        (format!("short.{signature}"), MalformedCookie::Id),
        (format!("sixteen and a blank.{signature}"), MalformedCookie::Id),
    ] {
        assert_eq!(CookieValue::parse(text.as_bytes()).err(), Some(why), "{text}");
    }
}

#[test]
fn a_secret_beyond_ascii_verifies_its_latin1_form_and_never_signs_with_it() {
    let ring = KeyRing::new(&["sécret, assez long"]).unwrap();
    let signer = MacKey::new(b"s\xE9cret, assez long");
    let latin1 = KeyRing { verifiers: vec![signer], tags: vec![] };
    let old = latin1.sign(&id(), Format::SvelteKitSessions);
    assert!(ring.verify(old.as_bytes()).is_some());
    assert_ne!(ring.sign(&id(), Format::SvelteKitSessions), old);
}

#[test]
fn namespaces_do_not_take_each_others_cookies() {
    let secrets = ["0123456789abcdef"];
    let ring = |namespace| KeyRing::checked(&secrets, namespace, false).unwrap();
    for (own, others) in [
        (None, ["a", "b"].map(Some)),
        (Some("a"), [None, Some("b")]),
        (Some("b"), [None, Some("a")]),
    ] {
        let cookie = ring(own).sign(&id(), Format::SvelteKitSessions);
        assert!(ring(own).verify(cookie.as_bytes()).is_some());
        for other in others {
            assert_eq!(ring(other).verify(cookie.as_bytes()), None, "{own:?} {other:?}");
        }
    }
}

#[test]
fn a_hidden_id_needs_the_old_id_and_the_write_id() {
    let [old, other] = [1, 2].map(|n| SessionId::from_entropy(&[n; 24]));
    let [write_id, later] = [1, 2].map(|n| WriteId::from_entropy(&[n; 12]));
    // A custom ID may be longer than one block, and than two.
    let long = SessionId::parse(&"long".repeat(50)).unwrap();
    for id in [id(), long] {
        let hidden = hide(id.expose().as_bytes(), &old, &write_id);
        assert!(!hidden.contains(&Base64UrlUnpadded::encode_string(&id.expose().as_bytes()[..16])));
        assert_eq!(reveal(&hidden, &old, &write_id).unwrap(), id.expose().as_bytes());
        assert_ne!(reveal(&hidden, &other, &write_id).unwrap(), id.expose().as_bytes());
        assert_ne!(reveal(&hidden, &old, &later).unwrap(), id.expose().as_bytes());
    }
    // Each block has a pad of its own.
    let zeros = [0; 64];
    let pad = reveal(&hide(&zeros, &old, &write_id), &old, &write_id)
        .map(|_| padded(&zeros, &old, &write_id));
    assert_ne!(pad.as_ref().map(|pad| &pad[..32]), pad.as_ref().map(|pad| &pad[32..]));
    assert_eq!(reveal("no base64url!", &old, &write_id), None);
}

#[test]
fn a_hint_needs_one_of_the_secrets_and_shows_no_user() {
    let [old, new] = ["the secret of last year", "the secret of this year"];
    let [one, both] = [&[old][..], &[new, old]].map(|secrets| KeyRing::new(secrets).unwrap());
    let ids = [1, 2].map(|n| SessionId::from_entropy(&[n; 24]));
    let hinted = ids.each_ref().map(|id| one.hinted(id, "ada"));
    for (id, hinted) in ids.iter().zip(&hinted) {
        assert_eq!(hinted.expose().strip_prefix(id.expose()).map(str::len), Some(45));
        // A secret at another position still made the hint.
        for ring in [&one, &both] {
            assert_eq!(ring.hint(hinted), Some(user_key("ada")));
        }
        assert_eq!(both.hint(&both.hinted(id, "ada")), Some(user_key("ada")));
        assert_eq!(KeyRing::new(&[new]).unwrap().hint(hinted), None);
        let other = KeyRing::checked(&[old], Some("admin"), true).unwrap();
        assert_ne!(other.hint(hinted), Some(user_key("ada")));
        // The hash of the name is not visible.
        assert!(!hinted.expose().contains(user_key("ada").get(..4).unwrap()));
        assert!(one.verify(one.sign(hinted, Format::ExpressSession).as_bytes()).is_some());
    }
    let [first, second] = hinted.each_ref().map(|id| &id.expose().as_bytes()[33..75]);
    let same = first.iter().zip(second).filter(|(one, other)| one == other).count();
    assert!(same < 8, "{same} of 42 characters are the same");
}

#[test]
fn only_a_new_id_of_the_library_gets_a_hint() {
    let ring = KeyRing::new(&["0123456789abcdef"]).unwrap();
    let own = SessionId::parse("an-id-of-the-application").unwrap();
    assert_eq!(ring.hinted(&own, "ada"), own);
    let hinted = ring.hinted(&id(), "ada");
    assert_eq!(ring.hinted(&hinted, "eve"), hinted);
    let text = hinted.expose();
    let odd: [String; 7] = [
        own.expose().into(),
        id().expose().into(),
        format!("{text}A"),
        text.get(..76).unwrap().into(),
        text.replace('~', "!"),
        format!("{}~{}", id().expose(), "~".repeat(44)),
        format!("{}~", id().expose()),
    ];
    for odd in odd {
        assert_eq!(ring.hint(&SessionId::parse(&odd).unwrap()), None, "{odd}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let ring = KeyRing::new(&["hunter2-hunter2-hunter2"]).unwrap();
    assert_eq!(format!("{ring:?}"), "KeyRing { keys: 1, .. }");
}
