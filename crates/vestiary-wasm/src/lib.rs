//! WebAssembly bindings of `vestiary`: convert, call, convert. No decision is made here.
//!
//! Short text on the hot path (the `Cookie` header, IDs, signed values) passes through a buffer
//! in linear memory that JavaScript reads and writes directly; the rest are ordinary strings.
//! An error is thrown as the string `<code>\n<message>`, which the TypeScript side makes a class of.

// Without `std`, its panic messages and its allocator the module is a third smaller. On other targets
// (clippy, rustdoc) `std` brings both.
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::{borrow::ToOwned as _, boxed::Box, string::String, vec::Vec};

use vestiary::{
    CookieOptions, Format, KeyRing, Limits, MemoryLimits, Meta, Options, OptionsInput, Record,
    SameSiteOption, SessionId, Ttl, UnixMillis, WriteId, cookie_header, decide, response,
};
use wasm_bindgen::prelude::*;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

#[cfg(target_arch = "wasm32")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// Bytes of the input buffer: Node's default limit for all headers of a request.
const INPUT: usize = 16 << 10;

/// Bytes of the output buffer: more than the longest IDs of all candidates, or a signed value.
const OUTPUT: usize = 2 << 10;

/// Options and keys of one handle, checked and computed once.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    options: Options,
    keys: Option<KeyRing>,
    record_cookie: String,
    input: Box<[u8]>,
    output: Box<[u8]>,
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
        record_cookie: String,
        secrets: Option<Vec<String>>,
        production: bool,
    ) -> Result<Core, String> {
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
        })
        .map_err(thrown)?;
        let keys = secrets.map(|secrets| KeyRing::checked(&secrets, production)).transpose();
        let keys = keys.map_err(thrown)?;
        Ok(Self {
            options,
            keys,
            record_cookie,
            input: [0; INPUT].into(),
            output: [0; OUTPUT].into(),
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

    /// The `Set-Cookie` header of a value; `encoded` if the application's own encoder made it.
    #[wasm_bindgen(js_name = setCookie)]
    pub fn set_cookie(
        &self,
        value: &str,
        encoded: bool,
        secure_here: bool,
    ) -> Result<String, String> {
        let cookie = self.options.set_cookie(secure_here);
        if encoded {
            cookie.with_encoded(value).map_err(thrown)
        } else {
            Ok(cookie.with_value(value))
        }
    }

    /// The `Set-Cookie` header that removes the cookie.
    #[wasm_bindgen(js_name = removeCookie)]
    pub fn remove_cookie(&self, secure_here: bool) -> String {
        self.options.set_cookie(secure_here).removal()
    }

    /// Milliseconds in which a rolling session is touched at most once.
    #[wasm_bindgen(getter, js_name = touchAfter)]
    pub fn touch_after(&self) -> f64 {
        self.options.touch_after() as f64
    }

    /// Milliseconds that a record saved now may live; Infinity leaves it to the store.
    pub fn ttl(&self, now: f64) -> f64 {
        match self.options.ttl(millis(now)) {
            Ttl::Infinite => f64::INFINITY,
            Ttl::Millis(millis) => millis as f64,
        }
    }

    /// What to do: the store step in the low byte, the cookie step in the next, then the stage.
    pub fn decide(&self, stage: Stage, operation: Operation, known: u8) -> u32 {
        let plan =
            decide::decide(self.options.policy(), stage.into(), operation.into(), known_of(known));
        StoreStep::from(plan.store) as u32
            | (CookieStep::from(plan.cookie) as u32) << 8
            | (Stage::from(plan.stage) as u32) << 16
    }

    /// The text of a record written at `now`. The 12 random bytes of its write ID are in the input.
    pub fn encode(&self, data: &str, created: Option<f64>, now: f64) -> Result<String, String> {
        let Some(entropy) = self.input.first_chunk() else { return Ok(String::new()) };
        let meta = created.map(|at| Meta::created(millis(at))).unwrap_or_default();
        let Self { options, record_cookie, .. } = self;
        options
            .record_cookie(record_cookie, millis(now))
            .and_then(|cookie| {
                let id = WriteId::from_entropy(entropy);
                Record::new(options.format(), id, &cookie, data, meta, Limits::SAVE)
            })
            .and_then(|record| record.encode(Limits::SAVE))
            .map_err(thrown)
    }
}

fn read(options: &Options, keys: Option<&KeyRing>, header: &[u8], output: &mut [u8]) -> i32 {
    let mut end = -1;
    for value in cookie_header::candidates(header, options.name()) {
        end = end.max(0);
        if let Some(id) = keys.and_then(|keys| keys.verify(value)) {
            let id_end = put(output, end as usize, id.expose());
            end = put(output, id_end, "\n") as i32;
        }
    }
    end
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

/// Whether a stored record is of express-session's shape. Throws if it cannot be used.
#[wasm_bindgen(js_name = isExpressRecord)]
pub fn is_express_record(text: &str) -> Result<bool, String> {
    Ok(Record::check(text, Limits::LOAD).map_err(thrown)? == Format::Express)
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

    /// Number of records alive.
    pub fn len(&mut self, now: f64) -> usize {
        self.0.sweep(millis(now));
        self.0.len()
    }
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

/// Bits of `decide`'s `known`, after `vestiary::decide::Known`.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Known {
    /// The browser has a cookie of this name.
    CookieOut = 1,
    /// Data was changed and not saved.
    Unsaved = 2,
    /// Saved, it would be over at once.
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
