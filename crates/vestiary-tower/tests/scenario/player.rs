//! Plays a scenario through the public interface of the crate.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
};

use axum::{
    Extension, Router,
    body::Body,
    http::{HeaderMap, HeaderValue, Request, Response, header, request::Builder},
    response::IntoResponse as _,
    routing::get,
};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use tokio::{
    sync::{Mutex as Waiting, mpsc, oneshot},
    task::JoinHandle,
};
use tower::ServiceExt as _;
use vestiary::UnixMillis;
use vestiary_store::{Event, Reason, SessionError, Sessions, set_clock};
use vestiary_tower::{ReadOnlySession, Session, SessionLayer};

use super::{
    devices::Devices,
    operations::answers,
    options::{config_of, instances},
    script::{Finds, Operation, Options, Scenario, Step, StoreOperation, Stored},
    store::Shelf,
};

/// `Err` describes an expectation that was not met.
pub type Played = Result<(), String>;

/// An instance of the application, with sessions that no other instance has.
struct Instance {
    name: String,
    app: Router,
    sessions: Sessions,
    /// Milliseconds.
    ahead: i64,
}

/// Operations for a request in progress.
struct Letter {
    ops: Vec<Operation>,
    answer: oneshot::Sender<Vec<Value>>,
}

/// How a request gets its operations, and where it leaves its session.
#[derive(Clone)]
struct Desk {
    letters: Arc<Waiting<mpsc::UnboundedReceiver<Letter>>>,
    session: Arc<Mutex<Option<Session>>>,
}

/// A request in progress: runs operations that it receives, until its end.
struct Running {
    browser: String,
    ahead: i64,
    letters: mpsc::UnboundedSender<Letter>,
    desk: Desk,
    response: JoinHandle<Response<Body>>,
}

pub struct Player {
    shelf: Shelf,
    instances: Vec<Instance>,
    requests: BTreeMap<String, Running>,
    /// The sessions of requests whose response has left, with the clocks of their instances.
    left: BTreeMap<String, (Session, i64)>,
    /// Sessions that were read without a request, with the clocks of their instances.
    sockets: BTreeMap<String, (ReadOnlySession, i64)>,
    /// The cookies of the browsers.
    jars: BTreeMap<String, String>,
    devices: Devices,
    /// The last cookie of each session, by its name in the scenario.
    cookies: BTreeMap<String, String>,
    /// The IDs of sessions by their names.
    ids: BTreeMap<String, String>,
    events: Arc<Mutex<Vec<String>>>,
    now: i64,
}

/// The answer that a step expects.
#[derive(Clone, Copy)]
struct Answered<'s> {
    cookie: Option<&'s str>,
    attributes: Option<&'s str>,
    fails: Option<&'s str>,
    offers: bool,
}

const FORGED: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The header that has the code of the error a request failed with.
const FAILED: &str = "x-failed";

pub fn same<T: PartialEq + Debug>(what: &str, found: &T, expected: &T) -> Played {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: {found:?}, and not {expected:?}"))
}

fn name_of(event: &Event) -> String {
    let detail = match event {
        Event::Rotated { reason: Reason::Login } => "login",
        Event::Rotated { reason: Reason::Renewal } => "renewal",
        Event::Reuse { revoked: true, .. } => "revoked",
        Event::Bound { reason } => reason.name(),
        Event::Unreadable { code } | Event::StoreFailed { code } => code,
        _ => return event.name().to_owned(),
    };
    format!("{}:{detail}", event.name())
}

fn failed(error: &SessionError, response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    parts.headers.insert(FAILED, HeaderValue::from_static(error.code()));
    Response::from_parts(parts, body)
}

async fn respond(session: Session, Extension(desk): Extension<Desk>) -> Response<Body> {
    *desk.session.lock().unwrap() = Some(session.clone());
    let mut letters = desk.letters.lock().await;
    // As in JavaScript, the request opens its session before the application runs.
    if let Err(error) = session.is_new().await {
        letters.close();
        while letters.try_recv().is_ok() {}
        return failed(&error, Response::default());
    }
    while let Some(Letter { ops, answer }) = letters.recv().await {
        let _ = answer.send(answers(&session, &ops).await);
    }
    ().into_response()
}

impl Player {
    pub fn new(scenario: &Scenario) -> Result<Self, serde_json::Error> {
        let (shelf, events) = (Shelf::default(), Arc::new(Mutex::new(Vec::new())));
        let instance = |(name, options): (String, Options)| {
            let events: Arc<Mutex<Vec<String>>> = Arc::clone(&events);
            let config = config_of(&options)
                .on_event(move |event| events.lock().unwrap().push(name_of(event)));
            let passive = options.passive.unwrap_or_default();
            let layer = SessionLayer::new(&config, shelf.clone()).unwrap().on_failure(failed);
            let layer = layer.passive(move |_| passive);
            let sessions = layer.sessions().clone();
            let app = Router::new().route("/", get(respond));
            #[cfg(feature = "device-bound")]
            let app = app.layer(vestiary_tower::DeviceSessions);
            let app = app.layer(layer);
            Instance { name, app, sessions, ahead: options.clock_ahead.unwrap_or_default() * 1_000 }
        };
        let instances = instances(scenario)?.into_iter().map(instance).collect();
        Ok(Self {
            shelf,
            instances,
            requests: BTreeMap::new(),
            left: BTreeMap::new(),
            sockets: BTreeMap::new(),
            jars: BTreeMap::new(),
            devices: Devices::default(),
            cookies: BTreeMap::new(),
            ids: BTreeMap::new(),
            events,
            now: 1_700_000_000_000,
        })
    }

    pub async fn play(&mut self, steps: &[Step]) -> Played {
        for (i, step) in steps.iter().enumerate() {
            self.shelf.set_clock(u64::try_from(self.now).unwrap());
            self.shelf.asked();
            let played = match step {
                Step::Repeat { times, steps } => {
                    let mut played = Ok(());
                    for _ in 0..*times {
                        played = played.and(Box::pin(self.play(steps)).await);
                    }
                    played
                }
                step => self.step(step).await,
            };
            played.map_err(|how| format!("step {}: {how}\n  {step:?}", i + 1))?;
        }
        Ok(())
    }

    /// Refuses a scenario that leaves a request unanswered, or an event that no step expects.
    pub fn end(&self) -> Played {
        same("requests have not ended", &self.requests.keys().collect(), &Vec::new())?;
        same("events after the last step", &*self.events.lock().unwrap(), &Vec::new())
    }

    async fn step(&mut self, step: &Step) -> Played {
        match step {
            Step::Visit { browser, at, ops, cookie, attributes, offers, events, fails, asked } => {
                let (cookie, attributes) = (cookie.as_deref(), attributes.as_deref());
                let running = self.begin(browser, at.as_deref())?;
                let answered =
                    Answered { cookie, attributes, fails: fails.as_deref(), offers: *offers };
                self.answer(running, ops, answered).await?;
                self.noted(events, asked)
            }
            Step::Begin { request, browser, at, ops, events, asked } => {
                let running = self.begin(browser, at.as_deref())?;
                self.perform(&running, ops).await?;
                self.requests.insert(request.clone(), running);
                self.noted(events, asked)
            }
            Step::In { request, ops, events, asked } => {
                let running = self.requests.get(request).ok_or("it has not begun")?;
                self.perform(running, ops).await?;
                self.noted(events, asked)
            }
            Step::End { request, ops, cookie, attributes, offers, events, fails, asked } => {
                let running = self.requests.remove(request).ok_or("it has not begun")?;
                let session = running.desk.session.lock().unwrap().clone();
                let ahead = running.ahead;
                let (cookie, attributes) = (cookie.as_deref(), attributes.as_deref());
                let answered =
                    Answered { cookie, attributes, fails: fails.as_deref(), offers: *offers };
                self.answer(running, ops, answered).await?;
                self.left.insert(request.clone(), (session.unwrap(), ahead));
                self.noted(events, asked)
            }
            Step::After { request, ops, events } => {
                let (session, ahead) = self.left.get(request).ok_or("it has not left")?;
                self.set_clock(*ahead);
                same_answers(&answers(session, ops).await, ops)?;
                self.noted(events, &BTreeMap::new())
            }
            Step::Open { socket, browser, at, finds, fails, events, asked } => {
                let found = self.open(socket, browser, at.as_deref(), finds.as_ref()).await;
                let failed = found.as_ref().err().map(SessionError::code);
                same("error", &failed, &fails.as_deref())?;
                found.unwrap_or(Ok(()))?;
                self.noted(events, asked)
            }
            Step::IsAlive { socket, gives, events, asked } => {
                self.ask(socket, gives).await?;
                self.noted(events, asked)
            }
            Step::Pass { seconds } => {
                #[expect(clippy::cast_possible_truncation, reason = "they are few")]
                let millis = (seconds * 1_000.0).round() as i64;
                self.now += millis;
                Ok(())
            }
            Step::Prove { events, asked, .. } => {
                self.prove(step).await?;
                self.noted(events, asked)
            }
            Step::Jar { browser, holds, bound } => {
                self.devices.copy(browser, bound.as_ref());
                self.hold(browser, holds.as_deref())
            }
            Step::Store { read, create, replace, touch, remove } => {
                let faults = [
                    (StoreOperation::Read, read),
                    (StoreOperation::Create, create),
                    (StoreOperation::Replace, replace),
                    (StoreOperation::Touch, touch),
                    (StoreOperation::Remove, remove),
                ];
                let faults = faults.into_iter().filter_map(|(of, fault)| Some((of, (*fault)?)));
                self.shelf.fail(faults.collect());
                Ok(())
            }
            Step::Rewrite { session, text, data, own } => {
                self.rewrite(session, text.as_deref(), data.as_deref(), own.as_ref())
            }
            Step::RewriteList { text } => {
                let texts = self.shelf.texts();
                let lists: Vec<_> =
                    texts.iter().filter(|(key, _)| key.starts_with("user:")).collect();
                same("lists", &lists.len(), &1)?;
                for (key, _) in lists {
                    self.shelf.rewrite(key, text.clone());
                }
                Ok(())
            }
            Step::Stored { sessions } => self.check_stored(sessions),
            Step::Refused { options, code } => {
                let error = Sessions::new(&config_of(options), self.shelf.clone()).unwrap_err();
                same("code", &error.code(), &code.as_str())
            }
            Step::Repeat { .. } => Err("repeated by `play`".to_owned()),
        }
    }

    fn set_clock(&self, ahead: i64) {
        let now = u64::try_from(self.now + ahead).unwrap();
        set_clock(Some(UnixMillis(now)));
    }

    fn noted(&self, events: &[String], asked: &BTreeMap<StoreOperation, usize>) -> Played {
        let found = std::mem::take(&mut *self.events.lock().unwrap());
        same("events", &found, &events.to_vec())?;
        let counts = self.shelf.asked();
        for (operation, times) in asked {
            let found = counts.get(operation).copied().unwrap_or_default();
            same(&format!("asked to {operation:?}"), &found, times)?;
        }
        Ok(())
    }

    /// An instance, with its clock.
    fn instance(&self, at: Option<&str>) -> Result<&Instance, String> {
        let mut instances = self.instances.iter();
        let instance = match at {
            None => instances.next(),
            Some(at) => instances.find(|instance| instance.name == at),
        };
        let instance = instance.ok_or("there is no such instance")?;
        self.set_clock(instance.ahead);
        Ok(instance)
    }

    /// Reads a session without a request.
    async fn open(
        &mut self,
        socket: &str,
        browser: &str,
        at: Option<&str>,
        finds: Option<&Finds>,
    ) -> Result<Played, SessionError> {
        let instance = match self.instance(at) {
            Ok(instance) => instance,
            Err(how) => return Ok(Err(how)),
        };
        let ahead = instance.ahead;
        let cookie = self.devices.header(browser, self.jars.get(browser));
        let header = cookie.map_or_else(String::new, |cookie| format!("theme=dark; {cookie}"));
        let found = ReadOnlySession::read(&instance.sessions, &header).await?;
        let seen = match &found {
            Some(session) => Some((session.data()?, session.user_id())),
            None => None,
        };
        let expected = finds.map(|finds| (finds.data.clone(), finds.user.clone()));
        if let Some(session) = found {
            self.sockets.insert(socket.to_owned(), (session, ahead));
        }
        Ok(same("finds", &seen, &expected))
    }

    /// Asks whether a session that was read without a request is still valid.
    async fn ask(&mut self, socket: &str, gives: &str) -> Played {
        let (mut session, ahead) = self.sockets.remove(socket).ok_or("it has no session")?;
        self.set_clock(ahead);
        let alive = session.is_alive().await;
        let found = alive.map_or_else(|error| error.code(), |is| if is { "yes" } else { "no" });
        self.sockets.insert(socket.to_owned(), (session, ahead));
        same("it is alive", &found, &gives)
    }

    fn begin(&self, browser: &str, at: Option<&str>) -> Result<Running, String> {
        let instance = self.instance(at)?;
        let (letters, received) = mpsc::unbounded_channel();
        let (received, session) = (Arc::new(Waiting::new(received)), Arc::default());
        let desk = Desk { letters: received, session };
        let request = self.sends(Request::get("/"), browser);
        let request = request.extension(desk.clone()).body(Body::empty()).unwrap();
        let app = instance.app.clone();
        let response = tokio::spawn(async move { app.oneshot(request).await.unwrap() });
        Ok(Running { browser: browser.to_owned(), ahead: instance.ahead, letters, desk, response })
    }

    /// Puts a session cookie into a browser, or none.
    fn hold(&mut self, browser: &str, holds: Option<&str>) -> Played {
        let cookie = match holds {
            None => {
                self.jars.remove(browser);
                return Ok(());
            }
            Some("forged") => FORGED.to_owned(),
            Some(session) => self.cookies.get(session).ok_or("no cookie yet")?.clone(),
        };
        self.jars.insert(browser.to_owned(), cookie);
        Ok(())
    }

    /// A browser proves its device.
    async fn prove(&mut self, step: &Step) -> Played {
        let Step::Prove { browser, at, r#as, with, gives, cookie, .. } = step else {
            return Ok(());
        };
        let request = self.devices.request(browser, *r#as, *with);
        let app = self.instance(at.as_deref())?.app.clone();
        let request = self.sends(request, browser).body(Body::empty()).unwrap();
        let response = app.oneshot(request).await.unwrap();
        let headers = self.devices.answered(browser, &response, gives)?;
        let cookie = cookie.as_deref();
        let answered = Answered { cookie, attributes: None, fails: None, offers: false };
        self.receive(browser, &headers, answered)
    }

    /// A request with the cookies of the browser.
    fn sends(&self, request: Builder, browser: &str) -> Builder {
        let request = request.header(header::HOST, "app.example");
        match self.devices.header(browser, self.jars.get(browser)) {
            Some(cookies) => request.header(header::COOKIE, cookies),
            None => request,
        }
    }

    /// Hands operations to a request that has begun. It answers nothing if it has failed.
    async fn perform(&self, running: &Running, ops: &[Operation]) -> Played {
        self.set_clock(running.ahead);
        let (answer, answered) = oneshot::channel();
        let _ = running.letters.send(Letter { ops: ops.to_vec(), answer });
        match answered.await {
            Ok(given) => same_answers(&given, ops),
            Err(_) if ops.is_empty() => Ok(()),
            Err(_) => Err("the request has failed before its operations".to_owned()),
        }
    }

    async fn answer(
        &mut self,
        running: Running,
        ops: &[Operation],
        answered: Answered<'_>,
    ) -> Played {
        self.perform(&running, ops).await?;
        let Running { browser, letters, response, .. } = running;
        drop(letters);
        let response = response.await.map_err(|error| error.to_string())?;
        let failed = response.headers().get(FAILED).map(|code| code.to_str().unwrap());
        same("error", &failed, &answered.fails)?;
        self.receive(&browser, response.headers(), answered)
    }

    /// Takes the cookie of a response into the browser.
    fn receive(&mut self, browser: &str, headers: &HeaderMap, answered: Answered<'_>) -> Played {
        self.devices.offered(browser, headers, answered.offers)?;
        let expected = answered.cookie.unwrap_or("none");
        let cookies: Vec<_> = headers.get_all(header::SET_COOKIE).iter().collect();
        let cookie = match cookies[..] {
            [] => return same("cookie", &"none", &expected),
            [cookie] => cookie.to_str().unwrap(),
            _ => return Err("several cookies".to_owned()),
        };
        let text = |name| headers.get(name).map_or("", |value| value.to_str().unwrap());
        let is_private = text(header::CACHE_CONTROL).contains("no-store")
            && text(header::VARY).eq_ignore_ascii_case("cookie");
        same("the response is kept from caches", &is_private, &true)?;
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        if let Some(expected) = answered.attributes {
            same("attributes", &attributes, &expected)?;
        }
        if attributes.split("; ").any(|one| one == "Max-Age=0") {
            self.jars.remove(browser);
            return same("cookie", &"removes", &expected);
        }
        let value = pair.strip_prefix("sid=").unwrap();
        let id = value.split('.').next().unwrap().trim_start_matches("s%3A");
        self.jars.insert(browser.to_owned(), value.to_owned());
        let name = self.name_of(id, expected);
        same("cookie", &format!("sets {name}").as_str(), &expected)?;
        self.cookies.insert(name, value.to_owned());
        // A cookie without a record would log its visitor out.
        let record = self.shelf.key_of(id).and_then(|key| self.shelf.text(&key));
        let record = record.ok_or("the session of the cookie has no record")?;
        same("the cookie leads to a tombstone", &record.contains(r#""next":"#), &false)
    }

    /// The scenario's name for an ID. One that is seen for the first time gets the name that is expected.
    fn name_of(&mut self, id: &str, expected: &str) -> String {
        if let Some((name, _)) = self.ids.iter().find(|(_, known)| *known == id) {
            return name.clone();
        }
        let name = expected.strip_prefix("sets ").unwrap_or_default();
        if name == "*" {
            return name.to_owned();
        }
        if name.is_empty() || self.ids.contains_key(name) {
            return "another session".to_owned();
        }
        self.ids.insert(name.to_owned(), id.to_owned());
        name.to_owned()
    }

    fn rewrite(
        &self,
        session: &str,
        text: Option<&str>,
        data: Option<&str>,
        own: Option<&Map<String, Value>>,
    ) -> Played {
        #[derive(Deserialize)]
        struct Record {
            v: String,
            cookie: Box<RawValue>,
            data: Box<RawValue>,
            meta: Map<String, Value>,
        }
        let id = self.ids.get(session).ok_or("no cookie was set for it")?;
        let key = self.shelf.key_of(id).ok_or("there is no record of it")?;
        let text = if let Some(text) = text {
            text.to_owned()
        } else {
            let before = self.shelf.text(&key).ok_or("there is no record of it")?;
            let mut record: Record = serde_json::from_str(&before).unwrap();
            if let Some(own) = own {
                record.meta.insert("cookie".to_owned(), own.clone().into());
            }
            let Record { v, cookie, data: before, meta } = record;
            let (data, meta) = (data.unwrap_or(before.get()), Value::from(meta));
            format!(r#"{{"v":"{v}","cookie":{cookie},"data":{data},"meta":{meta}}}"#)
        };
        self.shelf.rewrite(&key, text);
        Ok(())
    }

    fn check_stored(&self, expected: &BTreeMap<String, Stored>) -> Played {
        #[derive(Deserialize)]
        struct Record {
            data: Box<RawValue>,
            #[serde(default)]
            meta: Map<String, Value>,
        }
        let mut found = BTreeMap::new();
        for (key, text) in self.shelf.texts() {
            if key.starts_with("user:") {
                continue;
            }
            let record: Record = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            if record.meta.contains_key("next") {
                continue;
            }
            let name = self.ids.iter().find(|(_, id)| **id == key);
            found.insert(name.map_or(text, |(name, _)| name.clone()), record);
        }
        same("stored", &found.keys().collect(), &expected.keys().collect::<Vec<_>>())?;
        for ((name, expected), record) in expected.iter().zip(found.values()) {
            let text = record.data.get();
            if let Some(data) = &expected.data {
                let found: Map<String, Value> = serde_json::from_str(text).unwrap();
                same(&format!("data of {name}"), &found, data)?;
            }
            if let Some(expected) = &expected.text {
                same(&format!("text of {name}"), &text, &expected.as_str())?;
            }
            if let Some(user) = &expected.user {
                let found = record.meta.get("user").and_then(Value::as_str);
                same(&format!("user of {name}"), &found, &user.as_deref())?;
            }
            if let Some(version) = &expected.version {
                let found = record.meta.get("version").and_then(Value::as_u64);
                same(&format!("version of {name}"), &found, &version.map(u64::from))?;
            }
        }
        Ok(())
    }
}

fn same_answers(given: &[Value], ops: &[Operation]) -> Played {
    let expected = ops.iter().map(Operation::expected).collect();
    same("answers", &given.to_vec(), &expected)
}
