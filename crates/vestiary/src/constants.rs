//! Numbers that both products need and that belong to no type.

/// The seconds of a century: the longest timeout and cookie lifetime. More was probably meant in milliseconds.
pub const CENTURY: u32 = 3_153_600_000;

/// The longest time between two checks of a watched session, in seconds. A session is followed to its next ID for ten
/// minutes only.
pub const LONGEST_RECHECK: u64 = 300;

/// The longest time for which a near cache may answer in place of the store, in milliseconds.
pub const LONGEST_STALE: u32 = 60_000;

/// The maximum number of texts in a near cache. Default of the option `cache.maxEntries`.
pub const CACHE_ENTRIES: u32 = 10_000;

/// The lifetime of a bound cookie, in seconds. Default of the option `deviceBound.maxAge`.
pub const BOUND_MAX_AGE: u32 = 300;

/// The time between two checks of a session that a stream watches, in seconds. Default of the option `recheckAfter`.
pub const RECHECK_AFTER: u64 = 10;

/// The maximum number of consecutive renewals that a request follows from the ID in its cookie: as many IDs as the
/// session can have got while the cookie was on its way.
pub const RENEWALS: usize = 4;

/// The maximum number of sessions per user. Default of the option `sessionsPerUser`.
pub const SESSIONS_PER_USER: usize = 100;

/// The timeout of a store operation, in milliseconds. Default of the option `storeTimeout`.
pub const STORE_TIMEOUT: u64 = 5_000;

/// The TTL of a record that is stored without one, in milliseconds. Default of all stores.
pub const STORE_TTL: u64 = 86_400_000;

/// The time within which a session without a record must be saved after it got another ID, in milliseconds.
pub const UNSAVED: u64 = 600_000;
