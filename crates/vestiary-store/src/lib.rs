//! Stores for server-side sessions, and the write protocol that runs on them.
//!
//! [`Store`] says what a store has to do; [`MemoryStore`] keeps sessions in this process.
#![forbid(unsafe_code)]

mod clock;
mod config;
mod drive;
mod erased;
mod error;
mod event;
mod memory;
mod sessions;
mod store;
#[cfg(feature = "tracing")]
mod trace;
mod users;

pub use config::{Config, Encrypt, OnStoreError, SameSite};
pub use drive::Compute;
pub use erased::AnyStore;
pub use error::{SessionError, StoreOperation};
pub use event::Event;
pub use memory::MemoryStore;
pub use sessions::{Cookies, Found, Loaded, Sessions, Stored, Written};
pub use store::{
    Cursor, Entry, MaybeSend, MaybeSync, Outcome, Page, Scan, Store, StoreError, mark_of,
};
pub use users::{Login, UserList};
