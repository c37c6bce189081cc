use std::{borrow::Cow, ops::Range, sync::Arc};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use vestiary::{Limits, json_members};
use vestiary_store::{SessionError, Stored};

/// What a session holds.
pub type Data = Map<String, Value>;

/// What a session holds, and what the application has changed of it, member by member.
///
/// It stays the text that was read: a value is made of what somebody asks for, and text of what somebody
/// changes. What nobody has touched is written as it was.
#[derive(Default)]
pub(crate) struct Contents {
    /// What was read; nothing of a new session.
    read: Option<Stored>,
    /// All members by their names, once one of them was changed.
    members: Option<Vec<Member>>,
}

struct Member {
    key: Key,
    /// Where its value is in what was read.
    read: Option<Range<usize>>,
    now: Now,
}

enum Key {
    /// It stands there in what was read, without escapes.
    Plain(Range<usize>),
    /// What it says, and how it is spelled.
    Spelled(String, String),
}

/// What became of a member.
enum Now {
    /// Nothing.
    AsRead,
    /// This value.
    Text(String),
    Removed,
}

impl Contents {
    pub(crate) fn of(read: Stored) -> Self {
        Self { read: Some(read), members: None }
    }

    /// Before the application changed it: text of a JSON object.
    pub(crate) fn before(&self) -> &str {
        self.read.as_ref().map_or(NOTHING, Stored::data)
    }

    /// As it is now: text of a JSON object.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match &self.members {
            Some(members) if self.is_changed() => self.text_of(members, |_| true).into(),
            _ => self.before().into(),
        }
    }

    /// Whether it is another one than before, and not only written again.
    pub(crate) fn is_changed(&self) -> bool {
        self.members.iter().flatten().any(|member| !matches!(member.now, Now::AsRead))
    }

    /// The value of a member.
    pub(crate) fn get<V: DeserializeOwned>(&self, name: &str) -> Result<Option<V>, SessionError> {
        let text = match &self.members {
            None => self.read(name)?,
            Some(members) => self
                .place(members, name)
                .ok()
                .and_then(|at| members.get(at))
                .and_then(|member| self.value(member)),
        };
        text.map(value_of).transpose()
    }

    /// Sets a member.
    pub(crate) fn set(&mut self, name: &str, value: &Value) -> Result<(), SessionError> {
        let text = text_of(value);
        let mut members = self.take_members()?;
        match self.place(&members, name) {
            Ok(at) => {
                if let Some(member) = members.get_mut(at) {
                    let read = member.read.clone().and_then(|place| self.before().get(place));
                    let is_read = read.is_some_and(|read| is_same(read, value, &text));
                    member.now = if is_read { Now::AsRead } else { Now::Text(text) };
                }
            }
            Err(at) => {
                let quoted = text_of(name);
                let spelled = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                let key = Key::Spelled(name.to_owned(), spelled.unwrap_or_default().to_owned());
                members.insert(at, Member { key, read: None, now: Now::Text(text) });
            }
        }
        self.members = Some(members);
        Ok(())
    }

    /// Removes a member; its value, if there was one.
    pub(crate) fn remove(&mut self, name: &str) -> Result<Option<String>, SessionError> {
        let mut members = self.take_members()?;
        let found = self.place(&members, name).ok();
        let mut removed = None;
        if let Some(member) = found.and_then(|at| members.get_mut(at)) {
            removed = self.value(member).map(str::to_owned);
            member.now = Now::Removed;
        }
        // What was never stored is not missed.
        members.retain(|member| member.read.is_some() || !matches!(member.now, Now::Removed));
        self.members = Some(members);
        Ok(removed)
    }

    /// Removes all members.
    pub(crate) fn clear(&mut self) -> Result<(), SessionError> {
        let mut members = self.take_members()?;
        members.retain(|member| member.read.is_some());
        for member in &mut members {
            member.now = Now::Removed;
        }
        self.members = Some(members);
        Ok(())
    }

    /// Puts other members in place of all that there are.
    pub(crate) fn replace(&mut self, data: &Data) -> Result<(), SessionError> {
        self.clear()?;
        data.iter().try_for_each(|(name, value)| self.set(name, value))
    }

    /// The text of an object that has these members only.
    pub(crate) fn only(&mut self, names: &[String]) -> Result<String, SessionError> {
        let members = self.take_members()?;
        let kept = self.text_of(&members, |name| names.iter().any(|kept| kept == name));
        self.members = Some(members);
        Ok(kept)
    }

    /// The value of a member of what was read. Of two of one name the last one counts.
    fn read(&self, name: &str) -> Result<Option<&str>, SessionError> {
        let text = self.before();
        let mut found = None;
        json_members(text, Limits::LOAD, &mut |key, value| {
            let key = text.get(key).unwrap_or_default();
            if key == name || (key.contains('\\') && said_by(key).is_ok_and(|said| said == name)) {
                found = text.get(value);
            }
        })?;
        Ok(found)
    }

    /// The members, to be changed and put back.
    fn take_members(&mut self) -> Result<Vec<Member>, SessionError> {
        if let Some(members) = self.members.take() {
            return Ok(members);
        }
        let text = self.before();
        let mut members: Vec<Member> = Vec::new();
        let mut unreadable = None;
        json_members(text, Limits::LOAD, &mut |place, value| {
            let spelled = text.get(place.clone()).unwrap_or_default();
            let key = match spelled.contains('\\').then(|| said_by(spelled)) {
                None => Key::Plain(place),
                Some(Ok(said)) => Key::Spelled(said, spelled.to_owned()),
                Some(Err(error)) => return unreadable = Some(error),
            };
            members.push(Member { key, read: Some(value), now: Now::AsRead });
        })?;
        if let Some(error) = unreadable {
            return Err(wrong_type(error));
        }
        // In reverse, so that of two of one name the last one stays.
        members.reverse();
        members.sort_by(|one, other| self.name(one).cmp(self.name(other)));
        members.dedup_by(|later, first| self.name(later) == self.name(first));
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
        for member in members.iter().filter(|member| is_wanted(self.name(member))) {
            let Some(value) = self.value(member) else { continue };
            if text.len() > 1 {
                text.push(',');
            }
            let spelled = match &member.key {
                Key::Plain(_) => self.name(member),
                Key::Spelled(_, spelled) => spelled,
            };
            text.extend(["\"", spelled, "\":", value]);
        }
        text.push('}');
        text
    }
}

/// What a session holds that holds nothing.
const NOTHING: &str = "{}";

/// What the text of a JSON object holds; the default if that is nothing.
pub(crate) fn whole<T: DeserializeOwned + Default>(text: &str) -> Result<T, SessionError> {
    let members = text.trim_start_matches('{').trim_start();
    if members.starts_with('}') { Ok(T::default()) } else { value_of(text) }
}

/// The value that JSON text stands for. Where a type wants no member twice, the last one counts, as it does
/// everywhere else.
pub(crate) fn value_of<V: DeserializeOwned>(text: &str) -> Result<V, SessionError> {
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    serde_json::from_str::<Value>(text).and_then(V::deserialize).map_err(wrong_type)
}

/// The JSON text of something that has one.
pub(crate) fn text_of(value: &(impl serde::Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

pub(crate) fn wrong_type(error: serde_json::Error) -> SessionError {
    SessionError::Type(Arc::new(error))
}

/// Whether the text that was read says the same, in whatever spelling.
fn is_same(read: &str, value: &Value, text: &str) -> bool {
    read == text
        || serde_json::from_str::<Value>(read)
            .is_ok_and(|read| read == *value && text_of(&read) == text)
}

/// What a key says that has escapes.
fn said_by(spelled: &str) -> Result<String, serde_json::Error> {
    serde_json::from_str(&["\"", spelled, "\""].concat())
}
