//! Tokens of a provider.

use alloc::string::String;

use vestiary::{
    jwt::{Algorithm, LogoutToken, Relying},
    session::provider_list,
};
use wasm_bindgen::prelude::*;

use crate::convert::millis;

/// Judges all of a logout token but its signature. Returns lines: the name of its algorithm, the hash of the list with the
/// sessions that it ends, its receipt, and its `kid` if it has one. Throws the code of a `LogoutError`.
#[wasm_bindgen(js_name = logoutToken)]
pub fn logout_token(text: &str, issuer: &str, client_id: &str, now: f64) -> Result<String, String> {
    let relying = Relying { issuer, client_id, algorithms: &Algorithm::ALL, now: millis(now) };
    let token = LogoutToken::judge(text, &relying).map_err(|error| String::from(error.code()))?;
    let kid = token.jwt.header().string("kid").unwrap_or_default();
    let algorithm = token.jwt.algorithm().name();
    Ok([algorithm, "\n", &token.list, "\n", token.receipt.as_str(), "\n", &kid].concat())
}

/// The hash in the key of a list: the sessions that belong to one session at a provider.
#[wasm_bindgen(js_name = providerList)]
pub fn list_of_sid(issuer: &str, sid: &str) -> String {
    provider_list("sid", issuer, sid)
}
