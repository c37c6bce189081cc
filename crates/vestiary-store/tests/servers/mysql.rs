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
        let mut setup = Command::new("env");
        setup.args(&prefix).arg(beside(&server, "mariadb-install-db"));
        setup.args(["--no-defaults", &data, "--auth-root-authentication-method=normal"]);
        setup.args(["--skip-test-db", "--skip-name-resolve"]);
        let made = setup.current_dir(&folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

        let [port_text, socket] =
            [format!("--port={port}"), format!("--socket={}", folder.join("socket").display())];
        let mut command: Vec<&str> = vec!["env"];
        command.extend(prefix.iter().map(String::as_str));
        command.extend([server.to_str().unwrap(), "--no-defaults", &data, &port_text, &socket]);
        command.extend(["--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"]);
        command.extend(["--skip-name-resolve", "--max-connections=500"]);
        let started = Self { port, server: Server::start(&folder, "KILL", &command) };
        let root = format!("mysql://root@127.0.0.1:{port}/mysql");
        let mut root =
            until("MariaDB starts", async || MySqlConnection::connect(&root).await.ok()).await;
        for statement in [
            "CREATE DATABASE app",
            "CREATE USER app@'127.0.0.1'",
            "GRANT ALL ON *.* TO app@'127.0.0.1'",
        ] {
            root.execute(statement).await.unwrap();
        }
        started
    }

    pub fn url(&self) -> String {
        format!("mysql://app@127.0.0.1:{}/app", self.port)
    }
}

/// Another program of the same installation.
fn beside(server: &Path, name: &str) -> PathBuf {
    let prefix = server.ancestors().nth(2).unwrap_or(Path::new("/usr"));
    let folders = ["bin", "scripts", "sbin"];
    let places = folders.map(|folder| prefix.join(folder).join(name));
    places.into_iter().find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(name))
}
