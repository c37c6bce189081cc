//! The operations that a driver runs: those of `vestiary::visit`, and those on a user's sessions.

use alloc::{borrow::ToOwned as _, boxed::Box, rc::Rc, string::String, sync::Arc, vec::Vec};

use vestiary::{
    CookieOverrides, Device, Handle, Record, SessionId, UserRef, merge,
    protocol::{Answered, OwnEnd, Pending, Post, Seen, Stopped, UserSession, UserSessions, boxed},
    session::{self, Join, Provider, Spent},
    visit::{self, Act, Changes, Cookies, Page, Purpose, Visit, VisitText},
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::{millis, thrown},
    ending::Ending,
    lease::granted,
    memory::MemoryTable,
    near::{NearCache, parts},
    options::{Core, Numbers},
    running::{Own, Running, Step},
};

/// The kind of an operation. The comments list its texts, in order.
///
/// The texts of an operation on a visit follow the three texts of the visit: its IDs, its record, and the own attributes of
/// its cookie. A user is the application's name for it. Names, labels, devices, keys and handles are JSON text, because
/// they may have a NUL.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Task {
    /// `vestiary::visit::open`: the IDs of the cookies, in lines, and the bound cookies, each after a comma.
    Open,
    /// `save`. Its texts are changes: the data before, the data after, and the session's own cookie attributes. `{}` removes
    /// the attributes, and an empty text leaves them unchanged.
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
    /// `is_alive`. It ends without a visit if the session is not.
    IsAlive,
    /// `Visit::revoked`
    Revoked,
    /// `log_in`: a user, the data of the session, the label, and how long the cookie lasts: in seconds, `null` for as long as
    /// the browser is open, or nothing for the options' choice. Then the browser, the system and the address of the device, if
    /// any is known; the issuer, the `sub` and the `sid` of the provider, if there is one; and the access token, the refresh
    /// token and the ID token, if it has given any. The numbers are the time of the visitor's proof, the time at which the
    /// same request ended all sessions of the user, the time at which they were ended before (NaN if never), and the lifetime
    /// of the access token in milliseconds (NaN if it is unknown).
    LogIn,
    /// `put`: a key, and a value. The first number is its lifetime in milliseconds.
    Put,
    /// `take`: a key.
    Take,
    /// `confirm_user`
    ConfirmUser,
    /// `claim`: changes as of `Save`, if there are any, and a name. The first number is the lease, and the last one the time
    /// waited, in milliseconds. The value taken is a word, and its argument in the next line.
    Claim,
    /// `settle`: a name, the token, and the result. It failed with `Given::More`. The value taken is `held` if it was
    /// settled.
    Settle,
    /// `bind`, with `Given::More` if the browser registers, and `Given::Proves` if the signature is valid: the headers
    /// `Secure-Session-Response` and `Sec-Secure-Session-Id`. The value taken is the answer, in lines: its status, the
    /// headers `Secure-Session-Challenge` and `Set-Cookie`, and its body.
    Bind,
    /// `tokens`: an access token that was refused, or an empty text. The numbers are the lease, how early a token is
    /// refreshed, and the time waited, in milliseconds. The value taken is that of `Claim`; `held` and `done` have the tokens.
    Tokens,
    /// `keep_tokens`: the tokens of `Tokens` that are refreshed, or an empty text; then the access token, the refresh token and
    /// the ID token, each empty if there is none. The provider has refused without an access token. It failed with
    /// `Given::More`. The first number is the lifetime in milliseconds, NaN if it is unknown. The value taken is `held` if the
    /// tokens were kept.
    KeepTokens,
    /// Removes an obsolete record: its ID and text.
    Tidy,
    /// Lists the sessions of a user.
    List,
    /// Ends sessions of a user: the user, and their handles, of any number.
    Revoke,
    /// Ends all sessions of a user: the user, and the handle of a session that stays, or an empty text.
    EndAll,
    /// Finds the sessions that a provider has ended: the hash of its list, and the receipt of its token, if any. Returns the
    /// entries, as `List` does, after a `!` if the token was used before, and otherwise a space.
    LoggedOut,
}

/// Bits of the flags of an operation. The others are those of a visit (`vestiary::visit::VisitText`).
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Given {
    /// The texts have changes.
    Changes = 0x0100_0000,
    /// The data was replaced as a whole.
    Assigned = 0x0200_0000,
    /// The request has a cookie of this name.
    Present = 0x0400_0000,
    /// Another handle around this one has the same cookie name.
    Shared = 0x0800_0000,
    /// A login has a label; a revocation was made by the same request; a record is in its user's session list; the opening of
    /// a session only reads; the function of a lease has failed; a browser registers its device.
    More = 0x1000_0000,
    /// The input has random bytes. Without them an operation only reads.
    Drawn = 0x2000_0000,
    /// The table of [`Core::ask`] answers store calls, not the driver's store.
    Here = 0x4000_0000,
    /// The input has the random bytes of a session ID after the others, in case the operation needs one.
    Identified = 0x8000,
    /// The request does not count as use of the session.
    Passive = 0x4000,
    /// The operation has waited for another one that writes the same session.
    Behind = 0x2000,
    /// The request proves its device, so that it needs no bound cookie; the signature of its proof is valid.
    Proves = 0x1000,
}

/// The position of an operation's texts in the input, after the random bytes of the operation and of a session ID.
const TEXTS: usize = Pending::<()>::ENTROPY + SessionId::ENTROPY;

/// Bits of the facts that a driver passes to an operation each time that it continues.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Fact {
    /// No cookie reaches the browser any more.
    Left = 1,
    /// The visitor has a session of another handle whose cookie has the same name.
    Taken = 2,
    /// This process has taken the ID of the visit's session out of use.
    SessionOutOfUse = 4,
    /// This process has taken the ID in the visit's cookie out of use.
    CookieOutOfUse = 8,
    /// The session of the cookies' first ID need not be touched. Each higher bit is about the next ID.
    Touched = 16,
}

/// An operation with its arguments. All operations have one type, so that WebAssembly has one function for them.
pub(crate) struct Operation {
    pub(crate) task: Task,
    pub(crate) flags: u32,
    pub(crate) at: f64,
    /// The numbers of a login, of a slot, or of a lease.
    pub(crate) numbers: [f64; 4],
    /// The texts, with a NUL between them.
    pub(crate) texts: String,
    /// The IDs of the cookies, if they are not among the texts.
    pub(crate) received: Vec<SessionId>,
    /// The values of the bound cookies, if they are not among the texts.
    pub(crate) bound: Vec<String>,
}

/// Hides the texts, which have IDs and data.
impl core::fmt::Debug for Operation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Operation").field("task", &self.task).finish_non_exhaustive()
    }
}

/// A placeholder for an operation that is running.
impl Default for Operation {
    fn default() -> Self {
        Self {
            task: Task::Revoked,
            flags: 0,
            at: 0.0,
            numbers: [0.0; 4],
            texts: String::new(),
            received: Vec::new(),
            bound: Vec::new(),
        }
    }
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
impl Operation {
    /// The ID that a bit of the facts is about: the session's, the cookie's, then those of the request's cookies.
    pub(crate) fn id(&self, place: usize) -> Option<SessionId> {
        match place.checked_sub(2) {
            Some(place) => self.received().into_iter().nth(place),
            None => SessionId::parse(self.text(0).split('\n').nth(place)?).ok(),
        }
    }

    /// The IDs of the cookies.
    fn received(&self) -> Vec<SessionId> {
        if !self.received.is_empty() || !matches!(self.task, Task::Open) {
            return self.received.clone();
        }
        self.text(3).split('\n').filter_map(|id| SessionId::parse(id).ok()).collect()
    }

    pub(crate) fn text(&self, place: usize) -> &str {
        self.texts.split('\0').nth(place).unwrap_or_default()
    }

    pub(crate) async fn run(&self, mut host: Post, own: &Own) -> Result<Ending, Stopped> {
        let (rules, facts) = (&*own.rules, &own.facts);
        let mut texts = self.texts.split('\0');
        let mut next = || texts.next().unwrap_or_default();
        facts.purpose.set(match self.task {
            Task::Tidy => Purpose::Remove,
            Task::Revoke | Task::EndAll | Task::LoggedOut => Purpose::Write,
            _ => Purpose::Read,
        });
        match self.task {
            Task::Tidy => {
                let (id, record) = (SessionId::parse(next())?, next().to_owned());
                let record = Record::decode_owned(record, rules.options.load_limits())?;
                let session = Seen { id, record, at: millis(self.at) };
                let spent = Spent { session, is_listed: self.is(Given::More) };
                boxed(session::tidy(&mut host, rules, &spent)).await;
            }
            Task::List => {
                let name = UserRef::decoded(next());
                let listed = session::list(&mut host, rules, &name).await?;
                return Ok(Ending::Text(UserSession::json(&listed)));
            }
            Task::Revoke => {
                let name = UserRef::decoded(next());
                // No session has a handle of another form.
                let read = |text| Handle::parse(&UserRef::decoded(text));
                let handles = Vec::from_iter(texts.filter_map(read));
                if !handles.is_empty() {
                    session::revoke_each(&mut host, rules, &name, handles).await?;
                }
            }
            Task::EndAll => {
                let (name, keep) = (UserRef::decoded(next()), Handle::parse(next()));
                let end = boxed(session::end_all(&mut host, rules, &name, keep)).await?;
                return Ok(Ending::Ends(end));
            }
            Task::LoggedOut => {
                let (hash, token) = (next(), Handle::parse(next()));
                let ended = session::logged_out(&mut host, rules, hash, token).await?;
                let first = if ended.is_replayed { "!" } else { " " };
                return Ok(Ending::Text([first, &UserSession::json(&ended.entries)].concat()));
            }
            _ => {
                let page = &mut Page::new(host, Rc::clone(facts));
                return boxed(self.run_visit(page, own)).await;
            }
        }
        Ok(Ending::Text(String::new()))
    }

    /// Runs an operation of a visit.
    async fn run_visit(&self, page: &mut Page, own: &Own) -> Result<Ending, Stopped> {
        let mut texts = self.texts.split('\0');
        let mut next = || texts.next().unwrap_or_default();
        let (ids, record, cookie) = (next(), next(), next());
        let (rules, last) = (&*own.rules, own.record.borrow().clone());
        let text = VisitText {
            flags: self.flags,
            ids: ids.into(),
            record: record.into(),
            at: millis(self.at),
            own: (!cookie.is_empty()).then(|| cookie.into()),
        };
        // The driver keeps the error of the visit's state under the number 0.
        let failure = Some(Stopped::Host(0));
        let visit = Visit::of_text(&text, failure, |text| match last {
            Some(last) if last.is_of(text) => Ok(last),
            _ => Record::decode(text, rules.options.load_limits()),
        })?;
        let mut visit = Box::new(visit);
        let mut changes = || {
            let (base, mine, cookie) = (next().to_owned(), next().to_owned(), next());
            let cookie =
                if cookie.is_empty() { None } else { Some(CookieOverrides::parse(cookie)?) };
            Ok::<_, Stopped>(Changes { base, mine, cookie, assigned: self.is(Given::Assigned) })
        };
        let act = match self.task {
            Task::Open => Act::Open(Cookies {
                present: self.is(Given::Present),
                ids: self.received(),
                shown: self.shown(),
                shared: self.is(Given::Shared),
                reads_only: self.is(Given::More),
                passive: self.is(Given::Passive),
            }),
            Task::Save => Act::Save(changes()?),
            Task::Assigned => Act::Assigned(changes()?),
            Task::Update => Act::Update(self.is(Given::Changes).then(changes).transpose()?),
            Task::Finish => Act::Finish(self.is(Given::Changes).then(changes).transpose()?),
            Task::Touch => Act::Touch,
            Task::Renew => Act::Renew,
            Task::Regenerate => Act::Regenerate,
            Task::Destroy => Act::Destroy,
            Task::Put => {
                let [lifetime, ..] = self.numbers;
                Act::Put(UserRef::decoded(next()), next().to_owned(), lifetime as u64)
            }
            Task::Take => Act::Take(UserRef::decoded(next())),
            Task::ConfirmUser => Act::ConfirmUser,
            Task::Refresh => Act::Refresh,
            Task::LogIn => {
                let (name, data, label, max_age) = (next(), next(), next(), next());
                let [name, label, browser, system, address, issuer, sub, sid] =
                    [name, label, next(), next(), next(), next(), next(), next()]
                        .map(UserRef::decoded);
                let [proven, ended, before, lifetime] = self.numbers;
                let join = Join {
                    name: &name,
                    label: self.is(Given::More).then_some(&*label),
                    device: Device { browser: &browser, system: &system, address: &address },
                    provider: (!issuer.is_empty())
                        .then(|| Provider::new(&issuer, &sub, (!sid.is_empty()).then_some(&*sid))),
                    tokens: granted([next(), next(), next()], lifetime),
                    proven: millis(proven),
                    own_end: (!ended.is_nan())
                        .then(|| OwnEnd { at: millis(ended), before: millis(before) }),
                    cookie: match max_age {
                        "" => None,
                        "null" => Some(CookieOverrides::lasting(None)?),
                        // A number of another form is not a number of seconds.
                        text => Some(CookieOverrides::lasting(Some(text.parse().unwrap_or(0)))?),
                    },
                };
                let done = boxed(visit::log_in(page, rules, &mut visit, &join, data)).await;
                return Ok(Ending::Visit { visit, spent: Vec::new(), done });
            }
            Task::Claim | Task::Settle | Task::Tokens | Task::KeepTokens => {
                let first = if matches!(self.task, Task::Claim) && self.is(Given::Changes) {
                    Some(changes()?)
                } else {
                    None
                };
                return self.lease(page, rules, visit, first, &mut next).await;
            }
            Task::Bind => return self.bind(page, rules, visit, next(), next()).await,
            Task::IsAlive => {
                return Ok(match boxed(visit::is_alive(page, rules, &mut visit)).await {
                    Ok(false) => Ending::Nothing,
                    done => Ending::Visit { visit, spent: Vec::new(), done },
                });
            }
            Task::Revoked => {
                visit.revoked(page, self.is(Given::More));
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

    pub(crate) fn is(&self, bit: Given) -> bool {
        self.flags & bit as u32 != 0
    }
}

#[wasm_bindgen]
impl Core {
    /// Lets this table answer the store calls of operations with `Given::Here` from now on.
    pub fn ask(&mut self, table: &MemoryTable) {
        self.table = Some(table.clone());
    }

    /// Lets this cache find sessions for operations that are begun without random bytes, from now on.
    pub fn remember(&mut self, cache: &NearCache) {
        self.near = Some(cache.clone());
    }

    /// Begins an operation, and returns its progress as `answered` does. Its texts, with a NUL between them, are `length`
    /// bytes of the input after all random bytes, or `texts` if they do not fit there.
    ///
    /// An operation that has not ended is in `running`. The step is `Again` if the operation has something to write, but no
    /// random bytes; then it has done nothing.
    #[expect(clippy::too_many_arguments, reason = "an object would cost a JSON reader or js-sys")]
    pub fn begin(
        &mut self,
        task: Task,
        flags: u32,
        at: f64,
        proven: f64,
        ended: f64,
        before: f64,
        waited: f64,
        facts: u32,
        now: f64,
        elapsed: f64,
        length: usize,
        texts: Option<String>,
    ) -> u32 {
        let texts = texts.unwrap_or_else(|| {
            let input =
                self.input.get(TEXTS..TEXTS + length).and_then(|text| str::from_utf8(text).ok());
            input.unwrap_or_default().to_owned()
        });
        let numbers = [proven, ended, before, waited];
        let operation = Operation { task, flags, at, numbers, texts, ..Operation::default() };
        self.start(operation, facts, now, elapsed)
    }

    /// Begins `Task::Open` with the cookies of the header of `length` bytes in the input. The step is `Absent` if no cookie
    /// has our name.
    pub fn open(&mut self, length: usize, flags: u32, facts: u32, now: f64, elapsed: f64) -> u32 {
        let Some((received, bound)) = self.ids(length, None) else { return Step::Absent as u32 };
        let operation =
            Operation { task: Task::Open, flags, received, bound, ..Operation::default() };
        self.start(operation, facts, now, elapsed)
    }

    /// The operation that has begun, and has not ended.
    #[wasm_bindgen(getter)]
    pub fn running(&mut self) -> Option<Running> {
        self.running.take()
    }

    /// The reports of the operation that has continued last, with a NUL after each. A report is a word, and its argument in
    /// the next line: the name of an event and its code; an error that the operation has survived; `out_of_use` or
    /// `touched`, and an ID.
    #[wasm_bindgen(getter)]
    pub fn reports(&mut self) -> String {
        core::mem::take(&mut self.reports)
    }

    /// The data of the session that follows the one of this record, as JSON text. It has the members of `kept`, which come
    /// from `base`, as the record spells them, and those of `others`.
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

impl Core {
    fn start(&mut self, operation: Operation, facts: u32, now: f64, elapsed: f64) -> u32 {
        let reads = !operation.is(Given::Drawn);
        let table = self.table.clone().filter(|_| operation.is(Given::Here));
        let id = self.input.get(Pending::<()>::ENTROPY..).and_then(<[u8]>::first_chunk);
        let id = id.filter(|_| operation.is(Given::Identified)).map(SessionId::from_entropy);
        let is_behind = operation.is(Given::Behind);
        let mut running = self.run(operation);
        running.offer(id);
        running.waited(is_behind);
        if let Some(table) = &table {
            running.answer_by(table.clone().source(), reads);
        } else if let Some(near) = self.near.clone().filter(|_| reads) {
            running.answer_by(near.source(), reads);
        }
        let step = self.poll(&mut running, Answered::Begin, !reads, facts, now, elapsed);
        if running.step != Step::Finished && !reads {
            self.running = Some(running);
            return step;
        }
        let step = if running.step == Step::Finished { step } else { Step::Again as u32 };
        let Numbers { first: [flags, .., writes], ticket } = &mut *self.numbers;
        *ticket = parts(running.ticket(), *flags as u32);
        *writes = table.map_or(f64::NAN, |table| table.writes().into());
        #[cfg(plain)]
        {
            running.forget();
            self.idle = Some(running);
        }
        step
    }

    /// Runs an operation, in the memory of an ended one if there is one.
    fn run(&mut self, operation: Operation) -> Running {
        #[cfg(plain)]
        if let Some(mut running) = self.idle.take() {
            running.renew(operation);
            return running;
        }
        Running::new(Arc::clone(&self.rules), Rc::clone(&self.record), operation)
    }
}

/// Validates the application's name for a user.
#[wasm_bindgen(js_name = checkName)]
pub fn check_name(name: &str) -> Result<(), String> {
    UserSessions::check_name(name).map_err(thrown)
}
