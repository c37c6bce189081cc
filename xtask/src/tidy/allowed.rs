//! The lists of exceptions in `xtask/tidy/`. A line has a name, spaces, and a value; `#` begins a comment.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, ensure};

use crate::root;

use super::Finding;

/// The entries of a list, by name.
pub(super) type Entries = BTreeMap<String, String>;

/// The path of a list.
pub(super) fn path(list: &str) -> String {
    format!("xtask/tidy/{list}.txt")
}

pub(super) fn read(list: &str) -> anyhow::Result<Entries> {
    let path = path(list);
    let text = fs::read_to_string(root().join(&path)).with_context(|| path.clone())?;
    parse(&text).with_context(|| path)
}

fn parse(text: &str) -> anyhow::Result<Entries> {
    let mut entries = Entries::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        // Two spaces, so that a name may have one.
        let (name, value) = line.split_once("  ").unwrap_or((line, ""));
        let before = entries.insert(name.to_owned(), value.trim().to_owned());
        ensure!(before.is_none(), "`{name}` stands there twice");
    }
    Ok(entries)
}

/// The findings about entries that no file needs.
pub(super) fn unused<'a>(list: &str, unused: impl Iterator<Item = &'a String>) -> Vec<Finding> {
    let finding = |name| Finding::new(&path(list), 0, format!("`{name}` is not needed: remove it"));
    unused.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_a_name_and_a_value_and_no_namesake() {
        let entries = parse("# comment\na b  c d\n\ne\n").unwrap();
        assert_eq!(entries.get("a b").unwrap(), "c d");
        assert_eq!(entries.get("e").unwrap(), "");
        parse("a  1\na  2").unwrap_err();
    }
}
