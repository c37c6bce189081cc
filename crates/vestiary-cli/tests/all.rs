//! All tests of this crate, as one program. As a program each, they would link the drivers ten times.

mod docs;
mod foreign;
mod inspect;
mod licenses;
mod migrate;
mod program;
#[cfg(feature = "servers")]
mod real_servers;
mod schema;
mod secret;
#[cfg(feature = "servers")]
#[path = "../../vestiary-store/tests/servers/mod.rs"]
mod servers;
mod sessions;
mod support;
