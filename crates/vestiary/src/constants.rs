//! Numbers that both products need, beside those of the types that they belong to.

/// How many renewals one after the other a request follows from the ID in its cookie: as many IDs as a session may have
/// got while the cookie was on its way.
pub const RENEWALS: usize = 4;

/// How many sessions a user has at most. Default of the option `sessionsPerUser`.
pub const SESSIONS_PER_USER: usize = 100;

/// How long to wait for the store, in milliseconds. Default of the option `storeTimeout`.
pub const STORE_TIMEOUT: u64 = 5_000;

/// How long a store keeps a record that is stored without a TTL, in milliseconds. Default of all stores.
pub const STORE_TTL: u64 = 86_400_000;

/// How long a session without a record may wait for its first `save()` after it got another ID, in milliseconds.
pub const UNSAVED: u64 = 600_000;
