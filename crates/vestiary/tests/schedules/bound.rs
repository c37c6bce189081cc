//! Device-bound sessions on random schedules: registrations and refreshes of a browser, beside its visits, renewals, a
//! logout or the end of all sessions, and a thief who has its session cookie, with crashes, lost and late requests, lost
//! replies, and stale reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};

use vestiary::{
    Device, KeyRing, Limits, Options, OptionsInput, Record, SessionId, Timeouts, Ttl, UnixMillis,
    binding::{Answer, Exchange, Shown, registration},
    protocol::{Answered, Asked, Effect, NewId, Pending, Question, Reply, Rules, Seen, Stopped},
    session::{self, Join},
    visit::{self, Cookies, Outgoing, Page, State, Visit},
};

use crate::{
    chance::{Chance, Seeds},
    device::{Who, key_of, name_of, point, proof, value_of},
    store::{Kin, Store},
};

#[test]
fn a_bound_session_needs_its_device_and_a_challenge_counts_once() {
    let Seeds { count, range, are_few } = Seeds::of_environment();
    let mut counts = Counts::default();
    for seed in range {
        let mut schedule = Schedule::new(seed);
        schedule.play();
        let faults = schedule.faults();
        assert!(faults.is_empty(), "seed {seed}: {faults:?}\n{}", schedule.log.join("\n"));
        counts.add(&schedule.counts);
    }
    println!("{count} schedules: {counts:?}");
    let Counts { registered, refreshed, asked, refused, barred, lost } = counts;
    let all = [registered, refreshed, asked, refused, barred, lost];
    assert!(are_few || all.iter().all(|&some| some > 100), "{counts:?}");
}

/// How often browsers were answered, thieves were barred, and answers were lost.
#[derive(Debug, Default)]
struct Counts {
    registered: usize,
    refreshed: usize,
    asked: usize,
    refused: usize,
    barred: usize,
    lost: usize,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.registered += other.registered;
        self.refreshed += other.refreshed;
        self.asked += other.asked;
        self.refused += other.refused;
        self.barred += other.barred;
        self.lost += other.lost;
    }
}

/// The lifetime of a bound cookie, and the grace period, in milliseconds.
const MAX_AGE: u64 = 20_000;
const GRACE: u64 = 5_000;

/// For how long a replica may be behind.
const BEHIND: u64 = 30_000;

#[derive(Clone, Debug)]
enum Want {
    /// A page, with this bound cookie.
    Visit(Option<String>),
    Renew,
    LogOut,
    EndAll,
    Register {
        by: Who,
        challenge: String,
    },
    Refresh {
        by: Who,
        challenge: Option<String>,
    },
}

#[derive(Debug)]
enum End {
    Opened(Found),
    Answered(Answer, Option<SessionId>),
    Renewed(Option<SessionId>),
    Over,
}

#[derive(Debug, Eq, PartialEq)]
enum Found {
    Session,
    Unbound,
    Other,
}

struct Request {
    number: usize,
    want: Want,
    began: UnixMillis,
    /// Whether the session was already bound then, for so long that every replica knows it.
    was_bound: bool,
    /// Whether the session was already ended then.
    was_ended: bool,
    running: Pending<End>,
    asked: Asked,
}

pub(crate) struct Schedule {
    chance: Chance,
    rules: Arc<Rules>,
    store: Store,
    /// How long a stale replica may hide a registration, in milliseconds.
    behind: u64,
    requests: Vec<Request>,
    late: Vec<Asked>,
    /// The IDs that the browser has had.
    ids: Vec<SessionId>,
    /// The IDs of all records, also of those that no browser knows.
    created: Vec<SessionId>,
    /// The challenge that the login has offered.
    offer: String,
    /// The challenges that the browser and the thief have seen.
    challenges: Vec<String>,
    /// The bound cookies of the owner, with their ends; and one of the thief's own session.
    cookies: Vec<(String, UnixMillis)>,
    foreign: String,
    /// The key in the record, since it is there, and when it was registered.
    key: Option<(String, UnixMillis)>,
    /// The proofs that were answered with a bound cookie.
    answered: BTreeMap<(Who, String), usize>,
    is_registered: bool,
    ended: bool,
    may_end: bool,
    now: UnixMillis,
    left: usize,
    number: usize,
    noticed: BTreeSet<&'static str>,
    counts: Counts,
    log: Vec<String>,
}

impl Schedule {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let options = OptionsInput {
            device_bound: true,
            bound_max_age: Some(20.0),
            timeouts: Timeouts::new(None, None, None, Some(5.0)).unwrap(),
            ..OptionsInput::default()
        };
        let rules = Arc::new(Rules {
            options: Options::new(options).unwrap().into(),
            keys: Some(Arc::new(KeyRing::new(&["a secret of the schedules"]).unwrap())),
            seals: None,
            atomic: true,
            migrates: false,
            resends: false,
            default_ttl: Ttl::Millis(3_600_000),
        });
        let mut store = Store::new(Kin::Atomic);
        let is_stale = chance.percent(50);
        store.stale = 0;
        let mut schedule = Self {
            rules,
            store,
            behind: if is_stale { BEHIND } else { 0 },
            requests: Vec::new(),
            late: Vec::new(),
            ids: Vec::new(),
            created: Vec::new(),
            offer: String::new(),
            challenges: Vec::new(),
            cookies: Vec::new(),
            foreign: String::new(),
            key: None,
            answered: BTreeMap::new(),
            is_registered: false,
            ended: false,
            may_end: false,
            now: UnixMillis(1_000_000),
            left: 10 + chance.below(16),
            number: 0,
            noticed: BTreeSet::new(),
            counts: Counts::default(),
            log: Vec::new(),
            chance,
        };
        schedule.foreign = schedule.foreign_cookie();
        let (id, offer) = schedule.log_in("ada");
        (schedule.ids, schedule.offer) = (vec![id], offer);
        schedule.store.stale = if is_stale { 5 } else { 0 };
        schedule
    }

    /// Logs a user in. Returns the ID of the session, and the challenge that is offered.
    fn log_in(&mut self, name: &'static str) -> (SessionId, String) {
        let (rules, proven) = (Arc::clone(&self.rules), self.now);
        let seen: Seen = self.run(Pending::new(async move |mut host| {
            let device = Device { browser: "", system: "", address: "" };
            let (label, own_end, cookie, provider, tokens) = (None, None, None, None, None);
            let join = Join { name, label, device, proven, own_end, cookie, provider, tokens };
            let logged_in = session::log_in(&mut host, &rules, None, &join, "{}").await?;
            Ok(*logged_in.unwrap())
        }));
        let header = registration(&self.rules, seen.record.meta()).unwrap();
        (seen.id, header.split('"').nth(3).unwrap().to_owned())
    }

    /// The thief's own bound cookie, of a session of the same application.
    fn foreign_cookie(&mut self) -> String {
        let (id, challenge) = self.log_in("eve");
        let want = Want::Register { by: Who::Thief, challenge };
        let running = self.running(id, &want);
        let End::Answered(answer, _) = self.run(running) else { panic!("it has not registered") };
        value_of(&answer).unwrap()
    }

    /// Runs an operation to its end, on a store that does what it is asked.
    fn run<T: std::fmt::Debug>(&mut self, mut pending: Pending<T>) -> T {
        let mut answer = Answered::Begin;
        loop {
            answer = match pending.poll(answer, self.now, 0, &self.chance.bytes()) {
                Effect::Call(asked) => Answered::Reply(self.apply(&asked)),
                Effect::Calls(asked) => {
                    let replies = asked.iter().map(|asked| Answered::Reply(self.apply(asked)));
                    Answered::All(replies.collect())
                }
                Effect::NewId => Answered::NewId(NewId::Random(self.chance.id())),
                Effect::Sleep(_) => Answered::Slept,
                Effect::Finished(done) => return done.unwrap(),
                effect => panic!("{effect:?}"),
            };
        }
    }

    pub(crate) fn play(&mut self) {
        for _ in 0..3_000 {
            let most = if self.chance.percent(90) { 500 } else { MAX_AGE };
            self.now = self.now.plus(self.chance.next() % most);
            self.store.now = self.now;
            if !self.late.is_empty() && self.chance.percent(10) {
                let asked = self.late.swap_remove(self.chance.below(self.late.len()));
                self.apply(&asked);
            }
            let begins = self.requests.is_empty() || self.chance.percent(25);
            if self.left > 0 && begins && self.requests.len() < 4 {
                self.left -= 1;
                self.send();
            } else if self.requests.is_empty() {
                return self.refresh_at_last();
            } else {
                let request = self.requests.swap_remove(self.chance.below(self.requests.len()));
                self.step(request);
            }
        }
        panic!("a request never ends");
    }

    /// A browser or a thief sends a request.
    fn send(&mut self) {
        let by = if self.chance.percent(75) { Who::Owner } else { Who::Thief };
        let known = self.challenges.len();
        let challenge = self.challenges.get(self.chance.below(known.max(1))).cloned();
        let newest = if known > 0 && self.chance.percent(60) {
            self.challenges.last().cloned()
        } else {
            challenge
        };
        let want = match self.chance.below(22) {
            0..5 => {
                let own = self.cookies.last().map(|(value, _)| value.clone());
                Want::Visit(own.filter(|_| by == Who::Owner || self.chance.percent(30)))
            }
            5 => Want::Visit(Some(self.foreign.clone())),
            6..9 => Want::Renew,
            9 if self.chance.percent(20) => Want::LogOut,
            10 if self.chance.percent(20) => Want::EndAll,
            11..15 => {
                let challenge = match by {
                    Who::Owner => self.offer.clone(),
                    // The response to the login was the owner's alone.
                    Who::Thief => newest.unwrap_or_else(|| "x".to_owned()),
                };
                Want::Register { by, challenge }
            }
            _ => Want::Refresh { by, challenge: newest },
        };
        self.may_end |= matches!(want, Want::LogOut | Want::EndAll);
        let last = self.chance.below(self.ids.len().min(2));
        let id = self.ids[self.ids.len() - 1 - last].clone();
        let since = self.key.as_ref().map(|(_, since)| since.plus(GRACE + self.behind));
        self.number += 1;
        let request = Request {
            number: self.number,
            began: self.now,
            was_bound: since.is_some_and(|since| since <= self.now),
            was_ended: self.ended,
            running: self.running(id, &want),
            want,
            asked: crate::operations::read(&self.ids[0]),
        };
        self.go_on(request, Answered::Begin);
    }

    /// The operations of a request.
    fn running(&self, id: SessionId, want: &Want) -> Pending<End> {
        let (rules, want) = (Arc::clone(&self.rules), want.clone());
        Pending::new(async move |post| {
            let (rules, want) = (&*rules, want);
            let mut page = Page::new(post, Rc::default());
            let proves = matches!(want, Want::Register { .. } | Want::Refresh { .. });
            let shown = match &want {
                Want::Visit(bound) => Shown::Cookies(bound.iter().cloned().collect()),
                _ => Shown::Proves,
            };
            let cookies = Cookies {
                present: true,
                ids: vec![id.clone()],
                shown,
                passive: proves,
                ..Cookies::default()
            };
            let mut visit = Visit::default();
            visit::open(&mut page, rules, &mut visit, cookies).await;
            if matches!(visit.state, State::Unavailable(_)) {
                return Err(Stopped::Host(1));
            }
            let (by, exchange, challenge) = match want {
                Want::Visit(_) => {
                    let found = match &visit.state {
                        State::Stored { .. } => Found::Session,
                        State::Unbound(_) => Found::Unbound,
                        _ => Found::Other,
                    };
                    return Ok(End::Opened(found));
                }
                Want::Renew => {
                    visit::renew(&mut page, rules, &mut visit).await?;
                    return Ok(End::Renewed(sent(&visit)));
                }
                Want::LogOut => {
                    // A replica may not have had the session yet. Then there is nothing to end.
                    let had_session = visit.session().is_some();
                    visit::destroy(&mut page, rules, &mut visit).await?;
                    return Ok(if had_session { End::Over } else { End::Opened(Found::Other) });
                }
                Want::EndAll => {
                    session::end_all(visit::Request::host(&mut page), rules, "ada", None).await?;
                    return Ok(End::Over);
                }
                Want::Register { by, challenge } => {
                    (by, Exchange { registers: true, ..Exchange::default() }, Some(challenge))
                }
                Want::Refresh { by, challenge } => (by, Exchange::default(), challenge),
            };
            let key = visit.session().and_then(|seen| key_of(&seen.record));
            let proof = challenge.map(|challenge| proof(by, exchange.registers, &challenge));
            let name = key.as_deref().map(name_of).unwrap_or_default();
            let exchange = Exchange {
                proof: proof.as_deref().unwrap_or_default(),
                session: &name,
                ..exchange
            };
            // The driver finds the signature valid if the device has the key.
            let is_signed = exchange.registers || key == Some(point(by));
            let answer = visit::bind(&mut page, rules, &mut visit, &exchange, is_signed).await?;
            Ok(End::Answered(answer, sent(&visit)))
        })
    }

    /// The store performs the call of a request, or not, and its reply arrives, or not.
    fn step(&mut self, request: Request) {
        let asked = request.asked.clone();
        let answer = match self.chance.below(100) {
            // The process dies.
            0..2 => return,
            2..6 => Answered::Lost(1),
            6..10 => {
                self.apply(&asked);
                Answered::Lost(1)
            }
            10..13 => {
                self.late.push(asked.clone());
                Answered::Lost(1)
            }
            _ => Answered::Reply(self.apply(&asked)),
        };
        self.log.push(format!(
            "{} {:?} {:?}: {asked:?} -> {answer:?}",
            request.number, self.now, request.want
        ));
        self.go_on(request, answer);
    }

    fn go_on(&mut self, mut request: Request, mut answer: Answered) {
        loop {
            let effect = request.running.poll(answer, self.now, 0, &self.chance.bytes());
            answer = match effect {
                Effect::Call(asked) => {
                    request.asked = asked;
                    self.requests.push(request);
                    return;
                }
                Effect::Calls(asked) => {
                    let replies = asked.iter().map(|asked| Answered::Reply(self.apply(asked)));
                    Answered::All(replies.collect())
                }
                Effect::NewId => Answered::NewId(NewId::Random(self.chance.id())),
                Effect::Sleep(_) => Answered::Slept,
                Effect::Finished(Ok(end)) => {
                    self.log.push(format!("{} {:?}: {end:?}", request.number, self.now));
                    return self.finish(&request, end);
                }
                Effect::Finished(Err(_)) => return,
                effect => panic!("{effect:?}"),
            };
        }
    }

    fn apply(&mut self, asked: &Asked) -> Reply {
        self.store.now = self.now;
        let text = |store: &Store, key: &str| store.text(key).map(ToOwned::to_owned);
        let reply = match asked.kind {
            Question::ReadTwo => {
                let list = text(&self.store, &asked.text);
                Reply::Two(text(&self.store, &asked.key), Some(list))
            }
            Question::ReadTimed => Reply::Timed(text(&self.store, &asked.key), Some(self.now)),
            Question::Stamp => Reply::Timed(None, None),
            Question::Confirm => Reply::Confirmed(None),
            _ => self.store.apply(asked, &mut self.chance),
        };
        if asked.kind == Question::Create {
            self.created.extend(SessionId::parse(&asked.key).ok());
        }
        if matches!(asked.kind, Question::Create | Question::Replace) {
            self.look(&asked.key);
        }
        reply
    }

    /// Looks at the binding of a record that was written.
    fn look(&mut self, key: &str) {
        let Some(text) = self.store.text(key) else { return };
        let Ok(record) = Record::decode(text, Limits::LOAD) else { return };
        let meta = record.meta();
        let is_mine = meta.user.as_ref().is_some_and(|user| user.decoded_name() == "ada");
        if !is_mine || meta.next.is_some() {
            return;
        }
        match (&self.key, key_of(&record)) {
            (None, Some(found)) => self.key = Some((found, self.now)),
            (Some((known, _)), Some(found)) if *known != found => {
                self.noticed.insert("another device has taken the session over");
            }
            // Another record of the same session may still be older: that of a renewal in progress.
            _ => {}
        }
    }

    fn finish(&mut self, request: &Request, end: End) {
        let is_lost = self.chance.percent(10);
        self.counts.lost += usize::from(is_lost);
        match (&request.want, end) {
            (Want::Visit(bound), End::Opened(found)) => {
                self.opened(request, bound.as_ref(), &found);
            }
            (_, End::Renewed(id)) => self.ids.extend(id.filter(|_| !is_lost)),
            (Want::LogOut | Want::EndAll, End::Over) => self.ended = true,
            (Want::LogOut, _) => {}
            (Want::Register { by, challenge }, End::Answered(answer, id)) => {
                self.ids.extend(id.filter(|_| !is_lost));
                self.proven(request, *by, true, Some(challenge), &answer, is_lost);
            }
            (Want::Refresh { by, challenge }, End::Answered(answer, id)) => {
                self.ids.extend(id.filter(|_| !is_lost));
                self.proven(request, *by, false, challenge.as_ref(), &answer, is_lost);
            }
            (want, end) => panic!("{want:?}: {end:?}"),
        }
    }

    fn opened(&mut self, request: &Request, bound: Option<&String>, found: &Found) {
        let own = self.cookies.iter().find(|(value, _)| Some(value) == bound);
        let is_valid = |at: UnixMillis| own.is_some_and(|(_, end)| at < end.plus(GRACE));
        if *found == Found::Session && request.was_bound && !is_valid(request.began) {
            self.noticed.insert("a stolen cookie has opened the session");
        }
        if *found == Found::Unbound && is_valid(self.now) {
            self.noticed.insert("the owner was locked out");
        }
        self.counts.barred += usize::from(*found == Found::Unbound);
    }

    fn proven(
        &mut self,
        request: &Request,
        by: Who,
        registers: bool,
        challenge: Option<&String>,
        answer: &Answer,
        is_lost: bool,
    ) {
        match answer.status {
            200 if registers => self.counts.registered += 1,
            200 => self.counts.refreshed += 1,
            403 => self.counts.asked += 1,
            _ => self.counts.refused += 1,
        }
        if answer.status == 200 {
            if request.was_ended {
                self.noticed.insert("an ended session was refreshed");
            }
            let key = self.key.as_ref().map(|(key, _)| key.as_str());
            if key != Some(&point(by)) {
                self.noticed.insert("another device has got a bound cookie");
            }
            let proof = (by, format!("{registers} {}", challenge.unwrap()));
            let times = self.answered.entry(proof).or_default();
            *times += 1;
            let is_again = *times > 1;
            if is_again && !registers {
                self.noticed.insert("a challenge was answered twice");
            }
            let since = self.key.as_ref().map_or(self.now, |(_, since)| *since);
            if is_again && registers && request.began >= since.plus(GRACE) {
                self.noticed.insert("a registration was answered again too late");
            }
            self.is_registered = true;
        }
        if is_lost {
            return;
        }
        let next = answer.challenge.as_ref().and_then(|header| header.split('"').nth(1));
        self.challenges.extend(next.map(ToOwned::to_owned));
        if by == Who::Owner
            && let Some(value) = value_of(answer)
        {
            let end: u64 = value.split('.').next().unwrap().parse().unwrap();
            self.cookies.push((value, UnixMillis(end)));
        }
    }

    /// After all requests, a bound session that has not ended can be refreshed by its device, under one of its IDs. The
    /// browser may have missed the last one.
    fn refresh_at_last(&mut self) {
        self.store.stale = 0;
        let Some((key, _)) = self.key.clone().filter(|_| !self.may_end) else { return };
        let by = if key == point(Who::Owner) { Who::Owner } else { Who::Thief };
        let mut challenge = None;
        for id in self.created.clone().into_iter().rev() {
            for _ in 0..3 {
                let running = self.running(id.clone(), &Want::Refresh { by, challenge });
                let End::Answered(answer, _) = self.run(running) else { panic!("no answer") };
                if answer.status == 200 {
                    return;
                }
                let header = answer.challenge.unwrap_or_default();
                challenge = header.split('"').nth(1).map(ToOwned::to_owned);
            }
        }
        self.noticed.insert("the device cannot refresh its session");
    }

    pub(crate) fn faults(&self) -> Vec<&'static str> {
        self.noticed.iter().copied().collect()
    }
}

/// The ID in the session cookie of a response.
fn sent(visit: &Visit<Stopped>) -> Option<SessionId> {
    match &visit.cookie {
        Outgoing::Session { id, .. } => Some(id.clone()),
        _ => None,
    }
}
