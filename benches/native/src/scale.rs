//! The cost of many sessions in memory: bytes, and the time of an operation among them.
//!
//! Each store is filled in a process of its own, so that none gets memory that another one has freed.

mod stores;

use std::{
    collections::HashMap,
    env, fs,
    hint::black_box,
    io,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vestiary::{Limits, UnixMillis};
use vestiary_store::MemoryStore;

use self::stores::{Filled, LIMITS, Map, Texts, moka, tower};
use crate::{
    allocations::Counter,
    harness::{Spread, number},
    layer::{block_on, now},
    micro,
    payload::Payload,
    peers::LIFE,
    report::Row,
};

/// A store that is filled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Subject {
    /// Vestiary's store, with sessions of 200 bytes of data. Their composition does not matter to it.
    Data,
    /// Vestiary's store, with records of 200 bytes in total.
    Record,
    /// Vestiary's store, with sessions that all expire at once.
    Expiry,
    /// The store of tower-sessions, with sessions that hold one string.
    TowerString,
    /// The same, with sessions that hold a cart.
    TowerCart,
    /// tower-sessions' store for moka, with sessions that hold one string.
    MokaString,
    /// A `HashMap` behind a mutex, without expiry: about the minimum.
    Map,
}

/// The reason why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unmeasured {
    #[error("this program cannot be run again: {0}")]
    Run(#[from] io::Error),
    #[error("{subject}, {sessions} sessions: it failed, saying {said}")]
    Failed { subject: &'static str, sessions: usize, said: String },
}

/// The results of a process.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Found {
    what: String,
    unit: Unit,
    values: Vec<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
enum Unit {
    Bytes,
    Nanoseconds,
    Operations,
}

// The operations of a kind are timed one by one, and this many times over.
const TIMED: usize = 20_000;
const REPEATS: usize = 5;

impl Subject {
    pub(crate) const ALL: [Self; 7] = [
        Self::Data,
        Self::Record,
        Self::Expiry,
        Self::TowerString,
        Self::TowerCart,
        Self::MokaString,
        Self::Map,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Data => "vestiary-data",
            Self::Record => "vestiary-record",
            Self::Expiry => "vestiary-expiry",
            Self::TowerString => "tower-sessions-string",
            Self::TowerCart => "tower-sessions-cart",
            Self::MokaString => "moka-string",
            Self::Map => "map",
        }
    }

    fn peer(self) -> &'static str {
        match self {
            Self::Data | Self::Record | Self::Expiry => "vestiary",
            Self::TowerString | Self::TowerCart => "tower-sessions",
            Self::MokaString => "tower-sessions-moka-store",
            Self::Map => "limit",
        }
    }

    /// A description of the sessions.
    fn kind(self) -> &'static str {
        match self {
            Self::Record | Self::Map => "records of 200 B",
            Self::Data | Self::Expiry => "data of 200 B",
            Self::TowerString | Self::MokaString => "data of 200 B, a string",
            Self::TowerCart => "data of 200 B, a cart",
        }
    }
}

/// Fills all stores with this many sessions.
pub(crate) fn measure(sizes: &[usize], seed: u64) -> Result<Vec<Row>, Unmeasured> {
    let mut rows = Vec::new();
    for &sessions in sizes {
        for subject in Subject::ALL {
            let output = Command::new(env::current_exe()?)
                .args(["--fill", subject.name(), &sessions.to_string(), "--seed"])
                .arg(seed.to_string())
                .output()?;
            let found: Vec<Found> = serde_json::from_slice(&output.stdout).map_err(|_| {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                Unmeasured::Failed { subject: subject.name(), sessions, said }
            })?;
            rows.extend(found.into_iter().map(|Found { what, unit, values }| {
                let case = format!("{sessions} sessions, {}: {what}", subject.kind());
                Row::new(case, subject.peer(), Spread::of(values)).unit(unit.name())
            }));
        }
    }
    Ok(rows)
}

/// Fills one store, in a process of its own.
pub(crate) fn fill(subject: Subject, sessions: usize, seed: u64) -> Vec<Found> {
    let random = fastrand::Rng::with_seed(seed);
    let (whole, short) = (data_record(&Payload::Small.text()), short_record());
    match subject {
        Subject::Data => block_on(filled(Texts::new(&whole, sessions), sessions, random)),
        Subject::Record => block_on(filled(Texts::new(&short, sessions), sessions, random)),
        Subject::Expiry => block_on(expired(&whole, sessions, random)),
        Subject::TowerString => {
            block_on(filled(tower::Trees::new(string(), sessions), sessions, random))
        }
        Subject::TowerCart => {
            block_on(filled(tower::Trees::new(Payload::Small.data(), sessions), sessions, random))
        }
        Subject::MokaString => {
            block_on(filled(moka::Trees::new(string(), sessions), sessions, random))
        }
        Subject::Map => block_on(filled(Map::new(&short, sessions), sessions, random)),
    }
}

async fn filled(store: impl Filled, sessions: usize, mut random: fastrand::Rng) -> Vec<Found> {
    let (counter, resident, began) = (Counter::start(), resident(), now());
    for index in 0..sessions {
        store.create(index).await;
    }
    let took = began.elapsed();
    let kept = counter.so_far().kept;
    drop(counter);
    let resident = self::resident().saturating_sub(resident);
    let each = |bytes: usize| vec![number(bytes) / number(sessions)];
    let mut found = vec![
        Found::new("allocated for each", Unit::Bytes, each(usize::try_from(kept).unwrap_or(0))),
        Found::new("resident for each", Unit::Bytes, each(resident)),
        Found::new("create", Unit::Nanoseconds, vec![nanos(took) / number(sessions)]),
    ];
    for what in ["read", "replace", "touch"] {
        let (mut halves, mut last) = (Vec::new(), Vec::new());
        for _ in 0..REPEATS {
            let mut times = Vec::with_capacity(TIMED);
            for _ in 0..TIMED {
                let index = random.usize(..sessions);
                let began = now();
                let done = match what {
                    "read" => Some(store.read(index).await),
                    "replace" => Some(store.replace(index).await),
                    _ => store.touch(index).await,
                };
                let took = began.elapsed();
                let Some(done) = done else { break };
                assert!(done, "{what}: the session is there");
                times.push(nanos(took));
            }
            if !times.is_empty() {
                halves.push(percentile(&mut times, 50));
                last.push(percentile(&mut times, 99));
            }
        }
        if !halves.is_empty() {
            found.push(Found::new(format!("{what}, median"), Unit::Nanoseconds, halves));
            found.push(Found::new(format!("{what}, 99th percentile"), Unit::Nanoseconds, last));
        }
    }
    found
}

static CLOCK: AtomicU64 = AtomicU64::new(1_790_000_000_000);

/// Lets all sessions expire at once, and then uses the store as before.
async fn expired(record: &str, sessions: usize, mut random: fastrand::Rng) -> Vec<Found> {
    let clock = || UnixMillis(CLOCK.load(Ordering::Relaxed));
    let mut store = Texts::new(record, 2 * sessions);
    store.store = MemoryStore::with_clock(LIMITS, clock);
    let counter = Counter::start();
    for index in 0..sessions {
        store.create(index).await;
    }
    let full = counter.so_far().kept;
    let mut next = sessions;
    let mut operation = async |store: &Texts| {
        let began = processor_time();
        if next.is_multiple_of(2) {
            black_box(store.read(random.usize(..sessions)).await);
        } else {
            store.create(next).await;
        }
        next += 1;
        nanos(processor_time().saturating_sub(began))
    };
    let some = (sessions / 10).max(100);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for _ in 0..some {
        before.push(operation(&store).await);
    }
    CLOCK.fetch_add(2 * u64::from(LIFE) * 1000, Ordering::Relaxed);
    // Half of the operations create sessions that do not expire. The number of records is read only now and then,
    // because that visits all shards.
    let few = (sessions / 100).max(10);
    while store.store.len() > after.len() / 2 && after.len() + some + few < sessions {
        for _ in 0..few {
            after.push(operation(&store).await);
        }
    }
    let kept = counter.so_far().kept;
    let bytes = |bytes: i64| vec![number(usize::try_from(bytes).unwrap_or_default())];
    let longest = |times: &[f64]| vec![times.iter().copied().fold(0.0, f64::max)];
    vec![
        Found::new(
            "longest operation before all expire, processor time",
            Unit::Nanoseconds,
            longest(&before),
        ),
        Found::new(
            "longest operation after all expired, processor time",
            Unit::Nanoseconds,
            longest(&after),
        ),
        Found::new(
            "99th percentile before all expire, processor time",
            Unit::Nanoseconds,
            vec![percentile(&mut before, 99)],
        ),
        Found::new(
            "99th percentile after all expired, processor time",
            Unit::Nanoseconds,
            vec![percentile(&mut after, 99)],
        ),
        Found::new(
            "operations until they are freed, at most",
            Unit::Operations,
            vec![number(after.len())],
        ),
        Found::new("left in the store then", Unit::Operations, vec![number(store.store.len())]),
        Found::new("bytes allocated before", Unit::Bytes, bytes(full)),
        Found::new("bytes allocated then", Unit::Bytes, bytes(kept)),
    ]
}

/// A JSON string of 200 bytes.
fn string() -> HashMap<String, Value> {
    [("text".to_owned(), Value::String("x".repeat(189)))].into()
}

fn data_record(data: &str) -> String {
    micro::record(data).encode(Limits::SAVE).expect("it is small enough")
}

/// A record of 200 bytes, including its write ID.
fn short_record() -> String {
    let (head, tail) = (r#"{"v":"AAAAAAAAAAAAAAAA","data":{"text":""#, r#""}}"#);
    format!("{head}{}{tail}", "x".repeat(200 - head.len() - tail.len()))
}

impl Found {
    fn new(what: impl Into<String>, unit: Unit, values: Vec<f64>) -> Self {
        Self { what: what.into(), unit, values }
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Nanoseconds => "ns",
            Self::Operations => "operations",
        }
    }
}

fn percentile(times: &mut [f64], percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    let at = times.len() * percent / 100;
    times.get(at).or(times.last()).copied().unwrap_or(f64::NAN)
}

fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

/// The processor time of this thread: a stall is then the store's and not the machine's.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// The resident memory of the process, in bytes.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<usize>().ok());
    pages.unwrap_or_default() * 4096
}
