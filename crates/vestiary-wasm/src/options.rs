//! Options and keys of one handle, and the buffers through which short text passes.

use alloc::{borrow::ToOwned as _, boxed::Box, string::String, sync::Arc, vec::Vec};

use vestiary::{
    CookieOptions, CookieOverrides, Format, KeyRing, Options, OptionsInput, SameSiteOption,
    SealRing, Timeouts, WriteId, protocol::Rules,
};
use wasm_bindgen::prelude::*;

use crate::convert::{thrown, ttl_of};

/// Bytes of the input buffer: more than Node's default limit for all headers of a request, and what a record may
/// have that is written.
const INPUT: usize = 64 << 10;

/// Bytes of the output buffer: more than the longest IDs of all candidates, or a signed value.
const OUTPUT: usize = 2 << 10;

/// Options and keys of one handle, checked and computed once.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    pub(crate) options: Arc<Options>,
    pub(crate) keys: Option<KeyRing>,
    pub(crate) seals: Option<Arc<SealRing>>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) input: Box<[u8]>,
    pub(crate) output: Box<[u8]>,
    pub(crate) looked: Box<[usize; 4]>,
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
        migrates: bool,
        resends: bool,
        store_ttl: f64,
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
        let seals = seal_secrets.map(|secrets| SealRing::new(&secrets, namespace).map(Arc::new));
        let (options, seals) = (Arc::new(options), seals.transpose().map_err(thrown)?);
        let rules = Rules {
            options: Arc::clone(&options),
            seals: seals.clone(),
            migrates,
            resends,
            default_ttl: ttl_of(store_ttl),
        };
        Ok(Self {
            options,
            keys: keys.transpose().map_err(thrown)?,
            seals,
            rules: rules.into(),
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

    /// Milliseconds in which a rolling session is touched at most once.
    #[wasm_bindgen(js_name = touchAfter)]
    pub fn touch_after(&self, own: Option<String>) -> f64 {
        self.own(own.as_deref()).touch_after() as f64
    }
}

impl Core {
    pub(crate) fn write_id(&self, which: usize) -> WriteId {
        let entropy = self.input.chunks(WriteId::ENTROPY).nth(which).and_then(<[u8]>::first_chunk);
        WriteId::from_entropy(entropy.unwrap_or(&[0; WriteId::ENTROPY]))
    }

    /// The options with a session's own cookie attributes.
    #[inline(never)]
    pub(crate) fn own(&self, own: Option<&str>) -> Arc<Options> {
        let own = own.and_then(|own| CookieOverrides::parse(own).ok().flatten());
        let own = own.and_then(|own| self.options.overridden(&own).ok());
        own.map_or_else(|| Arc::clone(&self.options), Arc::new)
    }

    /// Whether these attributes are the session's own, and valid.
    pub(crate) fn is_own(&self, own: &CookieOverrides) -> bool {
        self.options.overridden(own).is_ok() && !self.options.are_repeated_by(own)
    }
}
