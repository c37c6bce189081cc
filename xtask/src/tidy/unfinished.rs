//! Checks that the sources have no note of unfinished work, which belongs into an issue, and no conflict of a merge.

use super::{
    Finding,
    tree::{File, Tree},
};

/// The words of such notes, in two parts, so that the check does not find them here.
const NOTES: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// The beginnings of the lines around a conflict.
const CONFLICT: [&str; 2] = ["<<<<<<< ", ">>>>>>> "];

#[expect(clippy::unnecessary_wraps, reason = "as every other check")]
pub(super) fn check(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    Ok(tree.files.iter().flat_map(left).collect())
}

fn left(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in file.lines() {
        if let Some(note) = NOTES.into_iter().find(|note| line.contains(note)) {
            let message = format!("`{note}`: do it, or file an issue");
            findings.push(Finding::new(&file.path, number, message));
        }
        if CONFLICT.into_iter().any(|sign| line.starts_with(sign)) {
            findings.push(Finding::new(&file.path, number, "a conflict that is not resolved"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        check(&Tree::of(&[("a.rs", text)])).unwrap().iter().map(|it| it.line).collect()
    }

    #[test]
    fn a_note_is_found_and_a_list_of_things_to_do_is_not() {
        assert_eq!(lines(&format!("todo\n// {}: later\n", NOTES.concat())), [2]);
    }

    #[test]
    fn a_conflict_is_found_and_a_line_under_a_heading_is_not() {
        assert_eq!(lines("Title\n=======\n<<<<<<< HEAD\na\n=======\nb\n>>>>>>> b\n"), [3, 7]);
    }
}
