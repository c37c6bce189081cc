use alloc::borrow::Cow;

use super::{Changes, Fault, Outgoing, Purpose, Request, State, View, Visit, host_for};
use crate::{
    Event, Options,
    decide::{CookieStep, Known, Operation, Plan, Stage, StoreStep, decide},
    protocol::{self, Change, Host, Rules, Seen, Written, boxed, seeded},
    session,
};

/// The data that an operation writes.
pub(super) enum Edit {
    /// None.
    None,
    /// The data with these changes.
    Merge(Changes),
    /// The result of the application's function ([`Host::compute`]).
    Rerun,
}

/// Stores the session, and sets its cookie. False if the session was ended meanwhile, or by its cookie is over at once.
///
/// # Errors
/// As [`session::save`] and [`session::create`]; and [`Request::response_sent`] for a new session whose cookie cannot be
/// set any more.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn save<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    changes: Changes,
) -> Result<bool, Fault<R>> {
    execute(request, rules, visit, Operation::Save, Edit::Merge(changes)).await?;
    Ok(visit.session().is_some())
}

/// Stores data that the application has replaced as a whole, in a request that no [`finish`](super::finish) will follow,
/// where the options say that changes are stored without a `save()`.
///
/// # Errors
/// As [`save`].
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn assigned<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    changes: Changes,
) -> Result<(), Fault<R>> {
    execute(request, rules, visit, Operation::Change, Edit::Merge(changes)).await.map(drop)
}

/// Gives the session its full lifetime again, in store and cookie, without writing its data.
///
/// # Errors
/// As [`session::touch`].
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn touch<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
) -> Result<(), Fault<R>> {
    execute(request, rules, visit, Operation::Touch, Edit::None).await.map(drop)
}

/// Ends the session: removes its record from the store, and the cookie from the browser. A logout that the store did not
/// confirm takes the cookie away all the same.
///
/// # Errors
/// As [`session::destroy`], and if the session could not be read.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn destroy<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
) -> Result<(), Fault<R>> {
    execute(request, rules, visit, Operation::Destroy, Edit::None).await.map(drop)
}

/// Changes what the store has now, by the application's function ([`Host::compute`]), and sets the cookie. `changes`, which
/// were made before, are stored first; without any there is nothing to store. False if the session was ended meanwhile,
/// or by its cookie is over at once: then nothing is written. A new session has the changes only if it could be stored.
///
/// # Errors
/// That of the function; as [`save`], but if it cannot be told whether the session was ended, it counts as ended.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn update<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    changes: Option<Changes>,
) -> Result<bool, Fault<R>> {
    visit.writable()?;
    let mut edit = Edit::of(changes);
    if visit.session().is_some() {
        if !execute(request, rules, visit, Operation::Flush, edit).await? {
            return Ok(false);
        }
        edit = Edit::None;
    }
    if let Some(session) = visit.session() {
        edit = Edit::Rerun;
        if !rules.atomic {
            // Such a store does not say that another request has written meanwhile.
            let (host, id) = (host_for(request, Purpose::Read), session.id.clone());
            let Some(session) = boxed(session::load(host, rules, &id)).await? else {
                visit.gone(request.host());
                return Ok(false);
            };
            visit.holds(session, View::Read);
        }
    } else if !visit.is_barred() {
        // Before anything is changed that could not be stored.
        if visit.plan(request, rules, Operation::Save, &edit).cookie == CookieStep::Late {
            return Err(request.response_sent());
        }
        let mut changes = edit.into_changes();
        changes.mine = request.host().compute(&changes.mine).await?;
        edit = Edit::Merge(changes);
    }
    match execute(request, rules, visit, Operation::Save, edit).await {
        Ok(_) => {
            let is_written = visit.session().is_some();
            if is_written {
                visit.view = View::Read;
            }
            Ok(is_written)
        }
        // Its result says that nothing was written.
        Err(error) if R::is_untraced(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Does what [`decide`] says. The store comes first, so that no cookie promises too much. False if the session was ended
/// meanwhile, or was no session of this visit any more.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub(super) async fn execute<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    operation: Operation,
    edit: Edit,
) -> Result<bool, Fault<R>> {
    if let Err(error) = visit.writable() {
        // Nothing is overwritten, neither record nor cookie, unless by a logout.
        match operation {
            Operation::Open | Operation::Change | Operation::Finish => return Ok(false),
            Operation::Destroy => visit.cookie = Outgoing::Removal { own: None },
            Operation::Save | Operation::Touch | Operation::Flush => {}
        }
        return Err(error);
    }
    if visit.is_barred() && drop_barred(request, rules, visit, operation, &edit).await? {
        return Ok(false);
    }
    let plan = visit.plan(request, rules, operation, &edit);
    if plan.cookie == CookieStep::Late {
        return if operation == Operation::Open { Ok(false) } else { Err(request.response_sent()) };
    }
    let before = visit.id().cloned();
    let mut confirmed = None;
    match store_step(request, rules, visit, plan.store, edit, &mut confirmed).await {
        Ok(true) => {}
        Ok(false) => return Ok(false),
        Err(error) => {
            if plan.cookie == CookieStep::Clear && !seeded(protocol::Fault::FailedLogoutKeepsCookie)
            {
                // A logout that the store did not confirm still takes the cookie away.
                visit.cookie_step(request, CookieStep::Clear);
                // A refresh would take the removal back, or even set the cookie again.
                if let State::Stored { due, unseen, .. } = &mut visit.state {
                    (*due, *unseen) = (false, false);
                }
            } else if R::is_untraced(&error) {
                visit.gone(request.host());
            }
            return Err(error);
        }
    }
    // It was renewed meanwhile, and may be known by its old ID to this browser.
    let moved = before.is_some() && visit.id().is_some() && before.as_ref() != visit.id();
    // A logout that the store did not confirm takes the cookie away all the same.
    let is_removed = matches!(visit.cookie, Outgoing::Removal { .. });
    let step = if moved && !is_removed { CookieStep::Set } else { plan.cookie };
    if step != CookieStep::Clear || !seeded(protocol::Fault::LogoutKeepsCookie) {
        visit.cookie_step(request, step);
    }
    if plan.stage == Stage::New && (before.is_some() || operation == Operation::Destroy) {
        visit.forget(State::Anonymous);
    }
    if plan.stage == Stage::New && before.is_some() && operation == Operation::Destroy {
        request.host().emit(Event::Destroyed { confirmed });
    }
    Ok(true)
}

/// Whether this operation is dropped, for the visitor's cookie is not that of a session any more. A logout is not: it may
/// lead to the session.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn drop_barred<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    operation: Operation,
    edit: &Edit,
) -> Result<bool, Fault<R>> {
    if operation == Operation::Destroy {
        if let State::Tombstone(tombstone) = &visit.state {
            let (host, tombstone) = (host_for(request, Purpose::Remove), tombstone.clone());
            if let Err(error) = boxed(session::destroy(host, rules, tombstone)).await {
                visit.cookie = Outgoing::Removal { own: None };
                return Err(error);
            }
        }
        visit.state = State::Anonymous;
        return Ok(false);
    }
    let Plan { store, cookie, .. } = visit.plan(request, rules, operation, edit);
    // Also where the response has left, for another session is none that could be saved too late, and where the session
    // would be over at once: the cookie that is removed could be a newer one.
    let acts = store != StoreStep::Keep || cookie != CookieStep::Keep;
    let is_dropped = acts || matches!(operation, Operation::Save | Operation::Touch);
    if is_dropped && operation != Operation::Open {
        request.host().emit(Event::Gone);
    }
    Ok(is_dropped)
}

/// Asks the store. False if it says that the session was ended meanwhile. `confirmed` gets whether replicas know that it was
/// ended here.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn store_step<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    step: StoreStep,
    edit: Edit,
    confirmed: &mut Option<bool>,
) -> Result<bool, Fault<R>> {
    match step {
        StoreStep::Keep => {}
        StoreStep::Create => {
            request.reserve(None).await?;
            let begun = boxed(begin(request, rules, visit, edit)).await;
            if !matches!(begun, Ok(true)) {
                request.release();
            }
            return begun;
        }
        StoreStep::Replace => {
            if let Some(session) = visit.session().cloned() {
                return boxed(write(request, rules, visit, session, edit)).await;
            }
        }
        StoreStep::Touch => {
            if let Some(session) = visit.session().cloned() {
                let host = host_for(request, Purpose::Touch);
                let Some(touched) = boxed(session::touch(host, rules, session, false)).await?
                else {
                    visit.gone(request.host());
                    return Ok(false);
                };
                visit.holds(*touched, View::Kept);
            }
        }
        StoreStep::Take => {
            if let Some(session) = visit.session().cloned() {
                let host = host_for(request, Purpose::Remove);
                *confirmed = boxed(session::destroy(host, rules, session)).await?;
            }
        }
    }
    Ok(true)
}

/// Stores a session that is new to the store, or that [`regenerate`](super::regenerate) has begun.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn begin<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    edit: Edit,
) -> Result<bool, Fault<R>> {
    if let State::Reserved(session) = &visit.state {
        let session = session.clone();
        if !write(request, rules, visit, session, edit).await? {
            return Ok(false);
        }
    } else {
        let changes = edit.into_changes();
        let host = host_for(request, Purpose::Write);
        let cookie = changes.cookie.flatten();
        let record = session::new_record(host, rules, &changes.mine, None, cookie)?;
        let created = session::create(host, rules, record).await?;
        visit.certain = Some(created.id.clone());
        visit.holds(*created, View::Written);
    }
    let Some(session) = visit.session().cloned() else { return Ok(false) };
    if request.has_left() {
        // Left while the store worked: no browser will learn of it.
        (visit.state, visit.view) = (State::Anonymous, View::Kept);
        session::destroy(host_for(request, Purpose::Remove), rules, session).await?;
        return Err(request.response_sent());
    }
    request.host().emit(Event::Created);
    Ok(true)
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn write<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    session: Seen,
    edit: Edit,
) -> Result<bool, Fault<R>> {
    let (change, cookie) = match edit {
        Edit::None | Edit::Rerun => (Change::Rerun, None),
        Edit::Merge(Changes { base, mine, cookie, .. }) => (Change::Merge { base, mine }, cookie),
    };
    let host = host_for(request, Purpose::Write);
    match session::save(host, rules, session, &change, cookie).await? {
        Written::Saved { session, merged, reread } => {
            if merged {
                request.host().emit(Event::Conflict);
            }
            visit.holds(*session, if reread { View::Read } else { View::Written });
            Ok(true)
        }
        Written::Gone => {
            visit.gone(request.host());
            Ok(false)
        }
    }
}

impl<E> Visit<E> {
    /// Has the session under the ID that a refresh found it by, which this browser may not know yet.
    pub(super) fn moved<R: Request>(&mut self, request: &mut R, session: Seen) {
        let moved = self.id() != Some(&session.id);
        self.holds(session, View::Kept);
        if moved {
            self.cookie_step(request, CookieStep::Set);
        }
    }

    /// Whether nothing may be written, nor a cookie set, which could overwrite a newer one.
    pub(super) fn is_barred(&self) -> bool {
        matches!(self.state, State::Ended | State::Tombstone(_))
            && !seeded(protocol::Fault::BarredBegins)
    }

    pub(super) fn plan<R: Request>(
        &self,
        request: &mut R,
        rules: &Rules,
        operation: Operation,
        edit: &Edit,
    ) -> Plan {
        let changes = match edit {
            Edit::Merge(changes) => Some(changes),
            Edit::None | Edit::Rerun => None,
        };
        let options = self.options(rules, changes);
        let unsaved = changes.is_some_and(|changes| match operation {
            Operation::Finish => changes.is_saved_by_itself(options.policy()),
            _ => changes.is_any(),
        });
        let known = Known {
            cookie_out: self.cookie_out,
            unsaved,
            expired: options.is_expired(|| request.host().now()),
            // Where one follows, nothing is to be done when data are assigned.
            finishes: false,
            left: request.has_left(),
            touched: operation == Operation::Open
                && self.id().is_some_and(|id| request.is_touched(id)),
        };
        decide(options.policy(), self.stage(), operation, known)
    }

    /// The options that apply to the session, with cookie attributes of its own, also those that are about to be stored.
    fn options<'r>(&self, rules: &'r Rules, changes: Option<&Changes>) -> Cow<'r, Options> {
        let wanted = changes.and_then(|changes| changes.cookie.as_ref());
        let own = wanted.map_or_else(|| self.own_cookie(), Option::as_ref);
        let own = own.and_then(|own| rules.options.overridden(own).ok());
        own.map_or(Cow::Borrowed(&*rules.options), Cow::Owned)
    }
}

impl Edit {
    pub(super) fn of(changes: Option<Changes>) -> Self {
        changes.map_or(Self::None, Self::Merge)
    }

    /// The changes, from nothing to nothing if there are none.
    fn into_changes(self) -> Changes {
        match self {
            Self::Merge(changes) => changes,
            Self::None | Self::Rerun => Changes::none(),
        }
    }
}
