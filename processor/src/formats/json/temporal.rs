//! Dates and times as JSON text. Read: RFC 3339, a blank in place of the `T`, and any number of fraction digits, of
//! which six count. Written: always in UTC with six digits.

use chrono::{NaiveTime, Timelike};

use super::calendar::Date;

const US_PER_SECOND: i64 = 1_000_000;
const US_PER_DAY: i64 = 86_400 * US_PER_SECOND;

/// A timestamp in microseconds since 1970 in UTC. A missing zone means UTC. `None` where the text is no timestamp.
pub(crate) fn parse_timestamp(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let date_end = year_end(bytes)? + "-MM-DD".len();
    let days = parse_date(text.get(..date_end)?)?;
    let time_us = match bytes[date_end..] {
        [] => 0,
        [b'T' | b't' | b' ', ref rest @ ..] => {
            let (time_us, used) = parse_clock(rest)?;
            time_us - parse_zone(&rest[used..])? * US_PER_SECOND
        }
        _ => return None,
    };
    // The first of all days begins before the first of all timestamps.
    i64::try_from(i128::from(days) * i128::from(US_PER_DAY) + i128::from(time_us)).ok()
}

/// A date (`YYYY-MM-DD`, with more digits beyond the year 9999 and a minus before the year 0) in days since 1970.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let (year, rest) = text.as_bytes().split_at(year_end(text.as_bytes())?);
    let [b'-', _, _, b'-', _, _] = rest else {
        return None;
    };
    let year = match year {
        [b'-', year @ ..] => -number(year)?,
        year => number(year)?,
    };
    let date = Date {
        year,
        month: number(&rest[1..3])?,
        day: number(&rest[4..])?,
    };
    i32::try_from(date.days()?).ok()
}

/// Where the year ends with which a text begins: four digits, or as many as it needs, perhaps behind a minus.
fn year_end(bytes: &[u8]) -> Option<usize> {
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let year = &bytes[sign..];
    let digits = year.iter().take_while(|b| b.is_ascii_digit()).count();
    let is_year = match digits {
        4 => true,
        5..=YEAR_DIGITS_MAX => year[0] != b'0',
        _ => false,
    };
    is_year.then_some(sign + digits)
}

/// A time of day (`HH:MM[:SS[.ffffff]]`) in microseconds.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let (time, used) = parse_clock(text.as_bytes())?;
    (used == text.len()).then_some(time)
}

/// Digits of the last year that a DATE can have, 5881580.
const YEAR_DIGITS_MAX: usize = 7;

fn parse_clock(bytes: &[u8]) -> Option<(i64, usize)> {
    let hour = number(bytes.get(..2)?)?;
    if bytes.get(2) != Some(&b':') {
        return None;
    }
    let minute = number(bytes.get(3..5)?)?;
    let (second, mut used) = match bytes.get(5) {
        Some(b':') => (number(bytes.get(6..8)?)?, 8),
        _ => (0, 5),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut time = ((hour * 60 + minute) * 60 + second) * US_PER_SECOND;
    if used == 8 && bytes.get(8) == Some(&b'.') {
        let (fraction, digits) = parse_fraction(&bytes[9..])?;
        time += fraction;
        used += 1 + digits;
    }
    Some((time, used))
}

/// Microseconds of a fraction and the number of its digits; those beyond six are cut off.
fn parse_fraction(bytes: &[u8]) -> Option<(i64, usize)> {
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let padded = bytes[..digits].iter().map(|b| b - b'0').chain(std::iter::repeat(0));
    let micros = padded.take(6).fold(0, |micros, digit| micros * 10 + i64::from(digit));
    Some((micros, digits))
}

/// Seconds east of UTC: `Z`, `+HH`, `+HHMM`, `+HH:MM`, or nothing.
fn parse_zone(bytes: &[u8]) -> Option<i64> {
    let (sign, rest) = match bytes {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest {
        [_, _] => (number(rest)?, 0),
        [_, _, b':', _, _] => (number(&rest[..2])?, number(&rest[3..])?),
        [_, _, _, _] => (number(&rest[..2])?, number(&rest[2..])?),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

fn number(digits: &[u8]) -> Option<i64> {
    let mut value = 0;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(byte - b'0');
    }
    Some(value)
}

/// `2026-01-31T12:00:00.000000` of microseconds since 1970, with a `Z` behind it where the type has a zone.
pub(crate) fn format_timestamp(us: i64, zoned: bool, out: &mut Vec<u8>) {
    write_date(us.div_euclid(US_PER_DAY), out);
    out.push(b'T');
    format_time(us.rem_euclid(US_PER_DAY), out);
    if zoned {
        out.push(b'Z');
    }
}

/// `2026-01-31` of days since 1970.
pub(crate) fn format_date(days: i32, out: &mut Vec<u8>) {
    write_date(i64::from(days), out);
}

fn write_date(days: i64, out: &mut Vec<u8>) {
    let Date { year, month, day } = Date::of_days(days);
    match year {
        0..=9999 => pad(year, 4, out),
        10_000.. => out.extend_from_slice(year.to_string().as_bytes()),
        _ => {
            out.push(b'-');
            out.extend_from_slice(format!("{:04}", -year).as_bytes());
        }
    }
    out.push(b'-');
    pad(month, 2, out);
    out.push(b'-');
    pad(day, 2, out);
}

/// `12:00:00.000000` of microseconds since midnight.
pub(crate) fn format_time(us: i64, out: &mut Vec<u8>) {
    let seconds = u32::try_from(us / US_PER_SECOND).unwrap_or_default();
    let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0).unwrap_or_default();
    pad(i64::from(time.hour()), 2, out);
    out.push(b':');
    pad(i64::from(time.minute()), 2, out);
    out.push(b':');
    pad(i64::from(time.second()), 2, out);
    out.push(b'.');
    pad(us % US_PER_SECOND, 6, out);
}

fn pad(value: i64, width: usize, out: &mut Vec<u8>) {
    let from = out.len();
    out.resize(from + width, b'0');
    let mut rest = value;
    for at in (from..from + width).rev() {
        out[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(us: i64) -> String {
        let mut out = Vec::new();
        format_timestamp(us, true, &mut out);
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn reads_the_spellings_of_rfc_3339() {
        let noon = 1_767_268_800_000_000;
        for text in [
            "2026-01-01T12:00:00Z",
            "2026-01-01t12:00:00z",
            "2026-01-01 12:00:00+00",
            "2026-01-01T14:30:00+02:30",
            "2026-01-01T05:00:00.000000-0700",
            "2026-01-01T12:00",
            "2026-01-01T12:00:00.0000009Z",
        ] {
            assert_eq!(parse_timestamp(text), Some(noon), "{text}");
        }
        assert_eq!(parse_timestamp("2026-01-01T12:00:00.123456Z"), Some(noon + 123_456));
        assert_eq!(parse_timestamp("1969-12-31T23:59:59.9Z"), Some(-100_000));
        for text in [
            "",
            "2026",
            "2026-02-30T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T12:00:00.Z",
            "2026-01-01X12:00:00Z",
            "é026-01-01T12:00:00Z",
            "02026-01-01T12:00:00Z",
            "2026-1-01T12:00:00Z",
            "2026-01-1T12:00:00Z",
            "99999999-01-01T12:00:00Z",
            "300000-01-01T12:00:00Z",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn writes_utc_with_six_digits() {
        assert_eq!(shown(1_767_268_800_123_456), "2026-01-01T12:00:00.123456Z");
        assert_eq!(shown(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(
            parse_timestamp(&shown(-62_135_596_800_000_000)),
            Some(-62_135_596_800_000_000)
        );
    }

    #[test]
    fn years_have_as_many_digits_as_they_need() {
        assert_eq!(shown(253_402_300_800_000_000), "10000-01-01T00:00:00.000000Z");
        assert_eq!(shown(-62_167_219_200_000_001), "-0001-12-31T23:59:59.999999Z");
        for us in [i64::MIN, -377_711_769_600_000_001, 253_402_300_800_000_000, i64::MAX] {
            assert_eq!(parse_timestamp(&shown(us)), Some(us), "{}", shown(us));
        }
    }

    #[test]
    fn times_of_day() {
        assert_eq!(parse_time("23:59:59.999999"), Some(US_PER_DAY - 1));
        assert_eq!(parse_time("08:30"), Some(30_600_000_000));
        assert_eq!(parse_time("08:30Z"), None);
    }
}
