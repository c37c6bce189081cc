//! Generates JSON text from arbitrary bytes, with all difficult cases, and sometimes text that only looks like JSON.

use std::ops::RangeInclusive;

use arbitrary::{Result, Unstructured};

/// Keys that mean something somewhere, keys that must not be there, and keys that are spelled oddly.
const KEYS: [&str; 30] = [
    "a",
    "b",
    "v",
    "cookie",
    "data",
    "meta",
    "originalMaxAge",
    "created",
    "renewed",
    "idle",
    "absolute",
    "user",
    "handle",
    "writes",
    "next",
    "grace",
    "after",
    "sessions",
    "seen",
    "until",
    "label",
    "AAAAAAAAAAAAAAAA",
    "BBBBBBBBBBBBBBBB",
    "__proto__",
    "constructor",
    "prototype",
    "\\u005f_proto__",
    "\\\"",
    "\\u0031",
    "",
];

const SCALARS: [&str; 22] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "5",
    "1700000000000",
    "18446744073709551615",
    "18446744073709551616",
    "1.5e3",
    "1e999",
    "01",
    "+1",
    "\"\"",
    "\"AAAAAAAAAAAAAAAA\"",
    "\"BBBBBBBBBBBBBBBB\"",
    "\"}{][,:\\\\\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"\n\"",
    "\"é\"",
];

/// A value nested at most `left` levels deep, with rare exceptions that are far too deep.
pub(crate) fn value(u: &mut Unstructured<'_>, text: &mut String, left: usize) -> Result<()> {
    match u.int_in_range(0..=9)? {
        0..=4 => text.push_str(u.choose(&SCALARS)?),
        5 | 6 if left > 0 => object(u, text, left, 0..=3)?,
        7 if left > 0 => {
            text.push('[');
            for n in 0..u.int_in_range(0..=3)? {
                text.push_str(if n > 0 { "," } else { "" });
                value(u, text, left - 1)?;
            }
            text.push(']');
        }
        8 => {
            let levels = u.int_in_range(28..=36)?;
            text.extend(["[".repeat(levels), "]".repeat(levels)]);
        }
        _ => text.push_str(u.arbitrary()?),
    }
    Ok(())
}

/// An object with this many members.
pub(crate) fn object(
    u: &mut Unstructured<'_>,
    text: &mut String,
    left: usize,
    members: RangeInclusive<usize>,
) -> Result<()> {
    text.push('{');
    for n in 0..u.int_in_range(members)? {
        text.push_str(if n > 0 { "," } else { "" });
        space(u, text)?;
        text.extend(["\"", u.choose(&KEYS)?, "\""]);
        space(u, text)?;
        text.push(':');
        space(u, text)?;
        value(u, text, left.saturating_sub(1))?;
        space(u, text)?;
    }
    text.push('}');
    Ok(())
}

fn space(u: &mut Unstructured<'_>, text: &mut String) -> Result<()> {
    if u.ratio(1, 8)? {
        text.push_str(u.choose(&[" ", "\t", "\r\n", "\u{A0}"])?);
    }
    Ok(())
}
