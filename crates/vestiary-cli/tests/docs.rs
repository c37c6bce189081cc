//! The transcripts in docs/reference/cli.md match the program's output. `UPDATE_DOCS=1` updates the page.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::{fs, path::Path, process::Command};

use crate::support::{Folder, SECRET, finish};
use vestiary::{Format, KeyRing, Options, OptionsInput, SessionId, Ttl};
use vestiary_store::{Config, MemoryStore, Sessions, SqliteStore, Store as _};

// A moment less than a week, so the page says `6d 23h` for an hour.
const WEEK: u64 = 604_700_000;

#[tokio::test]
async fn the_transcripts_are_real() {
    let (folder, store) = Folder::new().await;
    prepare(&folder, &store).await;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    let page = fs::read_to_string(&path).unwrap();
    let mut real = String::new();
    let (mut commands, mut is_console) = (Vec::new(), false);
    for line in page.lines() {
        match line {
            "```console" => is_console = true,
            "```" if is_console => is_console = false,
            _ if is_console && !line.starts_with("$ ") => continue,
            _ => {}
        }
        real.push_str(line);
        real.push('\n');
        if let Some(command) = line.strip_prefix("$ ").filter(|_| is_console) {
            commands.push(command);
            real.push_str(&run(&folder, command));
        }
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &real).unwrap();
    }
    assert!(commands.len() > 12, "{commands:?}");
    let [page, real] = [&page, &real].map(|text| stable(text));
    for (number, (page, real)) in (1..).zip(page.lines().zip(real.lines())) {
        assert_eq!(
            page, real,
            "docs/reference/cli.md, about line {number}: set UPDATE_DOCS=1 to write it anew"
        );
    }
    assert_eq!(page, real);
}

/// The output of one command of the page.
fn run(folder: &Folder, command: &str) -> String {
    let mut shell = Command::new("sh");
    let bin = Path::new(env!("CARGO_BIN_EXE_vestiary")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    shell.args(["-c", &format!("{{ {command}; }} 2>&1")]).current_dir(folder.folder.path());
    shell.env("PATH", format!("{}:{path}", bin.display()));
    shell.env("VESTIARY_STORE", "sqlite:sessions.db").env("SESSION_SECRET", SECRET);
    finish(shell, "").out
}

/// Replaces text that differs from run to run: numbers, ages, and a new secret.
fn stable(text: &str) -> String {
    let mut stable = String::new();
    for line in text.lines() {
        let base64 = |char: char| char.is_ascii_alphanumeric() || "-_".contains(char);
        if line.len() == 43 && line.chars().all(base64) {
            stable.push_str("a secret\n");
            continue;
        }
        let line = line.split(" (").next().unwrap_or(line);
        let mut before = ' ';
        for char in line.chars() {
            let char = if char.is_ascii_digit() { '0' } else { char };
            if char != before || !matches!(char, '0' | ' ') {
                stable.push(char);
            }
            before = char;
        }
        stable.push('\n');
    }
    stable
}

/// Creates an anonymous session, two of ada's, and a file with the cookie of one of them.
async fn prepare(folder: &Folder, store: &SqliteStore) {
    let sessions = Sessions::new(&Config::new(SECRET), MemoryStore::default()).unwrap();
    let now = sessions.now().0;
    let created = 1_767_225_600_000_u64;
    let ids = [10, 77, 200].map(|n| SessionId::from_entropy(&[n; 24]));
    let handles = ["Pho8ne_-Pho8ne_-", "Lap7top-Lap7top-"];
    for (n, id) in ids.iter().enumerate() {
        let user = handles
            .get(n)
            .map_or(String::new(), |handle| format!(r#","user":"ada","handle":"{handle}""#));
        let record = format!(
            r#"{{"v":"AAAAAAAAAAAAAA{n:02}","cookie":{{"path":"/"}},"data":{{"cart":["book"]}},"meta":{{"created":{}{user}}}}}"#,
            created + 3_600_000 * n as u64
        );
        store.create(id.expose(), &record, Ttl::Millis(WEEK), true).await.unwrap();
    }
    let listed = handles.map(|handle| {
        let label = if handle.starts_with('P') { "Safari on iOS" } else { "Firefox on Linux" };
        format!(
            r#""{handle}":{{"created":{created},"seen":{created},"until":{},"label":"{label}"}}"#,
            now + 2 * WEEK
        )
    });
    let list = format!(r#"{{"v":"AAAAAAAAAAAAAAAA","sessions":{{{}}}}}"#, listed.join(","));
    let key = Options::new(OptionsInput::default()).unwrap().user_key("ada");
    assert!(store.create(&key, &list, Ttl::Millis(2 * WEEK), true).await.unwrap());
    let ring = KeyRing::new(&[SECRET]).unwrap();
    let [phone, ..] = &ids;
    fs::write(
        folder.path("cookie.txt"),
        format!("connect.sid={}\n", ring.sign(phone, Format::SvelteKitSessions)),
    )
    .unwrap();
    let mut chmod = Command::new("chmod");
    let files = ["sessions.db", "sessions.db-wal", "sessions.db-shm"].map(|name| folder.path(name));
    chmod.arg("600").args(files).stderr(std::process::Stdio::null());
    chmod.status().unwrap();
}
