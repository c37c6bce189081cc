use alloc::{string::String, vec::Vec};

use crate::{Error, Handle, SessionsPerUser, UnixMillis};

/// A change of a user's session list. Making it twice has the same result as making it once, so a lost reply does no harm.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UserChange {
    /// The user logged in.
    Add {
        /// The new session.
        handle: Handle,
        /// The session of the same user that the login replaces, if any. It takes no room beside the new one.
        replaces: Option<Handle>,
        /// The application's label for it, as JSON text: [`UserSessions::label`](super::UserSessions::label).
        label: Option<String>,
        /// Its device, as JSON text: [`Device::json`](crate::Device::json).
        device: Option<String>,
        /// The lists of its provider that have it, too, as JSON text: the hashes in their keys.
        provider: Option<String>,
        /// The time at which the visitor proved their identity: [`Proof::since`](super::Proof::since).
        since: UnixMillis,
        /// The limit of the number of the user's sessions.
        limit: SessionsPerUser,
    },
    /// A login failed, and the session that it was to replace stays.
    Stay {
        /// The session that stays.
        handle: Handle,
        /// The session of the login, which leaves the list, and the time of its proof. `None` if it was in another list.
        instead: Option<(Handle, UnixMillis)>,
    },
    /// A session was used.
    Seen(Handle),
    /// A session was bound to a device.
    Bound(Handle),
    /// One session ends.
    Remove(Handle),
    /// Several sessions end.
    RemoveEach(Vec<Handle>),
    /// One session ends whose replaced ID was used again, unless a login has replaced the session.
    Reused(Handle),
    /// All sessions end, except perhaps one.
    End {
        /// The session that stays, if any.
        keep: Option<Handle>,
        /// The time of the request to end them. A login that began earlier is refused.
        at: UnixMillis,
    },
    /// The provider has ended the sessions in this list of a provider. They stay in it until they have expired, so that
    /// the logout can be repeated after a crash.
    LoggedOut {
        /// The time. A login that began earlier is refused.
        at: UnixMillis,
        /// The entry that stands for the provider's token, so that the token counts only once.
        receipt: Option<Handle>,
    },
}

/// The answer of a user's session list to a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The change was made.
    Made,
    /// It may not be made: a login that began before all sessions were ended, or the use of a session that has ended.
    Outdated,
    /// It may not be made: a login of a user who has the maximum number of sessions
    /// ([`WhenFull::Refuse`](crate::WhenFull::Refuse)). The list has not changed.
    Full,
}

impl Verdict {
    /// Whether a login may take place. If not, its proof is outdated.
    ///
    /// # Errors
    /// [`Error::TooManySessions`] if the list is full.
    pub(crate) fn admits(self) -> Result<bool, Error> {
        match self {
            Self::Made => Ok(true),
            Self::Outdated => Ok(false),
            Self::Full => Err(Error::TooManySessions),
        }
    }
}
