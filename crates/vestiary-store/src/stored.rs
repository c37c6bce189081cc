use vestiary::{
    Error, Handle, Meta, Record, SessionId, UnixMillis, UserRef, protocol::Seen, session,
};

/// A session as the store has it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub(crate) id: SessionId,
    pub(crate) record: Record,
    /// When the store was asked for it, or to store it.
    pub(crate) at: UnixMillis,
}

/// The session that cookies led to.
#[derive(Debug)]
pub enum Found {
    /// A session that is good.
    Session(Box<Loaded>),
    /// A tombstone: it authenticates no visitor, but lets a logout find the session.
    Retired(Box<Stored>),
    /// A session that another instance of the application may be able to read, and this one cannot: neither its
    /// record nor its cookie may be written over.
    Unreadable(Error),
    /// A session whose idle or absolute deadline is over. The cookie in its record says how to remove it from
    /// the browser.
    Expired(Box<Stored>),
    /// Nothing.
    Nobody,
}

/// A session that is good.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not the states of one machine"
)]
pub struct Loaded {
    /// The session as the store has it.
    pub stored: Stored,
    /// The cookie has an earlier ID of the session.
    pub renewed: bool,
    /// It is time for another ID.
    pub due: bool,
    /// Its record has to be written again, or it would end though it is used.
    pub stale: bool,
    /// Its use has to be written in its user's list ([`Sessions::note_use`](crate::Sessions::note_use)), or the list
    /// drops it.
    pub unseen: bool,
}

/// The result of a change of the data.
#[derive(Debug)]
pub struct Written {
    /// The session as the store has it now.
    pub stored: Stored,
    /// Another request had written meanwhile, and both changes are in.
    pub merged: bool,
}

impl From<session::Found> for Found {
    fn from(found: session::Found) -> Self {
        match found {
            session::Found::Session(opened) => Self::Session(Box::new((*opened).into())),
            session::Found::Retired(tombstone) => Self::Retired(Box::new((*tombstone).into())),
            session::Found::Unreadable(error) => Self::Unreadable(error),
            session::Found::Expired(session) => Self::Expired(Box::new((*session).into())),
            session::Found::Nobody => Self::Nobody,
        }
    }
}

impl From<session::Opened> for Loaded {
    fn from(opened: session::Opened) -> Self {
        let session::Opened { session, renewed, due, stale, unseen } = opened;
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
    /// The session's ID: a browser that has it, signed, has the session.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The session's data: text of a JSON object.
    #[must_use]
    pub fn data(&self) -> &str {
        self.record.data()
    }

    /// Whose session it is, by the application's name for the user.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        self.record.meta().user.as_ref().map(UserRef::decoded_name)
    }

    /// The handle of the session in its user's session list.
    #[must_use]
    pub fn handle(&self) -> Option<&Handle> {
        self.record.meta().user.as_ref().map(|user| &user.handle)
    }

    /// The metadata in the record.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        self.record.meta()
    }
}
