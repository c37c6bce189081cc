//! `vestiary migrate`: copies all records once, with their remaining TTLs.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

use std::{fs, process::Stdio};

use crate::support::{Filled, Folder, config, fill, finish, more};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use vestiary::{Ttl, WriteId};
use vestiary_store::{
    Found, Scan as _, Sessions, SqliteStore, Store as _,
    sqlx::{self, SqlitePool},
};

/// A store with this many additional sessions, and the address of a store that does not exist yet.
async fn stores(count: usize) -> (Folder, SqliteStore, Filled, String) {
    let (folder, store) = Folder::new().await;
    let filled = fill(store.clone(), &config()).await;
    more(&filled, count).await;
    let to = format!("sqlite:{}", folder.path("to.db").display());
    (folder, store, filled, to)
}

fn migrate(folder: &Folder, to: &str, more: &[&str]) -> (i32, Value) {
    let ran = folder.run(&[&["migrate", "--json", &folder.url, to], more].concat());
    (ran.code, ran.json())
}

async fn opened(folder: &Folder) -> SqliteStore {
    SqliteStore::open(folder.path("to.db")).await.unwrap()
}

fn counts(said: &Value) -> [u64; 6] {
    ["copied", "same", "kept", "verified", "missing", "different"]
        .map(|name| said[name].as_u64().unwrap())
}

#[tokio::test]
async fn the_sessions_go_on_in_the_other_store() {
    let (folder, store, filled, to) = stores(1_100).await;
    assert_eq!(counts(&migrate(&folder, &to, &["--dry-run"]).1)[0], 1_106);
    assert!(!folder.path("to.db").exists());
    let (code, said) = migrate(&folder, &to, &[]);
    assert_eq!((code, counts(&said)), (0, [1_106, 0, 0, 1_106, 0, 0]));

    let target = opened(&folder).await;
    let sessions = Sessions::new(&config(), target.clone()).unwrap();
    for stored in filled.all() {
        let cookie = format!("connect.sid={}", filled.cookie(stored));
        let found = sessions.find(&sessions.cookies([cookie.as_bytes()])).await.unwrap();
        assert!(matches!(found, Found::Session(_)));
    }
    let key = filled.bob.id().expose();
    let [here, there] =
        [store.entry(key).await, target.entry(key).await].map(|it| it.unwrap().unwrap());
    let lives = [here.ttl, there.ttl].map(|ttl| match ttl {
        Ttl::Millis(left) => left,
        Ttl::Infinite => 0,
    });
    assert!(lives[1] <= lives[0] + 60_000 && lives[1] + 60_000 >= lives[0], "{lives:?}");

    let (code, said) = migrate(&folder, &to, &[]);
    assert_eq!((code, counts(&said)), (0, [0, 1_106, 0, 1_106, 0, 0]));
    let left = fs::read_dir(folder.folder.path()).unwrap().flatten();
    assert!(!left.map(|it| it.file_name()).any(|it| it.to_string_lossy().contains("json")));
}

#[tokio::test]
async fn two_runs_at_once_do_not_disturb_each_other() {
    let (folder, _, _, to) = stores(2_000).await;
    let args = ["migrate", "--json", &folder.url, &to];
    let runs = [folder.command(&args), folder.command(&args)];
    let runs = runs.map(|run| std::thread::spawn(|| finish(run, "")));
    for run in runs {
        let ran = run.join().unwrap().ends(0);
        assert_eq!(counts(&ran.json())[3..], [2_006, 0, 0], "{ran:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_it_makes_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let (folder, _, _, to) = stores(0).await;
    migrate(&folder, &to, &[]);
    let mode = fs::metadata(folder.path("to.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn prefixes_and_tables_may_change() {
    let (folder, ..) = stores(0).await;
    let to = folder.url.clone();
    let (code, _) = migrate(&folder, &to, &["--to-prefix", "shop:", "--to-table", "shop"]);
    assert_eq!(code, 0);
    let listed =
        folder.run(&["ls", "--json", "--prefix", "shop:", "--table", "shop"]).ends(0).json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 4);
    folder.run(&["migrate", &folder.url, &folder.url]).ends(2);
}

#[tokio::test]
async fn a_newer_record_at_the_target_is_kept_without_replace() {
    let (folder, store, filled, to) = stores(0).await;
    migrate(&folder, &to, &[]);
    let target = opened(&folder).await;
    let key = filled.bob.id().expose();
    let old = store.read(key).await.unwrap().unwrap();
    let write_id = WriteId::parse(vestiary_store::write_id_of(&old).unwrap()).unwrap();
    let newer = r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{}}"#;
    target.replace(key, Some(&write_id), newer, Ttl::Infinite).await.unwrap();

    let (code, said) = migrate(&folder, &to, &[]);
    assert_eq!((code, counts(&said)), (1, [0, 5, 1, 6, 0, 1]));
    assert_eq!(said["keys"][0], format!("{}…", key.split_at(6).0));
    assert_eq!(target.read(key).await.unwrap().unwrap(), newer);

    let (code, said) = migrate(&folder, &to, &["--replace"]);
    assert_eq!((code, counts(&said), &said["replaced"]), (0, [0, 5, 0, 6, 0, 0], &1.into()));
    assert_eq!(target.read(key).await.unwrap().unwrap(), old);
}

/// The state says that everything before its cursor was copied; the verification finds a missing record.
#[tokio::test]
async fn records_missing_at_the_end_are_reported() {
    let (folder, _, filled, to) = stores(30).await;
    migrate(&folder, &to, &[]);
    let target = opened(&folder).await;
    let record = target.read(filled.bob.id().expose()).await.unwrap().unwrap();
    let write_id = WriteId::parse(vestiary_store::write_id_of(&record).unwrap());
    target.remove(filled.bob.id().expose(), write_id.as_ref()).await.unwrap();
    let state = interrupted(&folder, &to, "~");
    let (code, said) = migrate(&folder, &to, &["--state", &state]);
    assert_eq!((code, counts(&said)), (1, [0, 0, 0, 36, 1, 0]));
    // A new run starts from the beginning and copies it.
    let (code, said) = migrate(&folder, &to, &["--state", &state]);
    assert_eq!((code, counts(&said)), (0, [1, 35, 0, 36, 0, 0]));
}

#[tokio::test]
async fn a_migration_that_was_killed_goes_on() {
    let (folder, store, _, to) = stores(5_000).await;
    let path = folder.path("state.json");
    let args = ["migrate", "--json", "--state", "state.json", &folder.url, &to];
    let mut command = folder.command(&args);
    // Stopped in the middle, however fast it is.
    let target = opened(&folder).await;
    let pool = SqlitePool::connect(&to).await.unwrap();
    let endless = "CREATE TRIGGER endless BEFORE INSERT ON sessions \
         WHEN (SELECT count(*) FROM sessions) > 2000 \
         BEGIN SELECT (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n); END";
    sqlx::query(endless).execute(&pool).await.unwrap();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !path.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it had a state");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    sqlx::query("DROP TRIGGER endless").execute(&pool).await.unwrap();
    let state: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert!(state["cursor"].is_string(), "{state}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let ran = finish(folder.command(&args), "").ends(0);
    assert!(ran.err.contains("continuing from state.json"), "{ran:?}");
    let said = ran.json();
    assert_eq!((&said["verified"], &said["missing"]), (&5_006.into(), &0.into()));
    // Records that are counted twice were read twice, by the run that was killed.
    assert!(said["copied"].as_u64().unwrap() + said["same"].as_u64().unwrap() >= 5_006);
    let mut from = None;
    loop {
        let page = store.scan(from.as_ref(), 1_000).await.unwrap();
        for entry in page.entries {
            assert_eq!(target.read(&entry.key).await.unwrap().unwrap(), entry.record);
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert!(!path.exists());
}

#[tokio::test]
async fn a_state_of_something_else_is_not_taken() {
    let (folder, _, _, to) = stores(0).await;
    fs::write(folder.path("state"), "{}").unwrap();
    let (code, said) = migrate(&folder, &to, &["--state", "state"]);
    assert_eq!((code, &said["error"]["code"]), (2, &"state_file".into()));
    let state = interrupted(&folder, &to, "~");
    let (code, said) = migrate(&folder, &to, &["--state", &state, "--to-prefix", "shop:"]);
    assert_eq!((code, &said["error"]["code"]), (2, &"state_file".into()));
    let (code, said) = migrate(&folder, &to, &["--state", &state, "--restart"]);
    assert_eq!((code, &said["copied"]), (0, &6.into()));
}

/// The state of a migration that stopped here.
fn interrupted(folder: &Folder, to: &str, cursor: &str) -> String {
    let stores = [&folder.url, "\0sess:\0sessions\0", to, "\0sess:\0sessions\0"].concat();
    let stores = Base64UrlUnpadded::encode_string(&Sha256::digest(stores));
    let counts = json!({ "copied": 0, "same": 0, "kept": 0, "replaced": 0, "endless": 0 });
    let state = json!({ "stores": stores, "cursor": cursor, "counts": counts });
    fs::write(folder.path("interrupted.json"), state.to_string()).unwrap();
    "interrupted.json".to_owned()
}
