//! Numbers that the rules fix, and the TypeScript side needs.

use vestiary::RecentIds;
use wasm_bindgen::prelude::*;

/// The number of session IDs that a process remembers for a while.
#[wasm_bindgen(js_name = mostRecentIds)]
pub fn most_recent_ids() -> usize {
    RecentIds::MOST
}

/// How long an ID is remembered that was taken out of use, in milliseconds.
#[wasm_bindgen(js_name = retiredFor)]
pub fn retired_for() -> f64 {
    RecentIds::RETIRED as f64
}
