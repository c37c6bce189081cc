use std::sync::Arc;

use serde_json::{Value, json};
use vestiary::{
    Format, Handle, Limits, Meta, Record, SessionId, SessionsPerUser, Slots, Ttl, UnixMillis,
    WriteId,
    protocol::{
        self, Asked, Change, CookieEdit, Lifetime, Moved, Pending, Question, Reason, Rules, Seen,
        Stopped, UserChange, UserSessions, Verdict, Written,
    },
};

use crate::chance::Chance;

/// The wish of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Want {
    /// Set a key of its own.
    Save,
    /// Append to the list that all share.
    Update,
    /// Give it its TTL again.
    Touch,
    LogOut,
    LogIn,
    Renew,
    /// Append to the list, under another ID.
    RenewAndUpdate,
    /// Put a value into a slot of its own.
    Put,
    /// Take the value out of the slot that all share.
    Take,
    /// The user proves their identity.
    Confirm,
    /// Claim the slot that all share if it is empty, then settle it.
    Claim,
    /// Settle it.
    Settle,
}

/// How an operation has ended.
pub(crate) enum End {
    Written(Written),
    Touched(Option<Box<Seen>>),
    Destroyed,
    Moved(Moved),
}

impl Want {
    /// Its operation on a session.
    pub(crate) fn begun(
        self,
        number: usize,
        seen: Seen,
        rules: Arc<Rules>,
        now: UnixMillis,
        lease: u64,
        chance: &mut Chance,
    ) -> Pending<End> {
        match self {
            Self::Save | Self::Update => {
                let base: Value = serde_json::from_str(seen.record.data()).unwrap();
                let mut mine = base.clone();
                mine[format!("key{number}")] = json!(number);
                let edit = match self {
                    Self::Update => Change::Rerun,
                    _ => Change::Merge { base: base.to_string(), mine: mine.to_string() },
                };
                Pending::new(async move |mut host| {
                    let written =
                        protocol::commit(&mut host, &rules, seen, &edit, CookieEdit::default())
                            .await;
                    written.map(End::Written)
                })
            }
            Self::Put | Self::Take | Self::Claim | Self::Settle | Self::Confirm => {
                let (key, until) = (SHARED.into(), UnixMillis(u64::MAX));
                let token = number.to_string();
                let edit = match self {
                    Self::Confirm => Change::Confirm(now),
                    Self::Put => Change::Put { key: slot(number), value: "1".into(), until },
                    Self::Take => Change::Take(key),
                    Self::Claim => {
                        let until = now.plus(lease);
                        Change::Swap { key, expected: None, value: token, until }
                    }
                    _ => {
                        let value = format!("[{token}]");
                        Change::Swap { key, expected: Some(token), value, until }
                    }
                };
                Pending::new(async move |mut host| {
                    let written =
                        protocol::commit(&mut host, &rules, seen, &edit, CookieEdit::default())
                            .await;
                    written.map(End::Written)
                })
            }
            Self::Touch => Pending::new(async move |mut host| {
                protocol::touch(&mut host, &rules, seen).await.map(End::Touched)
            }),
            Self::LogOut => Pending::new(async move |mut host| {
                protocol::destroy(&mut host, &rules, seen).await.map(|_| End::Destroyed)
            }),
            Self::LogIn | Self::Renew | Self::RenewAndUpdate => {
                let reason = if self == Self::LogIn {
                    let data = json!({ "log": [], "user": number }).to_string();
                    let login = record(chance.write(), &data);
                    Reason::Login(Box::new(login), Ttl::Infinite)
                } else {
                    // Finished before others write, or long after.
                    let grace = [0, 30, 600_000][chance.below(3)];
                    Reason::Renewal(now.plus(grace))
                };
                Pending::new(async move |mut host| {
                    let moved = protocol::rotate(&mut host, &rules, seen, reason, false).await;
                    moved.map(End::Moved)
                })
            }
        }
    }
}

/// The key of the slot that all requests share.
pub(crate) const SHARED: &str = "shared";

/// The key of a request's own slot.
pub(crate) fn slot(number: usize) -> String {
    format!("slot{number}")
}

pub(crate) fn shown(ended: &Result<End, Stopped>) -> String {
    match ended {
        Err(error) => format!("{error:?}"),
        Ok(End::Written(Written::Saved { session, merged, taken, .. })) => {
            format!("saved {} {merged} {taken:?}", session.id.expose())
        }
        Ok(End::Written(Written::Gone) | End::Touched(None)) => "gone".to_owned(),
        Ok(End::Touched(Some(session))) => format!("touched {}", session.id.expose()),
        Ok(End::Destroyed) => "destroyed".to_owned(),
        Ok(End::Moved(Moved::To(session))) => format!("moved to {}", session.id.expose()),
        Ok(End::Moved(moved)) => match moved {
            Moved::Elsewhere(Some(id)) => format!("elsewhere {}", id.expose()),
            moved => format!("{moved:?}"),
        },
    }
}

pub(crate) fn read(id: &SessionId) -> Asked {
    Asked {
        kind: Question::Read,
        key: id.expose().to_owned(),
        expected: None,
        text: String::new(),
        ttl: Ttl::Infinite,
        owned: false,
    }
}

pub(crate) fn record(write_id: WriteId, data: &str) -> Record {
    Record::new(Format::SvelteKitSessions, write_id, "{}", data, Meta::default(), Limits::SAVE)
        .unwrap()
}

/// The text of a record with a value in the slot that all requests share.
pub(crate) fn with_slot(write_id: WriteId) -> String {
    let (data, mut meta) = (r#"{"log":[]}"#, Meta::default());
    meta.slots = Slots::default().put(SHARED, "1", UnixMillis(u64::MAX), UnixMillis(0)).unwrap();
    let record =
        Record::new(Format::SvelteKitSessions, write_id, "{}", data, meta, Limits::SAVE).unwrap();
    record.encode(Limits::SAVE).unwrap()
}

/// The list of a user with one session.
pub(crate) fn list(handle: &Handle, write_id: &WriteId) -> String {
    let mut sessions = UserSessions::default();
    let (handle, since) = (handle.clone(), UnixMillis(0));
    let limit = SessionsPerUser::default();
    let login = UserChange::Add {
        handle,
        replaces: None,
        label: None,
        device: None,
        provider: None,
        since,
        limit,
    };
    let lifetime = Lifetime { ttl: Ttl::Infinite, absolute: None };
    assert_eq!(sessions.apply(&login, lifetime, since), Verdict::Made);
    sessions.encode(write_id)
}
