use super::{
    Changes, Fault, Purpose, Request, State, Visit, host_for,
    write::{Edit, execute},
};
use crate::{
    decide::{Operation, StoreStep},
    protocol::{self, Host, Rules, boxed, seeded},
    session,
};

impl<E> Visit<E> {
    /// Whether [`finish`] and [`confirm`](super::confirm) need no store call, if the application has changed nothing.
    #[must_use]
    pub fn is_finished<R: Request>(&self, request: &R) -> bool {
        match &self.state {
            State::Unreadable(_) | State::Unavailable(_) => true,
            State::Stored { due, unseen, .. } if *due || *unseen => false,
            _ => self.unconfirmed(request).is_none(),
        }
    }

    /// Records that the store has failed, so the session is unknown.
    pub(super) fn fails<H: Host<Error = E>>(&mut self, host: &mut H, error: E)
    where
        E: Clone,
    {
        host.failed(error.clone());
        self.state = State::Unavailable(error);
    }
}

/// Ends a request whose response is ready: writes the changes if the options say so, and [`refresh`]es the session.
///
/// # Errors
/// As [`save`](super::save). A refresh that fails is only an event, because the session could be read, and the next request
/// tries again.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn finish<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    changes: Option<Changes>,
) -> Result<(), Fault<R>> {
    if visit.writable().is_err() {
        return Ok(());
    }
    if matches!(visit.state, State::Stored { unseen: true, .. }) {
        boxed(note_use(request, rules, visit)).await;
    }
    let edit = Edit::of(changes.filter(|_| !seeded(protocol::Fault::FinishForgets)));
    let plan = visit.plan(request, rules, Operation::Finish, &edit);
    let finished = execute(request, rules, visit, Operation::Finish, edit).await.map(drop);
    let is_written = plan.store != StoreStep::Keep && finished.is_ok();
    // The store has compared the record, and the user's list was read, so the cookie needs no confirmation.
    let is_due = matches!(visit.state, State::Stored { due: true, .. });
    if is_written || is_due && boxed(prolong(request, rules, visit, false)).await {
        visit.certain = visit.id().cloned();
    }
    finished
}

/// Records the use of the session in its user's session list, and restarts its lifetime, if that is due. It may run right
/// after [`open`](super::open), while the application works, so it does not read the user's list again. [`finish`] does the
/// rest.
///
/// A store failure is an event.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn refresh<R: Request>(request: &mut R, rules: &Rules, visit: &mut Visit<Fault<R>>) {
    note_use(request, rules, visit).await;
    prolong(request, rules, visit, true).await;
}

/// Records the use of the session in its user's session list. A session that is no longer in the list was revoked.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn note_use<R: Request>(request: &mut R, rules: &Rules, visit: &mut Visit<Fault<R>>) {
    let State::Stored { session, unseen, .. } = &mut visit.state else { return };
    if !core::mem::take(unseen) {
        return;
    }
    let host = host_for(request, Purpose::Write);
    match session::is_revoked(host, rules, session).await {
        Ok(false) => {}
        Ok(true) => visit.ended(),
        Err(error) => host.failed(error),
    }
}

/// Restarts the lifetime of the session, if that is due. Returns whether the store has done so.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn prolong<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    is_fresh: bool,
) -> bool {
    let State::Stored { session, due, .. } = &mut visit.state else { return false };
    if !core::mem::take(due) || seeded(protocol::Fault::RefreshForgets) {
        return false;
    }
    let session = session.clone();
    match session::touch(host_for(request, Purpose::Touch), rules, session, is_fresh, false).await {
        Ok(Some(session)) => {
            visit.moved(request, *session);
            return true;
        }
        Ok(None) => visit.gone(request.host()),
        Err(error) => {
            // The record under this ID is gone, whatever ID the session has now.
            if R::is_untraced(&error)
                && let Some(id) = visit.id()
            {
                request.host().take_out_of_use(id);
            }
            request.host().failed(error);
        }
    }
    false
}
