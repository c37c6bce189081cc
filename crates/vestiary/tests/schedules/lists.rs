//! A user's session list on random schedules: concurrent logins, logouts and revocations of all sessions, with crashes,
//! lost replies, lost, late and doubled requests, and stale reads.

use std::sync::Arc;

use vestiary::{
    Handle, Options, OptionsInput, SessionsPerUser, Ttl, UnixMillis,
    protocol::{
        Answered, Asked, Changed, Effect, Pending, Question, Reply, Rules, UserChange,
        UserSessions, Verdict, change_list,
    },
};

use crate::chance::{Chance, Seeds};

#[test]
fn revoking_all_sessions_ends_every_one_and_no_other_users() {
    let faults = run(false);
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn the_checks_find_what_a_store_that_does_not_compare_does() {
    let faults = run(true);
    assert!(faults.contains(&"a session survives the end of all"), "{faults:?}");
    assert!(faults.contains(&"a session is missing"), "{faults:?}");
    assert!(faults.contains(&"a session that was ended is listed"), "{faults:?}");
}

fn run(careless: bool) -> Vec<&'static str> {
    let Seeds { count, range, .. } = Seeds::of_environment();
    let mut all = Vec::new();
    for seed in range {
        let mut schedule = Schedule::new(seed, careless);
        schedule.play();
        for fault in schedule.faults() {
            if !all.contains(&fault) {
                println!("seed {seed}: {fault}\n{}", schedule.log.join("\n"));
                all.push(fault);
            }
        }
    }
    println!("{count} schedules, careless: {careless}: {all:?}");
    all
}

struct Request {
    number: usize,
    began: UnixMillis,
    change: UserChange,
    changing: Pending<Changed>,
    asked: Asked,
}

pub(crate) struct Schedule {
    chance: Chance,
    /// Writes without comparing.
    careless: bool,
    text: Option<String>,
    past: Vec<Option<String>>,
    requests: Vec<Request>,
    late: Vec<Asked>,
    now: UnixMillis,
    /// The end of each request as its client knows it, and whether the change was made.
    ended: Vec<(UnixMillis, UnixMillis, UserChange, bool)>,
    wanted: Vec<UserChange>,
    pub(crate) log: Vec<String>,
}

const KEY: &str = "user:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl Schedule {
    pub(crate) fn new(seed: u64, careless: bool) -> Self {
        let mut chance = Chance(seed);
        let rules = Arc::new(Rules {
            options: Options::new(OptionsInput::default()).unwrap().into(),
            keys: None,
            seals: None,
            atomic: true,
            migrates: false,
            resends: false,
            default_ttl: Ttl::Millis(3_600_000),
        });
        let count = 2 + chance.below(5);
        let mut handles = Vec::new();
        let mut requests = Vec::new();
        for number in 0..count {
            let began = UnixMillis(chance.below(40) as u64);
            let other = handles.get(chance.below(handles.len().max(1))).cloned();
            let wish = match (chance.below(8), other) {
                (0, other) => UserChange::End { keep: other, at: began },
                (1, _) => UserChange::End { keep: None, at: began },
                (2, Some(handle)) => UserChange::Remove(handle),
                (3, Some(handle)) => UserChange::Seen(handle),
                _ => {
                    let handle = Handle::from_entropy(&[u8::try_from(number).unwrap(); 12]);
                    handles.push(handle.clone());
                    let (since, limit) = (began, SessionsPerUser::default());
                    UserChange::Add {
                        handle,
                        replaces: None,
                        label: None,
                        device: None,
                        provider: None,
                        since,
                        limit,
                    }
                }
            };
            let (rules, wanted) = (Arc::clone(&rules), wish.clone());
            let mut changing = Pending::new(async move |mut host| {
                change_list(&mut host, &rules, KEY, &wanted, None).await
            });
            let first = changing.poll(Answered::Begin, began, 0, &chance.bytes());
            let Effect::Call(asked) = first else { panic!("{first:?}") };
            requests.push(Request { number, began, change: wish, changing, asked });
        }
        let wanted = requests.iter().map(|request| request.change.clone()).collect();
        let (past, late, ended, log) = (vec![None], Vec::new(), Vec::new(), Vec::new());
        let (text, now) = (None, UnixMillis(0));
        Self { chance, careless, text, past, requests, late, now, ended, wanted, log }
    }

    pub(crate) fn play(&mut self) {
        while !(self.requests.is_empty() && self.late.is_empty()) {
            self.now = self.now.plus(self.chance.below(5) as u64);
            if !self.late.is_empty() && (self.requests.is_empty() || self.chance.percent(15)) {
                let asked = self.late.swap_remove(self.chance.below(self.late.len()));
                self.write(&asked);
                continue;
            }
            let at = self.chance.below(self.requests.len());
            // No request is answered before it began.
            self.now = self.now.max(self.requests[at].began);
            let request = self.requests.swap_remove(at);
            self.step(request);
        }
    }

    fn step(&mut self, mut request: Request) {
        let asked = request.asked.clone();
        let luck = self.chance.below(100);
        if luck < 3 {
            return;
        }
        let reply = if asked.kind == Question::Read {
            let stale = self.chance.percent(15);
            let past = &self.past[self.chance.below(self.past.len())];
            let text = if stale { past } else { &self.text };
            Some(text.clone().map_or(Reply::Gone, Reply::Text))
        } else {
            match luck {
                3..8 => {
                    self.write(&asked);
                    None
                }
                8..11 => None,
                11..15 => {
                    self.late.push(asked.clone());
                    None
                }
                15..18 => {
                    self.late.push(asked.clone());
                    Some(self.write(&asked))
                }
                _ => Some(self.write(&asked)),
            }
        };
        self.log.push(format!("{} {:?}: {asked:?} -> {reply:?}", request.number, self.now));
        let mut answer = reply.map_or(Answered::Lost(1), Answered::Reply);
        loop {
            match request.changing.poll(answer, self.now, self.now.0, &self.chance.bytes()) {
                Effect::Sleep(_) => answer = Answered::Slept,
                Effect::Call(asked) => {
                    request.asked = asked;
                    return self.requests.push(request);
                }
                Effect::Finished(ended) => {
                    self.log.push(format!("{}: {ended:?}", request.number));
                    if let Ok(changed) = ended {
                        let Request { began, change, .. } = request;
                        self.ended.push((
                            began,
                            self.now,
                            change,
                            changed.verdict == Verdict::Made,
                        ));
                    }
                    return;
                }
                effect => panic!("{effect:?}"),
            }
        }
    }

    fn write(&mut self, asked: &Asked) -> Reply {
        let present = self.text.as_deref().map(|text| UserSessions::decode(text).unwrap());
        match (asked.kind, present) {
            _ if self.careless => {}
            (Question::Create, None) => {}
            (Question::Replace, Some(present)) if present.write_id() == asked.expected.as_ref() => {
            }
            (Question::Replace, None) => return Reply::Gone,
            _ => return Reply::Conflict,
        }
        self.text = Some(asked.text.clone());
        self.past.push(self.text.clone());
        Reply::Done
    }

    pub(crate) fn faults(&self) -> Vec<&'static str> {
        let mut faults = Vec::new();
        let list = self.text.as_deref().map(|text| UserSessions::decode(text).unwrap());
        let list = list.unwrap_or_default();
        let sinces: Vec<_> = self
            .wanted
            .iter()
            .filter_map(|change| match change {
                UserChange::Add { handle, since, .. } => Some((handle, *since)),
                _ => None,
            })
            .collect();
        let may_end = |handle: &Handle| {
            self.wanted.iter().any(|change| match change {
                UserChange::End { keep, .. } => keep.as_ref() != Some(handle),
                UserChange::Remove(removed) => removed == handle,
                UserChange::Add { .. }
                | UserChange::Stay { .. }
                | UserChange::Seen(_)
                | UserChange::Bound(_)
                | UserChange::Reused(_)
                | UserChange::RemoveEach(_)
                | UserChange::LoggedOut { .. } => false,
            })
        };
        for (began, at, change, made) in &self.ended {
            if !made {
                continue;
            }
            match change {
                // For logins that began during the revocation, either order is right.
                UserChange::End { keep, .. } => {
                    let survivor = sinces.iter().any(|(handle, since)| {
                        keep.as_ref() != Some(*handle) && since < began && list.knows(handle)
                    });
                    if survivor {
                        faults.push("a session survives the end of all");
                    }
                }
                UserChange::Add { handle, .. } => {
                    if !may_end(handle) && !list.knows(handle) {
                        faults.push("a session is missing");
                    }
                }
                UserChange::Remove(handle) => {
                    // Its login may have come later.
                    let added = self.ended.iter().any(|(_, login, other, done)| {
                        matches!(other, UserChange::Add { handle: added, .. } if added == handle)
                            && *done
                            && login < at
                    });
                    if added && list.knows(handle) {
                        faults.push("a session that was ended is listed");
                    }
                }
                UserChange::Stay { .. }
                | UserChange::Seen(_)
                | UserChange::Bound(_)
                | UserChange::Reused(_)
                | UserChange::RemoveEach(_)
                | UserChange::LoggedOut { .. } => {}
            }
        }
        faults.sort_unstable();
        faults.dedup();
        faults
    }
}
