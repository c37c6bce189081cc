//! `vestiary secret`: generates secrets, and rates existing ones.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

use std::fs;

use crate::support::{Folder, SECRET};

#[tokio::test]
async fn makes_another_one_each_time() {
    let (folder, _) = Folder::new().await;
    let secrets = [(); 2].map(|()| folder.run(&["secret"]).ends(0).out);
    assert_ne!(secrets[0], secrets[1]);
    assert_eq!(secrets.map(|secret| secret.trim().len()), [43, 43]);
    let made = folder.run(&["secret", "--json", "--bytes", "48"]).ends(0).json();
    assert_eq!((&made["bits"], made["secret"].as_str().unwrap().len()), (&384.into(), 64));
    folder.run(&["secret", "--bytes", "8"]).ends(2);
}

#[tokio::test]
async fn a_generated_secret_is_strong() {
    let (folder, _) = Folder::new().await;
    let secret = folder.run(&["secret"]).ends(0).out;
    let env = [("SESSION_SECRET", "")];
    let checked = folder.run_with(&["secret", "--check"], &env, &secret).ends(0);
    assert_eq!(checked.out, "secret 1: 43 bytes, good\n");
}

#[tokio::test]
async fn tells_how_strong_others_are_and_never_what_they_are() {
    let (folder, _) = Folder::new().await;
    let check = |secret: &str| {
        let env = [("SESSION_SECRET", "")];
        let ran = folder.run_with(&["secret", "--check", "--json"], &env, &format!("{secret}\n"));
        assert!(!ran.out.contains(secret) && !ran.err.contains(secret));
        let of = ran.json()["secrets"][0].clone();
        (ran.code, of["weakness"].clone(), of["production"].clone(), of["encrypt"].clone())
    };
    assert_eq!(check("fifteen-bytes-x"), (1, "short".into(), false.into(), false.into()));
    assert_eq!(
        check("keyboard cat keyboard cat"),
        (1, "refused".into(), false.into(), false.into())
    );
    assert_eq!(check(&"ab".repeat(20)), (1, "refused".into(), false.into(), true.into()));
    assert_eq!(
        check("My-Secret-For-Production-1"),
        (1, "placeholder".into(), true.into(), false.into())
    );
    assert_eq!(check("monkeydragon2024"), (1, "guessable".into(), true.into(), false.into()));
    assert_eq!(check("Jm4vQ0pTz8sWk1uXo6yR"), (0, ().into(), true.into(), false.into()));
    assert_eq!(check(SECRET), (0, ().into(), true.into(), true.into()));
    folder.run_with(&["secret", "--check"], &[("SESSION_SECRET", "")], "").ends(2);
}

#[tokio::test]
async fn secrets_come_from_the_environment_and_from_files() {
    let (folder, _) = Folder::new().await;
    fs::write(folder.path("old"), "changeme-changeme\n").unwrap();
    let args = ["secret", "--check", "--json", "--secret-file", "old"];
    let checked = folder.run(&args).ends(1).json();
    let goods = [0, 1].map(|n| checked["secrets"][n]["good"].as_bool().unwrap());
    assert_eq!(goods, [true, false]);
    let named = ["secret", "--check", "--secret-env", "ELSEWHERE"];
    folder.run_with(&named, &[("ELSEWHERE", SECRET)], "").ends(0);
    let missing = folder.run(&named).ends(2);
    assert!(missing.err.contains("ELSEWHERE") && missing.err.contains("[secret_missing]"));
    folder.run(&["secret", "--check", "--secret-file", "nowhere"]).ends(2);
}
