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
    /// A cookie has an ID that is out of use: it is late, or a visitor has kept it.
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
    /// A user logged in, or the session was rotated otherwise: the old ID is worthless.
    Login,
    /// It was time, or the application asked for it: the data goes along.
    Renewal,
}

impl Reason {
    /// Its name, as events have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Renewal => "renewal",
        }
    }
}

impl Event {
    /// One of each.
    pub const ALL: [Self; 12] = [
        Self::Created,
        Self::Rotated { reason: Reason::Login },
        Self::Destroyed { confirmed: None },
        Self::Expired,
        Self::Revoked,
        Self::Rejected,
        Self::Unknown,
        Self::Unreadable { code: "json" },
        Self::Conflict,
        Self::Gone,
        Self::Reuse,
        Self::StoreFailed { code: "store_failed" },
    ];

    /// The names of its fields.
    #[must_use]
    pub fn fields(&self) -> &'static [&'static str] {
        match self {
            Self::Rotated { reason: _ } => &["reason"],
            Self::Destroyed { confirmed: _ } => &["confirmed"],
            Self::Unreadable { code: _ } | Self::StoreFailed { code: _ } => &["code"],
            Self::Created
            | Self::Expired
            | Self::Revoked
            | Self::Rejected
            | Self::Unknown
            | Self::Conflict
            | Self::Gone
            | Self::Reuse => &[],
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_each_event_once() {
        // A new event does not compile here, until it has a place in the list.
        let place = |event: &Event| match event {
            Event::Created => 0,
            Event::Rotated { .. } => 1,
            Event::Destroyed { .. } => 2,
            Event::Expired => 3,
            Event::Revoked => 4,
            Event::Rejected => 5,
            Event::Unknown => 6,
            Event::Unreadable { .. } => 7,
            Event::Conflict => 8,
            Event::Gone => 9,
            Event::Reuse => 10,
            Event::StoreFailed { .. } => 11,
        };
        assert!(Event::ALL.iter().map(place).eq(0..Event::ALL.len()));
    }
}
