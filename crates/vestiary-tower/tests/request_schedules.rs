//! Whole requests of several browsers on random schedules, with their cookies: sessions are begun, changed, renewed,
//! logged in, logged out and revoked at once, with lost replies, a store that fails and processes that die.
//!
//! A browser takes the cookies of responses in the order in which they leave. Everything follows from a seed:
//! `SEED=7 cargo test -p vestiary-tower --test request_schedules -- --nocapture`.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{Request, Response, StatusCode, header},
    routing::get,
};
use serde::{Deserialize, Serialize};
use support::{
    config,
    scheduled::{Answering, Care, Chance, Scheduled, Step, Task, Tasks, Trouble, now, work},
    set_cookies,
};
use tower::ServiceExt as _;
use vestiary_store::{SessionError, Sessions};
use vestiary_tower::{Session, SessionLayer};

/// As many as run in each test run.
const SCHEDULES: u64 = 4_000;

/// The data of a session: the request that began it, and those that have changed it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Log {
    #[serde(default)]
    root: Option<usize>,
    #[serde(default)]
    log: Vec<usize>,
}

impl Log {
    fn add(&mut self, number: usize) {
        self.root.get_or_insert(number);
        self.log.push(number);
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Want {
    Update,
    Modify,
    /// A change that is stored at the end of the response.
    Finish,
    Touch,
    /// Looks at the session, and works for a while.
    Work,
    Renew,
    LogIn,
    /// A login that stores nothing else.
    Enter,
    LogOut,
    Revoke,
}

/// A request that is being answered.
struct Going {
    number: usize,
    browser: usize,
    want: Want,
    sent: Option<String>,
    /// Sessions that were there when it was sent.
    before: BTreeSet<usize>,
}

#[derive(Default)]
struct Browser {
    cookie: Option<String>,
    /// The cookies that logins have replaced while they were good.
    replaced: BTreeSet<String>,
}

struct Schedule {
    chance: Chance,
    /// Two processes, or one: each remembers for itself which IDs are out of use.
    apps: Vec<Router>,
    tasks: Tasks<Going>,
    browsers: Vec<Browser>,
    numbers: usize,
    /// The session to which each cookie led that was ever set, where a response has said so.
    cookies: BTreeMap<String, usize>,
    /// The changes of each session that were confirmed.
    confirmed: BTreeMap<usize, Vec<usize>>,
    /// The sessions of users.
    owned: BTreeSet<usize>,
    /// Sessions whose end was confirmed.
    ended: BTreeSet<usize>,
    /// A request may have ended some session, ...
    endings: bool,
    /// ... and not by a login.
    revokes: bool,
    noticed: BTreeSet<&'static str>,
    log: Vec<String>,
}

async fn root(session: &Session<Log>) -> Result<String, SessionError> {
    Ok(session.read().await?.root.map_or_else(String::new, |root| root.to_string()))
}

fn app(sessions: &Sessions) -> Router {
    Router::new()
        .route(
            "/update/{number}",
            get(async |Path(number): Path<usize>, session: Session<Log>| {
                if session.update(|log| log.add(number)).await? {
                    root(&session).await
                } else {
                    Ok(String::new())
                }
            }),
        )
        .route(
            "/modify/{number}",
            get(async |Path(number): Path<usize>, session: Session<Log>| {
                let all: Session = session.typed();
                // Two requests that set it at once would each be told another one.
                if session.is_new().await? {
                    session.modify(|log| log.root = Some(number)).await?;
                }
                all.insert(&format!("key{number}"), number).await?;
                if session.save().await? { root(&session).await } else { Ok(String::new()) }
            }),
        )
        .route(
            "/finish/{number}",
            get(async |Path(number): Path<usize>, session: Session<Log>| {
                if session.is_new().await? {
                    return Ok(String::new());
                }
                let root = root(&session).await?;
                session.typed().insert(&format!("key{number}"), number).await?;
                Ok::<_, SessionError>(root)
            }),
        )
        .route(
            "/touch/{number}",
            get(async |Path(_): Path<usize>, session: Session<Log>| {
                session.touch().await?;
                root(&session).await
            }),
        )
        .route(
            "/work/{number}",
            get(async |Path(_): Path<usize>, session: Session<Log>| {
                let root = root(&session).await;
                work().await;
                root
            }),
        )
        .route(
            "/enter/{number}",
            get(async |Path(_): Path<usize>, session: Session<Log>| session.login("ada").await),
        )
        .route(
            "/renew/{number}",
            get(async |Path(_): Path<usize>, session: Session<Log>| {
                session.renew().await?;
                root(&session).await
            }),
        )
        .route(
            "/login/{number}",
            get(async |Path(number): Path<usize>, session: Session<Log>| {
                session.login("ada").await?;
                if session.update(|log| log.add(number)).await? {
                    root(&session).await
                } else {
                    Ok(String::new())
                }
            }),
        )
        .route(
            "/logout/{number}",
            get(async |Path(_): Path<usize>, session: Session<Log>| {
                let root = root(&session).await.unwrap_or_default();
                session.destroy().await?;
                Ok::<_, SessionError>(root)
            }),
        )
        .route(
            "/revoke/{number}",
            get(async |Path(_): Path<usize>, session: Session<Log>| {
                session.sessions_of("ada").revoke_all().await
            }),
        )
        .route(
            "/read",
            get(async |session: Session| {
                let data = session.data().await?;
                Ok::<_, SessionError>(serde_json::to_string(&data).unwrap())
            }),
        )
        .layer(SessionLayer::of(sessions.clone()))
}

impl Schedule {
    fn new(seed: u64, care: Care) -> Self {
        let mut chance = Chance(seed);
        let config = config()
            .store_timeout(None)
            .renew_grace(Duration::from_secs(60))
            .rolling(chance.below(4) > 0)
            .max_age(Duration::from_secs(3_600))
            .touch_after(Duration::from_secs(60 * chance.below(2) as u64));
        let store = Scheduled(Arc::default(), care);
        let processes = 1 + chance.below(2);
        let sessions = || Sessions::new(&config, store.clone()).unwrap();
        let apps = (0..processes).map(|_| app(&sessions())).collect();
        let tasks = Tasks::new(4 + chance.below(10), 4, 8);
        let browsers = 2 + chance.below(2);
        Self {
            chance,
            apps,
            tasks,
            browsers: (0..browsers).map(|_| Browser::default()).collect(),
            numbers: 0,
            cookies: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            owned: BTreeSet::new(),
            ended: BTreeSet::new(),
            endings: false,
            revokes: false,
            noticed: BTreeSet::new(),
            log: Vec::new(),
        }
    }

    fn answering(&self, process: usize, path: &str, cookie: Option<&str>) -> Answering {
        let mut request = Request::builder().uri(path);
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, format!("sid={cookie}"));
        }
        let answer = self.apps[process].clone().oneshot(request.body(Body::empty()).unwrap());
        Box::pin(async { answer.await.unwrap() })
    }

    fn begin(&mut self) {
        let (want, path) = [
            (Want::Update, "update"),
            (Want::Update, "update"),
            (Want::Modify, "modify"),
            (Want::Finish, "finish"),
            (Want::Touch, "touch"),
            (Want::Work, "work"),
            (Want::Enter, "enter"),
            (Want::Renew, "renew"),
            (Want::LogIn, "login"),
            (Want::LogIn, "login"),
            (Want::LogOut, "logout"),
            (Want::Revoke, "revoke"),
        ][self.chance.below(12)];
        let trouble = match self.chance.below(4) {
            0 => Trouble {
                after: self.chance.below(10),
                times: 1 + self.chance.below(2),
                loses: self.chance.below(2) == 0,
            },
            _ => Trouble::default(),
        };
        self.numbers += 1;
        let (number, browser) = (self.numbers, self.chance.below(self.browsers.len()));
        let sent = self.browsers[browser].cookie.clone();
        let process = self.chance.below(self.apps.len());
        let answering = self.answering(process, &format!("/{path}/{number}"), sent.as_deref());
        let before = self.owned.clone();
        let ends = matches!(want, Want::LogIn | Want::Enter | Want::LogOut) && sent.is_some();
        self.endings |= ends || want == Want::Revoke;
        self.revokes |= matches!(want, Want::LogOut | Want::Revoke);
        let of = Going { number, browser, want, sent, before };
        self.tasks.send(Task { of, trouble, answering });
    }

    fn play(&mut self) {
        while let Some(step) = self.tasks.step(&mut self.chance) {
            match step {
                Step::Begins => self.begin(),
                Step::Dies(going) => {
                    self.log.push(format!("{} {:?} dies", going.number, going.want));
                }
                Step::Answers(going, response) => self.answered(going, response),
            }
        }
    }

    fn answered(&mut self, going: Going, response: Response<Body>) {
        let (status, set) = (response.status(), set_cookies(&response));
        let text = futures_util::FutureExt::now_or_never(support::text(response)).unwrap();
        let Going { number, browser, want, sent, before } = going;
        self.log
            .push(format!("{number} of {browser} with {sent:?}: {want:?} {status} {text} {set:?}"));
        let root = text.parse::<usize>().ok().filter(|_| status == StatusCode::OK);
        if set.len() > 1 {
            self.noticed.insert("a response has two cookies");
        }
        let is_login = matches!(want, Want::LogIn | Want::Enter);
        let is_done = is_login && status == StatusCode::OK && !self.revokes;
        if is_done && want == Want::Enter && set.is_empty() {
            self.noticed.insert("a login set no cookie");
        }
        if want == Want::LogOut
            && status != StatusCode::OK
            && !set.iter().any(|set| set.contains("Max-Age=0"))
        {
            self.noticed.insert("a logout that failed left its cookie");
        }
        let browser = &mut self.browsers[browser];
        let is_late = sent.as_ref().is_some_and(|sent| browser.replaced.contains(sent));
        for set in set {
            let (value, attributes) = set.strip_prefix("sid=").unwrap().split_once(';').unwrap();
            // A response to an earlier request leaves the cookie of a login alone.
            if is_late && !is_login && browser.cookie.as_deref() != Some(value) {
                self.noticed.insert("a late response took a newer session away");
            }
            let removes = attributes.contains("Max-Age=0");
            browser.cookie = (!removes).then(|| value.to_owned());
            if let Some(root) = root.filter(|_| !removes) {
                let known = *self.cookies.entry(value.to_owned()).or_insert(root);
                if known != root {
                    self.noticed.insert("a cookie led to two sessions");
                }
            }
        }
        if is_done {
            // Of a session that has ended already, the store keeps nothing that tells a late request of the login.
            browser.replaced.extend(sent);
        }
        let Some(root) = root else {
            if want == Want::Revoke && status == StatusCode::OK {
                self.ended.extend(before);
            }
            return;
        };
        match want {
            Want::Update | Want::Modify | Want::Finish => {
                self.confirmed.entry(root).or_default().push(number);
            }
            Want::LogIn => {
                self.owned.insert(root);
                self.confirmed.entry(root).or_default().push(number);
            }
            Want::LogOut => {
                self.ended.insert(root);
            }
            Want::Touch | Want::Work | Want::Renew | Want::Enter | Want::Revoke => {}
        }
    }

    /// The data of the session to which a cookie leads.
    fn read(&self, cookie: &str) -> serde_json::Value {
        let response = now(self.answering(0, "/read", Some(cookie)));
        assert_eq!(response.status(), StatusCode::OK);
        let text = futures_util::FutureExt::now_or_never(support::text(response)).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn faults(&self) -> BTreeSet<&'static str> {
        let mut faults = self.noticed.clone();
        let mut living = BTreeMap::new();
        for (cookie, root) in &self.cookies {
            let data = self.read(cookie);
            let Some(found) = data.get("root").and_then(serde_json::Value::as_u64) else {
                continue;
            };
            if found != *root as u64 {
                faults.insert("a cookie leads to another session");
            }
            living.insert(*root, data);
        }
        if self.ended.iter().any(|root| living.contains_key(root)) {
            faults.insert("an ended session is back");
        }
        for (root, data) in &living {
            let log: Log = serde_json::from_value(data.clone()).unwrap();
            let count = |number: &usize| log.log.iter().filter(|other| *other == number).count();
            if log.log.iter().any(|number| count(number) > 1) {
                faults.insert("a change was made twice");
            }
            let has =
                |number: &usize| count(number) == 1 || data.get(format!("key{number}")).is_some();
            for (other, numbers) in &self.confirmed {
                if other == root && !numbers.iter().all(has) {
                    faults.insert("an acknowledged change is lost");
                }
                if other != root && numbers.iter().any(has) {
                    faults.insert("a request wrote to another session");
                }
            }
        }
        // A cookie that left after a confirmed change leads there, unless a request ended the session.
        if !self.endings && self.cookies.values().any(|root| !living.contains_key(root)) {
            faults.insert("a session is lost");
        }
        faults
    }
}

#[test]
fn each_cookie_leads_to_the_session_that_its_response_promised() {
    let faults = run(Care::Compares);
    assert!(faults.is_empty(), "{faults:?}");
}

#[cfg(feature = "seeded-faults")]
#[test]
fn the_schedules_find_each_fault_that_only_whole_requests_show() {
    use vestiary::protocol::Fault;
    let seeded = [
        Fault::SendsRetiredCookie,
        Fault::ConfirmsNothing,
        Fault::EndRemovesCookie,
        Fault::FailedLogoutKeepsCookie,
        Fault::BarredBegins,
        Fault::AdmitsRevoked,
        Fault::CookieFollowsLogin,
        Fault::FinishForgets,
        Fault::LoginKeepsCookie,
    ];
    let missed = support::scheduled::missed(&seeded, SCHEDULES, |seed| {
        let mut schedule = Schedule::new(seed, Care::Compares);
        schedule.play();
        schedule.faults()
    });
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn the_checks_find_what_a_store_that_overwrites_does() {
    let faults = run(Care::Overwrites);
    for fault in ["an acknowledged change is lost", "an ended session is back"] {
        assert!(faults.contains_key(fault), "{faults:?}");
    }
}

/// Runs the schedules; in how many of them each fault is.
fn run(care: Care) -> BTreeMap<&'static str, u64> {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let count = number("SCHEDULES").unwrap_or(SCHEDULES);
    let mut all = BTreeMap::new();
    let mut seen = [0, 0, 0];
    for seed in number("SEED").map_or(0..count, |seed| seed..seed + 1) {
        let mut schedule = Schedule::new(seed, care);
        schedule.play();
        seen[0] += schedule.confirmed.values().map(Vec::len).sum::<usize>();
        seen[1] += schedule.owned.len();
        seen[2] += schedule.ended.len();
        for fault in schedule.faults() {
            let seeds: &mut u64 = all.entry(fault).or_default();
            *seeds += 1;
            if *seeds == 1 && care == Care::Compares {
                println!("seed {seed}: {fault}\n{}", schedule.log.join("\n"));
            }
        }
    }
    println!("{care:?}: {count} schedules; confirmed changes, logins and ends: {seen:?}; {all:?}");
    assert!(env::var("SEED").is_ok() || seen.iter().all(|done| *done > 500), "{seen:?}");
    all
}
