use alloc::boxed::Box;

use super::{admission::admit_write, open::current};
use crate::{
    Event, Reason as Rotation, Record, Ttl,
    constants::RENEWALS,
    protocol::{self, Doubt, Host, Moved, Reason, Rules, Seen},
};

/// The result of [`renew`].
#[derive(Debug)]
pub enum Renewed {
    /// The session as it is now, also if another request renewed it.
    To(Box<Seen>),
    /// It was ended meanwhile.
    Gone,
}

/// Gives a session another ID, and keeps its data. For a while, the old ID leads to the new one.
///
/// # Errors
/// As [`protocol::rotate`].
pub async fn renew<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: Seen,
) -> Result<Renewed, H::Error> {
    if !admit_write(host, rules, &session).await? {
        host.retire(&session.id);
        return Ok(Renewed::Gone);
    }
    let old = session.id.clone();
    let owned = session.record.meta().user.is_some();
    let reason = Reason::Renewal(rules.options.timeouts().grace(host.now()));
    let moved = protocol::rotate(host, rules, session, reason, owned).await?;
    host.retire(&old);
    let elsewhere = match moved {
        Moved::To(session) => {
            host.emit(Event::Rotated { reason: Rotation::Renewal });
            return Ok(Renewed::To(session));
        }
        Moved::Elsewhere(id) => id,
        Moved::Gone => None,
    };
    let Some(id) = elsewhere else { return Ok(Renewed::Gone) };
    Ok(current(host, rules, id).await?.map_or(Renewed::Gone, |session| Renewed::To(session.into())))
}

/// Replaces a session by another one, which lives for `longest` at most: the old ID leads nowhere. `None`, and nothing was
/// stored, if the session was ended meanwhile.
///
/// # Errors
/// As [`protocol::rotate`].
pub async fn supersede<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: Seen,
    record: &Record,
    longest: Ttl,
) -> Result<Option<Box<Seen>>, H::Error> {
    let owned = record.meta().user.is_some();
    let mut session = session;
    for _ in 0..=RENEWALS {
        let reason = Reason::Privilege(Box::new(record.clone()), longest);
        let old = session.id.clone();
        let moved = protocol::rotate(host, rules, session, reason, owned).await?;
        host.retire(&old);
        let elsewhere = match moved {
            Moved::To(next) => {
                host.emit(Event::Rotated { reason: Rotation::Login });
                return Ok(Some(next));
            }
            Moved::Elsewhere(id) => id,
            Moved::Gone => None,
        };
        // Renewed meanwhile, it goes on under another ID, and is to end there.
        let Some(id) = elsewhere else { return Ok(None) };
        let Some(next) = current(host, rules, id).await? else { return Ok(None) };
        session = next;
    }
    // Left alone, it would be another visitor's who knows its ID.
    Err(host.doubt(Doubt::Busy))
}
