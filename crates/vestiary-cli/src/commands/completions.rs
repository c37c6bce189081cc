use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{
    cli::Cli,
    failure::{Failure, Verdict},
    output::Output,
};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// For example: `vestiary completions bash > /etc/bash_completion.d/vestiary`
    shell: Shell,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Verdict, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "vestiary", &mut script);
    output.bytes(&script)?;
    Ok(Verdict::Yes)
}
