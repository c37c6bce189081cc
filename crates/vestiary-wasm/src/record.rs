//! Records: under which key, sealed or open, and what a loaded one is.

use alloc::{borrow::ToOwned as _, string::String};

use vestiary::{
    Follower, Format, Handle, Inspection, Lead, Limits, Meta, Record, SessionId, UnixMillis,
    UserRef, merge, protocol::Terms,
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::{millis, session_id, thrown, ttl_number},
    memory::MemoryTable,
    options::Core,
};

#[wasm_bindgen]
impl Core {
    /// The key of a session in the store, after the store's own prefix.
    #[wasm_bindgen(js_name = storeKey)]
    pub fn store_key(&self, id: &str) -> Result<String, String> {
        Ok(self.options.store_key(&session_id(id)?))
    }

    /// The key of a user's session list in the store, after the store's own prefix.
    #[wasm_bindgen(js_name = userKey)]
    pub fn user_key(&self, name: &str) -> String {
        self.options.user_key(name)
    }

    /// The text of a record, encrypted if records are. The 24 random bytes of the nonce are in the input.
    pub fn seal(&self, id: &str, key: &str, text: String) -> Result<String, String> {
        match (&self.rules.seals, self.input.first_chunk()) {
            (Some(seals), Some(nonce)) => Ok(seals.seal(&session_id(id)?, key, &text, nonce)),
            _ => Ok(text),
        }
    }

    /// The text of a record, decrypted if records are.
    pub fn open(&self, id: &str, key: &str, text: String) -> Result<String, String> {
        match &self.rules.seals {
            Some(seals) => seals.open(&session_id(id)?, key, &text).map_err(thrown),
            None => Ok(text),
        }
    }

    /// Milliseconds that the record of this text may be given now.
    #[wasm_bindgen(js_name = ttlOf)]
    pub fn ttl_of(&self, text: &str, now: f64) -> Result<f64, String> {
        let now = millis(now);
        let meta = Record::inspect(text, self.options.load_limits()).map_err(thrown)?.meta;
        let ttl = self.options.for_session(&meta).ttl(now);
        Ok(ttl_number(self.options.timeouts().ttl(ttl, &meta, now)))
    }

    /// The kind of the record of `length` bytes in the input: bits of `Found`. Throws if it cannot be used.
    pub fn inspect(&self, length: usize, now: f64) -> Result<u8, String> {
        let text = self.input.get(..length).and_then(|text| str::from_utf8(text).ok());
        self.inspect_long(text.unwrap_or_default(), now)
    }

    /// As `inspect`, for a record that does not fit into the input.
    #[wasm_bindgen(js_name = inspectLong)]
    pub fn inspect_long(&self, text: &str, now: f64) -> Result<u8, String> {
        Ok(self.found(&Record::inspect(text, self.options.load_limits()).map_err(thrown)?, now))
    }

    /// Looks for the record that a table has under the key of `length` bytes in the input. Returns bits of
    /// `Found`, or -1 if there is none, or none that can be used. `looked` says where it is.
    pub fn look(&mut self, table: &mut MemoryTable, length: usize, now: f64) -> i32 {
        let key = self.input.get(..length).and_then(|key| str::from_utf8(key).ok());
        let Some(text) = table.0.get(key.unwrap_or_default(), millis(now)) else { return -1 };
        let Ok(record) = Record::inspect(text, self.options.load_limits()) else { return -1 };
        let start = text.as_ptr().addr();
        let data = record.data.map_or(0..0, |data| {
            let start = data.as_ptr().addr() - start;
            start..start + data.len()
        });
        *self.looked = [start, text.len(), data.start, data.end];
        self.found(&record, now).into()
    }

    /// Address of four numbers about what `look` has found: its address, its length, and where in it the
    /// data begin and end, if they have a place. They are good until the table is spoken to.
    #[wasm_bindgen(getter)]
    pub fn looked(&self) -> *const usize {
        self.looked.as_ptr()
    }

    /// The ID that the tombstone found under `id` leads to.
    #[wasm_bindgen(js_name = nextId)]
    pub fn next_id(&self, id: &str, text: &str) -> Result<Option<String>, String> {
        let (id, record) = self.loaded(id, text)?;
        let next = record.next(&id).map_err(thrown)?;
        Ok(next.map(|(id, _)| id.expose().to_owned()))
    }

    /// The ID that the record found under `id` leads a request to that had the session open before: `id` itself
    /// if it is the session's own record; undefined if it leads nowhere.
    pub fn lead(&self, id: &str, text: &str) -> Result<Option<String>, String> {
        let (id, record) = self.loaded(id, text)?;
        Ok(match record.lead(&id, Follower::Admitted).map_err(thrown)? {
            Lead::Here => Some(id.expose().to_owned()),
            Lead::To(next) => Some(next.expose().to_owned()),
            Lead::Nowhere => None,
        })
    }

    /// The text of a record written now: in place of `before`, or a new one; of a user, if there is
    /// one. `cookie` changes the session's own cookie attributes, `{}` to none. The 12 random bytes of its write
    /// ID are in the input.
    pub fn encode(
        &self,
        data: &str,
        before: Option<String>,
        user: Option<String>,
        handle: Option<String>,
        cookie: Option<String>,
        now: f64,
    ) -> Result<String, String> {
        let (mut meta, mut limits) = (Meta::default(), self.options.limits());
        if let Some(text) = before {
            let before = Record::decode(&text, self.options.load_limits()).map_err(thrown)?;
            meta = before.meta().clone();
            if before.data() == data {
                // Data that was stored already stays within the limits.
                limits = self.options.load_limits();
            }
        }
        let terms = self.terms(millis(now), cookie.as_deref())?;
        let record = self.record(data, meta, user, handle, &terms, limits, millis(now))?;
        record.encode(self.options.load_limits()).map_err(thrown)
    }

    /// The data of a session that follows the one of this record: `kept`, members of `base`, as the record spells
    /// them, and those of `others`. All are JSON text.
    pub fn keep(&self, text: &str, base: &str, kept: &str, others: &str) -> Result<String, String> {
        let limits = self.options.load_limits();
        let record = Record::decode(text, limits).map_err(thrown)?;
        let kept = merge(base, kept, record.data(), limits).map_err(thrown)?;
        merge("{}", others, &kept, limits).map_err(thrown)
    }
}

impl Core {
    fn found(&self, Inspection { format, meta, .. }: &Inspection<'_>, now: f64) -> u8 {
        let (timeouts, now) = (self.options.timeouts(), millis(now));
        let retired = meta.next.as_ref().map(|next| next.grace.is_some_and(|grace| now < grace));
        let bits = [
            (*format == Format::Express, Found::Express),
            (timeouts.is_over(meta, now), Found::Over),
            (timeouts.is_stale(meta, now), Found::Stale),
            (timeouts.wants_renewal(meta, now), Found::Due),
            (retired == Some(true), Found::Renewed),
            (retired == Some(false), Found::Retired),
            (meta.user.is_some(), Found::Owned),
            (meta.cookie.as_ref().is_some_and(|own| self.is_own(own)), Found::Cookie),
        ];
        bits.into_iter().map(|(is, bit)| u8::from(is) * bit as u8).sum()
    }

    #[expect(clippy::too_many_arguments, reason = "these are the parts of a record")]
    pub(crate) fn record(
        &self,
        data: &str,
        meta: Meta,
        user: Option<String>,
        handle: Option<String>,
        terms: &Terms,
        limits: Limits,
        now: UnixMillis,
    ) -> Result<Record, String> {
        let (mut meta, cookie, _) = terms.stamped(meta, now).map_err(thrown)?;
        if let (Some(name), Some(handle)) = (user, handle.as_deref().and_then(Handle::parse)) {
            meta.user = Some(UserRef { name, handle });
        }
        Record::new(terms.format, self.write_id(0), &cookie, data, meta, limits).map_err(thrown)
    }

    pub(crate) fn loaded(&self, id: &str, text: &str) -> Result<(SessionId, Record), String> {
        let record = Record::decode(text, self.options.load_limits()).map_err(thrown)?;
        Ok((session_id(id)?, record))
    }
}

/// Bits of `inspect`.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// It is of express-session's shape.
    Express = 1,
    /// The session has lasted its time.
    Over = 2,
    /// It has to be written down that the session is used.
    Stale = 4,
    /// It is time for another ID.
    Due = 8,
    /// The session has another ID, and this one still leads to it.
    Renewed = 16,
    /// The session has another ID, and this one is out of use.
    Retired = 32,
    /// It belongs to a user.
    Owned = 64,
    /// It has cookie attributes of its own.
    Cookie = 128,
}
