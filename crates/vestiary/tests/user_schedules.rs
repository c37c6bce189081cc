//! The list of a user's sessions on random schedules: logins, logouts and the end of all sessions at
//! once, with crashes, lost answers, lost, late and doubled requests, and stale reads.
//!
//! Everything follows from a seed, as in `schedules.rs`.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::env;

use vestiary::{
    Handle, Ttl, UnixMillis, WriteId,
    protocol::{Answer, Lifetime, UserChange, UserCommit, UserCommitted, UserSessions, UserStep},
};

const LIFETIME: Lifetime = Lifetime { ttl: Ttl::Millis(3_600_000), absolute: None };

#[test]
fn nobody_survives_the_end_of_all_sessions_and_nobody_else_is_logged_out() {
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
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let count = number("SCHEDULES").unwrap_or(if cfg!(debug_assertions) { 4_000 } else { 100_000 });
    let seeds = number("SEED").map_or(0..count, |seed| seed..seed + 1);
    let mut all = Vec::new();
    for seed in seeds {
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
}

struct Request {
    number: usize,
    began: UnixMillis,
    change: UserChange,
    commit: UserCommit,
    step: UserStep,
}

struct Schedule {
    chance: Chance,
    /// Writes without comparing.
    careless: bool,
    text: Option<String>,
    past: Vec<Option<String>>,
    requests: Vec<Request>,
    late: Vec<UserStep>,
    now: UnixMillis,
    /// How each request ended, as far as it was told.
    ended: Vec<(UnixMillis, UnixMillis, UserChange, UserCommitted)>,
    wanted: Vec<UserChange>,
    log: Vec<String>,
}

impl Schedule {
    fn new(seed: u64, careless: bool) -> Self {
        let mut chance = Chance(seed);
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
                    UserChange::Add { handle, label: None, since: began, most: 100 }
                }
            };
            let commit = UserCommit::new(wish.clone(), LIFETIME);
            let step = UserStep::Load;
            requests.push(Request { number, began, change: wish, commit, step });
        }
        let wanted = requests.iter().map(|request| request.change.clone()).collect();
        let (past, late, ended, log) = (vec![None], Vec::new(), Vec::new(), Vec::new());
        let (text, now) = (None, UnixMillis(0));
        Self { chance, careless, text, past, requests, late, now, ended, wanted, log }
    }

    fn play(&mut self) {
        while !(self.requests.is_empty() && self.late.is_empty()) {
            self.now = self.now.plus(self.chance.below(5) as u64);
            if !self.late.is_empty() && (self.requests.is_empty() || self.chance.below(100) < 15) {
                let step = self.late.swap_remove(self.chance.below(self.late.len()));
                self.write(&step);
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
        let mark =
            WriteId::from_entropy(&std::array::from_fn(|_| self.chance.next().to_le_bytes()[0]));
        let luck = self.chance.below(100);
        if luck < 3 {
            return;
        }
        request.step = if request.step == UserStep::Load {
            let stale = self.chance.below(100) < 15;
            let text = if stale {
                self.past[self.chance.below(self.past.len())].clone()
            } else {
                self.text.clone()
            };
            request.commit.loaded(text.as_deref(), &mark, self.now)
        } else {
            let answer = match luck {
                3..8 => {
                    self.write(&request.step);
                    Answer::Unknown
                }
                8..11 => Answer::Unknown,
                11..15 => {
                    self.late.push(request.step.clone());
                    Answer::Unknown
                }
                15..18 => {
                    self.late.push(request.step.clone());
                    self.write(&request.step)
                }
                _ => self.write(&request.step),
            };
            request.commit.written(&answer)
        };
        self.log.push(format!("{} {:?}: {:?}", request.number, self.now, request.step));
        match request.step {
            UserStep::Finished(committed) => {
                self.ended.push((request.began, self.now, request.change, committed));
            }
            _ => self.requests.push(request),
        }
    }

    fn write(&mut self, step: &UserStep) -> Answer {
        let present = self.text.as_deref().map(|text| UserSessions::decode(text).unwrap());
        let (text, answer) = match (step, present) {
            (UserStep::Create(text, _) | UserStep::Replace(_, text, _), _) if self.careless => {
                (text, Answer::Done)
            }
            (UserStep::Create(text, _), None) => (text, Answer::Done),
            (UserStep::Replace(mark, text, _), Some(present))
                if present.mark() == mark.as_ref() =>
            {
                (text, Answer::Done)
            }
            (_, None) => return Answer::Gone,
            (_, Some(_)) => return Answer::Conflict,
        };
        self.text = Some(text.clone());
        self.past.push(self.text.clone());
        answer
    }

    fn faults(&self) -> Vec<&'static str> {
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
                UserChange::Add { .. } | UserChange::Seen(_) => false,
            })
        };
        for (began, at, change, committed) in &self.ended {
            if *committed != UserCommitted::Done {
                continue;
            }
            match change {
                // Of logins that began while this was under way, either order is right.
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
                            && *done == UserCommitted::Done
                            && login < at
                    });
                    if added && list.knows(handle) {
                        faults.push("a session that was ended is listed");
                    }
                }
                UserChange::Seen(_) => {}
            }
        }
        faults
    }
}
