//! Faults are seeded into the operations, one at a time. The schedules have to find each of them.

use vestiary::protocol::Fault;

use crate::{Care, SCHEDULES, played, support::scheduled::missed};

/// The faults that whole requests show.
const FAULTS: [Fault; 36] = [
    Fault::SendsRetiredCookie,
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
    Fault::RetiresFirst,
    Fault::LoginLeavesPointer,
    Fault::AdmitsOldLogin,
    Fault::SeenRelists,
    Fault::LoginOverwritesList,
];

#[test]
fn the_schedules_find_each_fault_that_whole_requests_show() {
    // Half as many as run, so that another order of chance still finds them.
    let missed = missed(&FAULTS, SCHEDULES / 2, |seed| played(seed, Care::Compares).1);
    assert!(missed.is_empty(), "{missed:?}");
}
