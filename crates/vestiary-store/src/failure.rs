use std::{error::Error, fmt, sync::Arc};

use crate::StoreError;

/// What went wrong below, in words that are known to hold no key, no record and no password. The errors of
/// the drivers do: a server repeats what it was asked, a URL that cannot be read is shown, and so on.
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn error(text: impl Into<String>) -> StoreError {
        StoreError::Failed(Arc::new(Self(text.into())))
    }

    /// The server or the library has answered that it did nothing.
    #[cfg(any(feature = "redis", feature = "sqlite", feature = "postgres"))]
    fn refused(text: impl Into<String>) -> StoreError {
        StoreError::Refused(Arc::new(Self(text.into())))
    }

    /// The same, because there is no room.
    #[cfg(any(feature = "redis", feature = "sqlite", feature = "postgres"))]
    fn out_of_space(text: impl Into<String>) -> StoreError {
        StoreError::OutOfSpace(Arc::new(Self(text.into())))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failure {}

/// Describes an error of a driver; gives back any other one.
pub(crate) fn described(
    error: Box<dyn Error + Send + Sync>,
) -> Result<StoreError, Box<dyn Error + Send + Sync>> {
    #[cfg(feature = "redis")]
    let error = match error.downcast() {
        Ok(error) => return Ok(of_redis(*error)),
        Err(error) => error,
    };
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    let error = match error.downcast() {
        Ok(error) => return Ok(of_sqlx(*error)),
        Err(error) => error,
    };
    Err(error)
}

/// In words that are known to hold no key, no record and no password, which the error itself does not promise.
#[cfg(feature = "redis")]
impl From<redis::RedisError> for StoreError {
    fn from(error: redis::RedisError) -> Self {
        of_redis(error)
    }
}

/// In words that are known to hold no key, no record and no password, which the error itself does not promise.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        of_sqlx(error)
    }
}

/// What Redis, or the way to it, said.
#[cfg(feature = "redis")]
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(crate) fn of_redis(error: redis::RedisError) -> StoreError {
    use redis::ErrorKind;
    // What comes first in an answer of the server: not all that calls itself Redis keeps to capitals.
    let code = error
        .code()
        .filter(|code| code.len() < 20 && code.bytes().all(|byte| byte.is_ascii_uppercase()));
    match (error.kind(), code) {
        (_, Some("OOM")) => Failure::out_of_space("its memory is full (OOM)"),
        (_, Some("NOPERM")) => Failure::refused(
            "its user may not do what is needed (NOPERM): GET, SET, DEL, PEXPIRE, TIME, EVAL, EVALSHA, EXISTS and WAIT \
             to confirm, SCAN and PTTL to look through",
        ),
        (_, Some(code)) => Failure::refused(format!("the server said {code}")),
        (ErrorKind::Io, _) if error.is_timeout() => Failure::error("no answer in time"),
        // Of a cluster, it may be all that its first node said.
        (ErrorKind::Io, _) if error.detail().is_none() => Failure::error(error.to_string()),
        (ErrorKind::InvalidClientConfig, _) => Failure::error("the address is not one of Redis"),
        _ => Failure::error(error.category()),
    }
}

/// What a database, or the way to it, said.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(crate) fn of_sqlx(error: sqlx::Error) -> StoreError {
    use sqlx::Error as Sqlx;
    match &error {
        // Not its details: they may be the whole row. And not what it says of a value: it repeats it.
        Sqlx::Database(said) => {
            let code = said.code().unwrap_or_default();
            let text = match &*code {
                "" => said.message().to_owned(),
                code if is_about_values(code) => format!("the database refused a value ({code})"),
                code => format!("{} ({code})", said.message()),
            };
            if is_lost(&code) {
                Failure::error(text)
            } else if is_full(&code) {
                Failure::out_of_space(text)
            } else {
                Failure::refused(text)
            }
        }
        Sqlx::Configuration(_) => Failure::error("the address of the database cannot be read"),
        Sqlx::Io(_)
        | Sqlx::Tls(_)
        | Sqlx::PoolTimedOut
        | Sqlx::PoolClosed
        | Sqlx::WorkerCrashed => Failure::error(error.to_string()),
        Sqlx::ColumnDecode { .. } | Sqlx::Decode(_) | Sqlx::ColumnNotFound(_) => {
            Failure::error("the table is not one of sessions")
        }
        _ => Failure::error("the database gave no answer that was expected"),
    }
}

/// Errors that leave open what was done. Of Postgres: a lost connection, a shutdown, and a transaction whose end is not
/// known; of `SQLite`: a file that cannot be read or written (`SQLITE_IOERR`).
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn is_lost(code: &str) -> bool {
    let of_postgres = ["08", "57P01", "57P02", "57P03", "40003"];
    let is_of_postgres = code.len() == 5 && of_postgres.iter().any(|class| code.starts_with(class));
    is_of_postgres || code.len() < 5 && code.parse().is_ok_and(|code: u32| code & 0xff == 10)
}

/// A disk or a memory that is full.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn is_full(code: &str) -> bool {
    matches!(code, "53100" | "53200" | "13")
}

/// Classes of `SQLSTATE`: data exceptions, violated constraints, and errors that a trigger of the application
/// raises.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn is_about_values(code: &str) -> bool {
    code.len() == 5 && ["22", "23", "P0"].iter().any(|class| code.starts_with(class))
}
