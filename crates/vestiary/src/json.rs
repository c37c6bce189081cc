//! Walking JSON text without building it.
//!
//! A record's data belongs to the application and stays text here; what has to be known is that it
//! is JSON (RFC 8259), how deep it goes, and that no key of it becomes a prototype in JavaScript.
//! `serde_json` would do as well natively, but makes the WebAssembly core twice as large.

use core::ops::Range;

use hifijson::{
    SliceLexer,
    num::Lex as _,
    str::{Lex as _, LexWrite as _},
    token::{Expect, Lex as _},
};

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
    let mut lexer = SliceLexer::new(text.as_bytes());
    let at = |lexer: &SliceLexer<'_>| text.len() - lexer.as_slice().len();
    let depth = Depth { left, limit };
    let walked = lexer.exactly_one(SliceLexer::ws_peek, |next, lexer| match next {
        b'{' => object(lexer, &mut |key, next, lexer| {
            let start = at(lexer);
            value(next, lexer, depth)?;
            visit(key, start..at(lexer)).map_err(Fault)
        }),
        _ => Err(Fault(Error::DataNotObject)),
    });
    walked.map_err(|Fault(error)| error)
}

#[derive(Clone, Copy)]
struct Depth {
    left: usize,
    limit: usize,
}

impl Depth {
    fn deeper(self) -> Result<Self, Fault> {
        let left = self.left.checked_sub(1).ok_or(Fault(Error::TooDeep { limit: self.limit }))?;
        Ok(Self { left, ..self })
    }
}

fn value(next: u8, lexer: &mut SliceLexer<'_>, depth: Depth) -> Result<(), Fault> {
    match next {
        b'[' => {
            let depth = depth.deeper()?;
            lexer
                .discarded()
                .seq(b']', SliceLexer::ws_peek, |next, lexer| value(next, lexer, depth))
        }
        b'{' => {
            let depth = depth.deeper()?;
            object(lexer, &mut |_, next, lexer| value(next, lexer, depth))
        }
        _ => scalar(next, lexer).ok_or(Fault(Error::Json)),
    }
}

fn scalar(next: u8, lexer: &mut SliceLexer<'_>) -> Option<()> {
    match next {
        b'"' => lexer.discarded().str_ignore().ok(),
        b'-' | b'0'..=b'9' => lexer.num_ignore().validate().ok().map(drop),
        _ => lexer.null_or_bool().map(drop),
    }
}

type Member<'m, 't> = &'m mut dyn FnMut(&[u8], u8, &mut SliceLexer<'t>) -> Result<(), Fault>;

/// Walks an object whose `{` is next. `member` gets the key and consumes the value.
///
/// A key that spells a letter or `_` as an escape is refused: no serialiser does that, and it could
/// hide a `__pr\u006fto__`. So keys need not be unescaped, which saves code.
fn object<'t>(lexer: &mut SliceLexer<'t>, member: Member<'_, 't>) -> Result<(), Fault> {
    lexer.discarded().seq(b'}', SliceLexer::ws_peek, |next, lexer| {
        lexer.expect(|_| Some(next), b'"').ok_or(Expect::String)?;
        let mut key: &[u8] = &[];
        lexer.str_bytes(&mut key).map_err(|_| Fault(Error::Json))?;
        if let Some(key) = FORBIDDEN.into_iter().find(|bad| bad.as_bytes() == key) {
            return Err(Fault(Error::ForbiddenKey { key }));
        }
        if hides_a_letter(key) {
            return Err(Fault(Error::Json));
        }
        lexer.expect(SliceLexer::ws_peek, b':').ok_or(Expect::Colon)?;
        let next = lexer.ws_peek().ok_or(Expect::Value)?;
        member(key, next, lexer)
    })
}

/// Keys that JavaScript could turn into a prototype.
const FORBIDDEN: [&str; 3] = ["__proto__", "constructor", "prototype"];

/// Whether an escape stands for a letter or `_`: U+0040 to U+007F.
fn hides_a_letter(key: &[u8]) -> bool {
    key.windows(6).any(|escape| matches!(escape, [b'\\', b'u', b'0', b'0', b'4'..=b'7', _]))
}

/// Our error, in the coat that the lexer's own can be put into.
struct Fault(Error);

impl From<Expect> for Fault {
    fn from(_: Expect) -> Self {
        Self(Error::Json)
    }
}
