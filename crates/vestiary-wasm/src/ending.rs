//! The end of an operation.

use alloc::{borrow::Cow, boxed::Box, string::String, vec::Vec};

use vestiary::{
    Limits, Record, UserRef,
    protocol::{Doubt, OwnEnd, Rules, Stopped},
    session::Spent,
    visit::{State, View, Visit, VisitText},
};

use crate::convert::{decimal, thrown};

/// The end of an operation.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The visit after the operation, and whether the operation was done or refused.
    Visit {
        visit: Box<Visit<Stopped>>,
        /// Obsolete records.
        spent: Vec<Spent>,
        done: Result<bool, Stopped>,
    },
    Text(String),
    Ends(OwnEnd),
    Nothing,
}

/// The end of an operation, as JavaScript gets it.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// The flags of the visit.
    pub(crate) flags: u32,
    /// The time at which the visit's session was read, or all sessions of a user were ended, in milliseconds since the
    /// epoch.
    pub(crate) at: f64,
    /// The time at which all sessions of the user were ended before that.
    pub(crate) before: f64,
    /// The version of the visit's data; 0 without one.
    pub(crate) version: u32,
    /// Texts with a NUL between them. The first is the error of the operation, empty if it has none. The texts of a visit
    /// follow, in this order:
    ///
    /// - its IDs, its record, and the own attributes of its cookie
    /// - the error with which its session could not be read
    /// - its data, if the application is to get it, and the session's own cookie attributes
    /// - its user's name as JSON text, and the handle
    /// - the value that the operation has taken from a slot
    /// - three texts for each obsolete record: its ID, its text, and whether it is in its user's session list
    pub(crate) texts: String,
}

impl Ended {
    pub(crate) fn of(rules: &Rules, ending: Result<Ending, Stopped>) -> Self {
        let mut ended = Self::default();
        match ending {
            Ok(Ending::Visit { visit, spent, done }) => match visit.text(UNLIMITED) {
                Ok(text) => ended.visit(rules, &visit, text, &spent, done),
                Err(error) => ended.texts = fault(&Stopped::Core(error)),
            },
            Ok(Ending::Text(text)) => {
                ended.push(&text);
            }
            Ok(Ending::Ends(OwnEnd { at, before })) => {
                (ended.at, ended.before) = (at.0 as f64, before.0 as f64);
            }
            Ok(Ending::Nothing) => {}
            Err(error) => ended.texts = fault(&error),
        }
        ended
    }

    fn visit(
        &mut self,
        rules: &Rules,
        visit: &Visit<Stopped>,
        text: VisitText,
        spent: &[Spent],
        done: Result<bool, Stopped>,
    ) {
        self.texts = match done {
            Ok(true) => String::new(),
            Ok(false) => String::from("outdated\n"),
            Err(error) => fault(&error),
        };
        // Often the texts have the data twice: in the record and by itself.
        self.texts.reserve(2 * text.record.len() + text.ids.len() + ROOM);
        (self.flags, self.at) = (text.flags, text.at.0 as f64);
        self.push(&text.ids);
        self.push(&text.record);
        self.push(&text.own.unwrap_or_default());
        self.push(&match &visit.state {
            State::Unreadable(error) | State::Unavailable(error) => fault(error),
            _ => String::new(),
        });
        let session = visit.session().map(|session| &session.record);
        self.push(session.filter(|_| visit.view == View::Read).map_or("", Record::data));
        let meta = session.map(Record::meta);
        self.version = meta.and_then(|meta| meta.version).unwrap_or_default();
        let own = meta.and_then(|meta| rules.options.own_cookie(meta));
        self.push(own.map_or("", |own| own.as_str()));
        let user = meta.and_then(|meta| meta.user.as_ref());
        // The library encodes the name itself, however the record spells it.
        let user = user.map(|user| UserRef::new(&user.decoded_name(), user.handle.clone()));
        let (name, handle) =
            user.as_ref().map_or(("", ""), |user| (&user.name, user.handle.as_str()));
        self.push(name);
        self.push(handle);
        self.push(visit.taken.as_deref().unwrap_or_default());
        for Spent { session, is_listed } in spent {
            self.push(session.id.expose());
            self.push(&session.record.source(UNLIMITED).map(Cow::into_owned).unwrap_or_default());
            self.push(if *is_listed { "listed" } else { "" });
        }
    }

    fn push(&mut self, text: &str) {
        self.texts.push('\0');
        self.texts.push_str(text);
    }
}

/// The usual number of bytes of a visit's texts beside the record.
const ROOM: usize = 100;

/// Limits for records that were read or stored, of any size.
const UNLIMITED: Limits = Limits { bytes: usize::MAX, ..Limits::LOAD };

/// The text of an error for the driver: a word, and its argument in the next line. The argument of `failed` is the number
/// under which the driver keeps the error. The argument of `thrown` is the error as it would be thrown.
pub(crate) fn fault(error: &Stopped) -> String {
    let (word, rest) = match error {
        Stopped::Core(error) => ("thrown", thrown(error.clone())),
        Stopped::Host(number) => ("failed", decimal(*number)),
        Stopped::Doubt(Doubt::Untraced) => ("untraced", String::new()),
        Stopped::Doubt(Doubt::LostReply) => ("lost_reply", String::new()),
        Stopped::ResponseSent => ("sent", String::new()),
        Stopped::CookieTaken => ("taken", String::new()),
        Stopped::Doubt(Doubt::Busy) | Stopped::Misuse => ("busy", String::new()),
    };
    [word, "\n", &rest].concat()
}
