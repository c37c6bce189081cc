//! Browsers, and the requests that they send.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::take,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode, header},
};
use tower::ServiceExt as _;
use vestiary_store::{Event, Sessions};

use crate::{
    app::{Report, Want, app},
    model::{Answer, Going, Life, Model, Sets},
    settings::{Settings, user_of},
    support::{
        scheduled::{Answering, Care, Chance, Scheduled, Step, Task, Tasks, Trouble},
        set_cookies, text,
    },
};

/// How long the tombstone of a login certainly informs late requests.
const REMEMBERED: u64 = 540_000;

/// How long the user's session list informs late requests, while the tombstone is not there yet.
const LEFT: u64 = 300_000;

#[derive(Default)]
struct Browser {
    /// The cookie that it has, and until when.
    jar: Option<(String, u64)>,
    /// All that it was ever sent.
    had: Vec<String>,
    /// The cookie that it would have if responses arrived as they leave.
    newest: Option<String>,
    /// The cookie of the request whose response set it last, and when that was.
    by: Option<String>,
    at: u64,
    /// Valid cookies that logins have replaced, and when those logins were sent and answered.
    replaced: BTreeMap<String, [u64; 2]>,
}

pub struct Schedule {
    pub settings: Settings,
    pub sessions: Vec<Sessions>,
    pub store: Scheduled,
    pub model: Model,
    pub tasks: Tasks<Going>,
    pub log: Vec<String>,
    /// The events of the schedule, for the statistics.
    pub seen: BTreeMap<&'static str, u64>,
    pub(crate) noticed: BTreeSet<&'static str>,
    events: Arc<Mutex<Vec<Event>>>,
    chance: Chance,
    apps: Vec<Router>,
    browsers: Vec<Browser>,
    numbers: usize,
    /// Response headers in transit to the browsers.
    on_the_way: Vec<(usize, Vec<String>)>,
    /// Names of cookies in the log: their values are not repeatable.
    names: BTreeMap<String, usize>,
}

impl Schedule {
    pub fn new(seed: u64, care: Care) -> Self {
        let mut chance = Chance(seed);
        let settings = Settings::new(&mut chance);
        let store = Scheduled(Arc::default(), care);
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let listens = || {
            let events = Arc::clone(&events);
            move |event: &Event| events.lock().unwrap().push(event.clone())
        };
        let sessions: Vec<_> = (0..settings.processes)
            .map(|process| settings.config(process).on_event(listens()))
            .map(|config| Sessions::new(&config, store.clone()).unwrap())
            .collect();
        let mut tasks = Tasks::new(settings.requests, settings.at_once, 8);
        if settings.is_calm {
            tasks = tasks.without_deaths();
        }
        tasks.clock = settings.clock();
        Self {
            apps: sessions.iter().map(app).collect(),
            browsers: (0..settings.browsers).map(|_| Browser::default()).collect(),
            sessions,
            store,
            model: Model::default(),
            tasks,
            log: vec![format!("{:?}", Settings { mix: &[], ..settings })],
            seen: BTreeMap::new(),
            noticed: BTreeSet::new(),
            events,
            chance,
            numbers: 0,
            on_the_way: Vec::new(),
            names: BTreeMap::new(),
            settings,
        }
    }

    pub fn play(&mut self) {
        while let Some(step) = self.tasks.step(&mut self.chance) {
            match step {
                Step::Begins => {
                    self.arrive();
                    self.begin();
                }
                Step::Dies(going) => {
                    self.log.push(format!("{} {} dies", going.number, going.want));
                    self.model.failed_logins += usize::from(going.want.is_login());
                    self.model.leaves(&going, self.tasks.clock.now);
                }
                Step::Answers(going, response) => self.answered(&going, response),
            }
        }
    }

    fn begin(&mut self) {
        let browser = self.chance.below(self.browsers.len());
        let sent = self.cookie_of(browser);
        let mut want = self.settings.mix[self.chance.below(self.settings.mix.len())];
        if sent.is_none() && self.chance.below(4) > 0 {
            // A visitor without a session begins with one.
            want = [Want::Update, Want::Modify, Want::LogIn, Want::Enter][self.chance.below(4)];
        }
        let user = ["ada", "ada", "ada", "bob"][self.chance.below(4)];
        let detail = match want {
            Want::Fill => [500, 900, 3_000][self.chance.below(3)].to_string(),
            Want::RevokeOne => match self.handle() {
                Some(handle) => handle,
                // There is no session to revoke yet.
                None => return,
            },
            _ => user.to_owned(),
        };
        let trouble = match self.chance.below(4) {
            0 if !self.settings.is_calm => Trouble {
                after: self.chance.below(10),
                times: 1 + self.chance.below(2),
                loses: self.chance.below(2) == 0,
            },
            _ => Trouble::default(),
        };
        self.numbers += 1;
        let number = self.numbers;
        let from = self.tasks.clock.now;
        let process = self.chance.below(self.apps.len());
        let root = self.model.root(sent.as_ref());
        let before = match want {
            Want::RevokeAll | Want::RevokeOthers => self.model.owned(user).collect(),
            _ => Vec::new(),
        };
        let going = Going {
            number,
            browser,
            want,
            is_troubled: trouble.times > 0,
            is_alone: self.tasks.under_way() == 0,
            is_expired: root.and_then(|root| self.model.is_expired(root, from, &self.settings)),
            until: root.map_or(u64::MAX, |root| self.model.lives[&root].until),
            root,
            before,
            from,
            sent,
            detail,
        };
        let path = format!("/{want}/{number}/{}", going.detail);
        let line = format!(
            "{from}: {number} of browser {browser} to {process}: {want} {} with {}{}",
            if want == Want::RevokeOne { "" } else { &going.detail },
            self.name(going.sent.as_ref()),
            if trouble.times > 0 { format!(", {trouble:?}") } else { String::new() },
        );
        self.log.push(line);
        self.model.sends(&going, &self.settings);
        let answering = self.answering(process, &path, going.sent.as_deref());
        self.tasks.send(Task { of: going, trouble, answering });
    }

    /// A session of a user, by its public name.
    fn handle(&mut self) -> Option<String> {
        let lives = self.model.lives.values();
        let handles: Vec<_> = lives
            .filter(|life| life.user == Some("ada"))
            .filter_map(|life| life.handle.clone())
            .collect();
        (!handles.is_empty()).then(|| handles[self.chance.below(handles.len())].clone())
    }

    /// The cookie that a browser sends.
    fn cookie_of(&mut self, browser: usize) -> Option<String> {
        let now = self.tasks.clock.now;
        let Browser { jar, had, .. } = &self.browsers[browser];
        if self.settings.reorders && !had.is_empty() && self.chance.below(4) == 0 {
            return Some(had[self.chance.below(had.len())].clone());
        }
        jar.clone().filter(|(_, until)| now < *until).map(|(value, _)| value)
    }

    fn answering(&self, process: usize, path: &str, cookie: Option<&str>) -> Answering {
        let mut request = Request::builder().uri(path);
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, format!("sid={cookie}"));
        }
        let answer = self.apps[process].clone().oneshot(request.body(Body::empty()).unwrap());
        Box::pin(async { answer.await.unwrap() })
    }

    /// Responses reach their browsers: all, in their order, or some in any order.
    fn arrive(&mut self) {
        let mut left = Vec::new();
        while !self.on_the_way.is_empty() {
            let place =
                if self.settings.reorders { self.chance.below(self.on_the_way.len()) } else { 0 };
            let (browser, headers) = self.on_the_way.remove(place);
            if self.settings.reorders && self.chance.below(3) == 0 {
                left.push((browser, headers));
                continue;
            }
            for set in headers {
                let (value, age) = parsed(&set);
                let browser = &mut self.browsers[browser];
                browser.jar = age.map(|age| (value.to_owned(), self.tasks.clock.now + age));
                if age.is_some() && browser.newest.as_deref() != Some(value) {
                    *self.seen.entry("cookies that arrived after newer ones").or_default() += 1;
                }
            }
        }
        self.on_the_way = left;
    }

    fn answered(&mut self, going: &Going, response: Response<Body>) {
        let now = self.tasks.clock.now;
        let status = response.status();
        let headers = set_cookies(&response);
        if headers.len() > 1 {
            self.noticed.insert("a response has two cookies");
        }
        let text = futures_util::FutureExt::now_or_never(text(response)).unwrap();
        let report = match status {
            StatusCode::OK => serde_json::from_str(&text).unwrap(),
            _ => Report::default(),
        };
        let sets = match headers.last().map(|set| parsed(set)) {
            None => Sets::Nothing,
            Some((_, None)) => Sets::Removal,
            Some((value, Some(_))) => Sets::Value(value.to_owned()),
        };
        let name = match &sets {
            Sets::Value(value) => format!("sets {}", self.name(Some(value))),
            sets => format!("{sets:?}"),
        };
        let Report { root, handle, log_id, detail } = &report;
        let (number, want) = (going.number, going.want);
        self.log.push(format!("{now}: {number} {want} {status} {root:?} {detail:?} {name}"));
        if let Some(root) = *root {
            self.model.names(root, now);
            let life = self.model.lives.get_mut(&root).unwrap();
            life.handle = life.handle.take().or_else(|| handle.clone());
            life.log_id = life.log_id.take().or_else(|| log_id.clone());
        }
        self.note_reuse();
        let answer = Answer { status, report, sets };
        self.check(going, &answer);
        self.late(going, &answer);
        if let Some(value) = answer.value() {
            self.model.sets(value, answer.report.root, going, now);
            self.browsers[going.browser].had.push(value.clone());
        }
        if let Some(root) = answer.report.root.filter(|_| !going.is_troubled) {
            self.model.uses(root, going, now, &self.settings);
        }
        if answer.is_done() {
            self.done(going, &answer.report);
        } else {
            self.model.failed_logins += usize::from(going.want.is_login());
        }
        self.model.leaves(going, now);
        self.on_the_way.push((going.browser, headers));
        if !self.settings.reorders {
            self.arrive();
        }
    }

    /// Learns from the events which sessions were revoked because an ID was used again.
    fn note_reuse(&mut self) {
        for event in take(&mut *self.events.lock().unwrap()) {
            if let Event::Reuse { log_id: Some(log_id), revoked: true } = event {
                *self.seen.entry("sessions revoked because of a reuse").or_default() += 1;
                let now = self.tasks.clock.now;
                self.model.reused.entry(log_id.as_str().to_owned()).or_insert(now);
            }
        }
        if !self.model.revokes_reused(self.settings.grace).is_empty() {
            self.noticed.insert("a session was revoked within the grace period");
        }
    }

    /// A response to an earlier request must not replace the cookie of a login, unless the visitor has ended a session:
    /// the responses of a concurrent logout and login count in the order of their arrival.
    fn late(&mut self, going: &Going, answer: &Answer) {
        let now = self.tasks.clock.now;
        let leads = going.sent.as_ref().and_then(|sent| {
            let root = self.model.leads(sent, going.number, now, &self.settings)?;
            Some((sent.clone(), root))
        });
        let root = answer.report.root;
        let is_kept = root.is_some_and(|root| self.model.lives[&root].doubts.is_empty());
        let browser = &mut self.browsers[going.browser];
        let replaced = going.sent.as_ref().and_then(|sent| browser.replaced.get(sent));
        let is_late = replaced.is_some_and(|[sent, answered]| {
            now < sent + if going.from < *answered { LEFT } else { REMEMBERED }
        });
        let is_late = is_late && !going.want.ends();
        // Each process only knows for itself, and for a while, which IDs led to no session.
        let is_known = self.apps.len() == 1 && now < browser.at.min(going.from) + REMEMBERED;
        let newest = browser.newest.as_ref().filter(|_| browser.by == going.sent);
        let is_newer =
            newest.is_some() && self.model.root(newest) != self.model.root(going.sent.as_ref());
        let is_overtaken = is_known && is_newer && !going.is_troubled && !going.want.ends();
        let value = answer.value();
        let takes = match answer.sets {
            Sets::Nothing => false,
            Sets::Removal if is_overtaken => true,
            // A store that fails in between may have been asked before the login.
            _ => is_late && !going.is_troubled && browser.newest.as_ref() != value,
        };
        if takes {
            self.noticed.insert("a late response took a newer session away");
        }
        let is_login = going.want.is_login() && answer.is_done();
        if answer.sets != Sets::Nothing {
            (browser.newest, browser.by) = (value.cloned(), going.sent.clone());
            browser.at = now;
        } else if is_login && is_kept {
            self.noticed.insert("a login set no cookie");
        }
        // A login that finds the session expired leaves it alone, even if another request moves its deadline at that
        // moment.
        if is_login && now < going.until {
            // The store keeps no tombstone of a session that had already ended.
            browser.replaced.extend(leads.map(|(sent, _)| (sent, [going.from, now])));
            let sent = going.sent.as_ref().and_then(|sent| self.model.cookies.get_mut(sent));
            if let Some(cookie) = sent {
                cookie.dead = true;
            }
        }
    }

    /// Records the effects of a request.
    fn done(&mut self, going: &Going, report: &Report) {
        let now = self.tasks.clock.now;
        let Going { number, want, .. } = going;
        if let Some(root) = report.root
            && want.changes()
        {
            self.model.lives.get_mut(&root).unwrap().confirmed.push(*number);
            *self.seen.entry("changes").or_default() += 1;
        }
        let mut ended: Vec<usize> = Vec::new();
        match want {
            Want::LogOut | Want::Begin => {
                ended.extend(report.detail.and_then(|root| usize::try_from(root).ok()));
            }
            Want::RevokeAll => {
                ended.extend(&going.before);
                // Logins that began before it are refused.
                let user = user_of(&going.detail);
                self.model.refused.insert(user, going.from);
                let is_old = |root: &usize| self.model.lives[root].sent < going.from;
                ended.extend(self.model.owned(user).filter(is_old));
            }
            Want::RevokeOthers if report.handle.is_some() => {
                ended.extend(going.before.iter().filter(|root| report.root != Some(**root)));
            }
            Want::RevokeOne => {
                let is_it = |life: &Life| life.handle.as_ref() == Some(&going.detail);
                let it = self.model.lives.iter().find(|(_, life)| is_it(life));
                ended.extend(it.map(|(root, _)| *root));
            }
            _ => {}
        }
        *self.seen.entry("ends").or_default() += ended.len() as u64;
        *self.seen.entry("logins").or_default() += u64::from(want.is_login());
        for root in ended {
            if let Some(life) = self.model.lives.get_mut(&root) {
                life.ended.get_or_insert(now);
                life.doubts.insert(*number);
            }
        }
    }

    /// The number of requests that were sent.
    pub(crate) fn numbers(&self) -> usize {
        self.numbers
    }

    /// The name of a cookie in the log.
    fn name(&mut self, value: Option<&String>) -> String {
        let Some(value) = value else { return "none".to_owned() };
        let next = self.names.len();
        format!("c{}", self.names.entry(value.clone()).or_insert(next))
    }
}

/// The value of a session's cookie and its lifetime in milliseconds; none if it is removed.
fn parsed(set: &str) -> (&str, Option<u64>) {
    let (value, attributes) = set.strip_prefix("sid=").unwrap().split_once(';').unwrap();
    let age =
        attributes.split("; ").find_map(|attribute| attribute.trim().strip_prefix("Max-Age="));
    let age = age.unwrap().parse::<u64>().unwrap() * 1_000;
    (value, (age > 0).then_some(age))
}
