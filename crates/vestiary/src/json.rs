//! Walking JSON text without building it.
//!
//! A record's data belongs to the application and stays text here; what has to be known is that it
//! is JSON (RFC 8259), how deep it goes, and that no key of it becomes a prototype in JavaScript.
//! Every request walks a record, so this is by hand: a lexer of a library took four times as long,
//! and `serde_json` makes the WebAssembly core twice as large.

use core::ops::Range;

use crate::Error;

/// What to do with a member: its key, as it is spelled, and where in the text its value is. Not
/// generic, for the size of the WebAssembly core.
type Visit<'v> = &'v mut dyn FnMut(&[u8], Range<usize>) -> Result<(), Error>;

/// Calls `visit` for each member of the object that is the whole of `text`, with its key and the
/// place of its value, which has been walked already. Values may be `left` levels deep; `limit` is
/// what an error calls the limit.
///
/// # Errors
/// [`Error::Json`], [`Error::TooDeep`] or [`Error::ForbiddenKey`], anywhere in the text.
pub(crate) fn members(
    text: &str,
    left: usize,
    limit: usize,
    visit: Visit<'_>,
) -> Result<(), Error> {
    let mut walk = Walk { text: text.as_bytes(), at: 0, limit };
    match walk.token() {
        Some(b'{') => walk.object(left, visit)?,
        Some(_) => return Err(Error::DataNotObject),
        None => return Err(Error::Json),
    }
    match walk.token() {
        Some(_) => Err(Error::Json),
        None => Ok(()),
    }
}

/// A string in the text.
struct Quoted {
    /// Where it is, without its quotes.
    place: Range<usize>,
    /// Some of its characters are escaped.
    escapes: bool,
}

/// How far the text was walked.
struct Walk<'t> {
    text: &'t [u8],
    at: usize,
    limit: usize,
}

impl Walk<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The first byte of the next token.
    fn token(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    /// Whether this byte is next; then it is passed.
    fn pass(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn value(&mut self, left: usize) -> Result<(), Error> {
        match self.token() {
            Some(b'"') => self.string().map(drop),
            Some(b'{') => self.object(self.deeper(left)?, &mut |_, _| Ok(())),
            Some(b'[') => self.array(self.deeper(left)?),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn deeper(&self, left: usize) -> Result<usize, Error> {
        left.checked_sub(1).ok_or(Error::TooDeep { limit: self.limit })
    }

    /// An object whose `{` is next.
    ///
    /// A key that spells a letter or `_` as an escape is refused: no serialiser does that, and it could
    /// hide a `__pr\u006fto__`. So keys need not be unescaped.
    fn object(&mut self, left: usize, visit: Visit<'_>) -> Result<(), Error> {
        self.at += 1;
        if self.token() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.token() != Some(b'"') {
                return Err(Error::Json);
            }
            let Quoted { place, escapes } = self.string()?;
            let key = self.text.get(place).unwrap_or_default();
            if let Some(key) = FORBIDDEN.into_iter().find(|bad| bad.as_bytes() == key) {
                return Err(Error::ForbiddenKey { key });
            }
            if (escapes && hides_a_letter(key)) || self.token() != Some(b':') {
                return Err(Error::Json);
            }
            self.at += 1;
            self.token();
            let start = self.at;
            self.value(left)?;
            visit(key, start..self.at)?;
            if self.ends(b'}')? {
                return Ok(());
            }
        }
    }

    /// An array whose `[` is next.
    fn array(&mut self, left: usize) -> Result<(), Error> {
        self.at += 1;
        if self.token() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(left)?;
            if self.ends(b']')? {
                return Ok(());
            }
        }
    }

    /// Passes a comma, or the end of what it separates.
    fn ends(&mut self, end: u8) -> Result<bool, Error> {
        let next = self.token();
        self.at += 1;
        match next {
            Some(b',') => Ok(false),
            next if next == Some(end) => Ok(true),
            _ => Err(Error::Json),
        }
    }

    /// A string whose `"` is next.
    fn string(&mut self) -> Result<Quoted, Error> {
        self.at += 1;
        let start = self.at;
        let mut escapes = false;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            self.at += plain.ok_or(Error::Json)?;
            let end = self.at;
            if self.pass(b'"') {
                return Ok(Quoted { place: start..end, escapes });
            }
            if !self.pass(b'\\') {
                return Err(Error::Json);
            }
            escapes = true;
            self.escape()?;
        }
    }

    /// What stands behind a `\`.
    fn escape(&mut self) -> Result<(), Error> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += match rest {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 1,
            [b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|hex| hex.is_ascii_hexdigit()) => 5,
            _ => return Err(Error::Json),
        };
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Error> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(Error::Json);
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Error> {
        self.pass(b'-');
        if !self.pass(b'0') {
            self.digits()?;
        }
        if self.pass(b'.') {
            self.digits()?;
        }
        if self.pass(b'e') || self.pass(b'E') {
            let _signed = self.pass(b'+') || self.pass(b'-');
            self.digits()?;
        }
        Ok(())
    }

    /// One or more.
    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Error::Json) }
    }
}

/// Keys that JavaScript could turn into a prototype.
const FORBIDDEN: [&str; 3] = ["__proto__", "constructor", "prototype"];

/// Whether an escape stands for a letter or `_`: U+0040 to U+007F.
fn hides_a_letter(key: &[u8]) -> bool {
    key.windows(6).any(|escape| matches!(escape, [b'\\', b'u', b'0', b'0', b'4'..=b'7', _]))
}

#[cfg(test)]
mod tests {
    use std::{format, vec::Vec};

    use super::*;

    fn walk(text: &str) -> Result<(), Error> {
        members(text, 3, 32, &mut |_, _| Ok(()))
    }

    #[test]
    fn says_of_values_what_the_grammar_says() {
        for value in [
            "0",
            "-0",
            "10",
            "-1.50",
            "1e5",
            "1E+5",
            "1.0e-05",
            "true",
            "false",
            "null",
            "\"\"",
            "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00Ff\"",
            "\"\u{7f}é\u{2028}😀\\ud800\"",
            "[]",
            "[ ]",
            "[1,[2],{}]",
            "{}",
            "{ }",
            "{\"a\":1,\"a\":2}",
            " \t\r\n1\n",
        ] {
            assert_eq!(walk(&format!("{{\"a\":{value}}}")), Ok(()), "{value}");
            assert_eq!(walk(&format!(" {{ \"a\" : [ {value} , {value} ] }} ")), Ok(()), "{value}");
        }
        for value in [
            "",
            "-",
            "01",
            "+1",
            ".5",
            "1.",
            "1.e5",
            "1e",
            "1e+",
            "0x1",
            "tru",
            "truex",
            "True",
            "nul",
            "NaN",
            "Infinity",
            "'a'",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u123\"",
            "\"\n\"",
            "\"\0\"",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1}",
            "{",
            "{1:2}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":1]",
            "1\u{a0}",
            "\u{feff}1",
            "1//",
            "/**/1",
        ] {
            assert_eq!(walk(&format!("{{\"a\":{value}}}")), Err(Error::Json), "{value}");
        }
    }

    #[test]
    fn wants_an_object_and_nothing_else() {
        for text in ["[]", "1", "\"a\"", "x"] {
            assert_eq!(walk(text), Err(Error::DataNotObject), "{text}");
        }
        for text in ["", " ", "{", "{}{}", "{} x", "{\"a\":1}}", "{\"a\":1"] {
            assert_eq!(walk(text), Err(Error::Json), "{text}");
        }
    }

    #[test]
    fn tells_keys_and_where_their_values_are() {
        let text = r#" { "a" : [1, {"x":2}] ,"b\n":"}{", "":null}"#;
        let mut told = Vec::new();
        members(text, 3, 3, &mut |key, place| {
            told.push((key.to_vec(), text.get(place).unwrap()));
            Ok(())
        })
        .unwrap();
        let expected = [(&b"a"[..], r#"[1, {"x":2}]"#), (b"b\\n", r#""}{""#), (b"", "null")];
        assert_eq!(told, expected.map(|(key, value)| (key.to_vec(), value)));
    }

    #[test]
    fn goes_as_deep_as_it_may() {
        for (value, fits) in [("[[[1]]]", true), ("[[[[]]]]", false), ("{\"b\":[{}]}", true)] {
            let walked = walk(&format!("{{\"a\":{value}}}"));
            assert_eq!(walked.is_ok(), fits, "{value}");
            assert!(fits || walked == Err(Error::TooDeep { limit: 32 }));
        }
    }

    #[test]
    fn no_key_becomes_a_prototype_however_it_is_spelled() {
        for key in FORBIDDEN {
            for text in [format!("{{\"{key}\":1}}"), format!("{{\"a\":[{{\"{key}\":1}}]}}")] {
                assert_eq!(walk(&text), Err(Error::ForbiddenKey { key }), "{text}");
            }
        }
        for key in ["__pr\\u006fto__", "\\u005f_proto__", "a\\u0041"] {
            assert_eq!(walk(&format!("{{\"{key}\":1}}")), Err(Error::Json), "{key}");
        }
        for key in ["\\u0031", "\\u00e9", "\\\\u0041x", "__proto", "_\\n"] {
            let walked = walk(&format!("{{\"{key}\":1}}"));
            // `\\u0041` is a backslash and letters; it looks like an escape, and is refused with them.
            assert_eq!(walked.is_ok(), !key.contains("u0041"), "{key}");
        }
        assert_eq!(walk("{\"a\":\"__proto__\"}"), Ok(()));
    }
}
