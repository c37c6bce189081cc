mod mysql;
mod postgres;
mod probe;
mod redis;
mod sqlite;

use serde_json::{Value, json};

use crate::{
    failure::{Failure, Verdict},
    output::{Output, counted},
    store::{OpenStore, Server, StoreArgs},
};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Exit with 1 on warnings, too
    #[arg(long)]
    strict: bool,
}

pub(crate) async fn run(args: &Args, output: &mut Output) -> Result<Verdict, Failure> {
    let store = OpenStore::open(&args.store).await?;
    let mut checks = vec![Check::ok("connection", &store.name)];
    match &store.server {
        Server::Redis(server) => redis::check(server, &mut checks).await?,
        Server::Sqlite(pool, journal) => sqlite::check(pool, journal, &mut checks).await?,
        Server::Postgres(pool) => postgres::check(pool, &store.table, &mut checks).await?,
        Server::MySql(pool) => mysql::check(pool, &store.table, &mut checks).await?,
    }
    checks.extend(store.is_pooled().await?.map(|pooled| {
        let found = if pooled {
            "present, so each operation is a transaction: three more round trips"
        } else {
            "none, or in session mode"
        };
        Check::ok("pooler", found)
    }));
    probe::check(&store, &mut checks).await?;

    for check in &checks {
        let Check { name, state, finding, advice } = check;
        output.line(format_args!("{:<5} {name:<14} {finding}", state.name()))?;
        if let Some(advice) = advice {
            output.line(format_args!("{:<20} → {advice}", ""))?;
        }
    }
    let count = |state: State| checks.iter().filter(|check| check.state == state).count();
    let [warnings, failures] = [count(State::Warn), count(State::Fail)];
    let good = failures == 0 && (warnings == 0 || !args.strict);
    let numbers = [(checks.len(), "check"), (warnings, "warning"), (failures, "failure")];
    let numbers = numbers.map(|(count, thing)| counted(count as u64, thing));
    output.line(numbers.join(", "))?;
    let documents: Vec<Value> = checks.iter().map(Check::document).collect();
    output.document(&json!({
        "checks": documents, "warnings": warnings, "failures": failures, "good": good,
    }))?;
    Ok(Verdict::of(good))
}

/// The result of one check.
pub(crate) struct Check {
    name: &'static str,
    state: State,
    finding: String,
    /// The advice, unless all is well.
    advice: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Ok,
    Warn,
    Fail,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

impl Check {
    fn ok(name: &'static str, finding: impl Into<String>) -> Self {
        Self { name, state: State::Ok, finding: finding.into(), advice: None }
    }

    fn warn(name: &'static str, finding: impl Into<String>, advice: &'static str) -> Self {
        Self { name, state: State::Warn, finding: finding.into(), advice: Some(advice) }
    }

    fn fail(name: &'static str, finding: impl Into<String>, advice: &'static str) -> Self {
        Self { name, state: State::Fail, finding: finding.into(), advice: Some(advice) }
    }

    fn document(&self) -> Value {
        json!({
            "name": self.name,
            "state": self.state.name().to_ascii_lowercase(),
            "finding": self.finding,
            "advice": self.advice,
        })
    }
}

/// Compares the clock of a server with this machine's, read before and after the server's, in milliseconds.
fn clocks(before: u64, server: u64, after: u64) -> Check {
    let off = if server < before { before - server } else { server.saturating_sub(after) };
    let finding = format!("the server's clock differs by {off} ms from this machine's");
    if off <= 1_000 {
        Check::ok("clock", finding)
    } else {
        let advice = "synchronise both by NTP: TTLs and timeouts depend on them";
        Check::warn("clock", finding, advice)
    }
}

/// The current time on this machine.
fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the clock itself is what is looked at")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_may_differ_by_as_much_as_the_answer_took() {
        for (before, server, after, state) in [
            (10_000, 10_500, 11_000, State::Ok),
            (10_000, 9_000, 10_001, State::Ok),
            (10_000, 8_999, 10_001, State::Warn),
            (10_000, 11_002, 10_001, State::Warn),
        ] {
            assert_eq!(clocks(before, server, after).state, state, "{before} {server} {after}");
        }
    }
}
