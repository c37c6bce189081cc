use alloc::boxed::Box;

use super::{admission::admit_write, open::current};
use crate::{
    Event, Reason as Rotation, Record, Ttl,
    constants::RENEWALS,
    protocol::{self, Doubt, Host, Moved, Reason, Rules, Seen},
};

/// Gives a session another ID and keeps its data. During the grace period, the old ID leads to the new one. Returns the
/// session under its current ID, even if another request renewed it first; `None` if it was ended meanwhile.
///
/// # Errors
/// As [`protocol::rotate`].
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn renew<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: Seen,
) -> Result<Option<Box<Seen>>, H::Error> {
    if !admit_write(host, rules, &session).await? {
        host.take_out_of_use(&session.id);
        return Ok(None);
    }
    let owned = session.record.meta().user.is_some();
    let reason = Reason::Renewal(rules.options.timeouts().grace(host.now()));
    Ok(match try_rotate(host, rules, session, reason, owned, Rotation::Renewal).await? {
        Rotated::Here(session) => Some(session),
        Rotated::Elsewhere(session) => session.map(Box::new),
    })
}

/// Replaces a session with another one, whose record lasts at most `longest`. The old ID dies at once. `None` if the
/// session was ended meanwhile: nothing was stored.
///
/// # Errors
/// As [`protocol::rotate`].
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn rotate<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: Seen,
    record: &Record,
    longest: Ttl,
) -> Result<Option<Box<Seen>>, H::Error> {
    let owned = record.meta().user.is_some();
    let mut session = session;
    for _ in 0..=RENEWALS {
        let reason = Reason::Login(Box::new(record.clone()), longest);
        match try_rotate(host, rules, session, reason, owned, Rotation::Login).await? {
            Rotated::Here(next) => return Ok(Some(next)),
            // Renewed meanwhile, the session continues under another ID, where it must end.
            Rotated::Elsewhere(Some(next)) => session = next,
            Rotated::Elsewhere(None) => return Ok(None),
        }
    }
    // Giving up silently would leave the old ID valid beside the new one.
    Err(host.doubt(Doubt::Busy))
}

/// The outcome of one attempt to rotate.
enum Rotated {
    /// The session has its new ID.
    Here(Box<Seen>),
    /// Another request rotated first: the current session, if it has not ended.
    Elsewhere(Option<Seen>),
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn try_rotate<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: Seen,
    reason: Reason,
    owned: bool,
    rotation: Rotation,
) -> Result<Rotated, H::Error> {
    let mut session = session;
    // Another request may have moved the deadline of an expired session since.
    if rules.options.timeouts().is_expired(session.record.meta(), host.now()) {
        let found = current(host, rules, session.id.clone()).await?;
        let Some(found) = found else {
            host.take_out_of_use(&session.id);
            return Ok(Rotated::Elsewhere(None));
        };
        session = found;
    }
    let old = session.id.clone();
    let moved = protocol::rotate(host, rules, session, reason, owned).await?;
    host.take_out_of_use(&old);
    Ok(match moved {
        Moved::To(session) => {
            host.touched(&session);
            host.emit(Event::Rotated { reason: rotation });
            Rotated::Here(session)
        }
        Moved::Elsewhere(Some(id)) => Rotated::Elsewhere(current(host, rules, id).await?),
        Moved::Elsewhere(None) | Moved::Gone => Rotated::Elsewhere(None),
    })
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::{
        SessionId, UnixMillis,
        protocol::{Answered, Asked, Effect, Pending, Question, Reply, testing::rules},
    };

    #[test]
    fn an_expired_session_is_read_again_because_its_deadline_may_have_moved() {
        let text = |deadline| {
            let meta = format!(r#""meta":{{"absolute":{deadline}}}"#);
            [r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{},"#, &meta, "}"].concat()
        };
        let over = || Answered::Reply(Reply::Text(text(5)));
        let moved = || Answered::Reply(Reply::Text(text(9_000)));
        for (found, is_renewed) in [(over(), false), (moved(), true)] {
            let rules = rules();
            let (id, at) = (SessionId::from_entropy(&[3; 24]), UnixMillis(1));
            let session = Seen { id, record: rules.record(text(5)).unwrap(), at };
            let mut renewing =
                Pending::new(async move |mut host| renew(&mut host, &rules, session).await);
            let mut poll =
                |answer| renewing.poll(answer, UnixMillis(7), 0, &[7; Pending::<()>::ENTROPY]);
            let asked = poll(Answered::Begin);
            assert!(matches!(asked, Effect::Call(Asked { kind: Question::Read, .. })), "{asked:?}");
            let effect = poll(found);
            let ends = matches!(effect, Effect::Finished(Ok(None)));
            let renews = matches!(effect, Effect::NewId);
            assert_eq!((ends, renews), (!is_renewed, is_renewed), "{effect:?}");
        }
    }
}
