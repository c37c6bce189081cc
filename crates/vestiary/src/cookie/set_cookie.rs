use alloc::{borrow::ToOwned as _, string::String};

use crate::{Error, UnixMillis, id::is_cookie_octet, time::date};

/// A `Set-Cookie` response header.
///
/// Its parts are types that cannot hold a delimiter, so the header always re-parses to exactly
/// these fields (RFC 6265bis section 4.1). The order of the attributes is that of npm `cookie`.
///
/// ```
/// # use vestiary::{CookieName, MaxAge, Path, SameSite, SetCookie};
/// let cookie = SetCookie {
///     max_age: Some(MaxAge::from_seconds(3600.0)?),
///     http_only: true,
///     same_site: Some(SameSite::Lax),
///     ..SetCookie::new(CookieName::new("sid")?, Path::root())
/// };
/// assert_eq!(cookie.with_value("a/b"), "sid=a%2Fb; Max-Age=3600; Path=/; HttpOnly; SameSite=Lax");
/// assert_eq!(
///     cookie.removal(),
///     "sid=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax"
/// );
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SetCookie {
    /// The cookie's name.
    pub name: CookieName,
    /// `Domain`: this host and its subdomains. Without it, only the host that answered.
    pub domain: Option<Domain>,
    /// `Expires`. Browsers prefer `Max-Age` if both are present.
    pub expires: Option<UnixMillis>,
    /// `HttpOnly`: scripts in the page cannot read the cookie.
    pub http_only: bool,
    /// `Max-Age`, in seconds.
    pub max_age: Option<MaxAge>,
    /// `Partitioned` (CHIPS): one cookie per top-level site.
    pub partitioned: bool,
    /// `Path`.
    pub path: Path,
    /// `Priority`, which Chromium supports.
    pub priority: Option<Priority>,
    /// `SameSite`.
    pub same_site: Option<SameSite>,
    /// `Secure`: over HTTPS only.
    pub secure: bool,
}

impl SetCookie {
    /// Creates a cookie whose only attribute is `Path`.
    #[must_use]
    pub fn new(name: CookieName, path: Path) -> Self {
        Self {
            name,
            domain: None,
            expires: None,
            http_only: false,
            max_age: None,
            partitioned: false,
            path,
            priority: None,
            same_site: None,
            secure: false,
        }
    }

    /// The header that sets `value`, encoded as JavaScript's `encodeURIComponent` would.
    #[must_use]
    pub fn with_value(&self, value: &str) -> String {
        let mut header = String::with_capacity(192);
        header.push_str(self.name.as_str());
        header.push('=');
        push_encoded(&mut header, value);
        self.push_attributes(&mut header, self.max_age, self.expires);
        header
    }

    /// The header that sets a value which the caller has encoded (`cookie.encode` of svelte-kit-sessions).
    ///
    /// # Errors
    /// [`Error::CookieOption`] if the encoded value has characters that a cookie cannot have, or if name and value
    /// exceed the 4096 octets that browsers keep (RFC 6265bis section 5.6).
    pub fn with_encoded(&self, value: &str) -> Result<String, Error> {
        let fits = self.name.as_str().len() + value.len() <= 4096;
        if !fits || !value.bytes().all(is_cookie_octet) {
            return Err(Error::CookieOption {
                attribute: "encode",
                rule: "it must return visible ASCII without `;`, `,`, `\"` and `\\`, at most 4096 octets with the name",
            });
        }
        let mut header = String::new();
        header.extend([self.name.as_str(), "=", value]);
        self.push_attributes(&mut header, self.max_age, self.expires);
        Ok(header)
    }

    /// The header that removes the cookie from the browser.
    ///
    /// It repeats every attribute: a browser keeps a `__Host-` or `Partitioned` cookie if the removal lacks one (RFC
    /// 6265bis section 5.7).
    #[must_use]
    pub fn removal(&self) -> String {
        let mut header = String::new();
        header.extend([self.name.as_str(), "="]);
        self.push_attributes(&mut header, Some(MaxAge(0)), Some(UnixMillis(0)));
        header
    }

    /// The option that takes the cookie out of its origin, or divides it by the top-level site.
    pub(crate) fn beyond_origin(&self) -> Option<&'static str> {
        let partitioned = self.partitioned.then_some("cookie.partitioned");
        self.domain.as_ref().map(|_| "cookie.domain").or(partitioned)
    }

    /// The attributes, without the lifetime: `Path=/; HttpOnly`.
    pub(crate) fn attributes(&self) -> String {
        let mut header = String::new();
        self.push_attributes(&mut header, None, None);
        header.split_off(2.min(header.len()))
    }

    fn push_attributes(
        &self,
        header: &mut String,
        max_age: Option<MaxAge>,
        expires: Option<UnixMillis>,
    ) {
        if let Some(MaxAge(seconds)) = max_age {
            header.push_str(if seconds < 0 { "; Max-Age=-" } else { "; Max-Age=" });
            date::push_number(header, seconds.unsigned_abs(), 1);
        }
        if let Some(Domain(domain)) = &self.domain {
            header.extend(["; Domain=", domain]);
        }
        header.extend(["; Path=", &self.path.0]);
        if let Some(expires) = expires {
            header.push_str("; Expires=");
            date::push_imf_fixdate(header, expires);
        }
        for (set, attribute) in [
            (self.http_only, "; HttpOnly"),
            (self.secure, "; Secure"),
            (self.partitioned, "; Partitioned"),
        ] {
            if set {
                header.push_str(attribute);
            }
        }
        if let Some(priority) = self.priority {
            header.push_str(match priority {
                Priority::Low => "; Priority=Low",
                Priority::Medium => "; Priority=Medium",
                Priority::High => "; Priority=High",
            });
        }
        if let Some(same_site) = self.same_site {
            header.push_str(match same_site {
                SameSite::Lax => "; SameSite=Lax",
                SameSite::None => "; SameSite=None",
                SameSite::Strict => "; SameSite=Strict",
            });
        }
    }
}

/// A cookie name: an HTTP token (RFC 6265 section 4.1.1, RFC 9110 section 5.6.2).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct CookieName(String);

impl CookieName {
    /// Validates a name.
    ///
    /// # Errors
    /// [`Error::CookieName`] unless it is a token of at most 256 characters.
    pub fn new(name: &str) -> Result<Self, Error> {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if (1..=256).contains(&name.len()) && name.bytes().all(token) {
            Ok(Self(name.to_owned()))
        } else {
            Err(Error::CookieName {
                rule: "1 to 256 letters, digits and !#$%&'*+-.^_`|~ (the default is `connect.sid`)",
            })
        }
    }

    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name starts with `prefix`, in any case, as browsers compare prefixes
    /// (RFC 6265bis section 5.4).
    pub(crate) fn has_prefix(&self, prefix: &str) -> bool {
        self.0.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    }
}

/// A `Domain` attribute: a host name, with or without a leading dot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Domain(String);

impl Domain {
    /// Validates a domain.
    ///
    /// # Errors
    /// [`Error::CookieOption`] if it does not consist of labels of letters, digits and hyphens (RFC 1034 section 3.5).
    pub fn new(domain: &str) -> Result<Self, Error> {
        let label = |label: &[u8]| {
            (1..=63).contains(&label.len())
                && label.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
                && label.first() != Some(&b'-')
                && label.last() != Some(&b'-')
        };
        let host = domain.strip_prefix('.').unwrap_or(domain);
        if host.len() <= 253 && host.as_bytes().split(|b| *b == b'.').all(label) {
            Ok(Self(domain.to_owned()))
        } else {
            Err(Error::CookieOption {
                attribute: "domain",
                rule: "a host name such as `example.com`, without scheme, port or path",
            })
        }
    }
}

/// A `Max-Age` attribute in whole seconds. 0 and less remove the cookie.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MaxAge(i64);

impl MaxAge {
    /// Converts seconds, rounded down as npm `cookie` does.
    ///
    /// # Errors
    /// [`Error::CookieOption`] unless it is a finite number of at most 2^53 seconds.
    pub fn from_seconds(seconds: f64) -> Result<Self, Error> {
        const SAFE: f64 = 9_007_199_254_740_991.0;
        if !(-SAFE..=SAFE).contains(&seconds) {
            return Err(Error::CookieOption {
                attribute: "maxAge",
                rule: "a finite number of seconds",
            });
        }
        #[expect(clippy::cast_possible_truncation, reason = "within ±2^53")]
        let whole = seconds as i64;
        #[expect(clippy::cast_precision_loss, reason = "within ±2^53")]
        let rounded_up = whole as f64 > seconds;
        Ok(Self(whole - i64::from(rounded_up)))
    }

    /// The attribute's value, in seconds.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0
    }

    /// The lifetime in milliseconds; 0 for an expired cookie.
    pub(crate) fn millis(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0).saturating_mul(1_000)
    }
}

/// A `Path` attribute.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Path(String);

impl Path {
    /// The path `/`, the whole site. It is the default.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Validates a path.
    ///
    /// # Errors
    /// [`Error::CookieOption`] unless it starts with `/` and is at most 1024 visible ASCII
    /// characters without `;` (RFC 6265bis sections 4.1.1 and 5.6).
    pub fn new(path: &str) -> Result<Self, Error> {
        let fits = path.starts_with('/')
            && path.len() <= 1024
            && path.bytes().all(|b| matches!(b, b' '..=b'~') && b != b';')
            // A browser trims it and then sees another path.
            && !path.ends_with(' ');
        if fits {
            Ok(Self(path.to_owned()))
        } else {
            Err(Error::CookieOption {
                attribute: "path",
                rule: "an absolute path such as `/`, visible ASCII without `;`, at most 1024 characters",
            })
        }
    }

    /// The text of the path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A `Priority` attribute: which cookies Chromium evicts first (a draft).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Priority {
    /// Evicted first.
    Low,
    /// The browsers' default.
    Medium,
    /// Evicted last.
    High,
}

/// A `SameSite` attribute (RFC 6265bis section 5.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SameSite {
    /// Same-site requests, and top-level navigation from other sites.
    Lax,
    /// Every request. Browsers require `Secure` with it.
    None,
    /// Same-site requests only.
    Strict,
}

/// Appends a value, escaped as `encodeURIComponent` does (ECMA-262 section 19.2.6). The crate for this has a table of
/// all 256 escapes, which is 0.6 KB of the gzipped core.
fn push_encoded(text: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from(if digit < 10 { b'0' + digit } else { b'7' + digit }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens() {
        assert!(CookieName::new("connect.sid").is_ok());
        assert!(CookieName::new("__Host-id").unwrap().has_prefix("__host-"));
        for bad in ["", "a b", "a=b", "a;b", "a,b", "a\r\nb", "a\"b", "ä", "a\0", "a/b", "(a)"] {
            assert!(CookieName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn domains_and_paths_let_no_attribute_in() {
        for good in ["example.com", ".example.com", "localhost", "xn--mnchen-3ya.de", "a-b.c"] {
            assert!(Domain::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "a..b",
            "a;b",
            "a b",
            "-a.b",
            "a-.b",
            "a.b; Secure",
            "http://a",
            "a:80",
            "a\r\nb",
            "ü.de",
        ] {
            assert!(Domain::new(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "app", "/a;b", "/a\r\nSet-Cookie: x=y", "/ä", "/\0", "/a "] {
            assert!(Path::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn max_age_rounds_down_and_is_finite() {
        let seconds = |value| MaxAge::from_seconds(value).map(MaxAge::seconds);
        assert_eq!(seconds(59.9), Ok(59));
        assert_eq!(seconds(-0.5), Ok(-1));
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert!(seconds(bad).is_err());
        }
    }

    #[test]
    fn a_removal_repeats_every_attribute_and_expires_the_cookie() {
        let cookie = SetCookie {
            domain: Some(Domain::new("example.com").unwrap()),
            expires: Some(UnixMillis(4_000_000_000_000)),
            max_age: MaxAge::from_seconds(60.0).ok(),
            partitioned: true,
            secure: true,
            ..SetCookie::new(CookieName::new("sid").unwrap(), Path::new("/app").unwrap())
        };
        assert_eq!(
            cookie.removal(),
            "sid=; Max-Age=0; Domain=example.com; Path=/app; Expires=Thu, 01 Jan 1970 00:00:00 GMT; \
             Secure; Partitioned"
        );
    }

    #[test]
    fn an_encoder_cannot_inject() {
        let cookie = SetCookie::new(CookieName::new("sid").unwrap(), Path::root());
        assert_eq!(cookie.with_encoded("a~b").unwrap(), "sid=a~b; Path=/");
        for bad in ["a;b", "a b", "a\nb", "a,b", "é", &"x".repeat(4094)] {
            assert!(cookie.with_encoded(bad).is_err());
        }
    }
}
