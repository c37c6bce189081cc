//! Finds common misspellings, by the dictionary of the tool `typos`: the source code of its crate `typos-dict`, read as
//! text. Compiling its 90,000 entries takes as long as compiling everything else that this program needs.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::run::cargo;

use super::{Finding, allowed, tree::Tree, words};

/// The crate with the dictionary, and the file in it.
const CRATE: &str = "typos-dict";
const FILE: &str = "src/word_codegen.rs";

/// Correct words that the dictionary takes for misspellings.
const LIST: &str = "spelling";

pub(super) fn check(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    let code = code()?;
    let dictionary = Dictionary::of(&code);
    ensure!(dictionary.0.len() > 50_000, "the dictionary of {CRATE} has another format");
    let allowed = allowed::read(LIST)?;
    let mut used = BTreeSet::new();
    let mut findings = Vec::new();
    for file in &tree.files {
        for word in words::of(&file.text) {
            let Some(correct) = dictionary.corrections(&word.text) else { continue };
            if allowed.contains_key(&word.text) {
                used.insert(word.text);
            } else {
                let message = format!("“{}”: {}?", word.text, correct.join(", "));
                findings.push(Finding::new(&file.path, word.line, message));
            }
        }
    }
    findings.extend(allowed::unused(LIST, allowed.keys().filter(|word| !used.contains(*word))));
    Ok(findings)
}

/// Misspellings, with their corrections.
struct Dictionary<'t>(HashMap<&'t str, Vec<&'t str>>);

impl<'t> Dictionary<'t> {
    /// Reads the source code of the dictionary. Its strings have no escapes.
    fn of(code: &'t str) -> Self {
        let entries = code.split("InsensitiveStr::").skip(1).filter_map(|entry| {
            let mut quoted = entry.split('"').skip(1).step_by(2);
            Some((quoted.next()?, quoted.collect()))
        });
        Self(entries.collect())
    }

    /// The corrections of a word, if it is a known misspelling. Shorter words are skipped, because random text contains them.
    fn corrections(&self, word: &str) -> Option<&[&'t str]> {
        if word.len() < 4 {
            return None;
        }
        self.0.get(word).map(Vec::as_slice)
    }
}

/// The source code of the dictionary. Cargo has it, because xtask would need it on a platform on which it is never built.
fn code() -> anyhow::Result<String> {
    let metadata = cargo(&["metadata", "--locked", "--format-version", "1"])
        .args(["--filter-platform", "wasm32-unknown-unknown"])
        .output()
        .context("`cargo metadata` failed")?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata.get("packages").and_then(Value::as_array).context("no packages")?;
    let manifest = packages
        .iter()
        .find(|package| package.get("name").is_some_and(|name| name == CRATE))
        .and_then(|package| package.get("manifest_path")?.as_str())
        .with_context(|| format!("`cargo metadata` does not name {CRATE}"))?;
    let path = Path::new(manifest).with_file_name(FILE);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_known_and_a_word_is_not() {
        let code = code().unwrap();
        let dictionary = Dictionary::of(&code);
        // The words are in parts, so that the check does not find them here.
        assert_eq!(dictionary.corrections(concat!("rec", "ieve")), Some(&["receive"][..]));
        let several = dictionary.corrections(concat!("cha", "ced")).unwrap();
        assert_eq!(several, ["cached", "chased"]);
        assert_eq!(dictionary.corrections("receive"), None);
    }
}
