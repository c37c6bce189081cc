//! Fuzz targets for the core, as ordinary functions. libFuzzer calls them endlessly (`cargo xtask fuzz`), and
//! `tests/bounded.rs` for a few seconds in every `cargo xtask test`.
//!
//! Each target takes arbitrary bytes, and panics if the core misbehaves. It uses the bytes twice: as they are, and as a
//! recipe (`arbitrary`) for valid input and an attacker's edits. The expected answer of the core is computed
//! independently from the specification, the slow way.

mod cookie_header;
mod cookie_value;
mod device_proof;
mod edit;
mod json;
mod options;
mod record;
mod sealed;

pub use cookie_header::cookie_header;
pub use cookie_value::cookie_value;
pub use device_proof::device_proof;
pub use options::options;
pub use record::record;
pub use sealed::sealed;
