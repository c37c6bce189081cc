//! A function that one request of all processes runs.

use std::{error::Error, fmt, future::Future, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use vestiary::{protocol::Host as _, visit::Claim};
use vestiary_store::{SessionError, StoreOperation, within};

use crate::{
    Session,
    contents::{text_of, value_of},
    slots::millis_of,
};

/// The reason why [`Session::once`] has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum OnceError<E> {
    /// The function failed with this error, in this request.
    Run(E),
    /// Another request has run the function, and it failed. Its error is only in that request.
    Failed,
    /// Other requests have run the function for twice the lease.
    Busy,
    /// This request has run the function, but its lease or its session has ended. The result was not kept.
    Lost,
    /// The session was ended meanwhile.
    Ended,
    /// The store failed, or the result cannot be stored.
    Session(SessionError),
}

impl<E> OnceError<E> {
    /// All codes of [`OnceError::code`], except those of a [`SessionError`].
    pub const CODES: [&'static str; 4] = ["once_busy", "once_ended", "once_failed", "once_lost"];

    /// The stable, machine-readable code, the same as in TypeScript. `None` for an error of the function.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::Run(_) => return None,
            Self::Failed => "once_failed",
            Self::Busy => "once_busy",
            Self::Lost => "once_lost",
            Self::Ended => "once_ended",
            Self::Session(error) => error.code(),
        })
    }
}

impl<E> From<SessionError> for OnceError<E> {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl<E: fmt::Display> fmt::Display for OnceError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Run(error) => return error.fmt(f),
            Self::Session(error) => return error.fmt(f),
            Self::Failed => "the request that ran the function of `once` or `tokens` has failed: its log has the error",
            Self::Busy => {
                "other requests have run the function of `once` or `tokens` for too long: try again"
            }
            Self::Lost => {
                "the result of `once` or `tokens` was not kept: its lease or its session has ended before its function. \
                 Make the function faster or the lease longer, and end or replace the session after it"
            }
            Self::Ended => "the session was ended while a request waited for `once` or `tokens`",
        })
    }
}

impl<E: Error + 'static> Error for OnceError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Run(error) => Some(error),
            Self::Session(error) => Some(error),
            _ => None,
        }
    }
}

impl<T> Session<T> {
    /// Runs a function in one request of all processes. Other requests of the session that call it with the same name wait,
    /// and get the same result. For work that must not be done twice at the same time, such as the refresh of an `OAuth`
    /// token. The SvelteKit package waits for the same function.
    ///
    /// Changes of the data are stored first, and the data is then as the store has it, when the function runs and when a
    /// result arrives. So look there first whether the work is still to be done.
    ///
    /// The request that runs the function holds a lease. If its process dies, another request runs the function when the
    /// lease has ended; a function that takes longer is dropped. The same happens if the request is dropped, because its
    /// visitor leaves: call this in a task of its own if the function must not be cut off. A result is kept for ten seconds, a failure for two:
    /// meanwhile the function does not run again. An anonymous visitor gets a session.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use vestiary_tower::{OnceError, Session, SessionError};
    ///
    /// # async fn ask_provider(_: String) -> Result<String, SessionError> { Ok(String::new()) }
    /// async fn token(session: Session) -> Result<String, OnceError<SessionError>> {
    ///     let refresh = async || {
    ///         let old = session.get("refresh_token").await?.unwrap_or_default();
    ///         let new = ask_provider(old).await?;
    ///         session.insert("refresh_token", &new).await?;
    ///         session.save().await?;
    ///         Ok(new)
    ///     };
    ///     session.once("refresh", Duration::from_secs(10), refresh).await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`OnceError::Run`] with the error of the function, in the request that runs it. The other kinds of [`OnceError`] if
    /// there is no result, or if `lease` is zero.
    pub async fn once<V, E, F>(
        &self,
        name: &str,
        lease: Duration,
        run: impl FnOnce() -> F,
    ) -> Result<V, OnceError<E>>
    where
        V: Serialize + DeserializeOwned,
        F: Future<Output = Result<V, E>>,
    {
        let millis = millis_of("lease", lease)?;
        let visit = self.visit();
        let mut host = self.sessions().host(StoreOperation::Read);
        let (mut waited, mut since) = (0, host.elapsed());
        let began = since;
        let token = loop {
            let claimed = visit
                .claim(&mut *visit.open_to_write().await?, name, millis, waited / 1_000)
                .await?;
            match claimed {
                Claim::Held(token) => break token,
                Claim::Wait(millis) => host.sleep(millis * 1_000).await,
                // Without a value, as a function of JavaScript.
                Claim::Done(result) => {
                    return Ok(value_of(name, result.as_deref().unwrap_or("null"))?);
                }
                Claim::Failed => return Err(OnceError::Failed),
                Claim::Busy => return Err(OnceError::Busy),
                Claim::Ended => return Err(OnceError::Ended),
            }
            since = host.elapsed();
            waited = since - began;
        };
        let left = lease.saturating_sub(Duration::from_micros(host.elapsed() - since));
        let result = match within(Some(left), run()).await {
            None => return Err(OnceError::Lost),
            Some(Ok(value)) => match text_of(name, &value) {
                Ok(text) => {
                    let state = &mut *visit.open_to_write().await?;
                    match visit.settle(state, name, token.clone(), Ok(&text)).await {
                        Ok(true) => return Ok(value),
                        Ok(false) => return Err(OnceError::Lost),
                        Err(error) => OnceError::Session(error),
                    }
                }
                Err(error) => OnceError::Session(error),
            },
            Some(Err(error)) => OnceError::Run(error),
        };
        // The requests that wait need not wait for the end of the lease. If this cannot be stored, they do.
        if let Ok(mut state) = visit.open_to_write().await {
            let _ = visit.settle(&mut state, name, token, Err(())).await;
        }
        Err(result)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

    use std::{collections::BTreeSet, fs};

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_codes_are_those_of_the_npm_package() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/names.json");
        let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let cases = file["cases"].as_array().unwrap().iter();
        let listed = cases.filter(|case| case["rust"] == "OnceError");
        let listed: BTreeSet<_> = listed.map(|case| case["code"].as_str().unwrap()).collect();
        let own = [OnceError::Busy, OnceError::Ended, OnceError::Failed, OnceError::Lost];
        let own: BTreeSet<_> = own.iter().filter_map(OnceError::<&str>::code).collect();
        assert_eq!(own, listed);
        assert_eq!(own, OnceError::<&str>::CODES.into_iter().collect());
    }
}
