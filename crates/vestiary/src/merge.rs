use alloc::{string::String, vec::Vec};

use crate::{Error, Limits, json_members};

/// Applies to `theirs` what was changed between `base` and `mine`, top-level key by top-level key.
///
/// Two requests that change different keys of a session both keep their change; of two that change
/// the same key, the later one's value stays. All three are texts of JSON objects; `base` and `mine`
/// must come from the same serialiser, since values are compared as text.
///
/// ```
/// # use vestiary::{Limits, merge};
/// let base = r#"{"user":"ada","theme":"light","draft":1}"#;
/// let mine = r#"{"user":"ada","theme":"dark"}"#; // theme set, draft removed
/// let theirs = r#"{"user":"ada","theme":"light","draft":1,"cart":["coat"]}"#;
/// let merged = merge(base, mine, theirs, Limits::SAVE)?;
/// assert_eq!(merged, r#"{"user":"ada","cart":["coat"],"theme":"dark"}"#);
/// # Ok::<(), vestiary::Error>(())
/// ```
///
/// # Errors
/// [`Error`] if one of them is no JSON object, or the result is larger than `limits.bytes`.
pub fn merge(base: &str, mine: &str, theirs: &str, limits: Limits) -> Result<String, Error> {
    let base = members(base, limits)?;
    let mine = members(mine, limits)?;
    let theirs = members(theirs, limits)?;
    let unchanged = |member: &Member<'_>| find(&base, member.0) == Some(member.1);
    // Theirs, but for what I removed or set.
    let kept = theirs.iter().filter(|(key, _)| match find(&mine, key) {
        Some(value) => find(&base, key) == Some(value),
        None => find(&base, key).is_none(),
    });
    let set = mine.iter().filter(|member| !unchanged(member));
    let mut merged = String::from("{");
    for (key, value) in kept.chain(set) {
        if merged.len() > 1 {
            merged.push(',');
        }
        merged.extend(["\"", key, "\":", value]);
    }
    merged.push('}');
    if merged.len() > limits.bytes {
        return Err(Error::TooLarge { size: merged.len(), limit: limits.bytes });
    }
    Ok(merged)
}

/// A key as it is spelled, and the text of its value.
type Member<'t> = (&'t str, &'t str);

fn members(object: &str, limits: Limits) -> Result<Vec<Member<'_>>, Error> {
    let mut found = Vec::new();
    let part = |place| object.get(place).unwrap_or_default();
    json_members(object, limits, &mut |key, value| found.push((part(key), part(value))))?;
    Ok(found)
}

fn find<'t>(members: &[Member<'t>], key: &str) -> Option<&'t str> {
    members.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
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
            // Both changed it: the later one's stays.
            (r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#, r#"{"a":2}"#),
            (r#"{"a":1}"#, "{}", r#"{"a":1,"b":1}"#, r#"{"b":1}"#),
            // I removed what they changed.
            (r#"{"a":1}"#, "{}", r#"{"a":2}"#, "{}"),
            // They removed what I left alone, and what I changed.
            (r#"{"a":1,"b":1}"#, r#"{"a":1,"b":2}"#, "{}", r#"{"b":2}"#),
            // Both added the same.
            ("{}", r#"{"a":1}"#, r#"{"a":1}"#, r#"{"a":1}"#),
            ("{}", r#"{"a":1}"#, r#"{"b":2}"#, r#"{"b":2,"a":1}"#),
            // Deep values are one value.
            (
                r#"{"a":{"x":1}}"#,
                r#"{"a":{"x":1,"y":2}}"#,
                r#"{"a":{"x":3}}"#,
                r#"{"a":{"x":1,"y":2}}"#,
            ),
            // Their spelling of white space does not matter.
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
    fn what_is_no_object_or_too_large_is_refused() {
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
