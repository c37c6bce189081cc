use std::{error::Error, fmt, io};

use vestiary_store::{SessionError, StoreError};

/// The answer of a command that did not fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Yes,
    /// The answer is no, or there is a problem.
    No,
}

/// The exit code for invalid arguments.
pub(crate) const USAGE: u8 = 2;

/// The reason why a command failed. No message contains a secret, a full ID, session data, or the password of a URL.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The caller must correct the arguments.
    Usage(&'static str, String),
    /// The answer is no, and there is nothing else to print.
    No(&'static str, String),
    /// The store cannot be reached, or did not perform an operation.
    Store(&'static str, String),
    /// The output could not be written.
    Output(io::Error),
}

impl Verdict {
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => 1,
        }
    }

    pub(crate) fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::No(..) => 1,
            Self::Usage(..) => USAGE,
            Self::Store(..) | Self::Output(_) => 3,
        }
    }

    /// A stable name, for scripts.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Usage(code, _) | Self::No(code, _) | Self::Store(code, _) => code,
            Self::Output(_) => "output",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(_, message) | Self::No(_, message) | Self::Store(_, message) => {
                f.write_str(message)
            }
            Self::Output(error) => write!(f, "{error}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store("store_failed", with_causes(&error))
    }
}

impl From<vestiary::Error> for Failure {
    fn from(error: vestiary::Error) -> Self {
        Self::Usage(error.code(), error.to_string())
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Data(error) => Self::No(error.code(), error.to_string()),
            error => Self::Store(error.code(), with_causes(&error)),
        }
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some errors already contain the message of their cause.
        if !text.ends_with(&next) {
            text.extend([": ", &next]);
        }
        cause = error.source();
    }
    text
}
