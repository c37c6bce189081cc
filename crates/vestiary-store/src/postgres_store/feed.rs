//! The feed of changes: a channel on which the statements that write notify, with hashes of their keys.

use std::{fmt::Write as _, time::Duration};

use sha2::{Digest as _, Sha256};
use sqlx::{
    Executor as _,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};

use crate::{ChangeListener, StoreError, clock::within, failure::of_sqlx};

/// The time after which a silent connection is probed, and that for each reply.
const PATIENCE: Duration = Duration::from_secs(5);

/// The channel for the changes of a table.
pub(super) fn channel(table: &str) -> String {
    format!("vestiary_{table}")
}

/// The expression with which a statement about the key `$1` notifies.
pub(super) fn notify(table: &str) -> String {
    let channel = channel(table);
    format!("pg_notify('{channel}', encode(sha256(convert_to($1, 'UTF8')), 'hex'))")
}

/// The SHA-256 of a key, in hexadecimal digits, as the statements compute it.
pub(super) fn name_of(key: &str) -> String {
    let mut digits = String::with_capacity(64);
    for byte in Sha256::digest(key) {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// Listens on the channel until the connection is lost.
pub(super) async fn watch(
    server: PgConnectOptions,
    channel: &str,
    listener: &dyn ChangeListener,
) -> Result<(), StoreError> {
    let connecting = async {
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(server);
        let mut connection = PgListener::connect_with(&pool).await?;
        // What it would miss until it is connected again must be asked about.
        connection.eager_reconnect(false);
        connection.listen(channel).await?;
        sqlx::Result::Ok(connection)
    };
    let Some(connection) = within(Some(PATIENCE), connecting).await else { return Ok(()) };
    let mut connection = connection.map_err(of_sqlx)?;
    listener.connected();
    loop {
        match within(Some(PATIENCE), connection.try_recv()).await {
            Some(Ok(Some(notification))) => listener.changed(notification.payload()),
            Some(Ok(None)) => return Ok(()),
            Some(Err(error)) => return Err(of_sqlx(error)),
            // A connection that was cut off stays silent.
            None => match within(Some(PATIENCE), connection.execute("SELECT 1")).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(of_sqlx(error)),
                None => return Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_the_npm_package() {
        let name = "a837cd2f1d97e63adc432b45145d4227e56baba6e67d33cbf9176baca7ea840f";
        assert_eq!(name_of("sess:one"), name);
    }
}
