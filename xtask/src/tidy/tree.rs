//! The files of the repository, with their text.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::Context as _;

use crate::{root, run::Run};

/// The extensions of the files that people write.
const WRITTEN: [&str; 14] = [
    "css", "html", "js", "json", "lua", "md", "mjs", "rs", "sh", "svelte", "toml", "ts", "yaml",
    "yml",
];

/// The extensions of source code with comments.
const CODE: [&str; 7] = ["css", "js", "lua", "mjs", "rs", "svelte", "ts"];

/// All files that git does not ignore.
pub(super) struct Tree {
    pub(super) files: Vec<File>,
    /// All paths, including those of files without text.
    paths: BTreeSet<String>,
}

/// A file that people write.
pub(super) struct File {
    /// The path, relative to the root of the repository.
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    pub(super) fn extension(&self) -> &str {
        extension(&self.path)
    }

    pub(super) fn is_code(&self) -> bool {
        CODE.contains(&self.extension())
    }

    pub(super) fn is_markdown(&self) -> bool {
        self.extension() == "md"
    }

    /// The lines, counted from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }
}

impl Tree {
    pub(super) fn read() -> anyhow::Result<Self> {
        let listed = Run::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .output()
            .context("`git ls-files` failed")?;
        let mut tree = Self { files: Vec::new(), paths: BTreeSet::new() };
        for path in listed.lines() {
            let whole = root().join(path);
            // A file that was deleted and not committed is still listed.
            if !whole.exists() {
                continue;
            }
            tree.paths.insert(path.to_owned());
            let generated = path.ends_with("package-lock.json")
                || path.starts_with("vectors/") && extension(path) == "json";
            if WRITTEN.contains(&extension(path)) && !generated {
                let text = fs::read_to_string(whole).with_context(|| path.to_owned())?;
                tree.files.push(File { path: path.to_owned(), text });
            }
        }
        Ok(tree)
    }

    /// Creates a tree for a test.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let file =
            |&(path, text): &(&str, &str)| File { path: path.to_owned(), text: text.to_owned() };
        Self {
            files: files.iter().map(file).collect(),
            paths: files.iter().map(|(path, _)| (*path).to_owned()).collect(),
        }
    }

    pub(super) fn file(&self, path: &str) -> anyhow::Result<&File> {
        let found = self.files.iter().find(|file| file.path == path);
        found.with_context(|| format!("{path} is missing"))
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// Whether the path is that of a file, or of a folder with files.
    pub(super) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let folder = format!("{path}/");
        path.is_empty()
            || self.paths.contains(path)
            || self.paths.range(folder.clone()..).next().is_some_and(|it| it.starts_with(&folder))
    }
}

fn extension(path: &str) -> &str {
    Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

/// Joins a folder and a relative path, and resolves `.` and `..`. `None` if the path leads out of the repository.
pub(super) fn joined(folder: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The folder of a file; empty at the root.
pub(super) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_path_is_joined_and_never_leaves_the_repository() {
        assert_eq!(joined("docs", "../README.md").unwrap(), "README.md");
        assert_eq!(joined("docs/images", "./a/../b.png").unwrap(), "docs/images/b.png");
        assert_eq!(joined("docs", "../../elsewhere"), None);
    }

    #[test]
    fn a_folder_is_there_if_a_file_is_in_it() {
        let tree = Tree::of(&[("a/b/c.rs", "")]);
        assert!(tree.has("a/b") && tree.has("a/b/") && tree.has("a/b/c.rs"));
        assert!(!tree.has("a/c") && !tree.has("a/b/c"));
    }
}
