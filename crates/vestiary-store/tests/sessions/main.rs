//! Sessions without HTTP: the calls to the store, and the interpretation of its replies.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

mod bound;
mod encryption;
mod hints;
mod logout;
mod options;
mod revocations;
mod rotation;
mod users;
mod writes;

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

use vestiary::{SessionId, Ttl, WriteId};
use vestiary_store::{
    Config, Event, Found, Loaded, MemoryStore, Outcome, Sessions, Store, StoreError, Stored,
};

fn config() -> Config {
    Config::new("a secret of the tests, of more than 32 bytes").name("sid")
}

/// A memory store that can be watched and disturbed.
#[derive(Clone, Default)]
struct Watched {
    memory: Arc<MemoryStore>,
    calls: Arc<Mutex<Vec<Call>>>,
    fault: Arc<Mutex<Option<Disturbance>>>,
    /// Runs before the next operation of this name.
    meanwhile: Arc<Mutex<Option<(&'static str, Meanwhile)>>>,
    confirms: bool,
}

type Disturbance = Box<dyn FnMut(&Call) -> Fault + Send>;
type Meanwhile = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Clone, Debug, Eq, PartialEq)]
struct Call {
    operation: &'static str,
    key: String,
    text: String,
    ttl: Option<Ttl>,
    owned: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Nothing,
    /// Nothing is done.
    Fails,
    /// It is done, and the reply is lost.
    LosesTheReply,
    /// Nothing is done: another request was faster.
    Conflict,
    /// There is a record already, or none at all.
    Refuses,
    Full,
}

impl Watched {
    fn disturb(&self, fault: impl FnMut(&Call) -> Fault + Send + 'static) {
        *self.fault.lock().unwrap() = Some(Box::new(fault));
    }

    /// Disturbs the next operation of this name, and no other one.
    fn disturb_once(&self, operation: &'static str, fault: Fault) {
        let mut is_done = false;
        self.disturb(move |call| {
            let is_now = !is_done && call.operation == operation;
            is_done |= is_now;
            if is_now { fault } else { Fault::Nothing }
        });
    }

    fn is_well(&self) {
        *self.fault.lock().unwrap() = None;
    }

    fn meanwhile(&self, operation: &'static str, run: impl Future<Output = ()> + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some((operation, Box::pin(run)));
    }

    /// The operations since the last time.
    fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    fn names(&self) -> Vec<&'static str> {
        self.calls().into_iter().map(|call| call.operation).collect()
    }

    async fn asked<T>(
        &self,
        call: Call,
        refusal: Option<T>,
        conflict: Option<T>,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let interrupts = |(operation, _): &mut (&str, Meanwhile)| *operation == call.operation;
        let meanwhile = self.meanwhile.lock().unwrap().take_if(interrupts);
        if let Some((_, run)) = meanwhile {
            run.await;
        }
        let fault =
            self.fault.lock().unwrap().as_mut().map_or(Fault::Nothing, |fault| fault(&call));
        self.calls.lock().unwrap().push(call);
        match fault {
            Fault::Nothing => answer.await,
            Fault::Fails => Err(StoreError::failed("down")),
            Fault::Full => {
                Err(StoreError::Full(vestiary::Error::StoreFull { limit: 1, unit: "entries" }))
            }
            Fault::LosesTheReply => {
                answer.await?;
                Err(StoreError::failed("connection reset"))
            }
            Fault::Conflict => Ok(conflict.unwrap()),
            Fault::Refuses => Ok(refusal.unwrap()),
        }
    }
}

fn call(operation: &'static str, key: &str) -> Call {
    Call { operation, key: key.to_owned(), text: String::new(), ttl: None, owned: false }
}

impl Store for Watched {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.asked(call("read", key), Some(None), None, self.memory.read(key)).await
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        owned: bool,
    ) -> Result<bool, StoreError> {
        let call = Call { text: record.to_owned(), ttl: Some(ttl), owned, ..call("create", key) };
        self.asked(call, Some(false), None, self.memory.create(key, record, ttl, owned)).await
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        let call = Call { text: record.to_owned(), ttl: Some(ttl), ..call("replace", key) };
        let (gone, conflict) = (Some(Outcome::Gone), Some(Outcome::Conflict));
        self.asked(call, gone, conflict, self.memory.replace(key, expected, record, ttl)).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        let call = Call { ttl: Some(ttl), ..call("touch", key) };
        self.asked(call, Some(false), None, self.memory.touch(key, ttl)).await
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        let (gone, conflict) = (Some(Outcome::Gone), Some(Outcome::Conflict));
        self.asked(call("remove", key), gone, conflict, self.memory.remove(key, expected)).await
    }

    async fn confirm(&self, _: &str) -> Result<Option<bool>, StoreError> {
        if self.confirms { Err(StoreError::failed("no replica answers")) } else { Ok(None) }
    }

    fn resends(&self) -> bool {
        false
    }
}

/// Sessions in this store, and the names of their events.
fn sessions(config: Config, store: &Watched) -> (Sessions, Arc<Mutex<Vec<&'static str>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let config = config.on_event(move |event: &Event| told.lock().unwrap().push(event.name()));
    (Sessions::new(&config, store.clone()).unwrap(), events)
}

fn taken(events: &Mutex<Vec<&'static str>>) -> Vec<&'static str> {
    std::mem::take(&mut events.lock().unwrap())
}

/// Finds the session of this ID's cookie.
async fn found(sessions: &Sessions, id: &SessionId) -> Found {
    let cookie = format!("sid={}", sessions.sign(id));
    sessions.find(&sessions.cookies([cookie.as_bytes()])).await.unwrap()
}

async fn loaded(sessions: &Sessions, id: &SessionId) -> Option<Loaded> {
    match found(sessions, id).await {
        Found::Session(session) => Some(*session),
        Found::Tombstone(_)
        | Found::Unbound(_)
        | Found::Expired(_)
        | Found::Unreadable(_)
        | Found::Nothing => None,
    }
}

/// A session of this user.
async fn of_user(sessions: &Sessions, user: &str, label: Option<&str>) -> Stored {
    let login = vestiary_store::Login { label: label.map(str::to_owned), ..Default::default() };
    let owner = sessions.of(user).admit(&login).await.unwrap();
    sessions.create("{}", Some(owner)).await.unwrap()
}

/// Puts a record with this metadata there, as another service may have written it.
async fn planted(sessions: &Sessions, meta: &str) -> SessionId {
    let id = sessions.new_id().unwrap();
    let key = sessions.options().store_key(&id);
    let record = format!(
        r#"{{"v":"AAAAAAAAAAAAAAAA","cookie":{{"path":"/"}},"data":{{"n":1}},"meta":{meta}}}"#
    );
    assert!(sessions.store().create(&key, &record, Ttl::Infinite, false).await.unwrap());
    id
}
