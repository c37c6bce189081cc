//! Checks the crates with the features that a user may choose, by the oldest Rust.
//!
//! Each feature alone is checked by cargo, with exactly those dependencies, and features of dependencies, that it turns on.
//! Of two features together, only the crate itself is new. So cargo compiles the dependencies once, for all features, and
//! starts this program in place of rustc, which then compiles the crate again for each pair.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::{OsStr, OsString},
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::Context as _;

use crate::{
    api,
    progress::Log,
    run::{Run, cargo},
    tools,
};

/// Features of one kind count as one in a pair, because each adds code in a place of its own, which is checked alone.
const KINDS: [&[&str]; 2] =
    [&["axum", "clock", "tls", "tracing"], &["sqlite", "postgres", "mysql"]];

/// The features with which the tests of a package compile. All of them together are built for the run.
const TESTS: [(&str, &[&str]); 5] = [
    ("vestiary-store", &["sqlite", "testing"]),
    ("vestiary-store", &["postgres", "testing"]),
    ("vestiary-store", &["mysql", "testing"]),
    // The other features only serve the files that the tests share with vestiary-store.
    ("vestiary-cli", &[]),
    ("vestiary-cli", &["servers"]),
];

/// Checks that each feature compiles without the others and with each other one, with the version of `rust-version` and
/// without a warning. `default` is skipped, because it is only another name of a combination that is checked. This compiler
/// shares nothing with what another one has built, so it has a target folder of its own, and waits for no other build.
pub(crate) fn check(log: &Log) -> anyhow::Result<()> {
    let version = format!("{}.0", env!("CARGO_PKG_RUST_VERSION"));
    tools::rust(log, &version)?;
    let run = |program: &OsStr, args: &[&str]| {
        let run = Run::new("rustup").args(["run", &version]).args([program]).args(args);
        let run = run.args(["--locked", "--target-dir", "target/oldest"]);
        // A check links no C, and the build of the tests compiles it. `true` compiles nothing, and succeeds.
        let run = if cfg!(unix) { run.env("CC", "true").env("AR", "true") } else { run };
        // cargo-hack starts the cargo that this variable names, which is the one that has started xtask. It does not run
        // gently: this is the longest step, and would go on alone when all others have ended.
        run.env("CARGO", "cargo").env("RUSTFLAGS", "-D warnings")
    };
    let features = Features::read()?;
    let with_all = |args: &[&str], combinations: &str| {
        anyhow::ensure!(!combinations.is_empty(), "a package has no features: is it another name?");
        run("cargo".as_ref(), &[&["check", "--all-features"], args].concat())
            .env("RUSTC_WORKSPACE_WRAPPER", api::this_program()?)
            .env(AS_RUSTC, combinations)
            .logged(log)
    };
    let tests = TESTS.map(|(package, chosen)| features.line(package, Code::Tests, chosen));
    let store = features.pairs("vestiary-store") + &tests.concat();
    with_all(
        &["--lib", "--bins", "--tests", "-p", "vestiary-store", "-p", "vestiary-cli"],
        &store,
    )?;
    with_all(&["-p", "vestiary-tower"], &features.pairs("vestiary-tower"))?;
    // Not before: the lane of the npm package installs pip where it is missing, and without pip this would be compiled.
    let program = tools::cargo_hack(log)?;
    let each = ["hack", "check", "--exclude-features", "default", "--each-feature"];
    let packages = ["-p", "vestiary", "-p", "vestiary-store", "-p", "vestiary-tower"];
    run(program.as_os_str(), &[&each[..], &packages].concat()).logged(log)
}

/// The features of each package: those of the same package that a feature turns on.
struct Features(BTreeMap<String, BTreeMap<String, Vec<String>>>);

impl Features {
    fn read() -> anyhow::Result<Self> {
        let metadata = cargo(&["metadata", "--no-deps", "--format-version=1"])
            .output()
            .context("`cargo metadata` failed")?;
        let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
        let packages = metadata.get("packages").and_then(|list| list.as_array());
        let packages = packages.into_iter().flatten().filter_map(|package| {
            let features = serde_json::from_value(package.get("features")?.clone()).ok()?;
            Some((package.get("name")?.as_str()?.to_owned(), features))
        });
        Ok(Self(packages.collect()))
    }

    /// These features of a package, and all that they turn on.
    fn closed(&self, package: &str, chosen: &[&str]) -> BTreeSet<String> {
        let mut closed = BTreeSet::new();
        let mut open: Vec<_> = chosen.iter().map(|name| (*name).to_owned()).collect();
        while let Some(name) = open.pop() {
            // Another value turns on a dependency, or one of its features.
            let Some(more) = self.0.get(package).and_then(|all| all.get(&name)) else { continue };
            if closed.insert(name) {
                open.extend(more.iter().cloned());
            }
        }
        closed
    }

    fn line(&self, package: &str, code: Code, chosen: &[&str]) -> String {
        let features: Vec<_> = self.closed(package, chosen).into_iter().collect();
        format!("{package} {} {}\n", code.name(), features.join(","))
    }

    /// Each two features of a package, a line for each pair that is not one feature with all that it turns on.
    fn pairs(&self, package: &str) -> String {
        let names = self.0.get(package).into_iter().flat_map(|all| all.keys().map(String::as_str));
        let names: Vec<_> = names.filter(|name| *name != "default").collect();
        let of_a_kind = |name: &&&str| KINDS.iter().any(|kind| kind.contains(*name));
        let kinds = KINDS.iter().map(|kind| {
            let there = kind.iter().copied().filter(|name| names.contains(name));
            there.collect::<Vec<_>>()
        });
        // A kind of which the package has one feature counts no less alone.
        let one_each = names.iter().filter(|name| !of_a_kind(name)).map(|name| vec![*name]);
        let all: Vec<_> = kinds.chain(one_each).filter(|kind| !kind.is_empty()).collect();
        let alone: BTreeSet<_> =
            names.iter().map(|name| self.line(package, Code::Lib, &[*name])).collect();
        let mut pairs = BTreeSet::new();
        for (at, one) in all.iter().enumerate() {
            for other in all.iter().skip(at) {
                pairs.insert(self.line(package, Code::Lib, &[&one[..], other].concat()));
            }
        }
        pairs.difference(&alone).map(String::as_str).collect()
    }
}

/// The code of a package that is compiled with a combination of features.
#[derive(Clone, Copy, PartialEq)]
enum Code {
    Lib,
    Tests,
}

impl Code {
    fn name(self) -> &'static str {
        match self {
            Self::Lib => "lib",
            Self::Tests => "tests",
        }
    }
}

/// The variable that makes this program act as rustc. Its value has a line for each combination of features: the package,
/// which code of it, and the features.
const AS_RUSTC: &str = "VESTIARY_XTASK_AS_RUSTC";

/// Runs rustc, if cargo has started this program in place of it: first as cargo wants it, then with each combination of
/// features.
pub(crate) fn as_rustc() -> Option<anyhow::Result<ExitCode>> {
    let combinations = env::var(AS_RUSTC).ok()?;
    Some(run_rustc(&combinations, &env::args_os().skip(1).collect::<Vec<_>>()))
}

fn run_rustc(combinations: &str, args: &[OsString]) -> anyhow::Result<ExitCode> {
    let (rustc, args) = args.split_first().context("cargo names no compiler")?;
    let compiles = |args: &[OsString]| {
        let status = Command::new(rustc).args(args).env_remove(AS_RUSTC).status();
        anyhow::Ok(status.context("`rustc` could not be started")?.success())
    };
    if !compiles(args)? {
        return Ok(ExitCode::FAILURE);
    }
    // Cargo also asks for the version, without a package.
    let package = env::var("CARGO_PKG_NAME").unwrap_or_default();
    let code = if args.iter().any(|arg| arg == "--test") { Code::Tests } else { Code::Lib };
    let chosen = format!("{package} {} ", code.name());
    for features in combinations.lines().filter_map(|line| line.strip_prefix(&chosen)) {
        eprintln!("     Checking {package}, {}, with [{features}]", code.name());
        if !compiles(&with_features(args, features))? {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The arguments of rustc to check the same code with other features. What it writes goes into a folder of its own.
fn with_features(args: &[OsString], features: &str) -> Vec<OsString> {
    let mut changed = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.to_str().unwrap_or_default() {
            option @ ("--cfg" | "-C" | "--out-dir") => {
                let Some(value) = args.next() else { break };
                let text = value.to_str().unwrap_or_default();
                if text.starts_with("feature=") || text.starts_with("incremental=") {
                    continue;
                }
                changed.push(arg.clone());
                changed.push(if option == "--out-dir" {
                    Path::new(value).with_file_name("features").into()
                } else {
                    value.clone()
                });
            }
            emit if emit.starts_with("--emit=") => changed.push("--emit=metadata".into()),
            // Cargo would take the file for the one that it waits for.
            json if json.starts_with("--json=") => {
                changed.push(json.replace(",artifacts", "").into());
            }
            _ => changed.push(arg.clone()),
        }
    }
    for name in features.split(',').filter(|name| !name.is_empty()) {
        changed.extend(["--cfg".into(), format!("feature=\"{name}\"").into()]);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features() -> Features {
        let of = |all: &[(&str, &[&str])]| {
            let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            all.iter().map(|(name, more)| ((*name).to_owned(), list(more))).collect()
        };
        let store = of(&[
            ("axum", &["dep:http"]),
            ("clock", &[]),
            ("default", &["axum"]),
            ("mysql", &["dep:sqlx", "tokio"]),
            ("testing", &[]),
            ("tokio", &["dep:tokio", "sqlx?/tokio"]),
        ]);
        Features([("store".to_owned(), store)].into())
    }

    #[test]
    fn a_feature_turns_on_others_of_its_package_only() {
        let features = features();
        assert_eq!(features.line("store", Code::Tests, &["mysql"]), "store tests mysql,tokio\n");
        assert_eq!(features.line("store", Code::Lib, &[]), "store lib \n");
    }

    #[test]
    fn each_two_features_meet_but_for_those_of_one_kind() {
        let wanted = [
            "store lib axum,clock\n",
            "store lib axum,clock,mysql,tokio\n",
            "store lib axum,clock,testing\n",
            "store lib axum,clock,tokio\n",
            "store lib mysql,testing,tokio\n",
            "store lib testing,tokio\n",
        ];
        assert_eq!(features().pairs("store"), wanted.concat());
    }

    #[test]
    fn the_compiler_gets_other_features_and_writes_elsewhere() {
        let args = "--crate-name it --json=diagnostic-rendered-ansi,artifacts,future-incompat \
                    --emit=dep-info,metadata --cfg feature=\"a\" --cfg plain -C metadata=1 \
                    -C incremental=target/i --check-cfg cfg(feature) --out-dir target/debug/deps";
        let args: Vec<_> = args.split_whitespace().map(OsString::from).collect();
        let wanted = "--crate-name it --json=diagnostic-rendered-ansi,future-incompat \
                      --emit=metadata --cfg plain -C metadata=1 --check-cfg cfg(feature) \
                      --out-dir target/debug/features";
        let none: Vec<_> = wanted.split_whitespace().map(OsString::from).collect();
        assert_eq!(with_features(&args, ""), none);
        let more = ["--cfg", "feature=\"b\"", "--cfg", "feature=\"c\""].map(OsString::from);
        assert_eq!(with_features(&args, "b,c"), [&none[..], &more].concat());
    }
}
