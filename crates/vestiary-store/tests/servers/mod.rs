//! Real servers, started for a test and stopped with it, even if the test process is killed.
//!
//! A test fails if its server is not installed, and the message says what to install.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "a test may fail, and not each of them needs all of this"
)]

pub mod clock;
#[cfg(feature = "mysql")]
pub mod mysql;
pub mod node;
#[cfg(feature = "postgres")]
pub mod pgbouncer;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod proxy;
#[cfg(feature = "redis")]
pub mod redis;
pub mod rounds;
pub mod streams;
pub mod touches;
pub mod values;

use std::{
    collections::BTreeSet,
    env, fs,
    future::Future,
    io::{BufRead as _, BufReader, ErrorKind, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// A process, and a folder of its own.
pub struct Server {
    pub folder: PathBuf,
    shell: Mutex<Child>,
    /// The input of the parent process, which receives signals; closing it ends the server. The output confirms each
    /// signal.
    signals: Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>,
}

/// The parent of the server: forwards signals. When its input closes, as it does when the test process is killed, it
/// ends the server and removes its folder.
const PARENT: &str = r#"
    folder=$1 end=$2
    shift 2
    "$@" </dev/null >"$folder.log" 2>&1 &
    server=$!
    while read -r signal; do kill -s "$signal" $server; echo; done
    kill -s CONT $server 2>/dev/null
    kill -s "$end" $server 2>/dev/null
    wait $server 2>/dev/null
    rm -rf "$folder" "$folder.log"
"#;

impl Server {
    /// Runs it until it is stopped, by the signal `end`.
    pub fn start(folder: &Path, end: &str, command: &[&str]) -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", PARENT, "sh"])
            .arg(folder)
            .arg(end)
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell is needed: sh");
        let answers = shell.stdout.take().map(BufReader::new);
        let signals = Mutex::new(shell.stdin.take().zip(answers));
        Self { folder: folder.to_owned(), shell: Mutex::new(shell), signals }
    }

    /// Sends a signal; it has been sent when this is done.
    pub fn signal(&self, name: &str) {
        let mut signals = self.signals.lock().unwrap();
        let (signals, answers) = signals.as_mut().expect("it was stopped");
        writeln!(signals, "{name}").unwrap();
        answers.read_line(&mut String::new()).unwrap();
    }

    /// Ends it, and waits until it has ended.
    pub fn stop(&self) {
        drop(self.signals.lock().unwrap().take());
        self.shell.lock().unwrap().wait().unwrap();
    }

    /// The server's log, for the message of a failure.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.with_extension("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Creates an empty folder with a unique name, since tests run concurrently.
pub fn folder(kind: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("vestiary-{kind}-{}-{number}", std::process::id());
        let folder = env::temp_dir().join(name);
        match fs::create_dir(&folder) {
            Ok(()) => return folder,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => panic!("{}: {error}", folder.display()),
        }
    }
}

/// A free port, another one each time.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        // A node of a cluster also listens ten thousand ports further up.
        if port < 50_000 && GIVEN.lock().unwrap().insert(port) {
            return port;
        }
    }
}

/// Finds a program by an environment variable, in these places, or in `PATH`.
pub fn program(variable: &str, name: &str, places: &[PathBuf], advice: &str) -> PathBuf {
    if let Some(path) = env::var_os(variable) {
        return PathBuf::from(path);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let found =
        places.iter().cloned().chain(env::split_paths(&path).map(|folder| folder.join(name)));
    found
        .into_iter()
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("`{name}` is needed: {advice}, or set {variable} to its path"))
}

/// Waits until a condition holds; for a minute and a half, because the machine may be busy.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    for _ in 0..1_800 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: it took too long");
}

/// Words before a command that run a server as this user, or without any rights: some refuse to run as root.
pub fn as_another_user(name: &str) -> Vec<String> {
    let id = Command::new("id").arg("-u").output().expect("`id` is needed").stdout;
    if String::from_utf8_lossy(&id).trim() != "0" {
        return Vec::new();
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let fields: Vec<&str> = [name, "nobody"]
        .into_iter()
        .find_map(|name| users.lines().find(|line| line.starts_with(&format!("{name}:"))))
        .unwrap_or_else(|| panic!("a user `{name}` or `nobody` is needed"))
        .split(':')
        .collect();
    let [user, group] = [fields[2], fields[3]];
    let switch =
        ["setpriv", &format!("--reuid={user}"), &format!("--regid={group}")].map(str::to_owned);
    switch.into_iter().chain(["--clear-groups".to_owned()]).collect()
}

/// The folder of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}
