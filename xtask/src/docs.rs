//! `cargo xtask docs`: the documentation as a site.

use std::fs;

use clap::Args as ClapArgs;

use crate::{
    demo, npm,
    progress::{Log, Progress},
    root,
    run::cargo,
    tools::{self, Tools},
    wasm,
};

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The port; if it is busy, a free one is used
    #[arg(long, default_value_t = 5000)]
    port: u16,
    /// Serve with `vite dev`, which shows each change of a page at once, but has no search
    #[arg(long)]
    dev: bool,
    /// Build without serving
    #[arg(long)]
    no_serve: bool,
    /// Add the references of the TypeScript API and of the Rust API, under `/api`. Rust takes some minutes
    #[arg(long)]
    with_api: bool,
}

/// The app that makes the site, and the folder in it with the result.
pub(crate) const SITE: &str = "docs/site";
const BUILT: &str = "docs/site/build";
/// The references of the APIs, which the app serves as they are.
const API: &str = "docs/site/static/api";

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let progress = Progress::new("docs", if args.with_api { 9 } else { 7 });
    let tools = tools::set_up(&progress)?;
    // The cookie inspector runs the core of the package.
    wasm::build(&progress, &tools)?;
    npm::build(&progress, &tools)?;
    // Of another run, whose packages were other ones.
    if root().join(API).exists() {
        fs::remove_dir_all(root().join(API))?;
    }
    let port = demo::free_port(args.port)?.to_string();
    let vite = |command: &str| {
        tools.bin("vite").args([command, "--port", &port, "--strictPort"]).within(SITE)
    };
    if args.with_api {
        progress.step("the TypeScript API", |log| typescript_api(log, &tools))?;
        progress.step("the Rust API", rust_api)?;
    }
    if args.dev && !args.no_serve {
        return vite("dev").shown();
    }
    progress.step("the site", |log| build(log, &tools))?;
    println!("\nThe site is in {BUILT}");
    if args.no_serve {
        return Ok(());
    }
    println!("It is served at http://localhost:{port} (stop it with Ctrl-C)\n");
    vite("preview").shown()
}

/// Builds the site and the index of its search. A link to a page or heading that does not exist is an error.
pub(crate) fn build(log: &Log, tools: &Tools) -> anyhow::Result<()> {
    tools.bin("vite").args(["build"]).within(SITE).logged(log)?;
    tools.bin("pagefind").args(["--site", "build", "--quiet"]).within(SITE).logged(log)
}

/// Writes the reference of the TypeScript API. A link to a name that does not exist is an error.
fn typescript_api(log: &Log, tools: &Tools) -> anyhow::Result<()> {
    tools.bin("typedoc").within("packages/vestiary").logged(log)
}

/// Checks the links of the reference of the TypeScript API, without writing it.
pub(crate) fn check_api(log: &Log, tools: &Tools) -> anyhow::Result<()> {
    tools.bin("typedoc").args(["--emit", "none"]).within("packages/vestiary").logged(log)
}

/// Adds what rustdoc makes of the public crates, after the other reference.
fn rust_api(log: &Log) -> anyhow::Result<()> {
    let target = root().join("target/docs");
    let crates = ["-p", "vestiary", "-p", "vestiary-store", "-p", "vestiary-tower"];
    cargo(&["doc", "--locked", "--no-deps", "--all-features"])
        .args(crates)
        .args(["--target-dir"])
        .args([&target])
        .logged(log)?;
    fs::rename(target.join("doc"), root().join(API).join("rust"))?;
    Ok(())
}
