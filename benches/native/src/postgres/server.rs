//! A Postgres of the benchmark's own.

use std::{
    env, fs, io,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use vestiary_store::sqlx::{Connection as _, PgConnection};

use super::{Failed, runtime_of_its_own};

/// A running server, with a folder of its own. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    port: u16,
    /// The parent of the server. When its input closes, as it does when this process is killed, it ends the server.
    parent: Child,
}

/// Ends the server at once when the input closes, and removes its folder.
const PARENT: &str = r#"
    folder=$1
    shift
    "$@" </dev/null >"$folder/log" 2>&1 &
    server=$!
    read -r nothing
    kill -s QUIT $server 2>/dev/null
    wait $server 2>/dev/null
    rm -rf "$folder"
"#;

/// How often it is tried to reach the server while it starts, and how long each time.
const TRIES: usize = 1_800;
const PAUSE: Duration = Duration::from_millis(50);

impl Server {
    /// Starts a server that waits for the disk at each commit, as it does by default.
    pub(super) fn start() -> Result<Self, Failed> {
        let bin = programs().ok_or(Failed::Missing)?;
        let folder = env::temp_dir().join(format!("vestiary-bench-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let user = user_for(&folder)?;
        if let Some((user, group)) = user {
            chown(&folder, Some(user), Some(group))?;
        }
        let data = folder.join("data");
        let mut made = command(bin.join("initdb"), &folder, user);
        made.arg("--pgdata").arg(&data).args(["--username=app", "--auth=trust"]);
        made.args(["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]);
        let made = made.output()?;
        if !made.status.success() {
            fs::remove_dir_all(&folder)?;
            return Err(Failed::Silent(String::from_utf8_lossy(&made.stderr).into_owned()));
        }
        let port = free_port()?;
        let mut parent = command("sh", &folder, user);
        parent.args(["-c", PARENT, "sh"]).arg(&folder).arg(bin.join("postgres"));
        parent.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1"]);
        parent.arg("-k").arg(&folder).args(["-c", "fsync=on"]);
        let parent = parent.stdin(Stdio::piped()).spawn()?;
        let server = Self { port, parent };
        server.reached().map_err(|_| {
            Failed::Silent(fs::read_to_string(folder.join("log")).unwrap_or_default())
        })?;
        Ok(server)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn url(&self) -> String {
        url(self.port)
    }

    /// Waits until it answers.
    fn reached(&self) -> Result<(), Failed> {
        runtime_of_its_own()?.block_on(async {
            let mut tries = 0;
            loop {
                match PgConnection::connect(&self.url()).await {
                    Ok(connection) => return Ok(connection.close().await?),
                    Err(why) if tries == TRIES => return Err(why.into()),
                    Err(_) => tries += 1,
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.parent.stdin.take());
        let _ = self.parent.wait();
    }
}

/// The database, at this port.
pub(super) fn url(port: u16) -> String {
    format!("postgres://app@127.0.0.1:{port}/postgres")
}

fn command(program: impl AsRef<Path>, folder: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.current_dir(folder);
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command
}

/// The folder of its programs: Debian keeps them out of `PATH`, in a folder for each version.
fn programs() -> Option<PathBuf> {
    if let Some(bin) = env::var_os("POSTGRES_BIN") {
        return Some(bin.into());
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    let path = env::var_os("PATH").unwrap_or_default();
    let all = folders.into_iter().rev().chain(env::split_paths(&path));
    all.into_iter().find(|folder| folder.join("initdb").is_file())
}

/// The user to run it as, and its group, if the folder is root's: Postgres refuses to run as root.
fn user_for(folder: &Path) -> io::Result<Option<(u32, u32)>> {
    if fs::metadata(folder)?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let fields: Vec<_> = users.lines().find(|it| it.starts_with(name))?.split(':').collect();
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    let found = ["postgres:", "nobody:"].into_iter().find_map(ids);
    found.map(Some).ok_or_else(|| io::Error::other("a user `postgres` or `nobody` is needed"))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
