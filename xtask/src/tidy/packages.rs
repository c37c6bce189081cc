//! Checks the published packages as registries show them: the fields of their manifests, and their pages, in which relative
//! links lead nowhere.

use super::{Finding, links, tree::Tree};

/// The manifests of published packages.
const PUBLISHED: [&str; 6] = [
    "crates/vestiary/Cargo.toml",
    "crates/vestiary-cli/Cargo.toml",
    "crates/vestiary-store/Cargo.toml",
    "crates/vestiary-tower/Cargo.toml",
    "packages/sv/package.json",
    "packages/vestiary/package.json",
];

/// The fields that a registry shows in searches and on its page.
const FIELDS: [&str; 3] = ["description", "keywords", "license"];

pub(super) fn check(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for manifest in PUBLISHED {
        let text = &tree.file(manifest)?.text;
        for field in FIELDS {
            let has = |line: &str| line.trim_start().trim_start_matches('"').starts_with(field);
            if !text.lines().any(has) {
                findings.push(Finding::new(manifest, 0, format!("`{field}` is missing")));
            }
        }
        findings.extend(page(tree, manifest));
    }
    Ok(findings)
}

/// The findings about the README beside a manifest.
fn page(tree: &Tree, manifest: &str) -> Vec<Finding> {
    let folder = manifest.rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = format!("{folder}/README.md");
    let Ok(page) = tree.file(&path) else {
        return vec![Finding::new(&path, 0, "a published package has a README.md")];
    };
    let links = links::links(page).into_iter();
    let relative =
        links.filter(|link| !link.target.starts_with('#') && !links::is_absolute(&link.target));
    let message = |target| format!("{target} leads nowhere on a registry's page");
    relative.map(|link| Finding::new(&path, link.line, message(link.target))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "description = \"\"\nkeywords = []\nlicense.workspace = true";

    fn found(files: &[(&str, &str)]) -> Vec<(String, usize)> {
        let mut all: Vec<_> = PUBLISHED.map(|path| (path, MANIFEST)).into();
        all.retain(|(path, _)| files.iter().all(|(other, _)| other != path));
        all.extend(files);
        let found = check(&Tree::of(&all)).unwrap().into_iter();
        found.map(|it| (it.path, it.line)).collect()
    }

    #[test]
    fn a_package_has_a_page_and_no_relative_link_on_it() {
        let pages =
            PUBLISHED.map(|path| path.replace(path.rsplit('/').next().unwrap(), "README.md"));
        let texts = ["[a](#b), [c](https://d.org)\n[e](../f.md)", "", "", "", ""];
        let files: Vec<_> = pages.iter().map(String::as_str).zip(texts).collect();
        let expected = [(pages[0].clone(), 2), (pages[5].clone(), 0)];
        assert_eq!(found(&files), expected);
    }

    #[test]
    fn a_manifest_says_what_the_package_is() {
        let manifest = "crates/vestiary/Cargo.toml";
        let found = found(&[(manifest, "description = \"\"\nlicense = \"MIT\"")]);
        assert!(found.contains(&(manifest.to_owned(), 0)), "{found:?}");
    }
}
