use alloc::{string::String, sync::Arc, vec::Vec};
use core::fmt;

use crate::{
    CookieOptions, Error, Format, KeyRing, Limits, OnReuse, Options, OptionsInput, SealRing,
    Timeouts, Ttl, UnixMillis, WhenFull, json,
    protocol::Rules,
    record::{self, push_name},
    time::date,
};

/// Options and secrets in one JSON text: the options of the npm package, as `JSON.stringify` writes them.
///
/// A new option needs a line in [`OptionsText::TYPES`] and one in [`OptionsText::input`]; a new attribute of the cookie
/// needs a line in [`CookieOptions::TYPES`].
///
/// ```
/// # use vestiary::{Options, OptionsText};
/// let text = r#"{"name":"sid","cookie":{"maxAge":60},"secrets":["a long random secret, from the environment"]}"#;
/// let text = OptionsText::read(text)?;
/// let options = Options::new(text.input()?)?;
/// assert_eq!(options.name().as_str(), "sid");
/// assert!(text.keys()?.is_some());
/// # Ok::<(), vestiary::Error>(())
/// ```
pub struct OptionsText {
    given: Vec<(&'static str, Value)>,
    attributes: String,
}

/// The JavaScript type of an option's value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OptionType {
    /// `true` or `false`.
    Boolean,
    /// A boolean, or a choice by its name.
    BooleanOrString,
    /// A `Date`, as milliseconds since the epoch.
    Date,
    /// A number. `JSON.stringify` writes `NaN` and `Infinity` as `null`.
    Number,
    /// Text.
    String,
    /// A list of strings.
    Strings,
}

enum Value {
    Boolean(bool),
    Number(f64),
    String(String),
    Strings(Vec<String>),
}

/// The prefix of the names of the members of `cookie`.
const COOKIE: &str = "cookie.";

impl OptionsText {
    /// The members of the text besides `cookie`, with the types of their values.
    pub const TYPES: [(&'static str, OptionType); 30] = [
        ("name", OptionType::String),
        ("rolling", OptionType::Boolean),
        ("saveUninitialized", OptionType::Boolean),
        ("autoSave", OptionType::Boolean),
        ("touchAfter", OptionType::Number),
        ("format", OptionType::String),
        ("idleTimeout", OptionType::Number),
        ("absoluteTimeout", OptionType::Number),
        ("renewAfter", OptionType::Number),
        ("renewGrace", OptionType::Number),
        ("namespace", OptionType::String),
        ("hashIds", OptionType::Boolean),
        ("maxBytes", OptionType::Number),
        ("sessionsPerUser", OptionType::Number),
        ("whenFull", OptionType::String),
        ("version", OptionType::Number),
        ("onReuse", OptionType::String),
        ("recheckAfter", OptionType::Number),
        ("maxStale", OptionType::Number),
        ("maxEntries", OptionType::Number),
        ("deviceBound", OptionType::Boolean),
        ("boundMaxAge", OptionType::Number),
        ("boundPath", OptionType::String),
        ("secrets", OptionType::Strings),
        ("sealSecrets", OptionType::Strings),
        ("migrates", OptionType::Boolean),
        ("atomic", OptionType::Boolean),
        ("resends", OptionType::Boolean),
        ("storeTtl", OptionType::Number),
        ("production", OptionType::Boolean),
    ];

    /// Parses the text. If two members have one name, the last one counts.
    ///
    /// # Errors
    /// [`Error::OptionType`] for a value of the wrong type, [`Error::OptionsText`] if it is not a JSON object or has an
    /// unknown member. Neither repeats any of the text.
    #[inline(never)]
    pub fn read(text: &str) -> Result<Self, Error> {
        let mut read = Self { given: Vec::new(), attributes: String::from("{") };
        let mut cookie = "{}";
        members(text, &mut |name, value| match name {
            "cookie" => {
                cookie = value;
                Ok(())
            }
            _ if name.starts_with(COOKIE) => Err(Error::OptionsText),
            _ => read.put("", name, value),
        })?;
        members(cookie, &mut |name, value| read.put(COOKIE, name, value))?;
        read.show(cookie)?;
        Ok(read)
    }

    /// The options for [`Options::new`](crate::Options::new).
    ///
    /// # Errors
    /// [`Error::Timeout`] for an invalid timeout.
    #[inline(never)]
    pub fn input(&self) -> Result<OptionsInput<'_>, Error> {
        Ok(OptionsInput {
            name: self.string("name").filter(|name| !name.is_empty()),
            cookie: CookieOptions::of(self),
            rolling: self.is_on("rolling"),
            save_uninitialized: self.is_on("saveUninitialized"),
            auto_save: self.is_on("autoSave"),
            touch_after: self.number("touchAfter"),
            format: self.format()?,
            timeouts: Timeouts::new(
                self.number("idleTimeout"),
                self.number("absoluteTimeout"),
                self.number("renewAfter"),
                self.number("renewGrace"),
            )?,
            namespace: self.string("namespace"),
            hash_ids: self.is_on("hashIds"),
            max_bytes: self.number("maxBytes"),
            encrypts: self.strings("sealSecrets").is_some(),
            sessions_per_user: self.number("sessionsPerUser"),
            when_full: self.when_full()?,
            version: self.number("version"),
            on_reuse: self.on_reuse()?,
            recheck_after: self.number("recheckAfter"),
            max_stale: self.number("maxStale"),
            max_entries: self.number("maxEntries"),
            device_bound: self.is_on("deviceBound"),
            bound_max_age: self.number("boundMaxAge"),
            bound_path: self.string("boundPath"),
            attributes: Some(&self.attributes),
        })
    }

    /// The keys from `secrets`, which may be short except in `production`. `None` without secrets, which a build may
    /// lack.
    ///
    /// # Errors
    /// As [`KeyRing::checked`].
    #[inline(never)]
    pub fn keys(&self) -> Result<Option<KeyRing>, Error> {
        let ring =
            |secrets| KeyRing::checked(secrets, self.string("namespace"), self.is_on("production"));
        self.strings("secrets").map(ring).transpose()
    }

    /// The rules for `options`, which were created from [`OptionsText::input`]. Records are encrypted with
    /// `sealSecrets`, and unencrypted ones are accepted with `migrates`. `atomic`, `resends` and `storeTtl` describe
    /// the store.
    ///
    /// # Errors
    /// As [`OptionsText::keys`] and [`SealRing::new`].
    #[inline(never)]
    pub fn rules(&self, options: Options) -> Result<Rules, Error> {
        let ring = |secrets| SealRing::new(secrets, options.namespace()).map(Arc::new);
        Ok(Rules {
            keys: self.keys()?.map(Arc::new),
            atomic: self.is_on("atomic"),
            seals: self.strings("sealSecrets").map(ring).transpose()?,
            migrates: self.is_on("migrates"),
            resends: self.is_on("resends"),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a negative number is 0"
            )]
            default_ttl: match self.number("storeTtl") {
                Some(millis) if millis.is_finite() => Ttl::Millis(millis as u64),
                _ => Ttl::Infinite,
            },
            options: options.into(),
        })
    }

    fn format(&self) -> Result<Format, Error> {
        match self.string("format") {
            // The short names are deprecated.
            None | Some("svelte-kit-sessions" | "seed") => Ok(Format::SvelteKitSessions),
            Some("express-session" | "express") => Ok(Format::ExpressSession),
            Some(_) => {
                let expected = "'svelte-kit-sessions' or 'express-session'";
                Err(Error::OptionType { name: "format", expected })
            }
        }
    }

    fn on_reuse(&self) -> Result<OnReuse, Error> {
        match self.string("onReuse") {
            None | Some("report") => Ok(OnReuse::Report),
            Some("revoke") => Ok(OnReuse::Revoke),
            Some(_) => Err(Error::OptionType { name: "onReuse", expected: "'report' or 'revoke'" }),
        }
    }

    fn when_full(&self) -> Result<WhenFull, Error> {
        match self.string("whenFull") {
            None | Some("evict") => Ok(WhenFull::Evict),
            Some("refuse") => Ok(WhenFull::Refuse),
            Some(_) => {
                let name = "sessionsPerUser.whenFull";
                Err(Error::OptionType { name, expected: "'evict' or 'refuse'" })
            }
        }
    }

    /// Appends the attributes for records. In the express-session format, the lifetime is stored elsewhere.
    fn show(&mut self, cookie: &str) -> Result<(), Error> {
        let lifetime = [&b"expires"[..], b"maxAge"];
        let is_express = self.format()? == Format::ExpressSession;
        let without = lifetime.get(..1 + usize::from(is_express)).unwrap_or_default();
        record::push_members(&mut self.attributes, cookie, without, Limits::LOAD)?;
        if let (Some(expires), false) = (self.number("cookie.expires"), is_express) {
            push_name(&mut self.attributes, "expires");
            self.attributes.push('"');
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "`Options` refuses what is no date"
            )]
            date::push_iso(&mut self.attributes, UnixMillis(expires as u64));
            self.attributes.push('"');
        }
        self.attributes.push('}');
        Ok(())
    }

    #[inline(never)]
    fn put(&mut self, prefix: &str, name: &str, value: &str) -> Result<(), Error> {
        let is_it = |known: &&(&'static str, _)| known.0.strip_prefix(prefix) == Some(name);
        let known = if prefix.is_empty() { &Self::TYPES[..] } else { &CookieOptions::TYPES };
        let (name, kind) = *known.iter().find(is_it).ok_or(Error::OptionsText)?;
        let value = kind.value(value).ok_or(Error::OptionType { name, expected: kind.name() })?;
        self.given.push((name, value));
        Ok(())
    }

    #[inline(never)]
    fn value(&self, name: &str) -> Option<&Value> {
        self.given.iter().rev().find(|(given, _)| *given == name).map(|(_, value)| value)
    }

    #[inline(never)]
    pub(crate) fn string(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    #[inline(never)]
    fn strings(&self, name: &str) -> Option<&[String]> {
        match self.value(name) {
            Some(Value::Strings(texts)) => Some(texts),
            _ => None,
        }
    }

    #[inline(never)]
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        match self.value(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    #[inline(never)]
    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        match self.value(name) {
            Some(Value::Boolean(is_on)) => Some(*is_on),
            _ => None,
        }
    }

    #[inline(never)]
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.boolean(name).unwrap_or_default()
    }
}

impl OptionType {
    /// The type as messages name it: `a boolean`, `a boolean or string`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "a boolean",
            Self::BooleanOrString => "a boolean or string",
            Self::Date => "a Date",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Strings => "a list",
        }
    }

    fn value(self, text: &str) -> Option<Value> {
        Some(match (self, text) {
            (Self::Boolean | Self::BooleanOrString, "true" | "false") => {
                Value::Boolean(text == "true")
            }
            // Each option has its own error for an invalid number.
            (Self::Number | Self::Date, "null") => Value::Number(f64::NAN),
            (Self::Number | Self::Date, _) => Value::Number(json::number(text)?),
            // Text that is not valid Unicode is not valid for any option.
            (Self::String | Self::BooleanOrString, _) if text.starts_with('"') => {
                Value::String(json::unquoted(text).unwrap_or_else(|| "\u{fffd}".into()))
            }
            (Self::Strings, _) => Value::Strings(json::strings(text)?),
            _ => return None,
        })
    }
}

/// Visits the members of an object that makes up the whole of `text`, with the text of their values.
fn members<'t>(
    text: &'t str,
    visit: &mut dyn FnMut(&str, &'t str) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut fault = Error::OptionsText;
    let walked = json::members(text, 3, 3, &mut |name, place| {
        let name = str::from_utf8(name).unwrap_or_default();
        visit(name, text.get(place).unwrap_or_default()).inspect_err(|error| fault = error.clone())
    });
    walked.map_err(|_| fault)
}

/// Hides the text, which may contain secrets.
impl fmt::Debug for OptionsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OptionsText(…)")
    }
}
