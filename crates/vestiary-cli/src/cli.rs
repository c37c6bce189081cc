use clap::{Parser, Subcommand};

use crate::commands::{
    completions, doctor, inspect, ls, migrate, migrate_schema, revoke, schema, secret, show, stats,
};

const ABOUT: &str = "Inspects session stores and cookies, ends sessions, copies stores, and finds problems.

Name the store with --store URL or VESTIARY_STORE. Every user of the machine can see the command line (`ps`). Put a URL \
with a password into the variable, and pass cookies and IDs on standard input, as `-`.";

const EXIT_CODES: &str = "Exit codes:
  0  yes, or done
  1  no, or a problem: not found, invalid, weak, different, or a check failed
  2  invalid arguments
  3  the store cannot be reached, or an operation failed";

/// The operator's tool for Vestiary.
#[derive(Debug, Parser)]
#[command(name = "vestiary", version, about = ABOUT, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    /// Print one JSON document
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Print IDs and keys in full. An ID and a secret to sign it are enough to use the session
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) show_ids: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a secret, or check how strong the secrets of the service are
    Secret(secret::Args),
    /// Show the contents of a cookie, and which secret has signed it
    ///
    /// With --store, also show the session in the store. Nothing is changed there.
    Inspect(inspect::Args),
    /// List sessions
    ///
    /// In the order of the store. In Redis, a session that the server moves meanwhile may be listed twice.
    Ls(ls::Args),
    /// Show one session
    Show(show::Args),
    /// End sessions: one, those of a user, or all
    ///
    /// The sessions end at once, even for requests in progress, and under any ID that a renewal has given them.
    Revoke(revoke::Args),
    /// Count sessions
    ///
    /// Reads every record, with little memory. In Redis, a record that the server moves meanwhile may be counted twice.
    Stats(stats::Args),
    /// Copy all records to another store
    ///
    /// Records are copied as they are, with their remaining TTL: sessions, users' session lists, and encrypted records.
    /// Nothing is removed from FROM, and nothing is overwritten at TO without --replace. Finally, every record that is
    /// alive at FROM is compared with TO.
    ///
    /// Changes at FROM during the copy are not followed. For an exact copy, stop the services first. Or switch them to
    /// TO first: visitors whose session is not copied yet are then logged out until it is.
    ///
    /// You can stop the copy at any time and run it again: it continues where it was. Put a URL with a password into
    /// `VESTIARY_FROM` or `VESTIARY_TO`.
    Migrate(migrate::Args),
    /// Print the SQL that creates the table of an SQL database
    Schema(schema::Args),
    /// Create the table of an SQL database and its index, unless they exist
    ///
    /// A missing file is created, too. Several processes may run it at once, for example when they deploy.
    MigrateSchema(migrate_schema::Args),
    /// Check a store: its version, its setup, whether it works as it must, and how fast it is
    ///
    /// The check writes under a key of its own, for a minute at most, and removes it.
    Doctor(doctor::Args),
    /// Print the completions for a shell
    Completions(completions::Args),
    /// Print the licenses of the software that this program contains
    Licenses,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
