//! The decision table: which step of the store and of the cookie an operation needs.

use alloc::string::String;

use vestiary::decide;
use wasm_bindgen::prelude::*;

use crate::{convert::millis, options::Core};

#[wasm_bindgen]
impl Core {
    /// The plan: the store step in the low byte, the cookie step in the next, then the stage.
    /// `own` is the session's own cookie attributes.
    pub fn decide(
        &self,
        stage: Stage,
        operation: Operation,
        known: u8,
        now: f64,
        own: Option<String>,
    ) -> u32 {
        let (mut known, options) = (known_of(known), self.own(own.as_deref()));
        known.over |= options.ttl(millis(now)).is_over();
        let plan = decide::decide(options.policy(), stage.into(), operation.into(), known);
        StoreStep::from(plan.store) as u32
            | (CookieStep::from(plan.cookie) as u32) << 8
            | (Stage::from(plan.stage) as u32) << 16
    }
}

/// `vestiary::decide::Stage`.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// The store does not know it.
    New,
    /// The store has a record of it.
    Stored,
}

/// `vestiary::decide::Operation`.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// The request begins.
    Open,
    /// The data was replaced.
    Change,
    /// The application saves.
    Save,
    /// The application extends the session's life.
    Touch,
    /// The application ends the session.
    Destroy,
    /// The response is about to leave.
    Finish,
    /// Writes pending changes before an update.
    Flush,
}

/// `vestiary::decide::StoreStep`.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum StoreStep {
    /// Nothing.
    Keep,
    /// Write a new record.
    Create,
    /// Write over a record.
    Replace,
    /// Extend a record's life.
    Touch,
    /// Remove the record.
    Take,
}

/// `vestiary::decide::CookieStep`.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum CookieStep {
    /// Nothing.
    Keep,
    /// Set it.
    Set,
    /// Make the browser forget it.
    Clear,
    /// Too late to set it.
    Late,
}

/// Bits of `decide`'s `known`, after `vestiary::decide::Known`.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Known {
    /// The browser has a cookie of this name.
    CookieOut = 1,
    /// Data was changed and not saved.
    Unsaved = 2,
    /// Saved, it would be over at once. What the options say of it need not be said.
    Over = 4,
    /// A `Finish` will follow.
    Finishes = 8,
    /// The head of the response has left.
    Left = 16,
    /// The record was written or touched recently.
    Touched = 32,
}

fn known_of(bits: u8) -> decide::Known {
    let has = |bit: Known| bits & bit as u8 != 0;
    decide::Known {
        cookie_out: has(Known::CookieOut),
        unsaved: has(Known::Unsaved),
        over: has(Known::Over),
        finishes: has(Known::Finishes),
        left: has(Known::Left),
        touched: has(Known::Touched),
    }
}

impl From<Stage> for decide::Stage {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::New => Self::New,
            Stage::Stored => Self::Stored,
        }
    }
}

impl From<decide::Stage> for Stage {
    fn from(stage: decide::Stage) -> Self {
        match stage {
            decide::Stage::New => Self::New,
            decide::Stage::Stored => Self::Stored,
        }
    }
}

impl From<Operation> for decide::Operation {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Open => Self::Open,
            Operation::Change => Self::Change,
            Operation::Save => Self::Save,
            Operation::Touch => Self::Touch,
            Operation::Destroy => Self::Destroy,
            Operation::Finish => Self::Finish,
            Operation::Flush => Self::Flush,
        }
    }
}

impl From<decide::StoreStep> for StoreStep {
    fn from(step: decide::StoreStep) -> Self {
        match step {
            decide::StoreStep::Keep => Self::Keep,
            decide::StoreStep::Create => Self::Create,
            decide::StoreStep::Replace => Self::Replace,
            decide::StoreStep::Touch => Self::Touch,
            decide::StoreStep::Take => Self::Take,
        }
    }
}

impl From<decide::CookieStep> for CookieStep {
    fn from(step: decide::CookieStep) -> Self {
        match step {
            decide::CookieStep::Keep => Self::Keep,
            decide::CookieStep::Set => Self::Set,
            decide::CookieStep::Clear => Self::Clear,
            decide::CookieStep::Late => Self::Late,
        }
    }
}
