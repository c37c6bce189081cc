//! The revocations in this process: a request with a revoked session loses it at once.

use std::{
    cell::Cell,
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use vestiary::{Handle, protocol::OwnEnd};

/// Identifies one request, to distinguish its own revocations from those of others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RequestId(u64);

/// The origin of the revocation of a session that a request has open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RevokedBy {
    /// The request itself.
    Itself,
    /// Another request of this process, or a job.
    Another,
}

thread_local! {
    static ANSWERED: Cell<Option<RequestId>> = const { Cell::new(None) };
}

impl RequestId {
    /// The ID of the request for which the calling code runs ([`RequestId::within`]), or else a new one.
    #[must_use]
    pub fn current_or_new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self::current().unwrap_or_else(|| Self(NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// Runs code of the application on behalf of this request, such as one poll of the future that answers it.
    pub fn within<R>(self, run: impl FnOnce() -> R) -> R {
        /// Restores the previous request, even when the code panics.
        struct Back(Option<RequestId>);
        impl Drop for Back {
            fn drop(&mut self) {
                ANSWERED.set(self.0);
            }
        }
        let _back = Back(ANSWERED.replace(Some(self)));
        run()
    }

    pub(crate) fn current() -> Option<Self> {
        ANSWERED.get()
    }
}

/// The latest revocations, numbered from 1.
#[derive(Default)]
pub(crate) struct Revocations {
    count: AtomicU64,
    notes: Mutex<VecDeque<Note>>,
}

struct Note {
    number: u64,
    /// The key of the user's session list.
    user: String,
    revoked: Revoked,
    by: Option<RequestId>,
}

enum Revoked {
    One(Handle),
    All { keep: Option<Handle>, ended: OwnEnd },
}

/// The notes no longer reach back to the number that the caller has seen.
pub(crate) struct Forgotten;

impl Revocations {
    /// The maximum number of notes; the oldest are dropped beyond it.
    const MOST: usize = 4_096;

    /// The number of revocations so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    pub(crate) fn one(&self, user: &str, handle: &Handle, by: Option<RequestId>) {
        self.note(user, by, |_| Revoked::One(handle.clone()));
    }

    pub(crate) fn all(
        &self,
        user: &str,
        keep: Option<&Handle>,
        ended: OwnEnd,
        by: Option<RequestId>,
    ) {
        self.note(user, by, |notes| {
            let at = ended.at.max(ended.before);
            // A revocation by this request itself does not count as one by another request.
            let own = by.and_then(|by| own_end(notes, user, by));
            let before =
                own.filter(|own| own.at == ended.before).map_or(ended.before, |own| own.before);
            Revoked::All { keep: keep.cloned(), ended: OwnEnd { at, before } }
        });
    }

    fn note(
        &self,
        user: &str,
        by: Option<RequestId>,
        revoked: impl FnOnce(&VecDeque<Note>) -> Revoked,
    ) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.count() + 1;
        let revoked = revoked(&notes);
        if notes.len() == Self::MOST {
            notes.pop_front();
        }
        notes.push_back(Note { number, user: user.to_owned(), revoked, by });
        self.count.store(number, Ordering::Release);
    }

    /// The origin of a revocation of this session of this user, after the first `seen` revocations.
    pub(crate) fn since(
        &self,
        seen: u64,
        user: &str,
        handle: &Handle,
        request: RequestId,
    ) -> Result<Option<RevokedBy>, Forgotten> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by = None;
        for note in notes.iter().rev().take_while(|note| note.number > seen) {
            if note.user != user || !note.revoked.is_for(handle) {
                continue;
            }
            if note.by == Some(request) {
                return Ok(Some(RevokedBy::Itself));
            }
            by = Some(RevokedBy::Another);
        }
        let is_whole = notes.front().is_none_or(|oldest| oldest.number <= seen + 1);
        if by.is_some() || is_whole { Ok(by) } else { Err(Forgotten) }
    }

    /// When this request last revoked all sessions of the user.
    pub(crate) fn ended(&self, user: &str, by: RequestId) -> Option<OwnEnd> {
        own_end(&self.notes.lock().unwrap_or_else(PoisonError::into_inner), user, by)
    }
}

impl Revoked {
    fn is_for(&self, handle: &Handle) -> bool {
        match self {
            Self::One(one) => one == handle,
            Self::All { keep, .. } => keep.as_ref() != Some(handle),
        }
    }
}

fn own_end(notes: &VecDeque<Note>, user: &str, by: RequestId) -> Option<OwnEnd> {
    notes.iter().rev().filter(|note| note.by == Some(by) && note.user == user).find_map(|note| {
        match note.revoked {
            Revoked::All { ended, .. } => Some(ended),
            Revoked::One(_) => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use vestiary::UnixMillis;

    use super::*;

    fn handle(n: u8) -> Handle {
        Handle::from_entropy(&[n; 12])
    }

    #[test]
    fn notes_are_bounded_and_say_when_they_no_longer_reach_back() {
        let notes = Revocations::default();
        let request = RequestId::current_or_new();
        for _ in 0..Revocations::MOST {
            notes.one("bob", &handle(1), None);
        }
        assert!(matches!(notes.since(0, "ada", &handle(2), request), Ok(None)));
        notes.one("ada", &handle(2), Some(request));
        assert_eq!(notes.notes.lock().unwrap().len(), Revocations::MOST);
        assert_eq!(
            notes.since(0, "ada", &handle(2), request).ok().flatten(),
            Some(RevokedBy::Itself)
        );
        assert!(notes.since(0, "ada", &handle(3), request).is_err());
        let seen = notes.count();
        assert!(matches!(notes.since(seen, "ada", &handle(2), request), Ok(None)));
    }

    #[test]
    fn revocations_by_a_request_are_distinguished_from_those_of_others() {
        let notes = Revocations::default();
        let one = RequestId::current_or_new();
        let other = RequestId::current_or_new();
        let ended = |at, before| OwnEnd { at: UnixMillis(at), before: UnixMillis(before) };
        notes.all("ada", None, ended(5, 1), Some(one));
        notes.all("ada", None, ended(7, 5), Some(one));
        assert_eq!(notes.ended("ada", one), Some(ended(7, 1)));
        notes.all("ada", None, ended(8, 7), Some(other));
        assert_eq!(notes.ended("ada", other), Some(ended(8, 7)));
        // The clock was set back: the revocation by another request counts until then.
        notes.all("ada", None, ended(6, 8), Some(one));
        assert_eq!(notes.ended("ada", one), Some(ended(8, 8)));
        assert_eq!(notes.ended("eve", one), None);
    }
}
