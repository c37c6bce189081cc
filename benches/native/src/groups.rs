use crate::{
    harness::Effort,
    instructions, layer, micro,
    peers::Peer,
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
    Micro,
    Scale,
}

/// What is said of a group.
struct Words {
    title: &'static str,
    unit: &'static str,
    method: &'static str,
}

impl Group {
    pub(crate) const ALL: [Self; 8] = [
        Self::Layer,
        Self::AtOnce,
        Self::Actix,
        Self::StoreOperations,
        Self::Allocations,
        Self::Instructions,
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
            Self::Micro => "micro-native",
            Self::Scale => "scale-native",
        }
    }

    /// Runs it; `None` if this machine cannot, and that is no fault.
    pub(crate) fn run(
        self,
        smoke: bool,
        random: &mut fastrand::Rng,
        seed: u64,
    ) -> Result<Option<Report>, scale::Unmeasured> {
        let Some(rows) = self.rows(smoke, random, seed)? else { return Ok(None) };
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
    ) -> Result<Option<Vec<Row>>, scale::Unmeasured> {
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
            Self::Micro => Some(micro::times(effort, random)),
            Self::Scale if smoke => Some(scale::measure(&[1_000], seed)?),
            Self::Scale => Some(scale::measure(&[1_000, 100_000, 1_000_000], seed)?),
        })
    }

    fn words(self) -> Words {
        match self {
            Self::Layer => Words {
                title: "One request after the other",
                unit: "ns",
                method: "call on a ready axum Router with the same handlers, tokio's current-thread \
                         runtime, each library's own memory store and signed cookies; rounds in random \
                         order, each with a fresh application; median and quartiles, absolute and less \
                         what the same request took without sessions in the same round",
            },
            Self::AtOnce => Words {
                title: "64 requests at once",
                unit: "ns",
                method: "as native-layer, with 64 requests under way in one task, on each library's own \
                         memory store and on a store of text whose every answer lets the others go first \
                         eight times; the whole time, waiting included, for each request; storeOperations and \
                         refused are for each request",
            },
            Self::Actix => Words {
                title: "actix-session, and Vestiary on axum, each over its own framework",
                unit: "ns",
                method: "as native-layer; actix-session ships no store in memory and gets a map behind a \
                         mutex; actix-bare is actix-web without sessions",
            },
            Self::StoreOperations => Words {
                title: "What a store is asked for each request",
                unit: "operations",
                method: "every library on the same counting store; inSequence is how many answers a request \
                         waits for one after the other, by a paused clock on which each takes the same time",
            },
            Self::Allocations => Words {
                title: "Allocations of each request",
                unit: "allocations",
                method: "a counting global allocator, all threads, reallocations included, over 500 requests \
                         after a warm-up; absolute and less those of the same request without sessions",
            },
            Self::Instructions => Words {
                title: "Instructions of each request",
                unit: "instructions",
                method: "valgrind's callgrind over two runs of different lengths, and their difference for \
                         each request, with the making of the request; valgrind has no SHA instructions, so \
                         signatures weigh more here than on the processor",
            },
            Self::Micro => Words {
                title: "The parts of a request",
                unit: "ns",
                method: "each part in a loop, interleaved as native-layer; the limit is the bare HMAC-SHA256 \
                         with a key that was prepared, or the bare search for the separator; records are decoded \
                         with all checks",
            },
            Self::Scale => Words {
                title: "Many sessions in memory",
                unit: "ns",
                method: "each store filled in a process of its own, keys not counted that the caller keeps; \
                         operations on random sessions timed one by one, the clock's some 25 ns included; \
                         quartiles of five repeats; all sessions expire at once by a clock of the benchmark's",
            },
        }
    }
}
