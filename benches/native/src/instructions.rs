//! The number of instructions that a request executes, counted by valgrind: the same on a busy machine.

use std::{env, io, process::Command};

use crate::{cases::Case, harness::Spread, peers::Peer, report::Row};

/// Why nothing was counted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Uncounted {
    #[error("valgrind is not installed (on Debian: apt-get install valgrind)")]
    NoValgrind,
    #[error("this program cannot be run again: {0}")]
    Run(#[from] io::Error),
    #[error("valgrind did not say how many instructions there were")]
    Silent,
}

/// The lengths of two runs. The difference excludes their common part, such as the start of the program.
const SHORT: usize = 100;
const LONG: usize = 600;

/// Cases in which each request is like the previous one.
const CASES: [&str; 6] = [
    "no cookie, untouched",
    "valid cookie, untouched",
    "valid cookie, read",
    "valid cookie, write the same value",
    "valid cookie, write",
    "20 cookies of 4 KB, read",
];

pub(crate) fn instructions(peers: &[Peer]) -> Result<Vec<Row>, Uncounted> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Err(Uncounted::NoValgrind);
    }
    let mut rows = Vec::new();
    for case in Case::chosen(&CASES) {
        let mut baselines: Vec<(Peer, f64)> = Vec::new();
        for &peer in peers {
            let each = each(peer, &case)?;
            let row = |value| Row::new(case.name.as_str(), peer.name(), Spread::exactly(value));
            rows.push(row(each));
            let bare = baselines.iter().find(|(baseline, _)| *baseline == peer.baseline());
            match bare {
                Some((baseline, bare)) => rows.push(row(each - bare).over(baseline.name())),
                None => baselines.push((peer, each)),
            }
        }
    }
    Ok(rows)
}

fn each(peer: Peer, case: &Case) -> Result<f64, Uncounted> {
    let [short, long] = [SHORT, LONG].map(|requests| counted(peer, case, requests));
    Ok((long? - short?) / crate::harness::number(LONG - SHORT))
}

fn counted(peer: Peer, case: &Case, requests: usize) -> Result<f64, Uncounted> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["--one", peer.name(), case.name.as_str(), &requests.to_string()])
        .output()?;
    // "==1234== Collected : 5678"
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    collected.and_then(|(_, count)| count.trim().parse().ok()).ok_or(Uncounted::Silent)
}
