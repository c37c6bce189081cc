//! Checks that the tests of a crate which has one program for them are all in it. Cargo does not look for others there.

use super::{
    Finding,
    tree::{Tree, folder},
};

/// The program, in the folder `tests/` of its crate.
const PROGRAM: &str = "tests/all.rs";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for program in tree.files.iter().filter(|file| file.path.ends_with(PROGRAM)) {
        let modules: Vec<&str> = program
            .lines()
            .filter_map(|(_, line)| line.strip_prefix("mod ")?.strip_suffix(';'))
            .collect();
        for file in tree.files.iter().filter(|file| {
            folder(&file.path) == folder(&program.path)
                && file.path != program.path
                && file.is_code()
        }) {
            let name = file.path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs"));
            if name.is_some_and(|name| !modules.contains(&name)) {
                let message = format!("no test here runs: name the module in {}", program.path);
                findings.push(Finding::new(&file.path, 1, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_the_program_does_not_name_is_found() {
        let program = ("a/tests/all.rs", "#[cfg(x)]\nmod one;\n// mod two;\n");
        let tree = Tree::of(&[
            program,
            ("a/tests/one.rs", ""),
            ("a/tests/two.rs", ""),
            ("a/tests/one/three.rs", ""),
            ("b/tests/four.rs", ""),
        ]);
        let found = check(&tree);
        let paths: Vec<_> = found.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths, ["a/tests/two.rs"]);
    }
}
