use std::{
    fmt::{Display, Write as _},
    io::{self, BufWriter, IsTerminal as _, Stdout, Write as _},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::Failure;

/// The output of a command: lines for people, or one JSON document for programs.
pub(crate) struct Output {
    out: BufWriter<Stdout>,
    json: bool,
    show_ids: bool,
}

/// The number of a key's characters that are shown: enough to tell sessions apart, and useless for a login.
const SHOWN: usize = 6;

impl Output {
    pub(crate) fn new(json: bool, show_ids: bool) -> Self {
        Self { out: BufWriter::new(io::stdout()), json, show_ids }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a line for people. Escapes keep it on one line and free of terminal commands, whatever the text is.
    pub(crate) fn line(&mut self, text: impl Display) -> io::Result<()> {
        if self.json { Ok(()) } else { writeln!(self.out, "{}", plain(&text.to_string())) }
    }

    /// Prints the document for programs. Escapes do not change its meaning.
    pub(crate) fn document(&mut self, document: &Value) -> io::Result<()> {
        self.part(&document.to_string())?;
        self.end_part()
    }

    /// Prints a part of the document.
    pub(crate) fn part(&mut self, json: &str) -> io::Result<()> {
        if self.json { self.out.write_all(plain_json(json).as_bytes()) } else { Ok(()) }
    }

    /// Ends a document that was printed in parts.
    pub(crate) fn end_part(&mut self) -> io::Result<()> {
        if self.json { self.out.write_all(b"\n") } else { Ok(()) }
    }

    /// Prints a line that is not part of the result, to standard error.
    pub(crate) fn note(&mut self, text: impl Display) -> io::Result<()> {
        self.out.flush()?;
        writeln!(io::stderr(), "{}", plain(&text.to_string()))
    }

    /// Prints bytes that this program itself has made, without escapes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(crate) fn failed(&mut self, failure: &Failure) -> io::Result<()> {
        let error = json!({ "code": failure.code(), "message": failure.to_string() });
        self.document(&json!({ "error": error }))?;
        self.note(format_args!("error: {failure} [{}]", failure.code()))
    }

    /// A key or an ID, shortened unless it may be shown in full.
    pub(crate) fn key(&self, key: &str) -> String {
        if self.show_ids { key.to_owned() } else { shortened(key) }
    }

    /// A progress bar on standard error, if that is a terminal. Without a number of steps, it only shows activity.
    pub(crate) fn progress(&self, what: &'static str, steps: Option<u64>) -> ProgressBar {
        if self.json || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(steps.unwrap_or_default());
        let style = ProgressStyle::with_template(match steps {
            Some(_) => "{prefix} [{bar:30}] {human_pos}/{human_len}, {eta} left",
            None => "{prefix} {spinner} {human_pos}",
        });
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.with_prefix(what)
    }
}

/// The namespace and the first characters of the name after it.
fn shortened(key: &str) -> String {
    let name = vestiary::StoreKey::parse(key).name;
    let before = key.strip_suffix(name).unwrap_or_default();
    let shown: String = name.chars().take(SHOWN).collect();
    format!("{before}{shown}…")
}

/// Shortens text that may be secret to the length that is shown of a key.
pub(crate) fn shortened_text(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN).collect();
    if shown == text { shown } else { shown + "…" }
}

/// A count with its noun.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Escapes characters that move a cursor, in text from any source: a user's name, a key, a server's message.
pub(crate) fn plain(text: &str) -> String {
    escaped(text, |char, plain| plain.extend(char.escape_unicode()))
}

/// As [`plain`], with the escapes of JSON strings. Outside of strings, JSON has no such characters.
fn plain_json(json: &str) -> String {
    escaped(json, |char, plain| {
        let mut units = [0; 2];
        for unit in char.encode_utf16(&mut units) {
            // Writing to a string cannot fail.
            let _ = write!(plain, "\\u{unit:04x}");
        }
    })
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> String {
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        if is_control(char) { escape(char, &mut plain) } else { plain.push(char) }
    }
    plain
}

/// Whether a terminal or a reader may misread the character: control characters, line breaks, invisible characters, and
/// those that change the direction of writing.
fn is_control(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shortened_after_its_namespace() {
        let id = "abcdefghijklmnopqrstuvwxyz012345";
        assert_eq!(shortened(id), "abcdef…");
        assert_eq!(shortened(&format!("admin:{id}")), "admin:abcdef…");
        let list = format!("admin:user:{}", "A".repeat(43));
        assert_eq!(shortened(&list), "admin:user:AAAAAA…");
    }

    #[test]
    fn text_of_others_moves_no_cursor() {
        assert_eq!(plain("ada\u{1b}[2J\r\n"), "ada\\u{1b}[2J\\u{d}\\u{a}");
        assert_eq!(plain("Zoë 🐻"), "Zoë 🐻");
        for char in
            ['\u{9b}', '\u{7f}', '\u{202e}', '\u{2067}', '\u{200f}', '\u{2028}', '\u{e0041}']
        {
            let text = format!("a{char}b");
            assert_eq!(plain(&text), format!("a\\u{{{:x}}}b", u32::from(char)));
            let document = json!({ "user": text });
            let printed = plain_json(&document.to_string());
            assert!(printed.is_ascii(), "{printed}");
            assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), document);
        }
    }
}
