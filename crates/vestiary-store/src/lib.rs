//! Stores for server-side sessions, and the write protocol that runs on them.
//!
//! [`Store`] says what a store has to do; [`MemoryStore`] keeps sessions in this process.
#![forbid(unsafe_code)]

mod clock;
mod memory;
mod store;

pub use memory::MemoryStore;
pub use store::{
    Cursor, Entry, MaybeSend, MaybeSync, Outcome, Page, Scan, Store, StoreError, mark_of,
};
