//! Numbers that the rules fix, and the TypeScript side needs.

use vestiary::{Limits, RecentIds, SessionId, constants, protocol::Pending};
use wasm_bindgen::prelude::*;

use crate::running::{REPORTS, RESERVED, SEVERAL, STEPS};

/// The names of the numbers.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Constant {
    /// Levels of objects and lists that session data may have.
    Levels,
    /// Random bytes of a session ID.
    IdEntropy,
    /// Random bytes that an operation may use between two effects.
    OperationEntropy,
    /// By which a purpose is multiplied where it stands beside a step.
    Steps,
    /// Bit of a purpose: a session is about to begin.
    Reserved,
    /// Bit of a purpose: there are several questions.
    Several,
    /// Bit of a purpose: there are reports.
    Reports,
    /// Session IDs that a process remembers.
    RecentIds,
    /// How long an ID is remembered that was taken out of use, in milliseconds.
    OutOfUse,
    /// `vestiary::constants::SESSIONS_PER_USER`.
    SessionsPerUser,
    /// `vestiary::constants::STORE_TIMEOUT`.
    StoreTimeout,
    /// `vestiary::constants::STORE_TTL`.
    StoreTtl,
}

/// The number of this name.
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
        Constant::SessionsPerUser => constants::SESSIONS_PER_USER as f64,
        Constant::StoreTimeout => constants::STORE_TIMEOUT as f64,
        Constant::StoreTtl => constants::STORE_TTL as f64,
    }
}
