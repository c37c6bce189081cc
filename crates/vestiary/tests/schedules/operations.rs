use vestiary::{
    Format, Handle, Limits, Meta, Record, SessionId, Ttl, UnixMillis, WriteId,
    protocol::{
        Asked, Lifetime, Moved, Question, Seen, Stopped, UserChange, UserSessions, Written,
    },
};

/// How an operation has ended.
pub(crate) enum End {
    Written(Written),
    Touched(Option<Box<Seen>>),
    Destroyed,
    Moved(Moved),
}

pub(crate) fn shown(ended: &Result<End, Stopped>) -> String {
    match ended {
        Err(error) => format!("{error:?}"),
        Ok(End::Written(Written::Saved { session, merged, .. })) => {
            format!("saved {} {merged}", session.id.expose())
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

pub(crate) fn record(mark: WriteId, data: &str) -> Record {
    Record::new(Format::Seed, mark, "{}", data, Meta::default(), Limits::SAVE).unwrap()
}

/// The list of a user who has one session.
pub(crate) fn list(handle: &Handle, mark: &WriteId) -> String {
    let mut sessions = UserSessions::default();
    let (handle, since) = (handle.clone(), UnixMillis(0));
    let login = UserChange::Add { handle, label: None, since, most: 100 };
    let lifetime = Lifetime { ttl: Ttl::Infinite, absolute: None };
    assert!(sessions.apply(&login, lifetime, since));
    sessions.encode(mark)
}
