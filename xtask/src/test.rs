//! `cargo xtask test`: every check there is, in the order in which they fail fastest.

use std::{ffi::OsStr, path::Path};

use anyhow::Context as _;
use clap::Args as ClapArgs;

use crate::{
    api, bench, demo, fuzz, npm,
    progress::{Log, Progress},
    root,
    run::{Run, cargo},
    tools::{self, Tools},
    wasm,
};

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Leave out what needs a browser or fresh SvelteKit apps (some minutes)
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut counts = Counts::default();
    let result = all(args, &mut counts);
    println!();
    for (suite, passed) in &counts.suites {
        println!("{passed:>6}  {suite}");
    }
    let passed: usize = counts.suites.iter().map(|(_, passed)| passed).sum();
    println!("{passed} passed, {} failed", usize::from(result.is_err()));
    result
}

/// What passed, by suite.
#[derive(Default)]
struct Counts {
    suites: Vec<(String, usize)>,
}

fn all(args: &Args, counts: &mut Counts) -> anyhow::Result<()> {
    let mut progress = Progress::new("test", if args.quick { 23 } else { 39 });
    let mut suite = Suite { progress: &mut progress, counts };

    suite.check("rustfmt", |log| {
        cargo(&["fmt", "--all", "--check"]).logged(log)?;
        cargo(&["fmt", "--check", "--manifest-path", fuzz::MANIFEST]).logged(log)?;
        cargo(&["fmt", "--check", "--manifest-path", bench::MANIFEST]).logged(log)
    })?;
    suite.check("clippy", clippy)?;
    suite.tests("Rust tests", rust_tests)?;
    suite.tests("fuzz targets, bounded", |log| {
        fuzz::bounded(log)?;
        Ok(passed(log))
    })?;
    suite.check("rustdoc", |log| {
        cargo(&["doc", "--locked", "--no-deps", "--all-features"])
            .args(["-p", "vestiary", "-p", "vestiary-store", "-p", "vestiary-tower"])
            .env("RUSTDOCFLAGS", "-D warnings")
            .logged(log)
    })?;
    suite.check("public API", api::check)?;
    suite.check("each feature alone", each_feature)?;
    suite.check("the oldest Rust", oldest_rust)?;
    suite.check("cargo deny", cargo_deny)?;

    let tools = tools::set_up(suite.progress)?;
    wasm::build(suite.progress, &tools)?;
    suite.check("prettier", |log| tools.bin("prettier").args(["--check", "."]).logged(log))?;
    let tarball = npm::build(suite.progress, &tools)?;
    // Before the checks that read the examples' TypeScript: their tsconfig is made by SvelteKit.
    suite.progress.step("the packed package into examples and benchmarks", |log| {
        npm::install(log, &tarball, &npm::EXAMPLES)?;
        npm::install(log, &tarball, &[bench::FOLDER])?;
        each_example(|example| tools.bin("svelte-kit").args(["sync"]).within(example).logged(log))
    })?;
    suite.check("eslint", |log| tools.bin("eslint").args(["."]).logged(log))?;
    suite.check("types", |log| {
        tools.bin("tsc").args(["-p", "packages/vestiary"]).logged(log)?;
        tools.bin("tsc").args(["-p", "packages/vestiary/test-d"]).logged(log)?;
        tools.bin("tsc").args(["-p", bench::FOLDER]).logged(log)
    })?;
    suite.tests("TypeScript tests", |log| {
        vitest(log, &tools, "packages/vestiary", &["--project", "unit"], &[])
    })?;
    suite.tests("the benchmarks' own tests", |log| vitest(log, &tools, bench::FOLDER, &[], &[]))?;
    suite.check("publint", |log| {
        tools.bin("publint").args(["--strict"]).args([&tarball]).logged(log)
    })?;
    suite.check("attw", |log| {
        tools.bin("attw").args(["--profile", "esm-only"]).args([&tarball]).logged(log)
    })?;

    if args.quick { Ok(()) } else { with_servers(&mut suite, &tools, &tarball) }
}

/// The checks that need servers, a browser, or fresh SvelteKit apps.
fn with_servers(suite: &mut Suite<'_>, tools: &Tools, tarball: &Path) -> anyhow::Result<()> {
    let redis = suite.progress.step("Redis", tools::redis_server)?;
    suite.tests("stores against real servers", |log| {
        let env = [("REDIS_SERVER", redis.as_os_str())];
        vitest(log, tools, "packages/vestiary", &["--project", "stores"], &env)
    })?;
    suite.tests("benchmarks, smoke", |log| bench::smoke(log, tools, redis.as_os_str()))?;
    let postgres = suite.progress.step("Postgres", tools::postgres)?;
    let pgbouncer = suite.progress.step("PgBouncer", tools::pgbouncer)?;
    suite.tests("native stores against real servers", |log| {
        cargo(&["test", "--locked", "-p", "vestiary-store", "--all-features"])
            .env("REDIS_SERVER", &redis)
            .env("POSTGRES_BIN", &postgres)
            .env("PGBOUNCER", &pgbouncer)
            .logged(log)?;
        cargo(&["test", "--locked", "-p", "vestiary-cli", "--features", "servers"])
            .args(["--test", "servers"])
            .env("REDIS_SERVER", &redis)
            .env("POSTGRES_BIN", &postgres)
            .env("PGBOUNCER", &pgbouncer)
            .logged(log)?;
        Ok(passed(log))
    })?;
    suite.check("examples, types", |log| {
        each_example(|example| {
            tools.bin("svelte-check").args(["--fail-on-warnings"]).within(example).logged(log)
        })
    })?;
    let chromium = suite.progress.step("Chromium", tools::chromium)?;
    let api = suite.progress.step("the Rust service of shared-login", demo::shared_login_api)?;
    for example in npm::EXAMPLES {
        let [port, provider_port] = demo::two_free_ports()?;
        demo::build_app(suite.progress, tools, example, &format!("http://localhost:{port}"))?;
        suite.tests(&format!("{example} in Chromium"), |log| {
            let env = [
                ("CHROMIUM", chromium.as_os_str()),
                ("PORT", port.as_ref()),
                ("PROVIDER_PORT", provider_port.as_ref()),
                ("SHARED_LOGIN_API", api.as_os_str()),
                ("REDIS_SERVER", redis.as_os_str()),
            ];
            vitest(log, tools, example, &[], &env)
        })?;
    }
    suite.tests("package in SvelteKit, on the edge, and alone", |log| {
        let env = [
            ("VESTIARY_TARBALL", tarball.as_os_str()),
            ("REDIS_SERVER", redis.as_os_str()),
            ("CHROMIUM", chromium.as_os_str()),
        ];
        vitest(log, tools, "packages/vestiary", &["--project", "runtimes"], &env)
    })
}

fn each_example(mut work: impl FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    npm::EXAMPLES.into_iter().try_for_each(&mut work)
}

struct Suite<'a> {
    progress: &'a mut Progress,
    counts: &'a mut Counts,
}

impl Suite<'_> {
    /// A step that passes or not.
    fn check(
        &mut self,
        name: &str,
        work: impl FnOnce(&Log) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.progress.step(name, work)?;
        self.counts.suites.push((name.to_owned(), 1));
        Ok(())
    }

    /// A step that runs tests and tells how many.
    fn tests(
        &mut self,
        name: &str,
        work: impl FnOnce(&Log) -> anyhow::Result<usize>,
    ) -> anyhow::Result<()> {
        let passed = self.progress.step(name, work)?;
        println!("        {passed} tests");
        self.counts.suites.push((name.to_owned(), passed));
        Ok(())
    }
}

fn clippy(log: &Log) -> anyhow::Result<()> {
    let all = ["--workspace", "--all-targets", "--all-features", "--locked"];
    cargo(&["clippy"]).args(all).args(["--", "-D", "warnings"]).logged(log)?;
    for (target, manifest) in
        [("target/fuzz", fuzz::MANIFEST), ("target/bench-native", bench::MANIFEST)]
    {
        cargo(&["clippy", "--locked", "--all-targets", "--target-dir", target])
            .args(["--manifest-path", manifest, "--", "-D", "warnings"])
            .logged(log)?;
    }
    let wasm =
        ["--target", "wasm32-unknown-unknown", "-p", "vestiary-wasm", "--", "-D", "warnings"];
    tools::wasm_target(log)?;
    cargo(&["clippy", "--locked"]).args(wasm).logged(log)
}

fn rust_tests(log: &Log) -> anyhow::Result<usize> {
    cargo(&["test", "--workspace", "--locked"]).logged(log)?;
    Ok(passed(log))
}

/// Each feature compiles without the others, and the stores also where there are no threads.
fn each_feature(log: &Log) -> anyhow::Result<()> {
    let hack = tools::cargo_hack(log)?;
    let stores = ["-p", "vestiary-store", "-p", "vestiary-tower"];
    Run::new(&hack)
        .args(["hack", "clippy", "--locked", "--each-feature"])
        .args(stores)
        .args(["--", "-D", "warnings"])
        .logged(log)?;
    // Tests, too, with each two of them.
    Run::new(&hack)
        .args(["hack", "check", "--locked", "--tests", "--feature-powerset", "--depth", "2"])
        .args(stores)
        .args(["-p", "vestiary-cli"])
        .logged(log)?;
    // Neither drivers nor threads.
    Run::new(&hack)
        .args(["hack", "clippy", "--locked", "--each-feature", "-p", "vestiary-store"])
        .args(["--exclude-features", "redis,sqlite,postgres,tls,testing"])
        .args(["--exclude-all-features", "--target", "wasm32-unknown-unknown"])
        .args(["--", "-D", "warnings"])
        .logged(log)
}

/// What `rust-version` promises.
fn oldest_rust(log: &Log) -> anyhow::Result<()> {
    let version = format!("{}.0", env!("CARGO_PKG_RUST_VERSION"));
    tools::rust(log, &version)?;
    Run::new("rustup")
        .args(["run", &version, "cargo", "check", "--locked", "--all-features"])
        .args(["-p", "vestiary-tower", "-p", "vestiary-cli"])
        .logged(log)
}

/// How many tests cargo ran.
fn passed(log: &Log) -> usize {
    log.text().lines().filter_map(passed_of).sum()
}

fn passed_of(line: &str) -> Option<usize> {
    line.strip_prefix("test result: ok. ")?.split_once(" passed")?.0.parse().ok()
}

/// Bans, licenses and sources always; advisories where their database can be fetched.
fn cargo_deny(log: &Log) -> anyhow::Result<()> {
    let deny = tools::cargo_deny(log)?;
    Run::new(&deny).args(["check", "bans", "licenses", "sources"]).logged(log)?;
    let fetched = Run::new(&deny).args(["fetch", "db"]).logged(log).is_ok();
    if fetched {
        return Run::new(&deny).args(["check", "advisories"]).logged(log);
    }
    println!("        advisories NOT checked: their database cannot be fetched from here");
    Ok(())
}

/// Runs the tests of a folder; how many passed.
fn vitest(
    log: &Log,
    tools: &Tools,
    folder: &str,
    args: &[&str],
    env: &[(&str, &OsStr)],
) -> anyhow::Result<usize> {
    let report = root().join("target/xtask").join(format!("{}.json", folder.replace('/', "-")));
    let output = format!("--outputFile.json={}", report.display());
    let run = tools
        .bin("vitest")
        .args(["run", "--reporter=verbose", "--reporter=json", &output])
        .args(args)
        .within(folder);
    env.iter().fold(run, |run, (name, value)| run.env(name, value)).logged(log)?;

    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report)?)?;
    let count = |name: &str| report.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let passed = count("numPassedTests");
    anyhow::ensure!(count("numPendingTests") + count("numTodoTests") == 0, "a test was skipped");
    anyhow::ensure!(passed > 0, "no test ran");
    usize::try_from(passed).context("too many tests")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_from_the_closing_line() {
        assert_eq!(passed_of("test result: ok. 36 passed; 0 failed; 0 ignored"), Some(36));
        assert_eq!(passed_of("test result: FAILED. 3 passed; 1 failed"), None);
        assert_eq!(passed_of("running 36 tests"), None);
    }
}
