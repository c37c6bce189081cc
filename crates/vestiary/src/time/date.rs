use alloc::string::String;

use crate::UnixMillis;

/// The last second that an HTTP date can represent, in the year 9999.
pub(crate) const LATEST: UnixMillis = UnixMillis(253_402_300_799_000);

/// Appends an instant as an HTTP date: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7).
///
/// The crates for this need `std`, or a calendar as large as the rest of the core.
pub(crate) fn push_imf_fixdate(text: &mut String, at: UnixMillis) {
    let day = Day::of(at);
    push_name(text, b"ThuFriSatSunMonTueWed", day.number % 7);
    text.push_str(", ");
    push_number(text, day.of_month, 2);
    text.push(' ');
    push_name(text, b"JanFebMarAprMayJunJulAugSepOctNovDec", day.month);
    text.push(' ');
    push_number(text, day.year, 4);
    push_time(text, b' ', at);
    text.push_str(" GMT");
}

/// Appends an instant as JavaScript's `toISOString` does: `1994-11-06T08:49:37.000Z`.
pub(crate) fn push_iso(text: &mut String, at: UnixMillis) {
    let day = Day::of(at);
    push_number(text, day.year, 4);
    text.push('-');
    push_number(text, day.month + 1, 2);
    text.push('-');
    push_number(text, day.of_month, 2);
    push_time(text, b'T', at);
    text.push('.');
    push_number(text, at.min(LATEST).0 % 1_000, 3);
    text.push('Z');
}

/// A day of the Gregorian calendar.
struct Day {
    /// Days since 1970-01-01.
    number: u64,
    year: u64,
    /// 0 is January.
    month: u64,
    of_month: u64,
}

impl Day {
    fn of(at: UnixMillis) -> Self {
        let number = at.min(LATEST).0 / 86_400_000;
        // With years that begin in March, the leap day comes last. An era is 400 such years, 146,097 days. Day 0 of the
        // Unix epoch is day 719,468 of era 0.
        let shifted = number + 719_468;
        let (era, day) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = (month_from_march + 2) % 12;
        Self {
            number,
            year: era * 400 + year_of_era + u64::from(month < 2),
            month,
            of_month: day_of_year - (153 * month_from_march + 2) / 5 + 1,
        }
    }
}

fn push_time(text: &mut String, before: u8, at: UnixMillis) {
    let time = at.min(LATEST).0 / 1_000 % 86_400;
    for (separator, part) in [(before, time / 3_600), (b':', time / 60 % 60), (b':', time % 60)] {
        text.push(char::from(separator));
        push_number(text, part, 2);
    }
}

/// Appends a number with at least `width` digits. `core::fmt` would be the largest part of the WebAssembly core.
pub(crate) fn push_number(text: &mut String, number: u64, width: usize) {
    // In WebAssembly a division of 64 bits takes as long as ten of 32.
    const BILLION: u64 = 1_000_000_000;
    let (billions, mut left) = (number / BILLION, (number % BILLION) as u32);
    let mut width = width;
    if billions > 0 {
        push_number(text, billions, width.saturating_sub(9));
        width = 9;
    }
    let mut digits = [b'0'; 9];
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit += (left % 10) as u8;
        left /= 10;
        start -= 1;
        if left == 0 && start + width <= 9 {
            break;
        }
    }
    // All digits are ASCII.
    text.push_str(
        digits.get(start..).and_then(|digits| str::from_utf8(digits).ok()).unwrap_or("0"),
    );
}

fn push_name(text: &mut String, names: &[u8], index: u64) {
    let (names, _) = names.as_chunks::<3>();
    let name = usize::try_from(index).ok().and_then(|index| names.get(index));
    text.extend(name.into_iter().flatten().copied().map(char::from));
}

#[cfg(test)]
mod tests {
    use std::{
        string::ToString as _,
        time::{Duration, SystemTime},
    };

    use super::*;

    fn date(at: UnixMillis) -> String {
        let mut text = String::new();
        push_imf_fixdate(&mut text, at);
        text
    }

    #[test]
    fn numbers_are_as_the_standard_library_has_them() {
        for number in [0, 1, 9, 10, 99, 100, 1_700_000_000_000, u64::MAX] {
            let mut text = String::new();
            push_number(&mut text, number, 1);
            assert_eq!(text, number.to_string());
        }
    }

    #[test]
    fn every_day_until_9999_is_as_httpdate_has_it() {
        for day in 0..=LATEST.0 / 86_400_000 {
            // Each day has another second.
            let at = UnixMillis((day * 86_400 + day * 7_919 % 86_400) * 1_000 + 999);
            let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(at.0 / 1_000);
            assert_eq!(date(at), httpdate::fmt_http_date(theirs));
        }
    }

    #[test]
    fn iso_is_the_same_instant() {
        for (at, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (784_111_777_042, "1994-11-06T08:49:37.042Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_868_799_000, "2000-02-29T23:59:59.000Z"),
            (1_735_603_200_001, "2024-12-31T00:00:00.001Z"),
            (u64::MAX, "9999-12-31T23:59:59.000Z"),
        ] {
            let mut text = String::new();
            push_iso(&mut text, UnixMillis(at));
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn later_is_the_last_second() {
        assert_eq!(date(UnixMillis(u64::MAX)), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
