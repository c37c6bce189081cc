//! Behaviour of every command: exit codes, errors, pipes, and output without secrets.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

use std::process::{Command, Stdio};

use crate::support::{
    DATA, Folder, OLD_SECRET, Ran, SECRET, config, encrypted, fill, finish, more,
};
use vestiary::Ttl;
use vestiary_store::{Scan as _, Store as _};

#[tokio::test]
async fn exit_codes_are_those_of_the_help() {
    let (folder, store) = Folder::new().await;
    let filled = fill(store, &config()).await;
    let help = folder.run(&["--help"]).ends(0).out;
    for line in ["0  yes, or done", "1  no, or", "2  invalid arguments", "3  the store cannot"] {
        assert!(help.contains(line), "{help}");
    }
    folder.run(&["--version"]).ends(0);
    folder.run(&["ls"]).ends(0);
    folder.run(&["show", "unknown-session-id"]).ends(1);
    for args in [&[][..], &["no-such-command"], &["ls", "--limit", "x"], &["completions", "cmd"]] {
        folder.run(args).ends(2);
    }
    for url in ["", "oracle://h/d", "sqlite:"] {
        folder.run(&["ls", "--store", url]).ends(2);
    }
    let nowhere =
        folder.run_with(&["ls"], &[("VESTIARY_STORE", "redis://127.0.0.1:1")], "").ends(3);
    assert!(
        nowhere.err.contains("redis://127.0.0.1:1: ") && nowhere.err.contains("[store_failed]")
    );
    let mut without = folder.command(&["ls"]);
    without.env_remove("VESTIARY_STORE");
    assert!(finish(without, "").ends(2).err.contains("[store_missing]"));
    drop(filled);
}

#[tokio::test]
async fn an_error_is_one_line_and_a_document() {
    let (folder, _) = Folder::new().await;
    let ran = folder.run(&["show", "--json", "unknown-session-id"]).ends(1);
    assert_eq!(ran.err.lines().count(), 1);
    assert!(ran.err.starts_with("error: ") && ran.err.ends_with("[not_found]\n"));
    assert_eq!(ran.json()["error"]["code"], "not_found");
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_one_line_too_and_nothing_secret_is_repeated() {
    let (folder, _) = Folder::new().await;
    let secret = "hunter2-hunter2-hunter2";
    let url = format!("redis://user:{secret}@127.0.0.1:1");
    for args in [
        &["ls", "--bogus"][..],
        &["ls", "--limit", secret],
        &["ls", "--limit", "-1"],
        &["ls", secret],
        &["ls", &url],
        &["migrate", "sqlite:a", "sqlite:b", &url],
        &["show", "AAAAAA", secret],
        &["secret", "--check", secret],
        &["revoke"],
        &["revoke", "--all", "--user", "ada"],
        &["completions", secret],
        &[secret],
    ] {
        let ran = folder.run(&[args, &["--json"]].concat()).ends(2);
        assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
        assert!(ran.err.starts_with("error: ") && ran.err.ends_with("[arguments]\n"), "{ran:?}");
        assert_eq!(ran.json()["error"]["code"], "arguments");
        assert!(!format!("{ran:?}").contains(secret), "{ran:?}");
    }
    let similar = folder.run(&["ls", "--limt", "3"]).ends(2).err;
    assert!(
        similar.contains("'--limt'") && similar.contains("did you mean `--limit`?"),
        "{similar}"
    );
    let command = folder.run(&["lss"]).ends(2).err;
    assert!(command.contains("'lss'") && command.contains("did you mean `ls`?"), "{command}");
}

#[tokio::test]
async fn a_mistyped_path_or_table_makes_no_store() {
    let (folder, _) = Folder::new().await;
    for args in [&["ls"][..], &["stats"], &["doctor"], &["revoke", "--all", "--yes"]] {
        let elsewhere = [("VESTIARY_STORE", "sqlite:elsewhere.db")];
        let ran = folder.run_with(args, &elsewhere, "").ends(3);
        assert!(ran.err.contains("the file does not exist"), "{ran:?}");
        let ran = folder.run(&[args, &["--table", "others"]].concat()).ends(3);
        assert!(ran.err.contains("[no_table]"), "{ran:?}");
    }
    assert!(!folder.path("elsewhere.db").exists());
    folder.run(&["ls", "--table", "a; DROP TABLE sessions"]).ends(3);
    folder.run(&["ls"]).ends(0);
}

#[tokio::test]
async fn a_closed_pipe_is_no_error() {
    let (folder, store) = Folder::new().await;
    let filled = fill(store, &config()).await;
    more(&filled, 3_000).await;
    for args in ["ls --limit 0", "ls --limit 0 --json", "completions bash", "--help"] {
        let mut shell = Command::new("sh");
        let script = format!("\"$VESTIARY\" {args} | head -n 1 >/dev/null");
        shell.args(["-c", &script]).env("VESTIARY", env!("CARGO_BIN_EXE_vestiary"));
        shell.env("VESTIARY_STORE", &folder.url);
        let ran: Ran = finish(shell, "").ends(0);
        assert!(!ran.err.contains("error") && !ran.err.contains("panic"), "{args}: {ran:?}");
    }
}

#[tokio::test]
async fn every_shell_gets_completions() {
    let (folder, _) = Folder::new().await;
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = folder.run(&["completions", shell]).ends(0).out;
        assert!(script.contains("revoke") && script.contains("migrate"), "{shell}");
    }
}

/// Runs every command, on records of all kinds, with both forms of output.
#[tokio::test]
async fn no_command_shows_an_id_a_secret_a_password_or_data_unless_asked() {
    for config in [config(), config().hash_ids(true), encrypted(), encrypted().hash_ids(true)] {
        let (folder, store) = Folder::new().await;
        let filled = fill(store.clone(), &config).await;
        std::fs::write(folder.path("old"), OLD_SECRET).unwrap();
        let id = filled.ada[0].id().expose().to_owned();
        let cookie = filled.cookie(&filled.ada[0]);
        let broken = format!("broken {DATA}");
        store.create("an-id-of-a-broken-record", &broken, Ttl::Infinite, false).await.unwrap();
        let mut secret: Vec<String> =
            [SECRET, OLD_SECRET, DATA, "canary-password"].map(str::to_owned).into();
        secret.extend(
            filled.all().iter().flat_map(|it| [it.id().expose().to_owned(), it.id().hashed()]),
        );
        let keys = store.scan(None, 100).await.unwrap().entries;
        secret.extend(keys.into_iter().map(|entry| entry.key));
        secret.extend(filled.all().iter().map(|stored| filled.cookie(stored)));

        let to = format!("sqlite:{}", folder.path("to.db").display());
        let hidden = "postgres://u:canary-password@127.0.0.1:1/d?password=canary-password";
        let cluster = "redis+cluster://u:canary-password@127.0.0.1:1";
        let sentinel = "redis+sentinel://u:canary-password@127.0.0.1:1/main";
        let runs: Vec<Vec<&str>> = vec![
            vec!["secret", "--check", "--secret-file", "old"],
            vec!["inspect", "-"],
            vec!["inspect", "--secret-file", "old", "-", "--name", "other"],
            vec!["ls"],
            vec!["ls", "--user", "ada"],
            vec!["show", "-"],
            vec!["show", "an-id"],
            vec!["stats"],
            vec!["doctor"],
            vec!["revoke", "--dry-run", "-"],
            vec!["revoke", "--all", "--dry-run"],
            vec!["migrate", &folder.url, &to],
            vec!["migrate", &folder.url, &to, "--dry-run"],
            vec!["ls", "--store", hidden],
            vec!["ls", "--store", cluster],
            vec!["doctor", "--store", sentinel],
            vec!["doctor", "--store", "redis://:canary-password@127.0.0.1:1"],
            vec!["doctor", "--store", "oracle://u:canary-password@h"],
            vec!["migrate", &folder.url, hidden],
            vec!["revoke", "-"],
            vec!["revoke", "--user", "ada"],
            vec!["revoke", "--all", "--yes"],
        ];
        for args in &runs {
            for more in [&[][..], &["--json"]] {
                for input in [&cookie, &id, &format!("Cookie: connect.sid={cookie}")] {
                    let ran = folder.run_with(&[args, more].concat(), &[], input);
                    for secret in &secret {
                        assert!(
                            !ran.out.contains(secret) && !ran.err.contains(secret),
                            "{args:?} {more:?} shows {secret}: {ran:?}"
                        );
                    }
                    assert!(!ran.err.contains("panicked"), "{args:?}: {ran:?}");
                    if !args.contains(&"-") {
                        break;
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn ids_and_data_are_shown_when_asked_for() {
    let (folder, store) = Folder::new().await;
    let filled = fill(store, &config()).await;
    let id = filled.bob.id().expose();
    assert!(folder.run(&["ls", "--show-ids"]).out.contains(id));
    assert!(folder.run(&["show", "--data", id]).out.contains(DATA));
    let inspected = folder.run(&["inspect", "--show-ids", &filled.cookie(&filled.bob)]);
    assert!(inspected.out.contains(id));
}

#[tokio::test]
async fn doctor_finds_a_file_in_order_and_says_what_is_not() {
    let (folder, store) = Folder::new().await;
    let modes = |mode: &str| {
        let files = ["sessions.db", "sessions.db-wal", "sessions.db-shm"];
        let mut chmod = Command::new("chmod");
        chmod.arg(mode).args(files.map(|it| folder.path(it))).stderr(Stdio::null());
        chmod.status().unwrap();
    };
    modes("600");
    let said = folder.run(&["doctor", "--json", "--strict"]).ends(0).json();
    assert_eq!((&said["failures"], &said["warnings"]), (&0.into(), &0.into()));
    let names: Vec<&str> =
        said["checks"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    for name in ["version", "journal", "integrity", "permissions", "probe", "latency"] {
        assert!(names.contains(&name), "{names:?}");
    }
    modes("644");
    folder.run(&["doctor"]).ends(0);
    assert!(folder.run(&["doctor", "--strict"]).ends(1).out.contains("chmod 600"));
    // Nothing is left of the probe.
    assert!(store.scan(None, 10).await.unwrap().entries.is_empty());
}
