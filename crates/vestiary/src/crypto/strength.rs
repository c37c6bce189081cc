/// Texts that make up known secrets: samples of documentation and tutorials, and runs of keys.
const KNOWN: &str = "a long random secret, from the environment\nyour-256-bit-session-secret-key\n\
    complex_password_at_least_32_characters_long\nkeyboard cat\nchange-me\nchangeme\nsupersecret\n\
    01234567890\n9876543210\nabcdefghijklmnopqrstuvwxyz\nqwertyuiopasdfghjklzxcvbnm\n";

/// The minimum number of runs of three bytes that are new.
const NEW: usize = 8;

/// Whether a secret can be guessed, however long it is: all but seven of its runs of three bytes occur earlier in the
/// secret, or in [`KNOWN`], in whatever case. So it repeats itself, or is put together from samples and rows of keys.
///
/// A secret of 16 random characters has 14 runs, and six words have more than 20.
pub(super) fn is_guessable(secret: &str) -> bool {
    let mut bytes = [KNOWN, secret].concat().into_bytes();
    bytes.make_ascii_lowercase();
    let mut new = 0;
    for (at, run) in bytes.windows(3).enumerate().skip(KNOWN.len()) {
        new += usize::from(!bytes.windows(3).take(at).any(|earlier| earlier == run));
        if new == NEW {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::{format, string::ToString as _, vec::Vec};

    use super::*;

    #[test]
    fn what_repeats_itself_or_is_known_can_be_guessed() {
        for secret in [
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "changeme-changeme-changeme",
            "CHANGE-ME-CHANGE-ME-CHANGE-ME!!",
            "a long random secret, from the environment",
            "A Long Random Secret, From The Environment.",
            "your-256-bit-secret",
            "complex_password_at_least_32_characters_long",
            "keyboard cat keyboard cat",
            "supersecretsupersecret",
            "passwordpasswordpassword",
            "0123456789abcdef0123456789abcdef",
            "12345678901234567890123456789012",
            "98765432109876543210",
            "qwertyuiopasdfghjklzxcvbnm",
            "QWERTYUIOP1234567890",
            "abcdefghijklmnopqrstuvwxyz123456",
            "abcabcabcabcabcabcabcabcabcabcabc",
            "r4nd0m-r4nd0m-r4nd0m-r4nd0m-r4nd0m-",
            "ééééééééééééééééé",
            "",
        ] {
            assert!(is_guessable(secret), "{secret}");
        }
        let long = "0123456789".repeat(20_000);
        assert!(is_guessable(&long));
    }

    #[test]
    fn one_new_run_more_decides() {
        let known = "changemechangeme".to_string();
        // Each character more makes a new run.
        let more = |count: usize| known.clone() + "#/!?$%&(".get(..count).unwrap();
        let decided: Vec<_> = (0..=8).map(|count| is_guessable(&more(count))).collect();
        // Two runs, "mec" and "ech", are new before.
        assert_eq!(decided, [true, true, true, true, true, true, false, false, false]);
    }

    #[test]
    fn a_sentence_and_a_secret_of_16_characters_cannot() {
        for secret in ["J8fQ2mZr7LxPw0Ks", "3f9c1ab27de045886b01", "the fixed secret of some tests"]
        {
            assert!(!is_guessable(secret), "{secret}");
        }
        assert!(is_guessable(&format!("{KNOWN}{KNOWN}")));
    }
}
