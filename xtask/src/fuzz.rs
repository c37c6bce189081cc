//! `cargo xtask fuzz`: runs libFuzzer on the core's targets. A bounded run of the same functions, without nightly Rust, is a
//! step of `cargo xtask test`.

use std::fs;

use anyhow::Context as _;
use clap::Args as ClapArgs;

use crate::{
    progress::{Log, Progress},
    root,
    run::{Run, cargo, with_clippy},
    tools,
};

/// The workspace of the targets. Its `Cargo.toml` says why it is separate.
const FOLDER: &str = "crates/vestiary/fuzz";
pub(crate) const MANIFEST: &str = "crates/vestiary/fuzz/Cargo.toml";
const TARGETS: [&str; 6] =
    ["cookie_header", "cookie_value", "device_proof", "options", "record", "sealed"];

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The target to fuzz. Default: all
    #[arg(value_parser = TARGETS)]
    target: Option<String>,
    /// The seconds for each target
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

/// Runs the targets on the seeds and on some thousand mutations of them, with stable Rust. Clippy builds their own code, but
/// not the core's.
pub(crate) fn bounded(log: &Log) -> anyhow::Result<()> {
    let options = ["--locked", "--target-dir", "target/fuzz", "--manifest-path", MANIFEST];
    for command in [&["build", "--all-targets"][..], &["test"]] {
        with_clippy(cargo(command)).args(options).gently().logged(log)?;
    }
    Ok(())
}

/// Finds or installs nightly Rust. Stable Rust lacks the sanitizers that cargo-fuzz uses.
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
