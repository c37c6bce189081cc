//! The pages that registries show of the packages: without relative links, which lead nowhere there.

use super::{Finding, links, tree::Tree};

/// Folders of published packages.
const PUBLISHED: [&str; 5] = [
    "crates/vestiary",
    "crates/vestiary-cli",
    "crates/vestiary-store",
    "crates/vestiary-tower",
    "packages/vestiary",
];

#[expect(clippy::unnecessary_wraps, reason = "as every other check")]
pub(super) fn check(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for folder in PUBLISHED {
        let path = format!("{folder}/README.md");
        let Some(page) = tree.files.iter().find(|file| file.path == path) else {
            findings.push(Finding::new(&path, 0, "a published package has a README.md"));
            continue;
        };
        for link in links::links(page) {
            let here = link.target.starts_with('#');
            if !here && !links::is_absolute(&link.target) {
                let message = format!("{} leads nowhere on a registry's page", link.target);
                findings.push(Finding::new(&path, link.line, message));
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_has_a_page_and_no_relative_link_on_it() {
        let [first, rest @ ..] = PUBLISHED.map(|folder| format!("{folder}/README.md"));
        let mut files = vec![(first.as_str(), "[a](#b), [c](https://d.org)\n[e](../f.md)")];
        files.extend(rest.iter().skip(1).map(|path| (path.as_str(), "")));
        let found = check(&Tree::of(&files)).unwrap();
        let found: Vec<_> = found.iter().map(|it| (it.path.as_str(), it.line)).collect();
        assert_eq!(found, [(first.as_str(), 2), ("crates/vestiary-cli/README.md", 0)]);
    }
}
