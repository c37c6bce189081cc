//! `cargo xtask faults`: kills real servers and processes under load, or measures with `--streams` how soon streams end. See
//! `docs/explanation/reliability.md`. The tests of the stores include a short run of both.

use clap::Args as ClapArgs;

use crate::{demo, npm, progress::Progress, tools, wasm};

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The seconds for each scenario
    #[arg(default_value_t = 60)]
    seconds: u32,
    /// Continue each scenario until it has made so many requests
    #[arg(long)]
    requests: Option<u32>,
    /// The seconds after which a scenario ends without that number of requests: at most 500
    #[arg(long, default_value_t = 500)]
    longest: u32,
    /// The seed of another run, to repeat what its requests did, though not when
    #[arg(long)]
    seed: Option<u32>,
    /// Write the table and the plot to docs/
    #[arg(long)]
    write: bool,
    /// Measure instead how soon streams end with their sessions
    #[arg(long, conflicts_with = "requests")]
    streams: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let progress = Progress::new("faults", if args.streams { 12 } else { 11 });
    let tools = tools::set_up(&progress)?;
    wasm::build(&progress, &tools)?;
    npm::build(&progress, &tools)?;
    let redis = progress.step("Redis", tools::redis_server)?;
    let postgres = progress.step("Postgres", tools::postgres)?;
    let pgbouncer = progress.step("PgBouncer", tools::pgbouncer)?;
    let mariadb = progress.step("MariaDB", tools::mariadb)?;
    let libsql = progress.step("libSQL", |log| tools::libsql_server(log, &tools))?;
    let mut options = Vec::new();
    if !args.streams {
        options.push(format!("--seconds={}", args.seconds));
        options.push(format!("--longest={}", args.longest));
        options.extend(args.requests.map(|requests| format!("--requests={requests}")));
        options.extend(args.seed.map(|seed| format!("--seed={seed}")));
    }
    options.extend(args.write.then(|| "--write".to_owned()));
    let mut env = vec![
        ("REDIS_SERVER", redis),
        ("POSTGRES_BIN", postgres),
        ("PGBOUNCER", pgbouncer),
        ("MARIADB_SERVER", mariadb),
        ("SQLD_SERVER", libsql),
    ];
    if args.streams {
        let service = progress.step("the Rust service", demo::shared_login_api)?;
        env.push(("SHARED_LOGIN_API", service));
    }
    let program = if args.streams { "streams.ts" } else { "run.ts" };
    let program = format!("packages/vestiary/test/faults/{program}");
    println!();
    let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
    tools.program("node").args([program]).args(options).envs(&env).shown()
}
