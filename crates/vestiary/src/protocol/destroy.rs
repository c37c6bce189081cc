use super::{
    Fault, Host, Rules, Seen, TRIES, UserChange,
    calls::{Again, Answer, Calls, Place, Query, Wrote},
    change_list,
    fault::{self, seeded},
    host::Doubt,
    is_proof,
};
use crate::{Handle, SessionId, UserRef};

/// Ends a session, even if its ID changes meanwhile. Returns its last ID.
///
/// It follows the tombstone of a renewal, because the session is the same one. It does not follow the tombstone of a login:
/// the login began another session, and an attacker may have planted the old ID.
///
/// It removes only the record of the session itself. The tombstones of its renewals stay until they expire. Otherwise one
/// of two simultaneous logouts could remove the only pointer to the new ID and lose the reply; the other one would find
/// nothing and report success.
///
/// # Errors
/// The host's error if the store did not confirm the removal, and if a [`Doubt`] remains. The driver reports it to the
/// application, and removes the cookie nevertheless.
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
    // The ID whose tombstone led here.
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
    // The first read of a session does not count as a retry.
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
            // This tombstone still exists, so a later one would exist, too.
            Answer::Text(_) => return Ok(id),
            Answer::Gone => return ended(calls.host, id, leaving.is_out),
            _ => {}
        }
    }
    Err(calls.gave_up())
}

/// Returns the ID of a session without a record, if that proves that the session has ended. A session that has left its
/// user's list has ended under each of its IDs.
fn ended<H: Host>(host: &mut H, id: SessionId, is_proven: bool) -> Result<SessionId, H::Error> {
    if is_proven { Ok(id) } else { Err(host.doubt(Doubt::Untraced)) }
}

/// The maximum number of reads, before the first removal and after those that failed.
const MOST: u8 = 2 * TRIES + 1;

/// The removal of the session from its user's list.
#[derive(Default)]
struct Leaving {
    /// The last entry that was to be removed.
    left: Option<Handle>,
    /// Whether an entry was removed.
    is_out: bool,
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
impl Leaving {
    /// Removes the session from its user's list, unless that was done already. This comes before the removal of the record:
    /// if it fails, the record still names the owner when the application retries. A list that cannot be read, or that the
    /// store refuses to write, does not keep the session alive.
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
