//! `cargo xtask demo`.

use std::net::TcpListener;

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args as ClapArgs;

use crate::{npm, progress::Progress, root, tools, wasm};

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Port to serve on; a free one is taken if it is busy
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Serve with `vite dev` instead of the production build
    #[arg(long)]
    dev: bool,
    /// Set up and build, but do not serve
    #[arg(long)]
    no_serve: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut progress = Progress::new("demo", 8);
    let tools = tools::set_up(&mut progress)?;
    let port = free_port(args.port)?;
    let origin = format!("http://localhost:{port}");
    build(&mut progress, &tools, &origin)?;
    if args.no_serve {
        return Ok(());
    }
    let secret = throwaway_secret()?;
    println!("\nThe demo is at {origin} (any name logs in; stop it with Ctrl-C)\n");
    let folder = root().join("examples/sveltekit");
    let port = port.to_string();
    let server = if args.dev {
        tools
            .bin("vite")
            .args(["dev", "--port", &port, "--strictPort"])
            .env("NODE_ENV", "development")
    } else {
        tools
            .program("node")
            .args(["build"])
            .env("HOST", "127.0.0.1")
            .env("PORT", &port)
            .env("ORIGIN", &origin)
    };
    server.within(folder).env("SESSION_SECRET", secret).shown()
}

/// Builds the package and the demo with it. Five steps.
fn build(progress: &mut Progress, tools: &tools::Tools, origin: &str) -> anyhow::Result<()> {
    wasm::build(progress, tools)?;
    let tarball = npm::build(progress, tools)?;
    progress
        .step("the packed package into the demo", |log| npm::install_into_example(log, &tarball))?;
    build_app(progress, tools, origin)
}

/// Builds the demo for production, to be served at `origin`. One step.
pub(crate) fn build_app(
    progress: &mut Progress,
    tools: &tools::Tools,
    origin: &str,
) -> anyhow::Result<()> {
    progress.step("demo, production build", |log| {
        tools
            .bin("vite")
            .args(["build"])
            .env("ORIGIN", origin)
            .within("examples/sveltekit")
            .logged(log)
    })
}

pub(crate) fn free_port(wanted: u16) -> anyhow::Result<u16> {
    let listener =
        TcpListener::bind(("127.0.0.1", wanted)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)));
    Ok(listener.context("no free port on 127.0.0.1")?.local_addr()?.port())
}

/// The demo keeps its sessions in memory, so its secret need not outlive it either.
fn throwaway_secret() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("no random source")?;
    Ok(STANDARD.encode(bytes))
}
