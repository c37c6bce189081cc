use std::{env, ops::Range};

use vestiary::{SessionId, WriteId};

/// The schedules to play: as many as the environment variable `SCHEDULES` says, or that of `SEED` alone.
pub(crate) struct Seeds {
    pub(crate) count: u64,
    pub(crate) range: Range<u64>,
    /// Whether they are too few for everything to happen in them.
    pub(crate) are_few: bool,
}

impl Seeds {
    pub(crate) fn of_environment() -> Self {
        let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
        let default = if cfg!(debug_assertions) { 4_000 } else { 100_000 };
        let (count, seed) = (number("SCHEDULES").unwrap_or(default), number("SEED"));
        let range = seed.map_or(0..count, |seed| seed..seed + 1);
        Self { count, range, are_few: seed.is_some() || count < 4_000 }
    }
}

/// A repeatable source of chance (`SplitMix64`).
pub(crate) struct Chance(pub u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next().to_le_bytes()[0])
    }

    pub(crate) fn id(&mut self) -> SessionId {
        SessionId::from_entropy(&self.bytes())
    }

    pub(crate) fn write(&mut self) -> WriteId {
        WriteId::from_entropy(&self.bytes())
    }
}
