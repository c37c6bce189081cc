//! The session list of a user.

use alloc::{borrow::ToOwned as _, string::String};

use vestiary::{
    Handle, Ttl, UnixMillis,
    protocol::{Lifetime, UserChange, UserCommit, UserSessions},
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::{millis, thrown, ttl_of},
    machine::Machine,
    options::Core,
};

#[wasm_bindgen]
impl Core {
    /// A name for a session in the list of its user, of 12 random bytes in the input.
    #[wasm_bindgen(js_name = newHandle)]
    pub fn new_handle(&self) -> Option<String> {
        self.input.first_chunk().map(|entropy| Handle::from_entropy(entropy).as_str().to_owned())
    }

    /// Adds a session to the list of its user.
    #[wasm_bindgen(js_name = userAdd)]
    pub fn user_add(
        &self,
        handle: &str,
        label: Option<String>,
        since: f64,
        most: usize,
        store_ttl: f64,
        now: f64,
    ) -> Option<Machine> {
        let (handle, since) = (Handle::parse(handle)?, millis(since));
        let label = label.as_deref().map(UserSessions::label);
        Some(self.user(UserChange::Add { handle, label, since, most }, None, store_ttl, now))
    }

    /// Writes down that a session of a user is used. `own` is its own cookie attributes.
    #[wasm_bindgen(js_name = userSeen)]
    pub fn user_seen(
        &self,
        handle: &str,
        own: Option<String>,
        store_ttl: f64,
        now: f64,
    ) -> Option<Machine> {
        let change = UserChange::Seen(Handle::parse(handle)?);
        Some(self.user(change, own.as_deref(), store_ttl, now))
    }

    /// Ends one session of a user.
    #[wasm_bindgen(js_name = userRemove)]
    pub fn user_remove(&self, handle: &str, now: f64) -> Option<Machine> {
        Some(self.user(UserChange::Remove(Handle::parse(handle)?), None, f64::INFINITY, now))
    }

    /// Ends all sessions of a user but `keep`. Logins that began before `at` are refused.
    #[wasm_bindgen(js_name = userEnd)]
    pub fn user_end(&self, keep: Option<String>, at: f64, now: f64) -> Machine {
        let keep = keep.as_deref().and_then(Handle::parse);
        self.user(UserChange::End { keep, at: millis(at) }, None, f64::INFINITY, now)
    }

    /// Whether a session stands in the list of its user: bits of `Listed`.
    #[wasm_bindgen(js_name = userKnows)]
    pub fn user_knows(
        &self,
        list: &str,
        handle: &str,
        own: Option<String>,
        store_ttl: f64,
        now: f64,
    ) -> Result<u8, String> {
        let sessions = UserSessions::decode(list).map_err(thrown)?;
        let Some(handle) = Handle::parse(handle) else { return Ok(0) };
        let now = millis(now);
        let is_stale =
            sessions.is_stale(&handle, self.lifetime(own.as_deref(), store_ttl, now).ttl, now);
        Ok(u8::from(sessions.knows(&handle)) * Listed::Known as u8
            + u8::from(is_stale) * Listed::Stale as u8)
    }

    /// The list of a user's sessions that are alive, the last one used last: JSON text.
    #[wasm_bindgen(js_name = userSessions)]
    pub fn user_sessions(&self, list: &str, now: f64) -> Result<String, String> {
        let mut sessions = UserSessions::decode(list).map_err(thrown)?;
        sessions.sweep(millis(now));
        Ok(sessions.encode(&self.write_id(0)))
    }
}

impl Core {
    fn user(&self, change: UserChange, own: Option<&str>, store_ttl: f64, now: f64) -> Machine {
        Machine::user_commit(UserCommit::new(change, self.lifetime(own, store_ttl, millis(now))))
    }

    /// `store_ttl` is the TTL that the store gives to records that are written without one.
    fn lifetime(&self, own: Option<&str>, store_ttl: f64, now: UnixMillis) -> Lifetime {
        let ttl = match self.own(own).ttl(now) {
            Ttl::Infinite => ttl_of(store_ttl),
            ttl @ Ttl::Millis(_) => ttl,
        };
        self.options.timeouts().lifetime(ttl)
    }
}

/// Validates the application's name for a user.
#[wasm_bindgen(js_name = checkName)]
pub fn check_name(name: &str) -> Result<(), String> {
    UserSessions::check_name(name).map_err(thrown)
}

/// Bits of `userKnows`.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Listed {
    /// It stands in the list.
    Known = 1,
    /// It has to be written down that it is used.
    Stale = 2,
}
