//! The public keys of a provider of OpenID Connect, and the check of its signatures.

use std::{
    future::Future,
    pin::Pin,
    sync::{self, PoisonError},
    time::Duration,
};

use async_lock::Mutex;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use vestiary::{
    UnixMillis,
    jwt::{Algorithm, Jwt, Key, LogoutError},
};
use vestiary_store::within;

/// The time after which the keys are fetched again, in milliseconds: a key that the provider has withdrawn ends then.
const KEPT: u64 = 3_600_000;

/// The time between two requests because of a key that is not known, in milliseconds.
const PAUSE: u64 = 30_000;

/// The longest time that a logout waits for keys, in milliseconds.
const LONGEST_WAIT: u64 = 10_000;

type Fetching = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// The keys: fetched when they are needed, and kept.
pub(crate) struct ProviderKeys {
    fetch: Box<dyn Fn() -> Fetching + Send + Sync>,
    longest_wait: u64,
    /// The set of keys, and when the provider was asked for it.
    known: sync::Mutex<Option<(String, UnixMillis)>>,
    /// Requests that need the provider wait for one another, and the second one finds what the first one has fetched.
    asking: Mutex<Asking>,
}

/// The last question to the provider.
#[derive(Default)]
struct Asking {
    since: Option<UnixMillis>,
    /// The answer, until it has come. It stays here if the request that waits for it is dropped, because its caller has
    /// left, and the next one goes on with it. Otherwise a caller could keep the keys from all others.
    answer: Option<Fetching>,
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
        Self {
            fetch: Box::new(fetch),
            longest_wait: LONGEST_WAIT,
            known: sync::Mutex::default(),
            asking: Mutex::default(),
        }
    }

    /// Checks the signature of a token. For a key that is not known, the provider is asked again, but only twice a minute:
    /// anyone can send a token with an invented `kid`.
    pub(crate) async fn check(
        &self,
        jwt: &Jwt<'_>,
        now: impl Fn() -> UnixMillis,
    ) -> Result<(), LogoutError> {
        let mut keys = self.find(jwt, now());
        if keys.as_ref().is_none_or(Vec::is_empty) {
            let mut asking = self.asking.lock().await;
            keys = self.find(jwt, now());
            if keys.as_ref().is_none_or(Vec::is_empty) {
                self.ask(&mut asking, now()).await?;
                keys = self.find(jwt, now());
            }
        }
        let keys = keys.ok_or(LogoutError::KeysUnavailable)?;
        if keys.is_empty() {
            return Err(LogoutError::Key);
        }
        if keys.iter().any(|key| signs(key, jwt)) { Ok(()) } else { Err(LogoutError::Signature) }
    }

    /// The known keys that may have signed a token. `None` without a set of keys.
    fn find(&self, jwt: &Jwt<'_>, now: UnixMillis) -> Option<Vec<Key>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (set, _) = known.as_ref().filter(|(_, since)| is_within(KEPT, *since, now))?;
        Key::of_set(set, jwt.algorithm(), jwt.header().string("kid").as_deref())
    }

    /// Asks the provider, unless it was asked a moment ago.
    async fn ask(&self, asking: &mut Asking, now: UnixMillis) -> Result<(), LogoutError> {
        let Asking { since, answer } = asking;
        let was_asked = |within| since.is_some_and(|since| is_within(within, since, now));
        if !was_asked(self.longest_wait) {
            *answer = None;
        }
        if answer.is_none() && was_asked(PAUSE) {
            return Ok(());
        }
        let fetching = answer.get_or_insert_with(|| {
            *since = Some(now);
            (self.fetch)()
        });
        let fetched = within(Some(Duration::from_millis(self.longest_wait)), fetching).await;
        *answer = None;
        let is_set = |set: &String| Key::of_set(set, Algorithm::Es256, None).is_some();
        let set = fetched.flatten().filter(is_set).ok_or(LogoutError::KeysUnavailable)?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((set, now));
        Ok(())
    }
}

/// Whether something that happened at `since` is no older than this. After a clock was set back, it counts as older.
fn is_within(milliseconds: u64, since: UnixMillis, now: UnixMillis) -> bool {
    since <= now && now.since(since) <= milliseconds
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

    #[tokio::test]
    async fn a_provider_that_does_not_answer_holds_back_no_token_for_long() {
        let fetch = || std::future::pending::<Result<String, ()>>();
        let keys = ProviderKeys { longest_wait: 10, ..ProviderKeys::new(fetch) };
        let jwt = Jwt::parse(RS256, &Algorithm::ALL).unwrap();
        for _ in 0..2 {
            let checked = keys.check(&jwt, || UnixMillis(0)).await;
            assert_eq!(checked, Err(LogoutError::KeysUnavailable));
        }
    }

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
