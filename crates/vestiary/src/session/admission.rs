use crate::{
    Meta, UserRef, json,
    protocol::{
        Calls, Fault, Host, Place, Rules, Seen, UserChange, UserSessions, Verdict, change_list,
        seeded,
    },
};

/// Whether a session is in its user's session list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Admission {
    /// It is not, because it was revoked.
    Revoked,
    Listed,
    /// It is, and its use must be recorded there, or the list drops it.
    Unseen,
}

/// Whether a session with this metadata is in its user's session list. An anonymous session needs no list.
///
/// # Errors
/// The host's error if the list cannot be read, or the store failed.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub(super) async fn admit<H: Host>(
    calls: &mut Calls<'_, H>,
    meta: &Meta,
) -> Result<Admission, H::Error> {
    let admission = look(calls, meta).await?;
    // A replica may not have the login yet. The reply to a write is certain.
    if admission == Admission::Revoked
        && calls.rules.atomic
        && note_use(calls.host, calls.rules, meta).await?
    {
        return Ok(Admission::Listed);
    }
    Ok(admission)
}

/// As [`admit`], but only reads. A replica that does not have a login yet counts as having revoked it.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub(super) async fn look<H: Host>(
    calls: &mut Calls<'_, H>,
    meta: &Meta,
) -> Result<Admission, H::Error> {
    let Some(user) = &meta.user else { return Ok(Admission::Listed) };
    let key = calls.rules.list_key(user);
    calls.forget();
    let text = calls.look(Place::List(&key)).await?;
    let sessions = match &text {
        Some(text) => UserSessions::decode(text)?,
        None => UserSessions::default(),
    };
    if !sessions.knows(&user.handle) && !seeded(Fault::AdmitsRevoked) {
        return Ok(Admission::Revoked);
    }
    let now = calls.host.now();
    let ttl = calls.rules.lifetime(Some(meta), now).ttl;
    let is_unseen = sessions.is_stale(&user.handle, ttl, now) && !seeded(Fault::UseUnseen);
    Ok(if is_unseen { Admission::Unseen } else { Admission::Listed })
}

/// Whether a session with this metadata is in its user's session list. An anonymous session needs no list.
///
/// # Errors
/// The host's error if the list cannot be read, or the store failed.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn is_listed<H: Host>(
    host: &mut H,
    rules: &Rules,
    meta: &Meta,
) -> Result<bool, H::Error> {
    Ok(admit(&mut Calls::new(host, rules), meta).await? != Admission::Revoked)
}

/// Whether a session that is about to be written is in its user's session list. Also records its use there if that is
/// due.
///
/// # Errors
/// As [`admit`].
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub(super) async fn admit_write<H: Host>(
    host: &mut H,
    rules: &Rules,
    session: &Seen,
) -> Result<bool, H::Error> {
    let meta = session.record.meta();
    if meta.user.is_none() || seeded(Fault::WritesUnlisted) {
        return Ok(true);
    }
    match admit(&mut Calls::new(host, rules), meta).await? {
        Admission::Listed => Ok(true),
        Admission::Revoked => Ok(false),
        Admission::Unseen => match note_use(host, rules, meta).await {
            Ok(is_listed) => Ok(is_listed),
            // The session is listed. A failure to record its use is no reason to reject it.
            Err(error) => {
                host.failed(error);
                Ok(true)
            }
        },
    }
}

/// Records in the user's session list that a session with this metadata is in use. Returns `false` if the list does not
/// have it, because it was revoked.
///
/// # Errors
/// As [`admit`].
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub(super) async fn note_use<H: Host>(
    host: &mut H,
    rules: &Rules,
    meta: &Meta,
) -> Result<bool, H::Error> {
    let Some(user) = &meta.user else { return Ok(true) };
    let change = UserChange::Seen(user.handle.clone());
    let changed = change_list(host, rules, &rules.list_key(user), &change, Some(meta)).await?;
    if changed.verdict != Verdict::Made {
        return Ok(false);
    }
    // The provider's lists must not drop the session either. They are asked only when the provider ends a session.
    for hash in changed.list.latest_provider().and_then(json::strings).unwrap_or_default() {
        let key = rules.options.list_key(&hash);
        if let Err(error) = change_list(host, rules, &key, &change, Some(meta)).await {
            host.failed(error);
        }
    }
    Ok(true)
}

/// Removes a session from its user's session list.
///
/// # Errors
/// As [`admit`].
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub(crate) async fn leave<H: Host>(
    host: &mut H,
    rules: &Rules,
    user: &UserRef,
) -> Result<(), H::Error> {
    if seeded(Fault::StaysListed) {
        return Ok(());
    }
    let change = UserChange::Remove(user.handle.clone());
    change_list(host, rules, &rules.list_key(user), &change, None).await.map(drop)
}
