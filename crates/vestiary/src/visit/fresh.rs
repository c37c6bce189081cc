use super::{
    Fault, Request, Visit, VisitText,
    write::{Edit, execute},
};
use crate::{
    Error, UnixMillis,
    decide::Operation,
    protocol::{Change, Host as _, Rules},
};

/// Records that the user has just proven their identity again: [`Visit::is_fresh`]. The application's changes of the data
/// are not stored.
///
/// Returns `false`, and writes nothing, if no user is logged in, or another request has ended the session.
///
/// # Errors
/// As [`save`](super::save).
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn confirm_user<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
) -> Result<bool, Fault<R>> {
    visit.writable()?;
    let is_owned = visit.session().is_some_and(|session| session.record.meta().user.is_some());
    // The event says that the session has ended.
    if !is_owned && !visit.is_barred() {
        return Ok(false);
    }
    let edit = Edit::Slot(Change::Confirm(request.host().now()));
    execute(request, rules, visit, Operation::Flush, edit).await?;
    Ok(visit.session().is_some())
}

impl<E> Visit<E> {
    /// Whether the user has proven their identity within this time: at the login, or since ([`confirm_user`]). Never without
    /// a user.
    #[must_use]
    pub fn is_fresh(&self, millis: u64, now: UnixMillis) -> bool {
        self.session().is_some_and(|session| session.record.meta().is_fresh(millis, now))
    }
}

impl VisitText<'_> {
    /// [`Visit::is_fresh`].
    ///
    /// # Errors
    /// [`Error`] if [`Visit::text`] has not made the text.
    pub fn is_fresh(self, rules: &Rules, millis: u64, now: UnixMillis) -> Result<bool, Error> {
        Ok(self.is_stored() && rules.record(self.record.into_owned())?.meta().is_fresh(millis, now))
    }
}
