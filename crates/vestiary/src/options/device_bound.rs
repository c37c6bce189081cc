use alloc::string::String;

use super::{Options, OptionsInput, whole};
use crate::{CookieName, Error, MaxAge, Meta, SetCookie, constants};

/// The options of device-bound sessions: [`binding`](crate::binding).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceBoundOptions {
    name: CookieName,
    max_age: u32,
    path: String,
}

/// The longest path, in bytes.
const LONGEST: usize = 256;

/// The last part of the default path.
const PATH: &str = "device-session";

/// Validates the options of device-bound sessions, if they are on.
pub(super) fn checked(
    input: &OptionsInput<'_>,
    cookie: &SetCookie,
) -> Result<Option<DeviceBoundOptions>, Error> {
    if !input.device_bound {
        return Ok(None);
    }
    let max_age = match input.bound_max_age {
        None => constants::BOUND_MAX_AGE,
        Some(seconds) => {
            let expected = "a whole number of seconds from 1 to 86400";
            let refusal = Error::OptionType { name: "deviceBound.maxAge", expected };
            whole(seconds, &(1..=86_400), refusal)?
        }
    };
    let below = cookie.path.as_str();
    let separator = if below.ends_with('/') { "" } else { "/" };
    let path = input.bound_path.map_or_else(|| [below, separator, PATH].concat(), Into::into);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    // A search for text would bring its whole algorithm into the WebAssembly.
    let has_empty_part = path.as_bytes().windows(2).any(|pair| pair == b"//");
    let is_path = path.starts_with('/') && !path.ends_with('/') && !has_empty_part;
    if !is_path || path.len() > LONGEST || !path.bytes().all(is_plain) {
        return Err(Error::OptionType {
            name: "deviceBound.path",
            expected: "an absolute path such as `/device-session`, of letters, digits and `-._~/`",
        });
    }
    let name = CookieName::new(&[cookie.name.as_str(), ".bound"].concat())?;
    Ok(Some(DeviceBoundOptions { name, max_age, path }))
}

impl Options {
    /// Whether the session with this metadata is bound to a device, and these options ask for it. Without the option, a
    /// stolen cookie would suffice.
    #[must_use]
    pub fn is_bound(&self, meta: &Meta) -> bool {
        self.device_bound.is_some() && meta.is_bound()
    }
}

impl DeviceBoundOptions {
    /// The name of the bound cookie: that of the session cookie, and `.bound`.
    #[must_use]
    pub fn name(&self) -> &CookieName {
        &self.name
    }

    /// The lifetime of the bound cookie, in milliseconds.
    #[must_use]
    pub fn max_age(&self) -> u64 {
        u64::from(self.max_age) * 1_000
    }

    /// The path below which browsers register and refresh.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The bound cookie, beside this session cookie. It is `Secure` unless the options say otherwise, because browsers
    /// bind sessions over HTTPS only.
    pub(crate) fn cookie(&self, session: SetCookie) -> SetCookie {
        let max_age = MaxAge::from_seconds(self.max_age.into()).ok();
        SetCookie { name: self.name.clone(), max_age, expires: None, ..session }
    }

    /// Checks that the session cookie reaches all that the browser's protection does.
    pub(super) fn check(&self, cookie: &SetCookie) -> Result<(), Error> {
        if let Some(name) = cookie.beyond_origin() {
            let expected = "absent with `deviceBound`: a browser protects one origin";
            return Err(Error::OptionType { name, expected });
        }
        let rest = self.path.strip_prefix(cookie.path.as_str());
        let is_below =
            rest.is_some_and(|rest| cookie.path.as_str().ends_with('/') || rest.starts_with('/'));
        if !is_below {
            let expected = "below `cookie.path`, so that the session cookie is sent there";
            return Err(Error::OptionType { name: "deviceBound.path", expected });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use crate::{CookieOptions, Error, Options, OptionsInput};

    fn bound(cookie: CookieOptions<'_>) -> OptionsInput<'_> {
        OptionsInput { device_bound: true, cookie, ..OptionsInput::default() }
    }

    #[test]
    fn name_path_and_lifetime_have_defaults_that_follow_the_session_cookie() {
        let options = Options::new(bound(CookieOptions::default())).unwrap();
        let device = options.device_bound().unwrap();
        assert_eq!(device.name().as_str(), "connect.sid.bound");
        assert_eq!((device.path(), device.max_age()), ("/device-session", 300_000));
        let cookie = CookieOptions { path: Some("/app"), ..CookieOptions::default() };
        let options = Options::new(bound(cookie.clone())).unwrap();
        assert_eq!(options.device_bound().unwrap().path(), "/app/device-session");
        let cookie = CookieOptions { path: Some("/app/"), ..cookie };
        let options = Options::new(bound(cookie)).unwrap();
        assert_eq!(options.device_bound().unwrap().path(), "/app/device-session");
        assert!(Options::new(OptionsInput::default()).unwrap().device_bound().is_none());
    }

    #[test]
    fn what_a_browser_could_not_protect_is_refused() {
        let refused = |input: OptionsInput<'_>| match Options::new(input) {
            Err(Error::OptionType { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        let domain = CookieOptions { domain: Some("example.com"), ..CookieOptions::default() };
        assert_eq!(refused(bound(domain)), "cookie.domain");
        let partitioned =
            CookieOptions { partitioned: true, secure: Some(true), ..CookieOptions::default() };
        assert_eq!(refused(bound(partitioned)), "cookie.partitioned");
        for path in [
            "",
            "a",
            "/a/",
            "/a//b",
            "/a b",
            "/a\"b",
            "/ä",
            "/a?b",
            &["/", &"a".repeat(256)].concat(),
        ] {
            let input = OptionsInput { bound_path: Some(path), ..bound(CookieOptions::default()) };
            assert_eq!(refused(input), "deviceBound.path", "{path}");
        }
        let app = || CookieOptions { path: Some("/app"), ..CookieOptions::default() };
        for (path, fits) in [("/app/x", true), ("/app", false), ("/apple", false), ("/x", false)] {
            let input = OptionsInput { bound_path: Some(path), ..bound(app()) };
            assert_eq!(Options::new(input).is_ok(), fits, "{path}");
        }
        for seconds in [0.0, 60.5, 86_401.0, f64::NAN] {
            let cookie = CookieOptions::default();
            let input = OptionsInput { bound_max_age: Some(seconds), ..bound(cookie) };
            assert_eq!(refused(input), "deviceBound.maxAge", "{seconds}");
        }
        let message = Options::new(OptionsInput {
            bound_max_age: Some(0.0),
            ..bound(CookieOptions::default())
        });
        let message = message.unwrap_err().to_string();
        let expected = "`deviceBound.maxAge` must be a whole number of seconds from 1 to 86400";
        assert_eq!(message, expected);
    }

    #[test]
    fn a_session_cannot_widen_its_own_cookie_beyond_the_protection() {
        let options = Options::new(bound(CookieOptions::default())).unwrap();
        for (own, fits) in [
            (r#"{"domain":"example.com"}"#, false),
            (r#"{"path":"/app"}"#, false),
            (r#"{"maxAge":60,"sameSite":"strict"}"#, true),
        ] {
            let own = crate::CookieOverrides::parse(own).unwrap().unwrap();
            assert_eq!(options.overridden(&own).is_ok(), fits, "{own:?}");
        }
    }
}
