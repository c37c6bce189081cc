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
    /// Add the documentation of the Rust API, under `/api/rust`
    #[arg(long)]
    with_api: bool,
}

/// The app that makes the site, and the folder in it with the result.
pub(crate) const SITE: &str = "docs/site";
const BUILT: &str = "docs/site/build";

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let progress = Progress::new("docs", if args.with_api { 7 } else { 6 });
    let tools = tools::set_up(&progress)?;
    // The cookie inspector runs the core of the package.
    wasm::build(&progress, &tools)?;
    npm::build(&progress, &tools)?;
    let port = demo::free_port(args.port)?.to_string();
    let vite = |command: &str| {
        tools.bin("vite").args([command, "--port", &port, "--strictPort"]).within(SITE)
    };
    if args.dev && !args.no_serve {
        return vite("dev").shown();
    }
    progress.step("the site", |log| build(log, &tools))?;
    if args.with_api {
        progress.step("the Rust API", rust_api)?;
    }
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

/// Adds what rustdoc makes of the public crates.
fn rust_api(log: &Log) -> anyhow::Result<()> {
    let target = root().join("target/docs");
    let crates = ["-p", "vestiary", "-p", "vestiary-store", "-p", "vestiary-tower"];
    cargo(&["doc", "--locked", "--no-deps", "--all-features"])
        .args(crates)
        .args(["--target-dir"])
        .args([&target])
        .logged(log)?;
    let api = root().join(BUILT).join("api");
    fs::create_dir_all(&api)?;
    fs::rename(target.join("doc"), api.join("rust"))?;
    Ok(())
}
