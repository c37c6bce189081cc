pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod inspect;
pub(crate) mod licenses;
pub(crate) mod ls;
pub(crate) mod migrate;
pub(crate) mod migrate_schema;
pub(crate) mod revoke;
pub(crate) mod schema;
pub(crate) mod secret;
pub(crate) mod show;
pub(crate) mod stats;

use crate::{
    cli::Command,
    failure::{Failure, Verdict},
    output::Output,
};

pub(crate) async fn run(command: &Command, output: &mut Output) -> Result<Verdict, Failure> {
    match command {
        Command::Secret(args) => secret::run(args, output),
        Command::Inspect(args) => inspect::run(args, output).await,
        Command::Ls(args) => ls::run(args, output).await,
        Command::Show(args) => show::run(args, output).await,
        Command::Revoke(args) => revoke::run(args, output).await,
        Command::Stats(args) => stats::run(args, output).await,
        Command::Migrate(args) => migrate::run(args, output).await,
        Command::Schema(args) => schema::run(args, output),
        Command::MigrateSchema(args) => migrate_schema::run(args, output).await,
        Command::Doctor(args) => doctor::run(args, output).await,
        Command::Completions(args) => completions::run(args, output),
        Command::Licenses => licenses::run(output),
    }
}
