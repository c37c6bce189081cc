//! The write protocol on random schedules: requests of one visitor, interleaved step by step, with
//! crashes, lost answers, lost and late requests, and stale reads.
//!
//! Everything follows from a seed, which a failure prints: `SEED=… cargo test --test schedules`. As
//! many schedules are run as `SCHEDULES` says.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
};

use serde_json::{Value, json};
use vestiary::{
    Format, Limits, Meta, Record, SessionId, Ttl, UnixMillis, WriteId,
    protocol::{
        Answer, Ask, Change, Commit, Committed, Destroy, Destroyed, Kind, Rotate, Rotated, Step,
        Terms, Touch, Touched,
    },
};

/// What kind of store the schedules run on. All but the first are broken, and the checks must say so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kin {
    Atomic,
    /// A write creates what is not there, and asks for no version: `SET`.
    Upsert,
    /// A write asks for presence, but for no version: `SET XX`.
    OnlyIfThere,
    /// A removal reads first and removes later: `GET`, `DEL`.
    ReadThenRemove,
    /// A touch asks for no version: `PEXPIRE`.
    TouchesAny,
}

#[test]
fn an_atomic_store_loses_nothing_and_nothing_comes_back() {
    let faults = run(Kin::Atomic);
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_checks_find_what_an_upserting_store_does() {
    let faults = run(Kin::Upsert);
    assert!(faults.contains_key("an ended session is back"), "{faults:#?}");
    assert!(faults.contains_key("an acknowledged change is lost"), "{faults:#?}");
}

#[test]
fn the_checks_find_what_writes_without_versions_do() {
    let faults = run(Kin::OnlyIfThere);
    assert!(faults.contains_key("an acknowledged change is lost"), "{faults:#?}");
}

#[test]
fn the_checks_find_what_reading_before_removing_does() {
    let faults = run(Kin::ReadThenRemove);
    assert!(faults.contains_key("an ended session is back"), "{faults:#?}");
}

#[test]
fn the_checks_find_what_touches_without_versions_do() {
    let faults = run(Kin::TouchesAny);
    assert!(faults.contains_key("a tombstone was given more life"), "{faults:#?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..50 {
        assert_eq!(
            Schedule::new(seed, Kin::Atomic).trace(),
            Schedule::new(seed, Kin::Atomic).trace()
        );
    }
}

/// Runs the schedules; for each kind of fault the first seed that has it, and how many do.
fn run(kin: Kin) -> BTreeMap<&'static str, (u64, usize)> {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let count = number("SCHEDULES").unwrap_or(if cfg!(debug_assertions) { 4_000 } else { 100_000 });
    let seeds = number("SEED").map_or(0..count, |seed| seed..seed + 1);
    let mut faults = BTreeMap::new();
    let mut asks = 0;
    for seed in seeds {
        let mut schedule = Schedule::new(seed, kin);
        schedule.play();
        asks += schedule.asks;
        if env::var("SEED").is_ok() {
            println!("{:?}\n{}", schedule.wants, schedule.log.join("\n"));
        }
        for fault in schedule.faults() {
            let (_, times) = faults.entry(fault).or_insert((seed, 0));
            *times += 1;
        }
    }
    println!("{kin:?}: {count} schedules, {asks} requests to the store: {faults:?}");
    faults
}

/// A repeatable source of chance (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next().to_le_bytes()[0])
    }

    fn id(&mut self) -> SessionId {
        SessionId::from_entropy(&self.bytes())
    }

    fn write(&mut self) -> WriteId {
        WriteId::from_entropy(&self.bytes())
    }
}

/// The store: texts, and all that a stale replica could still say.
struct Store {
    kin: Kin,
    texts: BTreeMap<String, String>,
    past: BTreeMap<String, Vec<Option<String>>>,
    /// Removals that have read, and not removed yet.
    half: Vec<String>,
    /// A touch has prolonged the life of a tombstone.
    prolonged: bool,
}

impl Store {
    fn put(&mut self, key: &str, text: Option<String>) {
        let past = self.past.entry(key.to_owned()).or_insert_with(|| vec![None]);
        past.push(text.clone());
        match text {
            Some(text) => self.texts.insert(key.to_owned(), text),
            None => self.texts.remove(key),
        };
    }

    fn record(&self, id: &SessionId) -> Option<Record> {
        let text = self.texts.get(id.expose())?;
        Some(Record::decode(text, Limits::LOAD).unwrap())
    }

    fn apply(&mut self, ask: &Ask, chance: &mut Chance) -> Answer {
        let text = |record: &Record| Some(record.encode(Limits::SAVE).unwrap());
        match ask {
            Ask::Load(id) => {
                let past = self.past.get(id.expose()).map_or(&[][..], Vec::as_slice);
                let now = self.texts.get(id.expose());
                let seen = if !past.is_empty() && chance.percent(10) {
                    past[chance.below(past.len())].as_ref()
                } else {
                    now
                };
                seen.map_or(Answer::Gone, |text| {
                    Answer::Record(Box::new(Record::decode(text, Limits::LOAD).unwrap()))
                })
            }
            Ask::Create(id, ..) if self.texts.contains_key(id.expose()) => Answer::Exists,
            Ask::Create(id, record, _) => {
                self.put(id.expose(), text(record));
                Answer::Done
            }
            Ask::Replace(id, expected, record, _) => {
                let present = self.record(id);
                match (self.kin, present) {
                    (Kin::Upsert, _) | (Kin::OnlyIfThere, Some(_)) => {}
                    (_, None) => return Answer::Gone,
                    (_, Some(present)) if present.write_id() != expected.as_ref() => {
                        return Answer::Conflict;
                    }
                    (_, Some(_)) => {}
                }
                self.put(id.expose(), text(record));
                Answer::Done
            }
            Ask::Touch(id, expected, _) => match self.record(id) {
                None => Answer::Gone,
                Some(present)
                    if self.kin != Kin::TouchesAny && present.write_id() != expected.as_ref() =>
                {
                    Answer::Conflict
                }
                Some(present) => {
                    self.prolonged |= present.meta().next.is_some();
                    Answer::Done
                }
            },
            Ask::Remove(id, expected) => match self.record(id) {
                None => Answer::Gone,
                Some(present) if present.write_id() != expected.as_ref() => Answer::Conflict,
                Some(_) if self.kin == Kin::ReadThenRemove => {
                    self.half.push(id.expose().to_owned());
                    Answer::Done
                }
                Some(_) => {
                    self.put(id.expose(), None);
                    Answer::Done
                }
            },
        }
    }
}

#[derive(Debug)]
enum Machine {
    Opening(Want, SessionId),
    /// Looks where another request has moved the session, and takes what it finds.
    Moving(SessionId),
    Commit(Commit),
    Destroy(Destroy),
    Rotate(Rotate),
    Touch(Touch),
}

/// What a request wants of the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Want {
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
}

struct Request {
    number: usize,
    machine: Machine,
    ask: Ask,
}

struct Schedule {
    seed: u64,
    chance: Chance,
    store: Store,
    first: SessionId,
    requests: Vec<Request>,
    /// Requests to the store that nobody waits for any more, and that may arrive all the same.
    late: Vec<Ask>,
    wants: Vec<Want>,
    now: UnixMillis,
    asks: usize,
    log: Vec<String>,
    saved: BTreeSet<usize>,
    /// What was told to the application, or sent to the browser.
    ended: bool,
    exposed: BTreeSet<String>,
    retired_by_login: Vec<SessionId>,
    /// The IDs of sessions that began with a login. No request but the login knows them.
    logged_in: Vec<SessionId>,
    /// Faults that were seen on the way.
    noticed: BTreeSet<&'static str>,
    /// A touch took the session for ended.
    given_up: bool,
    starved: bool,
}

impl Schedule {
    fn new(seed: u64, kin: Kin) -> Self {
        let mut chance = Chance(seed);
        let first = chance.id();
        let mut store = Store {
            kin,
            texts: BTreeMap::new(),
            past: BTreeMap::new(),
            half: Vec::new(),
            prolonged: false,
        };
        // Some sessions were begun by svelte-kit-sessions, and have no mark.
        let text = if chance.percent(20) {
            r#"{"cookie":{},"data":{"log":[]}}"#.to_owned()
        } else {
            record(chance.write(), r#"{"log":[]}"#).encode(Limits::SAVE).unwrap()
        };
        store.put(first.expose(), Some(text));
        // Now and then more writes than a record remembers, and nothing that ends the session.
        let busy = chance.percent(5);
        let many = if busy { 12 + chance.below(8) } else { 2 + chance.below(4) };
        let wants: Vec<Want> = (0..many)
            .map(|_| match chance.below(if busy { 7 } else { 12 }) {
                0..=2 => Want::Save,
                3..=5 => Want::Update,
                6 | 7 => Want::Touch,
                8 => Want::LogOut,
                9 => Want::LogIn,
                10 => Want::RenewAndUpdate,
                _ => Want::Renew,
            })
            .collect();
        let requests = wants
            .iter()
            .enumerate()
            .map(|(number, want)| Request {
                number,
                machine: Machine::Opening(*want, first.clone()),
                ask: Ask::Load(first.clone()),
            })
            .collect();
        let starved = chance.percent(30);
        let exposed = BTreeSet::from([first.expose().to_owned()]);
        Self {
            seed,
            chance,
            store,
            first,
            requests,
            late: Vec::new(),
            wants,
            now: UnixMillis(0),
            asks: 0,
            log: Vec::new(),
            saved: BTreeSet::new(),
            ended: false,
            exposed,
            retired_by_login: Vec::new(),
            logged_in: Vec::new(),
            noticed: BTreeSet::new(),
            given_up: false,
            starved,
        }
    }

    fn trace(mut self) -> Vec<String> {
        self.play();
        self.log
    }

    fn play(&mut self) {
        for _ in 0..2_000 {
            if !self.store.half.is_empty() && self.chance.percent(30) {
                let key = self.store.half.swap_remove(self.chance.below(self.store.half.len()));
                self.store.put(&key, None);
            }
            if !self.late.is_empty() && (self.requests.is_empty() || self.chance.percent(15)) {
                let ask = self.late.swap_remove(self.chance.below(self.late.len()));
                let answer = self.store.apply(&ask, &mut self.chance);
                self.note("late", &ask, &answer);
                continue;
            }
            if self.requests.is_empty() {
                break;
            }
            self.now = self.now.plus(self.chance.below(20) as u64);
            let mut place = self.chance.below(self.requests.len());
            // The first one is of a process that gets no time.
            if self.starved && self.requests[place].number == 0 && self.chance.percent(95) {
                place = (place + 1) % self.requests.len();
            }
            let request = self.requests.swap_remove(place);
            self.step(request);
        }
        assert!(self.requests.is_empty(), "seed {}: a request never ends", self.seed);
        for key in std::mem::take(&mut self.store.half) {
            self.store.put(&key, None);
        }
    }

    fn step(&mut self, mut request: Request) {
        self.asks += 1;
        let ask = request.ask.clone();
        let answer = match self.chance.below(100) {
            // The process dies before or after its request arrived.
            0..2 => return,
            2..4 => {
                self.store.apply(&ask, &mut self.chance);
                return;
            }
            // The answer is lost.
            4..9 => {
                self.store.apply(&ask, &mut self.chance);
                Answer::Unknown
            }
            // The request is lost, or only late.
            9..12 => Answer::Unknown,
            12..15 => {
                self.late.push(ask.clone());
                Answer::Unknown
            }
            // A client library sends it again when nothing was heard.
            15..17 => {
                self.store.apply(&ask, &mut self.chance);
                self.late.push(ask.clone());
                Answer::Unknown
            }
            // It sends it again, and hears what became of that.
            17..19 => {
                self.store.apply(&ask, &mut self.chance);
                match self.store.apply(&ask, &mut self.chance) {
                    Answer::Conflict => Answer::Unknown,
                    answer => answer,
                }
            }
            _ => self.store.apply(&ask, &mut self.chance),
        };
        self.note(&format!("{}", request.number), &ask, &answer);
        if let Some(ask) = self.answered(&mut request, answer) {
            self.requests.push(Request { ask, ..request });
        }
    }

    fn note(&mut self, who: &str, ask: &Ask, answer: &Answer) {
        self.log.push(format!("{who}: {ask:?} -> {answer:?}"));
    }

    /// What the request asks next; `None` when it is over.
    fn answered(&mut self, request: &mut Request, answer: Answer) -> Option<Ask> {
        let now = self.now;
        match &mut request.machine {
            Machine::Opening(want, id) => {
                let (want, id) = (*want, id.clone());
                let Answer::Record(found) = answer else { return None };
                // A broken store may have it under an ID that cannot read where it leads.
                if let Some((next, grace)) = found.next(&id).ok()? {
                    // Too late, or somebody else's: it may do nothing but log out.
                    if grace.is_none_or(|grace| now >= grace) {
                        let logs_out = want == Want::LogOut;
                        return logs_out.then(|| self.log_out(request, id, &found)).flatten();
                    }
                    request.machine = Machine::Opening(want, next.clone());
                    return Some(Ask::Load(next));
                }
                self.begin(request, want, id, *found)
            }
            Machine::Moving(id) => {
                let id = id.clone();
                let Answer::Record(found) = answer else { return None };
                self.begin(request, Want::Update, id, *found)
            }
            Machine::Commit(commit) => {
                let step = commit.answered(answer, self.chance.write(), now).unwrap();
                self.commit(request, step)
            }
            Machine::Destroy(destroy) => match destroy.answered(answer, now) {
                Step::Ask(ask) => Some(ask),
                Step::Compute(_) => None,
                Step::Finished(ended) => {
                    self.ended |= ended == Destroyed::Confirmed;
                    None
                }
            },
            Machine::Touch(touch) => {
                let step = touch.answered(answer, now).unwrap();
                self.touch(step)
            }
            Machine::Rotate(rotate) => {
                match rotate.answered(answer, self.chance.write(), now).unwrap() {
                    Step::Ask(ask) => Some(ask),
                    Step::Compute(_) => None,
                    Step::Finished(rotated) => {
                        let successor = rotate.successor().clone();
                        self.rotated(request, rotated, successor)
                    }
                }
            }
        }
    }

    fn rotated(
        &mut self,
        request: &mut Request,
        rotated: Rotated,
        successor: Record,
    ) -> Option<Ask> {
        let want = self.wants[request.number];
        match rotated {
            Rotated::To(id) => {
                self.exposed.insert(id.expose().to_owned());
                if want == Want::LogIn {
                    self.retired_by_login.push(self.first.clone());
                    self.logged_in.push(id.clone());
                }
                let updates = want == Want::RenewAndUpdate;
                updates.then(|| self.begin(request, Want::Update, id, successor)).flatten()
            }
            Rotated::Elsewhere(Some(id)) if want == Want::RenewAndUpdate => {
                request.machine = Machine::Moving(id.clone());
                Some(Ask::Load(id))
            }
            _ => None,
        }
    }

    fn begin(
        &mut self,
        request: &mut Request,
        want: Want,
        id: SessionId,
        found: Record,
    ) -> Option<Ask> {
        let number = request.number;
        let base = found.data().to_owned();
        match want {
            Want::Save | Want::Update => {
                let change = if want == Want::Update {
                    Change::Rerun
                } else {
                    let mut mine: Value = serde_json::from_str(&base).unwrap();
                    mine[format!("key{number}")] = json!(number);
                    let base = serde_json::from_str::<Value>(&base).unwrap().to_string();
                    Change::Merge { base, mine: mine.to_string() }
                };
                let (found, write) = ((found, self.now), self.chance.write());
                let mut commit = Commit::new(id, found, change, write, terms());
                let step = commit.start(self.now).unwrap();
                request.machine = Machine::Commit(commit);
                self.commit(request, step)
            }
            Want::Touch => {
                let mut touch = Touch::new(id, (found, self.now), &terms());
                let step = touch.start(self.now).unwrap();
                request.machine = Machine::Touch(touch);
                self.touch(step)
            }
            Want::LogOut => self.log_out(request, id, &found),
            Want::LogIn | Want::Renew | Want::RenewAndUpdate => {
                let kind = if want == Want::LogIn {
                    let data = json!({ "log": [], "user": number }).to_string();
                    Kind::Privilege(Box::new(record(self.chance.write(), &data)))
                } else {
                    // Over before others write, or long after.
                    let grace = self.now.plus([0, 30, 1_000_000][self.chance.below(3)]);
                    Kind::Renewal { grace, write_id: self.chance.write() }
                };
                let (new, mark) = (self.chance.id(), self.chance.write());
                let found = (found, self.now);
                let rotate = Rotate::new(id, found, new, kind, mark, terms(), self.now).unwrap();
                let Step::Ask(ask) = rotate.start() else { panic!("{rotate:?}") };
                request.machine = Machine::Rotate(rotate);
                Some(ask)
            }
        }
    }

    fn touch(&mut self, step: Step<Touched>) -> Option<Ask> {
        match step {
            Step::Ask(ask) => Some(ask),
            Step::Finished(touched) => {
                self.given_up |= touched == Touched::Gone;
                None
            }
            Step::Compute(_) => panic!("a touch computes nothing"),
        }
    }

    /// `None` if a login has ended the session already.
    fn log_out(&mut self, request: &mut Request, id: SessionId, found: &Record) -> Option<Ask> {
        let destroy = Destroy::new(id, found, self.now);
        let Step::Ask(ask) = destroy.start() else {
            self.ended = true;
            return None;
        };
        request.machine = Machine::Destroy(destroy);
        Some(ask)
    }

    fn commit(&mut self, request: &mut Request, step: Step<Committed>) -> Option<Ask> {
        match step {
            Step::Ask(ask) => Some(ask),
            Step::Finished(committed) => {
                if matches!(committed, Committed::Saved(_)) {
                    self.saved.insert(request.number);
                }
                None
            }
            Step::Compute(data) => {
                let Machine::Commit(commit) = &mut request.machine else { return None };
                let mut data: Value = serde_json::from_str(&data).unwrap();
                if !data["log"].is_array() {
                    self.noticed.insert("a change was made of no session");
                    data["log"] = json!([]);
                }
                data["log"].as_array_mut().unwrap().push(json!(request.number));
                let step = commit.computed(&data.to_string(), self.now).unwrap();
                self.commit(request, step)
            }
        }
    }

    /// The session that a browser with this cookie has in the end, with time to spare.
    fn reached(&self, id: &SessionId) -> Option<Record> {
        let record = self.store.record(id)?;
        // A broken store may have it under an ID that cannot read where it leads.
        match record.next(id).ok()? {
            None => Some(record),
            Some((next, Some(_))) => self.reached(&next),
            Some((_, None)) => None,
        }
    }

    fn faults(&self) -> Vec<&'static str> {
        let mut faults: Vec<&'static str> = self.noticed.iter().copied().collect();
        let exposed: Vec<SessionId> =
            self.exposed.iter().map(|id| SessionId::parse(id).unwrap()).collect();
        // A logout and a login at the same time: the old session ends, that of the login stays.
        let began_earlier = |id: &&SessionId| !self.logged_in.contains(id);
        if self.ended && exposed.iter().filter(began_earlier).any(|id| self.reached(id).is_some()) {
            faults.push("an ended session is back");
        }
        if self.retired_by_login.iter().any(|id| self.reached(id).is_some()) {
            faults.push("an old ID is good after a login");
        }
        if self.logged_in.iter().any(|id| self.reached(id).is_none()) {
            faults.push("the session of a login is ended by another request");
        }
        let logged_in = self.wants.contains(&Want::LogIn);
        let logged_out = self.wants.contains(&Want::LogOut);
        let reached = self.reached(&self.first);
        if !logged_in && !logged_out && reached.is_none() {
            faults.push("a session is lost");
        }
        if !logged_in && !logged_out && self.given_up {
            faults.push("a touch took a living session for ended");
        }
        if self.store.prolonged {
            faults.push("a tombstone was given more life");
        }
        if let Some(record) = reached.filter(|_| !logged_in) {
            let data: Value = serde_json::from_str(record.data()).unwrap();
            let log = data["log"].as_array().map_or(&[][..], Vec::as_slice);
            for (number, want) in self.wants.iter().enumerate() {
                let entries = log.iter().filter(|entry| **entry == json!(number)).count();
                if entries > 1 {
                    faults.push("a change was made twice");
                }
                let there = match want {
                    Want::Update | Want::RenewAndUpdate => entries == 1,
                    Want::Save => data.get(format!("key{number}")).is_some(),
                    Want::Touch | Want::LogOut | Want::LogIn | Want::Renew => continue,
                };
                if self.saved.contains(&number) && !there {
                    faults.push("an acknowledged change is lost");
                }
            }
        }
        faults
    }
}

fn record(mark: WriteId, data: &str) -> Record {
    Record::new(Format::Seed, mark, "{}", data, Meta::default(), Limits::SAVE).unwrap()
}

fn terms() -> Terms {
    Terms { ttl: Ttl::Millis(3_600_000), ..Terms::default() }
}
