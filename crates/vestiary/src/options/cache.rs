use super::whole;
use crate::{Error, constants};

/// The near cache of a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CacheOptions {
    /// The age from which an entry no longer answers, in milliseconds.
    pub max_stale: u64,
    /// The maximum number of entries.
    pub max_entries: usize,
}

/// The most entries of a cache. More would take more than 2 GB.
const MOST_ENTRIES: u32 = 1_000_000;

/// Validates the options of the near cache, which there is only with `max_stale`.
pub(super) fn checked(
    max_stale: Option<f64>,
    max_entries: Option<f64>,
) -> Result<Option<CacheOptions>, Error> {
    let Some(max_stale) = max_stale else { return Ok(None) };
    let refusal = Error::OptionType {
        name: "cache.maxStale",
        expected: "a whole number of milliseconds from 1 to 60000",
    };
    let max_stale = whole(max_stale, &(1..=constants::LONGEST_STALE), refusal)?.into();
    let max_entries = match max_entries {
        None => constants::CACHE_ENTRIES,
        Some(most) => {
            let expected = "a whole number from 1 to 1000000";
            let refusal = Error::OptionType { name: "cache.maxEntries", expected };
            whole(most, &(1..=MOST_ENTRIES), refusal)?
        }
    };
    Ok(Some(CacheOptions { max_stale, max_entries: max_entries as usize }))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn a_cache_is_bounded_in_time_and_size() {
        let cache = |max_stale, max_entries| {
            checked(Some(max_stale), max_entries)
                .map(|cache| cache.map(|cache| (cache.max_stale, cache.max_entries)))
        };
        assert_eq!(checked(None, None), Ok(None));
        assert_eq!(cache(1.0, None), Ok(Some((1, 10_000))));
        assert_eq!(cache(60_000.0, Some(1_000_000.0)), Ok(Some((60_000, 1_000_000))));
        for wrong in [0.0, 0.5, 1.5, 60_001.0, -1.0, f64::NAN, f64::INFINITY] {
            let refused = cache(wrong, None).map_err(|error| error.to_string());
            let message = "`cache.maxStale` must be a whole number of milliseconds from 1 to 60000";
            assert_eq!(refused, Err(message.into()), "{wrong}");
        }
        for wrong in [0.0, 1.5, 1_000_001.0, f64::NAN] {
            let refused = cache(1_000.0, Some(wrong)).map_err(|error| error.to_string());
            let message = "`cache.maxEntries` must be a whole number from 1 to 1000000";
            assert_eq!(refused, Err(message.into()), "{wrong}");
        }
    }
}
