//! `cargo xtask api`: what the crates promise to others. Each crate has a list of it in the repository, so
//! that nothing is added, changed or taken away unseen.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::OnceLock,
};

use anyhow::{Context as _, bail};
use clap::Args as ClapArgs;

use crate::{
    progress::{Log, Progress},
    root,
    run::cargo,
};

/// The crates that others use.
const CRATES: [&str; 3] = ["vestiary", "vestiary-store", "vestiary-tower"];

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Take what there is now as what is promised
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let progress = Progress::new("api", 1);
    if !args.write {
        return progress.step("public API", check);
    }
    progress.step("public API", |log| {
        document(log)?;
        CRATES.iter().try_for_each(|name| Ok(fs::write(snapshot(name), list(name)?)?))
    })
}

/// Whether the crates have what their lists say, and nothing else.
pub(crate) fn check(log: &Log) -> anyhow::Result<()> {
    document(log)?;
    let mut changes = String::new();
    for name in CRATES {
        let path = snapshot(name);
        let promised =
            fs::read_to_string(&path).with_context(|| format!("{} is missing", path.display()))?;
        changes += &difference(&promised, &list(name)?);
    }
    if changes.is_empty() {
        return Ok(());
    }
    bail!(
        "the public API is another one:\n{changes}\nIf that is meant: `cargo xtask api --write`, a line in CHANGELOG.md, and a version that says so"
    )
}

fn snapshot(name: &str) -> PathBuf {
    root().join("crates").join(name).join("public-api.txt")
}

/// Writes the documentation of the crates as JSON, beside that for people.
fn document(log: &Log) -> anyhow::Result<()> {
    // The format is unstable, but the toolchain is pinned, and `public-api` reads what that one writes.
    cargo(&["doc", "--locked", "--lib", "--no-deps", "--all-features"])
        .args(CRATES.iter().flat_map(|name| ["-p", name]))
        .env("RUSTDOCFLAGS", "-Z unstable-options --output-format json --cap-lints allow")
        .env("RUSTDOC", this_program()?)
        .env(AS_RUSTDOC, "1")
        .logged(log)
}

/// Path of this program, as it was when the program began. The build of the Rust tests may link xtask again, with other
/// features of its dependencies; Linux then calls the path of the running one "… (deleted)", while the same path
/// without that leads to the new one.
pub(crate) fn this_program() -> anyhow::Result<&'static Path> {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    let path = PATH.get_or_init(|| env::current_exe().ok());
    path.as_deref().context("the system does not tell where xtask lies")
}

/// Tells this program to be rustdoc. Cargo would give `RUSTC_BOOTSTRAP` to build scripts as well, and then compile
/// everything that depends on one of them again.
const AS_RUSTDOC: &str = "VESTIARY_XTASK_AS_RUSTDOC";

/// Runs rustdoc in place of this program, if cargo started it as that, with the features of nightly Rust.
pub(crate) fn as_rustdoc() -> Option<anyhow::Result<ExitCode>> {
    env::var_os(AS_RUSTDOC)?;
    let mut rustdoc = Command::new("rustdoc");
    rustdoc.args(env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1").env_remove(AS_RUSTDOC);
    let status = rustdoc.status().context("`rustdoc` could not be started");
    Some(status.map(|status| if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

/// One line for each item.
fn list(name: &str) -> anyhow::Result<String> {
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let json = target.join("doc").join(name.replace('-', "_")).with_extension("json");
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    Ok(format!("{api}"))
}

/// Lines that were taken away, and lines that came.
fn difference(before: &str, now: &str) -> String {
    let [before, now] = [before, now].map(|text| text.lines().collect::<BTreeSet<_>>());
    let gone = before.difference(&now).map(|line| format!("- {line}\n"));
    gone.chain(now.difference(&before).map(|line| format!("+ {line}\n"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_went_and_lines_that_came_are_listed() {
        assert_eq!(difference("a\nb\n", "b\nc\n"), "- a\n+ c\n");
        assert_eq!(difference("a\nb\n", "b\na\n"), "");
    }
}
