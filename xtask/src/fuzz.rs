//! `cargo xtask fuzz`: libFuzzer on the core's targets, for as long as one likes. A bounded run of the
//! same functions, without nightly, is a step of `cargo xtask test`.

use std::fs;

use anyhow::Context as _;
use clap::Args as ClapArgs;

use crate::{
    progress::{Log, Progress},
    root,
    run::{Run, cargo, with_clippy},
    tools,
};

/// They are in a workspace of their own: see its `Cargo.toml`.
const FOLDER: &str = "crates/vestiary/fuzz";
pub(crate) const MANIFEST: &str = "crates/vestiary/fuzz/Cargo.toml";
const TARGETS: [&str; 5] = ["cookie_header", "cookie_value", "options", "record", "sealed"];

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Which target; all of them, if none is named
    #[arg(value_parser = TARGETS)]
    target: Option<String>,
    /// For how many seconds each
    #[arg(default_value_t = 60)]
    seconds: u32,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let targets = args.target.as_deref().map_or_else(|| TARGETS.to_vec(), |target| vec![target]);
    let progress = Progress::new("fuzz", 2 + targets.len());
    progress.step("nightly Rust", nightly)?;
    let cargo_fuzz = progress.step("cargo-fuzz", tools::cargo_fuzz)?;
    for target in targets {
        progress.step(&format!("{target}, {} s", args.seconds), |log| {
            let corpus = root().join(FOLDER).join("corpus").join(target);
            fs::create_dir_all(&corpus)?;
            Run::new(&cargo_fuzz)
                .env("RUSTUP_TOOLCHAIN", "nightly")
                .args(["run", "--features", "libfuzzer", "--fuzz-dir", "fuzz", "--target-dir"])
                .args([root().join("target/fuzz")])
                .args([target.as_ref(), corpus.as_os_str()])
                .args([root().join(FOLDER).join("corpus_seeds").join(target)])
                .args(["--", "-timeout=10", "-rss_limit_mb=2048"])
                .args([format!("-max_total_time={}", args.seconds)])
                .within("crates/vestiary")
                .logged(log)?;
            if let Some(done) = log.text().lines().rfind(|line| line.starts_with("Done ")) {
                log.say(done);
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The targets on the seeds and on some thousand mutations of them, with the Rust that all is built
/// with. Their own code, not that of the core, is built with clippy.
pub(crate) fn bounded(log: &Log) -> anyhow::Result<()> {
    let options = ["--locked", "--target-dir", "target/fuzz", "--manifest-path", MANIFEST];
    for command in [&["build", "--all-targets"][..], &["test"]] {
        with_clippy(cargo(command)).args(options).gently().logged(log)?;
    }
    Ok(())
}

/// The sanitizers that cargo-fuzz switches on are not in stable Rust.
fn nightly(log: &Log) -> anyhow::Result<()> {
    let there = || Run::new("rustup").args(["run", "nightly", "rustc", "--version"]).output();
    if let Some(version) = there() {
        return log.note(&version);
    }
    Run::new("rustup")
        .args(["toolchain", "install", "nightly", "--profile", "minimal"])
        .logged(log)
        .context(
            "libFuzzer needs nightly Rust, which rustup could not install; without it, \
             `cargo test --manifest-path crates/vestiary/fuzz/Cargo.toml` runs the same targets for \
             some seconds, and more with MUTATIONS=…",
        )
}
