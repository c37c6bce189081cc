//! The options and keys of one handle, and the buffers for short text.

use alloc::{borrow::ToOwned as _, boxed::Box, rc::Rc, string::String, sync::Arc};
use core::cell::RefCell;

use vestiary::{
    CookieOptions, CookieOverrides, Error, Options, OptionsText, Record, VerifiedCookies,
    protocol::Rules,
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::thrown, ending::Ended, memory::MemoryTable, near::NearCache, running::Running,
};

/// The size of the input buffer, in bytes. It is larger than Node's default limit for all headers of a request, and than a
/// record that may be written.
const INPUT: usize = 64 << 10;

/// The size of the output buffer, in bytes. It is larger than the longest IDs of all candidates, or a signed value.
const OUTPUT: usize = 2 << 10;

/// The numbers about the end of an operation.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Numbers {
    pub(crate) first: [f64; 7],
    /// The ticket of an opening.
    pub(crate) ticket: [u32; 6],
}

/// The options and keys of one handle, checked and computed once.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    pub(crate) options: Arc<Options>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) input: Box<[u8]>,
    pub(crate) output: Box<[u8]>,
    /// The texts of the operation that has ended last.
    ended: String,
    /// The numbers of that operation, and the place of its texts.
    pub(crate) numbers: Box<Numbers>,
    pub(crate) reports: String,
    /// The operation that has begun last, until the driver takes it.
    pub(crate) running: Option<Running>,
    /// The record with which the last operation has ended.
    pub(crate) record: Rc<RefCell<Option<Record>>>,
    /// An operation that has ended, whose memory the next one uses.
    #[cfg(plain)]
    pub(crate) idle: Option<Running>,
    /// The table that may answer store calls.
    pub(crate) table: Option<MemoryTable>,
    /// The near cache of the process.
    pub(crate) near: Option<NearCache>,
    /// Cookies that were verified; `None` while the application is built.
    pub(crate) cookies: Option<VerifiedCookies>,
}

#[wasm_bindgen]
impl Core {
    /// Reads options and secrets from one JSON text: `vestiary::OptionsText`.
    #[wasm_bindgen(constructor)]
    pub fn new(text: &str) -> Result<Core, String> {
        Self::read(text).map_err(thrown)
    }

    /// The address of the input buffer in linear memory.
    #[wasm_bindgen(getter)]
    pub fn input(&self) -> *const u8 {
        self.input.as_ptr()
    }

    /// The size of the input buffer, in bytes.
    #[wasm_bindgen(getter, js_name = inputSize)]
    pub fn input_size(&self) -> usize {
        self.input.len()
    }

    /// The address of the output buffer in linear memory.
    #[wasm_bindgen(getter)]
    pub fn output(&self) -> *const u8 {
        self.output.as_ptr()
    }

    /// The address in linear memory of the numbers about the operation that has ended last:
    ///
    /// 1. the flags of its visit
    /// 2. the time at which its visit's session was read, or all sessions of a user were ended, in milliseconds since the
    ///    epoch
    /// 3. the time at which they were ended before that, 0 if never
    /// 4. the address of its texts (`Ended::texts`)
    /// 5. the length of its texts
    /// 6. the version of its visit's data, 0 without one
    /// 7. the number of writes of its table, NaN without one
    ///
    /// After an opening, six integers follow: the ticket of [`NearCache::holds`], whose first one is 0 if there is none.
    #[wasm_bindgen(getter)]
    pub fn numbers(&self) -> *const f64 {
        self.numbers.first.as_ptr()
    }

    /// The name of the cookie.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.options.name().as_str().to_owned()
    }

    /// The option `Secure`; undefined leaves it to the host.
    #[wasm_bindgen(getter)]
    pub fn secure(&self) -> Option<bool> {
        self.options.secure()
    }

    /// The minimum time between two touches of a rolling session, in milliseconds.
    #[wasm_bindgen(js_name = touchAfter)]
    pub fn touch_after(&self, own: Option<String>) -> f64 {
        self.own(own.as_deref()).touch_after() as f64
    }
}

impl Core {
    fn read(text: &str) -> Result<Self, Error> {
        let text = OptionsText::read(text)?;
        let options = Options::new(text.input()?)?;
        let rules = text.rules(options)?;
        let cookies = rules.keys.clone().map(VerifiedCookies::new);
        Ok(Self {
            options: Arc::clone(&rules.options),
            rules: rules.into(),
            input: [0; INPUT].into(),
            output: [0; OUTPUT].into(),
            ended: String::new(),
            numbers: Box::default(),
            reports: String::new(),
            running: None,
            record: Rc::default(),
            #[cfg(plain)]
            idle: None,
            table: None,
            near: None,
            cookies,
        })
    }

    /// Keeps the end of an operation until the driver has read it.
    pub(crate) fn end(&mut self, Ended { flags, at, before, version, texts }: Ended) {
        self.ended = texts;
        let (start, length) = (self.ended.as_ptr().addr(), self.ended.len());
        let [start, length] = [start, length].map(|it| it as f64);
        self.numbers.first = [flags.into(), at, before, start, length, version.into(), f64::NAN];
    }

    /// The options with a session's own cookie attributes.
    #[inline(never)]
    pub(crate) fn own(&self, own: Option<&str>) -> Arc<Options> {
        let own = own.and_then(|own| CookieOverrides::parse(own).ok().flatten());
        let own = own.and_then(|own| self.options.overridden(&own).ok());
        own.map_or_else(|| Arc::clone(&self.options), Arc::new)
    }
}

/// The options that the core reads, with the types of their values: a line `<name> <type>` for each.
#[wasm_bindgen(js_name = optionTypes)]
pub fn option_types() -> String {
    let mut lines = String::new();
    for types in [&OptionsText::TYPES[..], &CookieOptions::TYPES] {
        for (name, kind) in types {
            lines.extend([name, " ", kind.name(), "\n"]);
        }
    }
    lines
}
