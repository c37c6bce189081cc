use super::{
    Fault, Purpose, Request, Visit, VisitText, host_for,
    write::{Edit, execute},
};
use crate::{
    BoundReason, Error, Event, Meta,
    binding::{Answer, Binding, Challenge, Exchange, FOREVER, SLOT, Step},
    decide::Operation,
    protocol::{self, Change, Host as _, Rules, UserChange, boxed, change_list, seeded},
};

/// Answers a browser that registers its key, or refreshes its bound cookie ([`binding`](crate::binding)), for a visit that
/// was opened with [`Shown::Proves`](crate::binding::Shown::Proves). `is_signed` is whether the driver has found the
/// signature of [`Exchange::read`] valid.
///
/// A challenge counts once: of several requests with one proof, one gets the cookie. Only a registration whose reply was
/// lost may be sent again, during the grace period, and gets the same cookie.
///
/// # Errors
/// As [`save`](super::save), and it is an event. Answer 503 then: the browser keeps its binding, and tries again.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn bind<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    exchange: &Exchange<'_>,
    is_signed: bool,
) -> Result<Answer, Fault<R>> {
    visit.writable()?;
    let device = rules.options.device_bound();
    let Some((device, meta)) = device.zip(visit.meta()) else { return Ok(Answer::refused()) };
    let (now, binding) = (request.host().now(), Binding::of(meta));
    let proof = exchange.read(meta).filter(|_| is_signed);
    let (with, is_proven) = match Step::of(exchange, proof, binding, rules, now) {
        Step::Replaced { with, is_proven } => (with, is_proven),
        Step::Asked { key, next } => return Ok(Answer::asked(&key, &next)),
        Step::Repeated(since) => return Ok(Answer::bound(rules, device, meta, since)),
        Step::Refused => {
            request.host().emit(Event::Bound { reason: BoundReason::Refused });
            return Ok(Answer::refused());
        }
        Step::Ended => return Ok(Answer::refused()),
    };
    let next = Challenge::new(request.host())?;
    let with = if seeded(protocol::Fault::ChallengeStays) { with } else { with.with(next) };
    let (key, value, until) = (SLOT.into(), with.text(), FOREVER);
    let expected = visit.meta().and_then(Binding::source).map(Into::into);
    let change = match expected {
        _ if seeded(protocol::Fault::BindingOverwrites) => Change::Put { key, value, until },
        expected => Change::Swap { key, expected, value, until },
    };
    visit.taken = None;
    let swapped = execute(request, rules, visit, Operation::Flush, Edit::Slot(change)).await;
    if let Err(error) = swapped {
        // No application sees the error.
        request.host().failed(error.clone());
        return Err(error);
    }
    let is_written = visit.taken.take().is_some()
        || seeded(protocol::Fault::BindingOverwrites)
        || seeded(protocol::Fault::ConflictBinds);
    // Without a session: another request has ended it.
    let Some(meta) = visit.meta() else { return Ok(Answer::refused()) };
    if is_written && is_proven {
        let answer = Answer::bound(rules, device, meta, now);
        if exchange.registers {
            boxed(registered(request, rules, visit)).await;
        }
        return Ok(answer);
    }
    // The browser answers the challenge of this write, or of the request that was faster.
    Ok(match Binding::of(meta) {
        Some(Binding::Bound { key, next, .. }) if !exchange.registers => Answer::asked(&key, &next),
        _ => Answer::refused(),
    })
}

/// Records in the user's session list that the session is bound. Nothing depends on it, so a failure is only an event.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn registered<R: Request>(request: &mut R, rules: &Rules, visit: &Visit<Fault<R>>) {
    let host = host_for(request, Purpose::Write);
    host.emit(Event::Bound { reason: BoundReason::Registered });
    let Some(meta) = visit.meta() else { return };
    let Some(user) = &meta.user else { return };
    let change = UserChange::Bound(user.handle.clone());
    let listed = change_list(host, rules, &rules.list_key(user), &change, Some(meta)).await;
    if let Err(error) = listed {
        host.failed(error);
    }
}

impl<E> Visit<E> {
    /// Whether the session is bound to a device, and these rules ask for it ([`Options::is_bound`](crate::Options::is_bound)).
    #[must_use]
    pub fn is_bound(&self, rules: &Rules) -> bool {
        self.meta().is_some_and(|meta| rules.options.is_bound(meta))
    }

    fn meta(&self) -> Option<&Meta> {
        self.session().map(|session| session.record.meta())
    }
}

impl VisitText<'_> {
    /// [`Visit::is_bound`].
    ///
    /// # Errors
    /// [`Error`] if [`Visit::text`] has not made the text.
    pub fn is_bound(self, rules: &Rules) -> Result<bool, Error> {
        let is_bound = |text| Ok(rules.options.is_bound(rules.record(text)?.meta()));
        if self.is_stored() { is_bound(self.record.into_owned()) } else { Ok(false) }
    }
}
