use alloc::{borrow::ToOwned as _, string::String, vec::Vec};

use crate::{
    Error, Limits, UnixMillis,
    constants::CENTURY,
    json, json_members,
    record::{self, push_name},
    time::date,
};

/// The cookie attributes of one session that differ from the options, because the application assigned them to
/// `session.cookie`.
///
/// The record stores them as `meta.cookie`, and they apply to every later cookie and TTL of the session. They are the
/// text of a JSON object: `maxAge` in whole seconds, `expires` in milliseconds since the epoch. `null` removes an
/// attribute that the options have.
///
/// ```
/// # use vestiary::{CookieOverrides, Options, OptionsInput};
/// let options = Options::new(OptionsInput::default())?;
/// let remembered = CookieOverrides::parse(r#"{"maxAge":2592000}"#)?.unwrap();
/// assert_eq!(
///     options.overridden(&remembered)?.set_cookie(true).with_value("x"),
///     "connect.sid=x; Max-Age=2592000; Path=/; HttpOnly; Secure; SameSite=Lax"
/// );
/// let wrong = CookieOverrides::parse(r#"{"path":"app"}"#)?.unwrap();
/// let error = options.overridden(&wrong).err().unwrap();
/// assert!(error.to_string().starts_with("`cookie.path` is not valid"));
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CookieOverrides {
    text: String,
    /// Whether express-session wrote the record last, so that `maxAge` is its `originalMaxAge`.
    by_express: bool,
}

/// The value of an attribute.
#[derive(Clone, Copy)]
pub(crate) enum Value<'t> {
    Null,
    Flag(bool),
    /// A string without escapes, which no valid attribute needs.
    Text(&'t str),
    /// A number; records have only whole ones.
    Number(f64),
    Other,
}

impl CookieOverrides {
    /// Parses the text of a JSON object; `None` if it is empty. [`Options::overridden`](crate::Options::overridden)
    /// checks the values, because their validity depends on the options.
    ///
    /// # Errors
    /// [`Error`] if it is not a JSON object.
    #[cold]
    pub fn parse(text: &str) -> Result<Option<Self>, Error> {
        let mut is_empty = true;
        json_members(text, Limits::LOAD, &mut |_, _| is_empty = false)?;
        Ok((!is_empty).then(|| Self { text: text.to_owned(), by_express: false }))
    }

    /// The overrides for a cookie that lasts this many seconds, or as long as the browser is open.
    ///
    /// # Errors
    /// [`Error::Timeout`] unless it is from one second to a century. More was probably meant in milliseconds.
    ///
    /// ```
    /// # use vestiary::CookieOverrides;
    /// assert_eq!(CookieOverrides::lasting(Some(60))?.as_str(), r#"{"maxAge":60,"expires":null}"#);
    /// assert_eq!(CookieOverrides::lasting(None)?.as_str(), r#"{"maxAge":null,"expires":null}"#);
    /// assert!(CookieOverrides::lasting(Some(0)).is_err());
    /// # Ok::<(), vestiary::Error>(())
    /// ```
    #[cold]
    pub fn lasting(seconds: Option<u64>) -> Result<Self, Error> {
        let mut text = String::from("{\"maxAge\":");
        match seconds {
            None => text.push_str("null"),
            Some(seconds) if (1..=CENTURY.into()).contains(&seconds) => {
                date::push_number(&mut text, seconds, 1);
            }
            Some(_) => return Err(Error::Timeout { name: "maxAge" }),
        }
        text.push_str(",\"expires\":null}");
        Ok(Self { text, by_express: false })
    }

    /// The overrides in a record that express-session wrote last, which keeps only `maxAge`.
    #[cold]
    pub(crate) fn by_express(ours: Option<Self>, original_max_age: &str) -> Option<Self> {
        let max_age = Value::of(original_max_age);
        if !matches!(max_age, Value::Number(0.0..) | Value::Null) {
            return ours;
        }
        let mut text = String::from("{");
        let before = ours.as_ref().map_or("{}", Self::as_str);
        record::push_members(&mut text, before, &[b"maxAge", b"expires"], Limits::LOAD).ok()?;
        push_name(&mut text, "maxAge");
        match max_age {
            // express-session counts the time from `expires`, some milliseconds after it has set that.
            Value::Number(millis) => {
                date::push_number(&mut text, magnitude(millis).saturating_add(499) / 1_000, 1);
            }
            _ => text.push_str("null"),
        }
        text.push('}');
        Some(Self { text, by_express: true })
    }

    /// The text of the JSON object.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether express-session added the overrides, not the application. They are then dropped if they repeat the options.
    pub(crate) fn is_by_express(&self) -> bool {
        self.by_express
    }

    /// The attributes with their names.
    #[inline(never)]
    pub(crate) fn attributes(&self) -> Vec<(&str, Value<'_>)> {
        let mut found = Vec::new();
        let part = |place| self.text.get(place).unwrap_or_default();
        // The text was validated before.
        let _ = json_members(&self.text, Limits::LOAD, &mut |name, value| {
            found.push((part(name), Value::of(part(value))));
        });
        found
    }

    /// The cookie object for the record: `attributes`, the text of a JSON object, with these overrides applied. In the
    /// express-session format, the lifetime is stored elsewhere.
    #[inline(never)]
    pub(crate) fn shown(&self, attributes: &str, has_life: bool) -> Result<String, Error> {
        let overrides = self.attributes();
        let names: Vec<_> = overrides.iter().map(|(name, _)| name.as_bytes()).collect();
        let mut shown = String::from("{");
        record::push_members(&mut shown, attributes, &names, Limits::LOAD)?;
        for (name, value) in overrides {
            let is_life = matches!(name, "maxAge" | "expires");
            if matches!(value, Value::Null | Value::Other) || is_life && !has_life {
                continue;
            }
            push_name(&mut shown, name);
            match value {
                Value::Flag(true) => shown.push_str("true"),
                Value::Flag(false) => shown.push_str("false"),
                Value::Text(text) => shown.extend(["\"", text, "\""]),
                Value::Number(millis) if name == "expires" => {
                    shown.push('"');
                    date::push_iso(&mut shown, UnixMillis(magnitude(millis)));
                    shown.push('"');
                }
                Value::Number(number) => {
                    shown.push_str(if number < 0.0 { "-" } else { "" });
                    date::push_number(&mut shown, magnitude(number), 1);
                }
                Value::Null | Value::Other => {}
            }
        }
        shown.push('}');
        Ok(shown)
    }
}

/// The absolute value of a whole number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it has neither")]
fn magnitude(number: f64) -> u64 {
    number.abs() as u64
}

impl Eq for CookieOverrides {}

impl PartialEq for CookieOverrides {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<'t> Value<'t> {
    fn of(text: &'t str) -> Self {
        match text {
            "null" => Self::Null,
            "true" => Self::Flag(true),
            "false" => Self::Flag(false),
            _ => match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
                Some(text) if !text.contains('\\') => Self::Text(text),
                Some(_) => Self::Other,
                None => Self::number_of(text).map_or(Self::Other, Self::Number),
            },
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "no attribute may be beyond 2^53")]
    fn number_of(text: &str) -> Option<f64> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let number = json::whole(digits)? as f64;
        Some(if digits.len() < text.len() { -number } else { number })
    }

    /// The attribute as a string; `None` for `null`.
    #[inline(never)]
    pub(crate) fn text(
        self,
        attribute: &'static str,
        rule: &'static str,
    ) -> Result<Option<&'t str>, Error> {
        match self {
            Self::Null => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            _ => Err(Error::CookieOption { attribute, rule }),
        }
    }

    /// The attribute as a number; `None` for `null`.
    #[inline(never)]
    pub(crate) fn number(
        self,
        attribute: &'static str,
        rule: &'static str,
    ) -> Result<Option<f64>, Error> {
        match self {
            Self::Null => Ok(None),
            Self::Number(number) => Ok(Some(number)),
            _ => Err(Error::CookieOption { attribute, rule }),
        }
    }

    /// The attribute as a boolean; `None` for `null`.
    #[inline(never)]
    pub(crate) fn flag(self, attribute: &'static str) -> Result<Option<bool>, Error> {
        match self {
            Self::Null => Ok(None),
            Self::Flag(on) => Ok(Some(on)),
            _ => Err(Error::CookieOption { attribute, rule: "true or false" }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]

    use super::*;

    fn own(text: &str) -> CookieOverrides {
        CookieOverrides::parse(text).unwrap().unwrap()
    }

    #[test]
    fn a_record_shows_the_attributes_of_its_session_in_place_of_those_of_the_options() {
        let options = r#"{"path":"/","httpOnly":true}"#;
        for (attributes, has_life, shown) in [
            (r#"{"path":"/app"}"#, true, r#"{"httpOnly":true,"path":"/app"}"#),
            (r#"{"secure":true}"#, true, r#"{"path":"/","httpOnly":true,"secure":true}"#),
            (r#"{"httpOnly":false}"#, true, r#"{"path":"/","httpOnly":false}"#),
            (r#"{"httpOnly":null}"#, true, r#"{"path":"/"}"#),
            // A string with an escape is not a valid attribute.
            (r#"{"path":"\/x"}"#, true, r#"{"httpOnly":true}"#),
            (r#"{"path":[]}"#, true, r#"{"httpOnly":true}"#),
            (r#"{"maxAge":60}"#, true, r#"{"path":"/","httpOnly":true,"maxAge":60}"#),
            (r#"{"maxAge":0}"#, true, r#"{"path":"/","httpOnly":true,"maxAge":0}"#),
            (r#"{"maxAge":-5}"#, true, r#"{"path":"/","httpOnly":true,"maxAge":-5}"#),
            (
                r#"{"expires":1000}"#,
                true,
                r#"{"path":"/","httpOnly":true,"expires":"1970-01-01T00:00:01.000Z"}"#,
            ),
            // In the express-session format, the lifetime is stored elsewhere.
            (r#"{"maxAge":60,"expires":1000}"#, false, options),
            (r#"{"maxAge":60,"path":"/app"}"#, false, r#"{"httpOnly":true,"path":"/app"}"#),
        ] {
            assert_eq!(own(attributes).shown(options, has_life).unwrap(), shown, "{attributes}");
        }
    }

    #[test]
    fn a_record_by_express_session_has_its_own_lifetime_and_keeps_the_other_attributes() {
        let by_express = |ours, max_age| CookieOverrides::by_express(ours, max_age);
        let alone = by_express(None, "2500").unwrap();
        assert_eq!((alone.as_str(), alone.is_by_express()), (r#"{"maxAge":2}"#, true));
        let ours = own(r#"{"path":"/app","maxAge":60,"expires":1000}"#);
        assert!(!ours.is_by_express());
        let both = by_express(Some(ours.clone()), "null").unwrap();
        assert_eq!(both.as_str(), r#"{"path":"/app","maxAge":null}"#);
        assert!(both != ours && both == own(r#"{"path":"/app","maxAge":null}"#));
        for none in ["-1", "true", r#""60""#] {
            assert_eq!(by_express(Some(ours.clone()), none), Some(ours.clone()));
            assert_eq!(by_express(None, none), None);
        }
    }
}
