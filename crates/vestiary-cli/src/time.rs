use std::time::{Duration, SystemTime};

use vestiary::{Ttl, UnixMillis};

/// Formats an instant as RFC 3339, in UTC.
pub(crate) fn instant(at: UnixMillis) -> String {
    /// The last instant whose year has four digits.
    const LATEST: u64 = 253_402_300_799_000;
    if at.0 > LATEST {
        return "after 9999".to_owned();
    }
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(at.0 / 1_000);
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Formats a duration in its two largest units.
pub(crate) fn span(millis: u64) -> String {
    const UNITS: [(u64, &str); 5] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let Some(first) = UNITS.iter().position(|(unit, _)| millis >= *unit) else {
        return "0ms".to_owned();
    };
    let mut rest = millis;
    let parts: Vec<String> = UNITS
        .iter()
        .skip(first)
        .take(2)
        .filter_map(|(unit, name)| {
            let count = rest / unit;
            rest %= unit;
            // Fractions of a second are only worth showing alone.
            (count > 0 && (*unit > 1 || millis < 1_000)).then(|| format!("{count}{name}"))
        })
        .collect();
    parts.join(" ")
}

pub(crate) fn left(ttl: Ttl) -> String {
    match ttl {
        Ttl::Infinite => "no end".to_owned(),
        Ttl::Millis(millis) => span(millis),
    }
}

pub(crate) fn millis(ttl: Ttl) -> Option<u64> {
    match ttl {
        Ttl::Infinite => None,
        Ttl::Millis(millis) => Some(millis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        for (millis, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_999, "1s"),
            (61_000, "1m 1s"),
            (3_600_000, "1h"),
            (604_799_999, "6d 23h"),
        ] {
            assert_eq!(span(millis), text);
        }
    }

    #[test]
    fn instants_are_in_utc_and_have_an_end() {
        assert_eq!(instant(UnixMillis(0)), "1970-01-01T00:00:00Z");
        assert_eq!(instant(UnixMillis(253_402_300_799_000)), "9999-12-31T23:59:59Z");
        assert_eq!(instant(UnixMillis(u64::MAX)), "after 9999");
    }
}
