//! Seeds faults into the operations, one at a time. The schedules must find each of them.

use vestiary::{WhenFull, protocol::Fault};

use crate::{bound, lists, logins, near, play, provider, store::Kin};

/// The faults of the operations on records.
const RECORDS: [Fault; 33] = [
    Fault::OneWriteId,
    Fault::SaveFollowsLogin,
    Fault::SettledIgnored,
    Fault::SaveForgetsDoubt,
    Fault::SaveOverwrites,
    Fault::SaveTrustsReplica,
    Fault::IgnoresGrace,
    Fault::StopsAtGrace,
    Fault::ProofNeverAges,
    Fault::ResendCertain,
    Fault::TouchesTombstone,
    Fault::TouchFollowsLogin,
    Fault::LogoutStopsAtRenewal,
    Fault::LogoutFollowsLogin,
    Fault::LogoutTrustsReplica,
    Fault::LogoutTrustsLostReply,
    Fault::LogoutRemovesTombstone,
    Fault::RemovesBeforeLeaving,
    Fault::TombstoneFirst,
    Fault::CarriesNothing,
    Fault::CarriesWriteId,
    Fault::ReplacesTombstone,
    Fault::RotationForgetsDoubt,
    Fault::ShortTombstone,
    Fault::LoginLeavesPointer,
    Fault::TakesTwice,
    Fault::SlotsOverwrite,
    Fault::SaveConfirms,
    Fault::RenewalConfirms,
    Fault::SaveRevertsConfirmation,
    Fault::SwapTakesOver,
    Fault::SwapUnfenced,
    Fault::SwapForgetsOwn,
];

/// Faults of users' session lists.
const LISTS: [Fault; 4] =
    [Fault::ListTrustsLostReply, Fault::AdmitsOldLogin, Fault::ForgetsEnd, Fault::SeenRelists];

/// Faults of logins.
const LOGINS: [Fault; 10] = [
    Fault::LoginOverwritesList,
    Fault::LoginSkipsEnd,
    Fault::LoginTrustsLostList,
    Fault::LoginLeavesEntry,
    Fault::LoginUnlisted,
    Fault::LoginLeavesPointer,
    Fault::AdmitsOldLogin,
    Fault::TrustsLostStamp,
    Fault::TrustsNoStamp,
    Fault::OneStamp,
];

/// Faults of logins that a full list refuses.
const FULL: [Fault; 4] = [
    Fault::LoginCountsOnce,
    Fault::CountsReplaced,
    Fault::RefusalEndsOld,
    Fault::RefusalTrustsReplica,
];

/// Faults of logins at a provider, and of its logouts.
const PROVIDER: [Fault; 7] = [
    Fault::ProviderUnlisted,
    Fault::ProviderListsUser,
    Fault::ProviderForgetsEnd,
    Fault::ProviderEndIgnored,
    Fault::ReceiptForgetsOwn,
    Fault::ReceiptTakesOthers,
    Fault::ReplayEndsNewer,
];

/// Faults of near caches.
const NEAR: [Fault; 8] = [
    Fault::CacheKeepsLateReads,
    Fault::CacheCountsFromHit,
    Fault::CacheSparesChanged,
    Fault::CacheSparesList,
    Fault::RereadsCache,
    Fault::TicketIgnoresChanges,
    Fault::TicketNeverEnds,
    Fault::TicketSparesList,
];

/// Faults of device-bound sessions.
const BOUND: [Fault; 8] = [
    Fault::AdmitsUnbound,
    Fault::BoundNeverEnds,
    Fault::BoundForAnyKey,
    Fault::ChallengeStays,
    Fault::BindingOverwrites,
    Fault::ConflictBinds,
    Fault::RegistersAgain,
    Fault::RepeatsForever,
];

/// The number of schedules, as without a fault.
const SCHEDULES: u64 = 4_000;

#[test]
fn the_schedules_find_each_fault_that_is_seeded_into_an_operation() {
    let of_record = |seed| {
        let mut schedule = play::Schedule::new(seed, Kin::Atomic);
        schedule.play();
        schedule.faults()
    };
    let of_list = |seed| {
        let mut schedule = lists::Schedule::new(seed, false);
        schedule.play();
        schedule.faults()
    };
    let records = RECORDS.map(|fault| found(fault, of_record));
    let of_logins = |seed, when_full| {
        let mut schedule = logins::Schedule::new(seed, when_full);
        schedule.play();
        schedule.faults()
    };
    let lists = LISTS.map(|fault| found(fault, of_list));
    let logins = LOGINS.map(|fault| found(fault, |seed| of_logins(seed, WhenFull::Evict)));
    let full = FULL.map(|fault| found(fault, |seed| of_logins(seed, WhenFull::Refuse)));
    let of_providers = |seed| {
        let mut schedule = provider::Schedule::new(seed);
        schedule.play();
        schedule.faults()
    };
    let providers = PROVIDER.map(|fault| found(fault, of_providers));
    let of_caches = |seed| {
        let mut schedule = near::Schedule::new(seed);
        schedule.play();
        schedule.faults()
    };
    let near = NEAR.map(|fault| found(fault, of_caches));
    let of_devices = |seed| {
        let mut schedule = bound::Schedule::new(seed);
        schedule.play();
        schedule.faults()
    };
    let bound = BOUND.map(|fault| found(fault, of_devices));
    let missed = records.into_iter().chain(lists).chain(logins).chain(full);
    let missed = missed.chain(providers).chain(near).chain(bound);
    let missed: Vec<_> = missed.flatten().collect();
    assert!(missed.is_empty(), "not found in {SCHEDULES} schedules: {missed:?}");
}

/// The fault, if no schedule finds it. Prints its row of the table in docs/explanation/reliability-tests.md.
fn found(fault: Fault, faults: impl Fn(u64) -> Vec<&'static str>) -> Option<Fault> {
    Fault::seed(Some(fault));
    let played = (0..SCHEDULES).map(|seed| (seed + 1, faults(seed)));
    let first = played.into_iter().find(|(_, checks)| !checks.is_empty());
    Fault::seed(None);
    let Some((schedules, checks)) = first else { return Some(fault) };
    println!("| `{fault:?}` | {schedules} | {} |", checks.join(", "));
    None
}
