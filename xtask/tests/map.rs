//! The map in ARCHITECTURE.md has each source file and folder of the crates and of the package, and no others.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Listed although a fresh checkout lacks it.
const GENERATED: &str = "packages/vestiary/src/generated/";

/// Folders whose contents are listed one by one, and those in them that are.
const LISTED: [(&str, bool); 5] =
    [("crates", true), ("packages", true), ("examples", false), ("benches", false), ("", false)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Paths in the map, folders with a slash at the end.
fn mapped(text: &str) -> BTreeSet<String> {
    let section = text.split("\n## The map\n").nth(1).unwrap();
    let map = section.split("```").nth(1).unwrap();
    let mut paths = BTreeSet::new();
    let mut parent = "";
    for line in map.lines().filter(|line| !line.is_empty()) {
        let nested = line.starts_with(' ');
        let columns = line.split(' ').filter(|column| !column.is_empty());
        for path in columns.take_while(|column| is_path(column)) {
            if nested {
                paths.insert(format!("{parent}{path}"));
            } else {
                parent = path;
                paths.insert(path.to_owned());
            }
        }
    }
    paths
}

/// A word of an explanation has neither a slash at its end nor an extension of sources.
fn is_path(column: &str) -> bool {
    column.ends_with('/') || is_source(column)
}

fn is_source(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("rs" | "ts" | "js" | "mjs"))
}

/// Paths of the tree that have to stand in the map.
fn expected() -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (folder, one_by_one) in LISTED {
        for path in entries(folder).filter(|path| path.ends_with('/')) {
            if LISTED.iter().any(|(listed, _)| path.strip_suffix('/') == Some(listed)) {
                continue;
            }
            if one_by_one {
                paths.extend(entries(&path).filter(|inner| !inner.ends_with("/src/")));
                paths.extend(entries(&format!("{path}src")));
            }
            paths.insert(path);
        }
    }
    paths
}

/// The sources and folders of a folder; not those that git ignores, nor hidden ones.
fn entries(folder: &str) -> impl Iterator<Item = String> {
    let folder = folder.trim_end_matches('/').to_owned();
    fs::read_dir(root().join(&folder)).unwrap().filter_map(move |entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if entry.file_type().unwrap().is_dir() {
            let ignored = ["target", "node_modules", "dist"].contains(&name.as_str());
            (!ignored && !name.starts_with('.')).then(|| format!("{path}/"))
        } else {
            is_source(&name).then_some(path)
        }
    })
}

#[test]
fn the_map_is_the_tree() {
    let mapped = mapped(&fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap());
    let mut expected = expected();
    expected.insert(GENERATED.to_owned());
    let missing: Vec<_> = expected.difference(&mapped).collect();
    let gone: Vec<_> =
        mapped.iter().filter(|path| *path != GENERATED && !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "not in the map of ARCHITECTURE.md: {missing:#?}");
    assert!(gone.is_empty(), "in the map of ARCHITECTURE.md, but not in the tree: {gone:#?}");
}

#[test]
fn a_line_may_have_several_paths_and_its_explanation_may_name_others() {
    let text = "\n## The map\n\n```\na/  one\n  b.rs  c/  the file d.rs, and e/\nf/g/\n```\n";
    let paths: Vec<_> = mapped(text).into_iter().collect();
    assert_eq!(paths, ["a/", "a/b.rs", "a/c/", "f/g/"]);
}
