//! The numbers of a visit that JavaScript keeps, as in `vestiary::visit::VisitText`.

use alloc::string::String;

use vestiary::visit::VisitText;
use wasm_bindgen::prelude::*;

use crate::{convert::millis, options::Core};

/// Bits of a visit's flags.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum VisitFlag {
    /// The state: a `VisitState`.
    State = 7,
    /// Whether the lifetime of the session must be restarted.
    Due = 8,
    /// Whether the use of the session must be recorded in its user's session list.
    Unseen = 32,
    /// The fate of the data: a `View`, times 64.
    View = 192,
    /// The fate of the cookie: an `Outgoing`, times 256.
    Cookie = 768,
}

/// `vestiary::visit::State`.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum VisitState {
    /// `Anonymous`
    Anonymous,
    /// `Reserved`
    Reserved,
    /// `Stored`
    Stored,
    /// `Ended`
    Ended,
    /// `Tombstone`
    Tombstone,
    /// `Unreadable`
    Unreadable,
    /// `Unavailable`
    Unavailable,
    /// `Unbound`
    Unbound,
}

/// `vestiary::visit::View`, times 64.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum View {
    /// `Kept`
    Kept = 0,
    /// `Written`
    Written = 64,
    /// `Read`
    Read = 128,
    /// `Dropped`
    Dropped = 192,
}

/// `vestiary::visit::Outgoing`, times 256.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Outgoing {
    /// `Nothing`
    Nothing = 0,
    /// `Session`
    Session = 256,
    /// `Removal`
    Removal = 512,
    /// `Expired`
    Expired = 768,
}

#[wasm_bindgen]
impl Core {
    /// When the session of a visit ends: its idle deadline if `idle`, otherwise the first of its ends. Undefined without
    /// one. In milliseconds since the epoch.
    #[wasm_bindgen(js_name = endOf)]
    pub fn end_of(&self, flags: u32, at: f64, record: String, idle: bool) -> Option<f64> {
        let (record, at) = (record.into(), millis(at));
        let visit = VisitText { flags, record, at, ..VisitText::default() };
        let ends = visit.ends(&self.rules).ok()?;
        let end = if idle { ends.idle } else { ends.expires };
        end.map(|end| end.0 as f64)
    }

    /// The name for logs of a visit's session; undefined without one.
    #[wasm_bindgen(js_name = logId)]
    pub fn log_id(&self, flags: u32, ids: String, record: String) -> Option<String> {
        let (ids, record) = (ids.into(), record.into());
        let visit = VisitText { flags, ids, record, ..VisitText::default() };
        visit.log_id(&self.rules).ok().flatten()
    }

    /// Whether the user of a visit has proven their identity within this number of milliseconds.
    #[wasm_bindgen(js_name = isFresh)]
    pub fn is_fresh(&self, flags: u32, record: String, period: f64, now: f64) -> bool {
        let visit = VisitText { flags, record: record.into(), ..VisitText::default() };
        visit.is_fresh(&self.rules, period as u64, millis(now)).unwrap_or(false)
    }

    /// Whether the session of a visit is bound to its device.
    #[wasm_bindgen(js_name = isBound)]
    pub fn is_bound(&self, flags: u32, record: String) -> bool {
        let visit = VisitText { flags, record: record.into(), ..VisitText::default() };
        visit.is_bound(&self.rules).unwrap_or(false)
    }
}

const _: () = assert!(
    VisitFlag::State as u32 == VisitText::STATE
        && VisitFlag::Due as u32 == VisitText::DUE
        && VisitFlag::Unseen as u32 == VisitText::UNSEEN
        && VisitFlag::View as u32 == VisitText::VIEW
        && VisitFlag::Cookie as u32 == VisitText::COOKIE
);
