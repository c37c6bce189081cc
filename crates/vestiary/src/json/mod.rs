//! Walks JSON text without building values.
//!
//! Session data belongs to the application and stays text here. The walk checks that it is JSON (RFC 8259), how deeply
//! it is nested, and that no key becomes a prototype in JavaScript. It is written by hand because every request walks a
//! record: a lexer from a library took four times as long, and `serde_json` doubles the size of the WebAssembly core.

mod merge;

use alloc::{borrow::ToOwned as _, string::String, vec::Vec};
use core::ops::Range;

pub use merge::merge;
pub(crate) use merge::{is_same_key, push_member};

use crate::{Error, Limits};

/// Calls `visit` for each member of a JSON object, in order, with the range of its key, as it is spelled between its
/// quotes, and the range of its value.
///
/// ```
/// # use vestiary::{Limits, json_members};
/// let object = r#"{"theme": "dark", "cart": [1, 2]}"#;
/// let mut cart = None;
/// json_members(object, Limits::LOAD, &mut |key, value| {
///     if &object[key] == "cart" {
///         cart = Some(&object[value]);
///     }
/// })?;
/// assert_eq!(cart, Some("[1, 2]"));
/// # Ok::<(), vestiary::Error>(())
/// ```
///
/// # Errors
/// [`Error`] if it is not a JSON object, is nested too deeply, or has a forbidden key, as for session data.
pub fn json_members(
    object: &str,
    Limits { depth, .. }: Limits,
    visit: &mut dyn FnMut(Range<usize>, Range<usize>),
) -> Result<(), Error> {
    let mut end = 0;
    members(object, depth, depth, &mut |key, value| {
        // Between the previous member and this key there is no other quote.
        let before = object.as_bytes().get(end..).unwrap_or_default();
        let start = end + before.iter().take_while(|byte| **byte != b'"').count() + 1;
        end = value.end;
        visit(start..start + key.len(), value);
        Ok(())
    })
}

/// Quotes a string as JSON text.
pub(crate) fn quoted(text: &str) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |place: u32| DIGITS.get(place as usize & 15).copied().unwrap_or('0');
    if plain(text.as_bytes(), 0) == text.len() {
        return ["\"", text, "\""].concat();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '\0'..' ' => {
                let code = u32::from(char);
                quoted.extend(['\\', 'u', '0', '0', digit(code >> 4), digit(code)]);
            }
            _ => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

/// Decodes the JSON text of a string; `None` if it is not one, or contains half of a surrogate pair.
pub(crate) fn unquoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if plain(inner.as_bytes(), 0) == inner.len() {
        return Some(inner.to_owned());
    }
    let mut string = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        string.push(match char {
            '\\' => match chars.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'u' => match code(&mut chars)? {
                    high @ 0xD800..0xDC00 => {
                        let rest = chars.as_str().strip_prefix("\\u")?;
                        chars = rest.chars();
                        let low =
                            code(&mut chars)?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
                        char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + low)?
                    }
                    code => char::from_u32(code)?,
                },
                itself => itself,
            },
            '"' => return None,
            char => char,
        });
    }
    Some(string)
}

/// The value of four hexadecimal digits.
fn code(chars: &mut core::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |code, _| Some(code << 4 | chars.next()?.to_digit(16)?))
}

/// The visitor of a member: receives its key, as it is spelled, and the range of its value. Not generic, for the size
/// of the WebAssembly core.
type Visit<'v> = &'v mut dyn FnMut(&[u8], Range<usize>) -> Result<(), Error>;

/// Calls `visit` for each member of the object that makes up the whole of `text`, with its key and the range of its
/// value, which has been checked. Values may be `left` levels deep; errors report `limit` as the limit.
///
/// # Errors
/// [`Error::Json`], [`Error::TooDeep`] or [`Error::ForbiddenKey`], for any part of the text.
pub(crate) fn members(
    text: &str,
    left: usize,
    limit: usize,
    visit: Visit<'_>,
) -> Result<(), Error> {
    let mut walk = Walk { text: text.as_bytes(), limit, fault: Error::Json };
    let start = walk.skip(0);
    match walk.byte(start) {
        Some(b'{') => {}
        Some(_) => return Err(Error::DataNotObject),
        None => return Err(Error::Json),
    }
    let Some(end) = walk.object(start, left, Some(visit)) else { return Err(walk.fault) };
    if walk.byte(walk.skip(end)).is_some() { Err(Error::Json) } else { Ok(()) }
}

/// The strings of a JSON array that was checked before; `None` if it is another value, or contains a value that is not
/// a string.
pub(crate) fn strings(list: &str) -> Option<Vec<String>> {
    let walk = Walk { text: list.as_bytes(), limit: 0, fault: Error::Json };
    let mut at = walk.skip(list.starts_with('[').then_some(1)?);
    let mut found = Vec::new();
    while walk.byte(at) == Some(b'"') {
        let end = walk.string(at)?.end;
        found.push(unquoted(list.get(at..end)?)?);
        at = walk.skip(end);
        if walk.byte(at) == Some(b',') {
            at = walk.skip(at + 1);
        }
    }
    (walk.byte(at) == Some(b']')).then_some(found)
}

/// The places of the values in a JSON array that was checked before; `None` if it is another value.
pub(crate) fn elements(list: &str) -> Option<Vec<Range<usize>>> {
    let Limits { depth, .. } = Limits::LOAD;
    let mut walk = Walk { text: list.as_bytes(), limit: depth, fault: Error::Json };
    let mut at = walk.skip(list.starts_with('[').then_some(1)?);
    let mut found = Vec::new();
    while walk.byte(at)? != b']' {
        let end = walk.value(at, depth)?;
        found.push(at..end);
        at = walk.skip(end);
        if walk.byte(at) == Some(b',') {
            at = walk.skip(at + 1);
        }
    }
    Some(found)
}

/// Parses a number that was checked before; `None` if it is another value.
///
/// Whole numbers up to 2^53 and numbers of at most 15 digits are exact; further digits of a fraction are dropped.
/// `str::parse` would be a tenth of the WebAssembly core, and a search for one of two characters adds to it, too.
pub(crate) fn number(text: &str) -> Option<f64> {
    const EXACT: u64 = 1 << 53;
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let end = unsigned.bytes().position(|byte| matches!(byte, b'e' | b'E'));
    let (digits, exponent) = match end {
        Some(end) => (unsigned.get(..end)?, unsigned.get(end + 1..)?),
        None => (unsigned, "0"),
    };
    let is_negative = exponent.starts_with('-');
    let sign = if is_negative { '-' } else { '+' };
    let power = i32::try_from(whole(exponent.strip_prefix(sign).unwrap_or(exponent))?).ok()?;
    let mut exponent = if is_negative { -power } else { power };
    let mut mantissa = 0_u64;
    let mut most = u64::MAX / 10 - 1;
    for byte in digits.bytes() {
        match byte {
            b'.' => most = EXACT / 10 - 1,
            b'0'..=b'9' => {
                let in_fraction = i32::from(most < EXACT);
                if mantissa <= most {
                    mantissa = mantissa * 10 + u64::from(byte - b'0');
                    exponent = exponent.saturating_sub(in_fraction);
                } else {
                    exponent = exponent.saturating_add(1 - in_fraction);
                }
            }
            _ => return None,
        }
    }
    // Beyond this, every number is 0 or infinite.
    let power = (0..exponent.unsigned_abs().min(400)).fold(1.0, |power, _| power * 10.0);
    #[expect(clippy::cast_precision_loss, reason = "the nearest number is meant")]
    let mantissa = mantissa as f64;
    // 0 times infinity is not a number.
    let positive = match exponent {
        _ if mantissa == 0.0 => 0.0,
        0.. => mantissa * power,
        _ => mantissa / power,
    };
    Some(if text.len() > unsigned.len() { -positive } else { positive })
}

/// Parses digits as a whole number; `None` for other text, or if the number does not fit into 64 bits.
///
/// `str::parse` would be in the WebAssembly core once for each type of number.
pub(crate) fn whole(digits: &str) -> Option<u64> {
    let push = |number: u64, byte: u8| match byte {
        b'0'..=b'9' if number <= u64::MAX / 10 => (number * 10).checked_add(u64::from(byte - b'0')),
        _ => None,
    };
    digits.bytes().try_fold(0, push).filter(|_| !digits.is_empty())
}

/// The text that is walked. Each step takes its start and returns its end. A position stored in here would go through
/// memory with every byte, which takes twice as long.
struct Walk<'t> {
    text: &'t [u8],
    limit: usize,
    /// The reason why a step failed.
    fault: Error,
}

impl<'t> Walk<'t> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    fn rest(&self, at: usize) -> &'t [u8] {
        self.text.get(at..).unwrap_or_default()
    }

    /// The start of the next token.
    fn skip(&self, mut at: usize) -> usize {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte(at) {
            at += 1;
        }
        at
    }

    /// The end of the value that begins here.
    fn value(&mut self, at: usize, left: usize) -> Option<usize> {
        match self.byte(at)? {
            b'"' => self.string(at).map(|string| string.end),
            b'{' => {
                let left = self.deeper(left)?;
                self.object(at, left, None)
            }
            b'[' => {
                let left = self.deeper(left)?;
                self.array(at, left)
            }
            b't' => self.word(at, b"true"),
            b'f' => self.word(at, b"false"),
            b'n' => self.word(at, b"null"),
            _ => self.number(at),
        }
    }

    fn deeper(&mut self, left: usize) -> Option<usize> {
        if left == 0 {
            self.fault = Error::TooDeep { limit: self.limit };
        }
        left.checked_sub(1)
    }

    /// The end of the object whose `{` is here.
    ///
    /// A key that spells a letter or `_` as an escape is rejected: no serialiser writes that, and it could hide a
    /// `__pr\u006fto__`. So keys need not be decoded.
    fn object(&mut self, at: usize, left: usize, mut visit: Option<Visit<'_>>) -> Option<usize> {
        let mut at = self.skip(at + 1);
        if self.byte(at) == Some(b'}') {
            return Some(at + 1);
        }
        loop {
            if self.byte(at) != Some(b'"') {
                return None;
            }
            let Quoted { end, escapes } = self.string(at)?;
            let key = self.text.get(at + 1..end - 1).unwrap_or_default();
            if let Some(key) = FORBIDDEN.into_iter().find(|bad| bad.as_bytes() == key) {
                self.fault = Error::ForbiddenKey { key };
                return None;
            }
            let colon = self.skip(end);
            if (escapes && hides_a_letter(key)) || self.byte(colon) != Some(b':') {
                return None;
            }
            let start = self.skip(colon + 1);
            let end = self.value(start, left)?;
            if let Some(visit) = &mut visit
                && let Err(error) = visit(key, start..end)
            {
                self.fault = error;
                return None;
            }
            at = self.skip(end);
            match self.byte(at)? {
                b',' => at = self.skip(at + 1),
                b'}' => return Some(at + 1),
                _ => return None,
            }
        }
    }

    /// The end of the array whose `[` is here.
    fn array(&mut self, at: usize, left: usize) -> Option<usize> {
        let mut at = self.skip(at + 1);
        if self.byte(at) == Some(b']') {
            return Some(at + 1);
        }
        loop {
            let end = self.value(at, left)?;
            at = self.skip(end);
            match self.byte(at)? {
                b',' => at = self.skip(at + 1),
                b']' => return Some(at + 1),
                _ => return None,
            }
        }
    }

    /// The string whose `"` is here.
    fn string(&self, at: usize) -> Option<Quoted> {
        let end = plain(self.text, at + 1);
        if self.byte(end) == Some(b'"') {
            return Some(Quoted { end: end + 1, escapes: false });
        }
        self.escaped(end)
    }

    /// The rest of a string that has an escape here.
    #[cold]
    fn escaped(&self, at: usize) -> Option<Quoted> {
        let mut end = at;
        loop {
            match self.byte(end)? {
                b'"' => return Some(Quoted { end: end + 1, escapes: true }),
                b'\\' => end += 1 + escape(self.rest(end + 1))?,
                _ => return None,
            }
            end = plain(self.text, end);
        }
    }

    #[inline]
    fn word(&self, at: usize, word: &[u8]) -> Option<usize> {
        self.rest(at).starts_with(word).then_some(at + word.len())
    }

    fn number(&self, at: usize) -> Option<usize> {
        let mut at = at + usize::from(self.byte(at) == Some(b'-'));
        at = if self.byte(at) == Some(b'0') { at + 1 } else { self.digits(at)? };
        if self.byte(at) == Some(b'.') {
            at = self.digits(at + 1)?;
        }
        if let Some(b'e' | b'E') = self.byte(at) {
            let is_signed = matches!(self.byte(at + 1), Some(b'+' | b'-'));
            at = self.digits(at + 1 + usize::from(is_signed))?;
        }
        Some(at)
    }

    /// The end of one or more digits.
    fn digits(&self, start: usize) -> Option<usize> {
        let mut at = start;
        while let Some(b'0'..=b'9') = self.byte(at) {
            at += 1;
        }
        (at > start).then_some(at)
    }
}

/// A string in the text.
struct Quoted {
    /// The position after its closing quote.
    end: usize,
    /// Whether it has escapes.
    escapes: bool,
}

/// The length of an escape after its `\`.
fn escape(rest: &[u8]) -> Option<usize> {
    match rest {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Some(1),
        [b'u', hex @ ..] => hex.first_chunk::<4>()?.iter().all(u8::is_ascii_hexdigit).then_some(5),
        _ => None,
    }
}

/// The position of the next byte that ends or interrupts a string: a quote, a backslash or a control character. It
/// compares eight bytes at a time.
fn plain(text: &[u8], mut at: usize) -> usize {
    while let Some(word) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        let found = interruptions(u64::from_le_bytes(*word));
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while text.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
        at += 1;
    }
    at
}

/// A word with a bit set in its first byte that is a quote, a backslash or a control character; 0 if there is none.
/// Later bytes may have bits set wrongly.
fn interruptions(word: u64) -> u64 {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let below = |word: u64, most: u8| word.wrapping_sub(EACH * u64::from(most)) & !word;
    let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    (below(word, 0x20) | is(b'"') | is(b'\\')) & (EACH << 7)
}

/// Keys that JavaScript could turn into a prototype.
const FORBIDDEN: [&str; 3] = ["__proto__", "constructor", "prototype"];

/// Whether an escape means a letter or `_`: U+0040 to U+007F.
fn hides_a_letter(key: &[u8]) -> bool {
    key.windows(6).any(|escape| matches!(escape, [b'\\', b'u', b'0', b'0', b'4'..=b'7', _]))
}

#[cfg(test)]
mod tests;
