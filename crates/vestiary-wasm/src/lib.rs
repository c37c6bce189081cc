//! WebAssembly bindings of `vestiary`: convert, call, convert. No decision is made here.
//!
//! Short text on the hot path (the `Cookie` header, IDs, signed values) passes through a buffer
//! in linear memory that JavaScript reads and writes directly; the rest are ordinary strings.
//! An error is thrown as the string `<code>\n<message>`, which the TypeScript side makes a class of.

use vestiary::{
    Limits, MemoryLimits, Meta, Options, Record, SessionId, Ttl, UnixMillis, WriteId,
    cookie_header, decide, response,
};
use wasm_bindgen::prelude::*;

/// Bytes of the buffer: more than Node's default limit for all headers of a request.
const BUFFER: usize = 16 << 10;

/// Options and keys of one handle, checked and computed once.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    options: Options,
    keys: Option<vestiary::KeyRing>,
    cookie_json: String,
    buffer: Box<[u8]>,
}

#[wasm_bindgen]
impl Core {
    /// `options` and `cookie` (as records keep it) are JSON. Without `keys` nothing can be signed
    /// or verified: that is for builds, where the secret may not exist yet.
    #[wasm_bindgen(constructor)]
    pub fn new(
        options: &str,
        cookie: String,
        secrets: Option<Vec<String>>,
        production: bool,
    ) -> Result<Core, String> {
        Ok(Self {
            options: Options::parse(options).map_err(thrown)?,
            keys: secrets
                .map(|secrets| Options::keys(&secrets, production))
                .transpose()
                .map_err(thrown)?,
            cookie_json: cookie,
            buffer: vec![0; BUFFER].into_boxed_slice(),
        })
    }

    /// Address of the buffer in linear memory.
    #[wasm_bindgen(getter)]
    pub fn buffer(&self) -> *const u8 {
        self.buffer.as_ptr()
    }

    /// Size of the buffer in bytes.
    #[wasm_bindgen(getter, js_name = bufferSize)]
    pub fn buffer_size(&self) -> usize {
        self.buffer.len()
    }

    /// Name of the cookie.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.options.name.as_str().to_owned()
    }

    /// What the options say of `Secure`; undefined leaves it to the host.
    #[wasm_bindgen(getter)]
    pub fn secure(&self) -> Option<bool> {
        self.options.secure()
    }

    /// Reads the `Cookie` header of `length` bytes in the buffer. Returns the length of the IDs left
    /// in its place (several are separated by a line feed), or -1 without a cookie of our name.
    #[wasm_bindgen(js_name = readCookies)]
    pub fn read_cookies(&mut self, length: usize) -> i32 {
        let found = self
            .buffer
            .get(..length)
            .and_then(|header| verified(&self.options, self.keys.as_ref(), header));
        self.leave_ids(found)
    }

    /// As `readCookies`, for a header that does not fit into the buffer.
    #[wasm_bindgen(js_name = readLongCookies)]
    pub fn read_long_cookies(&mut self, header: &str) -> i32 {
        let found = verified(&self.options, self.keys.as_ref(), header.as_bytes());
        self.leave_ids(found)
    }

    /// Makes an ID of the 24 random bytes in the buffer and leaves it there; returns its length.
    #[wasm_bindgen(js_name = newId)]
    pub fn new_id(&mut self) -> usize {
        let id = self.buffer.first_chunk().map(SessionId::from_entropy);
        id.map_or(0, |id| self.leave(id.expose()))
    }

    /// Signs the ID of `length` bytes in the buffer and leaves the cookie value there; returns its
    /// length, 0 without keys or an ID.
    pub fn sign(&mut self, length: usize) -> usize {
        let id = self.buffer.get(..length).and_then(|id| std::str::from_utf8(id).ok());
        let id = id.and_then(|id| SessionId::parse(id).ok());
        let value = id.and_then(|id| self.keys.as_ref().map(|keys| keys.sign(&id)));
        value.map_or(0, |value| self.leave(&value))
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
            decide::decide(self.options.policy, stage.into(), operation.into(), known_of(known));
        StoreStep::from(plan.store) as u32
            | (CookieStep::from(plan.cookie) as u32) << 8
            | (Stage::from(plan.stage) as u32) << 16
    }

    /// The text of a record. The 12 random bytes of its write ID are in the buffer.
    pub fn encode(&self, data: &str, created: Option<f64>) -> Result<String, String> {
        let Some(entropy) = self.buffer.first_chunk() else { return Ok(String::new()) };
        let meta = Meta { created: created.map(|at| millis(at).0) };
        Record::new(WriteId::from_entropy(entropy), &self.cookie_json, data, meta, Limits::SAVE)
            .and_then(|record| record.encode(Limits::SAVE))
            .map_err(thrown)
    }
}

impl Core {
    fn leave_ids(&mut self, found: Option<Vec<SessionId>>) -> i32 {
        let Some(ids) = found else { return -1 };
        let text = ids.iter().map(SessionId::expose).collect::<Vec<_>>().join("\n");
        i32::try_from(self.leave(&text)).unwrap_or(0)
    }

    fn leave(&mut self, text: &str) -> usize {
        self.buffer.get_mut(..text.len()).map_or(0, |place| {
            place.copy_from_slice(text.as_bytes());
            text.len()
        })
    }
}

/// `None` if no cookie has our name, else the IDs that one of our secrets signed.
fn verified(
    options: &Options,
    keys: Option<&vestiary::KeyRing>,
    header: &[u8],
) -> Option<Vec<SessionId>> {
    let mut values = cookie_header::candidates(header, &options.name).peekable();
    values.peek()?;
    Some(values.filter_map(|value| keys.and_then(|keys| keys.verify(value))).collect())
}

/// Why a stored record cannot be used, as an error code; undefined if it can.
#[wasm_bindgen(js_name = recordFault)]
pub fn record_fault(text: &str) -> Option<String> {
    Record::decode(text, Limits::LOAD).err().map(|error| error.code().to_owned())
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
}

fn known_of(bits: u8) -> decide::Known {
    let has = |bit: Known| bits & bit as u8 != 0;
    decide::Known {
        cookie_out: has(Known::CookieOut),
        unsaved: has(Known::Unsaved),
        over: has(Known::Over),
        finishes: has(Known::Finishes),
        left: has(Known::Left),
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
    format!("{}\n{error}", error.code())
}
