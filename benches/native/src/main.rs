//! The cost of sessions in Rust services: Vestiary beside its peers, and beside no sessions at all.
//!
//! `cargo run --release -- [--smoke] [--seed N] [--out FOLDER] [GROUP…]`

mod allocations;
mod app;
mod cases;
mod check;
mod groups;
mod harness;
mod instructions;
mod layer;
mod micro;
mod payload;
mod peers;
mod postgres;
mod report;
mod scale;
mod store;

use std::{path::PathBuf, process::ExitCode};

use lexopt::{Arg, Parser, ValueExt as _};

use crate::{
    allocations::Counting, cases::Case, groups::Group, peers::Peer, postgres::Postgres,
    scale::Subject,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The requested work.
enum Wanted {
    Groups(Run),
    /// One case of one peer, this many times: for valgrind and perf.
    One(Peer, Box<Case>, usize),
    /// A store with this many sessions, in this process.
    Fill(Subject, usize, u64),
}

/// Groups to run.
struct Run {
    groups: Vec<Group>,
    /// Only checks that everything works; its numbers are meaningless.
    smoke: bool,
    seed: u64,
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = wanted(Parser::from_env()).map_err(Into::into).and_then(run);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(wanted: Wanted) -> Result<(), Box<dyn std::error::Error>> {
    let run = match wanted {
        Wanted::Groups(run) => run,
        Wanted::One(peer, case, requests) => {
            let time = layer::one(peer, &case, requests);
            println!("{requests} requests in {time:?}");
            return Ok(());
        }
        Wanted::Fill(subject, sessions, seed) => {
            println!("{}", serde_json::to_string(&scale::fill(subject, sessions, seed))?);
            return Ok(());
        }
    };
    println!("seed {}", run.seed);
    println!("checked that the work is done: {} times", check::check(&Peer::ALL)?);
    let mut random = fastrand::Rng::with_seed(run.seed);
    let postgres = Postgres::default();
    for group in run.groups {
        let Some(report) = group.run(run.smoke, &mut random, run.seed, &postgres)? else {
            continue;
        };
        if run.smoke {
            println!("{}: {} rows", report.group, report.rows.len());
        } else {
            report.print();
        }
        if let Some(folder) = &run.out {
            report.write(folder)?;
        }
    }
    Ok(())
}

fn wanted(mut arguments: Parser) -> Result<Wanted, lexopt::Error> {
    let mut fill = None;
    let mut run =
        Run { groups: Vec::new(), smoke: false, seed: fastrand::u64(..1 << 32), out: None };
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("smoke") => run.smoke = true,
            Arg::Long("seed") => run.seed = arguments.value()?.parse()?,
            Arg::Long("out") => run.out = Some(arguments.value()?.into()),
            Arg::Long("one") => {
                let (peer, case) = (arguments.value()?.string()?, arguments.value()?.string()?);
                let peer = Peer::ALL.into_iter().find(|it| it.name() == peer);
                let case = Case::all().into_iter().find(|it| it.name == case);
                let (Some(peer), Some(case)) = (peer, case) else {
                    return Err("there is no such peer or case".into());
                };
                return Ok(Wanted::One(peer, Box::new(case), arguments.value()?.parse()?));
            }
            Arg::Long("fill") => {
                let subject = arguments.value()?.string()?;
                let subject = Subject::ALL.into_iter().find(|it| it.name() == subject);
                let subject = subject.ok_or("there is no such store")?;
                fill = Some((subject, arguments.value()?.parse()?));
            }
            Arg::Value(name) => {
                let group = Group::ALL.into_iter().find(|group| name == *group.name());
                run.groups.push(group.ok_or_else(|| {
                    let names = Group::ALL.map(Group::name).join(", ");
                    format!("there is no such group; there are {names}")
                })?);
            }
            other => return Err(other.unexpected()),
        }
    }
    if let Some((subject, sessions)) = fill {
        return Ok(Wanted::Fill(subject, sessions, run.seed));
    }
    if run.groups.is_empty() {
        run.groups = Group::ALL.to_vec();
    }
    Ok(Wanted::Groups(run))
}
