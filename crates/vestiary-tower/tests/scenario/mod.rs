//! The language of `vectors/scenarios.json`, and its player.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::option_option,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test may fail"
)]

mod devices;
mod operations;
mod options;
pub mod player;
pub mod script;
mod store;
