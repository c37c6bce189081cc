use vestiary::{CookieName, CookieValue, SessionId, StoreKey, cookie_header};
use vestiary_store::{Entry, Scan as _};

use crate::{
    description::Description,
    failure::Failure,
    secrets,
    service::{Service, options},
    store::each,
};

/// A record that the caller named by a cookie, an ID, a key, the beginning of a key, or a handle.
pub(crate) struct Located {
    pub(crate) entry: Entry,
    /// The ID, unless the key is a hash and nothing else is known.
    pub(crate) id: Option<SessionId>,
    pub(crate) hash_ids: bool,
}

impl Located {
    pub(crate) fn namespace(&self) -> Option<&str> {
        StoreKey::parse(&self.entry.key).namespace
    }
}

/// The argument, or standard input for `-`.
pub(crate) fn given(text: &str) -> Result<String, Failure> {
    let text = if text == "-" { secrets::input()? } else { text.to_owned() };
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::Usage("input", "the cookie, ID, key or handle is empty".to_owned()));
    }
    Ok(text.to_owned())
}

/// Finds the record that the argument names. Its cookie need not be valid, since an operator has the store anyway.
pub(crate) async fn locate(text: &str, service: &Service) -> Result<Located, Failure> {
    for id in ids(text) {
        let found = by_id(&id, service).await?;
        // A bare ID that looks like a hash is more likely the key of a session whose ID is unknown here.
        let is_key = |found: &Located| id.expose() == text && text.len() == HASH && !found.hash_ids;
        if let Some(found) = found.filter(|found| !is_key(found)) {
            return Ok(found);
        }
    }
    if let Some(entry) = service.store.entry(text).await? {
        return Ok(by_key(entry));
    }
    let beginning = text.trim_end_matches('…').trim_end_matches('.');
    if beginning.len() >= SHORTEST
        && let Some(found) = by_beginning(beginning, service).await?
    {
        return Ok(found);
    }
    Err(not_found())
}

pub(crate) fn not_found() -> Failure {
    let message = "no such session in the store: it has ended, or it has another --prefix, --namespace or --table";
    Failure::No("not_found", message.to_owned())
}

/// Reads the record of an ID, stored under the ID or its hash, whatever the options say.
pub(crate) async fn by_id(id: &SessionId, service: &Service) -> Result<Option<Located>, Failure> {
    for hash_ids in [service.hash_ids, !service.hash_ids] {
        let key = options(service.namespace.as_deref(), hash_ids)?.store_key(id);
        if let Some(entry) = service.store.entry(&key).await? {
            return Ok(Some(Located { entry, id: Some(id.clone()), hash_ids }));
        }
    }
    Ok(None)
}

/// A shorter beginning is not worth a scan of all records.
const SHORTEST: usize = 4;

/// The IDs that a text may be or contain.
fn ids(text: &str) -> Vec<SessionId> {
    let header = text.strip_prefix("Cookie:").or_else(|| text.strip_prefix("cookie:"));
    let header = header.unwrap_or(text);
    let names = header.split(';').filter_map(|pair| pair.split_once('='));
    let mut ids = Vec::new();
    for (name, _) in names {
        let Ok(name) = CookieName::new(name.trim()) else { continue };
        let values = cookie_header::candidates(header.as_bytes(), &name);
        ids.extend(values.filter_map(|value| CookieValue::parse(value).ok()).map(|value| value.id));
    }
    ids.extend(CookieValue::parse(text.as_bytes()).ok().map(|value| value.id));
    ids.extend(SessionId::parse(text).ok());
    ids
}

/// The length of a hashed ID, which few IDs have.
pub(crate) const HASH: usize = 43;

fn by_key(entry: Entry) -> Located {
    let name = StoreKey::parse(&entry.key).name;
    let hash_ids = name.len() == HASH;
    let id = if hash_ids { None } else { SessionId::parse(name).ok() };
    Located { entry, id, hash_ids }
}

/// Finds the only record whose key begins with this text, or whose session has this handle or name for logs.
async fn by_beginning(text: &str, service: &Service) -> Result<Option<Located>, Failure> {
    let mut found: Option<Entry> = None;
    let mut several = false;
    each(&service.store, async |entry| {
        let fits = entry.key.starts_with(text) || {
            let log_id = Description::of(&entry, None, service).log_id;
            log_id.is_some_and(|log_id| log_id.as_str() == text)
        };
        if fits {
            // The same record may be on two pages.
            several |= found.as_ref().is_some_and(|found| found.key != entry.key);
            found = Some(entry);
        }
        Ok(!several)
    })
    .await?;
    if several {
        let message =
            "several keys begin like this: give more characters (`vestiary ls --show-ids`)";
        return Err(Failure::Usage("ambiguous", message.to_owned()));
    }
    Ok(found.map(by_key))
}
