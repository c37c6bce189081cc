//! Finds common misspellings, by the dictionary of the tool `typos`.

use std::collections::BTreeSet;

use super::{Finding, allowed, tree::Tree, words};

/// Correct words that the dictionary takes for misspellings.
const LIST: &str = "spelling";

pub(super) fn check(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    let allowed = allowed::read(LIST)?;
    let mut used = BTreeSet::new();
    let mut findings = Vec::new();
    for file in &tree.files {
        for word in words::of(&file.text) {
            let Some(correct) = corrections(&word.text) else { continue };
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

/// The corrections of a word, if it is a known misspelling. Shorter words are skipped, because random text contains them.
fn corrections(word: &str) -> Option<&'static [&'static str]> {
    if word.len() < 4 {
        return None;
    }
    typos_dict::WORD.find(&word.into()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_known_and_a_word_is_not() {
        // The words are in parts, so that the check does not find them here.
        assert_eq!(corrections(concat!("rec", "ieve")), Some(&["receive"][..]));
        assert_eq!(corrections("receive"), None);
    }
}
