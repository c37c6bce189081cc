use alloc::{borrow::ToOwned as _, string::String};
use core::ops::Range;

use super::{meta::millis, push_name};
use crate::{
    Error, Limits, UnixMillis,
    json::{self, is_same_key, json_members, push_member},
    time::date::push_number,
};

/// Values beside the data of a session, each with an end of its own: text of the JSON object
/// `{"<key>":{"until":ms,"value":…},…}`, or no text without a slot.
///
/// ```
/// # use vestiary::{Slots, UnixMillis};
/// let slots = Slots::default().put("challenge", "\"x\"", UnixMillis(9), UnixMillis(0))?;
/// assert_eq!(slots.value("challenge", UnixMillis(8)), Some("\"x\""));
/// assert_eq!(slots.value("challenge", UnixMillis(9)), None);
/// let (slots, taken) = slots.take("challenge", UnixMillis(8));
/// assert_eq!((taken.as_deref(), slots.count(UnixMillis(8))), (Some("\"x\""), 0));
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Slots(String);

impl Slots {
    /// The maximum number of slots of a session. The library's own one does not count, so that the application's values
    /// cannot keep a session from being bound to its device.
    pub const MOST: usize = 32;

    /// The maximum size of all slots of a session, in bytes of JSON.
    pub const BYTES: usize = 16 << 10;

    /// The maximum number of nested levels in a value.
    pub const LEVELS: usize = 16;

    /// The number of slots that have not ended.
    #[must_use]
    pub fn count(&self, now: UnixMillis) -> usize {
        let mut count = 0;
        self.each(now, &mut |_, _, _| count += 1);
        count
    }

    /// The value under a key, as JSON text, unless it has ended.
    #[must_use]
    pub fn value(&self, key: &str, now: UnixMillis) -> Option<&str> {
        let (mut found, key) = (None, json::quoted(key));
        self.each(now, &mut |name, _, value| {
            if is_same_key(name, inner(&key)) {
                found = Some(value);
            }
        });
        found
    }

    /// Puts a value, given as JSON text, under a key, in place of the one that is there.
    ///
    /// # Errors
    /// [`Error::SlotsFull`] if there are too many slots, or they are too large; another [`Error`] if the value is not
    /// JSON, is nested too deeply, or has a forbidden key.
    pub fn put(
        &self,
        key: &str,
        value: &str,
        until: UnixMillis,
        now: UnixMillis,
    ) -> Result<Self, Error> {
        let (Self(mut text), _) = self.take(key, now);
        if text.pop().is_none() {
            text.push('{');
        }
        push_name(&mut text, inner(&json::quoted(key)));
        text.push_str("{\"until\":");
        push_number(&mut text, until.0, 1);
        text.extend([",\"value\":", value, "}}"]);
        let (mut count, mut bytes) = (0, text.len());
        // A slot is a level itself.
        json::members(&text, Self::LEVELS + 1, Self::LEVELS, &mut |name, slot| {
            if name == crate::binding::SLOT.as_bytes() {
                bytes = bytes.saturating_sub("\"\":,".len() + name.len() + slot.len());
            } else {
                count += 1;
            }
            Ok(())
        })?;
        if count > Self::MOST || bytes > Self::BYTES {
            return Err(Error::SlotsFull);
        }
        Ok(Self(text))
    }

    /// Removes the value under a key, and returns it.
    #[must_use]
    pub fn take(&self, key: &str, now: UnixMillis) -> (Self, Option<String>) {
        self.without(Some(&json::quoted(key)), now)
    }

    /// Removes the slots that have ended.
    pub(crate) fn pruned(&self, now: UnixMillis) -> Self {
        self.without(None, now).0
    }

    /// Removes the slots that have ended, and the one under a key, given with its quotes.
    fn without(&self, key: Option<&str>, now: UnixMillis) -> (Self, Option<String>) {
        let (mut text, mut taken) = (String::new(), None);
        self.each(now, &mut |name, slot, value| {
            if key.is_some_and(|key| is_same_key(name, inner(key))) {
                taken = Some(value.to_owned());
                return;
            }
            if text.is_empty() {
                text.push('{');
            }
            push_member(&mut text, name, slot);
        });
        if !text.is_empty() {
            text.push('}');
        }
        (Self(text), taken)
    }

    /// Passes the slots that have not ended to a function: the key as it is spelled, the slot, and its value.
    fn each<'t>(&'t self, now: UnixMillis, see: &mut dyn FnMut(&'t str, &'t str, &'t str)) {
        let Self(text) = self;
        let part = |place: Range<usize>| text.get(place).unwrap_or_default();
        // Unreadable slots count as absent, as all unreadable metadata does.
        let _ = json_members(text, Limits::LOAD, &mut |key, slot| {
            let (slot, mut until, mut value) = (part(slot), None, None);
            let _ = json_members(slot, Limits::LOAD, &mut |name, place| {
                let found = slot.get(place);
                match slot.get(name) {
                    Some("until") => until = found.and_then(millis),
                    Some("value") => value = found,
                    _ => {}
                }
            });
            if let Some(value) = value.filter(|_| until.is_some_and(|until| now < until)) {
                see(part(key), slot, value);
            }
        });
    }

    pub(super) fn read(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The text between the quotes.
fn inner(quoted: &str) -> &str {
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default()
}

/// Hides keys and values, which are the application's secrets.
impl core::fmt::Debug for Slots {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Slots").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000);
    const LATER: UnixMillis = UnixMillis(2_000);

    fn put(slots: &Slots, key: &str, value: &str) -> Result<Slots, Error> {
        slots.put(key, value, LATER, NOW)
    }

    #[test]
    fn a_put_replaces_the_value_under_its_key_and_leaves_the_others() {
        let one = put(&Slots::default(), "a", "1").unwrap();
        let two = put(&one, "b", r#"{"x":[1]}"#).unwrap();
        let again = put(&two, "a", "2").unwrap();
        let text = r#"{"b":{"until":2000,"value":{"x":[1]}},"a":{"until":2000,"value":2}}"#;
        assert_eq!(again.as_str(), text);
        let (rest, taken) = again.take("b", NOW);
        assert_eq!(taken.as_deref(), Some(r#"{"x":[1]}"#));
        assert_eq!(rest.take("b", NOW).1, None);
        let (none, _) = rest.take("a", NOW);
        assert!(none.is_empty());
        // Another program has spelled the text.
        let spelled = Slots::read(r#" { "\u00e9" : { "value" : "x" , "until" : 2000, "z": 1 } } "#);
        assert_eq!(spelled.value("é", NOW), Some("\"x\""));
        assert_eq!(spelled.take("é", NOW), (Slots::default(), Some("\"x\"".into())));
        let odd = "a\"\\\u{7}é";
        let slots = put(&spelled, odd, "1").unwrap();
        assert_eq!((slots.value(odd, NOW), slots.count(NOW)), (Some("1"), 2));
    }

    #[test]
    fn a_value_that_has_ended_is_none_and_is_pruned() {
        let ends = Slots::default().put("a", "1", NOW, UnixMillis(0)).unwrap();
        let both = ends.put("b", "2", LATER, UnixMillis(0)).unwrap();
        assert_eq!((both.value("a", NOW), both.count(NOW), both.count(LATER)), (None, 1, 0));
        assert_eq!(both.pruned(NOW).as_str(), r#"{"b":{"until":2000,"value":2}}"#);
        assert!(both.pruned(LATER).is_empty());
    }

    #[test]
    fn slots_that_cannot_be_read_are_none() {
        for text in
            ["null", "5", "[]", r#"{"a":5}"#, r#"{"a":{"value":1}}"#, r#"{"a":{"until":2000}}"#]
        {
            let slots = Slots::read(text);
            assert_eq!((slots.value("a", NOW), slots.count(NOW)), (None, 0), "{text}");
            assert!(slots.pruned(NOW).is_empty(), "{text}");
            assert!(put(&slots, "b", "1").is_ok(), "{text}");
        }
    }

    #[test]
    fn number_size_and_depth_are_limited() {
        let mut slots = Slots::default();
        for n in 0..Slots::MOST {
            slots = put(&slots, &format!("{n}"), "1").unwrap();
        }
        assert_eq!(put(&slots, "more", "1"), Err(Error::SlotsFull));
        assert!(put(&slots, "0", "2").is_ok());
        // A slot that has ended makes room.
        assert!(slots.put("more", "1", UnixMillis(9_000), LATER).is_ok());

        let beside = put(&Slots::default(), "a", "\"\"").unwrap().as_str().len();
        let value = |size: usize| format!("\"{}\"", "x".repeat(size));
        assert!(put(&Slots::default(), "a", &value(Slots::BYTES - beside)).is_ok());
        let large = put(&Slots::default(), "a", &value(Slots::BYTES - beside + 1));
        assert_eq!(large, Err(Error::SlotsFull));

        // The library's own slot needs no room.
        let full = put(&Slots::default(), "a", &value(Slots::BYTES - beside)).unwrap();
        let bound = put(&full, crate::binding::SLOT, r#"{"challenge":"x"}"#).unwrap();
        assert_eq!(put(&bound, "b", "1"), Err(Error::SlotsFull));
        assert!(put(&bound, "a", &value(Slots::BYTES - beside)).is_ok());
        let mut bound = put(&Slots::default(), crate::binding::SLOT, "1").unwrap();
        for n in 0..Slots::MOST {
            bound = put(&bound, &format!("{n}"), "1").unwrap();
        }
        assert_eq!(put(&bound, "more", "1"), Err(Error::SlotsFull));

        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(put(&Slots::default(), "a", &nested(Slots::LEVELS)).is_ok());
        let deep = put(&Slots::default(), "a", &nested(Slots::LEVELS + 1));
        assert_eq!(deep, Err(Error::TooDeep { limit: Slots::LEVELS }));
        let forbidden = put(&Slots::default(), "__proto__", "1");
        assert_eq!(forbidden, Err(Error::ForbiddenKey { key: "__proto__" }));
    }

    #[test]
    fn debug_shows_neither_key_nor_value() {
        let slots = put(&Slots::default(), "secret", "\"secret\"").unwrap();
        assert_eq!(format!("{slots:?}"), "Slots { .. }");
    }
}
