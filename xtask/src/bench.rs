//! `cargo xtask bench`: measures the cost of sessions, beside other libraries. See `docs/explanation/performance.md`. The
//! tests include a short run, which judges no time.

use std::{ffi::OsStr, fs};

use anyhow::{Context as _, ensure};
use clap::Args as ClapArgs;

use crate::{
    npm,
    progress::{Log, Progress},
    root,
    run::{Run, cargo, with_clippy},
    tools::{self, Tools},
    wasm,
};

/// Measured from JavaScript, in this order.
const WEB: [&str; 8] = ["handle", "redis", "stores", "http", "workerd", "micro", "scale", "size"];
/// All that is measured in Rust.
const NATIVE: &str = "native";
pub(crate) const MANIFEST: &str = "benches/native/Cargo.toml";
/// The folder into which the packed package is installed.
pub(crate) const FOLDER: &str = "benches/web";

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The groups to measure. Default: all
    #[arg(value_parser = [WEB.as_slice(), &[NATIVE]].concat())]
    groups: Vec<String>,
    /// Run everything once and briefly, to see that it still works
    #[arg(long)]
    smoke: bool,
    /// Write the tables and the plots to docs/
    #[arg(long, conflicts_with_all = ["smoke", "groups"])]
    write: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let chosen = |group: &str| args.groups.is_empty() || args.groups.iter().any(|it| it == group);
    let web: Vec<_> = WEB.into_iter().filter(|group| chosen(group)).collect();
    let in_rust = chosen(NATIVE);
    let progress = Progress::new("bench", 11 + web.len() + usize::from(in_rust) * 2);
    let tools = tools::set_up(&progress)?;
    wasm::build(&progress, &tools)?;
    let tarball = npm::build(&progress, &tools)?;
    progress.step("the packed package into the benchmarks", |log| {
        npm::install(log, &tarball, &[FOLDER])
    })?;
    let redis = progress.step("Redis", tools::redis_server)?;
    let postgres = progress.step("Postgres", tools::postgres)?;
    let mariadb = progress.step("MariaDB", tools::mariadb)?;
    let servers = [
        ("REDIS_SERVER", redis.as_os_str()),
        ("POSTGRES_BIN", postgres.as_os_str()),
        ("MARIADB_SERVER", mariadb.as_os_str()),
    ];
    let suite = Suite { tools: &tools, servers: &servers, smoke: args.smoke };
    if args.groups.is_empty() {
        suite.forget()?;
    }
    for group in web {
        progress.step(group, |log| suite.web(log, &[group]))?;
    }
    if in_rust {
        progress.step("native, build", |log| native("build", args.smoke).logged(log))?;
        progress.step(NATIVE, |log| suite.native(log))?;
    }
    let told = progress.step("report", |log| {
        suite.report(log, args.write)?;
        Ok(log.text())
    })?;
    if args.smoke {
        println!("\nworks; measured nothing");
    } else {
        // The first line names the command.
        println!();
        told.lines().skip(1).for_each(|line| println!("{line}"));
    }
    Ok(())
}

/// Builds the native suite for a short run.
pub(crate) fn build_native(log: &Log) -> anyhow::Result<()> {
    native("build", true).args(["--all-targets"]).gently().logged(log)
}

/// Runs everything briefly, and returns the number of checks that the work was done.
pub(crate) fn smoke(log: &Log, tools: &Tools, servers: &[(&str, &OsStr)]) -> anyhow::Result<usize> {
    let suite = Suite { tools, servers, smoke: true };
    suite.forget()?;
    suite.web(log, &WEB)?;
    // Builds what [`build_native`] has not built yet.
    suite.native(log)?;
    suite.report(log, false)?;
    let checked = checked(&log.text());
    ensure!(checked > 0, "no benchmark was checked");
    Ok(checked)
}

struct Suite<'a> {
    tools: &'a Tools,
    /// Environment variables with the programs of the servers.
    servers: &'a [(&'a str, &'a OsStr)],
    smoke: bool,
}

impl Suite<'_> {
    /// The folder for results. A short run has its own, so that it does not replace a long one.
    fn folder(&self) -> &'static str {
        if self.smoke { "target/bench-smoke" } else { "target/bench" }
    }

    /// Removes the results of other runs.
    fn forget(&self) -> anyhow::Result<()> {
        let folder = root().join(self.folder());
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn web(&self, log: &Log, groups: &[&str]) -> anyhow::Result<()> {
        self.tools
            .program("node")
            // svelte-kit-sessions can only be imported under this condition.
            .args(["--conditions=svelte", "--expose-gc", "benches/web/src/run.ts"])
            .args([format!("--out={}", self.folder())])
            .args(groups.iter().map(|group| format!("--group={group}")))
            .args(self.smoke.then_some("--smoke"))
            .env("NODE_ENV", "production")
            .envs(self.servers)
            .logged(log)
    }

    fn native(&self, log: &Log) -> anyhow::Result<()> {
        native("run", self.smoke)
            .args(["--", "--out", self.folder()])
            .args(self.smoke.then_some("--smoke"))
            .envs(self.servers)
            .logged(log)
    }

    fn report(&self, log: &Log, write: bool) -> anyhow::Result<()> {
        self.tools
            .program("node")
            .args(["benches/web/src/report/main.ts"])
            .args([format!("--in={}", self.folder())])
            .args(write.then_some("--write"))
            .logged(log)
            .context("the results could not be told")
    }
}

/// A command of cargo for the native suite, which has a workspace of its own.
fn native(command: &str, smoke: bool) -> Run {
    let cargo = cargo(&[command, "--locked", "--manifest-path", MANIFEST, "--target-dir"]);
    // A short run need not be fast, and optimising takes minutes. It is built with clippy, and with the half of its
    // dependencies that the tests of the crates were built with.
    if smoke {
        with_clippy(cargo.args(["target"]))
    } else {
        cargo.args(["target/bench-native", "--release"])
    }
}

/// The number of checks of both suites that a library does its work.
fn checked(log: &str) -> usize {
    let web = log.lines().filter_map(|line| line.strip_suffix(" passed, 0 failed"));
    let native = log.lines().filter_map(|line| {
        line.strip_prefix("checked that the work is done: ")?.strip_suffix(" times")
    });
    web.chain(native).filter_map(|count| count.parse::<usize>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_suites_are_counted() {
        let log = "  checked: vestiary: login\n159 passed, 0 failed\n\
                   checked that the work is done: 57 times\nnative-layer: 12 rows\n";
        assert_eq!(checked(log), 216);
        assert_eq!(checked("159 passed, 1 failed"), 0);
    }
}
