use crate::{
    CookieName, Domain, Error, MaxAge, OptionType, OptionsText, Path, Priority, SameSite,
    SetCookie, UnixMillis, cookie::Value, time::date,
};

/// The cookie options before validation.
#[derive(Clone, Debug, Default)]
pub struct CookieOptions<'a> {
    /// `Domain`.
    pub domain: Option<&'a str>,
    /// `Expires`, in milliseconds since the epoch.
    pub expires: Option<f64>,
    /// `HttpOnly`. Default: on, as in `SvelteKit`.
    pub http_only: Option<bool>,
    /// `Max-Age`, in seconds.
    pub max_age: Option<f64>,
    /// `Partitioned`.
    pub partitioned: bool,
    /// `Path`. Default: `/`.
    pub path: Option<&'a str>,
    /// `Priority`: `low`, `medium` or `high`, in any case.
    pub priority: Option<&'a str>,
    /// `SameSite`. Default: `lax`, as in `SvelteKit`.
    pub same_site: Option<SameSiteOption<'a>>,
    /// `Secure`. Default: the host decides by the URL.
    pub secure: Option<bool>,
}

/// The values of `sameSite`.
#[derive(Clone, Copy, Debug)]
pub enum SameSiteOption<'a> {
    /// `true` is `Strict`; `false` omits the attribute.
    Flag(bool),
    /// `lax`, `none` or `strict`, in any case.
    Name(&'a str),
}

impl<'a> CookieOptions<'a> {
    /// The attributes that [`OptionsText`](crate::OptionsText) accepts, with the types of their values.
    pub const TYPES: [(&'static str, OptionType); 9] = [
        ("cookie.domain", OptionType::String),
        ("cookie.expires", OptionType::Date),
        ("cookie.httpOnly", OptionType::Boolean),
        ("cookie.maxAge", OptionType::Number),
        ("cookie.partitioned", OptionType::Boolean),
        ("cookie.path", OptionType::String),
        ("cookie.priority", OptionType::String),
        ("cookie.sameSite", OptionType::BooleanOrString),
        ("cookie.secure", OptionType::Boolean),
    ];

    /// The attributes in a text of options. An empty string counts as absent.
    #[inline(never)]
    pub(crate) fn of(text: &'a OptionsText) -> Self {
        let given = |name| text.string(name).filter(|text| !text.is_empty());
        let flag = text.boolean("cookie.sameSite").map(SameSiteOption::Flag);
        Self {
            domain: given("cookie.domain"),
            expires: text.number("cookie.expires"),
            http_only: text.boolean("cookie.httpOnly"),
            max_age: text.number("cookie.maxAge"),
            partitioned: text.is_on("cookie.partitioned"),
            path: given("cookie.path"),
            priority: given("cookie.priority"),
            same_site: flag.or_else(|| given("cookie.sameSite").map(SameSiteOption::Name)),
            secure: text.boolean("cookie.secure"),
        }
    }

    /// Validates the attributes, and adds the defaults of the others.
    #[inline(never)]
    pub(crate) fn checked(&self, name: &str) -> Result<SetCookie, Error> {
        let mut cookie = SetCookie {
            http_only: true,
            same_site: Some(SameSite::Lax),
            ..SetCookie::new(CookieName::new(name)?, Path::root())
        };
        let same_site = self.same_site.map(|option| match option {
            SameSiteOption::Flag(on) => Value::Flag(on),
            SameSiteOption::Name(name) => Value::Text(name),
        });
        for (name, value) in [
            ("expires", self.expires.map(Value::Number)),
            ("maxAge", self.max_age.map(Value::Number)),
            ("priority", self.priority.map(Value::Text)),
            ("sameSite", same_site),
            ("path", self.path.map(Value::Text)),
            ("domain", self.domain.map(Value::Text)),
            ("httpOnly", self.http_only.map(Value::Flag)),
            ("partitioned", Some(Value::Flag(self.partitioned))),
        ] {
            if let Some(value) = value {
                set_attribute(&mut cookie, &mut None, name, value)?;
            }
        }
        Ok(cookie)
    }
}

const EXPIRES: &str = "a Date between 1970 and the year 9999";
const PRIORITIES: &str = "`low`, `medium` or `high`";
const SAME_SITES: &str = "`lax`, `none`, `strict`, true or false";

fn expires(millis: f64) -> Result<UnixMillis, Error> {
    #[expect(clippy::cast_precision_loss, reason = "the limit is far below 2^53")]
    let latest = date::LATEST.0 as f64;
    if (0.0..=latest).contains(&millis) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked just above"
        )]
        Ok(UnixMillis(millis as u64))
    } else {
        Err(Error::CookieOption { attribute: "expires", rule: EXPIRES })
    }
}

/// Sets an attribute; `null` restores its default.
#[inline(never)]
pub(crate) fn set_attribute(
    cookie: &mut SetCookie,
    secure: &mut Option<bool>,
    name: &str,
    value: Value<'_>,
) -> Result<(), Error> {
    match name {
        "domain" => {
            cookie.domain = value.text("domain", "a host name")?.map(Domain::new).transpose()?;
        }
        "expires" => {
            cookie.expires = value.number("expires", EXPIRES)?.map(expires).transpose()?;
        }
        "httpOnly" => cookie.http_only = value.flag("httpOnly")?.unwrap_or(true),
        "maxAge" => {
            let seconds = value.number("maxAge", "a finite number of seconds")?;
            cookie.max_age = seconds.map(MaxAge::from_seconds).transpose()?;
        }
        "partitioned" => cookie.partitioned = value.flag("partitioned")?.unwrap_or_default(),
        "path" => {
            let path = value.text("path", "an absolute path such as `/`")?;
            cookie.path = Path::new(path.unwrap_or("/"))?;
        }
        "priority" => {
            cookie.priority = value.text("priority", PRIORITIES)?.map(priority).transpose()?;
        }
        "sameSite" => {
            cookie.same_site = match value {
                Value::Flag(strict) => strict.then_some(SameSite::Strict),
                _ => value
                    .text("sameSite", SAME_SITES)?
                    .map_or(Ok(SameSite::Lax), same_site)
                    .map(Some)?,
            }
        }
        "secure" => *secure = value.flag("secure")?,
        // A record of a later version may have more attributes.
        _ => {}
    }
    Ok(())
}

fn priority(name: &str) -> Result<Priority, Error> {
    one_of(name, [("low", Priority::Low), ("medium", Priority::Medium), ("high", Priority::High)])
        .ok_or(Error::CookieOption { attribute: "priority", rule: PRIORITIES })
}

fn same_site(name: &str) -> Result<SameSite, Error> {
    one_of(name, [("lax", SameSite::Lax), ("none", SameSite::None), ("strict", SameSite::Strict)])
        .ok_or(Error::CookieOption { attribute: "sameSite", rule: SAME_SITES })
}

fn one_of<T>(name: &str, known: [(&str, T); 3]) -> Option<T> {
    known.into_iter().find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
}

/// Adds `Secure` if a browser requires it. Browsers silently drop a cookie that contradicts its name or attributes, so
/// such options are rejected here.
pub(crate) fn secure(cookie: &SetCookie, asked: Option<bool>) -> Result<Option<bool>, Error> {
    let host = cookie.name.has_prefix("__Host-");
    let prefix = if host { "__Host-" } else { "__Secure-" };
    let prefixed = host || cookie.name.has_prefix(prefix);
    if prefixed && asked == Some(false) {
        let rule = "must be Secure: leave `cookie.secure` out or set it to true";
        return Err(Error::CookiePrefix { prefix, rule });
    }
    if host && (cookie.domain.is_some() || cookie.path != Path::root()) {
        return Err(Error::CookiePrefix {
            prefix,
            rule: "must have `cookie.path` `/` and no `cookie.domain`",
        });
    }
    if cookie.partitioned && asked == Some(false) {
        let rule = "browsers demand `cookie.secure` with it: leave `secure` out or set it to true";
        return Err(Error::CookieOption { attribute: "partitioned", rule });
    }
    // Browsers also drop SameSite=None without Secure. Some applications behind a proxy that terminates TLS set
    // `secure: false` on purpose, so that is accepted.
    let must = prefixed || cookie.partitioned || cookie.same_site == Some(SameSite::None);
    Ok(if must { asked.or(Some(true)) } else { asked })
}
