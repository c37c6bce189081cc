//! Stores for server-side sessions, and the write protocol that runs on them. It loses no update, and no ended session
//! comes back.
//!
//! Web handlers use the crate `vestiary-tower`, which builds on this one. This crate holds everything that needs no
//! HTTP: [`Sessions`], configured by [`Config`], finds, writes, renews and ends sessions, and a [`UserList`] does the
//! same for the sessions of one user.
//! ```
//! use vestiary_store::{Config, Found, MemoryStore, Sessions};
//!
//! # futures_executor::block_on(async {
//! let config = Config::new("a long random secret, from the environment");
//! let sessions = Sessions::new(&config, MemoryStore::default())?;
//!
//! // Ends the session of this cookie, also for requests that are using it right now.
//! # let new = sessions.create("{}", None).await?;
//! # let cookie = format!("connect.sid={}", sessions.sign(new.id()));
//! let cookies = sessions.cookies([cookie.as_bytes()]);
//! if let Found::Session(session) = sessions.find(&cookies).await? {
//!     sessions.destroy(&session.stored).await?;
//! }
//! # Ok::<(), vestiary_store::SessionError>(())
//! # }).unwrap();
//! ```
//!
//! | store           | feature    |                                                                  |
//! | --------------- | ---------- | ---------------------------------------------------------------- |
//! | [`MemoryStore`] |            | in this process, sharded and bounded                             |
//! | `RedisStore`    | `redis`    | Redis and Valkey: one server, a cluster, behind Sentinel         |
//! | `SqliteStore`   | `sqlite`   | a file that the SvelteKit package may have open at the same time |
//! | `PostgresStore` | `postgres` | a table                                                          |
//! | `MySqlStore`    | `mysql`    | a table of MySQL or MariaDB                                      |
//!
//! All of them use the keys and records of the SvelteKit package. [`Store`] is the contract for a store of your own,
//! and the module `testing` (feature `testing`) checks it.
//!
//! # Features
//! - `tokio`: store timeouts use tokio's timer where tokio runs, and its time driver must be enabled. The stores
//!   outside the process enable this feature.
//! - `tls`: encrypted connections to Redis, Postgres and MySQL.
//! - `tracing`: emits events to `tracing`.
//! - `axum`: implements `IntoResponse` for [`SessionError`].
//! - `testing`: the conformance suite for stores.
//! - `clock`: a clock that tests can set.
//!
//! The crate compiles for `wasm32-unknown-unknown`, where nothing has to be `Send`.
#![forbid(unsafe_code)]

mod changes;
mod clock;
mod config;
mod cookies;
mod device;
mod erased;
mod error;
mod event;
mod memory;
mod migration;
mod near;
mod recent;
mod revocations;
mod sessions;
mod store;
mod stored;
#[cfg(feature = "tracing")]
mod trace;
mod turns;
mod users;
mod watched;

// Stores outside this process, and the conformance suite for all stores.
#[cfg(any(feature = "redis", feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod failure;
mod health;
mod host;
#[cfg(feature = "mysql")]
mod mysql_store;
#[cfg(any(feature = "redis", feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod options;
#[cfg(feature = "postgres")]
mod postgres_store;
#[cfg(feature = "redis")]
mod redis_store;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite_store;
#[cfg(all(feature = "testing", not(target_arch = "wasm32")))]
pub mod testing;

pub use changes::{ChangeListener, Polling};
#[cfg(all(feature = "clock", not(target_arch = "wasm32")))]
pub use clock::set_clock;
#[doc(hidden)]
pub use clock::within;
pub use config::{
    Cache, Config, DeviceBound, Encrypt, OnStoreError, SameSite, SessionsPerUser, WhenFull,
};
pub use cookies::Cookies;
pub use device::{Device, LoginDevice};
pub use erased::AnyStore;
pub use error::{SessionError, StoreOperation, WrongType};
pub use event::{BoundReason, Event, Reason};
pub use health::Health;
pub use host::{Compute, StoreHost};
pub use memory::MemoryStore;
pub use revocations::{RequestId, RevokedBy};
pub use sessions::Sessions;
pub use store::{
    Cursor, Entry, MaybeSend, MaybeSync, Outcome, Page, ReadTwo, Scan, Stamped, Store, StoreError,
    StoreInfo, begin_alike, write_id_of,
};
pub use stored::{Found, Loaded, Stored, Written};
pub use users::{Login, UserList, UserSession};
pub use vestiary::session::Provider;
pub use vestiary::{
    Error, Format, Handle, MemoryLimits, OnReuse, SessionId, Ttl, UnixMillis, UserRef, WriteId,
};
pub use watched::Ended;

#[cfg(feature = "mysql")]
pub use mysql_store::MySqlStore;
#[cfg(any(feature = "redis", feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use options::StoreOptions;
#[cfg(feature = "postgres")]
pub use postgres_store::PostgresStore;
#[cfg(feature = "redis")]
pub use redis;
#[cfg(feature = "redis")]
pub use redis_store::{RedisConnection, RedisFeed, RedisStore};
#[cfg(feature = "sqlite")]
pub use sqlite_store::SqliteStore;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use sqlx;

/// Compiles the sample of the crate's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
