use serde_json::{Map, Value, json};
use vestiary::{Format, Handle, Limits, Meta, Record, SealRing, SessionId, StoreKey, UnixMillis};
use vestiary_store::Entry;

use crate::{locate::HASH, output::Output, service::Service, time};

/// A description of a record, never its data.
pub(crate) struct Description {
    pub(crate) key: String,
    pub(crate) namespace: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) sealed: bool,
    pub(crate) format: Option<Format>,
    /// Whether it has a write ID, which only Vestiary writes.
    pub(crate) with_id: bool,
    pub(crate) meta: Meta,
    pub(crate) ttl: vestiary::Ttl,
    /// `None` if the value is not text.
    pub(crate) bytes: Option<usize>,
    /// The session's name for logs, as far as it is known: for the session of a user, the handle.
    pub(crate) log_id: Option<Handle>,
    /// The reason why it cannot be read.
    pub(crate) error: Option<vestiary::Error>,
}

/// The kind of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Session,
    /// A tombstone: its session has another ID now.
    Tombstone,
    UserList,
    /// Encrypted, and no secret decrypts it.
    Sealed,
    Unreadable,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Tombstone => "tombstone",
            Self::UserList => "user list",
            Self::Sealed => "encrypted",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Description {
    /// Describes an entry. An encrypted record needs its ID and a secret; otherwise only its key is described.
    pub(crate) fn of(entry: &Entry, id: Option<&SessionId>, service: &Service) -> Self {
        let key = StoreKey::parse(&entry.key);
        let sealed = SealRing::is_sealed(&entry.record);
        let opened = if sealed { opened(entry, id, service) } else { None };
        let text = opened.as_deref().unwrap_or(&entry.record);
        let mut description = Self {
            key: entry.key.clone(),
            namespace: key.namespace.map(str::to_owned),
            kind: Kind::UserList,
            sealed,
            format: None,
            with_id: Record::write_id_of(text).is_some(),
            meta: Meta::default(),
            ttl: entry.ttl,
            bytes: entry.is_text().then_some(entry.record.len()),
            log_id: None,
            error: None,
        };
        if key.is_user_list {
            return description;
        }
        if sealed && opened.is_none() {
            description.kind = Kind::Sealed;
            return description;
        }
        match Record::inspect(text, Limits::LOAD) {
            Ok(seen) => {
                let is_tombstone = seen.meta.next.is_some();
                description.kind = if is_tombstone { Kind::Tombstone } else { Kind::Session };
                description.format = Some(seen.format);
                if !is_tombstone {
                    // Without a user, it may follow from the ID, which the key has unless IDs are hashed.
                    let in_key = SessionId::parse(key.name).ok().filter(|_| key.name.len() != HASH);
                    let known = seen.meta.known_log_id().cloned();
                    let id = id.or(in_key.as_ref());
                    description.log_id = known.or_else(|| id.map(|id| seen.meta.log_id(id)));
                }
                description.meta = seen.meta;
            }
            Err(error) => {
                description.kind = Kind::Unreadable;
                description.error = Some(error);
            }
        }
        description
    }

    /// The owner of the session.
    pub(crate) fn user(&self) -> Option<String> {
        let user = self.meta.user.as_ref()?;
        serde_json::from_str(&user.name).ok()
    }

    /// The number of values beside its data, including those that have ended since the record was written.
    fn slots(&self) -> usize {
        self.meta.slots.count(UnixMillis(0))
    }

    /// The reason why it cannot be read: a code, and a message.
    fn problem(&self) -> Option<(&'static str, String)> {
        match (self.bytes, &self.error) {
            (None, _) => Some(("not_text", "the stored value is not text (UTF-8)".to_owned())),
            (_, error) => error.as_ref().map(|error| (error.code(), error.message())),
        }
    }

    /// The library that wrote it.
    pub(crate) fn written_by(&self) -> Option<&'static str> {
        Some(match (self.format?, self.with_id) {
            (Format::SvelteKitSessions, true) => "vestiary",
            (Format::SvelteKitSessions, false) => "svelte-kit-sessions",
            (Format::ExpressSession, true) => "vestiary, for express-session",
            (Format::ExpressSession, false) => "express-session",
        })
    }

    pub(crate) fn document(&self, output: &Output) -> Map<String, Value> {
        let at = |at: Option<UnixMillis>| at.map(time::instant);
        let handle = self.meta.user.as_ref().map(|user| user.handle.as_str().to_owned());
        let mut document = Map::new();
        let mut put = |name: &str, value: Value| document.insert(name.to_owned(), value);
        put("key", json!(output.key(&self.key)));
        put("namespace", json!(self.namespace));
        put("kind", json!(self.kind.name().replace(' ', "_")));
        put("encrypted", json!(self.sealed));
        put("format", json!(self.written_by()));
        put("user", json!(self.user()));
        put("handle", json!(handle));
        put("log_id", json!(self.log_id.as_ref().map(Handle::as_str)));
        put("created", json!(at(self.meta.created)));
        put("confirmed", json!(at(self.meta.confirmed)));
        put("renewed", json!(at(self.meta.renewed)));
        put("idle_deadline", json!(at(self.meta.idle)));
        put("absolute_deadline", json!(at(self.meta.absolute)));
        put("cookie_end", json!(at(self.meta.until)));
        put("slots", json!(self.slots()));
        put("version", json!(self.meta.version));
        put("ttl_ms", json!(time::millis(self.ttl)));
        put("bytes", json!(self.bytes));
        put("error", json!(self.problem().map(|(code, _)| code)));
        document
    }

    /// The names and values to print on a terminal.
    pub(crate) fn lines(&self, output: &Output, now: UnixMillis) -> Vec<(&'static str, String)> {
        let ago = |at: UnixMillis| {
            if at > now {
                format!("{} (in {})", time::instant(at), time::span(at.since(now)))
            } else {
                format!("{} ({} ago)", time::instant(at), time::span(now.since(at)))
            }
        };
        let mut lines = vec![("key", output.key(&self.key))];
        let mut push = |name, value: Option<String>| lines.extend(value.map(|value| (name, value)));
        push("namespace", self.namespace.clone());
        push("kind", Some(self.kind.name().to_owned()));
        push("format", self.written_by().map(str::to_owned));
        push("encrypted", self.sealed.then(|| "yes".to_owned()));
        push("user", self.user());
        push("handle", self.meta.user.as_ref().map(|user| user.handle.as_str().to_owned()));
        let log_id = self.log_id.as_ref().filter(|_| self.meta.user.is_none());
        push("name for logs", log_id.map(|log_id| log_id.as_str().to_owned()));
        push("created", self.meta.created.map(ago));
        push("confirmed", self.meta.confirmed.map(ago));
        push("renewed", self.meta.renewed.map(ago));
        push("idle deadline", self.meta.idle.map(ago));
        push("absolute deadline", self.meta.absolute.map(ago));
        push("cookie ends", self.meta.until.map(ago));
        push("slots", Some(self.slots()).filter(|count| *count > 0).map(|count| count.to_string()));
        push("version of data", self.meta.version.map(|version| version.to_string()));
        push("expires", Some(format!("in {}", time::left(self.ttl))));
        push("size", self.bytes.map(|bytes| format!("{bytes} bytes")));
        push("reason", self.problem().map(|(_, message)| message));
        if let Some(next) = &self.meta.next {
            push(
                "leads to a new ID",
                Some(next.grace.map_or_else(
                    || "no: it was a login".to_owned(),
                    |grace| format!("until {}", ago(grace)),
                )),
            );
        }
        lines
    }
}

/// Decrypts an encrypted record.
pub(crate) fn opened(entry: &Entry, id: Option<&SessionId>, service: &Service) -> Option<String> {
    let key = StoreKey::parse(&entry.key);
    let ring = service.seals(key.namespace)?;
    if let Some(id) = id {
        return ring.open(id, &entry.key, &entry.record).ok();
    }
    // Without hashed IDs, the key contains the ID. With them, this ID decrypts nothing.
    let id = SessionId::parse(key.name).ok()?;
    ring.open(&id, &entry.key, &entry.record).ok()
}
