use super::UserSessions;
use crate::UnixMillis;

/// The time at which a visitor who logs in proved their identity, with the clocks that compare it with the end of all
/// sessions of the user.
///
/// ```
/// # use vestiary::UnixMillis;
/// # use vestiary::protocol::Proof;
/// let proof = Proof { at: UnixMillis(7), here: UnixMillis(9), store: None, own_end: None };
/// assert_eq!(proof.since(), Some(UnixMillis(7)));
/// // The store's clock is a second ahead.
/// let proof = Proof { store: Some(UnixMillis(1_009)), ..proof };
/// assert_eq!(proof.since(), Some(UnixMillis(1_007)));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Proof {
    /// The time of the proof, by the clock of this server.
    pub at: UnixMillis,
    /// The current time by the same clock, read after `store`. Reading it later makes the proof seem older, never younger.
    pub here: UnixMillis,
    /// The current time by the store's clock, if it has one.
    pub store: Option<UnixMillis>,
    /// The end of all sessions of the user by the same request that logs in.
    pub own_end: Option<OwnEnd>,
}

/// The end of all sessions of a user by one request, by the clock that dates [`UserChange::End`](super::UserChange::End).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OwnEnd {
    /// The time at which the request ended them.
    pub at: UnixMillis,
    /// The time at which another request had ended them last.
    pub before: UnixMillis,
}

impl Proof {
    /// The time of the proof by the clock that dates the end of all sessions, for
    /// [`UserChange::Add`](super::UserChange::Add). `None` if the login must be refused, because the proof is older than a
    /// user's session list remembers the end of all sessions.
    #[must_use]
    pub fn since(self) -> Option<UnixMillis> {
        let age = self.here.since(self.at);
        if age > UserSessions::REMEMBERED {
            return None;
        }
        // Without a clock of the store, the time of the proof decides, and not the time that the login has taken.
        let since = match self.store {
            Some(store) => UnixMillis(store.0.saturating_sub(age)),
            None => self.at.min(self.here),
        };
        // The request's own end of all sessions does not refuse its login. An end by another request after the proof does.
        let own_end = self.own_end.filter(|own| since >= own.before);
        Some(own_end.map_or(since, |own| since.max(own.at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(at: u64, here: u64, store: Option<u64>) -> Option<u64> {
        let [at, here] = [at, here].map(UnixMillis);
        let proof = Proof { at, here, store: store.map(UnixMillis), own_end: None };
        proof.since().map(|since| since.0)
    }

    #[test]
    fn a_proof_counts_by_the_clock_that_dates_the_end_of_all_sessions() {
        assert_eq!(since(1_000, 1_500, None), Some(1_000));
        assert_eq!(since(1_000, 1_500, Some(9_500)), Some(9_000));
        // A proof with a date in the future counts from now.
        assert_eq!(since(9_000, 1_500, None), Some(1_500));
        assert_eq!(since(9_000, 1_500, Some(700)), Some(700));
        // A store whose clock is near the epoch.
        assert_eq!(since(1_000, 1_500, Some(3)), Some(0));
    }

    #[test]
    fn a_proof_that_is_older_than_a_list_remembers_is_refused() {
        const DAY: u64 = UserSessions::REMEMBERED;
        assert_eq!(since(1_000, 1_000 + DAY, None), Some(1_000));
        assert_eq!(since(1_000, 1_001 + DAY, None), None);
        assert_eq!(since(1_000, 1_001 + DAY, Some(u64::MAX)), None);
    }

    #[test]
    fn the_end_of_all_sessions_by_the_request_itself_refuses_its_login_only_if_another_came_between()
     {
        let own = |at, before| OwnEnd { at: UnixMillis(at), before: UnixMillis(before) };
        let since = |at: u64, own_end| {
            let proof = Proof { at: UnixMillis(at), here: UnixMillis(99), store: None, own_end };
            proof.since().map(|since| since.0)
        };
        assert_eq!(since(10, Some(own(20, 10))), Some(20));
        assert_eq!(since(10, Some(own(20, 11))), Some(10));
        assert_eq!(since(30, Some(own(20, 11))), Some(30));
    }
}
