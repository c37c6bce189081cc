use alloc::{string::String, vec::Vec};

use super::Join;
use crate::{
    Handle, Meta, UserRef, WriteId,
    id::{hash_for, hashed},
    json,
    protocol::{
        Calls, Fault, Host, Proof, Rules, UserChange, UserSession, Verdict, change_list_by, seeded,
    },
};

/// The login of a user at a provider of OpenID Connect, as its ID token names it.
///
/// The store has a list of the sessions of each `sid` and of each `sub`, in the form of a user's session list. The label of
/// an entry is the name of its user. A provider that ends its session finds by it what to end here. No session's validity
/// depends on it, and no request reads it.
#[derive(Clone, Eq, PartialEq)]
pub struct Provider {
    /// The hashes in the keys of its lists, as JSON text.
    pub(super) lists: String,
}

impl Provider {
    /// The login of the user `sub` at the provider `issuer`, in the session `sid` if it has a name there.
    #[must_use]
    pub fn new(issuer: &str, sub: &str, sid: Option<&str>) -> Self {
        let mut lists = ["[\"", &provider_list("sub", issuer, sub)].concat();
        if let Some(sid) = sid {
            lists.extend(["\",\"", &provider_list("sid", issuer, sid)]);
        }
        lists.push_str("\"]");
        Self { lists }
    }
}

/// Hides the user.
impl core::fmt::Debug for Provider {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Provider").finish_non_exhaustive()
    }
}

/// The hash in the key of a provider's list: that of a session (`sid`) or of a user (`sub`).
#[must_use]
pub fn provider_list(kind: &str, issuer: &str, name: &str) -> String {
    hashed(PURPOSE, &named(kind, issuer, name))
}

/// The entry by which a list knows that a token with this ID (`jti`) was used.
#[must_use]
pub fn provider_receipt(issuer: &str, jti: &str) -> Handle {
    let hash = hash_for(PURPOSE, &named("jti", issuer, jti));
    Handle::from_entropy(
        hash.first_chunk::<{ WriteId::ENTROPY }>().unwrap_or(&[0; WriteId::ENTROPY]),
    )
}

const PURPOSE: &str = "vestiary.provider.v1";

/// A text from which all three can be read again, so that no two of them have one hash.
fn named(kind: &str, issuer: &str, name: &str) -> String {
    [kind, &json::quoted(issuer), name].concat()
}

/// Adds a session to the lists of its provider. `false` if the provider has ended it since the visitor proved their
/// identity: the login is then refused.
///
/// The user's list must have the session already. So a logout either finds the session here, and can end it there, or comes
/// first, and refuses it.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub(super) async fn index<H: Host>(
    host: &mut H,
    rules: &Rules,
    join: &Join<'_>,
    user: &UserRef,
    meta: &Meta,
) -> Result<bool, H::Error> {
    let Some(provider) = join.provider.as_ref().filter(|_| !seeded(Fault::ProviderUnlisted)) else {
        return Ok(true);
    };
    let mut lists = json::strings(&provider.lists).unwrap_or_default();
    if seeded(Fault::ProviderListsUser) {
        lists.truncate(1);
    }
    for hash in lists {
        let key = rules.options.list_key(&hash);
        let mut calls = Calls::new(host, rules);
        let read = calls.read_timed(&key).await?;
        let (here, store) = (calls.host.now(), calls.time);
        let proof = Proof { at: join.proven, here, store, own_end: None };
        let Some(since) = proof.since() else { return Ok(false) };
        let change = UserChange::Add {
            handle: user.handle.clone(),
            replaces: None,
            label: Some(json::quoted(join.name)),
            device: None,
            provider: None,
            since,
            limit: usize::MAX.into(),
        };
        let changed = change_list_by(&mut calls, &key, &change, Some(meta), Some(read)).await?;
        if changed.verdict != Verdict::Made && !seeded(Fault::ProviderEndIgnored) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The sessions that a provider has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LoggedOut {
    /// Whether its token was used before. Only sessions that are older than that use are named then.
    pub is_replayed: bool,
    /// The entries of its list. The label is the application's name for the user; an entry without one is no session.
    pub entries: Vec<UserSession>,
}

/// Finds the sessions in a list of a provider ([`provider_list`]), and refuses those of logins in progress. The driver
/// revokes them ([`revoke_each`](super::revoke_each)), one user after the other. After a crash, a second token can repeat it.
///
/// `receipt` is that of the provider's token ([`provider_receipt`]).
///
/// # Errors
/// The host's error if the list cannot be read, or the store failed.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn logged_out<H: Host>(
    host: &mut H,
    rules: &Rules,
    hash: &str,
    receipt: Option<Handle>,
) -> Result<LoggedOut, H::Error> {
    let (key, began) = (rules.options.list_key(hash), host.now());
    let mut calls = Calls::new(host, rules);
    let read = calls.read_timed(&key).await?;
    let at = calls.time.unwrap_or(calls.host.now());
    let change = UserChange::LoggedOut { at, receipt: receipt.clone() };
    let changed = change_list_by(&mut calls, &key, &change, None, Some(read)).await?;
    let is_in_doubt = calls.was_in_doubt() && !seeded(Fault::ReceiptForgetsOwn);
    let mut entries = changed.list.into_latest();
    let used = entries.iter().find(|entry| Some(&entry.handle) == receipt.as_ref());
    let used = used.map(|entry| entry.created);
    // After a lost reply, the receipt may be this request's own, unless it is older.
    let is_own = is_in_doubt && (used >= Some(began) || seeded(Fault::ReceiptTakesOthers));
    let is_replayed = changed.verdict != Verdict::Made && !is_own;
    if let Some(used) = used.filter(|_| is_replayed && !seeded(Fault::ReplayEndsNewer)) {
        entries.retain(|entry| entry.created <= used);
    }
    Ok(LoggedOut { is_replayed, entries })
}
