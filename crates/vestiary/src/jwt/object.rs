use alloc::{string::String, vec::Vec};
use core::{fmt, ops::Range};

use crate::{Limits, json};

/// A JSON object of a token: its header, its claims, or a key.
///
/// ```
/// use vestiary::jwt::Object;
///
/// let text = r#"{"iss":"https:\/\/login.example","exp":12.5,"aud":["a","b"],"jwk":{"kty":"EC"}}"#;
/// let object = Object::parse(text.into()).unwrap();
/// assert_eq!(object.string("iss").as_deref(), Some("https://login.example"));
/// assert_eq!(object.number("exp"), Some(12.5));
/// assert_eq!(object.strings("aud").unwrap(), ["a", "b"]);
/// assert_eq!(object.object("jwk").unwrap().string("kty").as_deref(), Some("EC"));
/// assert_eq!(object.string("exp"), None);
/// assert_eq!(object.text("nonce"), None);
/// // Two parsers could read two values.
/// assert!(Object::parse(r#"{"sub":"ada","sub":"eve"}"#.into()).is_none());
/// ```
pub struct Object {
    text: String,
    /// The places of names, as they are spelled between their quotes, and of values.
    members: Vec<(Range<usize>, Range<usize>)>,
}

impl Object {
    /// The maximum number of members. Each name is compared with all others, and anyone may send a token.
    pub const MOST: usize = 128;

    /// Reads an object; `None` if the text is not one, has more than [`Object::MOST`] members or two of one name, or has a
    /// name that JavaScript could turn into a prototype.
    #[must_use]
    pub fn parse(text: String) -> Option<Self> {
        let mut members: Vec<(Range<usize>, Range<usize>)> = Vec::new();
        let name = |place: &Range<usize>| text.get(place.clone()).unwrap_or_default();
        let mut is_ambiguous = false;
        json::json_members(&text, Limits::LOAD, &mut |key, value| {
            if is_ambiguous {
                return;
            }
            is_ambiguous = members.len() == Self::MOST
                || members.iter().any(|(other, _)| json::is_same_key(name(other), name(&key)));
            members.push((key, value));
        })
        .ok()?;
        (!is_ambiguous).then_some(Self { text, members })
    }

    /// The JSON text of a member.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let is_it = |(key, _): &&(Range<usize>, _)| self.text.get(key.clone()) == Some(name);
        self.members.iter().find(is_it).and_then(|(_, value)| self.text.get(value.clone()))
    }

    /// A member that is a string; `None` if it is absent, or another value.
    #[must_use]
    pub fn string(&self, name: &str) -> Option<String> {
        json::unquoted(self.text(name)?)
    }

    /// A member that is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        json::number(self.text(name)?)
    }

    /// A member that is a list of strings.
    #[must_use]
    pub fn strings(&self, name: &str) -> Option<Vec<String>> {
        json::strings(self.text(name)?)
    }

    /// The objects in a member that is a list. Elements of it that cannot be read are left out.
    #[must_use]
    pub fn objects(&self, name: &str) -> Option<Vec<Self>> {
        let list = self.text(name)?;
        let read = |place: Range<usize>| Self::parse(list.get(place)?.into());
        Some(json::elements(list)?.into_iter().filter_map(read).collect())
    }

    /// A member that is an object.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Self> {
        Self::parse(self.text(name)?.into())
    }
}

/// Hides the values, which may be a user's.
impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("members", &self.members.len()).finish_non_exhaustive()
    }
}
