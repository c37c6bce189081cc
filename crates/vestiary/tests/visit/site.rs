//! An application with a table for its sessions, and requests that keep their visit outside of the core.

use std::{rc::Rc, sync::Arc};

use vestiary::{
    CookieOverrides, Event, MemoryLimits, MemoryTable, Options, OptionsText, Outcome, SessionId,
    UnixMillis, WriteId,
    protocol::{
        Answered, Asked, Effect, Host as _, NewId, Pending, Post, Question, Reply, Report, Rules,
        Stopped,
    },
    session::{self, Spent},
    visit::{
        self, Answer, Changes, Claim, Cookies, Facts, Grant, Known, Outgoing, Page, Purpose,
        Request as _, State, View, Wanted,
    },
};

pub(crate) type Visit = visit::Visit<Stopped>;

/// A store that answers or fails, and the requests of visitors.
pub(crate) struct Site {
    pub(crate) table: MemoryTable,
    pub(crate) rules: Arc<Rules>,
    pub(crate) now: u64,
    /// No cookie reaches a browser any more.
    pub(crate) left: bool,
    /// From this question on.
    pub(crate) leaves_at: Option<Question>,
    /// Another handle has the cookie.
    pub(crate) taken: bool,
    /// The last operation has reserved the cookie.
    pub(crate) reserved: bool,
    /// How the store answers questions of a kind that it does not do.
    pub(crate) fails: Option<(Question, Answered)>,
    /// The questions to the store, and their purposes.
    pub(crate) asked: Vec<(Question, Purpose)>,
    pub(crate) events: Vec<Event>,
    pub(crate) out_of_use: Vec<SessionId>,
    pub(crate) touched: Vec<SessionId>,
    /// Numbers of random bytes so far.
    entropy: u8,
    /// The function of an update.
    pub(crate) compute: fn(&str) -> String,
}

/// An operation of an application.
#[derive(Debug)]
pub(crate) enum Act {
    Open(Cookies),
    Save(Changes),
    Assigned(Changes),
    Update(Option<Changes>),
    Touch,
    Renew,
    Regenerate,
    Destroy,
    LogIn,
    /// The milliseconds since the visitor has proven their identity.
    LogInProven(u64),
    /// The provider's tokens.
    LogInWith(Grant),
    /// The key, the value, and its lifetime in milliseconds.
    Put(&'static str, &'static str, u64),
    Take(&'static str),
    ConfirmUser,
    /// The lease and the time that was waited, in milliseconds. [`Visit::taken`] then shows how it was found.
    Claim(Option<Changes>, u64, u64),
    /// The token, and the result.
    Settle(String, Result<&'static str, ()>),
    /// Finds tokens. [`Visit::taken`] then shows how.
    Tokens(Wanted<'static>),
    /// The text of the tokens that are refreshed, if any are.
    KeepTokens(Option<String>, Answer),
    Refresh,
    Finish(Option<Changes>),
    Confirm,
}

impl Site {
    /// Creates a site with these options, the JSON text of an object.
    pub(crate) fn new(options: &str) -> Self {
        // The last of two members counts.
        let options = options.replacen('{', r#"{"atomic":true,"#, 1).replace(",}", "}");
        let text = OptionsText::read(&options).unwrap();
        let rules = text.rules(Options::new(text.input().unwrap()).unwrap()).unwrap();
        Self {
            table: MemoryTable::new(MemoryLimits::default()),
            rules: Arc::new(rules),
            now: 1_000_000,
            left: false,
            leaves_at: None,
            taken: false,
            reserved: false,
            fails: None,
            asked: Vec::new(),
            events: Vec::new(),
            out_of_use: Vec::new(),
            touched: Vec::new(),
            entropy: 0,
            compute: |_| panic!("no function of an update"),
        }
    }

    /// A request with these IDs in its cookies.
    pub(crate) fn visit(&mut self, ids: &[&SessionId]) -> Visit {
        let ids: Vec<_> = ids.iter().map(|&id| id.clone()).collect();
        let mut visit = Visit::default();
        let cookies = Cookies { present: !ids.is_empty(), ids, ..Cookies::default() };
        self.does(&mut visit, Act::Open(cookies)).unwrap();
        visit
    }

    /// A session that is stored, and its ID.
    pub(crate) fn session(&mut self) -> SessionId {
        let mut visit = self.visit(&[]);
        assert_eq!(self.does(&mut visit, Act::Save(changes("{}", r#"{"n":1}"#))), Ok(true));
        self.take();
        id_of(&visit)
    }

    /// The names of the events since it was asked last.
    pub(crate) fn take(&mut self) -> Vec<&'static str> {
        self.asked.clear();
        self.events.drain(..).map(|event| event.name()).collect()
    }

    /// Questions to the store since this was asked last.
    pub(crate) fn questions(&mut self) -> Vec<Question> {
        self.asked.drain(..).map(|(question, _)| question).collect()
    }

    /// The record of this ID.
    pub(crate) fn text(&mut self, id: &SessionId) -> String {
        self.table.get(id.expose(), UnixMillis(self.now)).unwrap().to_owned()
    }

    /// The data in the record of this ID.
    pub(crate) fn data(&mut self, id: &SessionId) -> Option<String> {
        let text = self.table.get(id.expose(), UnixMillis(self.now))?;
        let record = vestiary::Record::decode(text, vestiary::Limits::LOAD).unwrap();
        record.meta().next.is_none().then(|| record.data().to_owned())
    }

    /// Does it. Before and after it, the visit is text only.
    pub(crate) fn does(&mut self, visit: &mut Visit, act: Act) -> Result<bool, Stopped> {
        let failure = match &visit.state {
            State::Unreadable(error) | State::Unavailable(error) => Some(error.clone()),
            _ => None,
        };
        visit.view = View::Kept;
        let limits = self.rules.options.load_limits();
        let text = visit.text(limits).unwrap();
        let before = Visit::of_text(&text, failure, |text| vestiary::Record::decode(text, limits));
        let before = before.unwrap();
        assert_eq!(before.text(limits).unwrap(), text);
        let facts = Rc::new(Facts::default());
        let (rules, shared) = (Arc::clone(&self.rules), Rc::clone(&facts));
        let pending = Pending::new(async move |post| run(post, shared, rules, before, act).await);
        let (after, done, spent) = self.drive(pending, &facts);
        (*visit, self.reserved) = (after, facts.reserved.get());
        for spent in spent {
            let rules = Arc::clone(&self.rules);
            let tidying = Pending::new(async move |mut post| {
                session::tidy(&mut post, &rules, &spent).await;
                Ok(())
            });
            self.drive(tidying, &facts);
        }
        done
    }

    /// The cookie that leaves.
    pub(crate) fn cookie(&self, visit: &Visit) -> String {
        match visit.outgoing(&self.page()) {
            Outgoing::Nothing => String::new(),
            Outgoing::Session { own, .. } => format!("session{}", shown(own.as_ref())),
            Outgoing::Removal { own } | Outgoing::Expired { own, .. } => {
                format!("removal{}", shown(own.as_ref()))
            }
        }
    }

    /// This process revokes the session of the visit.
    pub(crate) fn revokes(&mut self, visit: &mut Visit, by_itself: bool) {
        let (facts, mut seen) = (Rc::new(Facts::default()), visit.clone());
        let shared = Rc::clone(&facts);
        let revoking = Pending::new(async move |post| {
            seen.revoked(&mut Page::new(post, shared), by_itself);
            Ok(seen)
        });
        *visit = self.drive(revoking, &facts);
    }

    fn known(&self) -> Known {
        let (out_of_use, touched) = (self.out_of_use.clone(), self.touched.clone());
        Known { left: self.left, taken: self.taken, out_of_use, touched }
    }

    fn page(&self) -> Page {
        let facts = Rc::new(Facts::default());
        facts.learn(self.known());
        let mut asking = Pending::new(async |post| Ok::<_, Stopped>(Page::new(post, facts)));
        let effect =
            asking.poll(Answered::Begin, UnixMillis(self.now), 0, &[0; Pending::<()>::ENTROPY]);
        let Effect::Finished(Ok(page)) = effect else { panic!() };
        page
    }

    fn drive<T: std::fmt::Debug>(&mut self, mut pending: Pending<T>, facts: &Facts) -> T {
        let mut answer = Answered::Begin;
        loop {
            facts.learn(self.known());
            self.entropy += 1;
            let effect = pending.poll(
                answer,
                UnixMillis(self.now),
                0,
                &[self.entropy; Pending::<()>::ENTROPY],
            );
            for report in pending.reports() {
                match report {
                    Report::Event(event) => self.events.push(event),
                    Report::OutOfUse(id) => self.out_of_use.push(id),
                    Report::Touched(id) => self.touched.push(id),
                    Report::Failed(_) => self.events.push(Event::StoreFailed { code: "" }),
                }
            }
            answer = match effect {
                Effect::Call(asked) => {
                    self.asked.push((asked.kind, facts.purpose.get()));
                    self.left |= self.leaves_at == Some(asked.kind);
                    match &self.fails {
                        Some((kind, answer)) if *kind == asked.kind => answer.clone(),
                        _ => Answered::Reply(self.reply(&asked)),
                    }
                }
                Effect::Calls(_) => panic!("one call after the other"),
                Effect::Sleep(_) => Answered::Slept,
                Effect::Compute(data) => Answered::Computed((self.compute)(&data)),
                Effect::Migrate(data, _) => Answered::Computed(data),
                Effect::NewId => {
                    Answered::NewId(NewId::Random(SessionId::from_entropy(&[self.entropy; 24])))
                }
                Effect::Finished(ended) => return ended.unwrap(),
            };
        }
    }

    fn reply(&mut self, asked: &Asked) -> Reply {
        let (key, now, text) = (asked.key.as_str(), UnixMillis(self.now), asked.text.as_str());
        let expected = asked.expected.as_ref().map(WriteId::as_str);
        let outcome = match asked.kind {
            Question::Read => {
                let found = self.table.get(key, now);
                return found.map_or(Reply::Gone, |text| Reply::Text(text.to_owned()));
            }
            Question::ReadTwo => {
                let one = self.table.get(key, now).map(str::to_owned);
                return Reply::Two(one, Some(self.table.get(text, now).map(str::to_owned)));
            }
            Question::ReadTimed => {
                return Reply::Timed(self.table.get(key, now).map(str::to_owned), None);
            }
            Question::Stamp => return Reply::Timed(None, None),
            Question::Confirm => return Reply::Confirmed(Some(true)),
            // A store that is not atomic writes whatever there is.
            Question::Create | Question::Replace if !self.rules.atomic => {
                self.table.set(key, text, asked.ttl, now).unwrap();
                return Reply::Done;
            }
            Question::Remove if !self.rules.atomic => {
                self.table.remove(key);
                return Reply::Done;
            }
            Question::Touch if !self.rules.atomic => {
                self.table.touch(key, asked.ttl, now);
                return Reply::Done;
            }
            Question::Create => self.table.create(key, text, asked.ttl, asked.owned, now).unwrap(),
            Question::Replace => self.table.replace(key, expected, text, asked.ttl, now).unwrap(),
            Question::Touch => self.table.touch_by_write_id(key, expected, asked.ttl, now),
            Question::Remove => self.table.remove_by_write_id(key, expected, now),
        };
        match outcome {
            Outcome::Done => Reply::Done,
            Outcome::Conflict => Reply::Conflict,
            Outcome::Gone => Reply::Gone,
        }
    }
}

fn shown_claim(found: Claim) -> String {
    match found {
        Claim::Held(token) => format!("held {token}"),
        Claim::Wait(millis) => format!("wait {millis}"),
        Claim::Done(result) => format!("done {result:?}"),
        found => format!("{found:?}"),
    }
}

async fn run(
    post: Post,
    facts: Rc<Facts>,
    rules: Arc<Rules>,
    mut visit: Visit,
    act: Act,
) -> Result<(Visit, Result<bool, Stopped>, Vec<Spent>), Stopped> {
    let (mut page, rules, seen) = (Page::new(post, facts), &*rules, &mut visit);
    let mut spent = Vec::new();
    let page = &mut page;
    let done = match act {
        Act::Open(cookies) => {
            spent = visit::open(page, rules, seen, cookies).await;
            Ok(true)
        }
        Act::Save(changes) => visit::save(page, rules, seen, changes).await,
        Act::Assigned(changes) => visit::assigned(page, rules, seen, changes).await.map(|()| true),
        Act::Update(changes) => visit::update(page, rules, seen, changes).await,
        Act::Touch => visit::touch(page, rules, seen).await.map(|()| true),
        Act::Renew => visit::renew(page, rules, seen).await.map(|()| true),
        Act::Regenerate => visit::regenerate(page, rules, seen).await.map(|()| true),
        Act::Destroy => visit::destroy(page, rules, seen).await.map(|()| true),
        Act::LogIn => log_in(page, rules, seen, 0, None).await,
        Act::LogInProven(ago) => log_in(page, rules, seen, ago, None).await,
        Act::LogInWith(grant) => log_in(page, rules, seen, 0, Some(grant)).await,
        Act::Put(key, value, millis) => {
            visit::put(page, rules, seen, key.to_owned(), value.to_owned(), millis).await
        }
        Act::Take(key) => visit::take(page, rules, seen, key.to_owned()).await.map(|()| true),
        Act::ConfirmUser => visit::confirm_user(page, rules, seen).await,
        Act::Claim(changes, lease, waited) => {
            let claimed = visit::claim(page, rules, seen, changes, "a", lease, waited).await;
            claimed.map(|found| {
                seen.taken = Some(shown_claim(found));
                true
            })
        }
        Act::Tokens(wanted) => {
            let found = visit::tokens(page, rules, seen, wanted).await;
            found.map(|found| {
                seen.taken = Some(shown_claim(found));
                true
            })
        }
        Act::KeepTokens(held, answer) => visit::keep_tokens(page, rules, seen, held, answer).await,
        Act::Settle(token, result) => visit::settle(page, rules, seen, "a", token, result).await,
        Act::Refresh => {
            visit::refresh(page, rules, seen).await;
            Ok(true)
        }
        Act::Finish(changes) => visit::finish(page, rules, seen, changes).await.map(|()| true),
        Act::Confirm => {
            visit::confirm(page, rules, seen).await;
            Ok(true)
        }
    };
    Ok((visit, done, spent))
}

/// A login of the user `ada`.
async fn log_in(
    page: &mut Page,
    rules: &Rules,
    visit: &mut Visit,
    ago: u64,
    tokens: Option<Grant>,
) -> Result<bool, Stopped> {
    let now = page.host().now();
    let join = session::Join {
        name: "ada",
        label: None,
        device: vestiary::Device::default(),
        proven: UnixMillis(now.0 - ago),
        own_end: None,
        cookie: None,
        provider: None,
        tokens,
    };
    visit::log_in(page, rules, visit, &join, "{}").await
}

/// A change of the data.
pub(crate) fn changes(base: &str, mine: &str) -> Changes {
    Changes { base: base.to_owned(), mine: mine.to_owned(), cookie: None, assigned: false }
}

/// The ID of the visit's session.
pub(crate) fn id_of(visit: &Visit) -> SessionId {
    visit.session().unwrap().id.clone()
}

fn shown(own: Option<&CookieOverrides>) -> String {
    own.map(|own| format!(" {}", own.as_str())).unwrap_or_default()
}
