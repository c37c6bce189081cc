//! Decides what a request does to the store and to the cookie.
//!
//! [`decide`] is a pure function: from the stage of a session, an operation and facts about the request it derives the
//! steps to take and the next stage. Both products execute its plans and have no rules of their own.
//!
//! A request starts with [`Operation::Open`]. It starts in [`Stage::Stored`] only if the cookie has a valid signature
//! *and* the store has a readable record under its ID, otherwise in [`Stage::New`] with a newly generated ID: an ID
//! that the store does not know is never adopted. To regenerate a session is [`Operation::Destroy`] for the old session
//! and [`Operation::Open`] for its successor.
//!
//! ```
//! use vestiary::decide::{CookieStep, Known, Operation, Plan, Policy, Stage, StoreStep, decide};
//!
//! // An anonymous visitor reads a page: nothing is stored, and no cookie is set.
//! let policy = Policy::default();
//! let plan = decide(policy, Stage::New, Operation::Open, Known::default());
//! assert_eq!(plan, Plan { store: StoreStep::Keep, cookie: CookieStep::Keep, stage: Stage::New });
//! ```

/// The options for automatic saving and refreshing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Policy {
    /// Refresh cookie and record on every request of a stored session. Requires a `maxAge`.
    pub rolling: bool,
    /// Store new sessions, and changes, without a `save()`.
    pub save_uninitialized: bool,
    /// Store changes without a `save()`; store new sessions only after a change.
    pub auto_save: bool,
}

/// Whether a session is stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// The store has no record of it.
    New,
    /// The store has a record of it.
    Stored,
}

/// An operation on a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// The request begins, or a session replaces another.
    Open,
    /// The application replaces the data (`setData`).
    Change,
    /// The application saves.
    Save,
    /// The application restarts the session's lifetime without writing its data.
    Touch,
    /// The application ends the session.
    Destroy,
    /// The response is ready and about to leave.
    Finish,
    /// The application changes the stored data (`update`): earlier changes are written first.
    Flush,
}

/// Facts about the request that the decision depends on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not the states of one machine"
)]
pub struct Known {
    /// The browser has sent a cookie of this name, or was sent one in this request.
    pub cookie_out: bool,
    /// The data has unsaved changes.
    pub unsaved: bool,
    /// The cookie's options end the session as soon as it is saved (`maxAge: 0`, or an `expires` in the past).
    pub expired: bool,
    /// An [`Operation::Finish`] follows, so changes can wait for it.
    pub finishes: bool,
    /// The head of the response has left: no cookie reaches this browser any more.
    pub left: bool,
    /// The record was written or touched so recently that it outlives the cookie anyway.
    pub touched: bool,
}

/// The step in the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StoreStep {
    /// Nothing.
    Keep,
    /// Write a record, unless there is one.
    Create,
    /// Replace the record.
    Replace,
    /// Restart the record's TTL.
    Touch,
    /// Remove the record.
    Take,
}

/// The step for the cookie.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CookieStep {
    /// Nothing.
    Keep,
    /// Set the cookie with the signed ID.
    Set,
    /// Remove the cookie from the browser.
    Clear,
    /// The cookie must be set, but the response has left: fail, and store nothing.
    Late,
}

/// The steps to take, and the resulting stage.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The step in the store. It comes first, since a cookie must not lead to a session that was not stored.
    pub store: StoreStep,
    /// The step for the cookie.
    pub cookie: CookieStep,
    /// The stage after both steps. A session that is `New` again has no data, and gets a new ID.
    pub stage: Stage,
}

/// Derives the plan. The [module](self) describes how the operations of a request follow each other.
#[must_use]
pub fn decide(policy: Policy, stage: Stage, operation: Operation, known: Known) -> Plan {
    use CookieStep as Cookie;
    use StoreStep as Store;

    let saves_by_itself = policy.save_uninitialized || policy.auto_save;
    let keep = Plan { store: Store::Keep, cookie: Cookie::Keep, stage };
    match operation {
        Operation::Open => match stage {
            Stage::New if policy.save_uninitialized => save(stage, known),
            Stage::Stored if policy.rolling && !known.expired && !known.left => {
                let store = if known.touched { Store::Keep } else { Store::Touch };
                Plan { store, cookie: Cookie::Set, stage }
            }
            Stage::New | Stage::Stored => keep,
        },
        Operation::Change if saves_by_itself && !known.finishes => write(stage, known),
        Operation::Finish if saves_by_itself && known.unsaved => write(stage, known),
        Operation::Flush if known.unsaved => write(stage, known),
        Operation::Change | Operation::Finish | Operation::Flush => keep,
        Operation::Save => save(stage, known),
        Operation::Touch if known.expired => end(stage, known),
        Operation::Touch => touch(stage, known),
        Operation::Destroy => end(stage, known),
    }
}

/// Stores the session and sets the cookie, as `save()` promises.
fn save(stage: Stage, known: Known) -> Plan {
    if known.expired {
        return end(stage, known);
    }
    let (store, cookie) = match (stage, known.left) {
        (Stage::New, false) => (StoreStep::Create, CookieStep::Set),
        // The record would have an ID that no browser ever learns.
        (Stage::New, true) => {
            return Plan { store: StoreStep::Keep, cookie: CookieStep::Late, stage };
        }
        (Stage::Stored, false) => (StoreStep::Replace, CookieStep::Set),
        (Stage::Stored, true) => (StoreStep::Replace, CookieStep::Keep),
    };
    Plan { store, cookie, stage: Stage::Stored }
}

/// Refreshes record and cookie. A session that is not stored has neither.
fn touch(stage: Stage, known: Known) -> Plan {
    let (store, cookie) = match (stage, known.left) {
        (Stage::New, _) => (StoreStep::Keep, CookieStep::Keep),
        (Stage::Stored, true) => (StoreStep::Touch, CookieStep::Keep),
        (Stage::Stored, false) => (StoreStep::Touch, CookieStep::Set),
    };
    Plan { store, cookie, stage }
}

/// Stores the session, and sets the cookie only if the browser cannot have it yet.
fn write(stage: Stage, known: Known) -> Plan {
    let plan = save(stage, known);
    match stage {
        Stage::Stored if !known.expired => Plan { cookie: CookieStep::Keep, ..plan },
        Stage::New | Stage::Stored => plan,
    }
}

fn end(stage: Stage, known: Known) -> Plan {
    let store = match stage {
        Stage::New => StoreStep::Keep,
        Stage::Stored => StoreStep::Take,
    };
    // A browser without the cookie needs no removal. A cookie that stays behind after the response has left is
    // worthless, because the record is gone.
    let clears = known.cookie_out && !known.left;
    let cookie = if clears { CookieStep::Clear } else { CookieStep::Keep };
    Plan { store, cookie, stage: Stage::New }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_case() -> impl Iterator<Item = (Policy, Stage, Operation, Known)> {
        let stages = [Stage::New, Stage::Stored];
        let operations = [
            Operation::Open,
            Operation::Change,
            Operation::Save,
            Operation::Touch,
            Operation::Destroy,
            Operation::Finish,
            Operation::Flush,
        ];
        (0..512u16).flat_map(move |bits| {
            let bit = move |n: u16| bits >> n & 1 == 1;
            let policy = Policy { rolling: bit(0), save_uninitialized: bit(1), auto_save: bit(7) };
            let known = Known {
                cookie_out: bit(2),
                unsaved: bit(3),
                expired: bit(4),
                finishes: bit(5),
                left: bit(6),
                touched: bit(8),
            };
            stages.into_iter().flat_map(move |stage| {
                operations.into_iter().map(move |operation| (policy, stage, operation, known))
            })
        })
    }

    #[test]
    fn a_cookie_is_set_only_for_what_is_stored() {
        for (policy, stage, operation, known) in every_case() {
            let plan = decide(policy, stage, operation, known);
            if plan.cookie == CookieStep::Set {
                assert_eq!(plan.stage, Stage::Stored, "{operation:?} {known:?}");
                assert!(!known.expired, "{operation:?} {known:?}");
            }
            if plan.cookie == CookieStep::Clear {
                assert!(known.cookie_out && plan.stage == Stage::New, "{operation:?} {known:?}");
            }
            if known.left {
                assert!(
                    matches!(plan.cookie, CookieStep::Keep | CookieStep::Late),
                    "{operation:?} {known:?}"
                );
            }
            if plan.cookie == CookieStep::Late {
                assert_eq!(plan.store, StoreStep::Keep, "{operation:?} {known:?}");
            }
        }
    }

    #[test]
    fn the_stage_follows_the_store() {
        for (policy, stage, operation, known) in every_case() {
            let plan = decide(policy, stage, operation, known);
            let follows = match plan.store {
                StoreStep::Keep => plan.stage == stage,
                StoreStep::Create => stage == Stage::New && plan.stage == Stage::Stored,
                StoreStep::Replace | StoreStep::Touch => {
                    stage == Stage::Stored && plan.stage == stage
                }
                StoreStep::Take => stage == Stage::Stored && plan.stage == Stage::New,
            };
            assert!(follows, "{operation:?} {stage:?} {known:?} -> {plan:?}");
        }
    }

    #[test]
    fn a_cookie_that_rolls_never_outlives_its_record() {
        for (policy, stage, operation, known) in every_case() {
            let plan = decide(policy, stage, operation, known);
            if plan.cookie == CookieStep::Set && plan.store == StoreStep::Keep {
                assert!(known.touched && policy.rolling, "{operation:?} {known:?}");
            }
        }
    }

    #[test]
    fn an_expired_session_ends_however_it_is_saved() {
        for (policy, stage, operation, known) in every_case() {
            let saves = match operation {
                Operation::Save | Operation::Touch => true,
                Operation::Change => {
                    (policy.save_uninitialized || policy.auto_save) && !known.finishes
                }
                Operation::Finish => {
                    (policy.save_uninitialized || policy.auto_save) && known.unsaved
                }
                Operation::Flush => known.unsaved,
                Operation::Open | Operation::Destroy => false,
            };
            if known.expired && saves {
                let plan = decide(policy, stage, operation, known);
                assert_eq!(plan, decide(policy, stage, Operation::Destroy, known), "{operation:?}");
            }
        }
    }

    #[test]
    fn nothing_is_written_for_a_visitor_who_only_reads() {
        for (policy, stage, operation, known) in every_case() {
            if matches!(operation, Operation::Open | Operation::Finish)
                && policy == Policy::default()
            {
                let plan = decide(policy, stage, operation, known);
                assert_eq!((plan.store, plan.cookie), (StoreStep::Keep, CookieStep::Keep));
            }
        }
    }
}
