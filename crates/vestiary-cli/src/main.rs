//! `vestiary`: inspects session stores, ends sessions, migrates them, and diagnoses problems.
#![forbid(unsafe_code)]

mod address;
mod cli;
mod commands;
mod description;
mod failure;
mod locate;
mod output;
mod secrets;
mod service;
mod store;
mod time;
mod usage;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{cli::Cli, failure::Failure, output::Output};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let Some(failure) = usage::failure(&error) else {
                // It fails if the reader has closed the pipe, which needs no message.
                let _ = error.print();
                return ExitCode::from(if error.use_stderr() { failure::USAGE } else { 0 });
            };
            let json = std::env::args_os().any(|argument| argument == "--json");
            let mut output = Output::new(json, false);
            let _ = output.failed(&failure).and_then(|()| output.finish());
            return ExitCode::from(failure.exit_code());
        }
    };
    let mut output = Output::new(cli.json, cli.show_ids);
    let done = run(&cli, &mut output).and_then(|verdict| {
        output.finish()?;
        Ok(verdict)
    });
    match done {
        Ok(verdict) => ExitCode::from(verdict.exit_code()),
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let _ = output.failed(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: &Cli, output: &mut Output) -> Result<failure::Verdict, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::Output)?.block_on(commands::run(&cli.command, output))
}
