//! What a session costs in a request: time, allocations, what the store is asked.

use std::{
    future::Future,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{runtime, task::LocalSet};

use crate::{
    allocations::Counter,
    app::{App, Make, Setup},
    cases::Case,
    harness::{Cell, Effort, Spread, measure, number},
    peers::{Job, Peer},
    report::Row,
    store::{Counts, Meter, Wait},
};

/// How many requests go before those that are measured.
const WARM_UP: usize = 32;

/// How many requests are under way at once.
const AT_ONCE: usize = 64;

/// One request after the other, on each library's own store in memory.
pub(crate) fn times(peers: &[Peer], effort: Effort, random: &mut fastrand::Rng) -> Vec<Row> {
    Row::of(measure(cells(peers, Case::all(), Mode::OneByOne), effort, random))
}

/// Many requests at once, on each library's own store and on one that makes everybody wait.
pub(crate) fn at_once(peers: &[Peer], effort: Effort, random: &mut fastrand::Rng) -> Vec<Row> {
    let mut rows = Row::of(measure(cells(peers, Case::concurrent(), Mode::AtOnce), effort, random));
    let mut waiting = Case::concurrent();
    for case in &mut waiting {
        case.name += ", store that waits";
    }
    rows.extend(Row::of(measure(cells(peers, waiting, Mode::AtOnceWaiting), effort, random)));
    rows
}

/// How often a request allocates.
pub(crate) fn allocations(peers: &[Peer], requests: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for case in Case::all() {
        let of = |peer: Peer| block_on(peer.run(Allocating { case: &case, requests }));
        for &peer in peers.iter().filter(|peer| peer.can(&case)) {
            let (times, bytes) = of(peer);
            rows.push(row(&case, peer, times).detail("bytes", bytes));
            if !peer.is_baseline() {
                let (bare_times, bare_bytes) = of(peer.baseline());
                let over = row(&case, peer, times - bare_times).over(peer.baseline().name());
                rows.push(over.detail("bytes", bytes - bare_bytes));
            }
        }
    }
    rows
}

/// What a store is asked for a request, and how often the request waits for it.
pub(crate) fn store_operations(peers: &[Peer], requests: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for case in Case::all() {
        for &peer in peers.iter().filter(|peer| !peer.is_baseline() && peer.can(&case)) {
            let (counts, waits) = block_on_paused(peer.run(Asking { case: &case, requests }));
            let each = |count: u64| {
                number(usize::try_from(count).unwrap_or(usize::MAX)) / number(requests)
            };
            let row = row(&case, peer, each(counts.total()))
                .detail("loads", each(counts.loads))
                .detail("creates", each(counts.creates))
                .detail("saves", each(counts.saves))
                .detail("touches", each(counts.touches))
                .detail("deletes", each(counts.deletes))
                .detail("inSequence", waits)
                .detail("microsecondsAt200Each", waits * 200.0);
            rows.push(row);
        }
    }
    rows
}

/// Runs a case, and nothing else: for a profiler.
pub(crate) fn one(peer: Peer, case: &Case, requests: usize) -> Duration {
    block_on(peer.run(Timed { case, requests, mode: Mode::OneByOne }))
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    OneByOne,
    AtOnce,
    AtOnceWaiting,
}

fn cells(peers: &[Peer], cases: Vec<Case>, mode: Mode) -> Vec<Cell<'static>> {
    let cells = cases.into_iter().flat_map(|case| {
        let able = peers.iter().copied().filter(|peer| peer.can(&case)).collect::<Vec<_>>();
        able.into_iter().map(move |peer| {
            let case = case.clone();
            Cell {
                case: case.name.clone(),
                peer: peer.name(),
                over: (!peer.is_baseline()).then(|| peer.baseline().name()),
                run: Box::new(move |requests| {
                    block_on(peer.run(Timed { case: &case, requests, mode }))
                }),
            }
        })
    });
    cells.collect()
}

fn row(case: &Case, peer: Peer, value: f64) -> Row {
    Row::new(case.name.as_str(), peer.name(), Spread::exactly(value))
}

struct Timed<'a> {
    case: &'a Case,
    requests: usize,
    mode: Mode,
}

impl Job for Timed<'_> {
    type Output = Duration;

    async fn run(self, make: &impl Make) -> Duration {
        let mut setup = self.case.setup.clone();
        if self.mode == Mode::AtOnceWaiting {
            setup.metered = Some(Arc::new(Meter::new(Wait::Turns(8))));
        }
        let mut app = make.app(&setup).await;
        let mut requests = self.case.requests(make, &mut app, WARM_UP + self.requests).await;
        let measured = requests.split_off(WARM_UP);
        one_by_one(&mut app, requests).await;
        let began = now();
        match self.mode {
            Mode::OneByOne => one_by_one(&mut app, measured).await,
            Mode::AtOnce | Mode::AtOnceWaiting => all_at_once(&mut app, measured).await,
        }
        began.elapsed()
    }
}

struct Allocating<'a> {
    case: &'a Case,
    requests: usize,
}

impl Job for Allocating<'_> {
    type Output = (f64, f64);

    async fn run(self, make: &impl Make) -> (f64, f64) {
        let mut app = make.app(&self.case.setup).await;
        let mut requests = self.case.requests(make, &mut app, WARM_UP + self.requests).await;
        let measured = requests.split_off(WARM_UP);
        one_by_one(&mut app, requests).await;
        let counter = Counter::start();
        one_by_one(&mut app, measured).await;
        let allocated = counter.so_far();
        let each = |count: u64| {
            number(usize::try_from(count).unwrap_or(usize::MAX)) / number(self.requests)
        };
        (each(allocated.times), each(allocated.bytes))
    }
}

struct Asking<'a> {
    case: &'a Case,
    requests: usize,
}

impl Job for Asking<'_> {
    /// And how often a request waits, one time after the other.
    type Output = (Counts, f64);

    async fn run(self, make: &impl Make) -> (Counts, f64) {
        // A millisecond is what tokio's clock can tell apart.
        let wait = Duration::from_millis(1);
        let meter = Arc::new(Meter::new(Wait::Time(wait)));
        let setup = Setup { metered: Some(Arc::clone(&meter)), ..self.case.setup.clone() };
        let mut app = make.app(&setup).await;
        let requests = self.case.requests(make, &mut app, self.requests).await;
        let (before, began) = (meter.counts(), tokio::time::Instant::now());
        one_by_one(&mut app, requests).await;
        let waited = began.elapsed().as_secs_f64() / wait.as_secs_f64();
        (meter.counts().since(before), waited / number(self.requests))
    }
}

async fn one_by_one<A: App>(app: &mut A, requests: Vec<A::Request>) {
    for request in requests {
        let response = black_box(app.call(request).await);
        assert!(A::succeeded(&response), "a request failed");
    }
}

async fn all_at_once<A: App>(app: &mut A, requests: Vec<A::Request>) {
    let mut requests = requests.into_iter();
    let mut under_way: FuturesUnordered<_> =
        requests.by_ref().take(AT_ONCE).map(|request| app.call(request)).collect();
    while let Some(response) = under_way.next().await {
        assert!(A::succeeded(&black_box(response)), "a request failed");
        if let Some(request) = requests.next() {
            under_way.push(app.call(request));
        }
    }
}

/// A runtime of its own, so that no task of another library runs beside.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("the system has a timer");
    LocalSet::new().block_on(&runtime, future)
}

/// The same, with a clock that moves only when everybody waits.
fn block_on_paused<T>(future: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("the system has a timer");
    LocalSet::new().block_on(&runtime, future)
}

#[expect(clippy::disallowed_methods, reason = "to measure is what it is for")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
