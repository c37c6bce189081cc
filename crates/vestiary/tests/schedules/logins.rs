//! Logins of one user on random schedules, in place of a session or of none: beside saves and logouts of that session,
//! and the end of all sessions, with crashes, lost replies, late and doubled requests, and stale reads.

use std::sync::Arc;

use vestiary::{
    Device, Error, Follower, Handle, Lead, Limits, Meta, Options, OptionsInput, Record, SessionId,
    Ttl, UnixMillis, WhenFull,
    protocol::{
        Answered, Asked, Change, CookieEdit, Effect, Host as _, NewId, Pending, Question, Reply,
        Report, Rules, Seen, Stopped, UserSessions, Written,
    },
    session::{self, Join},
    visit::Grant,
};

use crate::{
    chance::{Chance, Seeds},
    texts::Texts,
};

/// The access token of each login.
const ACCESS: &str = "the access token";

#[test]
fn a_login_begins_a_listed_session_in_place_of_the_old_one_or_leaves_nothing() {
    let counts = run(WhenFull::Evict);
    assert!(counts[..3].iter().all(|&some| some > 100), "{counts:?}");
}

#[test]
fn a_full_list_refuses_a_login_and_the_old_session_stays() {
    let counts = run(WhenFull::Refuse);
    assert!(counts.iter().all(|&some| some > 100), "{counts:?}");
}

/// Plays the schedules. Returns the numbers of logins, failed logins, other requests, and logins that a full list refused.
fn run(when_full: WhenFull) -> [usize; 4] {
    let Seeds { count, range, are_few } = Seeds::of_environment();
    let mut counts = [0; 4];
    for seed in range {
        let mut schedule = Schedule::new(seed, when_full);
        schedule.play();
        for (_, end) in &schedule.ended {
            counts[match end {
                End::LoggedIn(..) => 0,
                End::Refused(_) => 1,
                End::Full(_) => 3,
                _ => 2,
            }] += 1;
        }
        let faults = schedule.faults();
        assert!(faults.is_empty(), "seed {seed}: {faults:?}\n{}", schedule.log.join("\n"));
    }
    println!("{count} schedules: logins, refused, others, full: {counts:?}");
    if are_few { [usize::MAX; 4] } else { counts }
}

/// How a request ended.
#[derive(Debug)]
enum End {
    LoggedIn(Box<Seen>, Clean),
    Refused(Clean),
    /// The user has too many sessions.
    Full(Clean),
    Saved,
    Out,
    All,
}

/// Whether nothing is left to undo.
type Clean = bool;

struct Request {
    number: usize,
    began: UnixMillis,
    running: Pending<End>,
    asked: Asked,
    is_login: bool,
    /// Some of the undoing failed.
    failed: bool,
    /// At some time since its first store call, the list had no place for a login. `None` before.
    met_full: Option<bool>,
}

pub(crate) struct Schedule {
    chance: Chance,
    texts: Texts,
    requests: Vec<Request>,
    late: Vec<Asked>,
    /// The store dates lists.
    stamps: bool,
    now: UnixMillis,
    ended: Vec<((UnixMillis, UnixMillis), End)>,
    /// The number of logins that were never answered, and those in progress.
    died: usize,
    /// Some request may end sessions that others began.
    ends: bool,
    /// Some request may end the old session.
    logs_out: bool,
    logins: usize,
    old: Option<Seen>,
    /// Other sessions of the user from the start.
    others: Vec<Seen>,
    noticed: Vec<&'static str>,
    list: String,
    options: Arc<Options>,
    log: Vec<String>,
}

impl Schedule {
    pub(crate) fn new(seed: u64, when_full: WhenFull) -> Self {
        let mut chance = Chance(seed);
        let refuses = when_full == WhenFull::Refuse;
        let most = if refuses { [1.0, 2.0, 3.0][chance.below(3)] } else { 100.0 };
        let options = OptionsInput {
            hash_ids: false,
            sessions_per_user: Some(most),
            when_full,
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
        let list = rules.options.user_key("ada");
        let mut schedule = Self {
            chance: Chance(seed ^ 0x5555),
            texts: Texts::default(),
            requests: Vec::new(),
            late: Vec::new(),
            stamps: chance.percent(70),
            now: UnixMillis(1_000_000),
            ended: Vec::new(),
            died: 0,
            ends: false,
            logs_out: false,
            logins: 0,
            old: None,
            others: Vec::new(),
            noticed: Vec::new(),
            list,
            options: Arc::clone(&rules.options),
            log: Vec::new(),
        };
        let old = match chance.below(4) {
            0 => None,
            owner => {
                Some(schedule.old_session(&rules, [None, Some("ada"), Some("bob")][owner - 1]))
            }
        };
        schedule.old.clone_from(&old);
        if refuses {
            let left =
                schedule.options.sessions_per_user().most - schedule.listed().sessions().len();
            let others =
                (0..chance.below(left + 1)).map(|_| schedule.old_session(&rules, Some("ada")));
            schedule.others = others.collect();
        }
        for number in 0..=chance.below(4) {
            let began = schedule.now.plus(chance.below(20) as u64);
            let kinds = if refuses { 10 } else { 7 };
            let kind = if number == 0 { 0 } else { chance.below(kinds) };
            schedule.begin(&rules, number, began, kind);
        }
        schedule
    }

    /// Begins a request of this kind.
    fn begin(&mut self, rules: &Arc<Rules>, number: usize, began: UnixMillis, kind: usize) {
        let old = self.old.clone();
        let other = self.others.first().filter(|_| kind >= 7).cloned();
        let is_login = !matches!(kind, 3 | 6)
            && (old.is_none() || !matches!(kind, 2 | 4 | 5))
            && other.is_none();
        self.logins += usize::from(is_login);
        self.logs_out |= kind == 4;
        self.ends |= matches!(kind, 3 | 6);
        let running = Self::running(rules, kind, old, other);
        let mut request = Request {
            number,
            began,
            running,
            asked: Asked {
                kind: Question::Read,
                key: String::new(),
                expected: None,
                text: String::new(),
                ttl: Ttl::Infinite,
                owned: false,
            },
            is_login,
            failed: false,
            met_full: None,
        };
        if let Some(asked) = self.next(&mut request, Answered::Begin, began) {
            request.asked = asked;
            self.requests.push(request);
        }
    }

    /// A request of this kind: mostly a login.
    fn running(
        rules: &Arc<Rules>,
        kind: usize,
        old: Option<Seen>,
        other: Option<Seen>,
    ) -> Pending<End> {
        let rules = Arc::clone(rules);
        match (kind, old) {
            (7.., _) if other.is_some() => Pending::new(async move |mut host| {
                let handle = other.as_ref().and_then(handle_of).unwrap();
                session::revoke(&mut host, &rules, "ada", handle).await.map(|()| End::Saved)
            }),
            (4, Some(old)) => Pending::new(async move |mut host| {
                session::destroy(&mut host, &rules, old).await.map(|_| End::Out)
            }),
            (2, Some(old)) => Pending::new(async move |mut host| {
                let (base, mine) = ("{}".to_owned(), r#"{"n":1}"#.to_owned());
                let merge = Change::Merge { base, mine };
                match session::save(&mut host, &rules, old, &merge, CookieEdit::default()).await? {
                    Written::Saved { .. } | Written::Gone => Ok(End::Saved),
                }
            }),
            (5, Some(old)) => Pending::new(async move |mut host| {
                session::renew(&mut host, &rules, old).await.map(|_| End::Saved)
            }),
            (3 | 6, _) => Pending::new(async move |mut host| {
                session::end_all(&mut host, &rules, "ada", None).await.map(|_| End::All)
            }),
            (_, old) => Pending::new(async move |mut host| {
                let tokens = Some(Grant { access: ACCESS.to_owned(), ..Grant::default() });
                let join = Join { tokens, ..join("ada", host.now()) };
                let done = session::log_in(&mut host, &rules, old, &join, "{}").await?;
                Ok(done.map_or(End::Refused(true), |session| End::LoggedIn(session, true)))
            }),
        }
    }

    /// A stored session, of the same user or of none.
    fn old_session(&mut self, rules: &Arc<Rules>, owner: Option<&'static str>) -> Seen {
        let shared = Arc::clone(rules);
        let mut pending = Pending::new(async move |mut host| {
            let user = if let Some(name) = owner {
                let join = join(name, host.now());
                session::enter(&mut host, &shared, &join).await?
            } else {
                None
            };
            let record = session::new_record(&mut host, &shared, "{}", Meta::owned(user))?;
            session::create(&mut host, &shared, record).await
        });
        let mut answer = Answered::Begin;
        loop {
            answer = match pending.poll(answer, self.now, 0, &self.chance.bytes()) {
                Effect::Call(asked) if asked.kind == Question::Read => Answered::Reply(
                    self.texts.get(&asked.key).cloned().map_or(Reply::Gone, Reply::Text),
                ),
                Effect::Call(asked) if asked.kind == Question::ReadTimed => Answered::Reply(
                    Reply::Timed(self.texts.get(&asked.key).cloned(), Some(self.now)),
                ),
                Effect::Call(asked) => Answered::Reply(self.write(&asked)),
                Effect::NewId => Answered::NewId(NewId::Random(self.id())),
                Effect::Finished(ended) => return *ended.unwrap(),
                effect => panic!("{effect:?}"),
            }
        }
    }

    fn id(&mut self) -> SessionId {
        SessionId::from_entropy(&self.chance.bytes())
    }

    pub(crate) fn play(&mut self) {
        while !(self.requests.is_empty() && self.late.is_empty()) {
            self.now = self.now.plus(self.chance.below(5) as u64);
            if !self.late.is_empty() && (self.requests.is_empty() || self.chance.percent(15)) {
                let asked = self.late.swap_remove(self.chance.below(self.late.len()));
                self.write(&asked);
                self.look(None);
                continue;
            }
            let at = self.chance.below(self.requests.len());
            self.now = self.now.max(self.requests[at].began);
            let request = self.requests.swap_remove(at);
            self.step(request);
        }
    }

    fn step(&mut self, mut request: Request) {
        request.met_full = Some(request.met_full.unwrap_or_default() || self.is_full());
        let asked = request.asked.clone();
        // A login also changes the list of its user, and of the user that the visitor was before.
        let creates = asked.kind == Question::Create && !asked.key.starts_with("user:");
        if request.is_login && creates && !asked.text.contains(ACCESS) {
            self.noticed.push("a login stores a session without its tokens");
        }
        let luck = self.chance.below(100);
        if luck < 2 {
            self.died += usize::from(request.is_login);
            return;
        }
        let answer = if matches!(asked.kind, Question::Read | Question::ReadTimed) {
            let stale = self.chance.percent(10);
            let found = self.texts.read(&asked.key, stale, &mut self.chance);
            if luck < 6 {
                Answered::Lost(1)
            } else if asked.kind == Question::ReadTimed {
                Answered::Reply(Reply::Timed(found, Some(self.now)))
            } else {
                Answered::Reply(found.map_or(Reply::Gone, Reply::Text))
            }
        } else {
            match luck {
                2..9 => {
                    self.write(&asked);
                    Answered::Lost(1)
                }
                9..13 => Answered::Lost(1),
                13..16 => {
                    self.late.push(asked.clone());
                    Answered::Lost(1)
                }
                _ => Answered::Reply(self.write(&asked)),
            }
        };
        self.log.push(format!("{} {:?}: {asked:?} -> {answer:?}", request.number, self.now));
        let now = self.now;
        self.look(Some(&mut request));
        if let Some(asked) = self.next(&mut request, answer, now) {
            request.asked = asked;
            self.requests.push(request);
        }
    }

    /// The next question of a request, if it has not ended.
    fn next(
        &mut self,
        request: &mut Request,
        mut answer: Answered,
        now: UnixMillis,
    ) -> Option<Asked> {
        loop {
            let effect = request.running.poll(answer, now, now.0, &self.chance.bytes());
            let reports = request.running.reports();
            request.failed |= reports.iter().any(|report| matches!(report, Report::Failed(_)));
            answer = match effect {
                Effect::Calls(_) => panic!("one call after the other"),
                Effect::Sleep(_) => Answered::Slept,
                Effect::NewId => Answered::NewId(NewId::Random(self.id())),
                Effect::Call(asked) => return Some(asked),
                Effect::Finished(ended) => {
                    self.log.push(format!("{}: {ended:?}", request.number));
                    let end = match ended {
                        Ok(End::LoggedIn(session, _)) => {
                            Some(End::LoggedIn(session, !request.failed))
                        }
                        Ok(End::Refused(_)) => Some(End::Refused(!request.failed)),
                        Ok(end) => Some(end),
                        Err(Stopped::Misuse) => panic!("misuse"),
                        Err(Stopped::Core(Error::TooManySessions)) => {
                            if request.met_full != Some(true) {
                                self.noticed.push("a login was refused although there was a place");
                            }
                            Some(End::Full(!request.failed))
                        }
                        Err(_) if request.is_login => Some(End::Refused(!request.failed)),
                        Err(_) => None,
                    };
                    self.died +=
                        usize::from(matches!(end, Some(End::Refused(false) | End::Full(false))));
                    if let Some(end) = end {
                        self.ended.push(((request.began, now), end));
                    }
                    return None;
                }
                effect @ (Effect::Compute(_) | Effect::Migrate(..)) => panic!("{effect:?}"),
            }
        }
    }

    fn write(&mut self, asked: &Asked) -> Reply {
        match asked.kind {
            Question::Confirm => Reply::Confirmed(Some(true)),
            // A store without a clock.
            Question::Stamp if !self.stamps => Reply::Timed(None, None),
            Question::Stamp => self.texts.stamp(asked, self.now),
            _ => self.texts.write(asked),
        }
    }

    /// The valid session under this ID.
    fn living(&self, id: &SessionId) -> Option<Record> {
        let record = Record::decode(self.texts.get(id.expose())?, Limits::LOAD).unwrap();
        let lead = record.lead(id, Follower::Cookie(self.now));
        matches!(lead, Ok(Lead::Here)).then_some(record)
    }

    pub(crate) fn faults(&self) -> Vec<&'static str> {
        let mut faults = self.noticed.clone();
        let text = self.texts.get(&self.list);
        let list = text.map(|text| UserSessions::decode(text).unwrap()).unwrap_or_default();
        let mut shown = list.clone();
        shown.sweep(self.now.plus(1));
        let mut known: Vec<&Handle> = self.others.iter().filter_map(handle_of).collect();
        let ends: Vec<_> = self
            .ended
            .iter()
            .filter_map(|(times, end)| matches!(end, End::All).then_some(times.0))
            .collect();
        let mut replaced = None;
        for ((began, _), end) in &self.ended {
            let End::LoggedIn(session, is_clean) = end else { continue };
            replaced = Some(*is_clean);
            let handle = &session.record.meta().user.as_ref().unwrap().handle;
            known.push(handle);
            if !self.ends && (!list.knows(handle) || self.living(&session.id).is_none()) {
                faults.push("a session is missing");
            }
            if ends.iter().any(|end| began < end) && list.knows(handle) {
                faults.push("a session survives the end of all");
            }
        }
        if let (Some(old), Some(is_clean)) = (&self.old, replaced) {
            faults.extend(self.faults_of_old(old, is_clean && self.logins == 1));
        }
        let may_stay = |(_, end): &(_, End)| matches!(end, End::Full(_) | End::Saved);
        if let Some(old) = &self.old
            && !(self.ends || self.logs_out)
            && self.died == 0
            && self.ended.iter().all(may_stay)
            && self.ended.iter().any(|(_, end)| matches!(end, End::Full(_)))
            && !self.stays(old)
        {
            faults.push("a login that was refused ended the old session");
        }
        // Each entry belongs to a session that a visitor has, unless it could not be removed.
        let strangers = shown.sessions().iter().filter(|session| {
            let is_old = self.old.as_ref().and_then(handle_of) == Some(&session.handle);
            !is_old && !known.contains(&&session.handle)
        });
        if strangers.count() > self.died {
            faults.push("a login that failed left an entry");
        }
        faults.sort_unstable();
        faults.dedup();
        faults
    }

    /// The sessions of the user that take a place.
    fn listed(&self) -> UserSessions {
        let text = self.texts.get(&self.list);
        let mut list = text.map(|text| UserSessions::decode(text).unwrap()).unwrap_or_default();
        list.sweep(self.now);
        list
    }

    /// Whether the list has no place for a login.
    fn is_full(&self) -> bool {
        let list = self.listed();
        let replaced = self.old.as_ref().and_then(handle_of).is_some_and(|old| list.knows(old));
        list.sessions().len() >= self.options.sessions_per_user().most && !replaced
    }

    /// Looks at the list after a step.
    fn look(&mut self, stepping: Option<&mut Request>) {
        if self.listed().sessions().len() > self.options.sessions_per_user().most {
            self.noticed.push("a user has too many sessions");
        }
        let is_full = self.is_full();
        for request in self.requests.iter_mut().chain(stepping) {
            request.met_full = request.met_full.map(|met| met || is_full);
        }
    }

    /// Whether the old session is still valid, perhaps under the ID of a renewal.
    fn stays(&self, old: &Seen) -> bool {
        let mut id = old.id.clone();
        while let Some(text) = self.texts.get(id.expose()) {
            let record = Record::decode(text, Limits::LOAD).unwrap();
            match record.lead(&id, Follower::Admitted).unwrap() {
                Lead::Here => {
                    let Some(user) = &record.meta().user else { return true };
                    let list = self.texts.get(&self.options.user_key(&user.decoded_name()));
                    let mut list = UserSessions::decode(list.unwrap()).unwrap();
                    list.sweep(self.now);
                    return list.knows(&user.handle);
                }
                Lead::To(next) => id = next,
                Lead::Nowhere => return false,
            }
        }
        false
    }

    /// Checks a session that a login has replaced, alone and without a failure.
    fn faults_of_old(&self, old: &Seen, alone: bool) -> Option<&'static str> {
        let mut id = old.id.clone();
        while let Some(text) = self.texts.get(id.expose()) {
            let record = Record::decode(text, Limits::LOAD).unwrap();
            match record.lead(&id, Follower::Admitted).unwrap() {
                Lead::Here if self.sessions_of_logins().any(|session| session.id == id) => {
                    return Some("the old ID leads to the login");
                }
                Lead::Here => return Some("the old session lives"),
                Lead::To(next) => id = next,
                Lead::Nowhere => break,
            }
        }
        let user = old.record.meta().user.as_ref().filter(|_| alone)?;
        let list = self.texts.get(&self.options.user_key(&user.decoded_name()))?;
        let mut list = UserSessions::decode(list).unwrap();
        list.sweep(self.now.plus(1));
        list.knows(&user.handle).then_some("the old session is listed")
    }

    fn sessions_of_logins(&self) -> impl Iterator<Item = &Seen> {
        self.ended.iter().filter_map(|(_, end)| match end {
            End::LoggedIn(session, _) => Some(&**session),
            _ => None,
        })
    }
}

/// The handle of a user's session.
fn handle_of(session: &Seen) -> Option<&Handle> {
    session.record.meta().user.as_ref().map(|user| &user.handle)
}

fn join(name: &str, proven: UnixMillis) -> Join<'_> {
    Join {
        name,
        label: None,
        device: Device::default(),
        proven,
        own_end: None,
        cookie: None,
        provider: None,
        tokens: None,
    }
}
