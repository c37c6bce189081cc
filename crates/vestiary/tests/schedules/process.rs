//! A process with a near cache, in the schedules of `near.rs`.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use vestiary::{
    Moment, NearCache, SessionId, Ticket, UnixMillis,
    protocol::{Seen, Source},
};

/// A process: its cache, and the messages of the feed that are on their way to it.
pub(crate) struct Process {
    pub(crate) cache: Rc<Near>,
    /// The sessions that it has found in the cache, for requests with the same cookie.
    pub(crate) answers: BTreeMap<String, (Ticket, UnixMillis, Seen)>,
    pub(crate) messages: Vec<Message>,
    /// Whether the connection of the feed is open.
    pub(crate) is_connected: bool,
    /// Whether a request here has ended the session, or the feed has said so here.
    pub(crate) knows_end: bool,
}

pub(crate) struct Message {
    pub(crate) name: String,
    /// Whether the session had ended when it was sent.
    pub(crate) tells_end: bool,
}

pub(crate) struct Near(pub(crate) RefCell<NearCache>);

impl Source for Near {
    fn cached(&self, key: &str, max_stale: u64, at: Moment) -> Option<(String, Ticket)> {
        let mut cache = self.0.borrow_mut();
        cache.get(key, max_stale, at).map(|(text, ticket)| (text.to_owned(), ticket))
    }
}

impl Default for Process {
    fn default() -> Self {
        Self {
            cache: Rc::new(Near(RefCell::new(NearCache::new(64)))),
            answers: BTreeMap::new(),
            messages: Vec::new(),
            is_connected: true,
            knows_end: false,
        }
    }
}

impl Process {
    /// The session that an earlier request has found in the cache with this cookie, if that still holds.
    pub(crate) fn known(&self, cookie: &SessionId, now: UnixMillis) -> Option<Seen> {
        let (ticket, since, seen) = self.answers.get(cookie.expose())?;
        let age = f64::from(u32::try_from(now.since(*since)).unwrap());
        self.cache.0.borrow().holds(ticket, [age; 2]).then(|| seen.clone())
    }
}
