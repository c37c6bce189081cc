//! Logins of users of a provider on random schedules, beside logouts by this provider: of a session there, or of a user,
//! with tokens that come once or again; with crashes, lost replies, late requests, and stale reads.

use std::{collections::BTreeMap, sync::Arc};

use vestiary::{
    Device, Follower, Handle, Lead, Limits, Options, OptionsInput, Record, SessionId, Ttl,
    UnixMillis,
    protocol::{
        Answered, Asked, Effect, NewId, Pending, Question, Reply, Rules, Seen, Stopped,
        UserSessions,
    },
    session::{self, Join, Provider, provider_list, provider_receipt},
};

use crate::{
    chance::{Chance, Seeds},
    texts::Texts,
};

#[test]
fn a_logout_by_the_provider_ends_its_older_logins_and_no_others() {
    let Seeds { count, range, are_few } = Seeds::of_environment();
    // Logins, refused logins, logouts, and those whose token was used before.
    let mut counts = [0; 4];
    for seed in range {
        let mut schedule = Schedule::new(seed);
        schedule.play();
        for (_, end) in &schedule.ended {
            counts[match end {
                End::LoggedIn(_) => 0,
                End::Refused => 1,
                End::LoggedOut(false) => 2,
                End::LoggedOut(true) => 3,
            }] += 1;
        }
        let faults = schedule.faults();
        assert!(faults.is_empty(), "seed {seed}: {faults:?}\n{}", schedule.log.join("\n"));
    }
    println!("{count} schedules: logins, refused, logouts, replayed: {counts:?}");
    assert!(are_few || counts.iter().all(|&some| some > 100), "{counts:?}");
}

const ISSUER: &str = "https://login.example";

/// How a request ended.
#[derive(Debug)]
enum End {
    LoggedIn(Box<Seen>),
    Refused,
    /// Whether the token counted as used before.
    LoggedOut(bool),
}

/// The task of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// A login of this user, in this session of the provider.
    LogIn(&'static str, &'static str),
    /// A logout of this kind of name, with this token.
    LogOut([&'static str; 2], &'static str),
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    number: usize,
    kind: Kind,
    began: UnixMillis,
}

struct Request {
    plan: Plan,
    running: Pending<End>,
    asked: Asked,
}

pub(crate) struct Schedule {
    chance: Chance,
    texts: Texts,
    plans: Vec<Plan>,
    waiting: Vec<Plan>,
    requests: Vec<Request>,
    late: Vec<Asked>,
    rules: Arc<Rules>,
    now: UnixMillis,
    /// How requests ended, and when.
    ended: Vec<((Plan, UnixMillis), End)>,
    log: Vec<String>,
}

impl Schedule {
    pub(crate) fn new(seed: u64) -> Self {
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
        let now = UnixMillis(1_000_000);
        let mut plans = Vec::new();
        for number in 0..2 + chance.below(5) {
            let kind = if number == 0 || chance.percent(50) {
                let user = ["ada", "bob"][chance.below(2)];
                Kind::LogIn(user, ["s1", "s2"][chance.below(2)])
            } else {
                let names = [["sid", "s1"], ["sid", "s2"], ["sub", "ada"]];
                Kind::LogOut(names[chance.below(3)], ["j1", "j2"][chance.below(2)])
            };
            let began = now.plus(chance.below(120) as u64);
            plans.push(Plan { number, kind, began });
        }
        Self {
            chance: Chance(seed ^ 0x5555),
            texts: Texts::default(),
            waiting: plans.clone(),
            plans,
            requests: Vec::new(),
            late: Vec::new(),
            rules,
            now,
            ended: Vec::new(),
            log: Vec::new(),
        }
    }

    pub(crate) fn play(&mut self) {
        while !(self.waiting.is_empty() && self.requests.is_empty() && self.late.is_empty()) {
            self.now = self.now.plus(1 + self.chance.below(5) as u64);
            let now = self.now;
            let idle = self.requests.is_empty();
            if let Some(place) = self.waiting.iter().position(|plan| idle || plan.began <= now) {
                let plan = self.waiting.swap_remove(place);
                self.begin(plan);
            } else if !self.late.is_empty() && (idle || self.chance.percent(15)) {
                let asked = self.late.swap_remove(self.chance.below(self.late.len()));
                self.write(&asked);
            } else if !idle {
                let request = self.requests.swap_remove(self.chance.below(self.requests.len()));
                self.step(request);
            }
        }
    }

    fn begin(&mut self, plan: Plan) {
        let rules = Arc::clone(&self.rules);
        // The time at which it began counts, not the planned one.
        let plan = Plan { began: self.now, ..plan };
        self.plans[plan.number] = plan;
        let running = match plan.kind {
            Kind::LogIn(user, sid) => Pending::new(async move |mut host| {
                let join = Join {
                    name: user,
                    label: None,
                    device: Device::default(),
                    proven: plan.began,
                    own_end: None,
                    cookie: None,
                    provider: Some(Provider::new(ISSUER, user, Some(sid))),
                    tokens: None,
                };
                let done = session::log_in(&mut host, &rules, None, &join, "{}").await?;
                Ok(done.map_or(End::Refused, End::LoggedIn))
            }),
            Kind::LogOut([kind, name], token) => Pending::new(async move |mut host| {
                let list = provider_list(kind, ISSUER, name);
                let receipt = Some(provider_receipt(ISSUER, token));
                let ended = session::logged_out(&mut host, &rules, &list, receipt).await?;
                // As the drivers do.
                let mut users = BTreeMap::<String, Vec<Handle>>::new();
                for entry in ended.entries {
                    let Some(label) = entry.label else { continue };
                    let name = serde_json::from_str::<String>(&label).unwrap();
                    users.entry(name).or_default().push(entry.handle);
                }
                for (name, handles) in users {
                    session::revoke_each(&mut host, &rules, &name, handles).await?;
                }
                Ok(End::LoggedOut(ended.is_replayed))
            }),
        };
        let asked = Asked {
            kind: Question::Read,
            key: String::new(),
            expected: None,
            text: String::new(),
            ttl: Ttl::Infinite,
            owned: false,
        };
        self.go_on(Request { plan, running, asked }, Answered::Begin);
    }

    fn step(&mut self, request: Request) {
        let asked = request.asked.clone();
        let luck = self.chance.below(100);
        if luck < 2 {
            self.log.push(format!("{} dies", request.plan.number));
            return;
        }
        let answer = if matches!(asked.kind, Question::Read | Question::ReadTimed) {
            let stale = self.chance.percent(10);
            let found = self.texts.read(&asked.key, stale, &mut self.chance);
            match asked.kind {
                _ if luck < 4 => Answered::Lost(1),
                Question::ReadTimed => Answered::Reply(Reply::Timed(found, Some(self.now))),
                _ => Answered::Reply(found.map_or(Reply::Gone, Reply::Text)),
            }
        } else {
            match luck {
                2..8 => {
                    self.write(&asked);
                    Answered::Lost(1)
                }
                8..10 => Answered::Lost(1),
                10..13 => {
                    self.late.push(asked.clone());
                    Answered::Lost(1)
                }
                _ => Answered::Reply(self.write(&asked)),
            }
        };
        self.log.push(format!("{} {:?}: {asked:?} -> {answer:?}", request.plan.number, self.now));
        self.go_on(request, answer);
    }

    fn go_on(&mut self, mut request: Request, mut answer: Answered) {
        loop {
            let (now, entropy) = (self.now, self.chance.bytes());
            let effect = request.running.poll(answer, now, now.0, &entropy);
            let _ = request.running.reports();
            answer = match effect {
                Effect::Sleep(_) => Answered::Slept,
                Effect::NewId => Answered::NewId(NewId::Random(self.chance.id())),
                Effect::Call(asked) => {
                    request.asked = asked;
                    self.requests.push(request);
                    return;
                }
                Effect::Finished(ended) => {
                    self.log.push(format!("{:?}: {ended:?}", request.plan));
                    match ended {
                        Ok(end) => self.ended.push(((request.plan, now), end)),
                        Err(error) => assert_ne!(error, Stopped::Misuse),
                    }
                    return;
                }
                effect => panic!("{effect:?}"),
            }
        }
    }

    fn write(&mut self, asked: &Asked) -> Reply {
        match asked.kind {
            Question::Stamp => self.texts.stamp(asked, self.now),
            _ => self.texts.write(asked),
        }
    }

    pub(crate) fn faults(&self) -> Vec<&'static str> {
        let mut faults = Vec::new();
        for ((plan, _), end) in &self.ended {
            match end {
                End::LoggedIn(session) => faults.extend(self.faults_of_login(plan, session)),
                End::Refused if self.logouts_of(plan).next().is_none() => {
                    faults.push("a login was refused without a logout");
                }
                End::LoggedOut(true)
                    if self.uses_of(plan).all(|use_| use_.number == plan.number) =>
                {
                    faults.push("a token counts as used before");
                }
                _ => {}
            }
        }
        faults.sort_unstable();
        faults.dedup();
        faults
    }

    fn faults_of_login(&self, login: &Plan, session: &Seen) -> Option<&'static str> {
        let is_valid = self.is_valid(login, session);
        let done = self.ended.iter().filter(|(_, end)| matches!(end, End::LoggedOut(_)));
        let done: Vec<_> = done.map(|(of, _)| of).collect();
        // A token that comes again ends what its first use has missed, and no more.
        let first = |logout: &Plan| self.uses_of(logout).map(|use_| use_.began).min();
        let has_ended =
            done.iter().any(|(logout, _)| ends(logout, login) && first(logout) > Some(login.began));
        if is_valid && has_ended {
            return Some("a login survives the logout by its provider");
        }
        let is_spared = self.logouts_of(login).all(|logout| {
            // Of two requests at the same time with one token, one whose reply was lost may take the other's use for its own.
            done.iter().any(|(other, at)| {
                other.kind == logout.kind
                    && *at < login.began
                    && (other.number == logout.number || *at < logout.began)
            })
        });
        (!is_valid && is_spared).then_some("a logout by the provider ends another login")
    }

    /// The logouts that may end a login.
    fn logouts_of<'a>(&'a self, login: &'a Plan) -> impl Iterator<Item = &'a Plan> {
        self.plans.iter().filter(|logout| ends(logout, login))
    }

    /// The requests with the same token.
    fn uses_of<'a>(&'a self, logout: &'a Plan) -> impl Iterator<Item = &'a Plan> {
        self.plans.iter().filter(|other| other.kind == logout.kind)
    }

    /// Whether a visitor with this session is logged in.
    fn is_valid(&self, login: &Plan, session: &Seen) -> bool {
        let Kind::LogIn(user, _) = login.kind else { return false };
        let id: &SessionId = &session.id;
        let Some(text) = self.texts.get(id.expose()) else { return false };
        let record = Record::decode(text, Limits::LOAD).unwrap();
        let list = self.texts.get(&self.rules.options.user_key(user));
        let mut list = UserSessions::decode(list.map_or("{}", |list| list)).unwrap();
        list.sweep(self.now);
        let lead = record.lead(id, Follower::Cookie(self.now));
        matches!(lead, Ok(Lead::Here))
            && record.meta().user.as_ref().is_some_and(|user| list.knows(&user.handle))
    }
}

/// Whether a logout is about the session of a login.
fn ends(logout: &Plan, login: &Plan) -> bool {
    match (logout.kind, login.kind) {
        (Kind::LogOut(["sid", name], _), Kind::LogIn(_, sid)) => name == sid,
        (Kind::LogOut([_, name], _), Kind::LogIn(user, _)) => name == user,
        _ => false,
    }
}
