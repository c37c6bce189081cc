use super::{
    Fault, Host, Rules, Seen, TRIES, UserChange,
    calls::{Again, Answer, Calls, Place, Query, Wrote},
    change_list,
    fault::{self, seeded},
    host::Doubt,
    is_proof,
};
use crate::{Handle, SessionId, UserRef};

/// Ends a session, also if its ID changes meanwhile: the ID under which it was last.
///
/// The tombstone of a renewal is followed, since the session is the same one. That of a login is not: the session
/// that the login began is another one, and an attacker may have planted the old ID.
///
/// Only the record of the session itself is removed. The tombstones of its renewals stay until they expire: of two
/// logouts at once, one would else remove the only way to the new ID, lose the reply, and the other one find nothing and
/// call it done.
///
/// # Errors
/// The host's error if the store did not confirm it, and if a [`Doubt`] remains: tell the application; the cookie is
/// removed all the same.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn destroy<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: Seen,
) -> Result<SessionId, H::Error> {
    let mut calls = Calls::new(host, rules);
    let Seen { mut id, record, at: mut read_at } = session;
    let mut expected = record.write_id().cloned();
    let mut owner = record.meta().user.clone();
    let mut leaving = Leaving::default();
    // The ID whose pointer led here.
    let mut pointer = None;
    let mut looks = match fault::pointer(&record, &id) {
        Ok(Some((next, Some(_)))) => {
            #[cfg(feature = "seeded-faults")]
            if seeded(Fault::LogoutRemovesTombstone) {
                calls.write(&id, Query::Remove(expected.as_ref())).await?;
            }
            pointer = Some(core::mem::replace(&mut id, next));
            true
        }
        // A login has ended the session already.
        Ok(Some((_, None))) => return Ok(id),
        _ => false,
    };
    // Where the session is read first, that is no attempt.
    let mut tries = u8::from(!looks);
    loop {
        if looks {
            match calls.read_again(&id, &mut tries, MOST).await? {
                Again::Found(record) => {
                    match fault::pointer(&record, &id) {
                        Ok(None) => {}
                        Ok(Some((next, Some(_)))) => {
                            #[cfg(feature = "seeded-faults")]
                            if seeded(Fault::LogoutRemovesTombstone) {
                                let query = Query::Remove(record.write_id());
                                calls.write(&id, query).await?;
                            }
                            pointer = Some(core::mem::replace(&mut id, next));
                            expected = None;
                            continue;
                        }
                        // A login has ended the session, or the record leads nowhere.
                        Ok(Some((_, None))) | Err(_) => return Ok(id),
                    }
                    owner.clone_from(&record.meta().user);
                    expected = record.write_id().cloned();
                    (read_at, pointer) = (calls.at, None);
                }
                Again::Nothing if seeded(Fault::LogoutTrustsReplica) => return Ok(id),
                Again::Nothing => {}
                Again::Enough => return Err(calls.gave_up()),
            }
        }
        if !seeded(Fault::RemovesBeforeLeaving) {
            leaving.leave(calls.host, rules, owner.as_ref()).await?;
        }
        match calls.write(&id, Query::Remove(expected.as_ref())).await? {
            #[cfg(feature = "seeded-faults")]
            Wrote::Done if seeded(Fault::RemovesBeforeLeaving) => {
                leaving.leave(calls.host, rules, owner.as_ref()).await?;
                return Ok(id);
            }
            Wrote::Done => return Ok(id),
            Wrote::InDoubt if seeded(Fault::LogoutTrustsLostReply) => return Ok(id),
            Wrote::Gone => break,
            Wrote::Conflict | Wrote::InDoubt => {}
        }
        looks = true;
    }
    let Some(pointer) = pointer else {
        let is_proof = is_proof(read_at, calls.host.now());
        return ended(calls.host, id, is_proof || leaving.is_out);
    };
    while tries < MOST {
        tries += 1;
        match calls.ask(Place::Session(&pointer), Query::Read).await? {
            // As long as the pointer is there, so would be a tombstone that was written after it.
            Answer::Text(_) => return Ok(id),
            Answer::Gone => return ended(calls.host, id, leaving.is_out),
            _ => {}
        }
    }
    Err(calls.gave_up())
}

/// The ID of a session without a record, if that proves that it has ended. A session that has left its user's list is
/// ended under whatever ID it is.
fn ended<H: Host>(host: &mut H, id: SessionId, is_proven: bool) -> Result<SessionId, H::Error> {
    if is_proven { Ok(id) } else { Err(host.doubt(Doubt::Untraced)) }
}

/// How often a session is read, before the first removal and after those that were not done.
const MOST: u8 = 2 * TRIES + 1;

/// How a session that is being ended leaves its user's list.
#[derive(Default)]
struct Leaving {
    /// The entry that was dealt with.
    left: Option<Handle>,
    /// The entry is gone.
    is_out: bool,
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
impl Leaving {
    /// Takes the session out of its user's list before its record is removed, unless that was done already: if this
    /// fails, the record still says whose session it is when the removal is repeated. A list that is not written at all,
    /// for it cannot be read or the store refuses to, does not keep the session from being ended.
    async fn leave<H: Host>(
        &mut self,
        host: &mut H,
        rules: &Rules,
        owner: Option<&UserRef>,
    ) -> Result<(), H::Error> {
        let Some(user) = owner.filter(|user| self.left.as_ref() != Some(&user.handle)) else {
            return Ok(());
        };
        let key = rules.list_key(user);
        let change = UserChange::Remove(user.handle.clone());
        match change_list(host, rules, &key, &change, None).await {
            Ok(_) => self.is_out = true,
            Err(error) => host.survives(error)?,
        }
        self.left = Some(user.handle.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
