use std::{
    fmt::Display,
    io::{self, BufWriter, IsTerminal as _, Stdout, Write as _},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::Failure;

/// What a command says: lines for people, or one JSON document for programs.
pub(crate) struct Output {
    out: BufWriter<Stdout>,
    json: bool,
    show_ids: bool,
}

/// So much of a key is shown: enough to tell sessions apart, and no use to log in with.
const SHOWN: usize = 6;

impl Output {
    pub(crate) fn new(json: bool, show_ids: bool) -> Self {
        Self { out: BufWriter::new(io::stdout()), json, show_ids }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A line for people.
    pub(crate) fn line(&mut self, text: impl Display) -> io::Result<()> {
        if self.json { Ok(()) } else { writeln!(self.out, "{text}") }
    }

    /// The document for programs.
    pub(crate) fn document(&mut self, document: &Value) -> io::Result<()> {
        if self.json { writeln!(self.out, "{document}") } else { Ok(()) }
    }

    /// A part of the document.
    pub(crate) fn part(&mut self, text: &str) -> io::Result<()> {
        if self.json { self.out.write_all(text.as_bytes()) } else { Ok(()) }
    }

    /// Something that is no result: to standard error.
    pub(crate) fn note(&mut self, text: impl Display) -> io::Result<()> {
        self.out.flush()?;
        writeln!(io::stderr(), "{text}")
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(crate) fn failed(&mut self, failure: &Failure) -> io::Result<()> {
        let error = json!({ "code": failure.code(), "message": failure.to_string() });
        self.document(&json!({ "error": error }))?;
        self.finish()
    }

    /// A key or an ID, as much of it as may be seen.
    pub(crate) fn key(&self, key: &str) -> String {
        if self.show_ids { key.to_owned() } else { shortened(key) }
    }

    /// A bar on standard error, if somebody sees it. Without a number of steps, it only shows that it goes on.
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

/// The namespace, and the first characters of what follows.
fn shortened(key: &str) -> String {
    let name = vestiary::StoreKey::parse(key).name;
    let before = key.strip_suffix(name).unwrap_or_default();
    let shown: String = name.chars().take(SHOWN).collect();
    format!("{before}{shown}…")
}

/// A number of things.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Text of somebody else's, such as the name of a user, that must not move the cursor of a terminal.
pub(crate) fn plain(text: &str) -> String {
    let escape = |char: char| {
        char.is_control() || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .flat_map(|char| {
            let escaped = escape(char).then(|| char.escape_unicode());
            let kept = (!escape(char)).then_some(char);
            escaped.into_iter().flatten().chain(kept)
        })
        .collect()
}

#[cfg(test)]
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
    }
}
