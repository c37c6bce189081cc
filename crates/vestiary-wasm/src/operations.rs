//! Changes of one session: the machines of `vestiary::protocol` that a driver runs.

use alloc::{boxed::Box, string::String};

use vestiary::{
    CookieOverrides, Meta, UnixMillis,
    protocol::{Change, Commit, Destroy, Kind, OwnEnd, Proof, Rotate, Terms, Touch},
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::{millis, session_id, thrown, ttl_number, ttl_of},
    machine::{Answer, Machine, Step},
    options::Core,
};

#[wasm_bindgen]
impl Core {
    /// A change of the session `id`, loaded as `text` at `read_at`: from `base` to `mine`, or by a function if there
    /// is no `mine`. `cookie` changes the session's own cookie attributes, `{}` to none. 12 random bytes are in the input.
    #[expect(clippy::too_many_arguments, reason = "an object would cost a JSON reader or js-sys")]
    pub fn commit(
        &self,
        id: &str,
        text: &str,
        read_at: f64,
        base: String,
        mine: Option<String>,
        cookie: Option<String>,
        now: f64,
    ) -> Result<Machine, String> {
        let (id, record) = self.loaded(id, text)?;
        let change = mine.map_or(Change::Rerun, |mine| Change::Merge { base, mine });
        let record = (record, millis(read_at));
        let commit = Commit::new(
            id,
            record,
            change,
            self.write_id(0),
            self.terms(millis(now), cookie.as_deref())?,
        );
        Machine::commit(commit, self.options.load_limits(), millis(now))
    }

    /// Another TTL for the session `id`, loaded as `text` at `read_at`.
    pub fn touch(&self, id: &str, text: &str, read_at: f64, now: f64) -> Result<Machine, String> {
        let (id, record) = self.loaded(id, text)?;
        let (record, now) = ((record, millis(read_at)), millis(now));
        Machine::touch(
            Touch::new(id, record, &self.terms(now, None)?),
            self.options.load_limits(),
            now,
        )
    }

    /// The end of the session `id`, loaded as `text` at `read_at`.
    pub fn destroy(&self, id: &str, text: &str, read_at: f64) -> Result<Machine, String> {
        let (id, record) = self.loaded(id, text)?;
        Machine::destroy(Destroy::new(id, &record, millis(read_at)), self.options.load_limits())
    }

    /// Another ID for the session `id`, loaded as `text` at `read_at`, and all that it holds. 36 random
    /// bytes are in the input.
    pub fn renew(
        &self,
        id: &str,
        text: &str,
        read_at: f64,
        new_id: &str,
        now: f64,
    ) -> Result<Machine, String> {
        let grace = self.options.timeouts().grace(millis(now));
        let kind = Kind::Renewal { grace, write_id: self.write_id(1) };
        self.rotate(id, text, read_at, new_id, kind, f64::INFINITY, now)
    }

    /// Another ID for the session `id`, loaded as `text` at `read_at`, and other data: a login. The new
    /// record lives `longest` milliseconds at most. 36 random bytes are in the input.
    #[expect(clippy::too_many_arguments, reason = "an object would cost a JSON reader or js-sys")]
    pub fn supersede(
        &self,
        id: &str,
        text: &str,
        read_at: f64,
        new_id: &str,
        data: &str,
        user: Option<String>,
        handle: Option<String>,
        longest: f64,
        now: f64,
    ) -> Result<Machine, String> {
        let (terms, limits) = (self.terms(millis(now), None)?, self.options.limits());
        let record =
            self.record(data, Meta::default(), user, handle, &terms, limits, millis(now))?;
        self.rotate(id, text, read_at, new_id, Kind::Privilege(Box::new(record)), longest, now)
    }

    /// What a machine does next, given what the store said of the last step, and the record it gave.
    /// 12 random bytes are in the input, but of `Done` none are used.
    pub fn answered(
        &self,
        machine: &mut Machine,
        answer: Answer,
        text: Option<String>,
        now: f64,
    ) -> Result<Step, String> {
        machine.answered(answer, text, self.write_id(0), millis(now))
    }
}

impl Core {
    pub(crate) fn terms(&self, now: UnixMillis, cookie: Option<&str>) -> Result<Terms, String> {
        let cookie_change = cookie.map(CookieOverrides::parse).transpose().map_err(thrown)?;
        let terms = Terms::new(&self.options, now).map_err(thrown)?;
        Ok(Terms { cookie_change, ..terms })
    }

    #[expect(clippy::too_many_arguments, reason = "those of the two exports above")]
    fn rotate(
        &self,
        id: &str,
        text: &str,
        read_at: f64,
        new_id: &str,
        kind: Kind,
        longest: f64,
        now: f64,
    ) -> Result<Machine, String> {
        let (old, record) = self.loaded(id, text)?;
        let (new, now) = (session_id(new_id)?, millis(now));
        let terms = self.terms(now, None)?;
        let ttl = ttl_of(ttl_number(terms.ttl).min(longest));
        let (loaded, retirement) = ((record, millis(read_at)), self.write_id(2));
        let rotate = Rotate::new(old, loaded, new, kind, retirement, Terms { ttl, ..terms }, now);
        Machine::rotate(rotate.map_err(thrown)?, self.options.load_limits())
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
