//! Numbers per file that may only go down.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use anyhow::{Context as _, ensure};

use crate::root;

use super::{Finding, allowed};

/// The number of occurrences in each file.
pub(super) type Counts = BTreeMap<String, usize>;

pub(super) fn read(list: &str) -> anyhow::Result<Counts> {
    let number = |(path, count): (String, String)| {
        let count = count.parse().with_context(|| format!("the number of {path}"))?;
        Ok((path, count))
    };
    allowed::read(list)?.into_iter().map(number).collect()
}

/// The files that have more than the list allows, with the allowed numbers.
pub(super) fn above<'a>(now: &'a Counts, allowed: &Counts) -> Vec<(&'a str, usize)> {
    let limit = |path: &str| allowed.get(path).copied().unwrap_or(0);
    let each = now.iter().filter(|(path, count)| **count > limit(path));
    each.map(|(path, _)| (path.as_str(), limit(path))).collect()
}

/// The findings about files of the list that are not in the tree any more.
pub(super) fn gone(list: &str, allowed: &Counts, has: impl Fn(&str) -> bool) -> Vec<Finding> {
    allowed::unused(list, allowed.keys().filter(|path| !has(path)))
}

/// Writes the current numbers. A file may have more than before, for example after a split, as long as the sum is not
/// higher.
pub(super) fn write(list: &str, now: &Counts) -> anyhow::Result<()> {
    let before: usize = read(list)?.values().sum();
    let sum: usize = now.values().sum();
    ensure!(sum <= before, "{sum} are more than the previous {before}: they may only get fewer");
    let path = root().join(allowed::path(list));
    let mut text: String = fs::read_to_string(&path)?
        .split_inclusive('\n')
        .take_while(|it| it.starts_with('#'))
        .collect();
    for (path, count) in now.iter().filter(|(_, count)| **count > 0) {
        let _ = writeln!(text, "{path}  {count}");
    }
    Ok(fs::write(path, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_go_down_and_not_up() {
        let counts = |counts: &[(&str, usize)]| -> Counts {
            counts.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect()
        };
        let allowed = counts(&[("a", 2), ("b", 1)]);
        assert_eq!(above(&counts(&[("a", 1), ("b", 1)]), &allowed), []);
        assert_eq!(above(&counts(&[("a", 3), ("c", 1)]), &allowed), [("a", 2), ("c", 0)]);
        let gone = gone("wording", &allowed, |path| path == "a");
        assert!(gone.iter().all(|it| it.message.contains("`b`")) && gone.len() == 1, "{gone:?}");
    }
}
