//! Splits text into the words of prose and identifiers. `sessionOf_aUser` has four words.

/// A word, in lower case.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) line: usize,
    pub(super) text: String,
    /// Whether only spaces, line breaks and the signs of comments separate it from the previous word.
    pub(super) follows: bool,
}

pub(super) fn of(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let (mut line, mut follows) = (1, false);
    let mut word = String::new();
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        // `it's` is one word.
        let inside = character == '\'' && before.is_alphabetic() && next.is_alphabetic();
        let hump = character.is_uppercase()
            && (before.is_lowercase() || before.is_uppercase() && next.is_lowercase());
        if !word.is_empty() && (hump || !character.is_alphabetic() && !inside) {
            words.push(Word { line, text: std::mem::take(&mut word), follows });
            follows = true;
        }
        if character.is_alphabetic() || inside {
            word.extend(character.to_lowercase());
        } else {
            follows &= matches!(character, ' ' | '\t' | '\n' | '_' | '/' | '!' | '*');
        }
        line += usize::from(character == '\n');
        before = character;
    }
    if !word.is_empty() {
        words.push(Word { line, text: word, follows });
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        of(text).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn identifiers_are_split() {
        assert_eq!(
            texts("sessionOf_aUser HTTPError x1y"),
            ["session", "of", "a", "user", "http", "error", "x", "y"]
        );
        assert_eq!(texts("it's 'quoted'"), ["it's", "quoted"]);
    }

    #[test]
    fn a_word_follows_another_across_a_comment_and_not_across_a_sentence() {
        let words = of("/// one\n/// two. three");
        let follows: Vec<_> = words.iter().map(|word| (word.line, word.follows)).collect();
        assert_eq!(follows, [(1, false), (2, true), (2, false)]);
    }
}
