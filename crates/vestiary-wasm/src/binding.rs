//! Device-bound sessions: the header of a login, and the parts of a proof that the driver verifies.

use alloc::{borrow::ToOwned as _, boxed::Box, string::String, vec::Vec};

use vestiary::{
    Record,
    binding::{self, Answer, Exchange, Shown},
    protocol::{Rules, Stopped, boxed},
    visit::{self, Page, Visit},
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::decimal,
    ending::Ending,
    operations::{Given, Operation},
    options::Core,
};

#[wasm_bindgen]
impl Core {
    /// The path below which browsers register and refresh; undefined if sessions are not bound.
    #[wasm_bindgen(getter, js_name = devicePath)]
    pub fn device_path(&self) -> Option<String> {
        self.options.device_bound().map(|device| device.path().to_owned())
    }

    /// The name of the bound cookie; undefined if sessions are not bound.
    #[wasm_bindgen(getter, js_name = boundName)]
    pub fn bound_name(&self) -> Option<String> {
        self.options.device_bound().map(|device| device.name().as_str().to_owned())
    }

    /// The header `Secure-Session-Registration` for a login whose session has this record; undefined without one.
    pub fn registration(&self, record: String) -> Option<String> {
        binding::registration(&self.rules, self.recorded(record)?.meta())
    }

    /// The parts of a proof that the driver verifies, in lines: both coordinates of the key, the signature, each in base64,
    /// and the text that is signed. Undefined if there is none of the right form.
    #[wasm_bindgen(js_name = deviceProof)]
    pub fn device_proof(&self, record: String, registers: bool, proof: &str) -> Option<String> {
        let exchange = Exchange { registers, proof, session: "" };
        let record = self.recorded(record)?;
        let proof = exchange.read(record.meta())?;
        let [x, y, signature] = &proof.texts();
        Some([x, y, signature, proof.signing_input].join("\n"))
    }
}

impl Core {
    fn recorded(&self, record: String) -> Option<Record> {
        Record::decode_owned(record, self.options.load_limits()).ok()
    }
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
impl Operation {
    /// The device of the request, as far as it shows it.
    pub(crate) fn shown(&self) -> Shown {
        if self.is(Given::Proves) {
            return Shown::Proves;
        }
        let mut cookies = self.bound.clone();
        for line in self.text(3).split('\n') {
            if let Some(value) = line.strip_prefix(',') {
                cookies.push(value.into());
            }
        }
        Shown::Cookies(cookies)
    }

    /// Runs `bind`.
    pub(crate) async fn bind(
        &self,
        page: &mut Page,
        rules: &Rules,
        mut visit: Box<Visit<Stopped>>,
        proof: &str,
        session: &str,
    ) -> Result<Ending, Stopped> {
        let exchange = Exchange { registers: self.is(Given::More), proof, session };
        let is_signed = self.is(Given::Proves);
        let binding = visit::bind(page, rules, &mut visit, &exchange, is_signed);
        let done = boxed(binding).await.map(|answer| {
            visit.taken = Some(lines_of(answer));
            true
        });
        Ok(Ending::Visit { visit, spent: Vec::new(), done })
    }
}

/// The answer to a browser that registers or refreshes: its status, its headers, and its body, in lines.
fn lines_of(answer: Answer) -> String {
    let Answer { status, challenge, cookie, body } = answer;
    let lines =
        [decimal(status.into()), challenge.unwrap_or_default(), cookie.unwrap_or_default(), body];
    lines.join("\n")
}
