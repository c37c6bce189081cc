use crate::constants;

/// The limit of the number of sessions that a user has at the same time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionsPerUser {
    /// The maximum number of sessions. Default: 100.
    pub most: usize,
    /// The effect of a login beyond it. Default: [`WhenFull::Evict`].
    pub when_full: WhenFull,
}

/// The effect of a login of a user who already has the maximum number of sessions.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WhenFull {
    /// It ends the session that has been idle longest.
    #[default]
    Evict,
    /// It is refused with [`Error::TooManySessions`](crate::Error::TooManySessions).
    Refuse,
}

impl Default for SessionsPerUser {
    fn default() -> Self {
        constants::SESSIONS_PER_USER.into()
    }
}

/// So many sessions, of which the one that has been idle longest makes room.
impl From<usize> for SessionsPerUser {
    fn from(most: usize) -> Self {
        Self { most, when_full: WhenFull::Evict }
    }
}
