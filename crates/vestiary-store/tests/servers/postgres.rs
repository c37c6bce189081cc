//! Postgres.

use std::{env, fs, path::PathBuf, process::Command};

use vestiary_store::sqlx::{Connection as _, PgConnection};

use super::{Server, as_another_user, folder, free_port, until};

pub struct Postgres {
    pub port: u16,
    pub server: Server,
}

impl Postgres {
    pub async fn start() -> Self {
        let (folder, port) = (folder("postgres"), free_port());
        let data = folder.join("data");
        let [data, sockets] = [&data, &folder].map(|path| path.to_str().unwrap().to_owned());
        let prefix = as_another_user("postgres");
        if let Some(user) = prefix.iter().find_map(|word| word.strip_prefix("--reuid=")) {
            let owned = Command::new("chown").arg(user).arg(&folder).status().unwrap();
            assert!(owned.success());
        }
        let [initdb, postgres] = ["initdb", "postgres"].map(program);
        let mut setup = Command::new("env");
        setup.args(&prefix).arg(initdb).args(["--pgdata", &data, "--username=app", "--auth=trust"]);
        setup.args(["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]);
        let made = setup.current_dir(&folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

        let port_text = port.to_string();
        let mut command: Vec<&str> = vec!["env"];
        command.extend(prefix.iter().map(String::as_str));
        command.extend([postgres.to_str().unwrap(), "-D", &data, "-p", &port_text]);
        command.extend(["-h", "127.0.0.1", "-k", &sockets, "-F", "-c", "max_connections=200"]);
        // An immediate shutdown ends its processes, and the folder is removed.
        let server = Server::start(&folder, "QUIT", &command);
        let started = Self { port, server };
        until("Postgres starts", async || {
            PgConnection::connect(&started.url()).await.ok()?.close().await.ok()
        })
        .await;
        started
    }

    pub fn url(&self) -> String {
        format!("postgres://app@127.0.0.1:{}/postgres", self.port)
    }
}

/// Debian keeps it out of `PATH`, with a folder for each version.
fn program(name: &str) -> PathBuf {
    let folders = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut places: Vec<PathBuf> =
        folders.map(|entry| entry.path().join("bin").join(name)).collect();
    places.sort();
    places.reverse();
    if let Some(bin) = env::var_os("POSTGRES_BIN") {
        places.insert(0, PathBuf::from(bin).join(name));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    places.extend(env::split_paths(&path).map(|folder| folder.join(name)));
    places.into_iter().find(|path| path.is_file()).unwrap_or_else(|| {
        panic!(
            "`{name}` is needed: install Debian's `postgresql`, or set POSTGRES_BIN to the folder that has it"
        )
    })
}
