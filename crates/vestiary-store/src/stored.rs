use vestiary::{
    Error, Handle, Meta, Record, SessionId, UnixMillis, UserRef, protocol::Seen, session,
};

/// A stored session.
#[derive(Clone, Debug)]
pub struct Stored {
    pub(crate) id: SessionId,
    pub(crate) record: Record,
    /// The time just before the store was asked to read or write it.
    pub(crate) at: UnixMillis,
}

/// The session that the cookies lead to.
#[derive(Debug)]
pub enum Found {
    /// A valid session.
    Session(Box<Loaded>),
    /// A tombstone: it authenticates no visitor, but lets a logout find the session.
    Tombstone(Box<Stored>),
    /// A session that is bound to a device, which the request has not shown: [`Config::device_bound`](crate::Config::device_bound).
    /// It authenticates no visitor, but lets a logout find the session.
    Unbound(Box<Stored>),
    /// A session that this instance cannot read but another one may be able to. Neither its record nor its cookie
    /// may be overwritten.
    Unreadable(Error),
    /// A session whose idle or absolute deadline has passed. Its record has the cookie attributes that are needed to
    /// remove the cookie.
    Expired(Box<Stored>),
    /// No session.
    Nothing,
}

/// A valid session.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not the states of one machine"
)]
pub struct Loaded {
    /// The stored session.
    pub stored: Stored,
    /// Whether the cookie has a previous ID of the session.
    pub renewed: bool,
    /// Whether the session is due for a renewal.
    pub due: bool,
    /// Whether the record must be refreshed, because it would otherwise expire while the session is in use.
    pub stale: bool,
    /// Whether its use must be recorded in the user's session list ([`Sessions::note_use`](crate::Sessions::note_use));
    /// otherwise the list drops it.
    pub unseen: bool,
}

/// The result of a change to the data.
#[derive(Debug)]
pub struct Written {
    /// The session as it is stored now.
    pub stored: Stored,
    /// Whether another request had written meanwhile, so that both changes were merged.
    pub merged: bool,
}

impl From<session::Found> for Found {
    fn from(found: session::Found) -> Self {
        match found {
            session::Found::Session(loaded) => Self::Session(Box::new((*loaded).into())),
            session::Found::Tombstone(tombstone) => Self::Tombstone(Box::new((*tombstone).into())),
            session::Found::Unbound(session) => Self::Unbound(Box::new((*session).into())),
            session::Found::Unreadable(error) => Self::Unreadable(error),
            session::Found::Expired(session) => Self::Expired(Box::new((*session).into())),
            session::Found::Nothing => Self::Nothing,
        }
    }
}

impl From<session::Loaded> for Loaded {
    fn from(loaded: session::Loaded) -> Self {
        let session::Loaded { session, renewed, due, stale, unseen } = loaded;
        Self { stored: session.into(), renewed, due, stale, unseen }
    }
}

impl From<&Stored> for Seen {
    fn from(stored: &Stored) -> Self {
        let Stored { id, record, at } = stored.clone();
        Self { id, record, at }
    }
}

impl From<Seen> for Stored {
    fn from(Seen { id, record, at }: Seen) -> Self {
        Self { id, record, at }
    }
}

impl Stored {
    /// The session's ID. A browser with this ID, signed, has the session.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The session's data, as the JSON text of an object.
    #[must_use]
    pub fn data(&self) -> &str {
        self.record.data()
    }

    /// The owner of the session, by the application's name for the user.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        self.record.meta().user.as_ref().map(UserRef::decoded_name)
    }

    /// The session's handle in its user's session list.
    #[must_use]
    pub fn handle(&self) -> Option<&Handle> {
        self.record.meta().user.as_ref().map(|user| &user.handle)
    }

    /// A name of the session for logs: 16 characters that stay the same until the session ends, even over renewals, and
    /// reveal nothing about its ID. For the session of a user, it is the handle.
    #[must_use]
    pub fn log_id(&self) -> String {
        Seen::from(self).log_id()
    }

    /// Whether the session is bound to a device: [`Config::device_bound`](crate::Config::device_bound).
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.record.meta().is_bound()
    }

    /// The library's own metadata in the record.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        self.record.meta()
    }
}
