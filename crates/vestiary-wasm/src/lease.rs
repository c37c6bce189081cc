//! The operations that one request of all processes does: the functions of an application, and the refresh of tokens.

use alloc::{borrow::ToOwned, boxed::Box, string::String, vec::Vec};

use vestiary::{
    UserRef,
    protocol::{Rules, Stopped, boxed},
    visit::{self, Answer, Changes, Claim, Grant, Page, Visit, Wanted},
};

use crate::{
    convert::decimal,
    ending::Ending,
    operations::{Given, Operation, Task},
};

#[cfg_attr(plain, maybe_async::must_be_sync)]
impl Operation {
    /// Runs an operation on a lease, whose texts follow.
    pub(crate) async fn lease<'t>(
        &self,
        page: &mut Page,
        rules: &Rules,
        mut visit: Box<Visit<Stopped>>,
        changes: Option<Changes>,
        next: &mut dyn FnMut() -> &'t str,
    ) -> Result<Ending, Stopped> {
        let name = next();
        let [first, second, _, waited] = self.numbers.map(|number| number as u64);
        let held = |kept: bool| kept.then(|| "held".to_owned());
        let taken = match self.task {
            Task::Claim => {
                let name = UserRef::decoded(name);
                let claiming = visit::claim(page, rules, &mut visit, changes, &name, first, waited);
                boxed(claiming).await.map(|found| Some(claimed(found)))
            }
            Task::Settle => {
                let (name, token) = (UserRef::decoded(name), next().to_owned());
                let result = if self.is(Given::More) { Err(()) } else { Ok(next()) };
                let settling = visit::settle(page, rules, &mut visit, &name, token, result);
                boxed(settling).await.map(held)
            }
            Task::Tokens => {
                let refused = decoded(name);
                let refused = refused.as_deref();
                let wanted = Wanted { early: second, refused, lease: first, waited };
                let found = boxed(visit::tokens(page, rules, &mut visit, wanted)).await;
                found.map(|found| Some(claimed(found)))
            }
            _ => {
                let old = Some(name).filter(|held| !held.is_empty()).map(ToOwned::to_owned);
                let [lifetime, ..] = self.numbers;
                let answer = match granted([next(), next(), next()], lifetime) {
                    Some(grant) => Answer::Granted(grant),
                    None if self.is(Given::More) => Answer::Failed,
                    None => Answer::Refused,
                };
                let keeping = visit::keep_tokens(page, rules, &mut visit, old, answer);
                boxed(keeping).await.map(held)
            }
        };
        let done = taken.map(|taken| {
            visit.taken = taken;
            true
        });
        Ok(Ending::Visit { visit, spent: Vec::new(), done })
    }
}

/// The tokens that a provider has given: the access token, the refresh token and the ID token, each empty if there is none,
/// and the lifetime of the access token in milliseconds, NaN if it is unknown. `None` without an access token.
pub(crate) fn granted(texts: [&str; 3], lifetime: f64) -> Option<Grant> {
    let [access, refresh, id] = texts.map(decoded);
    let lifetime = (!lifetime.is_nan()).then_some(lifetime as u64);
    access.map(|access| Grant { access, refresh, id, lifetime })
}

/// The text, unless it is empty.
fn decoded(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| UserRef::decoded(text))
}

/// The state of a lease: a word, and its argument in the next line.
fn claimed(found: Claim) -> String {
    let (word, rest) = match found {
        Claim::Held(token) => ("held", token),
        Claim::Wait(millis) => ("wait", decimal(millis as u32)),
        Claim::Done(result) => ("done", result.unwrap_or_default()),
        Claim::Failed => ("once_failed", String::new()),
        Claim::Busy => ("once_busy", String::new()),
        Claim::Ended => ("once_ended", String::new()),
    };
    [word, "\n", &rest].concat()
}
