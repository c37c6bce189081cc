//! Runs the program, on stores with sessions in them.

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

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use vestiary::{Format, SessionId};
use vestiary_store::{Config, Encrypt, Login, Sessions, SqliteStore, Store, Stored};

pub const SECRET: &str = "Jm4vQ0pTz8sWk1uXo6yRbN3cLd7hGf2a-new";
pub const OLD_SECRET: &str = "b8NwPq5xVt0rYe9mKj2zHs6cUg4fLd1i-old";

/// Session data that no output may contain.
pub const DATA: &str = "canary-data";

/// How one run of the program ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The document that was printed.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no document: {self:?}"))
    }

    /// That it ended so.
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

/// A folder with a store in it, and where the program runs.
pub struct Folder {
    pub folder: TempDir,
    pub url: String,
}

impl Folder {
    pub async fn new() -> (Self, SqliteStore) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("sessions.db");
        let store = SqliteStore::open(&path).await.unwrap();
        let url = format!("sqlite:{}", path.display());
        (Self { folder, url }, store)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with these arguments, on this store, with the newest secret.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, &[], "")
    }

    pub fn run_with(&self, args: &[&str], env: &[(&str, &str)], input: &str) -> Ran {
        let mut command = self.command(args);
        command.envs(env.iter().copied());
        finish(command, input)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestiary"));
        command.args(args).current_dir(self.folder.path()).env_clear();
        command.env("VESTIARY_STORE", &self.url).env("SESSION_SECRET", SECRET);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }
}

pub fn finish(mut command: Command, input: &str) -> Ran {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It need not read it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    Ran { code: output.status.code().expect("it was ended by a signal"), out, err }
}

pub fn config() -> Config {
    Config::new(SECRET).previous_secret(OLD_SECRET).max_age(Duration::from_secs(7 * 86_400))
}

pub fn encrypted() -> Config {
    config().encrypt(Encrypt::On)
}

/// The contents of a store.
pub struct Filled {
    pub sessions: Sessions,
    pub anonymous: Stored,
    /// Two of ada's.
    pub ada: [Stored; 2],
    pub bob: Stored,
}

impl Filled {
    pub fn all(&self) -> [&Stored; 4] {
        [&self.anonymous, &self.ada[0], &self.ada[1], &self.bob]
    }

    /// The cookie of a session.
    pub fn cookie(&self, stored: &Stored) -> String {
        self.sessions.sign(stored.id())
    }
}

/// Creates an anonymous session, two of ada's and one of bob's.
pub async fn fill(store: impl Store, config: &Config) -> Filled {
    let sessions = Sessions::new(config, store).unwrap();
    let data = format!(r#"{{"note":"{DATA}"}}"#);
    let login = async |user: &str, label: &str| {
        let login = Login { label: Some(label.to_owned()), ..Login::default() };
        let owner = sessions.of(user).admit(&login).await.unwrap();
        sessions.create(&data, Some(owner)).await.unwrap()
    };
    let anonymous = sessions.create(&data, None).await.unwrap();
    let ada = [login("ada", "Firefox on Linux").await, login("ada", "Safari on iOS").await];
    let bob = login("bob", "Chrome").await;
    Filled { sessions, anonymous, ada, bob }
}

/// Creates this many further anonymous sessions.
pub async fn more(filled: &Filled, count: usize) {
    for n in 0..count {
        filled.sessions.create(&format!(r#"{{"n":{n},"note":"{DATA}"}}"#), None).await.unwrap();
    }
}

/// A cookie in the format of express-session.
pub fn express(id: &SessionId) -> String {
    vestiary::KeyRing::new(&[SECRET]).unwrap().sign(id, Format::ExpressSession).replace(':', "%3A")
}
