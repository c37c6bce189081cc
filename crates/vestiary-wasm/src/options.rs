//! Options and keys of one handle, and the buffers through which short text passes.

use alloc::{borrow::ToOwned as _, boxed::Box, rc::Rc, string::String, sync::Arc};
use core::cell::RefCell;

use vestiary::{
    CookieOptions, CookieOverrides, Error, Options, OptionsText, Record, protocol::Rules,
};
use wasm_bindgen::prelude::*;

use crate::{convert::thrown, ending::Ended, memory::MemoryTable, running::Running};

/// Bytes of the input buffer: more than Node's default limit for all headers of a request, and what a record may
/// have that is written.
const INPUT: usize = 64 << 10;

/// Bytes of the output buffer: more than the longest IDs of all candidates, or a signed value.
const OUTPUT: usize = 2 << 10;

/// Numbers about the end of an operation.
const NUMBERS: usize = 6;

/// Options and keys of one handle, checked and computed once.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    pub(crate) options: Arc<Options>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) input: Box<[u8]>,
    pub(crate) output: Box<[u8]>,
    /// The texts of the operation that has ended last.
    ended: String,
    /// Its numbers, and where its texts are.
    pub(crate) numbers: Box<[f64; NUMBERS]>,
    pub(crate) reports: String,
    /// The operation that has begun last, until the driver takes it.
    pub(crate) running: Option<Running>,
    /// The record that an operation has ended with last.
    pub(crate) record: Rc<RefCell<Option<Record>>>,
    /// An operation that has ended, for the memory that it has.
    #[cfg(plain)]
    pub(crate) idle: Option<Running>,
    /// The table that operations may ask.
    pub(crate) table: Option<MemoryTable>,
}

#[wasm_bindgen]
impl Core {
    /// Reads options and secrets, one JSON text: `vestiary::OptionsText`.
    #[wasm_bindgen(constructor)]
    pub fn new(text: &str) -> Result<Core, String> {
        Self::read(text).map_err(thrown)
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

    /// Address in linear memory of six numbers about the operation that has ended last. The flags of its visit; when its
    /// visit's session was read, or all sessions of a user were ended; when they had been ended before that, 0 if never, all in
    /// milliseconds since the epoch; address and length of its texts (`Ended::texts`); how often its table was written, NaN
    /// without one.
    #[wasm_bindgen(getter)]
    pub fn numbers(&self) -> *const f64 {
        self.numbers.as_ptr()
    }

    /// Name of the cookie.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.options.name().as_str().to_owned()
    }

    /// The option `Secure`; undefined leaves it to the host.
    #[wasm_bindgen(getter)]
    pub fn secure(&self) -> Option<bool> {
        self.options.secure()
    }

    /// Milliseconds in which a rolling session is touched at most once.
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
        })
    }

    /// Keeps the end of an operation until the driver has read it.
    pub(crate) fn end(&mut self, Ended { flags, at, before, texts }: Ended) {
        self.ended = texts;
        let (start, length) = (self.ended.as_ptr().addr(), self.ended.len());
        *self.numbers = [flags.into(), at, before, start as f64, length as f64, f64::NAN];
    }

    /// The options with a session's own cookie attributes.
    #[inline(never)]
    pub(crate) fn own(&self, own: Option<&str>) -> Arc<Options> {
        let own = own.and_then(|own| CookieOverrides::parse(own).ok().flatten());
        let own = own.and_then(|own| self.options.overridden(&own).ok());
        own.map_or_else(|| Arc::clone(&self.options), Arc::new)
    }
}

/// The options that the core reads, and the types of their values: a line for each, `<name> <type>`.
#[wasm_bindgen(js_name = optionTypes)]
pub fn option_types() -> String {
    let types = OptionsText::TYPES.iter().chain(&CookieOptions::TYPES);
    types.flat_map(|(name, kind)| [name, " ", kind.name(), "\n"]).collect()
}
