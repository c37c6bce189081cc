//! WebAssembly bindings of `vestiary`: convert, call, convert. No decision is made here.
//!
//! Short text on the hot path (the `Cookie` header, IDs, signed values) passes through a buffer
//! in linear memory that JavaScript reads and writes directly; the rest are ordinary strings.
//! An error is thrown as the string `<code>\n<message>`, which the TypeScript side makes a class of.

// Without `std`, its panic messages and its allocator the module is a third smaller. On other targets
// (clippy, rustdoc) `std` brings both.
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::{borrow::ToOwned as _, boxed::Box, string::String, sync::Arc, vec::Vec};

use vestiary::{
    CookieOptions, CookieOverrides, Follower, Format, Handle, Inspection, KeyRing, Lead, Limits,
    MemoryLimits, Meta, Options, OptionsInput, Outcome, RecentIds, Record, SameSiteOption,
    SealRing, SessionId, Timeouts, Ttl, UnixMillis, UserRef, WriteId, cookie_header, decide, merge,
    protocol::{
        Change, Commit, Destroy, Kind, Lifetime, OwnEnd, Proof, Rotate, Terms, Touch, UserChange,
        UserCommit, UserSessions,
    },
    response,
};
use wasm_bindgen::prelude::*;

pub use machine::{Answer, Ended, Machine, Step};

mod machine;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

#[cfg(target_arch = "wasm32")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// Bytes of the input buffer: more than Node's default limit for all headers of a request, and what a record may
/// have that is written.
const INPUT: usize = 64 << 10;

/// What `readCookies` returns from here on says where in the input the ID stands.
const SPOT: i32 = 1 << 28;

/// More than the length of any ID.
const SPOT_LENGTHS: i32 = 1 << 9;

/// Bytes of the output buffer: more than the longest IDs of all candidates, or a signed value.
const OUTPUT: usize = 2 << 10;

/// Options and keys of one handle, checked and computed once.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    options: Arc<Options>,
    keys: Option<KeyRing>,
    seals: Option<SealRing>,
    input: Box<[u8]>,
    output: Box<[u8]>,
    looked: Box<[usize; 4]>,
}

#[wasm_bindgen]
impl Core {
    /// Options after the seed's README, `expires` in milliseconds; `record_cookie` is the JSON that
    /// records keep of them. Without `secrets` nothing can be signed or verified: that is for
    /// builds, where the secret may not exist yet.
    #[wasm_bindgen(constructor)]
    #[expect(clippy::too_many_arguments, reason = "an object would cost a JSON reader or js-sys")]
    pub fn new(
        name: &str,
        domain: &str,
        expires: Option<f64>,
        http_only: Option<bool>,
        max_age: Option<f64>,
        partitioned: Option<bool>,
        path: &str,
        priority: &str,
        same_site: Option<bool>,
        same_site_name: &str,
        secure: Option<bool>,
        rolling: Option<bool>,
        save_uninitialized: Option<bool>,
        auto_save: Option<bool>,
        touch_after: Option<f64>,
        express: bool,
        idle_timeout: Option<f64>,
        absolute_timeout: Option<f64>,
        renew_after: Option<f64>,
        renew_grace: Option<f64>,
        namespace: Option<String>,
        hash_ids: Option<bool>,
        max_bytes: Option<f64>,
        record_cookie: &str,
        secrets: Option<Vec<String>>,
        seal_secrets: Option<Vec<String>>,
        production: bool,
    ) -> Result<Core, String> {
        let timeouts = Timeouts::new(idle_timeout, absolute_timeout, renew_after, renew_grace)
            .map_err(thrown)?;
        let namespace = namespace.as_deref();
        let given = |text| Some(text).filter(|text: &&str| !text.is_empty());
        let same_site_name = given(same_site_name).map(SameSiteOption::Name);
        let options = Options::new(OptionsInput {
            name: given(name),
            cookie: CookieOptions {
                domain: given(domain),
                expires,
                http_only,
                max_age,
                partitioned: partitioned.unwrap_or_default(),
                path: given(path),
                priority: given(priority),
                same_site: same_site.map(SameSiteOption::Flag).or(same_site_name),
                secure,
            },
            rolling: rolling.unwrap_or_default(),
            save_uninitialized: save_uninitialized.unwrap_or_default(),
            auto_save: auto_save.unwrap_or_default(),
            touch_after,
            format: if express { Format::Express } else { Format::Seed },
            timeouts,
            namespace,
            hash_ids: hash_ids.unwrap_or_default(),
            max_bytes,
            attributes: Some(record_cookie),
        })
        .map_err(thrown)?;
        let keys = secrets.map(|secrets| KeyRing::checked(&secrets, namespace, production));
        let seals = seal_secrets.map(|secrets| SealRing::new(&secrets, namespace));
        Ok(Self {
            options: Arc::new(options),
            keys: keys.transpose().map_err(thrown)?,
            seals: seals.transpose().map_err(thrown)?,
            input: [0; INPUT].into(),
            output: [0; OUTPUT].into(),
            looked: Box::default(),
        })
    }

    /// Address of the input buffer in linear memory.
    #[wasm_bindgen(getter)]
    pub fn input(&self) -> *const u8 {
        self.input.as_ptr()
    }

    /// Size of the input buffer in bytes.
    #[wasm_bindgen(getter, js_name = inputSize)]
    pub fn input_size(&self) -> usize {
        self.input.len()
    }

    /// Address of the output buffer in linear memory.
    #[wasm_bindgen(getter)]
    pub fn output(&self) -> *const u8 {
        self.output.as_ptr()
    }

    /// Size of the output buffer in bytes.
    #[wasm_bindgen(getter, js_name = outputSize)]
    pub fn output_size(&self) -> usize {
        self.output.len()
    }

    /// Name of the cookie.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.options.name().as_str().to_owned()
    }

    /// What the options say of `Secure`; undefined leaves it to the host.
    #[wasm_bindgen(getter)]
    pub fn secure(&self) -> Option<bool> {
        self.options.secure()
    }

    /// Reads the `Cookie` header of `length` bytes in the input. The output gets the IDs that one
    /// of our secrets signed, a line feed after each. Returns their length, or -1 if no cookie has
    /// our name.
    ///
    /// If there is one ID, and nothing but ASCII before it, the output gets nothing: it is read out of the
    /// header itself, `2**28 + 512 * start + length`.
    #[wasm_bindgen(js_name = readCookies)]
    pub fn read_cookies(&mut self, length: usize) -> i32 {
        let Self { options, keys, input, output, .. } = self;
        input.get(..length).map_or(-1, |header| read(options, keys.as_ref(), header, output))
    }

    /// As `readCookies`, for a header that does not fit into the input.
    #[wasm_bindgen(js_name = readLongCookies)]
    pub fn read_long_cookies(&mut self, header: &str) -> i32 {
        read(&self.options, self.keys.as_ref(), header.as_bytes(), &mut self.output)
    }

    /// Makes an ID of the 24 random bytes in the input; returns its length in the output.
    #[wasm_bindgen(js_name = newId)]
    pub fn new_id(&mut self) -> usize {
        let id = self.input.first_chunk().map(SessionId::from_entropy);
        id.map_or(0, |id| put(&mut self.output, 0, id.expose()))
    }

    /// Signs the ID of `length` bytes in the input; returns the length of the cookie's value in
    /// the output, 0 without keys or an ID.
    pub fn sign(&mut self, length: usize) -> usize {
        let id = self.input.get(..length).and_then(SessionId::from_bytes);
        let value =
            id.and_then(|id| self.keys.as_ref().map(|keys| keys.sign(&id, self.options.format())));
        value.map_or(0, |value| put(&mut self.output, 0, &value))
    }

    /// The `Set-Cookie` header of a value; `encoded` if the application's own encoder made it. `own` is the
    /// session's own cookie attributes, JSON text.
    #[wasm_bindgen(js_name = setCookie)]
    pub fn set_cookie(
        &self,
        value: &str,
        encoded: bool,
        secure_here: bool,
        own: Option<String>,
    ) -> Result<String, String> {
        let cookie = self.own(own.as_deref()).set_cookie(secure_here);
        if encoded {
            cookie.with_encoded(value).map_err(thrown)
        } else {
            Ok(cookie.with_value(value))
        }
    }

    /// The `Set-Cookie` header that removes the cookie.
    #[wasm_bindgen(js_name = removeCookie)]
    pub fn remove_cookie(&self, secure_here: bool, own: Option<String>) -> String {
        self.own(own.as_deref()).set_cookie(secure_here).removal()
    }

    /// Milliseconds in which a rolling session is touched at most once.
    #[wasm_bindgen(js_name = touchAfter)]
    pub fn touch_after(&self, own: Option<String>) -> f64 {
        self.own(own.as_deref()).touch_after() as f64
    }

    /// The option `Secure` for a session with these attributes of its own.
    #[wasm_bindgen(js_name = secureOf)]
    pub fn secure_of(&self, own: Option<String>) -> Option<bool> {
        self.own(own.as_deref()).secure()
    }

    /// Validates a session's own cookie attributes: JSON text.
    #[wasm_bindgen(js_name = checkCookie)]
    pub fn check_cookie(&self, own: &str) -> Result<(), String> {
        match CookieOverrides::parse(own).map_err(thrown)? {
            Some(own) => self.options.overridden(&own).map(drop).map_err(thrown),
            None => Ok(()),
        }
    }

    /// A session's own cookie attributes, from its record: JSON text.
    #[wasm_bindgen(js_name = cookieOf)]
    pub fn cookie_of(&self, text: &str) -> Result<Option<String>, String> {
        let meta = Record::inspect(text, self.options.load_limits()).map_err(thrown)?.meta;
        Ok(meta.cookie.filter(|own| self.is_own(own)).map(|own| own.as_str().to_owned()))
    }

    /// Milliseconds that the record of this text may be given now.
    #[wasm_bindgen(js_name = ttlOf)]
    pub fn ttl_of(&self, text: &str, now: f64) -> Result<f64, String> {
        let now = millis(now);
        let meta = Record::inspect(text, self.options.load_limits()).map_err(thrown)?.meta;
        let ttl = self.options.for_session(&meta).ttl(now);
        Ok(ttl_number(self.options.timeouts().ttl(ttl, &meta, now)))
    }

    /// What to do: the store step in the low byte, the cookie step in the next, then the stage.
    /// `own` is the session's own cookie attributes.
    pub fn decide(
        &self,
        stage: Stage,
        operation: Operation,
        known: u8,
        now: f64,
        own: Option<String>,
    ) -> u32 {
        let (mut known, options) = (known_of(known), self.own(own.as_deref()));
        known.over |= options.ttl(millis(now)).is_over();
        let plan = decide::decide(options.policy(), stage.into(), operation.into(), known);
        StoreStep::from(plan.store) as u32
            | (CookieStep::from(plan.cookie) as u32) << 8
            | (Stage::from(plan.stage) as u32) << 16
    }

    /// What the store knows a session by, after its own prefix.
    #[wasm_bindgen(js_name = storeKey)]
    pub fn store_key(&self, id: &str) -> Result<String, String> {
        Ok(self.options.store_key(&session_id(id)?))
    }

    /// What the store knows the list of a user's sessions by, after its own prefix.
    #[wasm_bindgen(js_name = userKey)]
    pub fn user_key(&self, name: &str) -> String {
        self.options.user_key(name)
    }

    /// What is encrypted is written so. The 24 random bytes of the nonce are in the input.
    pub fn seal(&self, id: &str, key: &str, text: String) -> Result<String, String> {
        match (&self.seals, self.input.first_chunk()) {
            (Some(seals), Some(nonce)) => Ok(seals.seal(&session_id(id)?, key, &text, nonce)),
            _ => Ok(text),
        }
    }

    /// The text of a record, decrypted if records are.
    pub fn open(&self, id: &str, key: &str, text: String) -> Result<String, String> {
        match &self.seals {
            Some(seals) => seals.open(&session_id(id)?, key, &text).map_err(thrown),
            None => Ok(text),
        }
    }

    /// What the record of `length` bytes in the input is: bits of `Found`. Throws if it cannot be used.
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
                // What was stored already stays within the limits.
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

    fn write_id(&self, which: usize) -> WriteId {
        let entropy = self.input.chunks(WriteId::ENTROPY).nth(which).and_then(<[u8]>::first_chunk);
        WriteId::from_entropy(entropy.unwrap_or(&[0; WriteId::ENTROPY]))
    }

    /// The options with a session's own cookie attributes.
    #[inline(never)]
    fn own(&self, own: Option<&str>) -> Arc<Options> {
        let own = own.and_then(|own| CookieOverrides::parse(own).ok().flatten());
        let own = own.and_then(|own| self.options.overridden(&own).ok());
        own.map_or_else(|| Arc::clone(&self.options), Arc::new)
    }

    /// Whether these attributes are the session's own, and valid.
    fn is_own(&self, own: &CookieOverrides) -> bool {
        self.options.overridden(own).is_ok() && !self.options.are_repeated_by(own)
    }

    fn terms(&self, now: UnixMillis, cookie: Option<&str>) -> Result<Terms, String> {
        let cookie_change = cookie.map(CookieOverrides::parse).transpose().map_err(thrown)?;
        let terms = Terms::new(&self.options, now).map_err(thrown)?;
        Ok(Terms { cookie_change, ..terms })
    }

    #[expect(clippy::too_many_arguments, reason = "these are the parts of a record")]
    fn record(
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

    fn loaded(&self, id: &str, text: &str) -> Result<(SessionId, Record), String> {
        let record = Record::decode(text, self.options.load_limits()).map_err(thrown)?;
        Ok((session_id(id)?, record))
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

fn session_id(id: &str) -> Result<SessionId, String> {
    SessionId::parse(id).map_err(thrown)
}

fn read(options: &Options, keys: Option<&KeyRing>, header: &[u8], output: &mut [u8]) -> i32 {
    let (mut end, mut ids, mut spot) = (-1, 0, None);
    for value in cookie_header::candidates(header, options.name()) {
        end = end.max(0);
        if let Some(id) = keys.and_then(|keys| keys.verify(value)) {
            ids += 1;
            spot = spot_of(header, value, id.expose());
            let id_end = put(output, end as usize, id.expose());
            end = put(output, id_end, "\n") as i32;
        }
    }
    spot.filter(|_| ids == 1).unwrap_or(end)
}

/// Where in the header the ID stands, if it does so as it is, and bytes are characters up to there.
fn spot_of(header: &[u8], value: &[u8], id: &str) -> Option<i32> {
    let at = value.windows(id.len()).position(|part| part == id.as_bytes())?;
    let start = value.as_ptr().addr() - header.as_ptr().addr() + at;
    let length = i32::try_from(id.len()).ok()?;
    let spot = i32::try_from(start).ok()?.checked_mul(SPOT_LENGTHS)?.checked_add(length)?;
    (header.get(..start)?.is_ascii() && spot < SPOT).then_some(SPOT + spot)
}

/// Puts text into a buffer at `start`; returns where it ends.
fn put(buffer: &mut [u8], start: usize, text: &str) -> usize {
    let end = start + text.len();
    if let Some(place) = buffer.get_mut(start..end) {
        place.copy_from_slice(text.as_bytes());
    }
    end
}

/// Whether an ID of the application's own making may be one.
#[wasm_bindgen(js_name = checkId)]
pub fn check_id(id: &str) -> Result<(), String> {
    SessionId::parse(id).map(drop).map_err(thrown)
}

/// Validates the application's name for a user.
#[wasm_bindgen(js_name = checkName)]
pub fn check_name(name: &str) -> Result<(), String> {
    UserSessions::check_name(name).map_err(thrown)
}

/// The `Cache-Control` of a response that sets the cookie; undefined if the present one will do.
#[wasm_bindgen(js_name = cacheControl)]
pub fn cache_control(present: Option<String>) -> Option<String> {
    response::cache_control(present.as_deref()).map(str::to_owned)
}

/// The `Vary` of a response that sets the cookie; undefined if the present one will do.
#[wasm_bindgen]
pub fn vary(present: Option<String>) -> Option<String> {
    response::vary(present.as_deref())
}

/// Records in memory.
#[wasm_bindgen]
#[derive(Debug)]
pub struct MemoryTable(vestiary::MemoryTable);

#[wasm_bindgen]
impl MemoryTable {
    /// A table; undefined takes the default of a limit.
    #[wasm_bindgen(constructor)]
    pub fn new(entries: Option<usize>, bytes: Option<usize>, default_ttl: Option<f64>) -> Self {
        let limits = MemoryLimits::default();
        Self(vestiary::MemoryTable::new(MemoryLimits {
            entries: entries.unwrap_or(limits.entries),
            bytes: bytes.unwrap_or(limits.bytes),
            default_ttl: default_ttl.map_or(limits.default_ttl, |ttl| millis(ttl).0),
        }))
    }

    /// The record under a key.
    pub fn get(&mut self, key: &str, now: f64) -> Option<String> {
        self.0.get(key, millis(now)).map(str::to_owned)
    }

    /// Writes a record.
    pub fn set(&mut self, key: &str, text: &str, ttl: f64, now: f64) -> Result<(), String> {
        self.0.set(key, text, ttl_of(ttl), millis(now)).map_err(thrown)
    }

    /// Extends a record's life; false if it is not there.
    pub fn touch(&mut self, key: &str, ttl: f64, now: f64) -> bool {
        self.0.touch(key, ttl_of(ttl), millis(now))
    }

    /// Removes a record.
    pub fn remove(&mut self, key: &str) -> bool {
        self.0.remove(key)
    }

    /// Writes a record if there is none; whether it did. `bound`: of a user.
    pub fn create(
        &mut self,
        key: &str,
        text: &str,
        ttl: f64,
        bound: bool,
        now: f64,
    ) -> Result<bool, String> {
        let outcome = self.0.create(key, text, ttl_of(ttl), bound, millis(now)).map_err(thrown)?;
        Ok(outcome == Outcome::Done)
    }

    /// Writes a record over the one with this mark.
    pub fn replace(
        &mut self,
        key: &str,
        expected: Option<String>,
        text: &str,
        ttl: f64,
        now: f64,
    ) -> Result<Answer, String> {
        let outcome = self.0.replace(key, expected.as_deref(), text, ttl_of(ttl), millis(now));
        outcome.map(Answer::from).map_err(thrown)
    }

    /// Gives another TTL to the record with this mark.
    #[wasm_bindgen(js_name = touchMarked)]
    pub fn touch_marked(
        &mut self,
        key: &str,
        expected: Option<String>,
        ttl: f64,
        now: f64,
    ) -> Answer {
        self.0.touch_marked(key, expected.as_deref(), ttl_of(ttl), millis(now)).into()
    }

    /// Removes the record with this mark.
    #[wasm_bindgen(js_name = removeMarked)]
    pub fn remove_marked(&mut self, key: &str, expected: Option<String>, now: f64) -> Answer {
        self.0.remove_marked(key, expected.as_deref(), millis(now)).into()
    }

    /// Number of records alive.
    pub fn len(&mut self, now: f64) -> usize {
        self.0.sweep(millis(now));
        self.0.len()
    }
}

/// The number of session IDs that a process remembers for a while.
#[wasm_bindgen(js_name = mostRecentIds)]
pub fn most_recent_ids() -> usize {
    RecentIds::MOST
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

/// How long an ID is remembered that was taken out of use, in milliseconds.
#[wasm_bindgen(js_name = retiredFor)]
pub fn retired_for() -> f64 {
    RecentIds::RETIRED as f64
}

/// `vestiary::decide::Stage`.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// The store does not know it.
    New,
    /// The store has a record of it.
    Stored,
}

/// `vestiary::decide::Operation`.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// The request begins.
    Open,
    /// The data was replaced.
    Change,
    /// The application saves.
    Save,
    /// The application extends the session's life.
    Touch,
    /// The application ends the session.
    Destroy,
    /// The response is about to leave.
    Finish,
    /// Writes pending changes before an update.
    Flush,
}

/// `vestiary::decide::StoreStep`.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum StoreStep {
    /// Nothing.
    Keep,
    /// Write a new record.
    Create,
    /// Write over a record.
    Replace,
    /// Extend a record's life.
    Touch,
    /// Remove the record.
    Take,
}

/// `vestiary::decide::CookieStep`.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum CookieStep {
    /// Nothing.
    Keep,
    /// Set it.
    Set,
    /// Make the browser forget it.
    Clear,
    /// Too late to set it.
    Late,
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
    /// The session has another ID, and this one is nobody's.
    Retired = 32,
    /// It belongs to a user.
    Owned = 64,
    /// It has cookie attributes of its own.
    Cookie = 128,
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

/// Bits of `decide`'s `known`, after `vestiary::decide::Known`.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Known {
    /// The browser has a cookie of this name.
    CookieOut = 1,
    /// Data was changed and not saved.
    Unsaved = 2,
    /// Saved, it would be over at once. What the options say of it need not be said.
    Over = 4,
    /// A `Finish` will follow.
    Finishes = 8,
    /// The head of the response has left.
    Left = 16,
    /// The record was written or touched recently.
    Touched = 32,
}

fn known_of(bits: u8) -> decide::Known {
    let has = |bit: Known| bits & bit as u8 != 0;
    decide::Known {
        cookie_out: has(Known::CookieOut),
        unsaved: has(Known::Unsaved),
        over: has(Known::Over),
        finishes: has(Known::Finishes),
        left: has(Known::Left),
        touched: has(Known::Touched),
    }
}

fn ttl_number(ttl: Ttl) -> f64 {
    match ttl {
        Ttl::Infinite => f64::INFINITY,
        Ttl::Millis(millis) => millis as f64,
    }
}

impl From<Stage> for decide::Stage {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::New => Self::New,
            Stage::Stored => Self::Stored,
        }
    }
}

impl From<decide::Stage> for Stage {
    fn from(stage: decide::Stage) -> Self {
        match stage {
            decide::Stage::New => Self::New,
            decide::Stage::Stored => Self::Stored,
        }
    }
}

impl From<Operation> for decide::Operation {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Open => Self::Open,
            Operation::Change => Self::Change,
            Operation::Save => Self::Save,
            Operation::Touch => Self::Touch,
            Operation::Destroy => Self::Destroy,
            Operation::Finish => Self::Finish,
            Operation::Flush => Self::Flush,
        }
    }
}

impl From<decide::StoreStep> for StoreStep {
    fn from(step: decide::StoreStep) -> Self {
        match step {
            decide::StoreStep::Keep => Self::Keep,
            decide::StoreStep::Create => Self::Create,
            decide::StoreStep::Replace => Self::Replace,
            decide::StoreStep::Touch => Self::Touch,
            decide::StoreStep::Take => Self::Take,
        }
    }
}

impl From<decide::CookieStep> for CookieStep {
    fn from(step: decide::CookieStep) -> Self {
        match step {
            decide::CookieStep::Keep => Self::Keep,
            decide::CookieStep::Set => Self::Set,
            decide::CookieStep::Clear => Self::Clear,
            decide::CookieStep::Late => Self::Late,
        }
    }
}

/// `Date.now()`, or a duration. A negative number and NaN are 0.
fn millis(value: f64) -> UnixMillis {
    UnixMillis(value as u64)
}

fn ttl_of(value: f64) -> Ttl {
    if value == f64::INFINITY { Ttl::Infinite } else { Ttl::Millis(millis(value).0) }
}

fn thrown(error: vestiary::Error) -> String {
    [error.code(), "\n", &error.message()].concat()
}
