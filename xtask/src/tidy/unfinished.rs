//! Nothing is left for later in the sources: an issue is the place for it.

use super::{
    Finding,
    tree::{File, Tree},
};

/// In two parts, so that they are not found here.
const NOTES: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

#[expect(clippy::unnecessary_wraps, reason = "as every other check")]
pub(super) fn check(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    Ok(tree.files.iter().flat_map(notes).collect())
}

fn notes(file: &File) -> Vec<Finding> {
    let found = |line: &str| NOTES.into_iter().find(|note| line.contains(note));
    let each = file.lines().filter_map(|(number, line)| Some((number, found(line)?)));
    each.map(|(line, note)| {
        Finding::new(&file.path, line, format!("`{note}`: do it, or file an issue"))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_found_and_a_list_of_things_to_do_is_not() {
        let text = format!("todo\n// {}: later\n", NOTES.concat());
        let found = check(&Tree::of(&[("a.rs", &text)])).unwrap();
        assert_eq!(found.iter().map(|it| it.line).collect::<Vec<_>>(), [2]);
    }
}
