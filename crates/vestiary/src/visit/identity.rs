use alloc::boxed::Box;

use super::{Fault, Purpose, Request, State, View, Visit, host_for, open::opened, write::Edit};
use crate::{
    Ttl, constants,
    decide::{CookieStep, Operation},
    protocol::{self, Host, Rules, Seen, boxed, seeded},
    session::{self, Join},
};

/// Gives the session another ID and keeps its data. For a while the old ID still leads to it.
///
/// # Errors
/// As [`session::renew`]; and [`Request::response_sent`], for the browser would not learn of the new ID.
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
            // The application has not seen the changes of other requests that the record has now: its data stays, and its own
            // changes are still told by it.
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

/// Ends the session and begins a new, empty one with another ID, which is stored when it is saved. What cannot be read here
/// is left alone.
///
/// # Errors
/// As [`destroy`](super::destroy); [`Request::reserve`]'s, and [`Request::response_sent`], since the browser would not learn
/// of the new ID: then the session stays.
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
    // Reserved for good when it is saved.
    request.release();
    match &visit.state {
        State::Stored { session, .. } if rules.atomic => {
            let session = session.clone();
            boxed(replaced(request, rules, visit, session)).await?;
        }
        State::Tombstone(_) | State::Unreadable(_) => visit.forget(State::Anonymous),
        _ => {
            super::destroy(request, rules, visit).await?;
            visit.forget(State::Anonymous);
        }
    }
    opened(request, rules, visit, false).await;
    Ok(())
}

/// Lets the record of an empty session take the place of this one.
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
        // Also as after a logout that the store did not confirm.
        visit.cookie_step(request, plan.cookie);
    }
    // Of none, another request has ended the session, or logged in: the browser may have the newer cookie.
    let state = reserved?.map_or(State::Anonymous, |reserved| State::Reserved(*reserved));
    visit.forget(state);
    Ok(())
}

/// The record of an empty session, under another ID, for as long as a session may wait for what is saved. `None` if the
/// session was ended meanwhile.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn reserve<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: Seen,
) -> Result<Option<Box<Seen>>, H::Error> {
    if let Some(user) = &session.record.meta().user
        && let Err(error) = session::leave(host, rules, user).await
    {
        // A list that is not written at all does not keep the session from being ended.
        host.survives(error)?;
    }
    let empty = session::new_record(host, rules, "{}", None, None)?;
    let longest = Ttl::Millis(constants::UNSAVED);
    session::rotate(host, rules, session, &empty, longest).await
}

/// Logs a user in: a session with this data takes the place of the one before. False if the login is refused
/// ([`session::log_in`]). A session that no browser will learn of, since the response has left while the store worked, is
/// ended.
///
/// # Errors
/// As [`session::log_in`]; [`Request::reserve`]'s; [`Request::response_sent`]; that of the store if it did not confirm that
/// end.
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
            // All sessions were ended while it was under way, or the store failed then.
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

/// Has the session of a user who has logged in, in place of the one before. A session that no browser will learn of, since
/// the response has left while the store worked, is ended.
///
/// # Errors
/// [`Request::response_sent`]; that of the store if it did not confirm the end.
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
    // No other request can find it, for a login's tombstone leads nowhere: there is nothing to ask before its cookie leaves.
    visit.certain = Some(session.id.clone());
    visit.holds(session, View::Read);
    if !seeded(protocol::Fault::LoginKeepsCookie) {
        visit.cookie_step(request, CookieStep::Set);
    }
    Ok(())
}
