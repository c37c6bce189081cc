use crate::{
    CookieName, Domain, Error, MaxAge, OptionType, OptionsText, Path, Priority, SameSite,
    SetCookie, UnixMillis, cookie_overrides::Value, date,
};

/// The options of the cookie, not validated yet.
#[derive(Clone, Debug, Default)]
pub struct CookieOptions<'a> {
    /// `Domain`.
    pub domain: Option<&'a str>,
    /// `Expires`, in milliseconds since the epoch.
    pub expires: Option<f64>,
    /// `HttpOnly`; default: on, as in `SvelteKit`.
    pub http_only: Option<bool>,
    /// `Max-Age`, in seconds.
    pub max_age: Option<f64>,
    /// `Partitioned`.
    pub partitioned: bool,
    /// `Path`; default: `/`.
    pub path: Option<&'a str>,
    /// `Priority`: `low`, `medium` or `high`, in any case.
    pub priority: Option<&'a str>,
    /// `SameSite`; default: `lax`, as in `SvelteKit`.
    pub same_site: Option<SameSiteOption<'a>>,
    /// `Secure`; where absent, the host decides by the URL.
    pub secure: Option<bool>,
}

/// The forms that `sameSite` may have.
#[derive(Clone, Copy, Debug)]
pub enum SameSiteOption<'a> {
    /// `true` is `Strict`, `false` leaves the attribute out.
    Flag(bool),
    /// `lax`, `none` or `strict`, in any case.
    Name(&'a str),
}

impl<'a> CookieOptions<'a> {
    /// The attributes that [`OptionsText`](crate::OptionsText) reads, and the types of their values.
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

    /// The attributes of a text. An empty one is none.
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

    pub(crate) fn checked(&self, name: &str) -> Result<SetCookie, Error> {
        // Values that own memory come last: each `?` after them would have to free them, in code.
        let expires = self.expires.map(expires).transpose()?;
        let max_age = self.max_age.map(MaxAge::from_seconds).transpose()?;
        let priority = self.priority.map(priority).transpose()?;
        let same_site = same_site(self.same_site)?;
        let cookie = SetCookie::new(CookieName::new(name)?, Path::new(self.path.unwrap_or("/"))?);
        Ok(SetCookie {
            domain: self.domain.map(Domain::new).transpose()?,
            expires,
            http_only: self.http_only.unwrap_or(true),
            max_age,
            partitioned: self.partitioned,
            priority,
            same_site,
            ..cookie
        })
    }
}

const EXPIRES: &str = "a Date between 1970 and the year 9999";

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

/// Sets an attribute to what a session has of its own.
#[cold]
pub(crate) fn set_attribute(
    cookie: &mut SetCookie,
    secure: &mut Option<bool>,
    name: &str,
    value: Value<'_>,
) -> Result<(), Error> {
    let wrong = |attribute, rule| Error::CookieOption { attribute, rule };
    match (name, value) {
        ("domain", Value::Null) => cookie.domain = None,
        ("domain", Value::Text(domain)) => cookie.domain = Some(Domain::new(domain)?),
        ("domain", _) => return Err(wrong("domain", "a host name")),
        ("expires", Value::Null) => cookie.expires = None,
        #[expect(clippy::cast_precision_loss, reason = "what is beyond 2^53 is refused")]
        ("expires", Value::Number(millis)) => cookie.expires = Some(expires(millis as f64)?),
        ("expires", _) => return Err(wrong("expires", EXPIRES)),
        ("httpOnly", Value::Null) => cookie.http_only = true,
        ("httpOnly", Value::Flag(on)) => cookie.http_only = on,
        ("httpOnly", _) => return Err(wrong("httpOnly", "true or false")),
        ("maxAge", Value::Null) => cookie.max_age = None,
        #[expect(clippy::cast_precision_loss, reason = "what is beyond 2^53 is refused")]
        ("maxAge", Value::Number(seconds)) => {
            cookie.max_age = Some(MaxAge::from_seconds(seconds as f64)?);
        }
        ("maxAge", _) => return Err(wrong("maxAge", "a finite number of seconds")),
        ("partitioned", Value::Null) => cookie.partitioned = false,
        ("partitioned", Value::Flag(on)) => cookie.partitioned = on,
        ("partitioned", _) => return Err(wrong("partitioned", "true or false")),
        ("path", Value::Null) => cookie.path = Path::root(),
        ("path", Value::Text(path)) => cookie.path = Path::new(path)?,
        ("path", _) => return Err(wrong("path", "an absolute path such as `/`")),
        ("priority", Value::Null) => cookie.priority = None,
        ("priority", Value::Text(name)) => cookie.priority = Some(priority(name)?),
        ("priority", _) => return Err(wrong("priority", "`low`, `medium` or `high`")),
        ("sameSite", Value::Null) => cookie.same_site = same_site(None)?,
        ("sameSite", Value::Flag(on)) => {
            cookie.same_site = same_site(Some(SameSiteOption::Flag(on)))?;
        }
        ("sameSite", Value::Text(name)) => {
            cookie.same_site = same_site(Some(SameSiteOption::Name(name)))?;
        }
        ("sameSite", _) => {
            return Err(wrong("sameSite", "`lax`, `none`, `strict`, true or false"));
        }
        ("secure", Value::Null) => *secure = None,
        ("secure", Value::Flag(on)) => *secure = Some(on),
        ("secure", _) => return Err(wrong("secure", "true or false")),
        // A later version may know more attributes.
        _ => {}
    }
    Ok(())
}

fn priority(name: &str) -> Result<Priority, Error> {
    one_of(name, [("low", Priority::Low), ("medium", Priority::Medium), ("high", Priority::High)])
        .ok_or(Error::CookieOption { attribute: "priority", rule: "`low`, `medium` or `high`" })
}

fn same_site(option: Option<SameSiteOption<'_>>) -> Result<Option<SameSite>, Error> {
    match option {
        None => Ok(Some(SameSite::Lax)),
        Some(SameSiteOption::Flag(strict)) => Ok(strict.then_some(SameSite::Strict)),
        Some(SameSiteOption::Name(name)) => one_of(
            name,
            [("lax", SameSite::Lax), ("none", SameSite::None), ("strict", SameSite::Strict)],
        )
        .map(Some)
        .ok_or(Error::CookieOption {
            attribute: "sameSite",
            rule: "`lax`, `none`, `strict`, true or false",
        }),
    }
}

fn one_of<T>(name: &str, known: [(&str, T); 3]) -> Option<T> {
    known.into_iter().find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
}

/// The option `Secure`, added where a browser demands it. A browser throws away a cookie that breaks the promise of its
/// name or attributes, and does not say why; so such options are refused here.
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
    // Browsers drop SameSite=None without Secure too, but behind a proxy that ends TLS some set
    // `secure: false` on purpose: that stays their choice.
    let must = prefixed || cookie.partitioned || cookie.same_site == Some(SameSite::None);
    Ok(if must { asked.or(Some(true)) } else { asked })
}
