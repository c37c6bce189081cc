//! `cargo xtask sv`: makes an app with `sv create` and the add-on for each store, language and version of SvelteKit, checks
//! and builds it, and logs in with Chromium. One such app is a part of `cargo xtask test`.

use clap::Args as ClapArgs;

use crate::{npm, progress::Progress, test::vitest, tools, wasm};

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Only the apps whose name contains this
    only: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let progress = Progress::new("sv", 13);
    let tools = tools::set_up(&progress)?;
    wasm::build(&progress, &tools)?;
    let tarball = npm::build(&progress, &tools)?;
    npm::build_add_on(&progress, &tools)?;
    // The tests start the browser and the provider of these examples, whose tsconfig SvelteKit makes.
    progress.step("the examples with the tests' browser and provider", |log| {
        npm::EXAMPLES.iter().try_for_each(|example| {
            tools.bin("svelte-kit").args(["sync"]).within(example).logged(log)
        })
    })?;
    let redis = progress.step("Redis", tools::redis_server)?;
    let postgres = progress.step("Postgres", tools::postgres)?;
    let mariadb = progress.step("MariaDB", tools::mariadb)?;
    let chromium = progress.step("Chromium", tools::chromium)?;
    let only = args.only.clone().unwrap_or_default();
    let env = [
        ("CHROMIUM", chromium.as_os_str()),
        ("REDIS_SERVER", redis.as_os_str()),
        ("MARIADB_SERVER", mariadb.as_os_str()),
        ("POSTGRES_BIN", postgres.as_os_str()),
        ("SV_APPS", only.as_ref()),
        ("VESTIARY_TARBALL", tarball.as_os_str()),
    ];
    // A file may have no app of this name.
    let matrix = ["--project", "matrix", "--passWithNoTests"];
    progress.tests("apps by sv", |log| vitest(log, &tools, npm::ADD_ON, &matrix, &env))
}
