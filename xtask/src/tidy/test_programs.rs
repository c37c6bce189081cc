//! Checks that each file of tests is part of a test program. In some crates, cargo builds only the programs that the
//! manifest names, and would ignore any other file.

use super::{
    Finding,
    tree::{File, Tree, folder},
};

/// The program, in the folder `tests/` of its crate.
const PROGRAM: &str = "tests/all.rs";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for program in tree.files.iter().filter(|file| file.path.ends_with(PROGRAM)) {
        let crate_folder = program.path.strip_suffix(PROGRAM).unwrap_or_default();
        let manifest =
            tree.files.iter().find(|file| file.path == format!("{crate_folder}Cargo.toml"));
        let named = manifest.map(programs).unwrap_or_default();
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
            if name.is_some_and(|name| !modules.contains(&name) && !named.contains(&name)) {
                let message = format!("no test here runs: name the module in {}", program.path);
                findings.push(Finding::new(&file.path, 1, message));
            }
        }
    }
    findings
}

/// The names of the test programs in a manifest.
fn programs(manifest: &File) -> Vec<&str> {
    let mut names = Vec::new();
    let mut table = "";
    for (_, line) in manifest.lines() {
        if line.starts_with('[') {
            table = line;
        } else if table == "[[test]]"
            && let Some(name) = line.strip_prefix("name = ")
        {
            names.push(name.trim_matches('"'));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_the_program_does_not_name_is_found() {
        let program = ("a/tests/all.rs", "#[cfg(x)]\nmod one;\n// mod two;\n");
        let manifest = "name = \"two\"\n[[test]]\nname = \"all\"\n\n[[test]]\nname = \"five\"\n";
        let tree = Tree::of(&[
            ("a/Cargo.toml", manifest),
            ("b/Cargo.toml", "[[test]]\nname = \"two\"\n"),
            program,
            ("a/tests/one.rs", ""),
            ("a/tests/two.rs", ""),
            ("a/tests/five.rs", ""),
            ("a/tests/one/three.rs", ""),
            ("b/tests/four.rs", ""),
        ]);
        let found = check(&tree);
        let paths: Vec<_> = found.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths, ["a/tests/two.rs"]);
    }
}
