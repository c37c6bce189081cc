use crate::{
    harness::Effort,
    instructions, layer, micro,
    peers::Peer,
    postgres::{self, AT_ONCE, Postgres},
    report::{Machine, Report, Row, versions},
    scale,
};

/// Benchmarks whose numbers belong together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Group {
    Layer,
    AtOnce,
    Actix,
    StoreOperations,
    Allocations,
    Instructions,
    Postgres,
    PostgresAtOnce,
    PostgresRoundTrips,
    Micro,
    Scale,
}

/// The reason why a group was not measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    Scale(#[from] scale::Unmeasured),
    #[error(transparent)]
    Postgres(#[from] postgres::Failed),
}

/// The description of a group.
struct Words {
    title: &'static str,
    unit: &'static str,
    method: &'static str,
}

impl Group {
    pub(crate) const ALL: [Self; 11] = [
        Self::Layer,
        Self::AtOnce,
        Self::Actix,
        Self::StoreOperations,
        Self::Allocations,
        Self::Instructions,
        Self::Postgres,
        Self::PostgresAtOnce,
        Self::PostgresRoundTrips,
        Self::Micro,
        Self::Scale,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Layer => "native-layer",
            Self::AtOnce => "native-layer-64",
            Self::Actix => "native-actix",
            Self::StoreOperations => "native-store-ops",
            Self::Allocations => "native-allocations",
            Self::Instructions => "native-instructions",
            Self::Postgres => "native-postgres",
            Self::PostgresAtOnce => "native-postgres-16",
            Self::PostgresRoundTrips => "native-postgres-round-trips",
            Self::Micro => "micro-native",
            Self::Scale => "scale-native",
        }
    }

    /// Runs the group; `None` if this machine does not support it, which is no failure.
    pub(crate) fn run(
        self,
        smoke: bool,
        random: &mut fastrand::Rng,
        seed: u64,
        postgres: &Postgres,
    ) -> Result<Option<Report>, Failed> {
        let Some(rows) = self.rows(smoke, random, seed, postgres)? else { return Ok(None) };
        let Words { title, unit, method } = self.words();
        Ok(Some(Report {
            group: self.name(),
            title,
            unit,
            lower_is_better: true,
            method,
            seed,
            versions: versions(),
            machine: Machine::this(),
            rows,
        }))
    }

    fn rows(
        self,
        smoke: bool,
        random: &mut fastrand::Rng,
        seed: u64,
        postgres: &Postgres,
    ) -> Result<Option<Vec<Row>>, Failed> {
        const ACTIX: [Peer; 4] = [Peer::Bare, Peer::Vestiary, Peer::ActixBare, Peer::ActixSession];
        let effort = if smoke { Effort::SMOKE } else { Effort::FULL };
        let requests = if smoke { 4 } else { 500 };
        Ok(match self {
            Self::Layer => Some(layer::times(&Peer::AXUM, effort, random)),
            Self::AtOnce => Some(layer::at_once(&Peer::AXUM, effort, random)),
            Self::Actix => Some(layer::times(&ACTIX, effort, random)),
            Self::StoreOperations => Some(layer::store_operations(&Peer::ALL, requests.min(50))),
            Self::Allocations => Some(layer::allocations(&Peer::ALL, requests)),
            Self::Instructions if smoke => None,
            Self::Instructions => instructions::instructions(&Peer::AXUM)
                .inspect_err(|why| println!("\n{} left out: {why}", self.name()))
                .ok(),
            Self::Postgres => self.if_installed(postgres.times(1, smoke, random))?,
            Self::PostgresAtOnce => self.if_installed(postgres.times(AT_ONCE, smoke, random))?,
            Self::PostgresRoundTrips => {
                self.if_installed(postgres.round_trips(requests.min(100)))?
            }
            Self::Micro => Some(micro::times(effort, random)),
            Self::Scale if smoke => Some(scale::measure(&[1_000], seed)?),
            Self::Scale => Some(scale::measure(&[1_000, 100_000, 1_000_000], seed)?),
        })
    }

    fn if_installed(
        self,
        measured: Result<Vec<Row>, postgres::Failed>,
    ) -> Result<Option<Vec<Row>>, Failed> {
        match measured {
            Err(why @ postgres::Failed::Missing) => {
                println!("\n{} left out: {why}", self.name());
                Ok(None)
            }
            measured => Ok(Some(measured?)),
        }
    }

    fn words(self) -> Words {
        match self {
            Self::Layer => Words {
                title: "One request after the other",
                unit: "ns",
                method: "Calls a ready axum Router with the same handlers, on tokio's current-thread runtime, with \
                         each library's own memory store and signed cookies. Rounds run in random order, each \
                         with a fresh application. The cost is that over the same request without sessions in \
                         the same round.",
            },
            Self::AtOnce => Words {
                title: "64 requests at once",
                unit: "ns",
                method: "The same requests, but 64 of them in flight in one task. Each \
                         library runs on its own memory store, and on a store of text that lets the other requests \
                         go first eight times before each reply. The time is that of a request as a whole, waiting included.",
            },
            Self::Actix => Words {
                title: "actix-session, and Vestiary on axum, each over its own framework",
                unit: "ns",
                method: "The same requests, one after the other. actix-session has no memory store and gets a map behind a \
                         mutex. actix-bare is actix-web without sessions.",
            },
            Self::StoreOperations => Words {
                title: "Store operations of each request",
                unit: "operations",
                method: "Every library runs on the same counting store.",
            },
            Self::Allocations => Words {
                title: "Allocations of each request",
                unit: "allocations",
                method: "A global allocator counts those of all threads, reallocations included, over 500 requests \
                         after a warm-up. Those of the same request without sessions are subtracted.",
            },
            Self::Instructions => Words {
                title: "Instructions of each request",
                unit: "instructions",
                method: "valgrind's callgrind counts two runs of different lengths. The number is their difference \
                         per request, including the creation of the request. valgrind has no SHA instructions, so \
                         signatures weigh more here than on the processor.",
            },
            Self::Postgres => Words {
                title: "Sessions in Postgres, one request after the other",
                unit: "µs",
                method: "The same applications with sessions in a real Postgres on the same machine, which waits for \
                         the disk at each commit. tower-sessions is 0.14 here, the version that \
                         tower-sessions-sqlx-store is for. Each library has a pool of ten connections, all \
                         of them open before, and no pool tests a connection before it hands it out. A login of Vestiary also adds \
                         the session to its user's session list. The cost is that over the same request without \
                         sessions in the same round.",
            },
            Self::PostgresAtOnce => Words {
                title: "Sessions in Postgres, 16 visitors at once",
                unit: "µs",
                method: "The same requests, but from 16 visitors, each of whom always has a request in \
                         flight. The time is that of all requests divided by their number.",
            },
            Self::PostgresRoundTrips => Words {
                title: "Round trips to Postgres of each request",
                unit: "round trips",
                method: "A proxy before Postgres counts how often a request waits for it, over many requests, one \
                         after the other. Calls that a request makes at once count as one. The test that sqlx makes of \
                         a connection which a request has returned to the pool does not count: no request waits for it.",
            },
            Self::Micro => Words {
                title: "The parts of a request",
                unit: "ns",
                method: "Each part runs in a loop, in random order in each round. The limit is the bare HMAC-SHA256 \
                         with a prepared key, or the bare search for the separator. Records are decoded with all \
                         checks.",
            },
            Self::Scale => Words {
                title: "Many sessions in memory",
                unit: "ns",
                method: "Each store is filled in a process of its own; keys that the caller keeps do not count. \
                         Operations on random sessions are timed one by one, including about 25 ns of the clock. \
                         Quartiles are those of five repeats. All sessions expire at once by a clock of the \
                         benchmark.",
            },
        }
    }
}
