//! The session list of a user.

use alloc::{borrow::ToOwned as _, string::String, sync::Arc};

use vestiary::{
    CookieOverrides, Handle, Meta,
    protocol::{self, UserChange, UserSessions},
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::{millis, thrown},
    options::Core,
    running::{Ended, Ending, Running},
};

#[wasm_bindgen]
impl Core {
    /// A name for a session in the list of its user, of 12 random bytes in the input.
    #[wasm_bindgen(js_name = newHandle)]
    pub fn new_handle(&self) -> Option<String> {
        self.input.first_chunk().map(|entropy| Handle::from_entropy(entropy).as_str().to_owned())
    }

    /// Adds a session to the list of its user, which the store has under `key`. Undefined if the handle is none.
    #[wasm_bindgen(js_name = userAdd)]
    pub fn user_add(
        &self,
        key: String,
        handle: &str,
        label: Option<String>,
        since: f64,
        most: usize,
    ) -> Option<Running> {
        let (handle, since) = (Handle::parse(handle)?, millis(since));
        let label = label.as_deref().map(UserSessions::label);
        let change = UserChange::Add { handle, label, since, most };
        Some(self.list(key, change, None))
    }

    /// Writes in that list that a session is used. `own` is its own cookie attributes.
    #[wasm_bindgen(js_name = userSeen)]
    pub fn user_seen(&self, key: String, handle: &str, own: Option<String>) -> Option<Running> {
        let change = UserChange::Seen(Handle::parse(handle)?);
        Some(self.list(key, change, Some(meta_with(own.as_deref()))))
    }

    /// Ends one session in that list.
    #[wasm_bindgen(js_name = userRemove)]
    pub fn user_remove(&self, key: String, handle: &str) -> Option<Running> {
        let change = UserChange::Remove(Handle::parse(handle)?);
        Some(self.list(key, change, None))
    }

    /// Ends all sessions in that list but `keep`. Logins that began before `at` are refused.
    #[wasm_bindgen(js_name = userEnd)]
    pub fn user_end(&self, key: String, keep: Option<String>, at: f64) -> Running {
        let keep = keep.as_deref().and_then(Handle::parse);
        let change = UserChange::End { keep, at: millis(at) };
        self.list(key, change, None)
    }

    /// Whether a session stands in the list of its user: bits of `Listed`. `own` is its own cookie attributes.
    #[wasm_bindgen(js_name = userKnows)]
    pub fn user_knows(
        &self,
        list: &str,
        handle: &str,
        own: Option<String>,
        now: f64,
    ) -> Result<u8, String> {
        let sessions = UserSessions::decode(list).map_err(thrown)?;
        let Some(handle) = Handle::parse(handle) else { return Ok(0) };
        let (now, meta) = (millis(now), meta_with(own.as_deref()));
        let is_stale = sessions.is_stale(&handle, self.rules.lifetime(Some(&meta), now).ttl, now);
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
    fn list(&self, key: String, change: UserChange, meta: Option<Meta>) -> Running {
        let rules = Arc::clone(&self.rules);
        Running::new(async move |mut host| {
            let changed =
                protocol::change_list(&mut host, &rules, &key, &change, meta.as_ref()).await?;
            let ended = if changed.made { Ended::Done } else { Ended::Gone };
            let before = changed.ended_before.map_or(0.0, |before| before.0 as f64);
            Ok(Ending { at: before, ..Ending::of(ended) })
        })
    }
}

/// The metadata of a session with these cookie attributes of its own.
fn meta_with(own: Option<&str>) -> Meta {
    let mut meta = Meta::default();
    meta.cookie = own.and_then(|own| CookieOverrides::parse(own).ok().flatten());
    meta
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
