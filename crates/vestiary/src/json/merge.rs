use alloc::{string::String, vec::Vec};

use crate::{Error, Limits, json_members};

/// Merges the changes between `base` and `mine` into `theirs`, top-level key by top-level key.
///
/// Two requests that change different keys of a session both keep their changes. If they change the same key, the later
/// value wins. All three arguments are the texts of JSON objects. `base` and `mine` must come from the same serialiser,
/// since values are compared as text. In `theirs`, only changed values are rewritten: numbers lose nothing and keys
/// keep their order. New keys are appended.
///
/// ```
/// # use vestiary::{Limits, merge};
/// let base = r#"{"user":"ada","theme":"light","draft":1}"#;
/// let mine = r#"{"user":"ada","theme":"dark"}"#; // theme set, draft removed
/// let theirs = r#"{"user":"ada","theme":"light","draft":1,"cart":["coat"]}"#;
/// let merged = merge(base, mine, theirs, Limits::SAVE)?;
/// assert_eq!(merged, r#"{"user":"ada","theme":"dark","cart":["coat"]}"#);
/// # Ok::<(), vestiary::Error>(())
/// ```
///
/// # Errors
/// [`Error`] if one of them is not a JSON object, or the result is larger than `limits.bytes`.
pub fn merge(base: &str, mine: &str, theirs: &str, limits: Limits) -> Result<String, Error> {
    let base = members(base, limits)?;
    let mine = members(mine, limits)?;
    let theirs = members(theirs, limits)?;
    let mut merged = String::from("{");
    let mut done: Vec<&str> = Vec::new();
    for (key, value) in &theirs {
        let (before, after) = (find(&base, key), find(&mine, key));
        if before == after {
            push_member(&mut merged, key, value);
        } else if let Some(after) = after
            && !done.iter().any(|done| is_same_key(done, key))
        {
            push_member(&mut merged, key, after);
            done.push(key);
        }
    }
    for (key, value) in &mine {
        let is_new = find(&base, key) != Some(value) && find(&theirs, key).is_none();
        if is_new {
            push_member(&mut merged, key, value);
        }
    }
    merged.push('}');
    if merged.len() > limits.bytes {
        return Err(Error::TooLarge { size: merged.len(), limit: limits.bytes });
    }
    Ok(merged)
}

/// A key as it is spelled, and the text of its value.
type Member<'t> = (&'t str, &'t str);

#[inline(never)]
fn members(object: &str, limits: Limits) -> Result<Vec<Member<'_>>, Error> {
    let mut found = Vec::new();
    let part = |place| object.get(place).unwrap_or_default();
    json_members(object, limits, &mut |key, value| found.push((part(key), part(value))))?;
    Ok(found)
}

/// Finds the last member with this key, which is the one that counts.
#[inline(never)]
fn find<'t>(members: &[Member<'t>], key: &str) -> Option<&'t str> {
    members.iter().rev().find(|(name, _)| is_same_key(name, key)).map(|(_, value)| *value)
}

/// Appends a member to an object that is not closed.
#[inline(never)]
pub(crate) fn push_member(object: &mut String, key: &str, value: &str) {
    if object.len() > 1 {
        object.push(',');
    }
    object.extend(["\"", key, "\":", value]);
}

/// Whether two keys are equal, however they are escaped.
pub(crate) fn is_same_key(one: &str, other: &str) -> bool {
    one == other || (one.contains('\\') || other.contains('\\')) && are_same_escaped(one, other)
}

#[cold]
fn are_same_escaped(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (Units::of(one), Units::of(other));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (one, other) if one != other => return false,
            _ => {}
        }
    }
}

/// The UTF-16 code units of a JSON string.
struct Units<'t> {
    rest: core::str::Chars<'t>,
    /// The second half of a surrogate pair.
    second: Option<u16>,
}

impl<'t> Units<'t> {
    fn of(spelled: &'t str) -> Self {
        Self { rest: spelled.chars(), second: None }
    }

    #[inline(never)]
    fn next(&mut self) -> Option<u16> {
        if let Some(unit) = self.second.take() {
            return Some(unit);
        }
        let mut next = self.rest.next()?;
        if next == '\\' {
            next = match self.rest.next()? {
                'u' => {
                    let digits = self.rest.by_ref().take(4).filter_map(|digit| digit.to_digit(16));
                    return u16::try_from(digits.fold(0, |unit, digit| unit << 4 | digit)).ok();
                }
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            };
        }
        let mut units = [0; 2];
        next.encode_utf16(&mut units);
        let [first, second] = units;
        self.second = (second != 0).then_some(second);
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(base: &str, mine: &str, theirs: &str) -> String {
        merge(base, mine, theirs, Limits::SAVE).unwrap()
    }

    #[test]
    fn each_key_is_decided_alone() {
        for (base, mine, theirs, expected) in [
            ("{}", "{}", "{}", "{}"),
            (r#"{"a":1}"#, r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":2}"#),
            (r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":1}"#, r#"{"a":2}"#),
            // Both changed it: the later value wins.
            (r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#, r#"{"a":2}"#),
            (r#"{"a":1}"#, "{}", r#"{"a":1,"b":1}"#, r#"{"b":1}"#),
            // I removed a key that they changed.
            (r#"{"a":1}"#, "{}", r#"{"a":2}"#, "{}"),
            // They removed a key that I left alone, and one that I changed.
            (r#"{"a":1,"b":1}"#, r#"{"a":1,"b":2}"#, "{}", r#"{"b":2}"#),
            // Both added the same key.
            ("{}", r#"{"a":1}"#, r#"{"a":1}"#, r#"{"a":1}"#),
            ("{}", r#"{"a":1}"#, r#"{"b":2}"#, r#"{"b":2,"a":1}"#),
            // A nested value is one value.
            (
                r#"{"a":{"x":1}}"#,
                r#"{"a":{"x":1,"y":2}}"#,
                r#"{"a":{"x":3}}"#,
                r#"{"a":{"x":1,"y":2}}"#,
            ),
            // Unchanged members keep their spelling and their place.
            (
                r#"{"id":1234567890123456800,"price":1.5,"theme":"light","big":null}"#,
                r#"{"id":1234567890123456800,"price":1.5,"theme":"dark","big":null}"#,
                r#"{"id":1234567890123456789,"theme":"light","price":1.50,"big":1e400}"#,
                r#"{"id":1234567890123456789,"theme":"dark","price":1.50,"big":1e400}"#,
            ),
            // Keys are compared by meaning, not by spelling.
            (
                r#"{"é😀":1,"a":1}"#,
                r#"{"é😀":2,"a":1}"#,
                r#"{"\u00e9\ud83d\ude00":1,"a":1}"#,
                r#"{"\u00e9\ud83d\ude00":2,"a":1}"#,
            ),
            (r#"{"\n":1}"#, r#"{"\n":2}"#, r#"{"n":1,"\u000a":1}"#, r#"{"n":1,"\u000a":2}"#),
            // If two members had one key, the last one counted; one remains.
            (r#"{"a":2}"#, r#"{"a":3}"#, r#"{"a":1,"a":2}"#, r#"{"a":3}"#),
            // Their white space does not matter.
            (
                r#"{"a":"}","b":1}"#,
                r#"{"a":"}","b":2}"#,
                " { \"a\" : \"}\" , \"b\" : 1 } ",
                r#"{"a":"}","b":2}"#,
            ),
        ] {
            assert_eq!(merged(base, mine, theirs), expected, "{base} {mine} {theirs}");
        }
    }

    #[test]
    fn other_values_than_objects_and_large_results_are_refused() {
        assert!(merge("[]", "{}", "{}", Limits::SAVE).is_err());
        assert!(merge("{}", "{", "{}", Limits::SAVE).is_err());
        assert!(merge("{}", "{}", "1", Limits::SAVE).is_err());
        let limits = Limits { bytes: 8, depth: 4 };
        assert!(matches!(
            merge("{}", r#"{"a":1}"#, r#"{"b":1}"#, limits),
            Err(Error::TooLarge { size: 13, limit: 8 })
        ));
        let limits = Limits { bytes: 13, depth: 4 };
        assert_eq!(merge("{}", r#"{"a":1}"#, r#"{"b":1}"#, limits).map(|text| text.len()), Ok(13));
    }
}
