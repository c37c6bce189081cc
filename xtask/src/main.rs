//! The only builder of this repository. `cargo xtask demo` sets everything up and serves the demo; `cargo xtask test` sets
//! everything up and runs every test.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "talking to the terminal is what this program is for"
)]

mod api;
mod bench;
mod demo;
mod docs;
mod faults;
mod features;
mod fuzz;
mod lanes;
#[path = "../../crates/vestiary-cli/build/notices.rs"]
mod notices;
mod npm;
mod progress;
mod release;
mod run;
mod rust;
mod sv;
mod test;
mod tidy;
mod tools;
mod wasm;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::progress::Progress;

/// Builds, runs and tests Vestiary.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Set everything up, build, and serve the SvelteKit demo
    Demo(demo::Args),
    /// Build the documentation as a site, and serve it
    Docs(docs::Args),
    /// Set everything up and run every test
    Test(test::Args),
    /// Check the sources themselves: lengths, words, spelling, links, the map
    Tidy(tidy::Args),
    /// Check whether a release can be made, and print its steps
    Release(release::Args),
    /// Fuzz the core, with nightly Rust
    Fuzz(fuzz::Args),
    /// Kill real stores and processes under load, and check that they lose nothing
    Faults(faults::Args),
    /// Make apps with the add-on for sv, one for each store, language and version, and try them in Chromium
    Sv(sv::Args),
    /// Compare the public API of the crates with the committed lists
    Api(api::Args),
    /// Measure the cost of sessions, beside other libraries
    Bench(bench::Args),
    /// Build the WebAssembly core and the npm package, and pack it
    Build,
    /// Format everything
    Fmt,
}

fn main() -> anyhow::Result<ExitCode> {
    if let Some(ended) = api::as_rustdoc().or_else(features::as_rustc) {
        return ended;
    }
    // This comes before any build, because a build may replace this program.
    api::this_program()?;
    // A returned error would be printed with a backtrace where the environment asks for one, and bury what the steps said.
    Ok(run(&Cli::parse().task).map_or_else(
        |error| {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    ))
}

fn run(task: &Task) -> anyhow::Result<()> {
    match task {
        Task::Demo(args) => demo::run(args),
        Task::Docs(args) => docs::run(args),
        Task::Test(args) => test::run(args),
        Task::Tidy(args) => tidy::run(args),
        Task::Release(args) => release::run(args),
        Task::Fuzz(args) => fuzz::run(args),
        Task::Faults(args) => faults::run(args),
        Task::Sv(args) => sv::run(args),
        Task::Api(args) => api::run(args),
        Task::Bench(args) => bench::run(args),
        Task::Build => {
            let progress = Progress::new("build", 6);
            let tools = tools::set_up(&progress)?;
            wasm::build(&progress, &tools)?;
            let tarball = npm::build(&progress, &tools)?;
            println!("\nPacked {}", tarball.display());
            Ok(())
        }
        Task::Fmt => {
            let progress = Progress::new("format", 5);
            let tools = tools::set_up(&progress)?;
            progress.step("rustfmt", |log| run::cargo(&["fmt", "--all"]).logged(log))?;
            progress
                .step("prettier", |log| tools.bin("prettier").args(["--write", "."]).logged(log))
        }
    }
}

/// The root of the repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}
