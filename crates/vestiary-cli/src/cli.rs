use clap::{Parser, Subcommand};

use crate::commands::{completions, doctor, inspect, ls, migrate, revoke, secret, show, stats};

const ABOUT: &str = "Looks into session stores, ends sessions, moves them, and says what is wrong.

The store is named by --store URL or VESTIARY_STORE. A URL with a password, a cookie and an ID on the command \
line can be seen by every user of the machine (`ps`): use the variable, and `-` for standard input.";

const EXIT_CODES: &str = "Exit codes:
  0  yes, or done
  1  no, or there is a problem: not found, not genuine, weak, different, a check that failed
  2  the arguments make no sense
  3  the store cannot be reached, or did not do what it was asked";

/// The operator's tool for Vestiary.
#[derive(Debug, Parser)]
#[command(name = "vestiary", version, about = ABOUT, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    /// Print one JSON document
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Print IDs and keys in full: whoever has an ID, and can sign it, has the session
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) show_ids: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a secret, or say how strong those of the service are
    Secret(secret::Args),
    /// Say what is in a cookie, which secret has signed it, and what the store knows of it
    ///
    /// With --store, also what the store knows. It changes nothing there.
    Inspect(inspect::Args),
    /// List sessions
    ///
    /// In the order of the store. In Redis, one that is moved while it is listed may be there twice.
    Ls(ls::Args),
    /// Show one session
    Show(show::Args),
    /// End sessions: one, those of a user, or all
    ///
    /// What is ended is over at once, also for requests that are under way, and wherever a renewal has put it.
    Revoke(revoke::Args),
    /// Count sessions
    ///
    /// Looks at every record, with little memory. In Redis, what is moved meanwhile may be counted twice.
    Stats(stats::Args),
    /// Copy all records to another store
    ///
    /// Records are copied as they are, with what is left of their lives; also the lists of users, and what is
    /// encrypted. Nothing is removed from FROM, and nothing is written over at TO unless --replace says so. In the
    /// end, every record that is alive at FROM is looked for at TO.
    ///
    /// What changes at FROM meanwhile is not followed. For an exact copy, stop the services first; or switch them to
    /// TO first, and whoever was not copied yet is logged out until then.
    ///
    /// It can be stopped at any time, and goes on where it was. A URL with a password is better in `VESTIARY_FROM` and
    /// `VESTIARY_TO`.
    Migrate(migrate::Args),
    /// Check a store: what it is, how it is set up, whether it keeps its promises, how fast it is
    ///
    /// What it writes for that is under a key of its own, lives a minute at most, and is removed.
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
