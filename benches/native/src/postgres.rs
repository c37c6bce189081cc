//! A request whose session is in Postgres: its time, and how often it waits for the server.

mod proxy;
mod server;

use std::{cell::OnceCell, io, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::runtime::{self, Runtime};
use vestiary_store::{
    StoreError,
    sqlx::{self, PgPool, postgres::PgPoolOptions},
};

use self::{proxy::Proxy, server::Server};
use crate::{
    app::{App, Make},
    cases::{Case, Visitor},
    check::{self, Check},
    harness::{Cell, Effort, Spread, measure, number},
    layer::{now, one_by_one},
    peers::{Job, Peer, bare::Bare, tower_sessions_sqlx, vestiary},
    report::Row,
};

/// The server that the groups share, started when the first of them needs it.
#[derive(Debug, Default)]
pub(crate) struct Postgres(OnceCell<Server>);

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(
        "Postgres is not installed (on Debian: apt-get install postgresql; or set POSTGRES_BIN)"
    )]
    Missing,
    #[error("Postgres cannot be started: {0}")]
    Run(#[from] io::Error),
    #[error("Postgres does not start, saying {0}")]
    Silent(String),
    #[error("Postgres refuses: {0}")]
    Sqlx(#[from] sqlx::Error),
    #[error("Postgres refuses: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Check(#[from] check::Failed),
}

const PEERS: [Peer; 3] = [Peer::Bare, Peer::Vestiary, Peer::TowerSessions];

const CASES: [&str; 3] = ["valid cookie, read", "valid cookie, write", "login (new ID)"];

/// The number of visitors at once.
pub(crate) const AT_ONCE: usize = 16;

/// The connections of each library. All of them are there before anything is measured.
const CONNECTIONS: u32 = 10;

/// The connections of each library while round trips are counted: enough for the calls that a request makes at once.
const COUNTED_CONNECTIONS: u32 = 4;

/// The number of unmeasured requests before round trips are counted. Each connection prepares its statements.
const COUNTED_WARM_UP: usize = 64;

/// The number of unmeasured requests before each batch. The statements are prepared before the first one.
const WARM_UP: usize = 8;

/// For published numbers. A request takes longer than one to a store in memory, and each batch of logins first makes as
/// many sessions, so there are fewer rounds.
const FULL: Effort =
    Effort { rounds: 31, batch: Duration::from_millis(10), least: 2 * WARM_UP, most: 2_000 };

/// Whether it works.
const SMOKE: Effort =
    Effort { rounds: 1, batch: Duration::from_micros(50), least: WARM_UP, most: WARM_UP };

impl Postgres {
    /// The time of a request, with this many visitors at once.
    pub(crate) fn times(
        &self,
        visitors: usize,
        smoke: bool,
        random: &mut fastrand::Rng,
    ) -> Result<Vec<Row>, Failed> {
        let apps = Apps::on(&self.server()?.url(), CONNECTIONS)?;
        let cases = cases(visitors);
        apps.check(&cases)?;
        let cells = cases.iter().flat_map(|case| {
            let apps = &apps;
            PEERS.map(|peer| Cell {
                case: case.name.clone(),
                peer: peer.name(),
                over: (!peer.is_baseline()).then(|| peer.baseline().name()),
                run: Box::new(move |requests| apps.run(peer, Timed { case, requests, visitors })),
            })
        });
        let effort = if smoke { SMOKE } else { FULL };
        let (least, most) = (effort.least.max(4 * visitors), effort.most.max(4 * visitors));
        let effort = Effort { least, most, ..effort };
        let rows = Row::of(measure(cells.collect(), effort, random));
        Ok(rows.into_iter().map(in_microseconds).collect())
    }

    /// How often a request waits for the server.
    pub(crate) fn round_trips(&self, requests: usize) -> Result<Vec<Row>, Failed> {
        let proxy = Proxy::before(self.server()?.port())?;
        let apps = Apps::on(&server::url(proxy.port()), COUNTED_CONNECTIONS)?;
        let rows = cases(1).into_iter().flat_map(|case| {
            let peers = PEERS.into_iter().filter(|peer| !peer.is_baseline());
            let of = |peer: Peer| {
                let trips = apps.run(peer, Counted { case: &case, requests, proxy: &proxy });
                Row::new(case.name.as_str(), peer.name(), Spread::exactly(trips))
            };
            peers.map(of).collect::<Vec<_>>()
        });
        Ok(rows.collect())
    }

    fn server(&self) -> Result<&Server, Failed> {
        if let Some(server) = self.0.get() {
            return Ok(server);
        }
        let server = Server::start()?;
        Ok(self.0.get_or_init(|| server))
    }
}

/// Each request of a visitor comes after the reply to the one before.
fn cases(visitors: usize) -> Vec<Case> {
    let mut cases = Case::chosen(&CASES);
    for case in &mut cases {
        if let Visitor::Known(of) = &mut case.visitor {
            *of = visitors;
        }
    }
    cases
}

fn in_microseconds(row: Row) -> Row {
    let [median, low, high] = [row.median, row.low, row.high].map(|nanos| nanos / 1e3);
    Row { median, low, high, ..row }
}

/// The applications, and the runtime on which their connections live.
struct Apps {
    vestiary: vestiary::InPostgres,
    tower_sessions: tower_sessions_sqlx::InPostgres,
    runtime: Runtime,
}

impl Apps {
    fn on(url: &str, connections: u32) -> Result<Self, Failed> {
        let runtime = runtime_of_its_own()?;
        let (vestiary, tower_sessions) = runtime.block_on(async {
            let vestiary = vestiary::InPostgres::on(pool(url, connections).await?).await?;
            let tower_sessions = pool(url, connections).await?;
            let tower_sessions = tower_sessions_sqlx::InPostgres::on(tower_sessions).await?;
            Ok::<_, Failed>((vestiary, tower_sessions))
        })?;
        Ok(Self { vestiary, tower_sessions, runtime })
    }

    fn run<J: Job>(&self, peer: Peer, job: J) -> J::Output {
        self.runtime.block_on(async {
            match peer {
                Peer::Vestiary => job.run(&self.vestiary).await,
                Peer::TowerSessions => job.run(&self.tower_sessions).await,
                _ => job.run(&Bare).await,
            }
        })
    }

    /// Checks that the measured work is done.
    fn check(&self, cases: &[Case]) -> Result<(), Failed> {
        for case in cases {
            for peer in PEERS {
                let setup = case.setup.clone();
                let checked = self.run(peer, Check { peer, case, setup });
                checked.map_err(|wrong| check::Failed::of(peer, case, wrong))?;
            }
        }
        println!("checked that the work is done: {} times", cases.len() * PEERS.len());
        Ok(())
    }
}

/// A pool that does not ask the server whether a connection works before it is used: that is a round trip.
async fn pool(url: &str, connections: u32) -> sqlx::Result<PgPool> {
    PgPoolOptions::new()
        .min_connections(connections)
        .max_connections(connections)
        .test_before_acquire(false)
        .connect(url)
        .await
}

fn runtime_of_its_own() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

struct Timed<'a> {
    case: &'a Case,
    requests: usize,
    visitors: usize,
}

impl Job for Timed<'_> {
    type Output = Duration;

    async fn run(self, make: &impl Make) -> Duration {
        let mut app = make.app(&self.case.setup).await;
        let warm_up = WARM_UP.next_multiple_of(self.visitors);
        let mut requests = self.case.requests(make, &mut app, warm_up + self.requests).await;
        let measured = requests.split_off(warm_up);
        of_visitors(&mut app, self.visitors, requests).await;
        let began = now();
        of_visitors(&mut app, self.visitors, measured).await;
        began.elapsed()
    }
}

struct Counted<'a> {
    case: &'a Case,
    requests: usize,
    proxy: &'a Proxy,
}

impl Job for Counted<'_> {
    type Output = f64;

    async fn run(self, make: &impl Make) -> f64 {
        let mut app = make.app(&self.case.setup).await;
        let mut requests =
            self.case.requests(make, &mut app, COUNTED_WARM_UP + self.requests).await;
        let measured = requests.split_off(COUNTED_WARM_UP);
        one_by_one(&mut app, requests).await;
        let before = self.proxy.round_trips();
        one_by_one(&mut app, measured).await;
        number(self.proxy.round_trips() - before) / number(self.requests)
    }
}

/// The requests of visitors in turn. Each visitor waits for a reply before the next request, so that no two requests
/// change the same session at once.
async fn of_visitors<A: App>(app: &mut A, visitors: usize, requests: Vec<A::Request>) {
    let mut waiting: Vec<Vec<A::Request>> = (0..visitors).map(|_| Vec::new()).collect();
    for (index, request) in requests.into_iter().enumerate().rev() {
        waiting[index % visitors].push(request);
    }
    let mut next = |visitor: usize| {
        let response = app.call(waiting[visitor].pop()?);
        Some(async move { (visitor, response.await) })
    };
    let mut under_way: FuturesUnordered<_> = (0..visitors).filter_map(&mut next).collect();
    while let Some((visitor, response)) = under_way.next().await {
        assert!(A::succeeded(&response), "a request failed");
        under_way.extend(next(visitor));
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, pin::Pin, rc::Rc};

    use super::*;
    use crate::app::{Answer, Ask};

    /// Replies out of order, and notes the visitors whose requests are under way.
    #[derive(Default)]
    struct Watched(Rc<RefCell<Vec<usize>>>);

    impl App for Watched {
        type Request = (usize, usize);
        type Response = bool;
        type Future = Pin<Box<dyn Future<Output = bool>>>;

        fn request(_: &Ask) -> (usize, usize) {
            (0, 0)
        }

        fn call(&mut self, (visitor, turns): (usize, usize)) -> Self::Future {
            let under_way = Rc::clone(&self.0);
            let alone = !under_way.borrow().contains(&visitor);
            under_way.borrow_mut().push(visitor);
            Box::pin(async move {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                under_way.borrow_mut().retain(|it| *it != visitor);
                alone
            })
        }

        fn succeeded(alone: &bool) -> bool {
            *alone
        }

        async fn answer(_: bool) -> Answer {
            Answer { status: 200, set_cookies: Vec::new(), body: String::new() }
        }
    }

    #[test]
    fn each_visitor_has_one_request_under_way() {
        let requests = (0..32).map(|index| (index % 4, index * 7 % 5)).collect();
        crate::layer::block_on(of_visitors(&mut Watched::default(), 4, requests));
    }
}
