//! `cargo xtask tidy`: checks the sources and pages themselves, in a few seconds.
//!
//! Each check is a module that takes the [`Tree`] and returns its [`Finding`]s. Exceptions are listed in `xtask/tidy/`.

mod allowed;
mod citations;
mod comments;
mod copies;
mod lengths;
mod links;
mod map;
mod packages;
mod ratchet;
mod spelling;
mod test_programs;
mod tree;
mod unfinished;
mod wording;
mod words;

use clap::Args as ClapArgs;

use crate::progress::{Log, Progress};

use self::tree::Tree;

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Lower the numbers in xtask/tidy/wording.txt to those of today
    #[arg(long)]
    write: bool,
}

/// A fault in a file, with its correction. Sorted by file and line.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

/// A check of all files.
type Check = fn(&Tree) -> anyhow::Result<Vec<Finding>>;

const CHECKS: [Check; 10] = [
    lengths::check,
    map::check,
    citations::check,
    links::check,
    packages::check,
    copies::check,
    |tree| Ok(test_programs::check(tree)),
    unfinished::check,
    spelling::check,
    wording::check,
];

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.write {
        wording::lower(&Tree::read()?)?;
    }
    Progress::new("tidy", 1).check("tidy", check)
}

/// Runs all checks, and fails with all their findings.
pub(crate) fn check(log: &Log) -> anyhow::Result<()> {
    let tree = Tree::read()?;
    let mut findings = Vec::new();
    for check in CHECKS {
        findings.extend(check(&tree)?);
    }
    findings.sort();
    for Finding { path, line, message } in &findings {
        log.note(&format!("{path}:{line}: {message}"))?;
    }
    log.say(wording::summary(&tree)?);
    anyhow::ensure!(findings.is_empty(), "{} findings, each with its place", findings.len());
    Ok(())
}
