//! What a request does to the store and to the cookie.
//!
//! One pure function, [`decide`]: the stage a session is in, what happens to it, and what is known
//! of the request give the steps to take and the next stage. Both faces execute its plans; neither
//! has rules of its own.
//!
//! A request starts with [`Operation::Open`], in [`Stage::Stored`] only if the cookie was signed by
//! us *and* the store had a readable record under its ID. Anything else is [`Stage::New`] with an
//! ID of our own making: an ID that the store does not know is never adopted. Regenerating is
//! [`Operation::Destroy`] for the old session and [`Operation::Open`] for its successor.
//!
//! ```
//! use vestiary::decide::{CookieStep, Known, Operation, Plan, Policy, Stage, StoreStep, decide};
//!
//! // A visitor without a session reads a page: nothing is stored, no cookie is set.
//! let policy = Policy::default();
//! let plan = decide(policy, Stage::New, Operation::Open, Known::default());
//! assert_eq!(plan, Plan { store: StoreStep::Keep, cookie: CookieStep::Keep, stage: Stage::New });
//! ```

/// What the options say about saving by itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Policy {
    /// Refresh cookie and store on every request of a stored session. Needs a `maxAge`.
    pub rolling: bool,
    /// Store new sessions, and changes, without a `save()`.
    pub save_uninitialized: bool,
    /// Store changes without a `save()`; new sessions only once they were changed.
    pub auto_save: bool,
}

/// Where a session is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// The store does not know it.
    New,
    /// The store has a record of it.
    Stored,
}

/// What happens to a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// The request begins, or a session takes the place of another.
    Open,
    /// The data was replaced (`setData`).
    Change,
    /// The application saves.
    Save,
    /// The application gives the session a new life without writing it.
    Touch,
    /// The application ends the session.
    Destroy,
    /// The response is ready and about to leave.
    Finish,
    /// The application changes the data that the store has (`update`): what was changed before is written first.
    Flush,
}

/// What is known of the request when something happens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not the states of one machine"
)]
pub struct Known {
    /// The browser sent a cookie of this name, or was sent one in this request.
    pub cookie_out: bool,
    /// Data was changed and not saved yet.
    pub unsaved: bool,
    /// By the cookie's options the session is over the moment it is saved (`maxAge: 0`, a past
    /// `expires`).
    pub over: bool,
    /// A [`Operation::Finish`] will follow, so that changes can wait for it.
    pub finishes: bool,
    /// The head of the response has left: no cookie reaches this browser any more.
    pub left: bool,
    /// The record was written or touched so recently that it outlives the cookie anyway.
    pub touched: bool,
}

/// What to do to the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StoreStep {
    /// Nothing.
    Keep,
    /// Write a record that is not there yet.
    Create,
    /// Write over the record that is there.
    Replace,
    /// Extend the record's life.
    Touch,
    /// Remove the record.
    Take,
}

/// What to do to the cookie.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CookieStep {
    /// Nothing.
    Keep,
    /// Set it, with the signed ID.
    Set,
    /// Make the browser forget it.
    Clear,
    /// It would have to be set, and it is too late: tell the application, store nothing.
    Late,
}

/// What to do, and where that leaves the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The step in the store. It comes first: a cookie must not promise what was not stored.
    pub store: StoreStep,
    /// The step for the cookie.
    pub cookie: CookieStep,
    /// The stage after both. A session that is `New` again has no data and gets a new ID.
    pub stage: Stage,
}

/// Decides. See the [module](self) for how the operations of a request follow each other.
#[must_use]
pub fn decide(policy: Policy, stage: Stage, operation: Operation, known: Known) -> Plan {
    use CookieStep as Cookie;
    use StoreStep as Store;

    let saves_by_itself = policy.save_uninitialized || policy.auto_save;
    let keep = Plan { store: Store::Keep, cookie: Cookie::Keep, stage };
    match operation {
        Operation::Open => match stage {
            Stage::New if policy.save_uninitialized => save(stage, known),
            Stage::Stored if policy.rolling && !known.over && !known.left => {
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
        Operation::Touch if known.over => end(stage, known),
        Operation::Touch => touch(stage, known),
        Operation::Destroy => end(stage, known),
    }
}

/// Store it and set the cookie, as `save()` promises.
fn save(stage: Stage, known: Known) -> Plan {
    if known.over {
        return end(stage, known);
    }
    let (store, cookie) = match (stage, known.left) {
        (Stage::New, false) => (StoreStep::Create, CookieStep::Set),
        // A record whose ID no browser will ever learn.
        (Stage::New, true) => {
            return Plan { store: StoreStep::Keep, cookie: CookieStep::Late, stage };
        }
        (Stage::Stored, false) => (StoreStep::Replace, CookieStep::Set),
        (Stage::Stored, true) => (StoreStep::Replace, CookieStep::Keep),
    };
    Plan { store, cookie, stage: Stage::Stored }
}

/// Extend record and cookie; a session that is not stored has neither.
fn touch(stage: Stage, known: Known) -> Plan {
    let (store, cookie) = match (stage, known.left) {
        (Stage::New, _) => (StoreStep::Keep, CookieStep::Keep),
        (Stage::Stored, true) => (StoreStep::Touch, CookieStep::Keep),
        (Stage::Stored, false) => (StoreStep::Touch, CookieStep::Set),
    };
    Plan { store, cookie, stage }
}

/// Store it; the cookie is set only where the browser cannot have it yet.
fn write(stage: Stage, known: Known) -> Plan {
    let plan = save(stage, known);
    match stage {
        Stage::Stored if !known.over => Plan { cookie: CookieStep::Keep, ..plan },
        Stage::New | Stage::Stored => plan,
    }
}

fn end(stage: Stage, known: Known) -> Plan {
    let store = match stage {
        Stage::New => StoreStep::Keep,
        Stage::Stored => StoreStep::Take,
    };
    // A visitor who has no cookie of ours needs none taken away; one that stays behind after the
    // response has left is worth nothing, for the record is gone.
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
                over: bit(4),
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
                assert!(!known.over, "{operation:?} {known:?}");
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
    fn what_is_over_ends_however_it_is_saved() {
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
            if known.over && saves {
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
