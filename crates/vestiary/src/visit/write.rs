use alloc::borrow::Cow;

use super::{Changes, Fault, Outgoing, Purpose, Request, State, View, Visit, host_for};
use crate::{
    Event, Meta, Options, Slots,
    decide::{CookieStep, Known, Operation, Plan, Stage, StoreStep, decide},
    protocol::{self, Change, CookieEdit, Host, Rules, Seen, Written, boxed, seeded},
    session,
};

/// The data that an operation writes.
pub(super) enum Edit {
    /// No data.
    None,
    /// The data with these changes.
    Merge(Changes),
    /// The result of the application's function ([`Host::compute`]).
    Rerun,
    /// A slot or a confirmation, and not the data.
    Slot(Change),
}

/// Stores the session, and sets its cookie. Returns `false` if another request has ended the session, or if its cookie
/// attributes let it expire at once.
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

/// Stores data that the application has replaced as a whole, if the options store changes without a `save()`. It is for a
/// request that no [`finish`](super::finish) follows.
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

/// Restarts the lifetime of the session in store and cookie, without writing its data.
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
/// confirm removes the cookie nevertheless.
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

/// Changes the stored data by the application's function ([`Host::compute`]), and sets the cookie. Stores earlier `changes`
/// first, if there are any.
///
/// Returns `false`, and writes nothing, if another request has ended the session, or if its cookie attributes let it expire
/// at once. A new session gets the changes only if it could be stored.
///
/// # Errors
/// The error of the function; as [`save`], except that a session counts as ended if the store does not show whether it has.
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
            // Such a store does not report the write of another request.
            let (host, id) = (host_for(request, Purpose::Read), session.id.clone());
            let Some(session) = boxed(session::load(host, rules, &id)).await? else {
                visit.gone(request.host());
                return Ok(false);
            };
            visit.holds(session, View::Read);
        }
    } else if !visit.is_barred() {
        // The function does not run if its result could not be stored.
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

/// Carries out the plan of [`decide`]. The store comes first, so that a cookie never leads to a session that was not stored.
/// Returns `false` if another request has ended the session, before or during this operation.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub(super) async fn execute<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    operation: Operation,
    edit: Edit,
) -> Result<bool, Fault<R>> {
    if let Err(error) = visit.writable() {
        // Only a logout may overwrite the record or the cookie.
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
    let is_set = plan.cookie == CookieStep::Set;
    match store_step(request, rules, visit, plan.store, edit, is_set, &mut confirmed).await {
        Ok(true) => {}
        Ok(false) => return Ok(false),
        Err(error) => {
            if plan.cookie == CookieStep::Clear && !seeded(protocol::Fault::FailedLogoutKeepsCookie)
            {
                // A logout that the store did not confirm removes the cookie nevertheless.
                visit.cookie_step(request, CookieStep::Clear);
                // A refresh would revert the removal, or even set the cookie again.
                if let State::Stored { due, unseen, .. } = &mut visit.state {
                    (*due, *unseen) = (false, false);
                }
            } else if R::is_untraced(&error) {
                visit.gone(request.host());
            }
            return Err(error);
        }
    }
    // Another request has renewed the session, and this browser may have only the old ID.
    let moved = before.is_some() && visit.id().is_some() && before.as_ref() != visit.id();
    // A logout that the store did not confirm removes the cookie nevertheless.
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

/// Drops an operation of a visitor whose session has ended. Returns whether it was dropped. A logout is not dropped, because
/// the tombstone may lead it to the session.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn drop_barred<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    operation: Operation,
    edit: &Edit,
) -> Result<bool, Fault<R>> {
    if operation == Operation::Destroy {
        if let State::Tombstone(tombstone) | State::Unbound(tombstone) = &visit.state {
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
    // Two more cases are dropped. After the response has left, no other session can begin, so this save is not too late but
    // for an ended session. And where the session would expire at once, the removal could hit a newer cookie.
    let acts = store != StoreStep::Keep || cookie != CookieStep::Keep;
    let is_dropped = acts || matches!(operation, Operation::Save | Operation::Touch);
    if is_dropped && operation != Operation::Open {
        request.host().emit(Event::Gone);
    }
    Ok(is_dropped)
}

/// Performs the step in the store; `is_set` if the response sets the cookie. Returns `false` if another request has ended
/// the session. Sets `confirmed` to whether the replicas have confirmed a removal.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn store_step<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    step: StoreStep,
    edit: Edit,
    is_set: bool,
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
                return boxed(write(request, rules, visit, session, edit, is_set)).await;
            }
        }
        StoreStep::Touch => {
            if let Some(session) = visit.session().cloned() {
                let host = host_for(request, Purpose::Touch);
                let Some(touched) =
                    boxed(session::touch(host, rules, session, false, is_set)).await?
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

/// Stores a new session, or one that [`regenerate`](super::regenerate) has begun.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn begin<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    edit: Edit,
) -> Result<bool, Fault<R>> {
    if let State::Reserved(session) = &visit.state {
        let session = session.clone();
        if !write(request, rules, visit, session, edit, true).await? {
            return Ok(false);
        }
    } else {
        let host = host_for(request, Purpose::Write);
        let (slots, view) = match &edit {
            // The application's changes are stored by its next save.
            Edit::Slot(change) => (change.slots(&Slots::default(), host.now())?, View::Kept),
            _ => (None, View::Written),
        };
        let changes = edit.into_changes();
        let (cookie, (slots, taken)) = (changes.cookie.flatten(), slots.unwrap_or_default());
        let meta = Meta { cookie, slots, ..Meta::default() };
        let record = session::new_record(host, rules, &changes.mine, meta)?;
        let created = session::create(host, rules, record).await?;
        visit.certain = Some(created.id.clone());
        visit.taken = taken;
        visit.holds(*created, view);
    }
    let Some(session) = visit.session().cloned() else { return Ok(false) };
    if request.has_left() {
        // The response has left while the store worked, so no browser learns the ID.
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
    is_set: bool,
) -> Result<bool, Fault<R>> {
    let is_slot = matches!(edit, Edit::Slot(_));
    let (change, own) = match edit {
        Edit::Slot(change) => (change, None),
        Edit::None | Edit::Rerun => (Change::Rerun, None),
        Edit::Merge(Changes { base, mine, cookie, .. }) => (Change::Merge { base, mine }, cookie),
    };
    let host = host_for(request, Purpose::Write);
    match session::save(host, rules, session, &change, CookieEdit { own, is_set }).await? {
        Written::Saved { session, merged, reread, taken } => {
            if merged {
                request.host().emit(Event::Conflict);
            }
            visit.taken = taken;
            visit.holds(
                *session,
                match (is_slot, reread) {
                    // The record may have more than the application has read.
                    (true, _) => View::Kept,
                    (false, true) => View::Read,
                    (false, false) => View::Written,
                },
            );
            Ok(true)
        }
        Written::Gone => {
            visit.gone(request.host());
            Ok(false)
        }
    }
}

impl<E> Visit<E> {
    /// Takes over the session under the ID by which a refresh has found it. If that is another ID, the browser gets it.
    pub(super) fn moved<R: Request>(&mut self, request: &mut R, session: Seen) {
        let moved = self.id() != Some(&session.id);
        self.holds(session, View::Kept);
        if moved {
            self.cookie_step(request, CookieStep::Set);
        }
    }

    /// Whether the session has ended, so that nothing may be written. A cookie could overwrite a newer one, so none is set.
    pub(super) fn is_barred(&self) -> bool {
        matches!(self.state, State::Ended | State::Tombstone(_) | State::Unbound(_))
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
            Edit::None | Edit::Rerun | Edit::Slot(_) => None,
        };
        let options = self.options(rules, changes);
        let unsaved = match (edit, operation) {
            (Edit::Slot(_), _) => true,
            (Edit::Merge(changes), Operation::Finish) => {
                changes.is_saved_by_itself(options.policy())
            }
            (Edit::Merge(changes), _) => changes.is_any(),
            (Edit::None | Edit::Rerun, _) => false,
        };
        let known = Known {
            cookie_out: self.cookie_out,
            unsaved,
            expired: options.is_expired(|| request.host().now()),
            // The driver does not call `assigned` if a `finish` follows.
            finishes: false,
            left: request.has_left(),
            touched: operation == Operation::Open
                && self.id().is_some_and(|id| request.is_touched(id)),
        };
        decide(options.policy(), self.stage(), operation, known)
    }

    /// The options of the session, with its own cookie attributes, including those that are about to be stored.
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

    /// The changes; without any, a change from no data to no data.
    fn into_changes(self) -> Changes {
        match self {
            Self::Merge(changes) => changes,
            Self::None | Self::Rerun | Self::Slot(_) => Changes::none(),
        }
    }
}
