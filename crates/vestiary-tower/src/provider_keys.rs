//! The public keys of a provider of OpenID Connect, and the check of its signatures.

use std::{future::Future, pin::Pin};

use async_lock::Mutex;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use vestiary::{
    UnixMillis,
    jwt::{Algorithm, Jwt, Key, LogoutError},
};

/// The time after which the keys are fetched again, in milliseconds: a key that the provider has withdrawn ends then.
const KEPT: u64 = 3_600_000;

/// The time between two requests because of a key that is not known, in milliseconds.
const PAUSE: u64 = 30_000;

type Fetching = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// The keys: fetched when they are needed, and kept.
pub(crate) struct ProviderKeys {
    fetch: Box<dyn Fn() -> Fetching + Send + Sync>,
    /// Requests that need the provider wait for one another, and the second one finds what the first one has fetched.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The set of keys, and when it was fetched.
    set: Option<(String, UnixMillis)>,
    /// When the provider was asked last.
    asked: Option<UnixMillis>,
}

impl ProviderKeys {
    pub(crate) fn new<F, E>(fetch: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
    {
        let fetch = move || -> Fetching {
            let fetching = fetch();
            Box::pin(async move { fetching.await.ok() })
        };
        Self { fetch: Box::new(fetch), kept: Mutex::new(Kept::default()) }
    }

    /// Checks the signature of a token. For a key that is not known, the provider is asked again, but only twice a minute:
    /// anyone can send a token with an invented `kid`.
    pub(crate) async fn check(&self, jwt: &Jwt<'_>, now: UnixMillis) -> Result<(), LogoutError> {
        let kid = jwt.header().string("kid");
        let mut kept = self.kept.lock().await;
        kept.set = kept.set.take().filter(|(_, at)| now.since(*at) <= KEPT);
        let mut keys = kept.find(jwt.algorithm(), kid.as_deref());
        if keys.is_empty() && kept.asked.is_none_or(|asked| now.since(asked) > PAUSE) {
            kept.asked = Some(now);
            let set = (self.fetch)().await.ok_or(LogoutError::KeysUnavailable)?;
            Key::of_set(&set, jwt.algorithm(), None).ok_or(LogoutError::KeysUnavailable)?;
            kept.set = Some((set, now));
            keys = kept.find(jwt.algorithm(), kid.as_deref());
        }
        if kept.set.is_none() {
            return Err(LogoutError::KeysUnavailable);
        }
        drop(kept);
        if keys.is_empty() {
            return Err(LogoutError::Key);
        }
        if keys.iter().any(|key| signs(key, jwt)) { Ok(()) } else { Err(LogoutError::Signature) }
    }
}

impl Kept {
    fn find(&self, algorithm: Algorithm, kid: Option<&str>) -> Vec<Key> {
        let set = self.set.as_ref().map(|(set, _)| set.as_str());
        set.and_then(|set| Key::of_set(set, algorithm, kid)).unwrap_or_default()
    }
}

fn signs(key: &Key, jwt: &Jwt<'_>) -> bool {
    let (text, signature) = (jwt.signing_input().as_bytes(), jwt.signature());
    let [one, other] = key.numbers();
    let rsa = RsaPublicKeyComponents { n: &one, e: &other };
    let checked = match (jwt.algorithm(), key) {
        (Algorithm::Es256, Key::P256 { .. }) => {
            let point = [&[4], &*one, &*other].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(text, signature)
        }
        (Algorithm::Rs256, Key::Rsa { .. }) => {
            rsa.verify(&RSA_PKCS1_2048_8192_SHA256, text, signature)
        }
        (Algorithm::Ps256, Key::Rsa { .. }) => {
            rsa.verify(&RSA_PSS_2048_8192_SHA256, text, signature)
        }
        _ => return false,
    };
    checked.is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    // Made by Node.js: the tokens have no claims.
    const N: &str = "rJhLNwTDspr2dWuTduyWLn93g5omwACbdgTr1TdLfHA-r-HI6c1dad3AayD4QeLiGsIc23d044G5NUU4F8-ydkQliA\
    uM6E0FwhFT2EcVq_yQ4_nsVyhQnp_Ankhz9aXXqtuA4IMvLfW72cgnaN9ko9c5tE2rkwb1YKgonKznqOvJHwPAPS9R\
    7kJYSyu3LjMRl2rc3OFDGtDXasIbpXAo4PDTumXKiE1JLWMcurwGBOCj0njtv6QUkbOwSX44mASg9ljfJckdI29xxq\
    2lmLqkgIOxUBrLiPG6QyN0cg8vlgNaq0MNBTuoAMgF3MKg-MGdpR3mHxlyrbSxuFi9hr2sjQ";
    const RS256: &str = "eyJhbGciOiJSUzI1NiJ9.e30.T--mwPo9WqfoNtQy19GZsHP_RsK0pnrU01YgHoM-AwOrxN9autf40unY5L2nUQaou\
    vEJZnVTV-bbnjX9bHJPwzrkmy5PP13X2CSFnzQtkml7Shw_9FsDqMTVPPKfdEEeLWUj4IpZKGg7rKwZz_vaps10XZb\
    bfGktu34L9FeC8ouEuFuIyaPW7Ge5Huy4ZD8lrVjK19E2f9OFOEVHAMhtF1ftgZDCAdqOl2G1bFcOLtbk9yAMtw342\
    Zb9sXMAC4c7eIzaS0ud8i84oqazvmTXCQ_SDLOc1-3W-KJYQVVxvYSh47YZGR21lFVZwMJ6nHGVuc6FRsQa05TLaoD\
    GNU72BA";
    const PS256: &str = "eyJhbGciOiJQUzI1NiJ9.e30.pVVEFtFyU73lbNl4_ItoLUfOUnJRXfYK6tDs40xTni3exnmsYHuM5Rq6rPj-2aD3a\
    xzkybM7nlrPqrYnoRGL0Cod5LTYeQyWKD3k5UFweaVfRjpFAX1597c_5NjD16GeoSJgJpHxA6aDoGJuPPdoVQjTZZe\
    MofVfLKuUcBxFfgKGne8hC71vSiuYsuw8Ag9xQmzTL8xlveA6fKHMwz_o5bfUy8BKSrKoGFLOTvz17ZYpOEUbK6Dw2\
    vOArssMnq1jz3AFBP6AMfCxBZwF11tTe4VhqvYkBWZJFbTOI3SnzoCcYK0NjZgP9VWA6lRClT7vLkOQrwjLNHKViwE\
    FSggUgQ";

    #[test]
    fn signatures_with_rsa_are_checked() {
        let set = format!(r#"{{"keys":[{{"kty":"RSA","n":"{N}","e":"AQAB"}}]}}"#);
        for token in [RS256, PS256] {
            let jwt = Jwt::parse(token, &Algorithm::ALL).unwrap();
            let keys = Key::of_set(&set, jwt.algorithm(), None).unwrap();
            assert!(keys.iter().any(|key| signs(key, &jwt)), "{token}");
            // The same signature under other claims.
            let forged = token.replace(".e30.", ".eyJhIjoxfQ.");
            let forged = Jwt::parse(&forged, &Algorithm::ALL).unwrap();
            assert!(!keys.iter().any(|key| signs(key, &forged)));
        }
        // A key never serves another algorithm.
        let jwt = Jwt::parse(RS256, &Algorithm::ALL).unwrap();
        let key = Key::P256 { x: N.into(), y: N.into() };
        assert!(!signs(&key, &jwt));
    }
}
