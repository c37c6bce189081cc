//! Checks that every relative link in a Markdown file leads to a file, and every anchor to a heading.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Finding,
    tree::{File, Tree, folder, joined},
};

#[expect(clippy::unnecessary_wraps, reason = "as every other check")]
pub(super) fn check(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    let pages = || tree.files.iter().filter(|file| file.is_markdown());
    let anchors: BTreeMap<_, _> = pages().map(|page| (page.path.as_str(), anchors(page))).collect();
    let mut findings = Vec::new();
    for page in pages() {
        for Link { line, target } in links(page) {
            if is_absolute(&target) {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if path.is_empty() {
                Some(page.path.clone())
            } else {
                joined(folder(&page.path), path)
            };
            let Some(path) = path.filter(|path| tree.has(path)) else {
                findings.push(Finding::new(&page.path, line, format!("no file is at {target}")));
                continue;
            };
            let known = anchors.get(path.as_str());
            if !anchor.is_empty() && known.is_none_or(|known| !known.contains(anchor)) {
                findings.push(Finding::new(&page.path, line, format!("no heading is at {target}")));
            }
        }
    }
    Ok(findings)
}

/// A link, or an image.
pub(super) struct Link {
    pub(super) line: usize,
    pub(super) target: String,
}

/// Whether the link leads out of the repository.
pub(super) fn is_absolute(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

/// The links of a page, including those in HTML, but not those in code.
pub(super) fn links(page: &File) -> Vec<Link> {
    let mut links = Vec::new();
    for (line, text) in prose(page) {
        // Every second part is code.
        for text in text.split('`').step_by(2) {
            for (sign, end) in [("](", ')'), ("href=\"", '"'), ("src=\"", '"')] {
                for part in text.split(sign).skip(1) {
                    let target = part.split([end, ' ']).next().unwrap_or_default().to_owned();
                    links.push(Link { line, target });
                }
            }
            // This defines a link that is used elsewhere.
            if let Some(target) = text.strip_prefix('[').and_then(|it| it.split_once("]: ")) {
                links.push(Link { line, target: target.1.trim().to_owned() });
            }
        }
    }
    links
}

/// The lines outside fences.
fn prose(page: &File) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    page.lines().filter(move |(_, line)| {
        let line = line.trim_start();
        let ticks = line.len() - line.trim_start_matches('`').len();
        match fence {
            Some(open) if line.starts_with(open) => {
                fence = None;
                false
            }
            Some(_) => false,
            None if ticks >= 3 => {
                fence = line.get(..ticks);
                false
            }
            None => true,
        }
    })
}

/// The anchors of the headings, as GitHub makes them.
fn anchors(page: &File) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(page) {
        let Some((signs, heading)) = line.split_once(' ') else { continue };
        if signs.is_empty() || !signs.chars().all(|sign| sign == '#') {
            continue;
        }
        let anchor = anchor(heading);
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        let free = std::iter::once(anchor.clone()).chain(numbered).find(|it| !anchors.contains(it));
        anchors.extend(free);
    }
    anchors
}

fn anchor(heading: &str) -> String {
    // Only the text of a link counts.
    let mut text = String::new();
    for (number, part) in heading.split("](").enumerate() {
        let part =
            if number == 0 { part } else { part.split_once(')').map_or("", |(_, rest)| rest) };
        text.push_str(part);
    }
    let kept = |sign: &char| sign.is_alphanumeric() || matches!(sign, ' ' | '-' | '_');
    let lower = text.trim().to_lowercase();
    lower.chars().filter(kept).map(|sign| if sign == ' ' { '-' } else { sign }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).unwrap().into_iter().map(|it| it.message).collect()
    }

    #[test]
    fn a_link_leads_to_a_file_and_an_anchor_to_a_heading() {
        let page = "[a](../b.md#the-end), [c](../d/), [e](#here)\n# Here\n<img src=\"../b.md\">\n[f]: ../b.md";
        let files = [("docs/a.md", page), ("b.md", "## The `end`!"), ("d/e.rs", "")];
        assert_eq!(messages(&files), [""; 0]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let page = "[a](b.md) [c](a.md#x) [d](../../up.md)\n<a href=\"gone.md\">\n[f]: away.md";
        assert_eq!(
            messages(&[("docs/a.md", page)]),
            [
                "no file is at b.md",
                "no heading is at a.md#x",
                "no file is at ../../up.md",
                "no file is at gone.md",
                "no file is at away.md"
            ]
        );
    }

    #[test]
    fn code_and_other_sites_are_left_alone() {
        let page = "`[a](b)` https [c](https://example.com)\n````md\n```\n[a](b)\n```\n````\n";
        assert_eq!(messages(&[("a.md", page)]), [""; 0]);
    }

    #[test]
    fn headings_of_one_name_are_numbered() {
        let page = File { path: "a.md".into(), text: "# A b\n## A b\n# [C](d.md) `e_f`".into() };
        assert_eq!(anchors(&page), BTreeSet::from(["a-b", "a-b-1", "c-e_f"].map(String::from)));
    }
}
