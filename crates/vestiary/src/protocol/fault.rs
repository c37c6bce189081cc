//! Faults for the tests to seed: the schedules have to find each of them.

use crate::{Error, Follower, Lead, Record, SessionId, UnixMillis};

/// A mistake in an operation.
#[cfg_attr(
    not(feature = "seeded-faults"),
    expect(
        dead_code,
        unreachable_pub,
        reason = "no other crate sees it, and not all code asks for it"
    )
)]
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// All attempts of a write have one write ID.
    OneWriteId,
    /// A save follows the pointer of a login, and writes there.
    SaveFollowsLogin,
    /// A save is tried again although the record does not say whether it was done.
    SettledIgnored,
    /// A save whose reply was lost counts as not done.
    SaveForgetsDoubt,
    /// A save writes over the changes of another request.
    SaveOverwrites,
    /// For a save, absence in a replica is proof.
    SaveTrustsReplica,
    /// A tombstone is followed after the grace period, too.
    IgnoresGrace,
    /// A request that had the session open does not follow its renewal.
    StopsAtGrace,
    /// The absence of a record is proof, however long ago the session was read.
    ProofNeverAges,
    /// A conflict of a request that may have been sent twice is certain.
    ResendCertain,
    /// A touch extends the TTL of a login's tombstone.
    TouchesTombstone,
    /// A touch follows the pointer of a login.
    TouchFollowsLogin,
    /// A logout does not follow a renewal.
    LogoutStopsAtRenewal,
    /// A logout follows the pointer of a login.
    LogoutFollowsLogin,
    /// For a logout, absence in a replica is proof.
    LogoutTrustsReplica,
    /// A logout whose reply was lost is done.
    LogoutTrustsLostReply,
    /// A logout removes the tombstones that it follows.
    LogoutRemovesTombstone,
    /// A logout removes the record before the session leaves its user's list.
    RemovesBeforeLeaving,
    /// The old record is replaced by its tombstone before the new one is there.
    TombstoneFirst,
    /// Later writes of the old record do not go along in a renewal.
    CarriesNothing,
    /// A record that was carried keeps the write ID of the one in its place.
    CarriesWriteId,
    /// A tombstone is replaced by another one.
    ReplacesTombstone,
    /// A rotation whose reply was lost removes the new record when it gives up.
    RotationForgetsDoubt,
    /// A tombstone expires when the grace period is over.
    ShortTombstone,
    /// The old ID leads to the session of a login.
    LoginLeavesPointer,
    /// A list is not read again when the reply to a write was lost.
    ListTrustsLostReply,
    /// A login that began before the end of all sessions is not refused.
    AdmitsOldLogin,
    /// The end of all sessions is not remembered.
    ForgetsEnd,
    /// The end of all sessions is taken for done although the reply of the store that dates it was lost.
    TrustsLostStamp,
    /// The end of all sessions is taken for done although the store has not dated it, and done nothing.
    TrustsNoStamp,
    /// All lists that a store dates have one write ID.
    OneStamp,
    /// The use of a session that was ended puts it into the list again.
    SeenRelists,
    /// A login whose list another request has written meanwhile writes over it.
    LoginOverwritesList,
    /// A login whose list another request has written meanwhile does not look whether all sessions were ended.
    LoginSkipsEnd,
    /// A login whose write of the list was lost is done.
    LoginTrustsLostList,
    /// A login that failed leaves its entry in the list.
    LoginLeavesEntry,
    /// A login does not write the list.
    LoginUnlisted,
    /// A login whose list another request has written meanwhile does not count the sessions again.
    LoginCountsOnce,
    /// The session that a login replaces takes a place beside the new one.
    CountsReplaced,
    /// A login that is refused because the list is full ends the session before.
    RefusalEndsOld,
    /// For a login that is refused because the list is full, a replica is proof.
    RefusalTrustsReplica,
    /// A response sets the cookie of an ID that another request has taken out of use.
    SendsOutOfUseCookie,
    /// The store is not asked whether the ID in a cookie is still in use when the response leaves.
    ConfirmsNothing,
    /// A response to a session that another request has ended removes the cookie.
    EndRemovesCookie,
    /// A logout that the store did not confirm leaves the cookie where it is.
    FailedLogoutKeepsCookie,
    /// A request whose session was ended, or whose ID is out of use, begins another session.
    BarredBegins,
    /// A session that is not in its user's session list is admitted.
    AdmitsRevoked,
    /// A cookie follows the pointer of a login.
    CookieFollowsLogin,
    /// The end of a request does not write what the application has changed.
    FinishForgets,
    /// A logout leaves the session in its user's session list.
    StaysListed,
    /// A login does not set the cookie of its session.
    LoginKeepsCookie,
    /// A session that has expired is admitted.
    AdmitsExpired,
    /// The idle deadline of a session that is only read stays where it is.
    IdleStays,
    /// The cookie of a session rolls, and its record is not touched.
    RollsAlone,
    /// A refresh that is left for the end of a request is not done.
    RefreshForgets,
    /// The use of a session is not written in its user's session list.
    UseUnseen,
    /// A renewal does not set the cookie of the new ID.
    RenewalKeepsCookie,
    /// A request whose cookie has an earlier ID of its session does not set the cookie of the later one.
    EarlierIdStays,
    /// A renewal that is due does not take place.
    NeverRenews,
    /// The revocation of one session does nothing.
    RevokesNothing,
    /// The end of all other sessions of a user ends the session itself, too.
    OthersEndOwn,
    /// The end of all other sessions of a user does nothing.
    OthersStay,
    /// A record is read within the limits in which it is written.
    ReadsAsItWrites,
    /// Unchanged data must be within the limits when a record is written.
    RewriteChecks,
    /// A request that has begun a session does not remember the IDs in its cookies that led to none.
    ForgetsLost,
    /// A login leaves the session that it replaces where it is.
    LoginSparesOld,
    /// A write does not ask the user's session list.
    WritesUnlisted,
    /// A logout leaves the cookie where it is.
    LogoutKeepsCookie,
    /// A take returns the value that its request has read, although another request has taken it meanwhile.
    TakesTwice,
    /// A change of one slot writes over the changes of other requests to the others.
    SlotsOverwrite,
    /// A write that is no confirmation moves the time at which the user last proved their identity.
    SaveConfirms,
    /// A renewal moves the time at which the user last proved their identity.
    RenewalConfirms,
    /// A write takes back what another request has confirmed meanwhile.
    SaveRevertsConfirmation,
    /// A swap that needs an empty slot replaces the value of another request.
    SwapTakesOver,
    /// A swap replaces a value that is not the expected one.
    SwapUnfenced,
    /// A swap whose reply was lost counts as made by another request.
    SwapForgetsOwn,
    /// The reuse of an ID that is to revoke its session revokes nothing.
    ReuseSparesSession,
    /// A request within the grace period of a renewal counts as reuse.
    GraceCountsAsReuse,
    /// A login is in no list of its provider.
    ProviderUnlisted,
    /// A login is in the provider's list of its user, and not in that of its session there.
    ProviderListsUser,
    /// A logout by the provider does not refuse logins in progress.
    ProviderForgetsEnd,
    /// A login goes on although its provider has ended it.
    ProviderEndIgnored,
    /// A token of the provider whose reply was lost counts as used before.
    ReceiptForgetsOwn,
    /// After a lost reply, an earlier use of the provider's token counts as this request's own.
    ReceiptTakesOthers,
    /// A token of the provider that comes again ends sessions that began since.
    ReplayEndsNewer,
    /// The near cache takes the text of a read that began before a write and ended after it.
    CacheKeepsLateReads,
    /// The age of an entry of the near cache counts from its last use.
    CacheCountsFromHit,
    /// The near cache keeps an entry whose record has changed.
    CacheSparesChanged,
    /// A session from the near cache is admitted without its user's session list.
    CacheSparesList,
    /// A record is read again from the near cache after a write, although it may have changed.
    RereadsCache,
    /// An answer of the near cache is given again although its record has changed.
    TicketIgnoresChanges,
    /// An answer of the near cache is given again at any age.
    TicketNeverEnds,
    /// An answer of the near cache is given again although its user's session list has changed.
    TicketSparesList,
    /// A bound session needs no bound cookie.
    AdmitsUnbound,
    /// A bound cookie is valid after its end, too.
    BoundNeverEnds,
    /// A bound cookie is valid for the session of another device, too.
    BoundForAnyKey,
    /// A challenge is not replaced when it was answered.
    ChallengeStays,
    /// The binding is written over one that another request has written meanwhile.
    BindingOverwrites,
    /// A proof whose challenge another request has answered first gets a bound cookie, too.
    ConflictBinds,
    /// A second device takes the place of the first one.
    RegistersAgain,
    /// A registration that is sent again gets its cookie after the grace period, too.
    RepeatsForever,
}

#[cfg(all(feature = "seeded-faults", any(target_family = "wasm", not(debug_assertions))))]
compile_error!(
    "the feature `seeded-faults` breaks sessions on purpose: it is for tests in the development profile"
);

#[cfg(feature = "seeded-faults")]
std::thread_local! {
    static SEEDED: core::cell::Cell<Option<Fault>> = const { core::cell::Cell::new(None) };
}

impl Fault {
    /// Puts this fault, and no other, into the operations that run on this thread.
    #[cfg(feature = "seeded-faults")]
    pub fn seed(fault: Option<Self>) {
        SEEDED.set(fault);
    }
}

/// Whether the operations have this fault. They have none without the feature `seeded-faults`.
#[cfg(feature = "seeded-faults")]
pub(crate) fn seeded(fault: Fault) -> bool {
    SEEDED.get() == Some(fault)
}

#[cfg(not(feature = "seeded-faults"))]
pub(crate) const fn seeded(_: Fault) -> bool {
    false
}

/// [`Record::lead`], unless a fault is seeded.
pub(super) fn lead(
    record: &Record,
    id: &SessionId,
    follower: Follower,
    follows_login: Fault,
) -> Result<Lead, Error> {
    let lead = record.lead(id, follower)?;
    if cfg!(not(feature = "seeded-faults")) {
        return Ok(lead);
    }
    let Some((next, grace)) = record.next(id)? else { return Ok(lead) };
    Ok(match (follower, grace) {
        (_, None) if seeded(follows_login) => Lead::To(next),
        (Follower::Cookie(_), Some(_)) if seeded(Fault::IgnoresGrace) => Lead::To(next),
        (Follower::Admitted, Some(_)) if seeded(Fault::StopsAtGrace) => Lead::Nowhere,
        _ => lead,
    })
}

/// [`Record::next`], unless a fault is seeded.
pub(super) fn pointer(
    record: &Record,
    id: &SessionId,
) -> Result<Option<(SessionId, Option<UnixMillis>)>, Error> {
    Ok(match record.next(id)? {
        Some((next, None)) if seeded(Fault::LogoutFollowsLogin) => {
            Some((next, Some(UnixMillis(0))))
        }
        Some((next, Some(_))) if seeded(Fault::LogoutStopsAtRenewal) => Some((next, None)),
        next => next,
    })
}
