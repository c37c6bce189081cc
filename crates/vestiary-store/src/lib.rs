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

// The stores outside the process, and the suite for all.
#[cfg(any(feature = "redis", feature = "sqlite", feature = "postgres"))]
mod failure;
#[cfg(any(feature = "redis", feature = "sqlite", feature = "postgres"))]
mod options;
#[cfg(feature = "postgres")]
mod postgres_store;
#[cfg(feature = "redis")]
mod redis_store;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite_store;
#[cfg(all(feature = "testing", not(target_arch = "wasm32")))]
pub mod testing;

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

#[cfg(any(feature = "redis", feature = "sqlite", feature = "postgres"))]
pub use options::StoreOptions;
#[cfg(feature = "postgres")]
pub use postgres_store::PostgresStore;
#[cfg(feature = "redis")]
pub use redis;
#[cfg(feature = "redis")]
pub use redis_store::{RedisConnection, RedisStore};
#[cfg(feature = "sqlite")]
pub use sqlite_store::SqliteStore;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sqlx;
