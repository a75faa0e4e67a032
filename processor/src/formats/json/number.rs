//! JSON numbers without loss: integers and decimals are read from their digits, never through a double.

/// A decimal number as written: `digits * 10^exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exact {
    digits: i128,
    exponent: i32,
}

/// Why a text is not the number that a column wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberError {
    /// Not a number.
    Malformed,
    /// A number that the type cannot hold.
    OutOfRange,
    /// Has a fraction where a whole number is needed.
    Fraction,
}

/// A whole number. `1.0` and `1e3` are whole; `1.5` is not.
pub(super) fn parse_integer(text: &str) -> Result<i64, NumberError> {
    if let Some(value) = parse_short_integer(text.as_bytes()) {
        return Ok(value);
    }
    let exact = Exact::parse(text)?;
    let value = exact.rescale_exactly(0)?;
    i64::try_from(value).map_err(|_| NumberError::OutOfRange)
}

/// A NUMERIC(precision, scale): digits beyond the scale are rounded half away from zero, as PostgreSQL does.
pub(super) fn parse_decimal(text: &str, precision: u8, scale: i8) -> Result<i128, NumberError> {
    let value = Exact::parse(text)?.rescale_rounding(i32::from(scale))?;
    if value.unsigned_abs() >= 10_u128.pow(u32::from(precision)) {
        return Err(NumberError::OutOfRange);
    }
    Ok(value)
}

/// A number in units of `10^-scale`, digits beyond it cut off: timestamps.
pub(super) fn parse_scaled(text: &str, scale: i32) -> Result<i64, NumberError> {
    let value = Exact::parse(text)?.rescale_floor(scale)?;
    i64::try_from(value).map_err(|_| NumberError::OutOfRange)
}

/// A double. Infinity, by name or by overflow, and NaN are refused.
pub(super) fn parse_float(text: &str) -> Result<f64, NumberError> {
    if !text
        .bytes()
        .all(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
    {
        return Err(NumberError::Malformed);
    }
    let value: f64 = text.parse().map_err(|_| NumberError::Malformed)?;
    if !value.is_finite() {
        return Err(NumberError::OutOfRange);
    }
    Ok(value)
}

/// Up to 18 digits with an optional minus: cannot overflow, and is nearly every integer there is.
fn parse_short_integer(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        all => (false, all),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0_i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

impl Exact {
    /// Reads sign, digits, fraction and exponent.
    pub(super) fn parse(text: &str) -> Result<Self, NumberError> {
        let bytes = text.as_bytes();
        let negative = bytes.first() == Some(&b'-');
        let mut at = usize::from(negative);
        let mut reader = Digits::default();
        at = reader.take(bytes, at, false);
        if bytes.get(at) == Some(&b'.') {
            at = reader.take(bytes, at + 1, true);
        }
        if reader.count == 0 {
            return Err(NumberError::Malformed);
        }
        let mut exponent = reader.exponent;
        if let Some(b'e' | b'E') = bytes.get(at) {
            let written: i32 = text[at + 1..].parse().map_err(|_| NumberError::Malformed)?;
            exponent = exponent.saturating_add(written);
            at = bytes.len();
        }
        if at != bytes.len() {
            return Err(NumberError::Malformed);
        }
        if reader.overflow {
            return Err(NumberError::OutOfRange);
        }
        let digits = if negative { -reader.value } else { reader.value };
        Ok(Self { digits, exponent })
    }

    fn rescale_exactly(self, scale: i32) -> Result<i128, NumberError> {
        self.rescale(scale, |quotient, remainder, _| {
            if remainder == 0 {
                Ok(quotient)
            } else {
                Err(NumberError::Fraction)
            }
        })
    }

    fn rescale_rounding(self, scale: i32) -> Result<i128, NumberError> {
        self.rescale(scale, |quotient, remainder, divisor| {
            if remainder.unsigned_abs() * 2 < divisor.unsigned_abs() {
                Ok(quotient)
            } else {
                Ok(quotient + remainder.signum())
            }
        })
    }

    fn rescale_floor(self, scale: i32) -> Result<i128, NumberError> {
        self.rescale(scale, |quotient, remainder, _| {
            Ok(if remainder < 0 { quotient - 1 } else { quotient })
        })
    }

    /// The number in units of `10^-scale`; `settle` deals with the digits that do not fit.
    fn rescale(
        self,
        scale: i32,
        settle: impl Fn(i128, i128, i128) -> Result<i128, NumberError>,
    ) -> Result<i128, NumberError> {
        if self.digits == 0 {
            return Ok(0);
        }
        let shift = self.exponent.saturating_add(scale);
        let power = 10_i128.checked_pow(shift.unsigned_abs());
        match (shift >= 0, power) {
            (true, Some(power)) => self.digits.checked_mul(power).ok_or(NumberError::OutOfRange),
            (true, None) => Err(NumberError::OutOfRange),
            (false, Some(power)) => settle(self.digits / power, self.digits % power, power),
            // Smaller than any unit: everything is remainder.
            (false, None) => settle(0, self.digits.signum(), i128::MAX),
        }
    }
}

/// Reads digits into a value. Digits beyond what 128 bits hold are an overflow, unless they are zeros of a fraction.
#[derive(Default)]
struct Digits {
    value: i128,
    exponent: i32,
    count: usize,
    pending_zeros: i32,
    full: bool,
    overflow: bool,
}

impl Digits {
    fn take(&mut self, bytes: &[u8], mut at: usize, fraction: bool) -> usize {
        while let Some(digit) = bytes.get(at).map(|b| b.wrapping_sub(b'0')).filter(|d| *d <= 9) {
            self.push(digit, fraction);
            at += 1;
        }
        at
    }

    fn push(&mut self, digit: u8, fraction: bool) {
        self.count += 1;
        if fraction && self.full {
            return;
        }
        if fraction && digit == 0 {
            self.pending_zeros += 1;
            return;
        }
        let steps = if fraction { self.pending_zeros + 1 } else { 1 };
        let next = 10_i128
            .checked_pow(steps.unsigned_abs())
            .and_then(|power| self.value.checked_mul(power))
            .and_then(|value| value.checked_add(i128::from(digit)));
        match next {
            Some(value) => self.value = value,
            // A fraction beyond 38 digits cannot matter to a NUMERIC(38, s): the rest of it is dropped.
            None if fraction => {
                self.full = true;
                return;
            }
            None => self.overflow = true,
        }
        if fraction {
            self.exponent -= steps;
            self.pending_zeros = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact() {
        assert_eq!(parse_integer("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(parse_integer("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(parse_integer("9223372036854775808"), Err(NumberError::OutOfRange));
        assert_eq!(parse_integer("9007199254740993"), Ok(9_007_199_254_740_993));
        assert_eq!(parse_integer("1.0"), Ok(1));
        assert_eq!(parse_integer("12e2"), Ok(1200));
        assert_eq!(parse_integer("1.5"), Err(NumberError::Fraction));
        assert_eq!(parse_integer(""), Err(NumberError::Malformed));
        assert_eq!(parse_integer("-"), Err(NumberError::Malformed));
        assert_eq!(parse_integer("1x"), Err(NumberError::Malformed));
        assert_eq!(parse_integer("1e99999999999"), Err(NumberError::Malformed));
        assert_eq!(parse_integer("0e999999"), Ok(0));
    }

    #[test]
    fn decimals_round_half_away_from_zero() {
        assert_eq!(parse_decimal("1.005", 12, 2), Ok(101));
        assert_eq!(parse_decimal("-1.005", 12, 2), Ok(-101));
        assert_eq!(parse_decimal("1.0049", 12, 2), Ok(100));
        assert_eq!(parse_decimal("1e-400", 12, 2), Ok(0));
        assert_eq!(parse_decimal("9999999999.99", 12, 2), Ok(999_999_999_999));
        assert_eq!(parse_decimal("9999999999.995", 12, 2), Err(NumberError::OutOfRange));
        assert_eq!(
            parse_decimal("0.1000000000000000000000000000000000000000001", 5, 3),
            Ok(100)
        );
    }

    #[test]
    fn scaled_numbers_are_cut_towards_the_past() {
        assert_eq!(parse_scaled("1.2345678", 6), Ok(1_234_567));
        assert_eq!(parse_scaled("-0.5", 0), Ok(-1));
        assert_eq!(parse_scaled("1700000000000", 3), Ok(1_700_000_000_000_000));
    }

    #[test]
    fn floats_must_be_finite() {
        assert_eq!(parse_float("1e999"), Err(NumberError::OutOfRange));
        assert_eq!(parse_float("NaN"), Err(NumberError::Malformed));
        assert_eq!(parse_float("inf"), Err(NumberError::Malformed));
        assert_eq!(parse_float("-2.5e3"), Ok(-2500.0));
    }
}
