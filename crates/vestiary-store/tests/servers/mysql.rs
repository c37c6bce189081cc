//! MariaDB.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use vestiary_store::sqlx::{Connection as _, Executor as _, MySqlConnection};

use super::{Server, as_another_user, folder, free_port, program, until};

pub struct MySql {
    pub port: u16,
    pub server: Server,
}

impl MySql {
    /// Its database and user are called `app`.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As `start`, with more settings.
    async fn start_with(settings: &[String]) -> Self {
        let (folder, port) = (folder("mysql"), free_port());
        let places = [PathBuf::from("/usr/sbin/mariadbd")];
        let server =
            program("MARIADB_SERVER", "mariadbd", &places, "install Debian's `mariadb-server`");
        let prefix = as_another_user("mysql");
        if let Some(user) = prefix.iter().find_map(|word| word.strip_prefix("--reuid=")) {
            let owned = Command::new("chown").arg(user).arg(&folder).status().unwrap();
            assert!(owned.success());
        }
        let data = format!("--datadir={}", folder.join("data").display());
        // A server removes temporary tables that it finds where it starts, also those of others.
        let temporary = format!("--tmpdir={}", folder.display());
        let mut setup = Command::new("env");
        setup.args(&prefix).arg(beside(&server, "mariadb-install-db"));
        setup.args([
            "--no-defaults",
            &data,
            &temporary,
            "--auth-root-authentication-method=normal",
        ]);
        setup.args(["--skip-test-db", "--skip-name-resolve"]);
        let made = setup.current_dir(&folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

        let [port_text, socket] =
            [format!("--port={port}"), format!("--socket={}", folder.join("socket").display())];
        let mut command: Vec<&str> = vec!["env"];
        command.extend(prefix.iter().map(String::as_str));
        command.extend([server.to_str().unwrap(), "--no-defaults", &data, &temporary]);
        command.extend([
            &port_text,
            &socket,
            "--bind-address=127.0.0.1",
            "--innodb-flush-log-at-trx-commit=0",
        ]);
        command.extend(["--skip-name-resolve", "--max-connections=500"]);
        command.extend(settings.iter().map(String::as_str));
        let started = Self { port, server: Server::start(&folder, "KILL", &command) };
        let root = format!("mysql://root@127.0.0.1:{port}/mysql");
        until("MariaDB starts", async || {
            let mut root = MySqlConnection::connect(&root).await.ok()?;
            for statement in [
                "CREATE DATABASE IF NOT EXISTS app",
                "CREATE USER IF NOT EXISTS app@'127.0.0.1'",
                "GRANT ALL ON *.* TO app@'127.0.0.1'",
            ] {
                // A server that joins a cluster takes connections before it takes statements.
                root.execute(statement).await.ok()?;
            }
            Some(())
        })
        .await;
        started
    }

    pub fn url(&self) -> String {
        format!("mysql://app@127.0.0.1:{}/app", self.port)
    }
}

/// A cluster of two servers, which both take writes (Galera). Debian installs its library with MariaDB.
pub async fn cluster() -> [MySql; 2] {
    let [first, second] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let one = MySql::start_with(&membership(&first, "")).await;
    [one, MySql::start_with(&membership(&second, &first)).await]
}

/// The settings of a server with this address that joins the cluster at another one; without one, it begins a cluster.
fn membership(address: &str, joins: &str) -> Vec<String> {
    let [transfer, changes] = [free_port(), free_port()];
    let library = std::env::var("GALERA_LIBRARY");
    let library = library.unwrap_or_else(|_| "/usr/lib/galera/libgalera_smm.so".to_owned());
    vec![
        "--wsrep-on=ON".to_owned(),
        format!("--wsrep-provider={library}"),
        format!("--wsrep-cluster-address=gcomm://{joins}"),
        "--wsrep-cluster-name=vestiary".to_owned(),
        "--wsrep-node-address=127.0.0.1".to_owned(),
        "--wsrep-sst-method=rsync".to_owned(),
        format!("--wsrep-sst-receive-address=127.0.0.1:{transfer}"),
        // A server that a busy machine has stopped for a few seconds does not count as lost.
        format!(
            "--wsrep-provider-options=gmcast.listen_addr=tcp://{address};ist.recv_addr=127.0.0.1:{changes};gcache.size=16M;evs.suspect_timeout=PT30S;evs.inactive_timeout=PT60S"
        ),
        "--binlog-format=ROW".to_owned(),
        "--innodb-autoinc-lock-mode=2".to_owned(),
    ]
}

/// Another program of the same installation.
fn beside(server: &Path, name: &str) -> PathBuf {
    let prefix = server.ancestors().nth(2).unwrap_or(Path::new("/usr"));
    let folders = ["bin", "scripts", "sbin"];
    let places = folders.map(|folder| prefix.join(folder).join(name));
    places.into_iter().find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(name))
}
