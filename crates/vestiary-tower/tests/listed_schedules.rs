//! Logins, logouts and renewals of one user on random schedules, with lost replies, a failing store and dying
//! processes. A session is listed exactly if it is valid.
//!
//! Everything follows from a seed: `SEED=7 cargo test -p vestiary-tower --test listed_schedules`.

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
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode, header},
    routing::get,
};
use support::{
    config,
    scheduled::{Chance, Scheduled, Step, Task, Tasks, Trouble, now},
    set_cookies,
};
use tower::ServiceExt as _;
use vestiary::{Limits, Record};
use vestiary_store::{SessionError, Sessions};
use vestiary_tower::{Session, SessionLayer};

/// A request that is being answered.
struct Going {
    path: &'static str,
    /// The handle of the session whose cookie it sent, if that was of a user.
    sent: Option<String>,
    cookie: Option<String>,
    /// Its store fails at some time.
    has_trouble: bool,
}

struct Schedule {
    chance: Chance,
    app: Router,
    sessions: Sessions,
    store: Scheduled,
    tasks: Tasks<Going>,
    /// All cookies that were ever set, with the handles of their sessions.
    cookies: Vec<(String, Option<String>)>,
    /// Sessions whose login was confirmed.
    known: BTreeSet<String>,
    /// Sessions whose logout was confirmed.
    ended: BTreeSet<String>,
    /// Sessions that some request may have ended.
    in_doubt: BTreeSet<String>,
    /// Logins whose process died: each may leave one entry, and that of the session that it replaces.
    crashed: usize,
    spared: BTreeSet<String>,
    log: Vec<String>,
}

async fn handle(session: Session) -> Result<String, SessionError> {
    Ok(session.handle().await?.map_or_else(String::new, |handle| handle.as_str().to_owned()))
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let grace = Duration::from_secs(chance.below(2) as u64 * 60);
        let config = config().store_timeout(None).renew_grace(grace);
        let store = Scheduled::default();
        let sessions = Sessions::new(&config, store.clone()).unwrap();
        let app = Router::new()
            .route("/save", get(async |session: Session| session.save().await.map(drop)))
            .route(
                "/login",
                get(async |session: Session| {
                    session.login("ada").await?;
                    handle(session).await
                }),
            )
            .route("/logout", get(async |session: Session| session.destroy().await))
            .route("/renew", get(async |session: Session| session.renew().await))
            .layer(SessionLayer::of(sessions.clone()));
        let tasks = Tasks::new(4 + chance.below(8), 3, 10);
        Self {
            chance,
            app,
            sessions,
            store,
            tasks,
            cookies: Vec::new(),
            known: BTreeSet::new(),
            ended: BTreeSet::new(),
            in_doubt: BTreeSet::new(),
            crashed: 0,
            spared: BTreeSet::new(),
            log: Vec::new(),
        }
    }

    fn begin(&mut self) {
        let path = ["/save", "/login", "/login", "/renew", "/renew", "/logout", "/logout"]
            [self.chance.below(7)];
        let chosen = self.chance.below(self.cookies.len() + 1);
        let (cookie, sent) = self.cookies.get(chosen).cloned().unzip();
        let trouble = match self.chance.below(2) {
            0 => Trouble {
                after: self.chance.below(10),
                times: 1 + self.chance.below(2),
                loses: self.chance.below(2) == 0,
            },
            _ => Trouble::default(),
        };
        self.send(path, cookie, sent.flatten(), trouble);
    }

    fn send(
        &mut self,
        path: &'static str,
        cookie: Option<String>,
        sent: Option<String>,
        trouble: Trouble,
    ) {
        let mut request = Request::builder().uri(path);
        if let Some(cookie) = &cookie {
            request = request.header(header::COOKIE, format!("sid={cookie}"));
        }
        let answer = self.app.clone().oneshot(request.body(Body::empty()).unwrap());
        let answering = Box::pin(async { answer.await.unwrap() });
        if path == "/login" || path == "/logout" {
            self.in_doubt.extend(sent.clone());
        }
        let has_trouble = trouble.times > 0;
        let of = Going { path, sent, cookie, has_trouble };
        self.tasks.send(Task { of, trouble, answering });
    }

    fn play(&mut self) {
        while let Some(step) = self.tasks.step(&mut self.chance) {
            match step {
                Step::Begins => self.begin(),
                Step::Dies(going) => {
                    self.log.push(format!("{} of {:?} crashes", going.path, going.sent));
                    if going.path == "/login" {
                        self.crashed += 1;
                        self.spared.extend(going.sent);
                    }
                }
                Step::Answers(going, response) => self.answered(going, response),
            }
        }
    }

    fn answered(&mut self, going: Going, response: Response<Body>) {
        let Going { path, sent, cookie, has_trouble } = going;
        let status = response.status();
        let set = set_cookies(&response);
        let text = futures_util::FutureExt::now_or_never(support::text(response)).unwrap();
        self.log.push(format!("{path} of {sent:?}: {status} {text}"));
        let is_done = status == StatusCode::OK;
        let mut handle = sent.clone();
        match path {
            "/login" if is_done => {
                self.known.insert(text.clone());
                // If the entry of the previous session could not be removed, it is an event, and the login succeeds.
                self.spared.extend(sent.filter(|_| has_trouble));
                // The earlier session has ended, unless its ID was out of use: then it stays.
                handle = Some(text);
            }
            // The old session may be replaced, and its entry could not be written.
            "/login" => self.spared.extend(sent),
            "/logout" if is_done => self.ended.extend(sent),
            // The visitor tries again.
            "/logout" => self.send(path, cookie, sent, Trouble::default()),
            _ => {}
        }
        for set in set {
            let (value, attributes) = set.strip_prefix("sid=").unwrap().split_once(';').unwrap();
            if !attributes.contains("Max-Age=0") {
                self.cookies.push((value.to_owned(), handle.clone()));
            }
        }
    }

    fn faults(&self) -> Vec<&'static str> {
        let mut faults = Vec::new();
        let listed = now(self.sessions.of("ada").list()).unwrap();
        let listed: BTreeSet<_> = listed.iter().map(|one| one.handle.as_str().to_owned()).collect();
        let mut alive = BTreeMap::new();
        for entry in self.store.entries() {
            let Ok(record) = Record::decode(&entry.record, Limits::LOAD) else { continue };
            if let (Some(user), None) = (&record.meta().user, &record.meta().next) {
                *alive.entry(user.handle.as_str().to_owned()).or_insert(0) += 1;
            }
        }
        if listed.intersection(&self.ended).any(|handle| !self.spared.contains(handle)) {
            faults.push("a session that was ended is listed");
        }
        let dead =
            |handle: &&String| !alive.contains_key(*handle) && !self.spared.contains(*handle);
        let (of_logins, of_others): (Vec<_>, Vec<_>) =
            listed.iter().filter(dead).partition(|handle| self.known.contains(*handle));
        if !of_logins.is_empty() {
            faults.push("a session is listed and has no record");
        }
        if of_others.len() > self.crashed {
            faults.push("a login that failed left an entry");
        }
        let lives = |handle: &String| listed.contains(handle) && alive.contains_key(handle);
        if self.known.difference(&self.in_doubt).any(|handle| !lives(handle)) {
            faults.push("a session is missing");
        }
        faults
    }
}

#[cfg(feature = "seeded-faults")]
#[test]
fn the_schedules_find_what_a_faulty_operation_leaves_in_the_list() {
    use vestiary::protocol::Fault;
    let seeded = [Fault::StaysListed, Fault::LoginLeavesEntry];
    let missed = support::scheduled::missed(&seeded, 3_000, |seed| {
        let mut schedule = Schedule::new(seed);
        schedule.play();
        schedule.faults().into_iter().collect()
    });
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn a_session_is_listed_exactly_if_it_is_alive() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let count = number("SCHEDULES").unwrap_or(3_000);
    let mut all = BTreeMap::new();
    let mut confirmed = [0, 0];
    for seed in number("SEED").map_or(0..count, |seed| seed..seed + 1) {
        let mut schedule = Schedule::new(seed);
        schedule.play();
        confirmed[0] += schedule.known.len();
        confirmed[1] += schedule.ended.len();
        for fault in schedule.faults() {
            let seeds: &mut u64 = all.entry(fault).or_default();
            *seeds += 1;
            if *seeds == 1 {
                println!("seed {seed}: {fault}\n{}", schedule.log.join("\n"));
            }
        }
    }
    println!("logins and ends that were confirmed: {confirmed:?}");
    assert!(all.is_empty(), "{all:?}");
    assert!(
        env::var("SEED").is_ok() || confirmed.iter().all(|done| *done > 1_000),
        "{confirmed:?}"
    );
}
