//! `PgBouncer`, in front of Postgres.

use std::{fs, path::PathBuf, process::Command};

use vestiary_store::sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

use super::{Server, as_another_user, folder, free_port, postgres::Postgres, program, until};

pub struct PgBouncer {
    pub port: u16,
    pub server: Server,
}

impl PgBouncer {
    /// Starts a pooler with this many server connections and transaction pooling.
    pub async fn start(postgres: &Postgres, connections: usize) -> Self {
        let (folder, port) = (folder("pgbouncer"), free_port());
        let configuration = folder.join("pgbouncer.ini");
        let settings = format!(
            "[databases]\n\
             * = host=127.0.0.1 port={} user=app\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = any\n\
             pool_mode = transaction\n\
             default_pool_size = {connections}\n\
             max_client_conn = 500\n",
            postgres.port
        );
        fs::write(&configuration, settings).unwrap();
        let prefix = as_another_user("postgres");
        if let Some(user) = prefix.iter().find_map(|word| word.strip_prefix("--reuid=")) {
            let owned = Command::new("chown").args(["-R", user]).arg(&folder).status().unwrap();
            assert!(owned.success());
        }
        let place = PathBuf::from("/usr/sbin/pgbouncer");
        let advice = "install Debian's `pgbouncer`";
        let path = program("PGBOUNCER", "pgbouncer", &[place], advice);
        let mut command: Vec<&str> = vec!["env"];
        command.extend(prefix.iter().map(String::as_str));
        command.extend([path.to_str().unwrap(), configuration.to_str().unwrap()]);
        let started = Self { port, server: Server::start(&folder, "TERM", &command) };
        let options: PgConnectOptions = started.url().parse().unwrap();
        let options = options.extra_float_digits(None);
        until("PgBouncer starts", async || {
            PgConnection::connect_with(&options).await.ok()?.close().await.ok()
        })
        .await;
        started
    }

    pub fn url(&self) -> String {
        format!("postgres://app@127.0.0.1:{}/postgres", self.port)
    }
}
