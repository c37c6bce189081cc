//! Seeds faults into the operations, one at a time. The schedules must find each of them.

use vestiary::protocol::Fault;

use crate::{Care, SCHEDULES, played, support::scheduled::missed};

/// The faults that whole requests show.
const FAULTS: [Fault; 38] = [
    Fault::SendsOutOfUseCookie,
    Fault::ConfirmsNothing,
    Fault::EndRemovesCookie,
    Fault::FailedLogoutKeepsCookie,
    Fault::BarredBegins,
    Fault::AdmitsRevoked,
    Fault::CookieFollowsLogin,
    Fault::FinishForgets,
    Fault::LoginKeepsCookie,
    Fault::AdmitsExpired,
    Fault::IdleStays,
    Fault::RollsAlone,
    Fault::RefreshForgets,
    Fault::UseUnseen,
    Fault::RenewalKeepsCookie,
    Fault::EarlierIdStays,
    Fault::NeverRenews,
    Fault::RevokesNothing,
    Fault::OthersEndOwn,
    Fault::OthersStay,
    Fault::ReadsAsItWrites,
    Fault::RewriteChecks,
    Fault::ForgetsLost,
    Fault::LoginSparesOld,
    Fault::WritesUnlisted,
    Fault::LogoutKeepsCookie,
    Fault::SaveFollowsLogin,
    Fault::SaveOverwrites,
    Fault::StopsAtGrace,
    Fault::TouchFollowsLogin,
    Fault::LogoutFollowsLogin,
    Fault::TombstoneFirst,
    Fault::LoginLeavesPointer,
    Fault::AdmitsOldLogin,
    Fault::SeenRelists,
    Fault::LoginOverwritesList,
    Fault::ReuseSparesSession,
    Fault::GraceCountsAsReuse,
];

#[test]
fn the_schedules_find_each_fault_that_whole_requests_show() {
    // Half as many as run, so that another random order still finds them.
    let missed = missed(&FAULTS, SCHEDULES / 2, |seed| played(seed, Care::Compares).1);
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn each_fault_is_sought_by_some_schedules_and_stands_in_the_documentation() {
    let faults = include_str!("../../../vestiary/src/protocol/fault.rs");
    let seekers = [
        include_str!("faults.rs"),
        include_str!("../listed_schedules.rs"),
        include_str!("../../../vestiary/tests/schedules/faults.rs"),
    ];
    let documentation = include_str!("../../../../docs/explanation/reliability-tests.md");
    let (_, faults) = faults.split_once("pub enum Fault {").unwrap();
    let (faults, _) = faults.split_once("\n}").unwrap();
    let lines: Vec<_> = faults.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    for pair in lines.chunks(2) {
        let [description, name] = pair else { panic!("{pair:?}") };
        let name = name.trim_end_matches(',');
        let is_named = |source: &&str| {
            [",", "]"].iter().any(|end| source.contains(&format!("Fault::{name}{end}")))
        };
        assert!(seekers.iter().any(is_named), "{name}");
        let row = description.trim_start_matches("/// ").trim_end_matches('.').to_lowercase();
        assert!(documentation.to_lowercase().contains(&format!("| {row} ")), "{name}: {row}");
    }
}
