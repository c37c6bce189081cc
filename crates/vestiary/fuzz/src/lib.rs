//! Fuzz targets for the core, as ordinary functions: libFuzzer calls them without end
//! (`cargo xtask fuzz`), `tests/bounded.rs` for a few seconds with every `cargo xtask test`.
//!
//! Each takes any bytes and panics if the core does what it must not. It reads them twice: as they
//! stand, and as a recipe (`arbitrary`) for something valid and what an attacker does to it. What
//! the core must answer is worked out a second time, the slow way, from the specification.

mod cookie_header;
mod cookie_value;
mod edit;
mod json;
mod options;
mod record;
mod sealed;

pub use cookie_header::cookie_header;
pub use cookie_value::cookie_value;
pub use options::options;
pub use record::record;
pub use sealed::sealed;
