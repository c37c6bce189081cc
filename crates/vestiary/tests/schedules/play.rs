use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, json};
use vestiary::{
    Handle, Limits, Options, OptionsInput, Record, SessionId, Ttl, UnixMillis,
    protocol::{
        Answered, Asked, Effect, Moved, NewId, Pending, Question, Reply, Rules, Seen, Stopped,
        Written,
    },
};

use crate::{
    chance::Chance,
    operations::{End, Want, list, read, record, shown, with_slot},
    store::{Kin, Store, write_id_of},
};

/// The kind of a schedule. Each makes faults likely that are rare in the others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Plain,
    /// More writes than a record remembers, and one request that gets hardly any time and loses many replies.
    Busy,
    /// Minutes pass between two steps, so that tombstones expire.
    Slow,
    /// Most reads are answered by a stale replica.
    Stale,
    /// Several logouts while the session is renewed, by processes that die more often.
    Ending,
    /// Several requests take one value, and others put values of their own beside it.
    Slots,
    /// Requests confirm the user of the session that others write and renew.
    Confirms,
    /// Several requests claim one lease, which in half of the schedules ends soon.
    Leases,
}

enum State {
    /// Looks for the session of its cookie.
    Opening(Want, SessionId),
    Running(Pending<End>),
}

/// A request with its cookie and its operation.
struct Request {
    number: usize,
    cookie: SessionId,
    /// Its cookie still led to the session when it was looked at.
    admitted: bool,
    /// It has seen the session's own record.
    is_open: bool,
    state: State,
    asked: Asked,
}

/// The requests of the browsers that share a session, and the store that they ask.
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(crate) struct Schedule {
    pub(crate) seed: u64,
    pub(crate) kind: Kind,
    pub(crate) store: Store,
    pub(crate) wants: Vec<Want>,
    pub(crate) asks: usize,
    pub(crate) log: Vec<String>,
    pub(crate) first: SessionId,
    /// The user's session list, if the first session belongs to a user, and the handle in it.
    pub(crate) owned: Option<(String, Handle)>,
    /// The acknowledged writes: these requests have written, ...
    pub(crate) saved: BTreeSet<usize>,
    /// ... a logout has ended the first session, ...
    pub(crate) ended: bool,
    /// ... this many requests have got the value of the slot that all share, ...
    pub(crate) taken: usize,
    /// ... these have got the lease, and these have not, in the order of the replies, ...
    pub(crate) holders: Vec<usize>,
    pub(crate) refused: BTreeSet<usize>,
    /// ... this many have settled it, ...
    pub(crate) settled: usize,
    /// ... and a request found a living session ended.
    pub(crate) given_up: bool,
    /// The IDs that browsers have, each with the ID that began the session: the first one, or that of a login.
    pub(crate) roots: BTreeMap<String, SessionId>,
    pub(crate) replaced_by_login: Vec<SessionId>,
    /// When each request that confirms the user has begun to.
    pub(crate) confirms: BTreeMap<usize, UnixMillis>,
    /// The session that each request has begun with.
    pub(crate) began_with: Vec<SessionId>,
    /// Faults that were seen on the way.
    pub(crate) noticed: BTreeSet<&'static str>,
    /// The lease, in milliseconds.
    pub(crate) lease: u64,
    chance: Chance,
    rules: Arc<Rules>,
    requests: Vec<Request>,
    /// Requests to the store that no operation waits for any more, but that may still arrive.
    late: Vec<Asked>,
    /// The text that was to be stored under each write ID.
    written: BTreeMap<String, String>,
    now: UnixMillis,
    micros: u64,
    starved: bool,
    /// The first request has written once.
    delayed: bool,
}

const HANDLE: &str = "BBBBBBBBBBBBBBBB";

/// The wishes of the requests that begin a schedule.
fn wants(kind: Kind, chance: &mut Chance) -> Vec<Want> {
    let many = if kind == Kind::Busy { 14 + chance.below(8) } else { 2 + chance.below(4) };
    let mut wants: Vec<Want> = (0..many)
        .map(|_| match chance.below(if kind == Kind::Busy { 7 } else { 12 }) {
            0..=2 => Want::Save,
            3..=5 => Want::Update,
            6 | 7 => Want::Touch,
            8 => Want::LogOut,
            9 => Want::LogIn,
            10 => Want::RenewAndUpdate,
            _ => Want::Renew,
        })
        .collect();
    match kind {
        Kind::Busy => wants[0] = Want::Update,
        Kind::Ending => {
            wants = vec![Want::LogOut; 3 + chance.below(3)];
            wants.push(Want::Renew);
        }
        Kind::Slots => {
            wants = vec![Want::Take; 2 + chance.below(3)];
            wants.extend(vec![Want::Put; 1 + chance.below(3)]);
            wants.extend([Want::Update, Want::Renew].into_iter().take(chance.below(3)));
        }
        Kind::Confirms => {
            wants = vec![Want::Confirm; 1 + chance.below(2)];
            let others = [Want::Save, Want::Update, Want::Renew, Want::Touch, Want::LogIn];
            wants.extend((0..2 + chance.below(3)).map(|_| others[chance.below(5)]));
        }
        Kind::Leases => {
            wants = vec![Want::Claim; 3 + chance.below(3)];
            wants.extend([Want::Update, Want::Renew].into_iter().take(chance.below(3)));
        }
        Kind::Slow => wants.push(Want::Renew),
        Kind::Stale => wants[0] = Want::Renew,
        Kind::Plain => {}
    }
    wants
}

impl Schedule {
    pub(crate) fn new(seed: u64, kin: Kin) -> Self {
        let mut chance = Chance(seed);
        let kind = match seed % 10 {
            0 if seed % 20 == 10 => Kind::Leases,
            0..=3 => Kind::Plain,
            4 | 5 => Kind::Busy,
            6 | 7 => Kind::Slow,
            8 => Kind::Stale,
            9 if seed % 20 == 19 => Kind::Slots,
            9 if seed % 40 == 9 => Kind::Confirms,
            _ => Kind::Ending,
        };
        let options = OptionsInput { hash_ids: false, ..OptionsInput::default() };
        let rules = Rules {
            options: Options::new(options).unwrap().into(),
            keys: None,
            seals: None,
            atomic: true,
            migrates: false,
            resends: true,
            default_ttl: Ttl::Infinite,
        };
        let first = chance.id();
        let mut store = Store::new(kin);
        let mut owned = None;
        // Some sessions were begun by svelte-kit-sessions, and have no write ID.
        let text = match chance.below(10) {
            0 | 1 => r#"{"cookie":{},"data":{"log":[]}}"#.to_owned(),
            2..=4 => {
                let (key, handle) = (rules.options.user_key("ada"), Handle::parse(HANDLE).unwrap());
                store.put(&key, Some(list(&handle, &chance.write())), Ttl::Infinite);
                owned = Some((key, handle));
                let write_id = chance.write();
                let meta = format!(r#"{{"user":"ada","handle":"{HANDLE}"}}"#);
                format!(r#"{{"v":"{}","meta":{meta},"data":{{"log":[]}}}}"#, write_id.as_str())
            }
            _ => record(chance.write(), r#"{"log":[]}"#).encode(Limits::SAVE).unwrap(),
        };
        let text = if kind == Kind::Slots { with_slot(chance.write()) } else { text };
        store.put(first.expose(), Some(text), Ttl::Infinite);
        let wants = wants(kind, &mut chance);
        let starved = matches!(kind, Kind::Busy | Kind::Slow) || chance.percent(30);
        let mut schedule = Self {
            seed,
            kind,
            store,
            wants: Vec::new(),
            asks: 0,
            log: Vec::new(),
            owned,
            saved: BTreeSet::new(),
            ended: false,
            taken: 0,
            holders: Vec::new(),
            refused: BTreeSet::new(),
            settled: 0,
            lease: [u64::MAX, 60][usize::from(seed % 40 == 30)],
            given_up: false,
            roots: BTreeMap::from([(first.expose().to_owned(), first.clone())]),
            replaced_by_login: Vec::new(),
            confirms: BTreeMap::new(),
            began_with: Vec::new(),
            noticed: BTreeSet::new(),
            chance,
            rules: Arc::new(rules),
            requests: Vec::new(),
            late: Vec::new(),
            written: BTreeMap::new(),
            now: UnixMillis(0),
            micros: 0,
            starved,
            delayed: false,
            first,
        };
        for want in wants {
            schedule.send(want, &schedule.first.clone());
        }
        schedule
    }

    pub(crate) fn trace(mut self) -> Vec<String> {
        self.play();
        self.log
    }

    /// A browser sends a request with this cookie.
    fn send(&mut self, want: Want, cookie: &SessionId) {
        let (number, cookie) = (self.wants.len(), cookie.clone());
        self.wants.push(want);
        self.began_with.push(self.roots[cookie.expose()].clone());
        let (state, asked) = (State::Opening(want, cookie.clone()), read(&cookie));
        self.requests.push(Request {
            number,
            cookie,
            admitted: true,
            is_open: false,
            state,
            asked,
        });
    }

    pub(crate) fn play(&mut self) {
        for _ in 0..2_000 {
            if !self.store.half.is_empty() && self.chance.percent(30) {
                let key = self.store.half.swap_remove(self.chance.below(self.store.half.len()));
                self.store.put(&key, None, Ttl::Infinite);
            }
            if !self.late.is_empty() && (self.requests.is_empty() || self.chance.percent(15)) {
                let asked = self.late.swap_remove(self.chance.below(self.late.len()));
                let reply = self.store.apply(&asked, &mut self.chance);
                self.note("late", &asked, &reply);
                continue;
            }
            if self.requests.is_empty() {
                break;
            }
            self.pass();
            let mut place = self.chance.below(self.requests.len());
            // In a busy schedule, the process of the first request gets no time after its first write.
            if self.kind == Kind::Busy && !self.delayed {
                let first = self.requests.iter().position(|request| request.number == 0);
                place = first.unwrap_or(place);
            } else if self.starved && self.requests[place].number == 0 && self.chance.percent(95) {
                place = (place + 1) % self.requests.len();
            }
            let request = self.requests.swap_remove(place);
            self.step(request);
        }
        assert!(self.requests.is_empty(), "seed {}: a request never ends", self.seed);
        for key in std::mem::take(&mut self.store.half) {
            self.store.put(&key, None, Ttl::Infinite);
        }
    }

    /// Lets some time pass.
    fn pass(&mut self) {
        let most = match (self.kind, self.chance.below(10)) {
            (Kind::Slow, 0..=2) => 400_000,
            (Kind::Slow, 3..=4) => 60_000,
            _ => 20,
        };
        self.now = self.now.plus(self.chance.below(most) as u64);
        self.micros += 1_000;
        self.store.now = self.now;
    }

    fn step(&mut self, request: Request) {
        self.asks += 1;
        // Otherwise hardly any request would find a session.
        let opens = matches!(request.state, State::Opening(..));
        self.store.stale = if self.kind == Kind::Stale && !opens { 92 } else { 10 };
        self.look_at_text(&request.asked);
        let asked = request.asked.clone();
        // The first write of the first request: its reply is lost, or the reply to another one arrives.
        let unlucky = matches!(self.kind, Kind::Busy | Kind::Stale)
            && request.number == 0
            && asked.kind == Question::Replace
            && !std::mem::replace(&mut self.delayed, true);
        let dies = self.kind == Kind::Ending && self.chance.percent(20);
        let luck = if dies {
            self.chance.below(4)
        } else if unlucky {
            [6, 6, 18][self.chance.below(3)]
        } else {
            self.chance.below(100)
        };
        let reply = match luck {
            // The process dies before or after its request arrived.
            0..2 => return,
            2..4 => {
                self.store.apply(&asked, &mut self.chance);
                return;
            }
            // The reply is lost.
            4..9 => {
                self.store.apply(&asked, &mut self.chance);
                None
            }
            // The request is lost, or only late.
            9..12 => None,
            12..15 => {
                self.late.push(asked.clone());
                None
            }
            15..17 => {
                self.store.apply(&asked, &mut self.chance);
                self.late.push(asked.clone());
                None
            }
            // Without a reply the client sends the write again, and gets the reply to the second one.
            17..19 => {
                self.store.apply(&asked, &mut self.chance);
                self.micros += 30_000;
                Some(self.store.apply(&asked, &mut self.chance))
            }
            _ => Some(self.store.apply(&asked, &mut self.chance)),
        };
        self.note(&format!("{}", request.number), &asked, &reply);
        self.answered(request, reply);
    }

    fn note(&mut self, who: &str, asked: &Asked, reply: &dyn std::fmt::Debug) {
        let Asked { kind, key, expected, text, .. } = asked;
        let now = self.now.0;
        self.log.push(format!("{now} {who}: {kind:?} {key} {expected:?} {text} -> {reply:?}"));
    }

    // No two records have the same write ID. All attempts to write a tombstone share one, because a tombstone is never
    // replaced.
    fn look_at_text(&mut self, asked: &Asked) {
        let Some(write_id) = write_id_of(&asked.text) else { return };
        if asked.text.contains("\"next\":") {
            return;
        }
        let text = self.written.entry(write_id.to_owned()).or_insert_with(|| asked.text.clone());
        if *text != asked.text {
            self.noticed.insert("two records have one write ID");
        }
    }

    fn answered(&mut self, mut request: Request, reply: Option<Reply>) {
        let answer = match &mut request.state {
            State::Running(_) => reply.map_or(Answered::Lost(1), Answered::Reply),
            State::Opening(want, id) => {
                let (want, id) = (*want, id.clone());
                let Some(Reply::Text(text)) = reply else { return };
                let found = Record::decode(&text, Limits::LOAD).unwrap();
                // A broken store may have it under an ID with which its pointer cannot be read.
                let Ok(lead) = found.next(&id) else { return };
                if let Some((next, grace)) = lead {
                    let leads = grace.is_some_and(|grace| self.now < grace);
                    // Most requests follow the pointer themselves. Otherwise the operation must.
                    if leads && self.chance.percent(70) {
                        request.asked = read(&next);
                        request.state = State::Opening(want, next);
                        return self.requests.push(request);
                    }
                    // Out of use, or another visitor's: it may only log out.
                    request.admitted &= leads;
                } else {
                    request.is_open = true;
                }
                let seen = Seen { id, record: found, at: self.now };
                request.state = State::Running(self.begun(request.number, want, seen));
                Answered::Begin
            }
        };
        self.go_on(request, answer);
    }

    /// Lets the operation run to its next request to the store, or to its end.
    fn go_on(&mut self, mut request: Request, mut answer: Answered) {
        loop {
            let (entropy, now, micros) = (self.chance.bytes(), self.now, self.micros);
            let State::Running(running) = &mut request.state else { return };
            answer = match running.poll(answer, now, micros, &entropy) {
                Effect::Call(asked) => {
                    request.asked = asked;
                    return self.requests.push(request);
                }
                Effect::Calls(_) => panic!("one call after the other"),
                Effect::Sleep(_) => Answered::Slept,
                Effect::NewId => Answered::NewId(NewId::Random(self.chance.id())),
                Effect::Migrate(..) => panic!("the application has no versions"),
                Effect::Compute(data) => {
                    let mut data: Value = serde_json::from_str(&data).unwrap();
                    if !data["log"].is_array() {
                        self.noticed.insert("a change was made of no session");
                        data["log"] = json!([]);
                    }
                    data["log"].as_array_mut().unwrap().push(json!(request.number));
                    Answered::Computed(data.to_string())
                }
                Effect::Finished(ended) => {
                    self.log.push(format!("{}: {}", request.number, shown(&ended)));
                    return self.finished(request, ended);
                }
            };
        }
    }

    fn begun(&mut self, number: usize, want: Want, seen: Seen) -> Pending<End> {
        if want == Want::Confirm {
            self.confirms.insert(number, self.now);
        }
        let (rules, lease) = (Arc::clone(&self.rules), self.lease);
        want.begun(number, seen, rules, self.now, lease, &mut self.chance)
    }

    fn finished(&mut self, request: Request, ended: Result<End, Stopped>) {
        let want = self.wants[request.number];
        let root = self.began_with[request.number].clone();
        match ended {
            Ok(End::Written(Written::Saved { session, taken, .. })) if want == Want::Claim => {
                self.reached_by(&request, &session.id);
                match taken {
                    None if self.holders.contains(&request.number) => {}
                    None => _ = self.refused.insert(request.number),
                    Some(token) if token.starts_with('[') => self.settled += 1,
                    Some(_) => {
                        self.holders.push(request.number);
                        let settling = self.begun(request.number, Want::Settle, *session);
                        let state = State::Running(settling);
                        self.go_on(Request { state, ..request }, Answered::Begin);
                    }
                }
            }
            Ok(End::Written(Written::Saved { session, taken, .. })) => {
                self.saved.insert(request.number);
                self.taken += usize::from(taken.is_some());
                self.reached_by(&request, &session.id);
            }
            Ok(End::Touched(Some(session))) => self.reached_by(&request, &session.id),
            Ok(End::Written(Written::Gone) | End::Touched(None) | End::Moved(Moved::Gone)) => {
                // A request that has only read a tombstone may find another one, whose grace period has ended.
                self.given_up |= request.is_open && root == self.first;
            }
            Ok(End::Destroyed) => self.ended = true,
            Ok(End::Moved(Moved::To(session))) => {
                let id = session.id.clone();
                if !request.admitted {
                    self.noticed.insert("a request was admitted by an ID that is out of use");
                }
                if want == Want::LogIn {
                    self.roots.insert(id.expose().to_owned(), id.clone());
                    self.replaced_by_login.push(request.cookie.clone());
                    for _ in 0..self.chance.below(3) {
                        let next = [Want::Save, Want::Update, Want::Touch, Want::Renew];
                        let want = next[self.chance.below(4)];
                        self.send(want, &id);
                    }
                } else {
                    self.roots.insert(id.expose().to_owned(), root);
                }
                if want == Want::RenewAndUpdate {
                    let state = State::Running(self.begun(request.number, Want::Update, *session));
                    let (number, cookie, asked) = (request.number, id.clone(), read(&id));
                    let request =
                        Request { number, cookie, admitted: true, is_open: false, state, asked };
                    self.go_on(request, Answered::Begin);
                }
            }
            Ok(End::Moved(Moved::Elsewhere(Some(id)))) => {
                self.reached_by(&request, &id);
                if want == Want::RenewAndUpdate {
                    let (number, cookie, asked) = (request.number, id.clone(), read(&id));
                    let state = State::Opening(Want::Update, id);
                    self.requests.push(Request {
                        number,
                        cookie,
                        admitted: true,
                        is_open: false,
                        state,
                        asked,
                    });
                }
            }
            Ok(End::Moved(Moved::Elsewhere(None))) | Err(Stopped::Host(_) | Stopped::Doubt(_)) => {}
            Err(_) => {
                // A broken store may have a record under an ID that cannot read it.
                if self.store.kin == Kin::Atomic {
                    self.noticed.insert("an operation fails without a reason");
                }
            }
        }
    }

    /// The browser gets a cookie with this ID.
    fn reached_by(&mut self, request: &Request, id: &SessionId) {
        if !request.admitted {
            self.noticed.insert("a request was admitted by an ID that is out of use");
        }
        let root = self.roots.get(id.expose());
        if root.is_some_and(|root| *root != self.began_with[request.number]) {
            self.noticed.insert("a request got into another visitor's session");
        }
    }
}
