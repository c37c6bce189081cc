use alloc::{borrow::Cow, string::String, sync::Arc};

use super::{Fault, Lifetime, calls::Place, seeded};
use crate::{
    Error, KeyRing, Meta, Options, Record, SealRing, SessionId, Ttl, UnixMillis, UserRef, WriteId,
};

/// When a session ends unless it is used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ends {
    /// The first of the idle deadline, the absolute deadline and the end of the cookie; `None` if it has none of them, or
    /// only a cookie whose end no record says.
    pub expires: Option<UnixMillis>,
    /// The idle deadline.
    pub idle: Option<UnixMillis>,
}

/// The rules of one application, which all operations follow.
#[derive(Debug)]
pub struct Rules {
    /// The options of sessions.
    pub options: Arc<Options>,
    /// The signing keys; `None` while the application is built.
    pub keys: Option<Arc<KeyRing>>,
    /// The encryption keys, if records are encrypted.
    pub seals: Option<Arc<SealRing>>,
    /// Whether records that are not encrypted are accepted, too.
    pub migrates: bool,
    /// Whether the store compares the write ID before it writes.
    pub atomic: bool,
    /// Whether the store's client sends a request again by itself when it has lost its connection.
    pub resends: bool,
    /// The TTL that the store gives to a record without one.
    pub default_ttl: Ttl,
}

impl Rules {
    /// The lifetime, from now on, of a user's session with this metadata.
    #[must_use]
    pub fn lifetime(&self, meta: Option<&Meta>, now: UnixMillis) -> Lifetime {
        let own = meta.map_or(Cow::Borrowed(&*self.options), |meta| self.options.for_session(meta));
        let ttl = match own.ttl(now) {
            Ttl::Infinite => self.default_ttl,
            ttl @ Ttl::Millis(_) => ttl,
        };
        self.options.timeouts().lifetime(ttl)
    }

    /// The key of a user's session list in the store.
    pub(crate) fn list_key(&self, user: &UserRef) -> String {
        self.options.user_key(&user.decoded_name())
    }

    /// Decrypts a text that the store has under `key`, if records are encrypted.
    pub(crate) fn opened(
        &self,
        place: Place<'_>,
        key: &str,
        text: String,
    ) -> Result<String, Error> {
        let Some(seals) = &self.seals else { return Ok(text) };
        let opened = match place {
            Place::Session(id) => seals.open(id, key, &text),
            Place::List(list) => seals.open(&SessionId::parse(list)?, key, &text),
        };
        match opened {
            Err(Error::NotSealed) if self.migrates => Ok(text),
            opened => opened,
        }
    }

    /// The TTL of a session's record, by the session's own cookie attributes if it has some.
    pub(crate) fn ttl_of(&self, meta: &Meta, now: UnixMillis) -> Ttl {
        let ttl = self.options.for_session(meta).ttl(now);
        self.options.timeouts().ttl(ttl, meta, now)
    }

    /// When the session of a record, which was read or stored at `at`, ends unless it is used. `is_due` if its lifetime is restarted when the response is ready, `is_set` if
    /// the response sets its cookie.
    #[cold]
    #[must_use]
    pub fn ends(&self, record: &Record, at: UnixMillis, is_due: bool, is_set: bool) -> Ends {
        let (meta, timeouts) = (record.meta(), self.options.timeouts());
        let mut idle = meta.idle.filter(|_| timeouts.has_idle());
        if is_due && timeouts.is_stale(meta, at) {
            idle = timeouts.idle_from(at);
        }
        let cookie = self.options.for_session(meta).cookie_end(is_set.then_some(at), meta.until);
        let deadline = UnixMillis::first_of(idle, timeouts.absolute(meta));
        let expires = UnixMillis::first_of(deadline, cookie);
        Ends { expires, idle }
    }

    /// Creates the record of a new session with this data and metadata.
    pub(crate) fn first(
        &self,
        write_id: WriteId,
        data: &str,
        meta: Meta,
        now: UnixMillis,
    ) -> Result<Record, Error> {
        let meta = Meta { version: self.options.version(), ..meta };
        let (meta, cookie) = self.stamped(meta, now)?;
        let options = &*self.options;
        Record::new(options.format(), write_id, &cookie, data, meta, options.limits())
    }

    /// Creates the record that replaces this one, with other data and other metadata.
    pub(crate) fn rewritten(
        &self,
        record: &Record,
        write_id: WriteId,
        data: &str,
        meta: Meta,
        now: UnixMillis,
    ) -> Result<Record, Error> {
        let (meta, cookie) = self.stamped(meta, now)?;
        let options = &*self.options;
        record.rewritten(options.format(), write_id, &cookie, data, meta, options.limits())
    }

    /// The metadata of a record that is written now, and the cookie attributes that the record shows.
    fn stamped(&self, meta: Meta, now: UnixMillis) -> Result<(Meta, String), Error> {
        let mut options = Cow::Borrowed(&*self.options);
        let mut meta = options.timeouts().stamped(meta, now);
        if !meta.slots.is_empty() {
            meta.slots = meta.slots.pruned(now);
        }
        if let Some(own) = &meta.cookie {
            if options.are_repeated_by(own) {
                meta.cookie = None;
            } else if let Ok(overridden) = options.overridden(own) {
                options = Cow::Owned(overridden);
            }
        }
        // The cookie is set with this write, unless the record says when it was set.
        meta.until = options.lasting().map(|lasting| meta.until.unwrap_or(now.plus(lasting)));
        let cookie = options.shown_cookie(now)?.into_owned();
        Ok((meta, cookie))
    }

    /// Decodes a record.
    pub(crate) fn record(&self, text: String) -> Result<Record, Error> {
        if seeded(Fault::ReadsAsItWrites) {
            return Record::decode_owned(text, self.options.limits());
        }
        Record::decode_owned(text, self.options.load_limits())
    }
}
