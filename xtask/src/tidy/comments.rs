//! Finds the comments of a source file, line by line, without a parser.

use super::tree::File;

/// A line of a comment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Comment<'a> {
    pub(super) line: usize,
    /// The text without the signs of the comment.
    pub(super) text: &'a str,
    /// Whether a documentation comment begins here.
    pub(super) opens_documentation: bool,
}

/// All comments of a file of code.
pub(super) fn of(file: &File) -> Vec<Comment<'_>> {
    let mut comments = Vec::new();
    // The sign that ends the current block, and whether the block is documentation.
    let mut open: Option<(&str, bool)> = None;
    // Whether the previous lines are documentation of the same item.
    let mut documented = false;
    for (line, whole) in file.lines() {
        let (text, documentation, block) = if let Some((sign, documentation)) = open {
            (whole.trim(), documentation, Some(sign))
        } else if let Some(Begun { text, documentation, block }) = begin(whole) {
            // Each block is a comment of its own; consecutive lines are one.
            documented &= block.is_none() && documentation;
            (text, documentation, block)
        } else {
            documented = false;
            continue;
        };
        let ended = block.and_then(|sign| text.split_once(sign));
        open = block.filter(|_| ended.is_none()).map(|sign| (sign, documentation));
        let text = ended.map_or(text, |(text, _)| text);
        let text = block.map_or(text, |_| text.trim_start_matches('*')).trim();
        if !text.is_empty() {
            comments.push(Comment {
                line,
                text,
                opens_documentation: documentation && !documented,
            });
            documented |= documentation;
        }
    }
    comments
}

struct Begun<'a> {
    text: &'a str,
    documentation: bool,
    /// The sign that ends the comment; `None` if the end of the line does.
    block: Option<&'static str>,
}

/// A comment that begins in this line.
fn begin(line: &str) -> Option<Begun<'_>> {
    let signs = [
        ("///", true, None),
        ("//!", true, None),
        ("//", false, None),
        ("/**", true, Some("*/")),
        ("/*", false, Some("*/")),
        ("<!--", false, Some("-->")),
        ("--", false, None),
    ];
    let trimmed = line.trim_start();
    for (sign, documentation, block) in signs {
        if let Some(text) = trimmed.strip_prefix(sign) {
            return Some(Begun { text, documentation, block });
        }
    }
    // The comment follows code, and is not in a string, where an address has slashes, too.
    let (code, text) = line.split_once(" // ")?;
    let quoted = ['"', '`'].iter().any(|quote| !code.matches(*quote).count().is_multiple_of(2));
    (!quoted).then_some(Begun { text, documentation: false, block: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String, bool)> {
        let file = File { path: "a.rs".into(), text: text.into() };
        let each = |it: Comment<'_>| (it.line, it.text.to_owned(), it.opens_documentation);
        of(&file).into_iter().map(each).collect()
    }

    #[test]
    fn comments_are_found_and_code_is_not() {
        let found = texts("//! A.\nfn a() {} // B.\nlet c = \"x // y\";\n// D\n");
        let expected = [(1, "A.", true), (2, "B.", false), (4, "D", false)];
        assert_eq!(found, expected.map(|(line, text, opens)| (line, text.to_owned(), opens)));
    }

    #[test]
    fn a_block_of_documentation_opens_once() {
        let found = texts("/// A\n/// B\nfn a() {}\n/**\n * C\n * D\n */\n/** E */\n/** F */\n");
        let opens: Vec<_> = found.into_iter().filter(|it| it.2).map(|it| it.1).collect();
        assert_eq!(opens, ["A", "C", "E", "F"]);
    }

    #[test]
    fn a_block_ends_at_its_sign() {
        let found = texts("/**\n * A\n */\nfn a() {}\n/* B */\nfn b() {}\n");
        assert_eq!(found.into_iter().map(|it| it.1).collect::<Vec<_>>(), ["A", "B"]);
    }

    #[test]
    fn a_plain_block_is_no_documentation() {
        assert!(texts("/* A\n   B */\nfn a() {}").iter().all(|it| it.0 < 3));
        assert!(!texts("/* A */ /*\n B\n*/\n// C").into_iter().any(|it| it.2));
    }
}
