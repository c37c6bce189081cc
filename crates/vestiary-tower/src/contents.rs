use std::{borrow::Cow, error::Error, fmt, ops::Range, sync::Arc};

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
    /// All members by their names, once one of them was wanted.
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
    pub(crate) fn get<V: DeserializeOwned>(
        &mut self,
        name: &str,
    ) -> Result<Option<V>, SessionError> {
        let members = self.take_members()?;
        let found = self.place(&members, name).ok().and_then(|at| members.get(at));
        let value = found.and_then(|member| self.value(member)).map(value_of).transpose();
        self.members = Some(members);
        value
    }

    /// Sets a member, to a value that is JSON text.
    pub(crate) fn set(&mut self, name: &str, text: String) -> Result<(), SessionError> {
        let mut members = self.take_members()?;
        match self.place(&members, name) {
            Ok(at) => {
                if let Some(member) = members.get_mut(at) {
                    let read = member.read.clone().and_then(|place| self.before().get(place));
                    let is_read = read.is_some_and(|read| is_same(read, &text));
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
        data.iter().try_for_each(|(name, value)| self.set(name, text_of(value)))
    }

    /// The text of an object that has these members only.
    pub(crate) fn only(&mut self, names: &[String]) -> Result<String, SessionError> {
        let members = self.take_members()?;
        let kept = self.text_of(&members, |name| names.iter().any(|kept| kept == name));
        self.members = Some(members);
        Ok(kept)
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
        if !members.is_sorted_by(|one, other| self.name(one) < self.name(other)) {
            // In reverse, so that of two of one name the last one stays.
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

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(crate) fn wrong_type(error: serde_json::Error) -> SessionError {
    SessionError::Type(Arc::new(WrongType(expectation(&error.to_string()))))
}

/// The type that was expected. The words of `serde` show the value that was found in its place, which is the
/// application's secret.
#[derive(Debug)]
struct WrongType(String);

impl fmt::Display for WrongType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for WrongType {}

/// The part of an error of `serde` that names the type, and nothing of the value.
fn expectation(said: &str) -> String {
    const OF_A_TYPE: [&str; 4] = ["invalid type:", "invalid value:", "invalid length", "unknown"];
    let expected = said.rsplit_once(", expected ").map(|(_, expected)| expected);
    match expected.filter(|_| OF_A_TYPE.iter().any(|begin| said.starts_with(begin))) {
        Some(expected) => ["expected ", expected].concat(),
        None if said.starts_with("missing field `") => said.to_owned(),
        None => "another type was expected".to_owned(),
    }
}

/// Whether the text that was read says the same, in whatever spelling and order.
fn is_same(read: &str, text: &str) -> bool {
    let is_whole = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let normal = |text| serde_json::from_str::<Value>(text).map(|value| text_of(&value));
    // Counters are spelled in one way only.
    read == text
        || !(is_whole(read) && is_whole(text))
            && normal(read).is_ok_and(|read| normal(text).is_ok_and(|text| read == text))
}

/// What a key says that has escapes.
fn said_by(spelled: &str) -> Result<String, serde_json::Error> {
    serde_json::from_str(&["\"", spelled, "\""].concat())
}

#[cfg(test)]
#[allow(clippy::panic, clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use futures_util::FutureExt as _;
    use serde_json::json;
    use vestiary_store::{Config, MemoryStore, Sessions};

    use super::*;

    /// Contents as they are read from a store.
    fn read(data: &str) -> Contents {
        let config = Config::new("a long random secret, from the environment");
        let sessions = Sessions::new(&config, MemoryStore::default()).unwrap();
        Contents::of(sessions.create(data, None).now_or_never().unwrap().unwrap())
    }

    /// What their text says.
    fn values(contents: &Contents) -> Value {
        serde_json::from_str(&contents.text()).unwrap()
    }

    #[test]
    fn what_nobody_has_touched_is_written_as_it_was() {
        let data = r#"{ "z":1.50, "a" : {"y":1,"x":[ ]}, "n":1e2 }"#;
        let mut contents = read(data);
        assert_eq!(contents.get::<f64>("z").unwrap(), Some(1.5));
        assert_eq!((contents.text().as_ref(), contents.is_changed()), (data, false));
        contents.set("n", text_of(&json!(5))).unwrap();
        assert_eq!(contents.text(), r#"{"a":{"y":1,"x":[ ]},"n":5,"z":1.50}"#);
        assert_eq!((contents.before(), contents.is_changed()), (data, true));
    }

    #[test]
    fn a_value_that_is_there_already_is_no_change_however_it_is_spelled() {
        let mut contents = read(r#"{"o":{"b":1, "a":"\u00e9"},"n":1,"gone":null}"#);
        contents.set("o", text_of(&json!({"a": "é", "b": 1}))).unwrap();
        contents.set("n", text_of(&json!(2))).unwrap();
        assert!(contents.is_changed());
        contents.set("n", text_of(&json!(1))).unwrap();
        assert!(!contents.is_changed(), "{}", contents.text());
        contents.set("n", text_of(&json!(1.0))).unwrap();
        assert!(contents.is_changed());
        // What comes and goes was never there, and what goes and comes back was not away.
        let mut contents = read(r#"{"n":1}"#);
        contents.set("new", text_of(&json!(1))).unwrap();
        assert_eq!(contents.remove("new").unwrap().as_deref(), Some("1"));
        assert_eq!(contents.remove("n").unwrap().as_deref(), Some("1"));
        assert_eq!((contents.text().as_ref(), contents.is_changed()), ("{}", true));
        assert_eq!(contents.remove("n").unwrap(), None);
        contents.set("n", text_of(&json!(1))).unwrap();
        assert!(!contents.is_changed());
    }

    #[derive(serde::Deserialize)]
    struct B {
        x: u8,
    }

    #[test]
    fn of_two_members_of_one_name_the_last_one_counts() {
        let mut contents = read(r#"{"b":1,"a":1,"a":2,"b":{"x":1,"x":2}}"#);
        assert_eq!(contents.get::<u8>("a").unwrap(), Some(2));
        assert_eq!(contents.get::<B>("b").unwrap().unwrap().x, 2);
        contents.set("a", text_of(&json!(3))).unwrap();
        assert_eq!(contents.text(), r#"{"a":3,"b":{"x":1,"x":2}}"#);
        assert_eq!(whole::<Data>(r#"{"a":1,"a":2}"#).unwrap().get("a"), Some(&json!(2)));
    }

    #[test]
    fn a_key_is_what_it_says_and_stays_spelled_as_it_is() {
        let mut contents = read(r#"{"\u0031":1,"tab\t":2,"\u00e9":3}"#);
        assert_eq!(contents.get::<u8>("1").unwrap(), Some(1));
        assert_eq!(contents.get::<u8>("tab\t").unwrap(), Some(2));
        assert_eq!(contents.get::<u8>(r"tab\t").unwrap(), None);
        contents.set("1", text_of(&json!(7))).unwrap();
        assert_eq!(contents.remove("é").unwrap().as_deref(), Some("3"));
        contents.set("\"quoted\"", text_of(&json!(null))).unwrap();
        assert_eq!(contents.text(), r#"{"\"quoted\"":null,"\u0031":7,"tab\t":2}"#);
        assert_eq!(values(&contents), json!({"\"quoted\"": null, "1": 7, "tab\t": 2}));
        assert_eq!(contents.get::<Option<u8>>("\"quoted\"").unwrap(), Some(None));
    }

    #[test]
    fn all_can_be_replaced_removed_or_kept_in_part() {
        let mut contents = read(r#"{"a":1,"b":2,"c":[1]}"#);
        let names = ["c", "none", "a"].map(str::to_owned);
        contents.set("a", text_of(&json!("new"))).unwrap();
        assert_eq!(contents.only(&names).unwrap(), r#"{"a":"new","c":[1]}"#);
        contents.replace(&json!({"b": 2, "d": 4}).as_object().unwrap().clone()).unwrap();
        assert_eq!(contents.text(), r#"{"b":2,"d":4}"#);
        contents.replace(&json!({"c": [1], "a": 1, "b": 2}).as_object().unwrap().clone()).unwrap();
        assert!(!contents.is_changed());
        contents.clear().unwrap();
        assert_eq!(contents.get::<u8>("a").unwrap(), None);
        assert_eq!(contents.text(), "{}");
        let mut new = Contents::default();
        assert_eq!((new.text().as_ref(), new.is_changed()), ("{}", false));
        new.set("a", text_of(&json!(1))).unwrap();
        assert_eq!((new.text().as_ref(), new.is_changed()), (r#"{"a":1}"#, true));
        new.clear().unwrap();
        assert!(!new.is_changed());
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "lowercase", deny_unknown_fields)]
    enum Plan {
        Free,
        Paid {
            #[serde(rename = "n")]
            _n: u8,
        },
    }

    #[test]
    fn what_is_said_of_a_wrong_type_shows_no_value() {
        for (data, said) in [
            (r#"{"v":"secret"}"#, "expected `free` or `paid`"),
            (r#"{"v":{"paid":{}}}"#, "missing field `n`"),
            (r#"{"v":{"paid":{"n":"secret, expected secret"}}}"#, "expected u8"),
            (r#"{"v":{"paid":{"n":300}}}"#, "expected u8"),
            (r#"{"v":{"paid":{"secret":3}}}"#, "expected `n`"),
        ] {
            let Err(SessionError::Type(cause)) = read(data).get::<Plan>("v") else {
                panic!("{data}")
            };
            let shown = format!("{cause} {cause:?}");
            assert!(shown.contains(said) && !shown.contains("secret"), "{data}: {shown}");
        }
        let custom =
            <serde_json::Error as serde::de::Error>::custom("not 'secret', expected secret");
        assert_eq!(expectation(&custom.to_string()), "another type was expected");
    }

    #[test]
    fn nothing_is_the_default_of_a_type() {
        for nothing in ["{}", "{ }", "{\n}"] {
            assert_eq!(whole::<u8>(nothing).ok(), Some(0), "{nothing:?}");
        }
        assert!(matches!(whole::<u8>(r#"{"a":1}"#), Err(SessionError::Type(_))));
    }

    #[test]
    fn what_javascript_has_stored_and_rust_cannot_read_concerns_nobody_who_does_not_ask() {
        // Half of a pair of UTF-16: `JSON.stringify` writes it.
        let mut contents = read(r#"{"half":"\ud800","n":1}"#);
        assert!(matches!(contents.get::<String>("half"), Err(SessionError::Type(_))));
        assert_eq!(contents.get::<u8>("n").unwrap(), Some(1));
        contents.set("n", text_of(&json!(2))).unwrap();
        assert_eq!(contents.text(), r#"{"half":"\ud800","n":2}"#);
    }
}
