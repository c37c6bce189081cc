//! Processes with near caches on random schedules: requests with one session, whose replies arrive late or never, while the
//! feed of the store delays, loses and reorders its messages, and loses its connection.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};

use serde_json::{Value, json};
use vestiary::{
    Device, Meta, Moment, Options, OptionsInput, Reading, SessionId, Timeouts, Ttl, UnixMillis,
    binding::Shown,
    protocol::{
        Answered, Asked, Change, CookieEdit, Doubt, Effect, NewId, Pending, Question, Reply, Rules,
        Seen, Source, Stopped, TRIES, UserSessions, Written,
    },
    session::{self, Found, Join},
};

use crate::{
    chance::{Chance, Seeds},
    operations,
    process::{Message, Process},
    store::{Kin, Store},
};

#[test]
fn near_caches_lose_nothing_and_admit_no_ended_session_beyond_the_bound() {
    let Seeds { count, range, are_few } = Seeds::of_environment();
    let mut counts = Counts::default();
    for seed in range {
        let mut schedule = Schedule::new(seed);
        schedule.play();
        let faults = schedule.faults();
        assert!(faults.is_empty(), "seed {seed}: {faults:?}\n{}", schedule.log.join("\n"));
        counts.hits += schedule.counts.hits;
        counts.misses += schedule.counts.misses;
        counts.stale += schedule.counts.stale;
        counts.again += schedule.counts.again;
        counts.saved += schedule.saved.len();
    }
    println!("{count} schedules: {counts:?}");
    let Counts { hits, misses, stale, again, saved } = counts;
    assert!(
        are_few || [hits, misses, stale, again, saved].iter().all(|&some| some > 100),
        "{counts:?}"
    );
}

/// How often sessions were opened without and with the store, or after they had ended; and the number of saves.
#[derive(Debug, Default)]
struct Counts {
    hits: usize,
    misses: usize,
    stale: usize,
    /// How often an answer of the cache was given again.
    again: usize,
    saved: usize,
}

/// The age at which an entry answers no longer.
const MAX_STALE: u64 = 1_000;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Want {
    Visit,
    Save,
    Update,
    Renew,
    LogOut,
    EndAll,
}

#[derive(Debug)]
enum End {
    Opened(session::Opening),
    Written(Written),
    Renewed(Option<Box<Seen>>),
    Over,
}

/// An ID that a browser has.
#[derive(Clone)]
struct Cookie {
    id: SessionId,
    /// When the browser got it, and the number of renewals before.
    since: UnixMillis,
    renewals: usize,
}

struct Request {
    number: usize,
    process: usize,
    want: Want,
    began: UnixMillis,
    cookie: Cookie,
    /// Whether its process knew then that the session had ended.
    knew_end: bool,
    /// The writes of all requests before it.
    writes: usize,
    /// Whether it has asked the store.
    asked_store: bool,
    running: Pending<End>,
    asked: Asked,
    /// The read that is under way.
    reading: Option<Reading>,
    /// The answer that is on its way.
    answer: Option<Answered>,
}

pub(crate) struct Schedule {
    chance: Chance,
    rules: Arc<Rules>,
    store: Store,
    processes: Vec<Process>,
    requests: Vec<Request>,
    late: Vec<Asked>,
    /// The IDs that browsers have.
    cookies: Vec<Cookie>,
    /// The number of renewals.
    renewals: usize,
    list: String,
    handle: Option<vestiary::Handle>,
    now: UnixMillis,
    left: usize,
    number: usize,
    writes: usize,
    saved: BTreeMap<usize, Want>,
    ended: Option<UnixMillis>,
    /// Whether a request has begun to end the session.
    ends: bool,
    noticed: BTreeSet<&'static str>,
    counts: Counts,
    log: Vec<String>,
}

impl Schedule {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let renews = chance.percent(20).then_some(2.0);
        let options = OptionsInput {
            hash_ids: chance.percent(10),
            max_stale: Some(f64::from(u32::try_from(MAX_STALE).unwrap())),
            timeouts: Timeouts::new(None, None, renews, None).unwrap(),
            ..OptionsInput::default()
        };
        let rules = Arc::new(Rules {
            options: Options::new(options).unwrap().into(),
            keys: None,
            seals: None,
            atomic: true,
            migrates: false,
            resends: false,
            default_ttl: Ttl::Millis(3_600_000),
        });
        let processes = (0..2 + chance.below(2)).map(|_| Process::default());
        let list = rules.options.user_key("ada");
        let mut schedule = Self {
            processes: processes.collect(),
            rules,
            store: Store::new(Kin::Atomic),
            requests: Vec::new(),
            late: Vec::new(),
            cookies: Vec::new(),
            renewals: 0,
            list,
            handle: None,
            now: UnixMillis(1_000_000),
            left: 6 + chance.below(18),
            number: 0,
            writes: 0,
            saved: BTreeMap::new(),
            ended: None,
            ends: false,
            noticed: BTreeSet::new(),
            counts: Counts::default(),
            log: Vec::new(),
            chance,
        };
        schedule.store.stale = 0;
        schedule.store.now = schedule.now;
        schedule.begin_session();
        schedule
    }

    /// Creates the session that all requests have.
    fn begin_session(&mut self) {
        let (rules, is_owned) = (Arc::clone(&self.rules), self.chance.percent(70));
        let proven = self.now;
        let mut pending = Pending::new(async move |mut host| {
            let device = Device { browser: "", system: "", address: "" };
            let join = Join {
                name: "ada",
                label: None,
                device,
                proven,
                own_end: None,
                cookie: None,
                provider: None,
                tokens: None,
            };
            let user =
                if is_owned { session::enter(&mut host, &rules, &join).await? } else { None };
            let data = r#"{"log":[]}"#;
            let record = session::new_record(&mut host, &rules, data, Meta::owned(user))?;
            session::create(&mut host, &rules, record).await
        });
        let mut answer = Answered::Begin;
        loop {
            answer = match pending.poll(answer, self.now, 0, &self.chance.bytes()) {
                Effect::Call(asked) => Answered::Reply(self.apply(&asked)),
                Effect::NewId => Answered::NewId(NewId::Random(self.chance.id())),
                Effect::Finished(seen) => {
                    let seen = *seen.unwrap();
                    self.handle = seen.record.meta().user.as_ref().map(|user| user.handle.clone());
                    return self.get(seen.id);
                }
                effect => panic!("{effect:?}"),
            };
        }
    }

    pub(crate) fn play(&mut self) {
        for _ in 0..3_000 {
            self.pass();
            self.feed();
            if !self.late.is_empty() && self.chance.percent(10) {
                let asked = self.late.swap_remove(self.chance.below(self.late.len()));
                let reply = self.apply(&asked);
                self.note("late", &asked, &reply);
            }
            let begins = self.requests.is_empty() || self.chance.percent(25);
            if self.left > 0 && begins && self.requests.len() < 4 {
                self.left -= 1;
                self.send();
                continue;
            }
            if self.requests.is_empty() {
                return;
            }
            let request = self.requests.swap_remove(self.chance.below(self.requests.len()));
            self.step(request);
        }
        panic!("a request never ends");
    }

    fn pass(&mut self) {
        let most = if self.chance.percent(95) { 20 } else { MAX_STALE };
        self.now = self.now.plus(self.chance.next() % most);
        self.store.now = self.now;
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now, elapsed: self.now.0 * 1_000 }
    }

    /// Delivers or loses messages of the feed, in any order, and loses and restores its connections.
    fn feed(&mut self) {
        for process in &mut self.processes {
            if self.chance.percent(3) {
                process.is_connected = !process.is_connected;
                process.messages.clear();
                if process.is_connected {
                    process.cache.0.borrow_mut().clear();
                }
            }
            if process.messages.is_empty() || !self.chance.percent(25) {
                continue;
            }
            let at = self.chance.below(process.messages.len());
            let Message { name, tells_end } = process.messages.swap_remove(at);
            if self.chance.percent(80) {
                process.cache.0.borrow_mut().changed(&name);
                process.knows_end |= tells_end;
            }
        }
    }

    /// A browser sends a request to one of the processes.
    fn send(&mut self) {
        let want = match self.chance.below(20) {
            0..14 => Want::Visit,
            14 => Want::Update,
            15 | 16 => Want::Save,
            17 => Want::Renew,
            18 => Want::LogOut,
            _ => Want::EndAll,
        };
        let process = self.chance.below(self.processes.len());
        // One of the last two.
        let last = self.chance.below(self.cookies.len().min(2));
        let cookie = self.cookies[self.cookies.len() - 1 - last].clone();
        let id = cookie.id.clone();
        let rules = Arc::clone(&self.rules);
        let running = Pending::new(async move |mut host| {
            let opening = session::open(&mut host, &rules, &[id], &Shown::default()).await;
            opening.map(End::Opened)
        });
        self.number += 1;
        let request = Request {
            number: self.number,
            process,
            want,
            began: self.now,
            cookie,
            knew_end: self.processes[process].knows_end,
            writes: self.writes,
            asked_store: false,
            running,
            asked: operations::read(&self.cookies[0].id),
            reading: None,
            answer: None,
        };
        let known = self.processes[process].known(&request.cookie.id, self.now);
        let Some(seen) = known else { return self.go_on(request, Answered::Begin) };
        self.counts.again += 1;
        if let Some(running) = self.admitted(&request, seen, false) {
            self.go_on(Request { running, ..request }, Answered::Begin);
        }
    }

    /// The store performs the call of a request, or its reply arrives.
    fn step(&mut self, mut request: Request) {
        let cache = Rc::clone(&self.processes[request.process].cache);
        let asked = request.asked.clone();
        let luck = self.chance.below(100);
        let Some(answer) = request.answer.take() else {
            // The request dies. Its process still knows that it has written.
            if luck < 2 {
                if !is_read(&asked) {
                    cache.0.borrow_mut().changed(&asked.key);
                }
                return;
            }
            let answer = match luck {
                2..6 => {
                    self.apply(&asked);
                    Answered::Lost(1)
                }
                6..9 => Answered::Lost(1),
                9..12 => {
                    self.late.push(asked.clone());
                    Answered::Lost(1)
                }
                _ => Answered::Reply(self.apply(&asked)),
            };
            self.note(&format!("{}", request.number), &asked, &answer);
            request.answer = Some(answer);
            return self.requests.push(request);
        };
        match (&answer, request.reading.take()) {
            (Answered::Reply(Reply::Text(text)), Some(reading)) => {
                cache.0.borrow_mut().put(&asked.key, text, reading);
            }
            (_, Some(_)) => {}
            (_, None) => cache.0.borrow_mut().changed(&asked.key),
        }
        self.go_on(request, answer);
    }

    /// The store performs a call, and tells all processes of a change.
    fn apply(&mut self, asked: &Asked) -> Reply {
        if asked.kind == Question::Stamp {
            return Reply::Timed(None, None);
        }
        if asked.kind == Question::ReadTimed {
            let text = self.store.text(&asked.key).map(ToOwned::to_owned);
            return Reply::Timed(text, Some(self.now));
        }
        let reply = self.store.apply(asked, &mut self.chance);
        if !is_read(asked) && reply == Reply::Done {
            self.writes += 1;
            self.renewals += usize::from(asked.text.contains("\"next\":"));
            let tells_end = asked.key == self.list && !self.is_listed();
            for process in self.processes.iter_mut().filter(|process| process.is_connected) {
                let name = name_of(&asked.key);
                process.messages.push(Message { name, tells_end });
            }
        }
        reply
    }

    /// Lets the operation run to its next call, or to its end.
    fn go_on(&mut self, mut request: Request, mut answer: Answered) {
        let source: Rc<dyn Source> = Rc::clone(&self.processes[request.process].cache) as _;
        loop {
            let (entropy, moment) = (self.chance.bytes(), self.moment());
            request.running.answer_by(Rc::clone(&source), false);
            let (now, elapsed) = (moment.now, moment.elapsed);
            answer = match request.running.poll(answer, now, elapsed, &entropy) {
                Effect::Finished(Ok(End::Opened(opening))) => {
                    let Some(running) = self.opened(&request, opening) else { return };
                    request.running = running;
                    Answered::Begin
                }
                Effect::Finished(end) => return self.finished(&request, end),
                Effect::Call(asked) => {
                    let cache = self.processes[request.process].cache.0.borrow();
                    let name = name_of(&asked.key);
                    request.reading =
                        is_read(&asked).then(|| cache.reading(&asked.key, &name, moment));
                    drop(cache);
                    (request.asked, request.asked_store) = (asked, true);
                    return self.requests.push(request);
                }
                Effect::Sleep(_) => Answered::Slept,
                Effect::NewId => Answered::NewId(NewId::Random(self.chance.id())),
                Effect::Compute(data) => {
                    let mut data: Value = serde_json::from_str(&data).unwrap();
                    data["log"].as_array_mut().unwrap().push(json!(request.number));
                    Answered::Computed(data.to_string())
                }
                effect => panic!("{effect:?}"),
            };
        }
    }

    /// The session of a request was looked for. Returns the operation on it, if it was found.
    fn opened(&mut self, request: &Request, opening: session::Opening) -> Option<Pending<End>> {
        let number = request.number;
        let Found::Session(loaded) = opening.found else {
            self.log.push(format!("{number}: not admitted"));
            // Few renewals are followed, and only for a while.
            let Cookie { since, renewals, .. } = request.cookie;
            let leads = self.renewals - renewals < 3 && self.now < since.plus(25_000);
            if !self.ends && leads {
                self.noticed.insert("a living session was taken for ended");
            }
            return None;
        };
        if let Some(ticket) = request.running.ticket() {
            let now = self.now;
            let answers = &mut self.processes[request.process].answers;
            answers.insert(
                request.cookie.id.expose().to_owned(),
                (ticket, now, loaded.session.clone()),
            );
        }
        self.admitted(request, loaded.session, loaded.due)
    }

    /// The operation of a request on its session.
    fn admitted(&mut self, request: &Request, seen: Seen, is_due: bool) -> Option<Pending<End>> {
        let number = request.number;
        self.log.push(format!("{number}: admitted at {} by {}", self.now.0, request.process));
        self.counts.hits += usize::from(!request.asked_store);
        self.counts.misses += usize::from(request.asked_store);
        // An anonymous session has no list. Its process may not know that another one has renewed it under an earlier ID.
        let is_last = request.cookie.renewals == self.renewals;
        if request.knew_end && (self.handle.is_some() || is_last) {
            self.noticed.insert("a process admitted a session that it knew to have ended");
        }
        if let Some(ended) = self.ended.filter(|ended| request.began > *ended) {
            self.counts.stale += 1;
            if request.began >= ended.plus(MAX_STALE) {
                self.noticed.insert("a session was admitted beyond the bound");
            }
        }
        let rules = Arc::clone(&self.rules);
        let key = format!("key{number}");
        Some(match request.want {
            Want::Visit if is_due => Pending::new(async move |mut host| {
                session::renew(&mut host, &rules, seen).await.map(End::Renewed)
            }),
            Want::Visit => return None,
            Want::Save | Want::Update => {
                let base: Value = serde_json::from_str(seen.record.data()).unwrap();
                let mut mine = base.clone();
                mine[key] = json!(number);
                let change = match request.want {
                    Want::Update => Change::Rerun,
                    _ => Change::Merge { base: base.to_string(), mine: mine.to_string() },
                };
                Pending::new(async move |mut host| {
                    let edit = CookieEdit::default();
                    session::save(&mut host, &rules, seen, &change, edit).await.map(End::Written)
                })
            }
            Want::Renew => Pending::new(async move |mut host| {
                session::renew(&mut host, &rules, seen).await.map(End::Renewed)
            }),
            Want::LogOut => {
                self.ends = true;
                Pending::new(async move |mut host| {
                    session::destroy(&mut host, &rules, seen).await.map(|_| End::Over)
                })
            }
            Want::EndAll if self.handle.is_none() => return None,
            Want::EndAll => {
                self.ends = true;
                Pending::new(async move |mut host| {
                    session::end_all(&mut host, &rules, "ada", None).await.map(|_| End::Over)
                })
            }
        })
    }

    /// A browser gets a cookie with this ID.
    fn get(&mut self, id: SessionId) {
        self.cookies.push(Cookie { id, since: self.now, renewals: self.renewals });
    }

    fn finished(&mut self, request: &Request, end: Result<End, Stopped>) {
        let number = request.number;
        match end {
            Ok(End::Written(Written::Saved { .. })) => {
                self.log.push(format!("{number}: saved"));
                self.saved.insert(number, request.want);
            }
            Ok(End::Written(Written::Gone) | End::Renewed(None)) => {
                self.log.push(format!("{number}: gone"));
                if !self.ends {
                    self.noticed.insert("a living session was taken for ended");
                }
            }
            Ok(End::Renewed(Some(seen))) => self.get(seen.id),
            Ok(End::Over) => {
                self.log.push(format!("{number}: over at {}", self.now.0));
                self.ended.get_or_insert(self.now);
                self.processes[request.process].knows_end = true;
            }
            Err(Stopped::Doubt(Doubt::Busy)) if self.writes - request.writes < TRIES.into() => {
                self.noticed.insert("a request gave up, although hardly any other wrote");
            }
            Ok(End::Opened(_)) | Err(_) => {}
        }
    }

    /// The violated invariants.
    pub(crate) fn faults(&self) -> Vec<&'static str> {
        let mut faults: Vec<_> = self.noticed.iter().copied().collect();
        let records = self.cookies.iter().filter_map(|Cookie { id, .. }| {
            let text = self.store.text(&self.rules.options.store_key(id))?;
            let record = vestiary::Record::decode(text, vestiary::Limits::LOAD).unwrap();
            record.next(id).unwrap().is_none().then_some(record)
        });
        let records: Vec<_> = records.collect();
        if self.ended.is_some() && self.is_listed() && !records.is_empty() {
            faults.push("an ended session is back");
        }
        for record in records {
            let data: Value = serde_json::from_str(record.data()).unwrap();
            let log = data["log"].as_array().unwrap();
            for (number, want) in &self.saved {
                let entries = log.iter().filter(|entry| **entry == json!(number)).count();
                let is_there = match want {
                    Want::Update => entries > 0,
                    _ => data.get(format!("key{number}")).is_some(),
                };
                if !is_there {
                    faults.push("an acknowledged change is lost");
                }
                if entries > 1 {
                    faults.push("a change was made twice");
                }
            }
        }
        faults
    }

    /// Whether the session is in its user's list, or belongs to no user.
    fn is_listed(&self) -> bool {
        let Some(handle) = &self.handle else { return true };
        let text = self.store.text(&self.list);
        text.is_some_and(|text| UserSessions::decode(text).unwrap().knows(handle))
    }

    fn note(&mut self, who: &str, asked: &Asked, reply: &dyn std::fmt::Debug) {
        let Asked { kind, key, text, .. } = asked;
        self.log.push(format!("{} {who}: {kind:?} {key} {text} -> {reply:?}", self.now.0));
    }
}

fn is_read(asked: &Asked) -> bool {
    matches!(asked.kind, Question::Read | Question::ReadTimed)
}

/// The name of a key in the feed.
fn name_of(key: &str) -> String {
    format!("the name of {key}")
}
