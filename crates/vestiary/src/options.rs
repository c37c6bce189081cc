use serde::Deserialize;

use crate::{
    CookieName, Domain, Error, KeyRing, MaxAge, Path, Priority, SameSite, SetCookie, Ttl,
    UnixMillis, cookie::LATEST_DATE, decide::Policy,
};

/// The options of a session, checked: what is in here cannot be wrong.
///
/// ```
/// # use vestiary::Options;
/// let options = Options::parse(r#"{ "cookie": { "maxAge": 3600 }, "rolling": true }"#)?;
/// assert_eq!(options.name.as_str(), "connect.sid");
/// assert_eq!(
///     options.set_cookie(true).with_value("x"),
///     "connect.sid=x; Max-Age=3600; Path=/; HttpOnly; Secure; SameSite=Lax"
/// );
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the cookie; `connect.sid` unless said otherwise (seed README, `name`).
    pub name: CookieName,
    /// What a request has to do by itself.
    pub policy: Policy,
    cookie: SetCookie,
    /// `None`: the host knows whether the visitor came over https.
    secure: Option<bool>,
}

impl Options {
    /// Reads the options from JSON, in the seed README's spelling. Durations are seconds,
    /// `expires` is milliseconds since the epoch.
    ///
    /// # Errors
    /// [`Error`] says which option is wrong and what a valid one looks like.
    pub fn parse(json: &str) -> Result<Self, Error> {
        let raw: RawOptions =
            serde_json::from_str(json).map_err(|e| Error::Options { reason: e.to_string() })?;
        let name = CookieName::new(raw.name.as_deref().unwrap_or("connect.sid"))?;
        let cookie = raw.cookie.build(name.clone())?;
        let secure = secure(&name, &cookie, raw.cookie.secure)?;
        let policy = Policy {
            rolling: raw.rolling && cookie.max_age.is_some(),
            save_uninitialized: raw.save_uninitialized,
        };
        Ok(Self { name, policy, cookie, secure })
    }

    /// The cookie to set. `secure_here` is what the host would choose for this request; it counts
    /// where the options do not say `secure`.
    #[must_use]
    pub fn set_cookie(&self, secure_here: bool) -> SetCookie {
        SetCookie { secure: self.secure.unwrap_or(secure_here), ..self.cookie.clone() }
    }

    /// What the options say of `Secure`, with what prefix and `Partitioned` demand.
    #[must_use]
    pub fn secure(&self) -> Option<bool> {
        self.secure
    }

    /// How long a record saved at `now` may stay in the store.
    #[must_use]
    pub fn ttl(&self, now: UnixMillis) -> Ttl {
        Ttl::of(self.cookie.max_age, self.cookie.expires, now)
    }
}

/// `secret` is not here: a [`KeyRing`] is made of it, and it is never part of a text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOptions {
    name: Option<String>,
    #[serde(default)]
    cookie: CookieOptions,
    #[serde(default)]
    rolling: bool,
    #[serde(default)]
    save_uninitialized: bool,
}

/// `options.cookie` of the seed's README, not checked yet.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CookieOptions {
    /// `Domain`.
    pub domain: Option<String>,
    /// `Expires`, in milliseconds since the epoch.
    pub expires: Option<f64>,
    /// `HttpOnly`; on unless turned off, as in SvelteKit.
    pub http_only: Option<bool>,
    /// `Max-Age`, in seconds.
    pub max_age: Option<f64>,
    /// `Partitioned`.
    pub partitioned: bool,
    /// `Path`; `/` unless said otherwise.
    pub path: Option<String>,
    /// `Priority`: `low`, `medium` or `high`.
    pub priority: Option<String>,
    /// `SameSite`; `lax` unless said otherwise, as in SvelteKit.
    pub same_site: Option<SameSiteOption>,
    /// `Secure`; where absent, the host decides by the URL.
    pub secure: Option<bool>,
}

/// The forms that `sameSite` may have.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum SameSiteOption {
    /// `true` is `Strict`, `false` leaves the attribute out.
    Flag(bool),
    /// `lax`, `none` or `strict`, in any case.
    Name(String),
}

impl CookieOptions {
    fn build(&self, name: CookieName) -> Result<SetCookie, Error> {
        Ok(SetCookie {
            domain: self.domain.as_deref().map(Domain::new).transpose()?,
            expires: self.expires.map(expires).transpose()?,
            http_only: self.http_only.unwrap_or(true),
            max_age: self.max_age.map(MaxAge::from_seconds).transpose()?,
            partitioned: self.partitioned,
            priority: self.priority.as_deref().map(priority).transpose()?,
            same_site: same_site(self.same_site.as_ref())?,
            ..SetCookie::new(name, Path::new(self.path.as_deref().unwrap_or("/"))?)
        })
    }
}

fn expires(millis: f64) -> Result<UnixMillis, Error> {
    #[expect(clippy::cast_precision_loss, reason = "the limit is far below 2^53")]
    let latest = LATEST_DATE.0 as f64;
    if (0.0..=latest).contains(&millis) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked just above"
        )]
        Ok(UnixMillis(millis as u64))
    } else {
        Err(Error::CookieOption {
            attribute: "expires",
            rule: "a Date between 1970 and the year 9999",
        })
    }
}

fn priority(name: &str) -> Result<Priority, Error> {
    match name.to_ascii_lowercase().as_str() {
        "low" => Ok(Priority::Low),
        "medium" => Ok(Priority::Medium),
        "high" => Ok(Priority::High),
        _ => Err(Error::CookieOption { attribute: "priority", rule: "`low`, `medium` or `high`" }),
    }
}

fn same_site(option: Option<&SameSiteOption>) -> Result<Option<SameSite>, Error> {
    let name = match option {
        None => return Ok(Some(SameSite::Lax)),
        Some(SameSiteOption::Flag(true)) => return Ok(Some(SameSite::Strict)),
        Some(SameSiteOption::Flag(false)) => return Ok(None),
        Some(SameSiteOption::Name(name)) => name.to_ascii_lowercase(),
    };
    match name.as_str() {
        "lax" => Ok(Some(SameSite::Lax)),
        "none" => Ok(Some(SameSite::None)),
        "strict" => Ok(Some(SameSite::Strict)),
        _ => Err(Error::CookieOption {
            attribute: "sameSite",
            rule: "`lax`, `none`, `strict`, true or false",
        }),
    }
}

/// A browser throws away a cookie that breaks the promise of its name or attributes, and nobody
/// sees why; so such options are refused here, and `Secure` is added where it is a must.
fn secure(
    name: &CookieName,
    cookie: &SetCookie,
    asked: Option<bool>,
) -> Result<Option<bool>, Error> {
    let host = name.has_prefix("__Host-");
    let prefix = if host { "__Host-" } else { "__Secure-" };
    let prefixed = host || name.has_prefix(prefix);
    if prefixed && asked == Some(false) {
        return Err(Error::CookiePrefix {
            prefix,
            rule: "must be Secure: leave `cookie.secure` out or set it to true",
        });
    }
    if host && (cookie.domain.is_some() || cookie.path != Path::root()) {
        return Err(Error::CookiePrefix {
            prefix,
            rule: "must have `cookie.path` `/` and no `cookie.domain`",
        });
    }
    if cookie.partitioned && asked == Some(false) {
        return Err(Error::CookieOption {
            attribute: "partitioned",
            rule: "browsers demand `cookie.secure` with it: leave `secure` out or set it to true",
        });
    }
    // Browsers drop SameSite=None without Secure too, but behind a proxy that ends TLS some set
    // `secure: false` on purpose: that stays their choice.
    let must = prefixed || cookie.partitioned || cookie.same_site == Some(SameSite::None);
    Ok(if must { asked.or(Some(true)) } else { asked })
}

impl Options {
    /// The key ring of these secrets; in production only of long ones.
    ///
    /// # Errors
    /// As [`KeyRing::new`] and, in production, [`KeyRing::require_long`].
    pub fn keys<S: AsRef<str>>(secrets: &[S], production: bool) -> Result<KeyRing, Error> {
        let keys = KeyRing::new(secrets)?;
        if production {
            KeyRing::require_long(secrets)?;
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(json: &str) -> Result<String, Error> {
        Ok(Options::parse(json)?.set_cookie(false).with_value("v"))
    }

    #[test]
    fn defaults_are_the_hosts() {
        assert_eq!(header("{}").unwrap(), "connect.sid=v; Path=/; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn every_attribute_of_the_readme() {
        let all = r#"{"name":"sid","cookie":{"domain":"example.com","expires":1700000000000,
            "httpOnly":true,"maxAge":60.9,"partitioned":true,"path":"/app","priority":"HIGH",
            "sameSite":"None","secure":true}}"#;
        assert_eq!(
            header(all).unwrap(),
            "sid=v; Max-Age=60; Domain=example.com; Path=/app; Expires=Tue, 14 Nov 2023 22:13:20 GMT; \
             HttpOnly; Secure; Partitioned; Priority=High; SameSite=None"
        );
        assert_eq!(
            header(r#"{"cookie":{"httpOnly":false,"sameSite":false}}"#).unwrap(),
            "connect.sid=v; Path=/"
        );
        assert!(header(r#"{"cookie":{"sameSite":true}}"#).unwrap().ends_with("SameSite=Strict"));
    }

    #[test]
    fn what_a_browser_would_drop_is_refused_or_mended() {
        for bad in [
            r#"{"name":"__Host-id","cookie":{"secure":false}}"#,
            r#"{"name":"__host-id","cookie":{"path":"/app"}}"#,
            r#"{"name":"__Host-id","cookie":{"domain":"example.com"}}"#,
            r#"{"name":"__Secure-id","cookie":{"secure":false}}"#,
            r#"{"cookie":{"partitioned":true,"secure":false}}"#,
            r#"{"cookie":{"sameSite":"sometimes"}}"#,
            r#"{"cookie":{"priority":"urgent"}}"#,
            r#"{"cookie":{"expires":-1}}"#,
            r#"{"cookie":{"maxAge":1e300}}"#,
        ] {
            assert!(header(bad).is_err(), "{bad}");
        }
        for secured in [
            r#"{"name":"__Host-id"}"#,
            r#"{"name":"__Secure-id","cookie":{"path":"/app"}}"#,
            r#"{"cookie":{"partitioned":true}}"#,
            r#"{"cookie":{"sameSite":"none"}}"#,
        ] {
            assert!(header(secured).unwrap().contains("; Secure"), "{secured}");
        }
    }

    #[test]
    fn rolling_needs_max_age() {
        assert!(!Options::parse(r#"{"rolling":true}"#).unwrap().policy.rolling);
        assert!(
            Options::parse(r#"{"rolling":true,"cookie":{"maxAge":1}}"#).unwrap().policy.rolling
        );
    }
}
