//! `cargo xtask api`: checks the public API of the crates. Each crate has a list of it in the repository, so that every
//! addition, change and removal is visible.

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

/// The crates with a public API.
const CRATES: [&str; 3] = ["vestiary", "vestiary-store", "vestiary-tower"];

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Write the lists
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let progress = Progress::new("api", 1);
    if !args.write {
        return progress.step("public API", check);
    }
    progress.step("public API", |log| {
        document(log, Warnings::Allowed)?;
        CRATES.iter().try_for_each(|name| Ok(fs::write(snapshot(name), list(name)?)?))
    })
}

/// Checks that the documentation of the crates has no warning, and that the public API of each is exactly its list.
pub(crate) fn check(log: &Log) -> anyhow::Result<()> {
    document(log, Warnings::Denied)?;
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

#[derive(Clone, Copy)]
enum Warnings {
    Allowed,
    Denied,
}

/// Writes the documentation of the crates as JSON. The lints of rustdoc are the same as for HTML, which takes longer.
fn document(log: &Log, warnings: Warnings) -> anyhow::Result<()> {
    let lints = match warnings {
        Warnings::Allowed => "--cap-lints allow",
        Warnings::Denied => "-D warnings",
    };
    // The format is unstable, but the toolchain is pinned, and `public-api` reads its version.
    cargo(&["doc", "--locked", "--lib", "--no-deps", "--all-features"])
        .args(CRATES.iter().flat_map(|name| ["-p", name]))
        .env("RUSTDOCFLAGS", format!("-Z unstable-options --output-format json {lints}"))
        .env("RUSTDOC", this_program()?)
        .env(AS_RUSTDOC, "1")
        .gently()
        .logged(log)
}

/// The path of this program when it began. The build of the Rust tests may link xtask again, with other features of its
/// dependencies. Linux then adds "(deleted)" to the path of the running program, and the path itself leads to the new one.
pub(crate) fn this_program() -> anyhow::Result<&'static Path> {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    let path = PATH.get_or_init(|| env::current_exe().ok());
    path.as_deref().context("the system does not tell where xtask lies")
}

/// The variable that makes this program act as rustdoc. With `RUSTC_BOOTSTRAP`, cargo would also pass that to build
/// scripts, and compile everything again that depends on one of them.
const AS_RUSTDOC: &str = "VESTIARY_XTASK_AS_RUSTDOC";

/// Runs rustdoc with the features of nightly Rust, if cargo has started this program as rustdoc.
pub(crate) fn as_rustdoc() -> Option<anyhow::Result<ExitCode>> {
    env::var_os(AS_RUSTDOC)?;
    let mut rustdoc = Command::new("rustdoc");
    rustdoc.args(env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1").env_remove(AS_RUSTDOC);
    let status = rustdoc.status().context("`rustdoc` could not be started");
    Some(status.map(|status| if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

/// The public items of a crate, one a line.
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

/// The lines that were removed, and those that were added.
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
