//! `cargo xtask test`: runs every check, in lanes at the same time. Each lane begins with the checks that fail fastest. The
//! crates keep the processor busy; the npm package and the tests of the crates spend much of their time waiting for
//! downloads, servers and browsers.

use std::{
    ffi::OsStr,
    path::PathBuf,
    sync::mpsc::{self, Receiver, Sender},
};

use anyhow::Context as _;
use clap::Args as ClapArgs;

use crate::{
    bench, demo, docs, lanes, npm,
    progress::{Log, NotStarted, Progress},
    root,
    rust::{self, Exchange, Servers},
    tidy,
    tools::{self, Compiler, Tools},
    wasm,
};

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Skip the tests in a browser and in fresh SvelteKit apps, which take some minutes
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let progress = Progress::new("test", if args.quick { 26 } else { 48 });
    let result = all(&progress, args.quick);
    println!("\n{}\n{:>7}          in all\n", progress.table(), progress.seconds());
    println!("{} passed, {} failed", progress.passed(), progress.failed());
    if progress.failed() > 0 {
        println!("\n{}\n", progress.failures());
    }
    result
}

fn all(progress: &Progress, quick: bool) -> anyhow::Result<()> {
    progress.check("rustfmt", rust::formatted)?;
    progress.check("tidy", tidy::check)?;
    // Both lanes compile for WebAssembly.
    progress.step("Rust target wasm32-unknown-unknown", tools::wasm_target)?;
    if quick {
        return lanes::both(
            || rust::checks(progress, None),
            || {
                let tools = tools::with_node(progress)?.compiling_once();
                let package = package(progress, &tools)?;
                package.install_packed()?;
                package.checks()
            },
        );
    }
    let (to_rust, servers) = mpsc::channel();
    let (service, from_rust) = mpsc::channel();
    lanes::both(
        || rust::checks(progress, Some(Exchange { servers, service })),
        || with_servers(progress, &to_rust, &from_rust),
    )
}

/// The npm package, packed.
struct Package<'a> {
    progress: &'a Progress,
    tools: &'a Tools,
    tarball: PathBuf,
}

fn package<'a>(progress: &'a Progress, tools: &'a Tools) -> anyhow::Result<Package<'a>> {
    wasm::build(progress, tools)?;
    let tarball = npm::build(progress, tools)?;
    npm::build_add_on(progress, tools)?;
    Ok(Package { progress, tools, tarball })
}

impl Package<'_> {
    /// SvelteKit makes the tsconfig of the examples, which the checks of their TypeScript need.
    fn install_packed(&self) -> anyhow::Result<()> {
        let Self { progress, tools, tarball } = self;
        progress.step("the packed package into examples and benchmarks", |log| {
            npm::install(log, tarball, &npm::EXAMPLES)?;
            npm::install(log, tarball, &[bench::FOLDER])?;
            each_example(|example| {
                tools.bin("svelte-kit").args(["sync"]).within(example).logged(log)
            })
        })
    }

    /// The checks that need neither servers nor a browser.
    fn checks(&self) -> anyhow::Result<()> {
        let Self { progress, tools, tarball } = self;
        // It would walk through all of the folder before it ignores it: a third of its time.
        let all = ["--check", ".", "!target/**"];
        progress.check("prettier", |log| tools.bin("prettier").args(all).logged(log))?;
        progress.check("eslint", |log| tools.bin("eslint").args(["."]).logged(log))?;
        progress.check("types", |log| {
            // The native compiler takes a third of the time. What an application sees is checked with the other one, too.
            let package = "packages/vestiary";
            // Each of the last three has its own declarations of the data's type.
            let visible = ["test-d", "test-d/schema", "test-d/options"];
            let visible = visible.map(|folder| format!("{package}/{folder}"));
            let folders = [package, npm::ADD_ON, bench::FOLDER];
            for project in visible.iter().map(String::as_str).chain(folders) {
                tools.tsc(Compiler::Native).args(["-p", project]).logged(log)?;
            }
            tools.tsc(Compiler::JavaScript).args(["-p", &visible[0]]).logged(log)
        })?;
        progress.check("links of the TypeScript API", |log| docs::check_api(log, tools))?;
        progress.tests("TypeScript tests", |log| {
            vitest(log, tools, "packages/vestiary", &["--project", "unit"], &[])
        })?;
        progress.tests("the add-on for sv, unit tests", |log| {
            vitest(log, tools, npm::ADD_ON, &["--project", "unit"], &[])
        })?;
        progress.tests("the benchmarks' own tests", |log| {
            vitest(log, tools, bench::FOLDER, &[], &[])
        })?;
        progress.check("publint", |log| {
            tools.bin("publint").args(["--strict"]).args([tarball]).logged(log)
        })?;
        progress.check("attw", |log| {
            tools.bin("attw").args(["--profile", "esm-only"]).args([tarball]).logged(log)
        })
    }

    fn stores(&self, servers: &Servers) -> anyhow::Result<()> {
        let Self { progress, tools, .. } = self;
        let libsql = progress.step("libSQL", |log| tools::libsql_server(log, tools))?;
        let env = [&servers.env()[..], &[("SQLD_SERVER", libsql.as_os_str())]].concat();
        progress.tests("stores against real servers", |log| {
            vitest(log, tools, "packages/vestiary", &["--project", "stores"], &env)
        })
    }

    fn benchmarks(&self, servers: &Servers) -> anyhow::Result<()> {
        let Self { progress, tools, .. } = self;
        progress.tests("benchmarks, smoke", |log| bench::smoke(log, tools, &servers.env()))
    }

    /// The tests with a browser. Those of new apps take as long as all others together.
    fn apps(&self, servers: &Servers, service: &Receiver<PathBuf>) -> anyhow::Result<()> {
        let Self { progress, tools, tarball } = self;
        let chromium = progress.step("Chromium", tools::chromium)?;
        let Servers { redis, postgres, .. } = servers;
        let env = [
            ("CHROMIUM", chromium.as_os_str()),
            ("REDIS_SERVER", redis.as_os_str()),
            ("POSTGRES_BIN", postgres.as_os_str()),
            ("VESTIARY_TARBALL", tarball.as_os_str()),
        ];
        let in_new_apps = || {
            progress.tests("package in SvelteKit, on the edge, and alone", |log| {
                vitest(log, tools, "packages/vestiary", &["--project", "runtimes"], &env)
            })
        };
        lanes::both(in_new_apps, || self.site_and_examples(&env, service))
    }

    fn site_and_examples(
        &self,
        env: &[(&str, &OsStr)],
        service: &Receiver<PathBuf>,
    ) -> anyhow::Result<()> {
        let Self { progress, tools, .. } = self;
        progress.check("examples, types", |log| {
            each_example(|example| {
                tools.bin("svelte-check").args(["--fail-on-warnings"]).within(example).logged(log)
            })
        })?;
        progress.step("the site of the documentation", |log| docs::build(log, tools))?;
        progress.tests("the site in Chromium", |log| vitest(log, tools, docs::SITE, &[], env))?;
        let [one, other, with_service] = npm::EXAMPLES;
        self.example(one, env)?;
        self.example(other, env)?;
        progress.tests("the commands of the tutorial, by sv", |log| {
            vitest(log, tools, npm::ADD_ON, &["--project", "tutorial"], env)
        })?;
        // The lane of the crates has built the service by now.
        let service = service.recv().map_err(|_| NotStarted)?;
        let env = [env, &[("SHARED_LOGIN_API", service.as_os_str())]].concat();
        self.example(with_service, &env)
    }

    /// Builds an example, and tests it in Chromium. Two steps.
    fn example(&self, example: &str, env: &[(&str, &OsStr)]) -> anyhow::Result<()> {
        let Self { progress, tools, .. } = self;
        let [port, provider_port] = demo::two_free_ports()?;
        demo::build_app(progress, tools, example, &format!("http://localhost:{port}"))?;
        progress.tests(&format!("{example} in Chromium"), |log| {
            let ports = [("PORT", port.as_ref()), ("PROVIDER_PORT", provider_port.as_ref())];
            vitest(log, tools, example, &[], &[env, &ports].concat())
        })
    }
}

/// The lane of the npm package.
fn with_servers(
    progress: &Progress,
    to_rust: &Sender<Servers>,
    service: &Receiver<PathBuf>,
) -> anyhow::Result<()> {
    let tools = tools::with_node(progress)?.compiling_once();
    let package = package(progress, &tools)?;
    // The servers come first, because the other lane waits for them.
    let redis = progress.step("Redis", tools::redis_server)?;
    let valkey = progress.step("Valkey", tools::valkey_server)?;
    let postgres = progress.step("Postgres", tools::postgres)?;
    let pgbouncer = progress.step("PgBouncer", tools::pgbouncer)?;
    let mariadb = progress.step("MariaDB", tools::mariadb)?;
    // The receiver is gone only if the other lane has failed, which the next step notices.
    let servers = Servers { redis, valkey, postgres, pgbouncer, mariadb };
    let _ = to_rust.send(servers.clone());
    package.install_packed()?;
    // Those with a browser and fresh SvelteKit apps take the longest, and wait a lot. Those of the stores wait, too.
    let stores = || {
        package.stores(&servers)?;
        // Not at the same time: the faults of the stores' tests free ports that a benchmark's server could get.
        package.benchmarks(&servers)
    };
    lanes::both(|| package.checks(), || lanes::both(stores, || package.apps(&servers, service)))
}

fn each_example(mut work: impl FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    npm::EXAMPLES.into_iter().try_for_each(&mut work)
}

/// Runs the tests of a folder, and returns the number that passed.
pub(crate) fn vitest(
    log: &Log,
    tools: &Tools,
    folder: &str,
    args: &[&str],
    env: &[(&str, &OsStr)],
) -> anyhow::Result<usize> {
    // The projects of a folder may run at the same time.
    let name = [&[folder], args].concat().join("-").replace('/', "-");
    let report = root().join("target/xtask").join(format!("{name}.json"));
    let output = format!("--outputFile.json={}", report.display());
    let run = tools
        .bin("vitest")
        .args(["run", "--reporter=verbose", "--reporter=json", &output])
        .args(args)
        .within(folder);
    run.envs(env).logged(log)?;

    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report)?)?;
    let count = |name: &str| report.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let passed = count("numPassedTests");
    anyhow::ensure!(count("numPendingTests") + count("numTodoTests") == 0, "a test was skipped");
    anyhow::ensure!(passed > 0, "no test ran");
    usize::try_from(passed).context("too many tests")
}
