//! The words that the glossary replaces, and documentation that begins with "What". Each file has a number that may only
//! go down: `cargo xtask tidy --write` lowers it.

use std::collections::BTreeMap;

use super::{
    Finding, allowed, comments,
    ratchet::{self, Counts},
    tree::{File, Tree},
    words,
};

/// The list of the numbers.
const LIST: &str = "wording";
/// The list of the words, with their replacements. A word in backticks is found in exactly this spelling.
const WORDS: &str = "words";
/// The list of paths, each with a word that its file needs, such as a name in the changelog.
const KEPT: &str = "kept";

/// First words that documentation does not begin with.
const BEGINNINGS: [&str; 2] = ["What", "Whoever"];
const BEGIN_WITH_THE_THING: &str = "begin with the thing, as a noun or a verb";

/// A use of a word.
#[derive(Debug)]
struct Use {
    line: usize,
    word: String,
    instead: String,
    /// Whether the list has the word in backticks.
    is_spelling: bool,
}

/// A list of words, parsed.
struct Words {
    phrases: Vec<(Vec<String>, String)>,
    spellings: Vec<(String, String)>,
}

impl Words {
    fn read() -> anyhow::Result<Self> {
        Ok(Self::of(allowed::read(WORDS)?))
    }

    fn of(list: allowed::Entries) -> Self {
        let mut words = Self { phrases: Vec::new(), spellings: Vec::new() };
        for (name, instead) in list {
            match name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) {
                Some(spelling) => words.spellings.push((spelling.to_owned(), instead)),
                None => words.phrases.push((name.split(' ').map(str::to_owned).collect(), instead)),
            }
        }
        words
    }

    fn uses(&self, file: &File) -> Vec<Use> {
        let mut uses = Vec::new();
        let all = words::of(&file.text);
        for (phrase, instead) in &self.phrases {
            for part in all.windows(phrase.len()) {
                let [_, rest @ ..] = part else { continue };
                let same = part.iter().zip(phrase).all(|(word, expected)| word.text == *expected);
                if let Some(first) =
                    part.first().filter(|_| same && rest.iter().all(|it| it.follows))
                {
                    let word = phrase.join(" ");
                    let (line, instead) = (first.line, instead.clone());
                    uses.push(Use { line, word, instead, is_spelling: false });
                }
            }
        }
        for (spelling, instead) in &self.spellings {
            for (line, text) in file.lines() {
                for _ in text.matches(spelling.as_str()) {
                    let (word, instead) = (spelling.clone(), instead.clone());
                    uses.push(Use { line, word, instead, is_spelling: true });
                }
            }
        }
        let comments = if file.is_code() { comments::of(file) } else { Vec::new() };
        for comment in comments.into_iter().filter(|comment| comment.opens_documentation) {
            let first = comment.text.split(' ').next().unwrap_or_default();
            if BEGINNINGS.contains(&first) {
                let (word, instead) = (format!("{first} …"), BEGIN_WITH_THE_THING.to_owned());
                uses.push(Use { line: comment.line, word, instead, is_spelling: false });
            }
        }
        uses.sort_by_key(|it| it.line);
        uses
    }
}

pub(super) fn check(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    let (uses, kept) = (all_uses(tree)?, allowed::read(KEPT)?);
    let unused = kept.keys().filter(|it| !uses.iter().any(|(path, of)| has_kept(path, of, it)));
    let mut findings = allowed::unused(KEPT, unused);
    let uses = without(uses, &kept);
    let allowed = ratchet::read(LIST)?;
    findings.extend(ratchet::gone(LIST, &allowed, |path| tree.has(path)));
    let counts = counts(&uses);
    for (path, limit) in ratchet::above(&counts, &allowed) {
        let uses = uses.get(path).map_or(&[][..], Vec::as_slice);
        let message = |it: &Use| match limit {
            0 => format!("“{}”: {}", it.word, it.instead),
            limit => format!("“{}”: {} ({limit} of {} may stay)", it.word, it.instead, uses.len()),
        };
        findings.extend(uses.iter().map(|it| Finding::new(path, it.line, message(it))));
    }
    Ok(findings)
}

/// The number of words that are left, in one line.
pub(super) fn summary(tree: &Tree) -> anyhow::Result<String> {
    let counts = counts(&uses(tree)?);
    let allowed: usize = ratchet::read(LIST)?.values().sum();
    let (sum, files) = (counts.values().sum::<usize>(), counts.len());
    let lower = if sum < allowed { ": `cargo xtask tidy --write` lowers that" } else { "" };
    Ok(format!("{sum} words to replace, in {files} files; {allowed} are allowed{lower}"))
}

/// Lowers the numbers of the list to the current ones.
pub(super) fn lower(tree: &Tree) -> anyhow::Result<()> {
    ratchet::write(LIST, &counts(&uses(tree)?))
}

/// The uses of the words in each file.
type Uses = BTreeMap<String, Vec<Use>>;

fn uses(tree: &Tree) -> anyhow::Result<Uses> {
    Ok(without(all_uses(tree)?, &allowed::read(KEPT)?))
}

fn all_uses(tree: &Tree) -> anyhow::Result<Uses> {
    let words = Words::read()?;
    Ok(tree.files.iter().map(|file| (file.path.clone(), words.uses(file))).collect())
}

/// The uses, without the words that a file needs.
fn without(mut uses: Uses, kept: &allowed::Entries) -> Uses {
    for (path, of) in &mut uses {
        of.retain(|it| !kept.contains_key(&entry(path, it)));
    }
    uses.retain(|_, of| !of.is_empty());
    uses
}

fn has_kept(path: &str, uses: &[Use], kept: &str) -> bool {
    uses.iter().any(|it| entry(path, it) == kept)
}

/// The entry that lets a file keep this word.
fn entry(path: &str, it: &Use) -> String {
    if it.is_spelling { format!("{path} `{}`", it.word) } else { format!("{path} {}", it.word) }
}

fn counts(uses: &Uses) -> Counts {
    uses.iter().map(|(path, uses)| (path.clone(), uses.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let list = [("whichever", "the one"), ("hang up", "store"), ("`::Coat`", "the format")];
        let words = Words::of(list.map(|(word, it)| (word.to_owned(), it.to_owned())).into());
        let file = File { path: path.into(), text: text.into() };
        words.uses(&file).into_iter().map(|it| (it.line, it.word)).collect()
    }

    #[test]
    fn a_word_is_found_in_prose_and_in_identifiers() {
        let text = "fn whichever_reads() {}\n// whichEver\nlet a = whicheverReads;\n// wherever\n";
        assert_eq!(found("a.rs", text), [(1, "whichever".into()), (3, "whichever".into())]);
    }

    #[test]
    fn a_phrase_is_found_across_lines_and_not_across_sentences() {
        assert_eq!(found("a.rs", "// to hang\n// up\n"), [(1, "hang up".into())]);
        assert_eq!(found("a.md", "Hang. Up, hang"), []);
    }

    #[test]
    fn a_spelling_is_found_as_it_stands() {
        assert_eq!(found("a.rs", "Format::Coat\ncoat\n"), [(1, "::Coat".into())]);
    }

    #[test]
    fn a_file_may_keep_a_word_that_it_needs() {
        let it = |word: &str, is_spelling| {
            let (word, instead) = (word.to_owned(), String::new());
            Use { line: 1, word, instead, is_spelling }
        };
        let uses = || Uses::from([("a.md".into(), vec![it("coat", false), it("'hat'", true)])]);
        let kept = |entries: &[&str]| {
            let entries = entries.iter().map(|entry| ((*entry).into(), "why".into())).collect();
            without(uses(), &entries).into_values().flatten().map(|it| it.word).collect::<Vec<_>>()
        };
        assert_eq!(kept(&["a.md coat"]), ["'hat'"]);
        assert_eq!(kept(&["a.md `'hat'`", "b.md coat"]), ["coat"]);
        assert!(kept(&["a.md `'hat'`", "a.md coat"]).is_empty());
    }

    #[test]
    fn documentation_begins_with_the_thing() {
        assert_eq!(
            found("a.rs", "/// What it is.\n/// What else.\nfn a() {}"),
            [(1, "What …".into())]
        );
        assert_eq!(found("a.ts", "/**\n * What it is.\n */\n// What?"), [(2, "What …".into())]);
        assert_eq!(found("a.md", "/// What it is"), []);
    }
}
