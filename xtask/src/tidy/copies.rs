//! Checks that copies of a file, which make each place complete by itself, are equal.

use anyhow::Context as _;

use super::{Finding, tree::Tree};

/// The stylesheet of the examples.
const STYLESHEET: [&str; 3] = [
    "examples/sveltekit/src/style.css",
    "examples/openid-connect/static/style.css",
    "examples/shared-login/static/style.css",
];

pub(super) fn check(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    differing(tree, &STYLESHEET)
}

fn differing(tree: &Tree, paths: &[&str]) -> anyhow::Result<Vec<Finding>> {
    let [first, copies @ ..] = paths else { return Ok(Vec::new()) };
    let original = &tree.file(first)?.text;
    let mut findings = Vec::new();
    for path in copies {
        let copy = &tree.file(path).with_context(|| format!("{path} is a copy of {first}"))?.text;
        if copy != original {
            let same = copy.lines().zip(original.lines()).take_while(|(one, other)| one == other);
            let message = format!("differs from {first}: copy that one here");
            findings.push(Finding::new(path, same.count() + 1, message));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_differs_is_found_with_its_line() {
        let tree = Tree::of(&[("a", "1\n2\n"), ("b", "1\n2\n"), ("c", "1\n3\n")]);
        assert_eq!(differing(&tree, &["a", "b"]).unwrap(), []);
        let found = differing(&tree, &["a", "b", "c"]).unwrap();
        assert_eq!(
            found.iter().map(|it| (it.path.as_str(), it.line)).collect::<Vec<_>>(),
            [("c", 2)]
        );
        differing(&tree, &["a", "d"]).unwrap_err();
    }
}
