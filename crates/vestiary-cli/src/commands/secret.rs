use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::{Value, json};
use vestiary::{KeyRing, SealRing};

use crate::{
    failure::{Failure, Verdict},
    output::Output,
    secrets::{Secret, SecretArgs, input},
    service::no_entropy,
};

/// A secret is printed once, to standard output. Nothing else prints one.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Random bytes. A secret of at least 32 can also encrypt
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(16..=1024), conflicts_with = "check")]
    bytes: u16,
    /// Instead, check how strong the secrets of the environment and of --secret-file are, or, if there are none, the
    /// one on standard input
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    secrets: SecretArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Verdict, Failure> {
    if args.check { check(args, output) } else { make(args, output) }
}

fn make(args: &Args, output: &mut Output) -> Result<Verdict, Failure> {
    let mut bytes = vec![0; usize::from(args.bytes)];
    getrandom::fill(&mut bytes).map_err(|_| no_entropy())?;
    // This alphabet can be used unquoted in an environment file, a URL and a shell.
    let secret = Base64UrlUnpadded::encode_string(&bytes);
    let bits = bytes.len() * 8;
    output.line(&secret)?;
    output.note(format_args!("{bits} bits from the random source of the system"))?;
    output.document(&json!({ "secret": secret, "bytes": bytes.len(), "bits": bits }))?;
    Ok(Verdict::Yes)
}

fn check(args: &Args, output: &mut Output) -> Result<Verdict, Failure> {
    let mut secrets = args.secrets.read()?;
    if secrets.is_empty() {
        let text = input()?;
        if text.is_empty() {
            let message = "no secret is given: set SESSION_SECRET, or pass it on standard input";
            return Err(Failure::Usage("secret_missing", message.to_owned()));
        }
        secrets.push(Secret::new(text));
    }
    let mut documents = Vec::new();
    let mut good = true;
    for (number, secret) in (1..).zip(&secrets) {
        let strength = Strength::of(secret);
        good &= strength.is_good();
        let Strength { bytes, weakness, .. } = strength;
        output.line(format_args!("secret {number}: {bytes} bytes, {}", strength.sentence()))?;
        documents.push(json!({
            "position": number,
            "bytes": bytes,
            "production": weakness.is_none_or(Weakness::is_accepted),
            "encrypt": bytes >= SealRing::SHORTEST,
            "weakness": weakness.map(Weakness::name),
            "good": strength.is_good(),
        }));
    }
    output.document(&json!({ "secrets": Value::from(documents), "good": good }))?;
    Ok(Verdict::of(good))
}

struct Strength {
    bytes: usize,
    weakness: Option<Weakness>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Weakness {
    /// Too short: rejected in production.
    Short,
    /// It repeats itself, or is made of samples and rows of keys: rejected in production.
    Refused,
    /// A placeholder from documentation that was never replaced.
    Placeholder,
    /// An attacker who has one cookie can guess it.
    Guessable,
}

/// Placeholders that are often left in place. A random secret contains none of them by chance.
const PLACEHOLDERS: [&str; 10] = [
    "changeme",
    "change-me",
    "change_me",
    "your-secret",
    "your_secret",
    "keyboard cat",
    "password",
    "example",
    "secret",
    "development",
];

/// The number of guesses, as a power of ten, that an attacker with a cookie can make offline. Random secrets withstand
/// more, even with only 16 characters.
const GUESSES: f64 = 14.0;

impl Strength {
    fn of(secret: &Secret) -> Self {
        let text = secret.expose();
        let lower = text.to_ascii_lowercase();
        let refusal = KeyRing::checked(&[text], None, true).err();
        let weakness = if text.len() < KeyRing::SHORTEST {
            Some(Weakness::Short)
        } else if refusal.is_some() {
            Some(Weakness::Refused)
        } else if PLACEHOLDERS.iter().any(|word| lower.contains(word)) {
            Some(Weakness::Placeholder)
        } else {
            let guesses = zxcvbn::zxcvbn(text, &["vestiary", "session", "cookie"]).guesses_log10();
            (guesses < GUESSES).then_some(Weakness::Guessable)
        };
        Self { bytes: text.len(), weakness }
    }

    fn is_good(&self) -> bool {
        self.weakness.is_none()
    }

    fn sentence(&self) -> &'static str {
        match self.weakness {
            Some(Weakness::Short) => "TOO SHORT: production refuses fewer than 16",
            Some(Weakness::Refused) => {
                "TOO WEAK: production refuses what repeats itself or is a known sample"
            }
            Some(Weakness::Placeholder) => "WEAK: contains a well-known placeholder",
            Some(Weakness::Guessable) => "WEAK: repetitive, or made of known words",
            None if self.bytes < SealRing::SHORTEST => {
                "good, but too short for encryption, which needs 32"
            }
            None => "good",
        }
    }
}

impl Weakness {
    /// Whether production accepts such a secret.
    fn is_accepted(self) -> bool {
        matches!(self, Self::Placeholder | Self::Guessable)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Refused => "refused",
            Self::Placeholder => "placeholder",
            Self::Guessable => "guessable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weakness(text: &str) -> Option<Weakness> {
        Strength::of(&Secret::new(text.to_owned())).weakness
    }

    #[test]
    fn a_random_secret_is_strong() {
        for seed in 0_u8..200 {
            let id = vestiary::SessionId::from_entropy(&[seed; 24]).hashed();
            let short = id.split_at(16).0;
            let long = &*id;
            assert_eq!((weakness(short), weakness(long)), (None, None), "{id}");
        }
    }

    #[test]
    fn a_guessable_secret_is_weak() {
        for (text, weak) in [
            ("", Weakness::Short),
            ("fifteen bytes..", Weakness::Short),
            ("keyboard cat keyboard cat", Weakness::Refused),
            ("My-Secret-For-Production-1", Weakness::Placeholder),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Weakness::Refused),
            ("abcabcabcabcabcabcabcabcabcabcabc", Weakness::Refused),
            ("0123456789012345678901234567890", Weakness::Refused),
            ("qwertyuiopqwertyuiop", Weakness::Refused),
            ("abcdefghijklmnopqrstuvwxyz", Weakness::Refused),
            ("monday tuesday", Weakness::Short),
            ("monkeydragon2024", Weakness::Guessable),
        ] {
            assert_eq!(weakness(text), Some(weak), "{text}");
        }
    }
}
