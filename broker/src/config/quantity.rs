//! Quantities as people write them: sizes such as `64MiB`, durations such as `10s`.

use std::time::Duration;

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
    /// More than 64 bits.
    #[error("'{0}' is too large")]
    TooLarge(String),
}

/// Bytes of a size: a number, optionally with `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) or `kB`, `MB`, `GB`,
/// `TB` (powers of 1000).
pub fn parse_size(text: &str) -> Result<u64, QuantityError> {
    let (number, unit) = split(text)?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "TiB" | "T" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        unit => {
            let known = "B, KiB, MiB, GiB, TiB, kB, MB, GB, TB";
            return Err(QuantityError::Unit {
                unit: unit.to_owned(),
                of: "size",
                known,
            });
        }
    };
    number
        .checked_mul(factor)
        .ok_or_else(|| QuantityError::TooLarge(text.to_owned()))
}

/// A duration: a number with `us`, `ms`, `s`, `m` (or `min`), `h` or `d`.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    let (number, unit) = split(text)?;
    let microseconds: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" | "min" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        unit => {
            let known = "us, ms, s, m, h, d";
            return Err(QuantityError::Unit {
                unit: unit.to_owned(),
                of: "time",
                known,
            });
        }
    };
    let total = number
        .checked_mul(microseconds)
        .ok_or_else(|| QuantityError::TooLarge(text.to_owned()))?;
    Ok(Duration::from_micros(total))
}

/// A duration in the largest unit that loses nothing.
pub fn format_duration(duration: Duration) -> String {
    let microseconds = duration.as_micros();
    let units = [
        ("d", 86_400_000_000),
        ("h", 3_600_000_000),
        ("m", 60_000_000),
        ("s", 1_000_000),
        ("ms", 1_000),
    ];
    for (unit, size) in units {
        if microseconds != 0 && microseconds.is_multiple_of(size) {
            return format!("{}{unit}", microseconds / size);
        }
    }
    format!("{microseconds}us")
}

/// A size in the largest binary unit that loses nothing.
pub fn format_size(bytes: u64) -> String {
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

fn split(text: &str) -> Result<(u64, &str), QuantityError> {
    let text = text.trim();
    let digits = text
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'_')
        .count();
    let number: String = text[..digits].chars().filter(|c| *c != '_').collect();
    if number.is_empty() {
        return Err(QuantityError::NoNumber(text.to_owned()));
    }
    let number = number.parse().map_err(|_| QuantityError::TooLarge(text.to_owned()))?;
    Ok((number, text[digits..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("1_048_588"), Ok(1_048_588));
        assert_eq!(parse_size("2 kB"), Ok(2_000));
        assert!(matches!(parse_size("MiB"), Err(QuantityError::NoNumber(_))));
        assert!(matches!(parse_size("1 parsec"), Err(QuantityError::Unit { .. })));
        assert!(matches!(parse_size("99999999TiB"), Err(QuantityError::TooLarge(_))));
        assert!(matches!(parse_size("-1"), Err(QuantityError::NoNumber(_))));
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("2min"), Ok(Duration::from_secs(120)));
        assert!(matches!(parse_duration("10"), Err(QuantityError::Unit { .. })));
    }

    #[test]
    fn written_and_read_again() {
        for bytes in [0, 1, 1023, 1024, 100 << 20, 1 << 40] {
            assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }
        for ms in [0, 1, 1500, 10_000, 86_400_000] {
            let duration = Duration::from_millis(ms);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
    }
}
