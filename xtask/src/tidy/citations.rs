//! Checks that every file exists that a comment or a page for developers names.

use std::collections::BTreeSet;

use super::{
    Finding, allowed, comments,
    tree::{File, Tree, folder, joined},
};

/// The list of file names that are elsewhere, for example in an application that uses Vestiary.
const LIST: &str = "citations";

const EXTENSIONS: [&str; 10] =
    [".rs", ".ts", ".js", ".mjs", ".md", ".json", ".svelte", ".toml", ".css", ".lua"];

/// The pages whose code in backticks names files of the repository.
const PAGES: [&str; 4] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "vectors/README.md"];

pub(super) fn check(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    let elsewhere = allowed::read(LIST)?;
    let mut used = BTreeSet::new();
    let mut findings = Vec::new();
    for file in &tree.files {
        for (line, cited) in citations(file) {
            if exists(tree, &file.path, cited) {
                continue;
            }
            if elsewhere.contains_key(cited) {
                used.insert(cited.to_owned());
            } else {
                findings.push(Finding::new(&file.path, line, format!("no file is called {cited}")));
            }
        }
    }
    findings.extend(allowed::unused(LIST, elsewhere.keys().filter(|name| !used.contains(*name))));
    Ok(findings)
}

fn citations(file: &File) -> Vec<(usize, &str)> {
    let mut cited = Vec::new();
    if file.is_code() {
        for comment in comments::of(file) {
            cited.extend(names(comment.text).map(|name| (comment.line, name)));
        }
    } else if PAGES.contains(&file.path.as_str()) {
        for (line, text) in file.lines() {
            // Every second part is code.
            let code = text.split('`').skip(1).step_by(2);
            cited.extend(code.flat_map(names).map(|name| (line, name)));
        }
    }
    cited
}

/// The names of files in a text.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let inside = |sign: char| sign.is_alphanumeric() || "/._-+$()[]@".contains(sign);
    let each = text.split(move |sign| !inside(sign));
    each.map(|name| name.trim_start_matches(['(', '[']).trim_end_matches(['.', ')', ']'])).filter(
        |name| {
            let stem = EXTENSIONS.iter().find_map(|extension| name.strip_suffix(extension));
            // `Node.js`, addresses of other sites, and placeholders are not files.
            stem.is_some_and(|stem| {
                !stem.is_empty()
                    && !stem.starts_with("//")
                    && *name != "Node.js"
                    && !name.contains("NAME")
            })
        },
    )
}

/// Whether a file has this path, relative to the citing file or to any folder.
fn exists(tree: &Tree, from: &str, cited: &str) -> bool {
    let beside = joined(folder(from), cited).is_some_and(|path| tree.has(&path));
    // The build and the tests create files, too.
    let made = cited.split('/').any(|part| ["dist", "generated", "target"].contains(&part));
    let ending = format!("/{cited}");
    beside || made || tree.paths().any(|path| path == cited || path.ends_with(&ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(files: &[(&str, &str)]) -> Vec<String> {
        let tree = Tree::of(files);
        let cited = tree.files.iter().flat_map(|file| {
            citations(file).into_iter().filter(|(_, cited)| !exists(&tree, &file.path, cited))
        });
        cited.map(|(_, cited)| cited.to_owned()).collect()
    }

    #[test]
    fn a_file_that_a_comment_names_has_to_exist() {
        let text = "// as `b.rs`, src/b.rs, ../c.ts and docs/gone.md.\nlet a = \"d.rs\";";
        let files = [("x/src/a.rs", text), ("x/src/b.rs", ""), ("x/c.ts", "")];
        assert_eq!(missing(&files), ["docs/gone.md"]);
    }

    #[test]
    fn a_page_for_developers_names_files_in_code() {
        let files = [("CONTRIBUTING.md", "Edit `src/a.rs`, not b.rs."), ("docs/c.md", "`d.rs`")];
        assert_eq!(missing(&files), ["src/a.rs"]);
    }

    #[test]
    fn names_are_no_files() {
        assert_eq!(
            missing(&[("a.rs", "// Node.js, https://e.org/x.js, a.b, .rs, src/NAME.rs")]),
            [""; 0]
        );
    }
}
