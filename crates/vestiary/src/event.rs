use crate::Handle;

/// An event in the life of a session, the same in both products. It contains no ID and no session data.
///
/// ```
/// # use vestiary::{Event, Reason};
/// assert_eq!(Event::Rotated { reason: Reason::Login }.name(), "rotated");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A session was stored for the first time.
    Created,
    /// The session got another ID.
    Rotated {
        /// The reason.
        reason: Reason,
    },
    /// The session was ended.
    Destroyed {
        /// Whether the replicas have confirmed it; `None` if the store cannot tell.
        confirmed: Option<bool>,
    },
    /// A cookie led to an expired session.
    Expired,
    /// A cookie led to a revoked session.
    Revoked,
    /// The request has a cookie of this name, but none with a valid signature.
    Rejected,
    /// A cookie has a valid signature, but the store has no record of its ID.
    Unknown,
    /// A record cannot be read.
    Unreadable {
        /// The error's code.
        code: &'static str,
    },
    /// Another request had written meanwhile, so both changes were merged.
    Conflict,
    /// A session was ended while a request changed it: the change was dropped.
    Gone,
    /// A cookie has an ID that is out of use: a very late request, or a stolen cookie.
    Reuse {
        /// The session's name for logs, in the case of a renewal. For the session of a user it is the handle in the user's
        /// session list.
        log_id: Option<Handle>,
        /// Whether the session has been revoked for it: [`OnReuse::Revoke`](crate::OnReuse::Revoke).
        revoked: bool,
    },
    /// A session was bound to a device, or is, and a request has not shown the device.
    Bound {
        /// The reason.
        reason: BoundReason,
    },
    /// The store failed while the session was read, or in the background, as during a refresh.
    StoreFailed {
        /// The error's code.
        code: &'static str,
    },
}

/// The reason for an event about the device of a session: [`binding`](crate::binding).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BoundReason {
    /// A browser has bound its session.
    Registered,
    /// A request with the session cookie of a bound session had no valid bound cookie: a stolen cookie, or a browser that
    /// could not refresh the bound one.
    Missing,
    /// The proof of a device was refused.
    Refused,
}

impl BoundReason {
    /// The reason's name in events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Missing => "missing",
            Self::Refused => "refused",
        }
    }
}

/// The reason for a rotation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// A login, or another rotation after which the old ID is worthless.
    Login,
    /// A renewal, by `renewAfter` or by the application: the data is kept.
    Renewal,
}

impl Reason {
    /// The reason's name in events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Renewal => "renewal",
        }
    }
}

impl Event {
    /// One event of each kind.
    pub const ALL: [Self; 13] = [
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
        Self::Reuse { log_id: None, revoked: false },
        Self::Bound { reason: BoundReason::Missing },
        Self::StoreFailed { code: "store_failed" },
    ];

    /// The names of the event's fields.
    #[must_use]
    pub fn fields(&self) -> &'static [&'static str] {
        match self {
            Self::Rotated { reason: _ } | Self::Bound { reason: _ } => &["reason"],
            Self::Destroyed { confirmed: _ } => &["confirmed"],
            Self::Reuse { log_id: _, revoked: _ } => &["log_id", "revoked"],
            Self::Unreadable { code: _ } | Self::StoreFailed { code: _ } => &["code"],
            Self::Created
            | Self::Expired
            | Self::Revoked
            | Self::Rejected
            | Self::Unknown
            | Self::Conflict
            | Self::Gone => &[],
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
            Self::Reuse { .. } => "reuse",
            Self::Bound { .. } => "bound",
            Self::StoreFailed { .. } => "store_failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_each_event_once() {
        // A new event fails to compile here until the list has it.
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
            Event::Reuse { .. } => 10,
            Event::Bound { .. } => 11,
            Event::StoreFailed { .. } => 12,
        };
        assert!(Event::ALL.iter().map(place).eq(0..Event::ALL.len()));
    }
}
