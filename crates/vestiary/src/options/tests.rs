use std::string::String;

use super::*;
use crate::SameSiteOption;

fn header(name: &str, cookie: CookieOptions<'_>) -> Result<String, Error> {
    let input = OptionsInput { name: Some(name), cookie, ..OptionsInput::default() };
    Ok(Options::new(input)?.set_cookie(false).with_value("v"))
}

fn cookie() -> CookieOptions<'static> {
    CookieOptions::default()
}

#[test]
fn defaults_are_the_hosts() {
    let options = Options::new(OptionsInput::default()).unwrap();
    assert_eq!(
        options.set_cookie(false).with_value("v"),
        "connect.sid=v; Path=/; HttpOnly; SameSite=Lax"
    );
    assert!(options.set_cookie(true).with_value("v").contains("; Secure"));
}

#[test]
fn every_attribute_of_the_readme() {
    let all = CookieOptions {
        domain: Some("example.com"),
        expires: Some(1_700_000_000_000.0),
        http_only: Some(true),
        max_age: Some(60.9),
        partitioned: true,
        path: Some("/app"),
        priority: Some("HIGH"),
        same_site: Some(SameSiteOption::Name("None")),
        secure: Some(true),
    };
    assert_eq!(
        header("sid", all).unwrap(),
        "sid=v; Max-Age=60; Domain=example.com; Path=/app; Expires=Tue, 14 Nov 2023 22:13:20 GMT; \
         HttpOnly; Secure; Partitioned; Priority=High; SameSite=None"
    );
    let none = CookieOptions {
        http_only: Some(false),
        same_site: Some(SameSiteOption::Flag(false)),
        ..cookie()
    };
    assert_eq!(header("sid", none).unwrap(), "sid=v; Path=/");
    let strict = CookieOptions { same_site: Some(SameSiteOption::Flag(true)), ..cookie() };
    assert!(header("sid", strict).unwrap().ends_with("SameSite=Strict"));
}

#[test]
fn cookies_that_a_browser_would_drop_are_rejected_or_made_secure() {
    let insecure = || CookieOptions { secure: Some(false), ..cookie() };
    let none = CookieOptions { same_site: Some(SameSiteOption::Name("none")), ..cookie() };
    for (name, bad) in [
        ("__Host-id", insecure()),
        ("__host-id", CookieOptions { path: Some("/app"), ..cookie() }),
        ("__Host-id", CookieOptions { domain: Some("example.com"), ..cookie() }),
        ("__Secure-id", insecure()),
        ("sid", CookieOptions { partitioned: true, ..insecure() }),
        ("sid", CookieOptions { same_site: Some(SameSiteOption::Name("sometimes")), ..cookie() }),
        ("sid", CookieOptions { priority: Some("urgent"), ..cookie() }),
        ("sid", CookieOptions { expires: Some(-1.0), ..cookie() }),
        ("sid", CookieOptions { expires: Some(f64::NAN), ..cookie() }),
        ("sid", CookieOptions { max_age: Some(f64::INFINITY), ..cookie() }),
    ] {
        assert!(header(name, bad.clone()).is_err(), "{name} {bad:?}");
    }
    for (name, mended) in [
        ("__Host-id", cookie()),
        ("__Secure-id", CookieOptions { path: Some("/app"), ..cookie() }),
        ("sid", CookieOptions { partitioned: true, ..cookie() }),
        ("sid", none),
    ] {
        assert!(header(name, mended.clone()).unwrap().contains("; Secure"), "{name} {mended:?}");
    }
}

#[test]
fn the_clock_is_read_only_if_expires_is_set() {
    let is_expired = |cookie, now: &dyn Fn() -> UnixMillis| {
        let input = OptionsInput { cookie, ..OptionsInput::default() };
        Options::new(input).unwrap().is_expired(now)
    };
    let unasked: &dyn Fn() -> UnixMillis = &|| panic!("it does not count");
    assert!(!is_expired(cookie(), unasked));
    assert!(!is_expired(CookieOptions { max_age: Some(1.0), ..cookie() }, unasked));
    assert!(is_expired(CookieOptions { max_age: Some(0.0), ..cookie() }, unasked));
    let ending = || CookieOptions { expires: Some(2_000.0), ..cookie() };
    assert!(!is_expired(ending(), &|| UnixMillis(1_999)));
    assert!(is_expired(ending(), &|| UnixMillis(2_000)));
}

#[test]
fn rolling_needs_max_age() {
    let rolling = |max_age| {
        let cookie = CookieOptions { max_age, ..cookie() };
        Options::new(OptionsInput { cookie, rolling: true, ..OptionsInput::default() })
            .unwrap()
            .policy()
            .rolling
    };
    assert!(!rolling(None));
    assert!(rolling(Some(1.0)));
}

#[test]
fn a_rolling_record_outlives_its_cookie_by_the_time_it_is_not_touched() {
    let ttl = |rolling, touch_after| {
        let cookie = CookieOptions { max_age: Some(100.0), ..cookie() };
        let input = OptionsInput { cookie, rolling, touch_after, ..OptionsInput::default() };
        Options::new(input).map(|options| (options.ttl(UnixMillis(5)), options.touch_after()))
    };
    assert_eq!(ttl(false, None), Ok((Ttl::Millis(100_000), 0)));
    assert_eq!(ttl(true, None), Ok((Ttl::Millis(110_000), 10_000)));
    assert_eq!(ttl(true, Some(0.0)), Ok((Ttl::Millis(100_000), 0)));
    assert_eq!(ttl(true, Some(30.0)), Ok((Ttl::Millis(130_000), 30_000)));
    for wrong in [-1.0, f64::NAN, f64::INFINITY, 1e18] {
        let error = Error::Timeout { name: "touchAfter" };
        assert_eq!(ttl(true, Some(wrong)), Err(error.clone()), "{wrong}");
        assert_eq!(ttl(false, Some(wrong)), Err(error), "{wrong}");
    }
}

#[test]
fn stores_know_sessions_by_keys_of_their_namespace() {
    let options = |namespace, hash_ids| {
        Options::new(OptionsInput { namespace, hash_ids, ..OptionsInput::default() })
    };
    let id = SessionId::from_entropy(&[0; 24]);
    let key = |namespace, hash_ids| options(namespace, hash_ids).unwrap().store_key(&id);
    assert_eq!(key(None, false), id.expose());
    assert_eq!(key(Some("admin"), false), ["admin:", id.expose()].concat());
    // Computed by: printf vestiary.id.v1AAAA… | openssl sha256
    let hash = "6WhF4VkcwMpHyAnTMyRj_mZz0Gy1-9ecNBdGqLqzwoM";
    assert_eq!(key(None, true), hash);
    assert_eq!(key(Some("admin"), true), ["admin:", hash].concat());
    let user = options(Some("admin"), false).unwrap().user_key("ada");
    assert!(user.starts_with("admin:user:") && user.len() == 11 + 43, "{user}");
    for bad in ["", "a:b", "a b", "\u{e9}", &"x".repeat(65)] {
        assert_eq!(options(Some(bad), false).err(), Some(Error::Namespace), "{bad}");
    }
}

#[test]
fn a_limit_of_sessions_is_a_whole_number_of_32_bits() {
    let refusal = |most| {
        let input = OptionsInput { sessions_per_user: Some(most), ..OptionsInput::default() };
        Options::new(input).err()
    };
    for most in [1.0, 2.0, 4_294_967_295.0] {
        assert_eq!(refusal(most), None, "{most}");
    }
    for most in [0.0, -1.0, 1.5, 4_294_967_296.0, f64::NAN, f64::INFINITY] {
        assert_eq!(refusal(most), Some(Error::SessionsPerUser), "{most}");
    }
}

#[test]
fn records_that_express_reads_are_not_encrypted() {
    for (format, encrypts, refusal) in [
        (Format::SvelteKitSessions, true, None),
        (Format::ExpressSession, false, None),
        (Format::ExpressSession, true, Some(Error::EncryptExpress)),
    ] {
        let input = OptionsInput { format, encrypts, ..OptionsInput::default() };
        assert_eq!(Options::new(input).err(), refusal);
    }
}
