use std::{borrow::Cow, collections::BTreeMap, ops::Range};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, value::RawValue};
use vestiary::{Limits, json_members, visit::Changes};
use vestiary_store::{SessionError, Stored, WrongType};

use crate::view::expectation;

/// The data of a session, as a map.
pub type Data = Map<String, Value>;

/// The data of a session, and the application's changes to it, key by key.
///
/// It stays the text that was read. Only a member that the application asks for is parsed, and only one that it changes
/// is serialised. All other members are written back byte for byte.
#[derive(Default)]
pub(crate) struct Contents {
    read: Read,
    /// The members sorted by name, once one of them was needed.
    members: Option<Vec<Member>>,
}

/// The text that holds the members.
#[derive(Default)]
enum Read {
    /// A new session has no text.
    #[default]
    Nothing,
    Record(Stored),
    Text(String),
}

struct Member {
    key: Key,
    /// The range of its value in the text that was read.
    read: Option<Range<usize>>,
    now: Now,
    /// The position in the output: members as they were read, then those that were added.
    place: usize,
}

enum Key {
    /// The key as it stands in the text that was read, without escapes.
    Plain(Range<usize>),
    /// The key, and its spelling.
    Spelled(String, String),
}

/// The fate of a member.
enum Now {
    /// Unchanged.
    AsRead,
    /// Set to this JSON text.
    Text(String),
    Removed,
}

impl Contents {
    pub(crate) fn of(read: Stored) -> Self {
        Self { read: Read::Record(read), members: None }
    }

    /// Contents with the members of this text of a JSON object.
    pub(crate) fn of_text(text: &str) -> Self {
        Self { read: Read::Text(text.to_owned()), members: None }
    }

    /// The data before the application changed it: text of a JSON object.
    pub(crate) fn before(&self) -> &str {
        match &self.read {
            Read::Nothing => NOTHING,
            Read::Record(stored) => stored.data(),
            Read::Text(text) => text,
        }
    }

    /// The data as it is now: text of a JSON object.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match &self.members {
            Some(members) if self.is_changed() => self.text_of(members, |_| true).into(),
            _ => self.before().into(),
        }
    }

    /// The changes since the data was read.
    pub(crate) fn changes(&self) -> Changes {
        let (base, mine) = (self.before().to_owned(), self.text().into_owned());
        Changes { base, mine, cookie: None, assigned: false }
    }

    /// Whether the application changed a member. Setting the value that was already there is no change.
    pub(crate) fn is_changed(&self) -> bool {
        self.members.iter().flatten().any(|member| !matches!(member.now, Now::AsRead))
    }

    /// The value of a member.
    pub(crate) fn get<V: DeserializeOwned>(
        &mut self,
        name: &str,
    ) -> Result<Option<V>, SessionError> {
        self.with_value(name, |text| text.map(|text| value_of(name, text)).transpose())?
    }

    /// Sets a member to a value, given as JSON text.
    pub(crate) fn set(&mut self, name: &str, text: String) -> Result<(), SessionError> {
        self.with_members(|this, members| match this.place(members, name) {
            Ok(at) => {
                if let Some(member) = members.get_mut(at) {
                    let read = member.read.clone().and_then(|place| this.before().get(place));
                    let is_read = read.is_some_and(|read| is_same(read, &text));
                    member.now = if is_read { Now::AsRead } else { Now::Text(text) };
                }
            }
            Err(at) => {
                let quoted = Value::from(name).to_string();
                let spelled = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                let key = Key::Spelled(name.to_owned(), spelled.unwrap_or_default().to_owned());
                let last = members.iter().map(|member| member.place).max();
                let place = last.unwrap_or_default().max(this.before().len()) + 1;
                members.insert(at, Member { key, read: None, now: Now::Text(text), place });
            }
        })
    }

    /// Removes a member and returns its value, if there was one.
    pub(crate) fn remove(&mut self, name: &str) -> Result<Option<String>, SessionError> {
        self.with_members(|this, members| {
            let found = this.place(members, name).ok();
            let member = found.and_then(|at| members.get_mut(at))?;
            let removed = this.value(member).map(str::to_owned);
            member.now = Now::Removed;
            // A member that was added and removed again is not worth a change: the store never had it.
            members.retain(|member| member.read.is_some() || !matches!(member.now, Now::Removed));
            removed
        })
    }

    /// Removes all members.
    pub(crate) fn clear(&mut self) -> Result<(), SessionError> {
        self.with_members(|_, members| {
            members.retain(|member| member.read.is_some());
            for member in members {
                member.now = Now::Removed;
            }
        })
    }

    /// The text of an object with only these members.
    pub(crate) fn only(&mut self, names: &[String]) -> Result<String, SessionError> {
        self.with_members(|this, members| {
            this.text_of(members, |name| names.iter().any(|kept| kept == name))
        })
    }

    /// Passes the text of a member's value to a function.
    pub(crate) fn with_value<R>(
        &mut self,
        name: &str,
        see: impl FnOnce(Option<&str>) -> R,
    ) -> Result<R, SessionError> {
        self.with_members(|this, members| {
            let found = this.place(members, name).ok().and_then(|at| members.get(at));
            see(found.and_then(|member| this.value(member)))
        })
    }

    /// Passes the names of all members and the texts of their values to a function, in the order in which they are
    /// written.
    pub(crate) fn with_texts<R>(
        &mut self,
        see: impl FnOnce(Vec<(&str, &str)>) -> R,
    ) -> Result<R, SessionError> {
        self.with_members(|this, members| {
            let texts = in_order(members)
                .into_iter()
                .filter_map(|member| this.value(member).map(|text| (this.name(member), text)));
            see(texts.collect())
        })
    }

    fn with_members<R>(
        &mut self,
        see: impl FnOnce(&Self, &mut Vec<Member>) -> R,
    ) -> Result<R, SessionError> {
        let mut members = match self.members.take() {
            Some(members) => members,
            None => self.all_members()?,
        };
        let seen = see(self, &mut members);
        self.members = Some(members);
        Ok(seen)
    }

    /// The members of the text that was read, sorted by name.
    fn all_members(&self) -> Result<Vec<Member>, SessionError> {
        let text = self.before();
        let mut members: Vec<Member> = Vec::new();
        let mut unreadable = None;
        json_members(text, Limits::LOAD, &mut |place, value| {
            let spelled = text.get(place.clone()).unwrap_or_default();
            let key = match spelled.contains('\\').then(|| said_by(spelled)) {
                None => Key::Plain(place),
                Some(Some(said)) => Key::Spelled(said, spelled.to_owned()),
                Some(None) => return unreadable = Some(()),
            };
            let place = value.start;
            members.push(Member { key, read: Some(value), now: Now::AsRead, place });
        })?;
        if unreadable.is_some() {
            return Err(wrong_type(
                None,
                "a key of the session data",
                "String",
                "half of a UTF-16 pair",
            ));
        }
        if !members.is_sorted_by(|one, other| self.name(one) < self.name(other)) {
            // Reversed, so that the last of two members with one name stays.
            members.reverse();
            members.sort_by(|one, other| self.name(one).cmp(self.name(other)));
            members.dedup_by(|other, last| self.name(other) == self.name(last));
        }
        Ok(members)
    }

    fn place(&self, members: &[Member], name: &str) -> Result<usize, usize> {
        members.binary_search_by(|member| self.name(member).cmp(name))
    }

    fn name<'c>(&'c self, member: &'c Member) -> &'c str {
        match &member.key {
            Key::Plain(place) => self.before().get(place.clone()).unwrap_or_default(),
            Key::Spelled(said, _) => said,
        }
    }

    fn value<'c>(&'c self, member: &'c Member) -> Option<&'c str> {
        match &member.now {
            Now::AsRead => self.before().get(member.read.clone()?),
            Now::Text(text) => Some(text),
            Now::Removed => None,
        }
    }

    fn text_of(&self, members: &[Member], is_wanted: impl Fn(&str) -> bool) -> String {
        let mut text = String::with_capacity(self.before().len() + 64);
        text.push('{');
        for member in in_order(members) {
            let name = self.name(member);
            let Some(value) = self.value(member).filter(|_| is_wanted(name)) else { continue };
            if text.len() > 1 {
                text.push(',');
            }
            let spelled = match &member.key {
                Key::Plain(_) => name,
                Key::Spelled(_, spelled) => spelled,
            };
            text.extend(["\"", spelled, "\":", value]);
        }
        text.push('}');
        text
    }
}

/// The members in the order in which they are written.
fn in_order(members: &[Member]) -> Vec<&Member> {
    let mut ordered: Vec<&Member> = members.iter().collect();
    ordered.sort_by_key(|member| member.place);
    ordered
}

/// The text of an object without members.
pub(crate) const NOTHING: &str = "{}";

pub(crate) fn is_empty(object: &str) -> bool {
    object.trim_start().trim_start_matches('{').trim_start().starts_with('}')
}

/// The value without duplicate keys: the last of each stays.
pub(crate) fn without_twins(text: &str) -> String {
    let value = serde_json::from_str::<Value>(text);
    value.map_or_else(|_| text.to_owned(), |value| value.to_string())
}

/// Deserialises a member's value from its JSON text.
pub(crate) fn value_of<V: DeserializeOwned>(name: &str, text: &str) -> Result<V, SessionError> {
    let value = serde_json::from_str(text);
    let value = value.or_else(|_| serde_json::from_str(&without_twins(text)));
    value.map_err(|error| {
        let what = format!("`{name}` of the session data, {},", kind_of(text));
        wrong_type(Some(name), &what, std::any::type_name::<V>(), &expectation(&error))
    })
}

/// Serialises a member's value to JSON text.
pub(crate) fn text_of(name: &str, value: &impl Serialize) -> Result<String, SessionError> {
    // The error may repeat the value.
    serde_json::to_string(value).map_err(|_| {
        let problem = format!("the value for `{name}` of the session data cannot be JSON");
        SessionError::Type(WrongType::new(Some(name.to_owned()), problem))
    })
}

/// Creates the error. `reason` must show no value.
pub(crate) fn wrong_type(
    key: Option<&str>,
    what: &str,
    wanted: &str,
    reason: &str,
) -> SessionError {
    let problem = format!("{what} cannot be read as `{wanted}`: {reason}");
    SessionError::Type(WrongType::new(key.map(str::to_owned), problem))
}

/// The kind of a JSON value.
pub(crate) fn kind_of(text: &str) -> &'static str {
    match text.bytes().next() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Whether two JSON texts have the same meaning, whatever their spelling and order. Numbers that a double cannot tell
/// apart are different unless they are spelled alike.
fn is_same(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let kind = kind_of(one);
    if kind != kind_of(other) {
        return false;
    }
    match kind {
        "an object" => parsed::<BTreeMap<String, &RawValue>>(one, other).is_some_and(|(a, b)| {
            a.len() == b.len()
                && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && is_same(a.1.get(), b.1.get()))
        }),
        "an array" => parsed::<Vec<&RawValue>>(one, other).is_some_and(|(a, b)| {
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| is_same(a.get(), b.get()))
        }),
        "a string" => parsed::<String>(one, other).is_some_and(|(a, b)| a == b),
        "a number" if one.len().max(other.len()) <= EXACT => {
            parsed::<Value>(one, other).is_some_and(|(a, b)| a == b)
        }
        _ => false,
    }
}

/// A number with at most this many characters has no neighbour that is the same double.
const EXACT: usize = 16;

fn parsed<'t, T: serde::Deserialize<'t>>(one: &'t str, other: &'t str) -> Option<(T, T)> {
    serde_json::from_str(one).ok().zip(serde_json::from_str(other).ok())
}

/// Decodes a key, which may have escapes.
pub(crate) fn said_by(spelled: &str) -> Option<String> {
    if spelled.contains('\\') {
        return serde_json::from_str(&["\"", spelled, "\""].concat()).ok();
    }
    Some(spelled.to_owned())
}

#[cfg(test)]
#[allow(clippy::panic, clippy::unwrap_used, reason = "a test may fail")]
mod tests;
