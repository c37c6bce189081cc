//! Numbers of the core that the TypeScript package needs.

use vestiary::{Limits, RecentIds, SessionId, constants, protocol::Pending};
use wasm_bindgen::prelude::*;

use crate::running::{REPORTS, RESERVED, SEVERAL, STEPS};

/// The names of the numbers.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Constant {
    /// The maximum number of nested levels in session data.
    Levels,
    /// The number of random bytes in a session ID.
    IdEntropy,
    /// The number of random bytes that an operation may use between two effects.
    OperationEntropy,
    /// The factor of a purpose in a number that also has a step.
    Steps,
    /// The bit of a purpose for a session that is about to begin.
    Reserved,
    /// The bit of a purpose for several store calls at the same time.
    Several,
    /// The bit of a purpose for reports.
    Reports,
    /// The number of session IDs that a process remembers.
    RecentIds,
    /// The time for which an ID that was taken out of use is remembered, in milliseconds.
    OutOfUse,
    /// `vestiary::constants::RECHECK_AFTER`.
    RecheckAfter,
    /// `vestiary::constants::STORE_TIMEOUT`.
    StoreTimeout,
    /// `vestiary::constants::STORE_TTL`.
    StoreTtl,
    /// `vestiary::constants::LONGEST_STALE`.
    LongestStale,
}

/// The number with this name.
#[wasm_bindgen]
pub fn constant(name: Constant) -> f64 {
    match name {
        Constant::Levels => Limits::SAVE.depth as f64,
        Constant::IdEntropy => SessionId::ENTROPY as f64,
        Constant::OperationEntropy => Pending::<()>::ENTROPY as f64,
        Constant::Steps => f64::from(STEPS),
        Constant::Reports => f64::from(REPORTS),
        Constant::Reserved => f64::from(RESERVED),
        Constant::Several => f64::from(SEVERAL),
        Constant::RecentIds => RecentIds::MOST as f64,
        Constant::OutOfUse => RecentIds::OUT_OF_USE as f64,
        Constant::RecheckAfter => constants::RECHECK_AFTER as f64,
        Constant::StoreTimeout => constants::STORE_TIMEOUT as f64,
        Constant::StoreTtl => constants::STORE_TTL as f64,
        Constant::LongestStale => f64::from(constants::LONGEST_STALE),
    }
}
