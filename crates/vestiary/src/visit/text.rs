use alloc::{borrow::Cow, string::String, vec::Vec};

use super::{Outgoing, State, View, Visit};
use crate::{
    CookieOverrides, Error, Limits, Record, SessionId, UnixMillis,
    protocol::{Ends, Rules, Seen},
};

/// A [`Visit`] as text and numbers, for a driver that keeps it outside the core, such as JavaScript. Between two operations
/// of a request, the core keeps nothing of it.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct VisitText<'t> {
    /// Bits, defined by [`VisitText::STATE`] and the constants after it.
    pub flags: u32,
    /// One ID a line: of the session or its tombstone, in the cookie, and [`Visit::certain`]; then [`Visit::received`] and
    /// [`Visit::lost`]. A line is empty if its ID is missing.
    pub ids: Cow<'t, str>,
    /// The record of the session, or the tombstone.
    pub record: Cow<'t, str>,
    /// The time at which the store was asked for the record, or to store it.
    pub at: UnixMillis,
    /// The session's own cookie attributes, for the cookie that leaves or of the session that has ended: text of a JSON
    /// object.
    pub own: Option<Cow<'t, str>>,
}

/// The usual number of bytes of a visit's IDs.
const IDS: usize = 120;

impl VisitText<'_> {
    /// The state, in the order of [`State`].
    pub const STATE: u32 = 7;
    /// Whether the lifetime of the session must be restarted.
    pub const DUE: u32 = 1 << 3;
    /// Whether the use of the session must be recorded in its user's session list.
    pub const UNSEEN: u32 = 1 << 5;
    /// The fate of the data, in the order of [`View`].
    pub const VIEW: u32 = 3 << 6;
    /// The fate of the cookie, in the order of [`Outgoing`].
    pub const COOKIE: u32 = 3 << 8;
    /// Whether the browser has a cookie.
    pub const COOKIE_OUT: u32 = 1 << 10;
    /// The number of IDs that were received.
    const RECEIVED: u32 = 0xFF << 16;

    /// [`Visit::ends`].
    ///
    /// # Errors
    /// [`Error`] if [`Visit::text`] has not made the text.
    pub fn ends(self, rules: &Rules) -> Result<Ends, Error> {
        if !self.is_stored() {
            return Ok(Ends::default());
        }
        let (is_due, is_set) = (self.get(Self::DUE) > 0, self.get(Self::COOKIE) == 1);
        let record = rules.record(self.record.into_owned())?;
        Ok(rules.ends(&record, self.at, is_due, is_set))
    }

    /// [`Visit::log_id`].
    ///
    /// # Errors
    /// [`Error`] if [`Visit::text`] has not made the text.
    pub fn log_id(self, rules: &Rules) -> Result<Option<String>, Error> {
        if !self.is_stored() {
            return Ok(None);
        }
        let id = SessionId::parse(self.ids.split('\n').next().unwrap_or_default())?;
        let record = rules.record(self.record.into_owned())?;
        Ok(Some(Seen { id, record, at: self.at }.log_id()))
    }

    /// Whether the visit has a stored session.
    pub(super) fn is_stored(&self) -> bool {
        self.get(Self::STATE) == 2
    }

    fn get(&self, mask: u32) -> u32 {
        (self.flags & mask) >> mask.trailing_zeros()
    }

    fn put(&mut self, mask: u32, value: u32) {
        self.flags |= value << mask.trailing_zeros() & mask;
    }
}

impl<E> Visit<E> {
    /// Converts the visit to text. The driver keeps the error of the state, if it has one.
    ///
    /// # Errors
    /// As [`Record::source`].
    pub fn text(&self, limits: Limits) -> Result<VisitText<'_>, Error> {
        let mut text = VisitText::default();
        let (state, session) = match &self.state {
            State::Anonymous => (0, None),
            State::Reserved(session) => (1, Some(session)),
            State::Stored { session, due, unseen } => {
                text.put(VisitText::DUE, u32::from(*due));
                text.put(VisitText::UNSEEN, u32::from(*unseen));
                (2, Some(session))
            }
            State::Ended => (3, None),
            State::Tombstone(tombstone) => (4, Some(tombstone)),
            State::Unreadable(_) => (5, None),
            State::Unavailable(_) => (6, None),
            State::Unbound(session) => (7, Some(session)),
        };
        let (cookie, id, own) = match &self.cookie {
            Outgoing::Nothing => (0, None, &self.parted),
            Outgoing::Session { id, own } => (1, Some(id), own),
            Outgoing::Removal { own } => (2, None, own),
            Outgoing::Expired { id, own } => (3, Some(id), own),
        };
        text.put(VisitText::STATE, state);
        text.put(VisitText::VIEW, self.view as u32);
        text.put(VisitText::COOKIE, cookie);
        text.put(VisitText::COOKIE_OUT, u32::from(self.cookie_out));
        text.put(VisitText::RECEIVED, u32::try_from(self.received.len()).unwrap_or(0));
        text.own = own.as_ref().map(|own| own.as_str().into());
        let first = [session.map(|session| &session.id), id, self.certain.as_ref()];
        let mut ids = String::with_capacity(IDS);
        for id in first {
            ids.push_str(id.map_or("", SessionId::expose));
            ids.push('\n');
        }
        for others in [&self.received, &self.lost] {
            for id in others {
                ids.extend([id.expose(), "\n"]);
            }
        }
        text.ids = ids.into();
        if let Some(Seen { record, at, .. }) = session {
            (text.record, text.at) = (record.source(limits)?, *at);
        }
        Ok(text)
    }

    /// Converts a text to the visit. `failure` is the error of its state, and `read` decodes the record.
    ///
    /// # Errors
    /// [`Error`] if [`Visit::text`] has not made the text.
    pub fn of_text(
        text: &VisitText<'_>,
        failure: Option<E>,
        read: impl FnOnce(&str) -> Result<Record, Error>,
    ) -> Result<Self, Error> {
        // Usually all IDs are the same.
        let mut before: Option<SessionId> = None;
        let mut ids = text.ids.split('\n').map(|line| match &before {
            _ if line.is_empty() => Ok(None),
            Some(before) if before.expose() == line => Ok(Some(before.clone())),
            _ => {
                before = Some(SessionId::parse(line)?);
                Ok(before.clone())
            }
        });
        let mut id = || ids.next().transpose().map(Option::flatten);
        let (session, cookie, certain) = (id()?, id()?, id()?);
        let mut received = ids.filter_map(Result::transpose).collect::<Result<Vec<_>, Error>>()?;
        let count = text.get(VisitText::RECEIVED) as usize;
        let lost = received.split_off(count.min(received.len()));
        let own = text.own.as_deref().map(CookieOverrides::parse).transpose()?.flatten();
        let session = match session {
            None => None,
            Some(id) => Some(Seen { id, record: read(&text.record)?, at: text.at }),
        };
        let state = match (text.get(VisitText::STATE), session, failure) {
            (0, ..) => State::Anonymous,
            (1, Some(session), _) => State::Reserved(session),
            (2, Some(session), _) => {
                let (due, unseen) = (text.get(VisitText::DUE), text.get(VisitText::UNSEEN));
                State::Stored { session, due: due > 0, unseen: unseen > 0 }
            }
            (4, Some(tombstone), _) => State::Tombstone(tombstone),
            (7, Some(session), _) => State::Unbound(session),
            (5, _, Some(error)) => State::Unreadable(error),
            (6, _, Some(error)) => State::Unavailable(error),
            // In this state nothing is written.
            _ => State::Ended,
        };
        let mut parted = None;
        let cookie = match (text.get(VisitText::COOKIE), cookie) {
            (1, Some(id)) => Outgoing::Session { id, own },
            (2, _) => Outgoing::Removal { own },
            (3, Some(id)) => Outgoing::Expired { id, own },
            _ => {
                parted = own;
                Outgoing::Nothing
            }
        };
        let view = match text.get(VisitText::VIEW) {
            0 => View::Kept,
            1 => View::Written,
            2 => View::Read,
            _ => View::Dropped,
        };
        let cookie_out = text.get(VisitText::COOKIE_OUT) > 0;
        Ok(Self { state, view, cookie, parted, cookie_out, received, lost, certain, taken: None })
    }
}

/// Hides IDs and data.
impl core::fmt::Debug for VisitText<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("VisitText").field("flags", &self.flags).finish_non_exhaustive()
    }
}
