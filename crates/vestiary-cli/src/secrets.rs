use std::{
    env, fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::Args;

use crate::failure::Failure;

/// Options for secrets. They never come from the command line, which every user of the machine can see.
#[derive(Args, Debug)]
pub(crate) struct SecretArgs {
    /// Environment variable with a secret; repeat the option for each older one. The first secret signs
    #[arg(long, value_name = "NAME", help_heading = "Secrets", default_value = "SESSION_SECRET")]
    secret_env: Vec<String>,
    /// File with a secret, `-` for standard input; repeat the option for each older one. These come after those of
    /// the environment
    #[arg(long, value_name = "FILE", help_heading = "Secrets")]
    secret_file: Vec<PathBuf>,
}

/// A secret of the service. It is never shown.
pub(crate) struct Secret(String);

/// The default variable, which need not be set.
const VARIABLE: &str = "SESSION_SECRET";

/// The maximum size of a secret.
const LONGEST: u64 = 64 << 10;

impl SecretArgs {
    /// Reads all secrets, in their order.
    pub(crate) fn read(&self) -> Result<Vec<Secret>, Failure> {
        let mut secrets = Vec::new();
        for name in &self.secret_env {
            match env::var(name) {
                Ok(text) if !text.is_empty() => secrets.push(Secret(text)),
                _ if name == VARIABLE => {}
                _ => {
                    let message = format!(
                        "the environment variable {name} has no secret: set it, or choose another one"
                    );
                    return Err(Failure::Usage("secret_missing", message));
                }
            }
        }
        for path in &self.secret_file {
            secrets.push(Secret(read(path)?));
        }
        Ok(secrets)
    }

    /// Whether standard input is used for a secret.
    pub(crate) fn takes_input(&self) -> bool {
        self.secret_file.iter().any(|path| path == Path::new("-"))
    }
}

impl Secret {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Secret {
    fn as_ref(&self) -> &str {
        self.expose()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    if path == Path::new("-") {
        return input();
    }
    let text = fs::File::open(path).and_then(text_of).map_err(|error| {
        let message = format!("the secret in {} cannot be read: {error}", path.display());
        Failure::Usage("secret_file", message)
    })?;
    Ok(text)
}

/// Reads one line of standard input, or all of it, without the final line break.
pub(crate) fn input() -> Result<String, Failure> {
    text_of(io::stdin()).map_err(|error| {
        Failure::Usage("input", format!("standard input cannot be read as text: {error}"))
    })
}

fn text_of(from: impl io::Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(LONGEST).read_to_string(&mut text)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}
