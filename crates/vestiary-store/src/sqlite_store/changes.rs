//! Tells whether a file has changed.

use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::sync::Mutex;

use crate::{StoreError, failure::of_sqlx};

/// A connection of its own, which sees the writes of all others. Without a file that it can open, nothing is known.
#[derive(Default)]
pub(super) struct Changes {
    file: Option<SqliteConnectOptions>,
    connection: Mutex<Option<SqliteConnection>>,
    /// How often it was opened: the numbers of two connections cannot be compared.
    opened: AtomicU64,
}

impl Changes {
    pub(super) fn of(file: SqliteConnectOptions) -> Self {
        Self { file: Some(file), ..Self::default() }
    }

    /// A text that changes with each write to the file.
    pub(super) async fn state(&self) -> Result<Option<String>, StoreError> {
        let Some(file) = &self.file else { return Ok(None) };
        let mut kept = self.connection.lock().await;
        // A question that is given up leaves no connection whose reply is for another one.
        let mut connection = if let Some(connection) = kept.take() {
            connection
        } else {
            self.opened.fetch_add(1, Ordering::Relaxed);
            SqliteConnection::connect_with(file).await.map_err(of_sqlx)?
        };
        let version = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut connection).await;
        let version: i64 = version.map_err(of_sqlx)?;
        *kept = Some(connection);
        Ok(Some(format!("{} {version}", self.opened.load(Ordering::Relaxed))))
    }
}
