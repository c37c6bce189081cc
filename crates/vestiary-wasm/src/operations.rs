//! The operations that a driver runs: those of `vestiary::visit`, and those on a user's sessions.

use alloc::{borrow::ToOwned as _, boxed::Box, rc::Rc, string::String, sync::Arc, vec::Vec};

use vestiary::{
    CookieOverrides, Handle, Record, SessionId, UserRef, merge,
    protocol::{Answered, OwnEnd, Post, Rules, Seen, Stopped, UserSession, UserSessions, boxed},
    session::{self, Join, Spent},
    visit::{self, Act, Changes, Cookies, Facts, Page, Purpose, Visit, VisitText},
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::{millis, thrown},
    ending::Ending,
    memory::MemoryTable,
    options::Core,
    running::{Running, Step},
};

/// The kind of an operation. Beside each stand its texts, in their order. Those of a visit follow the three texts of the
/// visit, and its number `at`; a user is the application's name for it, and its handle what the application calls a session:
/// both as JSON text, since they may have a NUL.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Task {
    /// `vestiary::visit::open`: the IDs of the cookies, in lines.
    Open,
    /// `save`, of changes: the data before and after, and the cookie attributes of its own that the session is to have, `{}`
    /// for none, nothing if they were not changed.
    Save,
    /// `assigned`, as `Save`.
    Assigned,
    /// `update`, as `Save`.
    Update,
    /// `touch`
    Touch,
    /// `renew`
    Renew,
    /// `regenerate`
    Regenerate,
    /// `destroy`
    Destroy,
    /// `refresh`
    Refresh,
    /// `finish`, as `Save`.
    Finish,
    /// `confirm`
    Confirm,
    /// `Visit::revoked`
    Revoked,
    /// `log_in`: a user, the data of its session, and the label as JSON text. The numbers are when the visitor proved who it is, when
    /// the same request ended all sessions of the user and when they had been ended before that (NaN if not), and the most
    /// sessions that a user may have.
    LogIn,
    /// Removes a record that counts for nothing: its ID and text.
    Tidy,
    /// The sessions of a user.
    List,
    /// Ends one session of a user: the user, and a handle as JSON text.
    Revoke,
    /// Ends all sessions of a user but one: the user and its handle, or nothing.
    EndAll,
}

/// Bits of the flags of an operation. The others are those of a visit (`vestiary::visit::VisitText`).
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Given {
    /// There are changes.
    Changes = 0x0100_0000,
    /// The data was replaced as a whole.
    Assigned = 0x0200_0000,
    /// The request has a cookie of this name.
    Present = 0x0400_0000,
    /// Another handle around this one has the same cookie name.
    Shared = 0x0800_0000,
    /// A login has a label; a revocation was made by the same request; a record is in its user's session list.
    More = 0x1000_0000,
    /// There are random bytes in the input. Without them an operation only reads.
    Drawn = 0x2000_0000,
}

/// Bits of the facts that a driver tells an operation each time that it goes on.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Fact {
    /// No cookie reaches the browser any more.
    Left = 1,
    /// The visitor has a session of another handle whose cookie has the same name.
    Taken = 2,
    /// This process has taken the ID of the visit's session out of use.
    SessionRetired = 4,
    /// This process has taken the ID in the visit's cookie out of use.
    CookieRetired = 8,
    /// The session of the first ID of the cookies need not be touched; each bit from here on is about the next one.
    Touched = 16,
}

/// An operation, with what it is given. One type, so that WebAssembly has one function for all of them.
pub(crate) enum Operation {
    Visit { task: Task, flags: u32, visit: VisitText, numbers: [f64; 4], texts: Vec<String> },
    Tidy(Spent),
    List(String),
    Revoke(String, Option<Handle>),
    EndAll(String, Option<Handle>),
}

/// Texts are not shown: IDs and data are among them.
impl core::fmt::Debug for Operation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Operation").finish_non_exhaustive()
    }
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
impl Operation {
    /// The operation of a task.
    pub(crate) fn of(
        rules: &Rules,
        task: Task,
        flags: u32,
        at: f64,
        numbers: [f64; 4],
        texts: &str,
    ) -> Result<Self, String> {
        let mut texts: Vec<_> = texts.split('\0').map(str::to_owned).collect();
        let mut first = || if texts.is_empty() { String::new() } else { texts.remove(0) };
        let operation = match task {
            Task::Tidy => {
                let id = SessionId::parse(&first()).map_err(thrown)?;
                let record = Record::decode_owned(first(), rules.options.load_limits());
                let session = Seen { id, record: record.map_err(thrown)?, at: millis(at) };
                Self::Tidy(Spent { session, is_listed: flags & Given::More as u32 != 0 })
            }
            Task::List => Self::List(UserRef::decoded(&first())),
            Task::Revoke => {
                let [name, handle] = [first(), first()].map(|text| UserRef::decoded(&text));
                Self::Revoke(name, Handle::parse(&handle))
            }
            Task::EndAll => Self::EndAll(UserRef::decoded(&first()), Handle::parse(&first())),
            _ => {
                let (ids, record, own) = (first(), first(), first());
                let own = (!own.is_empty()).then_some(own);
                let visit = VisitText { flags, ids, record, at: millis(at), own };
                Self::Visit { task, flags, visit, numbers, texts }
            }
        };
        Ok(operation)
    }

    /// The IDs that facts are about: of the session, of the cookie, and of the request's cookies.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        let (own, received) = match self {
            Self::Visit { task: Task::Open, texts, .. } => {
                ("", texts.first().map_or("", String::as_str))
            }
            Self::Visit { visit, .. } => (&*visit.ids, ""),
            _ => ("", ""),
        };
        let mut own = own.lines();
        [own.next(), own.next()].map(Option::unwrap_or_default).into_iter().chain(received.lines())
    }

    pub(crate) async fn run(
        &self,
        mut host: Post,
        rules: &Rules,
        facts: Rc<Facts>,
    ) -> Result<Ending, Stopped> {
        let purpose = match self {
            Self::Visit { .. } | Self::List(_) => Purpose::Read,
            Self::Tidy(_) => Purpose::Remove,
            Self::Revoke(..) | Self::EndAll(..) => Purpose::Write,
        };
        facts.purpose.set(purpose);
        match self {
            Self::Visit { task, flags, visit, numbers, texts } => {
                let mut page = Page::new(host, facts);
                return boxed(run(&mut page, rules, *task, *flags, visit.clone(), *numbers, texts))
                    .await;
            }
            Self::Tidy(spent) => {
                boxed(session::tidy(&mut host, rules, spent)).await;
            }
            Self::List(name) => {
                let sessions = session::list(&mut host, rules, name).await?;
                return Ok(Ending::Text(UserSession::json(&sessions)));
            }
            // No session has another handle.
            Self::Revoke(_, None) => {}
            Self::Revoke(name, Some(handle)) => {
                session::revoke(&mut host, rules, name, handle).await?;
            }
            Self::EndAll(name, keep) => {
                let end = boxed(session::end_all(&mut host, rules, name, keep.clone())).await?;
                return Ok(Ending::Ends(end));
            }
        }
        Ok(Ending::Text(String::new()))
    }
}

/// Runs an operation of a visit.
#[cfg_attr(plain, maybe_async::must_be_sync)]
async fn run(
    page: &mut Page,
    rules: &Rules,
    task: Task,
    flags: u32,
    text: VisitText,
    numbers: [f64; 4],
    texts: &[String],
) -> Result<Ending, Stopped> {
    // The driver keeps the error of the visit's state under this number.
    let visit = Visit::of_text(text, Some(Stopped::Host(0)), rules.options.load_limits())?;
    let mut visit = Box::new(visit);
    let is = |bit: Given| flags & bit as u32 != 0;
    let mut texts = texts.iter();
    let mut next = || texts.next().map_or("", String::as_str);
    let mut changes = || {
        let (base, mine, cookie) = (next(), next(), next());
        let cookie = if cookie.is_empty() { None } else { Some(CookieOverrides::parse(cookie)?) };
        let (base, mine) = (base.to_owned(), mine.to_owned());
        Ok::<_, Stopped>(Changes { base, mine, cookie, assigned: is(Given::Assigned) })
    };
    let act = match task {
        Task::Open => Act::Open(Cookies {
            present: is(Given::Present),
            ids: next().lines().filter_map(|id| SessionId::parse(id).ok()).collect(),
            shared: is(Given::Shared),
        }),
        Task::Save => Act::Save(changes()?),
        Task::Assigned => Act::Assigned(changes()?),
        Task::Update => Act::Update(is(Given::Changes).then(changes).transpose()?),
        Task::Finish => Act::Finish(is(Given::Changes).then(changes).transpose()?),
        Task::Touch => Act::Touch,
        Task::Renew => Act::Renew,
        Task::Regenerate => Act::Regenerate,
        Task::Destroy => Act::Destroy,
        Task::Refresh => Act::Refresh,
        Task::LogIn => {
            let (name, data, label) = (next(), next(), next());
            let [name, label] = [name, label].map(UserRef::decoded);
            let [proven, ended, before, most] = numbers;
            let join = Join {
                name: &name,
                label: is(Given::More).then_some(&*label),
                proven: millis(proven),
                own_end: (!ended.is_nan())
                    .then(|| OwnEnd { at: millis(ended), before: millis(before) }),
                most: most as usize,
            };
            let done = boxed(visit::log_in(page, rules, &mut visit, &join, data)).await;
            return Ok(Ending::Visit { visit, spent: Vec::new(), done });
        }
        Task::Revoked => {
            visit.revoked(page, is(Given::More));
            return Ok(Ending::Visit { visit, spent: Vec::new(), done: Ok(true) });
        }
        _ => Act::Confirm,
    };
    let (spent, done) = match visit::act(page, rules, &mut visit, act).await {
        Ok(spent) => (spent, Ok(true)),
        Err(error) => (Vec::new(), Err(error)),
    };
    Ok(Ending::Visit { visit, spent, done })
}

#[wasm_bindgen]
impl Core {
    /// Has the next operation that begins ask this table, instead of the driver's store.
    pub fn ask(&mut self, table: &MemoryTable) {
        self.table = Some(table.clone());
    }

    /// Begins an operation: texts with a NUL between them. As `answered`; if it has not ended, `running` has it. `Again` if
    /// there are no random bytes, and it has something to write: then nothing has happened.
    #[expect(clippy::too_many_arguments, reason = "an object would cost a JSON reader or js-sys")]
    pub fn begin(
        &mut self,
        task: Task,
        flags: u32,
        at: f64,
        proven: f64,
        ended: f64,
        before: f64,
        most: f64,
        facts: u32,
        now: f64,
        elapsed: f64,
        texts: &str,
    ) -> Result<u32, String> {
        let (table, reads) = (self.table.take(), flags & Given::Drawn as u32 == 0);
        let numbers = [proven, ended, before, most];
        let operation = Operation::of(&self.rules, task, flags, at, numbers, texts)?;
        let mut running = Running::new(Arc::clone(&self.rules), operation);
        if let Some(table) = table {
            running.answer_by(table, reads, now);
        }
        let step = self.poll(&mut running, Answered::Begin, !reads, facts, now, elapsed);
        if running.step == Step::Finished {
            self.told = running.told();
        } else if reads {
            return Ok(Step::Again as u32);
        } else {
            self.running = Some(running);
        }
        Ok(step)
    }

    /// The operation that has begun, and has not ended.
    #[wasm_bindgen(getter)]
    pub fn running(&mut self) -> Option<Running> {
        self.running.take()
    }

    /// The reports of an operation that has ended at once.
    #[wasm_bindgen(getter)]
    pub fn told(&mut self) -> String {
        core::mem::take(&mut self.told)
    }

    /// The data of a session that follows the one of this record: `kept`, members of `base`, as the record spells
    /// them, and those of `others`. All are JSON text.
    pub fn keep(
        &self,
        text: String,
        base: &str,
        kept: &str,
        others: &str,
    ) -> Result<String, String> {
        let limits = self.rules.options.load_limits();
        let record = Record::decode_owned(text, limits).map_err(thrown)?;
        let kept = merge(base, kept, record.data(), limits).map_err(thrown)?;
        merge("{}", others, &kept, limits).map_err(thrown)
    }
}

/// Validates the application's name for a user.
#[wasm_bindgen(js_name = checkName)]
pub fn check_name(name: &str) -> Result<(), String> {
    UserSessions::check_name(name).map_err(thrown)
}
