//! Stores without messages are polled: a stream ends soon when another process ends its session. The time between two checks
//! is five minutes, so that a test which passes owes it to the polling.

#![allow(
    clippy::expect_used,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use crate::servers::streams::{begins, config, login, soon};
use vestiary_store::{Sessions, Store};

/// Ends sessions in one process that another one watches.
async fn ends_what_another_process_has_ended<S: Store>(here: S, there: S) {
    let [here, there] = [here, there].map(|store| Sessions::new(&config(), store).unwrap());
    let (ada, other) = (login(&here, "ada").await, login(&here, "ada").await);
    let (eve, anonymous) = (login(&here, "eve").await, here.create("{}", None).await.unwrap());
    let [mut one, mut two, mut stays, mut fourth] =
        [&ada, &other, &eve, &anonymous].map(|session| here.ended(session));
    for ended in [&mut one, &mut two, &mut stays, &mut fourth] {
        begins(ended).await;
    }
    there.destroy(&ada).await.unwrap();
    soon(&mut one).await;
    begins(&mut two).await;
    there.of("ada").revoke_all().await.unwrap();
    soon(&mut two).await;
    // A session is followed to its next ID.
    let renewed = there.renew(&anonymous).await.unwrap().unwrap();
    begins(&mut fourth).await;
    there.destroy(&renewed).await.unwrap();
    soon(&mut fourth).await;
    begins(&mut stays).await;
    there.of("eve").revoke(eve.handle().unwrap()).await.unwrap();
    soon(&mut stays).await;
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::time::Duration;

    use super::*;
    use crate::servers::folder;
    use vestiary_store::{
        SqliteStore,
        sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions},
    };

    #[tokio::test]
    async fn a_file_is_looked_at_for_changes_of_other_processes() {
        let folder = folder("polling");
        let file = folder.join("sessions.db");
        let open = async || SqliteStore::open(&file).await.unwrap().with_feed(None);
        ends_what_another_process_has_ended(open().await, open().await).await;
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn the_connections_of_an_application_are_asked_as_well() {
        let folder = folder("polling-pool");
        let file = folder.join("sessions.db");
        let open = async || {
            let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
            let options = options.busy_timeout(Duration::ZERO);
            let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
            let store = SqliteStore::with_pool(pool, "visitors").await.unwrap();
            store.with_feed(Some(Duration::from_millis(100)))
        };
        ends_what_another_process_has_ended(open().await, open().await).await;
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn the_state_of_a_file_changes_with_each_write() {
        let folder = folder("polling-state");
        let file = folder.join("sessions.db");
        let open = async || SqliteStore::open(&file).await.unwrap().with_feed(None);
        let [here, there] = [open().await, open().await];
        let mut before = here.state().await.unwrap().unwrap();
        assert_eq!(here.state().await.unwrap().unwrap(), before);
        for (number, store) in [&here, &there, &here].into_iter().enumerate() {
            let life = vestiary::Ttl::Millis(60_000);
            assert!(store.create(&number.to_string(), "{}", life, false).await.unwrap());
            let after = here.state().await.unwrap().unwrap();
            assert_ne!(after, before);
            assert_eq!(here.state().await.unwrap().unwrap(), after);
            before = after;
        }
        drop((here, there));
        std::fs::remove_dir_all(folder).unwrap();
    }
}

#[cfg(feature = "mysql")]
mod mysql {
    use super::*;
    use crate::servers::mysql::MySql;
    use vestiary_store::MySqlStore;

    #[tokio::test]
    async fn a_server_is_asked_for_changes_of_other_processes() {
        let server = MySql::start().await;
        let connect = async || {
            let store = MySqlStore::connect(&server.url()).await.unwrap();
            store.migrate().await.unwrap();
            store.with_feed(None)
        };
        ends_what_another_process_has_ended(connect().await, connect().await).await;
    }
}
