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
    /// Whether [`finish`] and [`confirm`](super::confirm) have nothing to ask the store, if the application has changed
    /// nothing.
    #[must_use]
    pub fn is_finished<R: Request>(&self, request: &R) -> bool {
        match &self.state {
            State::Unreadable(_) | State::Unavailable(_) => true,
            State::Stored { due, unseen, .. } if *due || *unseen => false,
            _ => self.unconfirmed(request).is_none(),
        }
    }

    /// The store has failed, and the session is unknown.
    pub(super) fn fails<H: Host<Error = E>>(&mut self, host: &mut H, error: E)
    where
        E: Clone,
    {
        host.failed(error.clone());
        self.state = State::Unavailable(error);
    }
}

/// Does what a request leaves behind when its response is ready: writes the changes where the options say so, and
/// [`refresh`]es the session.
///
/// # Errors
/// As [`save`](super::save). A refresh that fails is an event: the session could be read, after all, and the next request
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
    // The store has compared the record, and its user's list was read: no more need be asked.
    let is_due = matches!(visit.state, State::Stored { due: true, .. });
    if is_written || is_due && boxed(prolong(request, rules, visit, false)).await {
        visit.certain = visit.id().cloned();
    }
    finished
}

/// Writes in its user's session list that the session is used, and gives it another TTL or other deadlines, as far as that
/// is due. It may run while the application works, right after [`open`](super::open), so the user's list is not asked once
/// more whether the session is still in it; [`finish`] does what is left.
///
/// A store that fails is an event.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn refresh<R: Request>(request: &mut R, rules: &Rules, visit: &mut Visit<Fault<R>>) {
    note_use(request, rules, visit).await;
    prolong(request, rules, visit, true).await;
}

/// Writes in the user's session list that the session is used. If it is not in the list any more, it was revoked.
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

/// Gives the session another TTL or other deadlines, if that is due. True if the store has done so.
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
    match session::touch(host_for(request, Purpose::Touch), rules, session, is_fresh).await {
        Ok(Some(session)) => {
            visit.moved(request, *session);
            return true;
        }
        Ok(None) => visit.gone(request.host()),
        Err(error) => {
            // An ID whose record is gone, wherever its session is.
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
