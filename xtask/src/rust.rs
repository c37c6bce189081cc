//! The checks of the crates: one lane of `cargo xtask test`. The other one is the npm package's.

use std::{
    ffi::OsStr,
    path::PathBuf,
    sync::mpsc::{Receiver, Sender},
};

use crate::{
    api, bench, demo, features, fuzz, lanes,
    progress::{Log, NotStarted, Progress},
    run::{Run, cargo, with_clippy},
    tools,
};

/// The programs of the servers for tests of the stores.
#[derive(Clone)]
pub(crate) struct Servers {
    pub(crate) redis: PathBuf,
    pub(crate) valkey: PathBuf,
    pub(crate) postgres: PathBuf,
    pub(crate) pgbouncer: PathBuf,
    pub(crate) mariadb: PathBuf,
}

impl Servers {
    /// The environment variables by which tests find them.
    pub(crate) fn env(&self) -> [(&'static str, &OsStr); 5] {
        [
            ("REDIS_SERVER", self.redis.as_os_str()),
            ("VALKEY_SERVER", self.valkey.as_os_str()),
            ("POSTGRES_BIN", self.postgres.as_os_str()),
            ("PGBOUNCER", self.pgbouncer.as_os_str()),
            ("MARIADB_SERVER", self.mariadb.as_os_str()),
        ]
    }
}

/// The ends of the channels between the lanes. The other lane installs the servers once the npm package is built; this lane
/// builds the service of `examples/shared-login`.
pub(crate) struct Exchange {
    pub(crate) servers: Receiver<Servers>,
    pub(crate) service: Sender<PathBuf>,
}

pub(crate) fn formatted(log: &Log) -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"]).logged(log)?;
    cargo(&["fmt", "--check", "--manifest-path", fuzz::MANIFEST]).logged(log)?;
    cargo(&["fmt", "--check", "--manifest-path", bench::MANIFEST]).logged(log)
}

/// Checks xtask by itself. Its dependencies were built when it was started. As a part of the workspace they would have more
/// features and be built again, which takes longer than the rest of its checks.
const WITHOUT_XTASK: [&str; 2] = ["--exclude", "xtask"];

/// Checks the crates. Without an exchange, it skips the tests that need servers.
pub(crate) fn checks(progress: &Progress, exchange: Option<Exchange>) -> anyhow::Result<()> {
    // Cargo locks a target folder. This check has its own, so that it waits for no other build.
    let with_oldest = || progress.check("each feature, with the oldest Rust", features::check);
    let Some(Exchange { servers, service }) = exchange else {
        return lanes::both(with_oldest, || {
            progress.check("clippy", clippy)?;
            progress.tests("Rust tests", tests_without_servers)?;
            progress.check("rustdoc and the public API", api::check)?;
            builds(progress)
        });
    };
    lanes::both(with_oldest, || {
        let built = progress.check("Rust tests, build, with clippy", build_tests)?;
        // The receiver is gone only if the other lane has failed, which the next step notices.
        let _ = service.send(built);
        // The tests wait for servers and clocks. Builds that run at the same time leave them the processor.
        lanes::both(
            move || {
                let servers = servers.recv().map_err(|_| NotStarted)?;
                progress.tests("Rust tests, also against real servers", |log| {
                    tests_with_servers(log, &servers)
                })
            },
            || {
                progress.tests("rustdoc, its examples and the public API", |log| {
                    api::check_with_examples(log, all_tests())?;
                    Ok(passed(log))
                })?;
                progress.tests("tests of xtask", tests_of_xtask)?;
                progress.check("native benchmarks, build", bench::build_native)?;
                builds(progress)
            },
        )
    })
}

/// Checks xtask by itself, with clippy.
fn tests_of_xtask(log: &Log) -> anyhow::Result<usize> {
    with_clippy(cargo(&["build", "--locked", "-p", "xtask"])).logged(log)?;
    with_clippy(cargo(&["test", "--locked", "-p", "xtask"])).logged(log)?;
    Ok(passed(log))
}

/// The checks that build more than they run.
fn builds(progress: &Progress) -> anyhow::Result<()> {
    progress.check("in place of features, with clippy", without_features)?;
    progress.tests("fuzz targets, bounded", |log| {
        fuzz::bounded(log)?;
        Ok(passed(log))
    })?;
    progress.check("cargo deny", cargo_deny)
}

fn tests_without_servers(log: &Log) -> anyhow::Result<usize> {
    cargo(&["test", "--workspace", "--locked"]).logged(log)?;
    cargo(&["test", "--locked", "-p", "vestiary", "--features", "seeded-faults"])
        .args(["--test", "schedules", "faults::"])
        .logged(log)?;
    cargo(&["test", "--locked", "-p", "vestiary-tower", "--features", "seeded-faults"])
        .args(["--test", "request_schedules", "--test", "listed_schedules"])
        .args(["the_schedules_find"])
        .logged(log)?;
    Ok(passed(log))
}

fn clippy(log: &Log) -> anyhow::Result<()> {
    cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--locked"])
        .args(["--", "-D", "warnings"])
        .logged(log)?;
    clippy_of_bindings(log)
}

/// Checks what only WebAssembly compiles. Clippy builds the native benchmarks and the fuzz targets.
fn clippy_of_bindings(log: &Log) -> anyhow::Result<()> {
    let wasm =
        ["--target", "wasm32-unknown-unknown", "-p", "vestiary-wasm", "--", "-D", "warnings"];
    cargo(&["clippy", "--locked"]).args(wasm).logged(log)
}

/// Builds all tests with clippy, and the service of `examples/shared-login`, whose path it returns.
fn build_tests(log: &Log) -> anyhow::Result<PathBuf> {
    // One command builds all tests, so that their dependencies have the same features and are built once.
    let all = ["--workspace", "--all-features", "--all-targets"];
    with_clippy(cargo(&["build", "--locked"])).args(all).args(WITHOUT_XTASK).logged(log)?;
    clippy_of_bindings(log)?;
    Ok(demo::shared_login_program())
}

/// The command that runs all tests with all features, which switch on the tests that start servers.
fn all_tests() -> Run {
    with_clippy(cargo(&["test", "--locked", "--workspace", "--all-features"])).args(WITHOUT_XTASK)
}

/// Runs them, but for the examples of the documentation, which rustdoc runs while it checks them.
fn tests_with_servers(log: &Log, servers: &Servers) -> anyhow::Result<usize> {
    // Most of them wait for a server or a clock. By default, as many run at the same time as there are cores.
    let threads = [("RUST_TEST_THREADS", OsStr::new("4"))];
    all_tests().args(["--tests"]).envs(&servers.env()).envs(&threads).logged(log)?;
    Ok(passed(log))
}

/// Checks with clippy what only compiles in place of a feature, and the stores in WebAssembly, which has neither drivers nor
/// threads. All other code was checked when the tests were built.
fn without_features(log: &Log) -> anyhow::Result<()> {
    let denied = ["--", "-D", "warnings"];
    for krate in ["vestiary", "vestiary-store", "vestiary-tower"] {
        cargo(&["clippy", "--locked", "--no-deps", "--no-default-features", "-p", krate])
            .args(denied)
            .gently()
            .logged(log)?;
    }
    let hack = tools::cargo_hack(log)?;
    Run::new(&hack)
        .args(["hack", "clippy", "--locked", "--no-deps", "--each-feature", "--exclude-features"])
        .args(["default,redis,sqlite,postgres,mysql,tls,testing", "--exclude-all-features"])
        .args(["-p", "vestiary-store", "--target", "wasm32-unknown-unknown"])
        .args(denied)
        .gently()
        .logged(log)
}

/// Checks bans, licenses and sources, and advisories where their database can be fetched.
fn cargo_deny(log: &Log) -> anyhow::Result<()> {
    let deny = tools::cargo_deny(log)?;
    Run::new(&deny).args(["check", "bans", "licenses", "sources"]).logged(log)?;
    let fetched = Run::new(&deny).args(["fetch", "db"]).logged(log).is_ok();
    if fetched {
        return Run::new(&deny).args(["check", "advisories"]).logged(log);
    }
    log.say("advisories NOT checked: their database cannot be fetched from here");
    Ok(())
}

/// The number of tests that cargo ran.
fn passed(log: &Log) -> usize {
    log.text().lines().filter_map(passed_of).sum()
}

fn passed_of(line: &str) -> Option<usize> {
    line.strip_prefix("test result: ok. ")?.split_once(" passed")?.0.parse().ok()
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
