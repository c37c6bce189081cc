use alloc::{borrow::ToOwned as _, string::String};

use super::{
    Claim, Fault, Request, Visit, is_alive,
    once::FAILURE,
    write::{Edit, execute},
};
use crate::{
    UnixMillis,
    decide::Operation,
    protocol::{Change, Host as _, Rules, write_id},
    tokens::{Grant, KEPT, KEY, Tokens},
};

/// How a provider has answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// It has given tokens.
    Granted(Grant),
    /// It has refused the refresh token for good, so the session has no tokens any more.
    Refused,
    /// There was no answer. For two seconds, no other request asks.
    Failed,
}

/// The demands of a request on its tokens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// The time before the access token's end from which on it is to be refreshed, in milliseconds. Of a token with a
    /// short life, this is at most half of its life.
    pub early: u64,
    /// An access token that a resource server has refused, which therefore counts as expired.
    pub refused: Option<&'a str>,
    /// The time that a refresh may take, in milliseconds. 0 to get the tokens as they are.
    pub lease: u64,
    /// The time since this request's first call, in milliseconds.
    pub waited: u64,
}

/// Finds tokens that are still valid: [`Claim::Done`] has them as JSON text ([`Tokens::parse`]), and nothing if there are
/// none, or if they have expired without a refresh token. Of requests that find them due for a refresh, in whatever
/// process, one holds the lease: [`Claim::Held`] has the text for [`keep_tokens`]. While a token is due and not expired,
/// the others get it; afterwards they wait.
///
/// The lease stands in the slot of the tokens, and is claimed and settled by comparing all of its value. So a request that
/// has read older tokens never refreshes them again.
///
/// # Errors
/// As [`put`](super::put).
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn tokens<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    wanted: Wanted<'_>,
) -> Result<Claim, Fault<R>> {
    visit.writable()?;
    if wanted.waited > 0 && !is_alive(request, rules, visit).await? {
        return Ok(Claim::Ended);
    }
    // After a swap that came too late, the visit has the store's tokens.
    for _ in 0..2 {
        let now = request.host().now();
        let Some(text) = visit.slot(KEY, now) else { return Ok(Claim::Done(None)) };
        let Some(found) = Tokens::parse(text) else { return Ok(Claim::Done(None)) };
        if let Some(state) = found.claimed(text, &wanted, now) {
            return Ok(state);
        }
        let expected = text.to_owned();
        let lease = Some(write_id(request.host())?.as_str().to_owned());
        let value = Tokens { lease, until: now.plus(wanted.lease), ..found }.text();
        swap(request, rules, visit, expected, value, now.plus(KEPT)).await?;
        if visit.session().is_none() {
            return Ok(Claim::Ended);
        }
        if let Some(held) = visit.taken.take() {
            return Ok(Claim::Held(held));
        }
    }
    Ok(Claim::soon())
}

/// Keeps tokens beside the data of the session. With `held`, which [`tokens`] has returned, it ends a refresh of these;
/// without, the tokens replace earlier ones, and an anonymous visitor gets a session for them.
///
/// Returns `false`, and stores nothing, if the session has ended, or if another request has taken over the refresh after
/// the lease's end. A lease that has merely ended still counts: the provider has given the tokens, and has perhaps taken
/// the old ones out of use.
///
/// # Errors
/// As [`put`](super::put).
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn keep_tokens<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    held: Option<String>,
    answer: Answer,
) -> Result<bool, Fault<R>> {
    if held.is_some() && visit.session().is_none() {
        return Ok(false);
    }
    let now = request.host().now();
    let old = held.as_deref().and_then(Tokens::parse).unwrap_or_default();
    let (value, until) = match answer {
        Answer::Granted(grant) => (old.after(grant, now).text(), now.plus(KEPT)),
        // An expired slot counts as absent.
        Answer::Refused => ("null".to_owned(), now),
        Answer::Failed => {
            let failed = Tokens { lease: None, until: now.plus(FAILURE), ..old };
            (failed.text(), now.plus(KEPT))
        }
    };
    let Some(held) = held else {
        let change = Change::Put { key: KEY.to_owned(), value, until };
        execute(request, rules, visit, Operation::Flush, Edit::Slot(change)).await?;
        return Ok(visit.session().is_some());
    };
    swap(request, rules, visit, held, value, until).await?;
    Ok(visit.taken.take().is_some())
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn swap<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    expected: String,
    value: String,
    until: UnixMillis,
) -> Result<(), Fault<R>> {
    visit.taken = None;
    let change = Change::Swap { key: KEY.to_owned(), expected: Some(expected), value, until };
    execute(request, rules, visit, Operation::Flush, Edit::Slot(change)).await?;
    Ok(())
}

impl Tokens {
    /// The state of these tokens, which have this text, for a request. `None` if it is to claim the lease.
    fn claimed(&self, text: &str, wanted: &Wanted<'_>, now: UnixMillis) -> Option<Claim> {
        let valid = || Claim::Done(Some(text.to_owned()));
        if wanted.lease == 0 {
            return Some(valid());
        }
        let is_usable = wanted.refused != Some(&*self.access)
            && self.expires.is_none_or(|expires| now < expires);
        let is_due = self.expires.is_some_and(|expires| {
            let early = wanted.early.min(expires.since(self.given) / 2);
            now.plus(early) >= expires
        });
        let is_paused = now < self.until;
        Some(match (is_usable, &self.refresh, &self.lease) {
            (true, refresh, _) if !is_due || is_paused || refresh.is_none() => valid(),
            (_, None, _) => Claim::Done(None),
            (_, _, None) if is_paused => Claim::Failed,
            (_, _, Some(_)) if is_paused => Claim::later(wanted.lease, wanted.waited),
            _ => return None,
        })
    }
}
