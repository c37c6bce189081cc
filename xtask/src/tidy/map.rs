//! Checks that the map in ARCHITECTURE.md has each source file and folder of the crates and of the package, and no others.

use std::collections::BTreeSet;

use anyhow::Context as _;

use super::{Finding, tree::Tree};

const PAGE: &str = "ARCHITECTURE.md";

/// The folder that is in the map although a fresh checkout lacks it.
const GENERATED: &str = "packages/vestiary/src/generated/";

/// The folders whose subfolders are in the map.
const FOLDERS: [&str; 4] = ["crates/", "packages/", "examples/", "benches/"];

/// The folders whose contents the map lists one by one.
const ONE_BY_ONE: [&str; 2] = ["crates/", "packages/"];

const SOURCES: [&str; 4] = [".rs", ".ts", ".js", ".mjs"];

pub(super) fn check(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    let mapped = mapped(&tree.file(PAGE)?.text).context("ARCHITECTURE.md has no map")?;
    let mut expected: BTreeSet<_> = tree.paths().flat_map(expected).collect();
    expected.insert(GENERATED.to_owned());
    let missing = expected.difference(&mapped).map(|path| format!("the map lacks {path}"));
    let gone = mapped.iter().filter(|path| *path != GENERATED && !tree.has(path));
    let gone = gone.map(|path| format!("the map has {path}, the tree has not"));
    Ok(missing.chain(gone).map(|message| Finding::new(PAGE, 0, message)).collect())
}

/// The paths in the map. Folders end with a slash.
fn mapped(text: &str) -> Option<BTreeSet<String>> {
    let section = text.split("\n## The map\n").nth(1)?;
    let map = section.split("```").nth(1)?;
    let mut paths = BTreeSet::new();
    let mut parent = "";
    for line in map.lines().filter(|line| !line.is_empty()) {
        let nested = line.starts_with(' ');
        // Words of the explanations have neither a slash at the end nor a source extension.
        let is_path = |column: &&str| column.ends_with('/') || is_source(column);
        for path in line.split(' ').filter(|column| !column.is_empty()).take_while(is_path) {
            if nested {
                paths.insert(format!("{parent}{path}"));
            } else {
                parent = path;
                paths.insert(path.to_owned());
            }
        }
    }
    Some(paths)
}

fn is_source(name: &str) -> bool {
    SOURCES.iter().any(|extension| name.ends_with(extension))
}

/// The entries of the map that a file of the tree requires.
fn expected(path: &str) -> Vec<String> {
    let mut entries = Vec::new();
    let parts: Vec<_> = path.split_inclusive('/').collect();
    let [first, rest @ ..] = parts.as_slice() else { return entries };
    if !first.ends_with('/') || first.starts_with('.') {
        return entries;
    }
    if !FOLDERS.contains(first) {
        return vec![(*first).to_owned()];
    }
    let [package, rest @ ..] = rest else { return entries };
    if !package.ends_with('/') {
        return entries;
    }
    let folder = format!("{first}{package}");
    entries.push(folder.clone());
    if ONE_BY_ONE.contains(first) {
        let (folder, name) = match rest {
            ["src/", name, ..] => (format!("{folder}src/"), *name),
            [name, ..] => (folder, *name),
            [] => return entries,
        };
        if (name.ends_with('/') || is_source(name)) && !name.starts_with('.') {
            entries.push(format!("{folder}{name}"));
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 5] =
        ["README.md", "a/b.rs", "crates/c/d.rs", "crates/c/src/e.rs", ".ci/run"];

    fn messages(map: &str) -> Vec<String> {
        let page = format!("\n## The map\n\n```\n{map}\n```\n");
        let mut files = vec![(PAGE, page.as_str())];
        files.extend(FILES.map(|path| (path, "")));
        check(&Tree::of(&files)).unwrap().into_iter().map(|it| it.message).collect()
    }

    #[test]
    fn the_map_is_the_tree() {
        let generated = format!("{GENERATED}\n");
        assert_eq!(messages(&format!("{generated}a/\ncrates/c/\n  d.rs  src/e.rs")), [""; 0]);
        assert_eq!(
            messages(&format!("{generated}a/\ncrates/c/\n  d.rs  f.rs")),
            ["the map lacks crates/c/src/e.rs", "the map has crates/c/f.rs, the tree has not"]
        );
    }

    #[test]
    fn a_line_may_have_several_paths_and_its_explanation_may_name_others() {
        let text = "\n## The map\n\n```\na/  one\n  b.rs  c/  the file d.rs, and e/\nf/g/\n```\n";
        let paths: Vec<_> = mapped(text).unwrap().into_iter().collect();
        assert_eq!(paths, ["a/", "a/b.rs", "a/c/", "f/g/"]);
    }
}
