//! Quantities as people write them, in SQL and in the broker's configuration alike: sizes such as `64MiB`, durations such
//! as `10s`.

use std::time::Duration;

/// The longest duration, a hundred years, so that sums of durations never overflow.
const SECONDS_MAX: f64 = 36_525.0 * 86_400.0;

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// No number in front.
    #[error("'{0}' does not start with a number")]
    NoNumber(String),
    /// A unit nobody knows.
    #[error("'{unit}' is no unit of {of}: use one of {known}")]
    Unit {
        /// What was written.
        unit: String,
        /// Size or time.
        of: &'static str,
        /// What could have been written.
        known: &'static str,
    },
    /// More than 64 bits, or more than a hundred years.
    #[error("'{0}' is too large")]
    TooLarge(String),
}

/// Bytes of a size: a whole number, optionally with `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) or `kB`, `MB`, `GB`,
/// `TB` (powers of 1000), in capitals or not.
pub fn parse_size(text: &str) -> Result<u64, QuantityError> {
    let (number, unit) = split(text, |c| c.is_ascii_digit() || c == '_')?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(unknown_unit(unit, "size", "B, KiB, MiB, GiB, TiB, kB, MB, GB, TB")),
    };
    let too_large = || QuantityError::TooLarge(text.to_owned());
    let number: u64 = number.parse().map_err(|_| too_large())?;
    number.checked_mul(factor).ok_or_else(too_large)
}

/// A duration of at most a hundred years: a number with `us`, `ms`, `s`, `m` (or `min`), `h` or `d`, or with the unit's
/// full name. It is rounded to microseconds.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    let (number, unit) = split(text, |c| c.is_ascii_digit() || c == '_' || c == '.')?;
    let unit_seconds = match unit.to_ascii_lowercase().as_str() {
        "us" | "microsecond" | "microseconds" => 1e-6,
        "ms" | "msec" | "millis" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return Err(unknown_unit(unit, "time", "us, ms, s, m, h, d")),
    };
    let number: f64 = number.parse().map_err(|_| QuantityError::NoNumber(text.to_owned()))?;
    let seconds = number * unit_seconds;
    match seconds <= SECONDS_MAX {
        true => Ok(Duration::from_micros(as_micros(seconds))),
        false => Err(QuantityError::TooLarge(text.to_owned())),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is positive and at most a hundred years"
)]
fn as_micros(seconds: f64) -> u64 {
    (seconds * 1e6).round() as u64
}

fn unknown_unit(unit: &str, of: &'static str, known: &'static str) -> QuantityError {
    QuantityError::Unit {
        unit: unit.to_owned(),
        of,
        known,
    }
}

/// The digits in front without their underscores, and the unit behind them.
fn split(text: &str, is_number: impl Fn(char) -> bool) -> Result<(String, &str), QuantityError> {
    let text = text.trim();
    let end = text.find(|c| !is_number(c)).unwrap_or(text.len());
    let number: String = text[..end].chars().filter(|c| *c != '_').collect();
    if number.is_empty() {
        return Err(QuantityError::NoNumber(text.to_owned()));
    }
    Ok((number, text[end..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
        assert_eq!(parse_size("1GB"), Ok(1_000_000_000));
        assert_eq!(parse_size("1 gb"), Ok(1_000_000_000));
        assert_eq!(parse_size("1_048_588"), Ok(1_048_588));
        assert_eq!(parse_size("2 kB"), Ok(2_000));
        assert!(matches!(parse_size("MiB"), Err(QuantityError::NoNumber(_))));
        assert!(matches!(parse_size("1 parsec"), Err(QuantityError::Unit { .. })));
        assert!(matches!(parse_size("1.5 MiB"), Err(QuantityError::Unit { .. })));
        assert!(matches!(parse_size("99999999TiB"), Err(QuantityError::TooLarge(_))));
        assert!(matches!(
            parse_size("99999999999999999999"),
            Err(QuantityError::TooLarge(_))
        ));
        assert!(matches!(parse_size("-1"), Err(QuantityError::NoNumber(_))));
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("100 ms"), Ok(Duration::from_millis(100)));
        assert_eq!(parse_duration("1_500 us"), Ok(Duration::from_micros(1_500)));
        assert_eq!(parse_duration("2min"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("1.5 Hours"), Ok(Duration::from_secs(5400)));
        for wrong in ["", "ms", "-1 s", "1.2.3 s", ". s"] {
            assert!(
                matches!(parse_duration(wrong), Err(QuantityError::NoNumber(_))),
                "{wrong}"
            );
        }
        for wrong in ["10", "1 fortnight"] {
            assert!(
                matches!(parse_duration(wrong), Err(QuantityError::Unit { .. })),
                "{wrong}"
            );
        }
        assert!(matches!(parse_duration("999999 days"), Err(QuantityError::TooLarge(_))));
    }
}
