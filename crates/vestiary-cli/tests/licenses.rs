//! The notices of everything that is linked are in the program.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{collections::BTreeSet, process::Command};

use crate::support::Folder;

#[tokio::test]
async fn every_linked_crate_is_named_with_its_license() {
    let (folder, _) = Folder::new().await;
    let notices = folder.run(&["licenses"]).ends(0).out;
    let linked = linked();
    assert!(linked.len() > 50, "{linked:?}");
    for name in &linked {
        let line = notices.lines().find(|line| line.starts_with(&format!("{name}: ")));
        assert!(line.is_some_and(|line| line.len() > name.len() + 5), "{name} is missing");
    }
    // A license that must be reproduced, and a text that several crates share, printed once.
    assert!(notices.contains("Redistributions in binary form must reproduce the above copyright"));
    assert!(notices.lines().any(|line| line.starts_with("subtle 2")));
    assert!(notices.contains("Permission is hereby granted, free of charge"));
    let json = folder.run(&["licenses", "--json"]).ends(0).json();
    assert_eq!(json["notices"].as_str().unwrap().trim_end(), notices.trim_end());
}

/// Name and version of each crate of others, as Cargo itself lists them.
fn linked() -> BTreeSet<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--offline", "--locked", "--package", "vestiary-cli"]);
    tree.args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]);
    let output = tree.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let named = text.lines().filter(|line| !line.contains('/')).filter_map(|line| {
        let (name, rest) = line.split_once(" v")?;
        Some(format!("{name} {}", rest.split(' ').next()?))
    });
    named.collect()
}
