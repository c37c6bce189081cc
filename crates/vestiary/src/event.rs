/// An event in the life of a session, the same in both products. It has no ID and no value in it.
///
/// ```
/// # use vestiary::{Event, Reason};
/// assert_eq!(Event::Rotated { reason: Reason::Login }.name(), "rotated");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A session was stored for the first time.
    Created,
    /// The session got another ID.
    Rotated {
        /// Why.
        reason: Reason,
    },
    /// It was ended; whether replicas of the store know it, if anybody can tell.
    Destroyed {
        /// As the store confirms it.
        confirmed: Option<bool>,
    },
    /// A cookie led to a session whose time is over.
    Expired,
    /// A cookie led to a session that its user has ended.
    Revoked,
    /// No cookie of this name was signed by one of the secrets.
    Rejected,
    /// The store does not know the ID of a genuine cookie.
    Unknown,
    /// A record cannot be read.
    Unreadable {
        /// The code of the error.
        code: &'static str,
    },
    /// Another request had written meanwhile, and both changes are in.
    Conflict,
    /// A session was ended while a request changed it: the change was dropped.
    Gone,
    /// A cookie has an ID that is out of use: it is late, or somebody has kept it.
    Reuse,
    /// The store failed while the session was read, or where the application does not wait for it, such as a
    /// refresh.
    StoreFailed {
        /// The code of the error.
        code: &'static str,
    },
}

/// Why a session got another ID.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// A user logged in, or the session was superseded otherwise: the old ID is worthless.
    Login,
    /// It was time, or the application asked for it: the data goes along.
    Renewal,
}

impl Event {
    /// The name of the event, such as `store_failed`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Rotated { .. } => "rotated",
            Self::Destroyed { .. } => "destroyed",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::Unreadable { .. } => "unreadable",
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::Reuse => "reuse",
            Self::StoreFailed { .. } => "store_failed",
        }
    }
}
