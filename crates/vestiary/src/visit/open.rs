use alloc::vec::Vec;

use super::{
    Changes, Fault, Outgoing, Purpose, Request, State, View, Visit, host_for, renew,
    write::{Edit, execute},
};
use crate::{
    Event, SessionId,
    binding::Shown,
    decide::{CookieStep, Operation, StoreStep},
    protocol::{self, Host as _, Rules, boxed, seeded},
    session::{self, Found, Loaded, Spent},
};

/// The session cookies of a request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not the states of one machine"
)]
pub struct Cookies {
    /// Whether the request has a cookie of this name, valid or not.
    pub present: bool,
    /// The IDs in the valid cookies, in their order.
    pub ids: Vec<SessionId>,
    /// The device of the request, as far as it shows it.
    pub shown: Shown,
    /// Whether another handle or layer around this one has the same cookie name. An invalid cookie may belong to it.
    pub shared: bool,
    /// Whether the request does not count as use of the session, such as a poll of a page that stays open. It reads the
    /// session, and neither extends nor renews it, nor sets its cookie, unless the application itself writes it.
    pub passive: bool,
    /// Whether the store may only be read, because the code answers no request of the visitor.
    pub reads_only: bool,
}

/// Finds the session of these cookies for a new visit. Renews it if that is due, and sets its cookie again if it rolls. If
/// the options say so, a visitor without a session gets one.
///
/// A store failure is an event, and makes the session [`State::Unavailable`]. Returns the obsolete records, for
/// [`session::tidy`], which may run in the background.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn open<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    cookies: Cookies,
) -> Vec<Spent> {
    let Cookies { present, ids, shown, shared, passive, reads_only } = cookies;
    let cookie_out = present && !(shared && ids.is_empty());
    *visit = Visit { cookie_out, ..Visit::default() };
    let (mut spent, mut is_fresh) = (Vec::new(), false);
    if ids.is_empty() {
        if present {
            request.host().emit(Event::Rejected);
        }
    } else {
        let host = host_for(request, Purpose::Read);
        let opening = if reads_only {
            session::read(host, rules, &ids, &shown).await
        } else {
            session::open(host, rules, &ids, &shown).await
        };
        match opening {
            Ok(opening) => {
                (visit.lost, spent) = (opening.lost, opening.spent);
                match opening.found {
                    Found::Session(loaded) => {
                        is_fresh = begin(request, rules, visit, *loaded, passive).await;
                    }
                    Found::Tombstone(session) => visit.state = State::Tombstone(*session),
                    Found::Unbound(session) => visit.state = State::Unbound(*session),
                    Found::Unreadable(error) => visit.state = State::Unreadable(error.into()),
                    Found::Expired(session) => {
                        let own = session.record.meta().cookie.clone();
                        visit.cookie = Outgoing::Expired { id: session.id, own };
                    }
                    Found::Nothing => {}
                }
            }
            Err(error) => visit.fails(host, error),
        }
    }
    visit.received = ids;
    if !passive {
        follow_options(request, rules, visit, is_fresh).await;
    }
    spent
}

/// Whether the session of the visit is still valid: it was not ended or revoked, and has not expired. Only reads the store.
/// From then on, the visit has the session under its current ID.
///
/// `false` if the visit has no session. A `false` changes nothing in the visit; the next write finds the session gone.
///
/// # Errors
/// The error with which the session could not be read when it was opened; and as [`session::alive`].
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn is_alive<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
) -> Result<bool, Fault<R>> {
    visit.writable()?;
    let Some(id) = visit.id().cloned() else { return Ok(false) };
    let found = session::alive(host_for(request, Purpose::Read), rules, &id).await?;
    if let (State::Stored { session, .. }, Some(found)) = (&mut visit.state, found) {
        *session = *found;
        return Ok(true);
    }
    Ok(false)
}

/// Takes over the session that was found. Returns whether it was renewed, so that its record has its full TTL.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn begin<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    loaded: Loaded,
    passive: bool,
) -> bool {
    let Loaded { session, renewed, due, stale, unseen } = loaded;
    // Without a way to send a cookie, reading changes nothing, as in a passive request.
    let stays = passive || request.has_left();
    let is_stale = stale && !due && rules.atomic && !stays;
    visit.state = State::Stored { session, due: is_stale, unseen: unseen && !stays };
    visit.view = View::Read;
    if renewed && !passive && !seeded(protocol::Fault::EarlierIdStays) {
        visit.cookie_step(request, CookieStep::Set);
    }
    if !due || !rules.atomic || stays {
        return false;
    }
    // The session could be read, so a store that fails now does not fail the request. The next one tries again.
    let renewed = boxed(renew(request, rules, visit)).await;
    renewed.map_err(|error| request.host().failed(error)).is_ok()
}

/// Follows the options at the beginning of a request, or of a session: creates, touches or refreshes the session.
/// `is_fresh` if its record was written just now.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub(super) async fn follow_options<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    is_fresh: bool,
) {
    // A session that cannot be read, or is out of use, is not replaced by a new one, and its cookie is not removed.
    if !matches!(visit.state, State::Anonymous | State::Reserved(_) | State::Stored { .. }) {
        return;
    }
    let plan = visit.plan(request, rules, Operation::Open, &Edit::None);
    match plan.store {
        StoreStep::Create => {
            let edit = Edit::Merge(Changes::none());
            let creating = boxed(execute(request, rules, visit, Operation::Open, edit));
            if let Err(error) = creating.await {
                // A full store does not fail the request of a visitor who only reads. There is no session then.
                let host = request.host();
                if let Err(error) = host.survives(error) {
                    visit.fails(host, error);
                }
            }
        }
        StoreStep::Touch => {
            if let State::Stored { due, .. } = &mut visit.state {
                *due |= !is_fresh && !seeded(protocol::Fault::RollsAlone);
            }
            visit.cookie_step(request, plan.cookie);
        }
        StoreStep::Keep | StoreStep::Replace | StoreStep::Take => {
            visit.cookie_step(request, plan.cookie);
        }
    }
}
