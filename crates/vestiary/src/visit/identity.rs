use alloc::boxed::Box;

use super::{
    Fault, Purpose, Request, State, View, Visit, host_for, open::follow_options, write::Edit,
};
use crate::{
    Meta, Ttl, constants,
    decide::{CookieStep, Operation},
    protocol::{self, Host, Rules, Seen, boxed, seeded},
    session::{self, Join},
};

/// Gives the session another ID and keeps its data. During the grace period, the old ID still leads to it.
///
/// # Errors
/// As [`session::renew`]; and [`Request::response_sent`], because the browser would not learn the new ID.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn renew<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
) -> Result<(), Fault<R>> {
    visit.writable()?;
    let Some(session) = visit.session().cloned() else { return Ok(()) };
    if request.has_left() {
        return Err(request.response_sent());
    }
    match session::renew(host_for(request, Purpose::Write), rules, session).await {
        Ok(Some(renewed)) => {
            // The record may have changes of other requests, which the application has not read. It keeps its data, and its
            // own changes are still the difference from the data that it has read.
            visit.holds(*renewed, View::Kept);
            if !seeded(protocol::Fault::RenewalKeepsCookie) {
                visit.cookie_step(request, CookieStep::Set);
            }
            Ok(())
        }
        Ok(None) => {
            visit.gone(request.host());
            Ok(())
        }
        Err(error) => {
            if R::is_untraced(&error) {
                visit.gone(request.host());
            }
            Err(error)
        }
    }
}

/// Ends the session and begins a new, empty one with another ID, which is stored when the application saves it. An
/// unreadable session is left alone.
///
/// # Errors
/// As [`destroy`](super::destroy); the error of [`Request::reserve`]; and [`Request::response_sent`], because the browser
/// would not learn the new ID. In the last two cases the session stays.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn regenerate<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
) -> Result<(), Fault<R>> {
    if request.has_left() {
        return Err(request.response_sent());
    }
    let id = visit.id().cloned();
    request.reserve(id.as_ref()).await?;
    // The cookie is reserved for good when the new session is saved.
    request.release();
    match &visit.state {
        State::Stored { session, .. } if rules.atomic => {
            let session = session.clone();
            boxed(replaced(request, rules, visit, session)).await?;
        }
        State::Tombstone(_) | State::Unbound(_) | State::Unreadable(_) => {
            visit.forget(State::Anonymous);
        }
        _ => {
            super::destroy(request, rules, visit).await?;
            visit.forget(State::Anonymous);
        }
    }
    follow_options(request, rules, visit, false).await;
    Ok(())
}

/// Replaces the session by an empty one.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn replaced<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    session: Seen,
) -> Result<(), Fault<R>> {
    let plan = visit.plan(request, rules, Operation::Destroy, &Edit::None);
    let reserved = reserve(host_for(request, Purpose::Write), rules, session).await;
    if !matches!(reserved, Ok(None)) {
        // If the store failed, the cookie is removed, as after a logout that the store did not confirm.
        visit.cookie_step(request, plan.cookie);
    }
    // Without a reserved session, another request has ended the session or logged in, and the browser may have a newer
    // cookie.
    let state = reserved?.map_or(State::Anonymous, |reserved| State::Reserved(*reserved));
    visit.forget(state);
    Ok(())
}

/// Rotates to an empty session, whose record lasts as long as a session may stay unsaved. `None` if another request has
/// ended the session.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn reserve<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: Seen,
) -> Result<Option<Box<Seen>>, H::Error> {
    if let Some(user) = &session.record.meta().user
        && let Err(error) = session::leave(host, rules, user).await
    {
        // A list that cannot be written does not keep the session alive.
        host.survives(error)?;
    }
    let empty = session::new_record(host, rules, "{}", Meta::default())?;
    let longest = Ttl::Millis(constants::UNSAVED);
    session::rotate(host, rules, session, &empty, longest).await
}

/// Logs a user in: replaces the visitor's session by one with this data. Returns `false` if the login is refused
/// ([`session::log_in`]). If the response has left while the store worked, no browser learns the new ID, so the new session
/// is ended.
///
/// # Errors
/// As [`session::log_in`]; the error of [`Request::reserve`]; [`Request::response_sent`]; and the store's if it did not
/// confirm the end of the new session.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn log_in<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    join: &Join<'_>,
    data: &str,
) -> Result<bool, Fault<R>> {
    if request.has_left() {
        return Err(request.response_sent());
    }
    let old = visit.session().cloned();
    let id = old.as_ref().map(|old| old.id.clone());
    request.reserve(id.as_ref()).await?;
    let host = host_for(request, Purpose::Write);
    let logged_in = match session::log_in(host, rules, old, join, data).await {
        Ok(Some(session)) => logged_in(request, rules, visit, *session).await.map(|()| true),
        failed => {
            // All sessions were ended during the login, or the store failed.
            if id.is_some_and(|id| request.is_out_of_use(&id)) {
                visit.gone(request.host());
            }
            failed.map(|_| false)
        }
    };
    if !matches!(logged_in, Ok(true)) {
        request.release();
    }
    logged_in
}

/// Takes over the session of a user who has logged in. If the response has left while the store worked, no browser learns
/// its ID, so the session is ended.
///
/// # Errors
/// [`Request::response_sent`]; and the store's error if it did not confirm the end of the session.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn logged_in<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    session: Seen,
) -> Result<(), Fault<R>> {
    if request.has_left() {
        let host = host_for(request, Purpose::Remove);
        boxed(session::destroy(host, rules, session)).await?;
        visit.forget(State::Anonymous);
        return Err(request.response_sent());
    }
    // No other request can find the session, because a login's tombstone leads nowhere. So its cookie needs no confirmation.
    visit.certain = Some(session.id.clone());
    visit.holds(session, View::Read);
    if !seeded(protocol::Fault::LoginKeepsCookie) {
        visit.cookie_step(request, CookieStep::Set);
    }
    Ok(())
}
