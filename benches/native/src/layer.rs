//! The cost of a session in a request: time, allocations, and calls to the store.

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

/// The number of unmeasured requests at the beginning.
const WARM_UP: usize = 32;

/// The number of concurrent requests.
const AT_ONCE: usize = 64;

/// The delay of each answer, in a store that has one.
const OTHERS_FIRST: Wait = Wait::Turns(8);

/// One request after the other, on each library's own store in memory.
pub(crate) fn times(peers: &[Peer], effort: Effort, random: &mut fastrand::Rng) -> Vec<Row> {
    Row::of(measure(cells(peers, Case::all(), Mode::OneByOne), effort, random))
}

/// Many requests at once, on each library's own store and on one that delays each answer.
pub(crate) fn at_once(peers: &[Peer], effort: Effort, random: &mut fastrand::Rng) -> Vec<Row> {
    let mut rows = Row::of(measure(cells(peers, Case::concurrent(), Mode::AtOnce), effort, random));
    let mut waiting = Case::concurrent();
    for case in &mut waiting {
        case.name += ", store that waits";
    }
    let measured =
        Row::of(measure(cells(peers, waiting.clone(), Mode::AtOnceWaiting), effort, random));
    rows.extend(measured.into_iter().map(|row| {
        let case = waiting.iter().find(|case| case.name == row.case);
        let peer = peers.iter().find(|peer| peer.name() == row.peer && !peer.is_baseline());
        let (Some(case), Some(peer)) = (case, peer) else { return row };
        let requests = effort.rounds * AT_ONCE;
        let (counts, refused) = block_on(peer.run(Contending { case, requests }));
        row.detail("storeOperations", each(counts.total(), requests))
            .detail("refused", number(refused) / number(requests))
    }));
    rows
}

/// The number of allocations per request.
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

/// The calls to a store during a request, and how often the request waits for it.
pub(crate) fn store_operations(peers: &[Peer], requests: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for case in Case::all() {
        for &peer in peers.iter().filter(|peer| !peer.is_baseline() && peer.can(&case)) {
            let (counts, waits) = block_on_paused(peer.run(Asking { case: &case, requests }));
            let row = row(&case, peer, each(counts.total(), requests))
                .detail("loads", each(counts.loads, requests))
                .detail("creates", each(counts.creates, requests))
                .detail("saves", each(counts.saves, requests))
                .detail("touches", each(counts.touches, requests))
                .detail("deletes", each(counts.deletes, requests))
                .detail("inSequence", waits)
                .detail("microsecondsAt200Each", waits * 200.0);
            rows.push(row);
        }
    }
    rows
}

/// Runs only this case, for a profiler.
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
        let metered =
            (self.mode == Mode::AtOnceWaiting).then(|| Arc::new(Meter::new(OTHERS_FIRST)));
        let mut app = make.app(&Setup { metered, ..self.case.setup.clone() }).await;
        let mut requests = self.case.requests(make, &mut app, WARM_UP + self.requests).await;
        let measured = requests.split_off(WARM_UP);
        one_by_one(&mut app, requests).await;
        let began = now();
        match self.mode {
            Mode::OneByOne => one_by_one(&mut app, measured).await,
            Mode::AtOnce => {
                assert_eq!(all_at_once(&mut app, measured).await, 0, "no request fails");
            }
            // If all requests write the same session, a library may refuse some: that is reported, too.
            Mode::AtOnceWaiting => {
                black_box(all_at_once(&mut app, measured).await);
            }
        }
        began.elapsed()
    }
}

struct Contending<'a> {
    case: &'a Case,
    requests: usize,
}

impl Job for Contending<'_> {
    /// Also returns the number of refused requests.
    type Output = (Counts, usize);

    async fn run(self, make: &impl Make) -> (Counts, usize) {
        let meter = Arc::new(Meter::new(OTHERS_FIRST));
        let setup = Setup { metered: Some(Arc::clone(&meter)), ..self.case.setup.clone() };
        let mut app = make.app(&setup).await;
        let requests = self.case.requests(make, &mut app, self.requests).await;
        let before = meter.counts();
        let refused = all_at_once(&mut app, requests).await;
        (meter.counts().since(before), refused)
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
        (each(allocated.times, self.requests), each(allocated.bytes, self.requests))
    }
}

struct Asking<'a> {
    case: &'a Case,
    requests: usize,
}

impl Job for Asking<'_> {
    /// Also returns how often a request waits in sequence.
    type Output = (Counts, f64);

    async fn run(self, make: &impl Make) -> (Counts, f64) {
        // Tokio's timer has a resolution of a millisecond.
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

pub(crate) async fn one_by_one<A: App>(app: &mut A, requests: Vec<A::Request>) {
    for request in requests {
        let response = black_box(app.call(request).await);
        assert!(A::succeeded(&response), "a request failed");
    }
}

/// How many of them failed.
async fn all_at_once<A: App>(app: &mut A, requests: Vec<A::Request>) -> usize {
    let mut failed = 0;
    let mut requests = requests.into_iter();
    let mut under_way: FuturesUnordered<_> =
        requests.by_ref().take(AT_ONCE).map(|request| app.call(request)).collect();
    while let Some(response) = under_way.next().await {
        failed += usize::from(!A::succeeded(&black_box(response)));
        if let Some(request) = requests.next() {
            under_way.push(app.call(request));
        }
    }
    failed
}

fn each(count: u64, requests: usize) -> f64 {
    number(usize::try_from(count).unwrap_or(usize::MAX)) / number(requests)
}

// A runtime of its own, so that no task of another library runs at the same time.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("the system has a timer");
    LocalSet::new().block_on(&runtime, future)
}

/// The same, with a clock that moves only when all requests wait.
fn block_on_paused<T>(future: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("the system has a timer");
    LocalSet::new().block_on(&runtime, future)
}

#[expect(clippy::disallowed_methods, reason = "to measure is what it is for")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
