//! `cargo xtask demo`.

use std::{fs, net::TcpListener, path::PathBuf};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args as ClapArgs, ValueEnum};

use crate::{
    npm,
    progress::{Log, Progress},
    root,
    run::{Run, cargo},
    tools, wasm,
};

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The demo to serve
    #[arg(value_enum, default_value_t = Which::Sveltekit)]
    which: Which,
    /// The port; if it is busy, a free one is used
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Serve with `vite dev` instead of the production build
    #[arg(long)]
    dev: bool,
    /// Set up and build without serving
    #[arg(long)]
    no_serve: bool,
    /// The store of `shared-login`: `sqlite:FILE` or `redis://HOST`
    #[arg(long, default_value = "sqlite:../../target/shared-login.db")]
    store: String,
}

#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
enum Which {
    /// The demo, in Node.js
    Sveltekit,
    /// A login with OpenID Connect, and a provider for it
    OpenidConnect,
    /// The demo on Cloudflare Workers: in workerd, with sessions in Durable Objects
    Workers,
    /// SvelteKit and axum on one origin, with one login for both
    SharedLogin,
}

/// The name of the program in the Rust half of `examples/shared-login`.
pub(crate) const SHARED_LOGIN_API: &str = "shared-login-api";

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let steps = match args.which {
        Which::SharedLogin | Which::OpenidConnect => 9,
        Which::Sveltekit | Which::Workers => 8,
    };
    let progress = Progress::new("demo", steps);
    let tools = tools::set_up(&progress)?;
    let port = free_port(args.port)?;
    if args.which == Which::Workers {
        return workers(&progress, &tools, port, args.no_serve);
    }
    let origin = format!("http://localhost:{port}");
    if args.which == Which::SharedLogin {
        return shared_login(&progress, &tools, &origin, args);
    }
    let with_provider = args.which == Which::OpenidConnect;
    let example = if with_provider { "examples/openid-connect" } else { "examples/sveltekit" };
    build(&progress, &tools, example, &origin)?;
    let other = format!("http://localhost:{}", free_port(args.port.saturating_add(1))?);
    if with_provider {
        build_as(&progress, &tools, example, &other, OTHER_APP)?;
    }
    if args.no_serve {
        return Ok(());
    }
    println!("\nThe demo is at {origin} (any name logs in; stop it with Ctrl-C)\n");
    let server = server(&tools, "build", &origin, args.dev)
        .within(example)
        .env("SESSION_SECRET", throwaway_secret()?);
    if !with_provider {
        return server.shown();
    }
    let issuer_port = free_port(4000)?.to_string();
    println!("The other app at the same provider is at {other}\n");
    let provider = provider(&tools, &issuer_port, &origin, &other).started()?;
    let with = |server: Run, id: &str, name: &str, other: &str| {
        server
            .env("OIDC_ISSUER", format!("http://127.0.0.1:{issuer_port}"))
            .env("OIDC_CLIENT_ID", id)
            .env("OIDC_CLIENT_SECRET", "known-to-every-reader")
            .env("APP_NAME", name)
            .env("OTHER_APP", other)
    };
    let second = self::server(&tools, OTHER_APP, &other, false)
        .within(example)
        .env("SESSION_SECRET", throwaway_secret()?);
    let second = with(second, "lost-and-found", "Lost and found", &origin).started()?;
    let ended = with(server, "cloakroom", "The cloakroom", &other).shown();
    drop((second, provider));
    ended
}

/// The folder of the second app of `examples/openid-connect`, which is built for another address.
const OTHER_APP: &str = "build/other";

/// The command that serves an app: Vite, or the built server.
fn server(tools: &tools::Tools, program: &str, origin: &str, dev: bool) -> Run {
    let port = origin.rsplit(':').next().unwrap_or_default();
    if dev {
        let args = ["dev", "--port", port, "--strictPort"];
        return tools.bin("vite").args(args).env("NODE_ENV", "development");
    }
    let server = tools.program("node").args([program]).env("HOST", "127.0.0.1");
    server.env("PORT", port).env("ORIGIN", origin)
}

/// Builds and serves both halves of `examples/shared-login`. Six steps.
fn shared_login(
    progress: &Progress,
    tools: &tools::Tools,
    origin: &str,
    args: &Args,
) -> anyhow::Result<()> {
    let example = "examples/shared-login";
    build(progress, tools, example, origin)?;
    let service = progress.step("the Rust service", shared_login_api)?;
    if args.no_serve {
        return Ok(());
    }
    println!("\nThe demo is at {origin}, one half of it at {origin}/api (stop it with Ctrl-C)\n");
    let api = format!("http://127.0.0.1:{}", free_port(4000)?);
    let secret = throwaway_secret()?;
    let with = |run: Run| {
        let run = run.within(example).env("API", &api).env("SESSION_STORE", &args.store);
        run.env("SESSION_SECRET", &secret)
    };
    let service = with(Run::new(service)).started()?;
    let ended = with(server(tools, "serve.js", origin, args.dev)).shown();
    drop(service);
    ended
}

/// Compiles the Rust half of `examples/shared-login`. Returns the program.
pub(crate) fn shared_login_api(log: &Log) -> anyhow::Result<PathBuf> {
    cargo(&["build", "--locked", "-p", SHARED_LOGIN_API]).logged(log)?;
    Ok(shared_login_program())
}

pub(crate) fn shared_login_program() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("debug").join(SHARED_LOGIN_API).with_extension(std::env::consts::EXE_EXTENSION)
}

/// Assembles, builds and serves `examples/sveltekit-cloudflare`. Five steps.
fn workers(
    progress: &Progress,
    tools: &tools::Tools,
    port: u16,
    no_serve: bool,
) -> anyhow::Result<()> {
    let app = "target/demo-workers";
    wasm::build(progress, tools)?;
    let tarball = npm::build(progress, tools)?;
    progress.step("the demo on Workers: SvelteKit 2, wrangler and the packed package", |log| {
        let assemble = "examples/sveltekit-cloudflare/assemble.js";
        tools.program("node").args([assemble, app]).logged(log)?;
        tools.npm(&["install", "--no-audit", "--no-fund"]).args([&tarball]).within(app).logged(log)
    })?;
    progress.step("the demo on Workers, production build", |log| {
        tools.npm(&["run", "build"]).within(app).logged(log)
    })?;
    if no_serve {
        return Ok(());
    }
    let secret = format!("SESSION_SECRET={}\n", throwaway_secret()?);
    fs::write(root().join(app).join(".dev.vars"), secret)?;
    println!("\nThe demo is at http://localhost:{port} (any name logs in; stop it with Ctrl-C)\n");
    let port = port.to_string();
    let wrangler = root().join(app).join("node_modules/.bin/wrangler");
    tools
        .program(wrangler)
        .args(["dev", "--local", "--port", &port])
        .env("CI", "1")
        .env("WRANGLER_SEND_METRICS", "false")
        .within(app)
        .shown()
}

fn provider(tools: &tools::Tools, port: &str, app: &str, other: &str) -> Run {
    tools
        .program("node")
        .args(["provider/serve.ts", "--port", port, "--app", app, "--other", other])
        .within("examples/openid-connect")
}

/// Builds the package, and an example that uses it. Five steps.
fn build(
    progress: &Progress,
    tools: &tools::Tools,
    example: &str,
    origin: &str,
) -> anyhow::Result<()> {
    wasm::build(progress, tools)?;
    let tarball = npm::build(progress, tools)?;
    progress.step("the packed package into the examples", |log| {
        npm::install(log, &tarball, &npm::EXAMPLES)
    })?;
    build_app(progress, tools, example, origin)
}

/// Builds an example for production at `origin`. One step.
pub(crate) fn build_app(
    progress: &Progress,
    tools: &tools::Tools,
    example: &str,
    origin: &str,
) -> anyhow::Result<()> {
    build_as(progress, tools, example, origin, "build")
}

/// The same, into another folder of the example.
fn build_as(
    progress: &Progress,
    tools: &tools::Tools,
    example: &str,
    origin: &str,
    folder: &str,
) -> anyhow::Result<()> {
    progress.step(&format!("{example}, production build"), |log| {
        let build = tools.bin("vite").args(["build"]).env("ORIGIN", origin);
        build.env("BUILD", folder).within(example).logged(log)
    })
}

pub(crate) fn free_port(wanted: u16) -> anyhow::Result<u16> {
    let listener =
        TcpListener::bind(("127.0.0.1", wanted)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)));
    Ok(listener.context("no free port on 127.0.0.1")?.local_addr()?.port())
}

/// Two different free ports.
pub(crate) fn two_free_ports() -> anyhow::Result<[String; 2]> {
    let bind = || TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1");
    let (one, other) = (bind()?, bind()?);
    Ok([one.local_addr()?.port().to_string(), other.local_addr()?.port().to_string()])
}

/// Makes a secret for one run. The demo keeps its sessions in memory, so the secret need not outlive it.
fn throwaway_secret() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("no random source")?;
    Ok(STANDARD.encode(bytes))
}
