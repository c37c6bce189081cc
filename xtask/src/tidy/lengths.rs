//! Checks that files stay short enough to be read at a sitting.

use super::{
    Finding, allowed,
    allowed::Entries,
    tree::{File, Tree},
};

const LINES: usize = 500;
const LINES_OF_A_TEST: usize = 600;
const LIST: &str = "lengths";

/// The folders whose files are tests.
const TESTS: [&str; 5] = ["/tests/", "/test/", "/test-d/", "/e2e/", "/fuzz/"];

pub(super) fn check(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    let allowed = allowed::read(LIST)?;
    Ok(judge(&tree.files, &allowed))
}

fn judge(files: &[File], allowed: &Entries) -> Vec<Finding> {
    let long: Vec<_> =
        files.iter().filter(|file| file.text.lines().count() > most(&file.path)).collect();
    let refused = long.iter().filter(|file| allowed.get(&file.path).is_none_or(String::is_empty));
    let mut findings: Vec<_> = refused
        .map(|File { path, text }| {
            let (lines, most) = (text.lines().count(), most(path));
            let list = allowed::path(LIST);
            let message =
                format!("{lines} lines, more than {most}: split it, or give {list} a reason");
            Finding::new(path, lines, message)
        })
        .collect();
    let needless = allowed.keys().filter(|path| long.iter().all(|file| file.path != **path));
    findings.extend(allowed::unused(LIST, needless));
    findings
}

fn most(path: &str) -> usize {
    let test = path.contains(".test.") || TESTS.iter().any(|folder| path.contains(folder));
    if test { LINES_OF_A_TEST } else { LINES }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(files: &[(&str, usize)], allowed: &[(&str, &str)]) -> Vec<String> {
        let texts: Vec<_> =
            files.iter().map(|(path, lines)| (*path, "\n".repeat(*lines))).collect();
        let files: Vec<_> = texts.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let allowed = allowed.iter().map(|(path, why)| ((*path).into(), (*why).into())).collect();
        judge(&Tree::of(&files).files, &allowed).into_iter().map(|it| it.path).collect()
    }

    #[test]
    fn a_long_file_is_refused_and_a_test_may_be_longer() {
        let files = [("src/a.rs", 501), ("src/b.rs", 500)];
        assert_eq!(paths(&files, &[]), ["src/a.rs"]);
        let tests = [("p/tests/c.rs", 600), ("p/tests/d.rs", 601), ("p/x.test.ts", 600)];
        assert_eq!(paths(&tests, &[]), ["p/tests/d.rs"]);
    }

    #[test]
    fn an_exception_needs_a_reason_and_a_long_file() {
        let files = [("a.rs", 501)];
        assert_eq!(paths(&files, &[("a.rs", "tables")]), [""; 0]);
        assert_eq!(paths(&files, &[("a.rs", "")]), ["a.rs"]);
        assert_eq!(paths(&files, &[("a.rs", "x"), ("b.rs", "x")]), ["xtask/tidy/lengths.txt"]);
    }
}
