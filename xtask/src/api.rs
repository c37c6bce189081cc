//! `cargo xtask api`: checks the public API of the crates. Each crate has a list of it in the repository, so that every
//! addition, change and removal is visible.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus},
    sync::OnceLock,
};

use anyhow::{Context as _, bail};
use clap::Args as ClapArgs;

use crate::{
    progress::{Log, Progress},
    root,
    run::{Run, cargo},
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
    compare()
}

/// Does the same with the dependencies that the tests were built with, while it runs the examples of the documentation.
/// `cargo doc` would first check all dependencies once more. The command builds what rustdoc needs as the tests are built.
pub(crate) fn check_with_examples(log: &Log, command: Run) -> anyhow::Result<()> {
    as_this_program(command.args(["--doc"]))?.logged(log)?;
    compare()
}

fn compare() -> anyhow::Result<()> {
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
    let doc = cargo(&["doc", "--locked", "--lib", "--no-deps", "--all-features"])
        .args(CRATES.iter().flat_map(|name| ["-p", name]))
        .env("RUSTDOCFLAGS", format!("{} {lints}", AS_JSON.join(" ")));
    as_this_program(doc)?.gently().logged(log)
}

const AS_JSON: [&str; 4] = ["-Z", "unstable-options", "--output-format", "json"];

/// Makes cargo start this program in place of rustdoc.
fn as_this_program(cargo: Run) -> anyhow::Result<Run> {
    Ok(cargo.env("RUSTDOC", this_program()?).env(AS_RUSTDOC, "1"))
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

/// Runs rustdoc, if cargo has started this program as rustdoc: with the features of nightly Rust where it writes JSON. Where
/// it runs the examples of a crate, it documents the crate as well.
pub(crate) fn as_rustdoc() -> Option<anyhow::Result<ExitCode>> {
    env::var_os(AS_RUSTDOC)?;
    Some(run_rustdoc(env::args_os().skip(1).collect()))
}

fn run_rustdoc(mut args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let rustdoc = |args: &[OsString], nightly: bool| -> anyhow::Result<ExitStatus> {
        let mut rustdoc = Command::new("rustdoc");
        rustdoc.args(args).envs(nightly.then_some(("RUSTC_BOOTSTRAP", "1"))).env_remove(AS_RUSTDOC);
        rustdoc.status().context("`rustdoc` could not be started")
    };
    if args.iter().any(|arg| arg == "--test") {
        if !rustdoc(&args, false)?.success() {
            return Ok(ExitCode::FAILURE);
        }
        args = to_document(args, &dependencies()?);
        args.extend(AS_JSON.into_iter().chain(["-D", "warnings", "-o"]).map(OsString::from));
        args.push(documents().into());
    }
    let ended = rustdoc(&args, true)?;
    Ok(if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The arguments with which rustdoc documents a crate whose examples it runs with these: without the dependencies of its
/// tests, to which its documentation cannot link.
fn to_document(args: Vec<OsString>, dependencies: &[String]) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut args = args.into_iter().filter(|arg| arg != "--test");
    while let Some(arg) = args.next() {
        let of_tests = arg.to_str().is_some_and(|arg| arg.starts_with("--test-"));
        if !of_tests && arg != "--extern" {
            kept.push(arg);
            continue;
        }
        let Some(value) = args.next() else { break };
        let name = value.to_str().and_then(|value| value.split('=').next()).unwrap_or_default();
        if !of_tests && dependencies.iter().any(|dependency| dependency == name) {
            kept.extend([arg, value]);
        }
    }
    kept
}

/// The names of the crates on which the package depends whose rustdoc cargo has started.
fn dependencies() -> anyhow::Result<Vec<String>> {
    let package = env::var_os("CARGO_MANIFEST_DIR").context("cargo does not tell the package")?;
    let manifest = Path::new(&package).join("Cargo.toml");
    let metadata = cargo(&["metadata", "--no-deps", "--format-version=1", "--manifest-path"])
        .args([&manifest])
        .output()
        .context("`cargo metadata` failed")?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let text = |value: &serde_json::Value, key| value.get(key)?.as_str().map(str::to_owned);
    let all = |value: &serde_json::Value, key| {
        value.get(key).and_then(|list| list.as_array()).cloned().unwrap_or_default()
    };
    let manifest = manifest.to_str();
    let package = all(&metadata, "packages")
        .into_iter()
        .find(|package| text(package, "manifest_path").as_deref() == manifest)
        .context("`cargo metadata` does not know the package")?;
    let dependencies = all(&package, "dependencies").into_iter();
    // Those of tests and build scripts have a kind.
    Ok(dependencies
        .filter(|dependency| text(dependency, "kind").is_none())
        .filter_map(|dependency| text(&dependency, "rename").or(text(&dependency, "name")))
        .map(|name| name.replace('-', "_"))
        .collect())
}

/// The folder of what rustdoc writes.
fn documents() -> PathBuf {
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("doc")
}

/// The public items of a crate, one a line.
fn list(name: &str) -> anyhow::Result<String> {
    let json = documents().join(name.replace('-', "_")).with_extension("json");
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
    fn a_crate_is_documented_without_what_only_its_tests_use() {
        let args = "--crate-name it --test src/lib.rs --test-run-directory . -L deps \
                    --extern serde=serde.rlib --extern it=it.rlib --extern axum=axum.rlib --cfg a";
        let args = args.split_whitespace().map(OsString::from).collect();
        let kept = to_document(args, &["serde".into()]);
        let wanted = "--crate-name it src/lib.rs -L deps --extern serde=serde.rlib --cfg a";
        assert_eq!(kept, wanted.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn lines_that_went_and_lines_that_came_are_listed() {
        assert_eq!(difference("a\nb\n", "b\nc\n"), "- a\n+ c\n");
        assert_eq!(difference("a\nb\n", "b\na\n"), "");
    }
}
