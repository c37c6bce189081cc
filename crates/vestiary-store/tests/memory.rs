//! The memory store keeps the promises of `Store` and `Scan`.

use vestiary::MemoryLimits;
use vestiary_store::{MemoryStore, conformance_tests};

mod in_parts {
    use super::*;

    async fn store() -> MemoryStore {
        MemoryStore::default()
    }

    conformance_tests!(store);
    conformance_tests!(scan store);
}

mod in_one_part {
    use super::*;

    async fn store() -> MemoryStore {
        MemoryStore::new(MemoryLimits { entries: 1_000, ..MemoryLimits::default() })
    }

    conformance_tests!(store);
    conformance_tests!(scan store);
}
