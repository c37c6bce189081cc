//! Changes of one session: the operations of `vestiary::protocol` that a driver runs.

use alloc::{boxed::Box, string::String, sync::Arc};

use vestiary::{
    CookieOverrides, Meta, UnixMillis,
    protocol::{self, Change, Moved, OwnEnd, Pending, Proof, Reason, Seen, Terms},
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::{millis, thrown, ttl_of},
    options::Core,
    running::{Answer, Ended, Ending, Running, Step},
};

#[wasm_bindgen]
impl Core {
    /// A change of the session `id`, loaded as `text` at `read_at`: from `base` to `mine`, or by a function if there
    /// is no `mine`. `cookie` changes the session's own cookie attributes, `{}` to none.
    pub fn commit(
        &self,
        id: &str,
        text: &str,
        read_at: f64,
        base: String,
        mine: Option<String>,
        cookie: Option<String>,
    ) -> Result<Running, String> {
        let session = self.seen(id, text, read_at)?;
        let change = mine.map_or(Change::Rerun, |mine| Change::Merge { base, mine });
        let cookie = cookie.as_deref().map(CookieOverrides::parse).transpose().map_err(thrown)?;
        let (rules, limits) = (Arc::clone(&self.rules), self.options.load_limits());
        Ok(Running::new(async move |mut host| {
            let written = protocol::commit(&mut host, &rules, session, &change, cookie).await?;
            Ending::written(written, limits)
        }))
    }

    /// Another TTL for the session `id`, loaded as `text` at `read_at`.
    pub fn touch(&self, id: &str, text: &str, read_at: f64) -> Result<Running, String> {
        let session = self.seen(id, text, read_at)?;
        let (rules, limits) = (Arc::clone(&self.rules), self.options.load_limits());
        Ok(Running::new(async move |mut host| {
            match protocol::touch(&mut host, &rules, session).await? {
                Some(session) => Ending::session(*session, limits),
                None => Ok(Ending::of(Ended::Gone)),
            }
        }))
    }

    /// The end of the session `id`, loaded as `text` at `read_at`.
    pub fn destroy(&self, id: &str, text: &str, read_at: f64) -> Result<Running, String> {
        let session = self.seen(id, text, read_at)?;
        let rules = Arc::clone(&self.rules);
        Ok(Running::new(async move |mut host| {
            let id = protocol::destroy(&mut host, &rules, session).await?;
            Ok(Ending { id: Some(id), ..Ending::of(Ended::Done) })
        }))
    }

    /// Another ID for the session `id`, loaded as `text` at `read_at`, and all that it holds. `owned` if it belongs to
    /// a user.
    pub fn renew(
        &self,
        id: &str,
        text: &str,
        read_at: f64,
        owned: bool,
        now: f64,
    ) -> Result<Running, String> {
        let reason = Reason::Renewal(self.options.timeouts().grace(millis(now)));
        self.rotate(id, text, read_at, reason, owned)
    }

    /// Another ID for the session `id`, loaded as `text` at `read_at`, and other data: a login. The new
    /// record lives `longest` milliseconds at most.
    #[expect(clippy::too_many_arguments, reason = "an object would cost a JSON reader or js-sys")]
    pub fn supersede(
        &self,
        id: &str,
        text: &str,
        read_at: f64,
        data: &str,
        user: Option<String>,
        handle: Option<String>,
        longest: f64,
        now: f64,
    ) -> Result<Running, String> {
        let (terms, limits) = (self.terms(millis(now), None)?, self.options.limits());
        let owned = user.is_some();
        let record =
            self.record(data, Meta::default(), user, handle, &terms, limits, millis(now))?;
        let reason = Reason::Privilege(Box::new(record), ttl_of(longest));
        self.rotate(id, text, read_at, reason, owned)
    }

    /// Lets an operation go on with the answer to its last effect: a text, or the number of an error. 64 new random
    /// bytes are in the input.
    pub fn answered(
        &self,
        running: &mut Running,
        answer: Answer,
        text: Option<String>,
        number: u32,
        now: f64,
        elapsed: f64,
    ) -> Result<Step, String> {
        let entropy = self.input.first_chunk().unwrap_or(&[0; Pending::<()>::ENTROPY]);
        running.answered(answer, text, number, now, elapsed, entropy)
    }
}

impl Core {
    pub(crate) fn terms(&self, now: UnixMillis, cookie: Option<&str>) -> Result<Terms, String> {
        let cookie_change = cookie.map(CookieOverrides::parse).transpose().map_err(thrown)?;
        let terms = Terms::new(&self.options, now).map_err(thrown)?;
        Ok(Terms { cookie_change, ..terms })
    }

    fn rotate(
        &self,
        id: &str,
        text: &str,
        read_at: f64,
        reason: Reason,
        owned: bool,
    ) -> Result<Running, String> {
        let session = self.seen(id, text, read_at)?;
        let (rules, limits) = (Arc::clone(&self.rules), self.options.load_limits());
        Ok(Running::new(async move |mut host| {
            match protocol::rotate(&mut host, &rules, session, reason, owned).await? {
                Moved::To(session) => Ending::session(*session, limits),
                Moved::Elsewhere(id) => Ok(Ending { id, ..Ending::of(Ended::Elsewhere) }),
                Moved::Gone => Ok(Ending::of(Ended::Gone)),
            }
        }))
    }

    fn seen(&self, id: &str, text: &str, read_at: f64) -> Result<Seen, String> {
        let (id, record) = self.loaded(id, text)?;
        Ok(Seen { id, record, at: millis(read_at) })
    }
}

/// `Proof::since` of `vestiary::protocol`.
#[wasm_bindgen(js_name = provenSince)]
pub fn proven_since(
    at: f64,
    here: f64,
    store: Option<f64>,
    own_end: Option<f64>,
    end_before: Option<f64>,
) -> Option<f64> {
    let own_end = own_end.zip(end_before);
    let own_end = own_end.map(|(at, before)| OwnEnd { at: millis(at), before: millis(before) });
    let proof = Proof { at: millis(at), here: millis(here), store: store.map(millis), own_end };
    proof.since().map(|since| since.0 as f64)
}
