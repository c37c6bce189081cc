use std::{error::Error, fmt, sync::Arc};

use crate::StoreError;
#[cfg(feature = "mysql")]
use mysql_errors::{COMMIT, DISK_FULL, IDLE, LOCK_WAIT, READ_ONLY, TABLE_FULL, UNKNOWN};

/// A description of a client's error that is known to hold no key, record or password. The clients' own messages hold
/// them: a server repeats the command, an invalid URL is shown, and so on.
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn error(text: impl Into<String>) -> StoreError {
        StoreError::Failed(Arc::new(Self(text.into())))
    }

    /// The server or the library has answered that it did nothing.
    #[cfg(any(feature = "redis", feature = "sqlite", feature = "postgres", feature = "mysql"))]
    pub(crate) fn refused(text: impl Into<String>) -> StoreError {
        StoreError::Refused(Arc::new(Self(text.into())))
    }

    /// The server or the library has answered that it did nothing, because it is full.
    #[cfg(any(feature = "redis", feature = "sqlite", feature = "postgres", feature = "mysql"))]
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

/// Describes an error of a client; returns any other error unchanged.
pub(crate) fn described(
    error: Box<dyn Error + Send + Sync>,
) -> Result<StoreError, Box<dyn Error + Send + Sync>> {
    #[cfg(feature = "redis")]
    let error = match error.downcast() {
        Ok(error) => return Ok(of_redis(*error)),
        Err(error) => error,
    };
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    let error = match error.downcast() {
        Ok(error) => return Ok(of_sqlx(*error)),
        Err(error) => error,
    };
    Err(error)
}

/// Keeps only a description, because the error itself may hold keys, records or passwords.
#[cfg(feature = "redis")]
impl From<redis::RedisError> for StoreError {
    fn from(error: redis::RedisError) -> Self {
        of_redis(error)
    }
}

/// Keeps only a description, because the error itself may hold keys, records or passwords.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        of_sqlx(error)
    }
}

/// Describes an error of Redis or of the connection to it.
#[cfg(feature = "redis")]
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(crate) fn of_redis(error: redis::RedisError) -> StoreError {
    use redis::ErrorKind;
    // The first word of an error reply. Some servers that speak Redis's protocol do not write it in capitals.
    let code = error
        .code()
        .filter(|code| code.len() < 20 && code.bytes().all(|byte| byte.is_ascii_uppercase()));
    match (error.kind(), code) {
        (_, Some("OOM")) => Failure::out_of_space("its memory is full (OOM)"),
        (_, Some("NOPERM")) => Failure::refused(
            "its user lacks a permission (NOPERM): GET, SET, DEL, PEXPIRE, TIME, EVAL, EVALSHA, EXISTS and WAIT \
             to confirm, SCAN and PTTL to look through",
        ),
        (_, Some(code)) => Failure::refused(format!("the server said {code}")),
        (ErrorKind::Io, _) if error.is_timeout() => Failure::error("no answer in time"),
        // For a cluster, the message may be the whole reply of its first node.
        (ErrorKind::Io, _) if error.detail().is_none() => Failure::error(error.to_string()),
        (ErrorKind::InvalidClientConfig, _) => Failure::error("the address is not a Redis URL"),
        _ => Failure::error(error.category()),
    }
}

/// Describes an error of a database or of the connection to it.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(crate) fn of_sqlx(error: sqlx::Error) -> StoreError {
    use sqlx::Error as Sqlx;
    match &error {
        // Without its details, which may hold the whole row, and without a message about a value, which repeats it.
        Sqlx::Database(said) => {
            #[cfg(feature = "mysql")]
            if let Some(said) = said.try_downcast_ref() {
                return of_mysql(said);
            }
            let code = said.code().unwrap_or_default();
            let text = match &*code {
                "" => said.message().to_owned(),
                code if is_about_values(code) => format!("the database refused a value ({code})"),
                code => format!("{} ({code})", advice(code, said.message())),
            };
            if is_lost(&code) {
                Failure::error(text)
            } else if is_full(&code) {
                Failure::out_of_space(text)
            } else {
                Failure::refused(text)
            }
        }
        Sqlx::Configuration(_) => Failure::error("the database URL is invalid"),
        Sqlx::Io(_)
        | Sqlx::Tls(_)
        | Sqlx::PoolTimedOut
        | Sqlx::PoolClosed
        | Sqlx::WorkerCrashed => Failure::error(error.to_string()),
        Sqlx::ColumnDecode { .. } | Sqlx::Decode(_) | Sqlx::ColumnNotFound(_) => {
            Failure::error("the table is not a session table")
        }
        _ => Failure::error("the database sent an unexpected reply"),
    }
}

/// The advice for a fault of a deployment that `SQLite` names shortly; any other message unchanged.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn advice<'a>(code: &str, message: &'a str) -> &'a str {
    // An `SQLSTATE` has five characters.
    let Some(number) = code.parse::<u32>().ok().filter(|_| code.len() < 5) else {
        return message;
    };
    let is_foreign = [
        "no such column",
        "has no column named",
        "views may not be indexed",
        "ON CONFLICT clause does not match",
        "NOT NULL constraint failed",
    ];
    if is_foreign.iter().any(|part| message.contains(part)) {
        return "the table is not a table of sessions: it has other columns, perhaps those of another program. Name \
             another one in `SqliteStore::with_pool`; it is created";
    }
    match number & 0xff {
        8 => {
            "the database cannot be written: this process must be able to write the file, and to make files beside \
             it. Check the owner and the mode of both the file and its folder"
        }
        14 => {
            "the file cannot be opened: its folder must exist, and this process must be able to read and write the \
             file, and to make files beside it"
        }
        26 => {
            "the file is not an `SQLite` database, or it is encrypted: name another file. One that is missing is \
             created"
        }
        _ => message,
    }
}

/// Describes an error of MySQL. Only messages about the server, the connection, the user and the table are shown:
/// others repeat values.
#[cfg(feature = "mysql")]
fn of_mysql(said: &sqlx::mysql::MySqlDatabaseError) -> StoreError {
    let number = said.number();
    let text = match said.code() {
        // A connection, a user, a transaction that was rolled back, and a statement or a table.
        Some("08S01" | "28000" | "40001" | "42000" | "42S02") => {
            format!("{} ({number})", said.message())
        }
        _ => match number {
            LOCK_WAIT => "another transaction held a lock for too long (1205)".to_owned(),
            READ_ONLY => "the server is read-only (1290)".to_owned(),
            _ => format!("the server refused a statement or a value ({number})"),
        },
    };
    match (said.code(), number) {
        (Some("08S01" | "70100"), _) | (_, UNKNOWN | COMMIT | IDLE) => Failure::error(text),
        (_, DISK_FULL | TABLE_FULL) => Failure::out_of_space(text),
        _ => Failure::refused(text),
    }
}

/// The numbers of some errors of MySQL.
#[cfg(feature = "mysql")]
mod mysql_errors {
    pub(super) const DISK_FULL: u16 = 1021;
    /// An error without a name.
    pub(super) const UNKNOWN: u16 = 1105;
    pub(super) const TABLE_FULL: u16 = 1114;
    /// A commit that failed.
    pub(super) const COMMIT: u16 = 1180;
    pub(super) const LOCK_WAIT: u16 = 1205;
    pub(super) const READ_ONLY: u16 = 1290;
    /// A connection that the server has closed because it was idle.
    pub(super) const IDLE: u16 = 4031;
}

/// Errors that leave the outcome in doubt. Postgres: a lost connection, a shutdown, a transaction whose end is
/// unknown. `SQLite`: a file that cannot be read or written (`SQLITE_IOERR`).
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn is_lost(code: &str) -> bool {
    let of_postgres = ["08", "57P01", "57P02", "57P03", "40003"];
    let is_of_postgres = code.len() == 5 && of_postgres.iter().any(|class| code.starts_with(class));
    is_of_postgres || code.len() < 5 && code.parse().is_ok_and(|code: u32| code & 0xff == 10)
}

/// Errors of a full disk or memory.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn is_full(code: &str) -> bool {
    matches!(code, "53100" | "53200" | "13")
}

/// `SQLSTATE` classes of data exceptions, violated constraints, and errors that a trigger of the application raises.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn is_about_values(code: &str) -> bool {
    code.len() == 5 && ["22", "23", "P0"].iter().any(|class| code.starts_with(class))
}

#[cfg(all(test, feature = "redis"))]
mod tests_of_redis {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]

    use std::io;

    use redis::{ErrorKind, RedisError};

    use super::*;

    fn of_server(reply: &str) -> StoreError {
        let reply = redis::parse_redis_value(format!("-{reply}\r\n").as_bytes()).unwrap();
        reply.extract_error().unwrap_err().into()
    }

    #[test]
    fn an_error_of_the_server_is_named_by_its_code_and_shows_nothing_else() {
        for (reply, said) in [
            ("OOM command not allowed: canary", Some("its memory is full (OOM)")),
            ("NOPERM canary", Some("its user lacks a permission (NOPERM)")),
            ("READONLY canary", Some("the server said READONLY")),
            // Text that does not look like a code is not repeated.
            ("Canary canary", None),
            ("CANARYCANARYCANARYCANARY x", None),
            ("CANARYCANARYCANARYCA x", None),
        ] {
            let error = of_server(reply);
            let text = format!("{error} {error:?}");
            assert!(!text.to_lowercase().contains("canary"), "{reply}: {text}");
            assert!(said.is_none_or(|said| text.contains(said)), "{reply}: {text}");
            assert_eq!(error.is_refusal(), said.is_some(), "{reply}: {text}");
            let is_full = matches!(error, StoreError::OutOfSpace(_));
            assert_eq!(is_full, reply.starts_with("OOM"), "{reply}");
        }
    }

    #[test]
    fn an_error_of_the_way_to_the_server_says_what_failed_without_details() {
        let of = |error: RedisError| {
            let error = of_redis(error);
            assert!(!error.is_refusal(), "{error}");
            error.to_string()
        };
        let late = of(io::Error::new(io::ErrorKind::TimedOut, "canary").into());
        assert_eq!(late, "the session store failed: no answer in time");
        let reset = of(io::Error::new(io::ErrorKind::ConnectionReset, "reset by peer").into());
        assert!(reset.contains("reset by peer"), "{reset}");
        let detailed = of((ErrorKind::Io, "failed", "canary".to_owned()).into());
        assert_eq!(detailed, "the session store failed: I/O error");
        let address = of((ErrorKind::InvalidClientConfig, "no", "canary".to_owned()).into());
        assert_eq!(address, "the session store failed: the address is not a Redis URL");
    }
}

#[cfg(all(test, any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
mod tests_of_databases {
    use std::{borrow::Cow, io};

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    /// A database error with this code.
    #[derive(Debug)]
    struct Said(&'static str);

    impl fmt::Display for Said {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("canary")
        }
    }

    impl Error for Said {}

    impl DatabaseError for Said {
        fn message(&self) -> &'static str {
            "a message"
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            (!self.0.is_empty()).then_some(Cow::Borrowed(self.0))
        }

        fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    #[test]
    fn an_error_of_a_database_is_lost_full_or_refused_by_its_code() {
        enum Is {
            Lost,
            Full,
            Refused,
        }
        for (code, is, said) in [
            // Postgres: connection, shutdown, transaction whose end is unknown.
            ("08006", Is::Lost, "a message (08006)"),
            ("57P01", Is::Lost, "a message (57P01)"),
            ("57P02", Is::Lost, "a message (57P02)"),
            ("57P03", Is::Lost, "a message (57P03)"),
            ("40003", Is::Lost, "a message (40003)"),
            ("57014", Is::Refused, "a message (57014)"),
            ("42501", Is::Refused, "a message (42501)"),
            // As a number it would end like SQLITE_IOERR.
            ("42506", Is::Refused, "a message (42506)"),
            ("53100", Is::Full, "a message (53100)"),
            ("53200", Is::Full, "a message (53200)"),
            // Messages about a value repeat it, so they are dropped.
            ("22001", Is::Refused, "the database refused a value (22001)"),
            ("23505", Is::Refused, "the database refused a value (23505)"),
            ("P0001", Is::Refused, "the database refused a value (P0001)"),
            // SQLite: SQLITE_IOERR and its kinds, SQLITE_FULL, SQLITE_READONLY, SQLITE_BUSY, SQLITE_CONSTRAINT.
            ("10", Is::Lost, "a message (10)"),
            ("266", Is::Lost, "a message (266)"),
            ("6666", Is::Lost, "a message (6666)"),
            ("13", Is::Full, "a message (13)"),
            ("5", Is::Refused, "a message (5)"),
            ("2067", Is::Refused, "a message (2067)"),
            ("2200", Is::Refused, "a message (2200)"),
            ("", Is::Refused, "a message"),
        ] {
            let error = StoreError::from(sqlx::Error::Database(Box::new(Said(code))));
            let found = match is {
                Is::Lost => matches!(error, StoreError::Failed(_)),
                Is::Full => matches!(error, StoreError::OutOfSpace(_)),
                Is::Refused => matches!(error, StoreError::Refused(_)),
            };
            assert!(found, "{code}: {error:?}");
            assert_eq!(error.to_string(), format!("the session store failed: {said}"));
            assert!(format!("{error:?}").contains(said));
        }
    }

    #[test]
    fn an_error_of_the_way_to_a_database_says_what_failed_and_shows_no_value() {
        let canary = || Box::<dyn Error + Send + Sync>::from("canary");
        for (error, said) in [
            (sqlx::Error::Configuration(canary()), "the database URL is invalid"),
            (sqlx::Error::Decode(canary()), "the table is not a session table"),
            (sqlx::Error::ColumnNotFound("canary".to_owned()), "the table is not a session table"),
            (sqlx::Error::Encode(canary()), "the database sent an unexpected reply"),
            (sqlx::Error::Io(io::Error::other("the pipe broke")), "the pipe broke"),
            (sqlx::Error::PoolClosed, "closed"),
        ] {
            let error = StoreError::from(error);
            let text = error.to_string();
            assert!(text.contains(said) && !text.contains("canary"), "{text}");
            assert!(!error.is_refusal(), "{text}");
        }
    }
}
