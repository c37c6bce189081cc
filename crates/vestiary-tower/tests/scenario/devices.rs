//! The devices of the browsers in a scenario.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{HeaderMap, Request, Response, header, request::Builder},
};

use super::{
    player::{Played, same},
    script::{Proof, Proves},
};
use crate::support::device::{Device, TOKEN};

/// The keys and bound cookies of the browsers.
#[derive(Default)]
pub struct Devices {
    /// The challenges that logins have offered, and the paths, by browser.
    offers: BTreeMap<String, (String, String)>,
    keys: BTreeMap<String, Device>,
    /// The last proofs of their own.
    proofs: BTreeMap<String, String>,
    /// The bound cookies.
    bounds: BTreeMap<String, String>,
}

impl Devices {
    /// The cookie header of a browser with this session cookie.
    pub fn header(&self, browser: &str, session: Option<&String>) -> Option<String> {
        let session = session.map(|value| format!("sid={value}"));
        let bound = self.bounds.get(browser).map(|value| format!("sid.bound={value}"));
        let cookies: Vec<_> = session.into_iter().chain(bound).collect();
        (!cookies.is_empty()).then(|| cookies.join("; "))
    }

    /// Gives a browser the bound cookie of another one, or none.
    pub fn copy(&mut self, browser: &str, from: Option<&String>) {
        let bound = from.and_then(|from| self.bounds.get(from)).cloned();
        self.bounds.remove(browser);
        self.bounds.extend(bound.map(|bound| (browser.to_owned(), bound)));
    }

    /// Takes the offer of a response, which must have one or none.
    pub fn offered(&mut self, browser: &str, headers: &HeaderMap, expected: bool) -> Played {
        let header = headers.get("secure-session-registration");
        same("a binding is offered", &header.is_some(), &expected)?;
        let Some(header) = header else { return Ok(()) };
        let parts: Vec<_> = header.to_str().unwrap().split('"').collect();
        let path = parts[1].strip_suffix("/register").unwrap().to_owned();
        self.offers.insert(browser.to_owned(), (parts[3].to_owned(), path));
        Ok(())
    }

    /// The request of a browser that proves its device.
    pub fn request(&mut self, browser: &str, proves: Proves, with: Proof) -> Builder {
        let none = || (String::new(), "/device-session".to_owned());
        let (challenge, path) = self.offers.get(browser).cloned().unwrap_or_else(none);
        let (step, is_own) = match proves {
            Proves::Registers => ("register", with == Proof::Own),
            Proves::Refreshes => ("refresh", false),
        };
        if is_own {
            self.keys.insert(browser.to_owned(), Device::new());
        }
        let mut request = Request::post(format!("{path}/{step}"));
        let (device, other) = (self.keys.get(browser), Device::new());
        let claims = |challenge: &str| format!(r#"{{"jti":"{challenge}"}}"#);
        let proof = match (proves, with, device) {
            (_, Proof::None, _) => None,
            (_, Proof::Again, _) => Some(self.proofs[browser].clone()),
            (Proves::Registers, Proof::Own, Some(device)) => Some(device.register(&challenge)),
            (Proves::Registers, _, _) => {
                let header =
                    format!(r#"{{"alg":"ES256","jwk":{},"typ":"dbsc+jwt"}}"#, Device::new().jwk());
                Some(other.token(&header, &claims(&challenge)))
            }
            (Proves::Refreshes, Proof::Own, device) => Some(device.unwrap().proof()),
            (Proves::Refreshes, Proof::Forged, device) => {
                Some(other.token(TOKEN, &claims(&device.unwrap().challenge())))
            }
        };
        if let Some(proof) = proof {
            if with == Proof::Own {
                self.proofs.insert(browser.to_owned(), proof.clone());
            }
            request = request.header("secure-session-response", proof);
        }
        if proves == Proves::Refreshes {
            request = request.header("sec-secure-session-id", device.unwrap_or(&other).name());
        }
        request
    }

    /// Takes the answer. The headers are left without the bound cookie.
    pub fn answered(
        &mut self,
        browser: &str,
        response: &Response<Body>,
        gives: &str,
    ) -> Result<HeaderMap, String> {
        let mut headers = response.headers().clone();
        let challenge = headers.get("secure-session-challenge");
        let challenge = challenge.map(|value| value.to_str().unwrap().to_owned());
        let cookies: Vec<_> = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
        let is_bound = |value: &&header::HeaderValue| value.as_bytes().starts_with(b"sid.bound=");
        let bound = cookies.iter().find(is_bound);
        let found = match (response.status().as_u16(), &challenge, bound) {
            (200, Some(_), Some(_)) => "bound",
            (403, Some(_), None) => "asked",
            (400, None, None) => "refused",
            (503, None, None) => "unavailable",
            _ => "something else",
        };
        same("gives", &found, &gives)?;
        same(
            "the answer is kept from caches",
            &headers[header::CACHE_CONTROL],
            &header::HeaderValue::from_static("no-store"),
        )?;
        if let Some(bound) = bound {
            let value = bound.to_str().unwrap().strip_prefix("sid.bound=").unwrap();
            let value = value.split(';').next().unwrap().to_owned();
            self.bounds.insert(browser.to_owned(), value);
        }
        if let (Some(device), Some(_)) = (self.keys.get_mut(browser), &challenge) {
            device.took(challenge.as_ref());
        }
        headers.remove(header::SET_COOKIE);
        for cookie in cookies.iter().filter(|cookie| !is_bound(cookie)) {
            headers.append(header::SET_COOKIE, cookie.clone());
        }
        Ok(headers)
    }
}
