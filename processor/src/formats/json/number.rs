//! JSON numbers without loss: integers and decimals are read from their digits, never through a double.

/// A decimal number as written: `digits * 10^exponent`, and what is left of it where that is more than 128 bits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exact {
    digits: i128,
    exponent: i32,
    rest: Option<Rest>,
}

/// Digits behind those that fit. They are less than one unit of the last digit before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rest {
    /// How many zeros stand before the first of them that is none.
    zeros: i32,
    /// That digit.
    digit: u8,
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
    let value = parse_wide_decimal(text, scale)?;
    if value.unsigned_abs() >= 10_u128.pow(u32::from(precision)) {
        return Err(NumberError::OutOfRange);
    }
    Ok(value)
}

/// A decimal of this scale with as many digits as 128 bits hold.
pub(super) fn parse_wide_decimal(text: &str, scale: i8) -> Result<i128, NumberError> {
    Exact::parse(text)?.rescale_rounding(i32::from(scale))
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

/// The names under which the encoder writes what JSON has no number for.
pub(super) fn parse_not_finite(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
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
        let mut exponent = reader.exponent();
        if let Some(b'e' | b'E') = bytes.get(at) {
            let written: i32 = text[at + 1..].parse().map_err(|_| NumberError::Malformed)?;
            exponent = exponent.saturating_add(written);
            at = bytes.len();
        }
        if at != bytes.len() {
            return Err(NumberError::Malformed);
        }
        let digits = if negative { -reader.value } else { reader.value };
        Ok(Self {
            digits,
            exponent,
            rest: reader.rest,
        })
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
            (true, Some(power)) => {
                let whole = self.digits.checked_mul(power).ok_or(NumberError::OutOfRange)?;
                settle(whole, self.rest_quarters(shift), 4)
            }
            (true, None) => Err(NumberError::OutOfRange),
            (false, Some(power)) => {
                let remainder = self.digits % power;
                // Digits behind a remainder tell nothing new; alone they are less than half a unit.
                let is_rest_alone = remainder == 0 && self.rest.is_some();
                let remainder = if is_rest_alone { self.digits.signum() } else { remainder };
                settle(self.digits / power, remainder, power)
            }
            // Smaller than any unit: everything is remainder.
            (false, None) => settle(0, self.digits.signum(), i128::MAX),
        }
    }

    /// The rest in quarters of the unit to which the digits were brought by `shift` places: none, one for less than a
    /// half, two for a half or more. It is never a whole unit: a number that long is out of range.
    fn rest_quarters(self, shift: i32) -> i128 {
        let sign = self.digits.signum();
        match self.rest {
            None => 0,
            Some(Rest { zeros, digit: 5.. }) if zeros <= shift => 2 * sign,
            Some(_) => sign,
        }
    }
}

/// Reads digits into a value. Zeros wait until a digit follows them, so that only digits that tell something need room.
/// Digits that 128 bits have no room for are the rest.
#[derive(Default)]
struct Digits {
    value: i128,
    rest: Option<Rest>,
    count: usize,
    /// Digits read behind the last one in `value`.
    behind: i32,
    /// Digits read behind the point.
    fraction: i32,
}

impl Digits {
    fn take(&mut self, bytes: &[u8], mut at: usize, is_fraction: bool) -> usize {
        while let Some(digit) = bytes.get(at).map(|b| b.wrapping_sub(b'0')).filter(|d| *d <= 9) {
            self.count += 1;
            self.fraction = self.fraction.saturating_add(i32::from(is_fraction));
            self.push(digit);
            at += 1;
        }
        at
    }

    fn push(&mut self, digit: u8) {
        let zeros = self.behind;
        self.behind = self.behind.saturating_add(1);
        if digit == 0 || self.rest.is_some() {
            return;
        }
        match self.followed_by(zeros, digit) {
            Some(value) => {
                self.value = value;
                self.behind = 0;
            }
            None => self.rest = Some(Rest { zeros, digit }),
        }
    }

    /// The value with so many zeros and a digit behind it, unless that is too much.
    fn followed_by(&self, zeros: i32, digit: u8) -> Option<i128> {
        if self.value == 0 {
            return Some(i128::from(digit));
        }
        let power = 10_i128.checked_pow(zeros.unsigned_abs().checked_add(1)?)?;
        self.value.checked_mul(power)?.checked_add(i128::from(digit))
    }

    /// The power of ten that the value is to be taken times.
    fn exponent(&self) -> i32 {
        self.behind.saturating_sub(self.fraction)
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

    /// Zeros before and behind the digits cost nothing, however many there are.
    #[test]
    fn zeros_do_not_count_as_digits() {
        let zeros = "0".repeat(44);
        assert_eq!(parse_integer(&format!("0.{zeros}1e45")), Ok(1));
        assert_eq!(parse_integer(&format!("-0.{zeros}123e47")), Ok(-123));
        assert_eq!(parse_integer(&format!("{zeros}7")), Ok(7));
        assert_eq!(parse_integer(&format!("12{zeros}e-44")), Ok(12));
        assert_eq!(parse_integer(&format!("12.{zeros}")), Ok(12));
        assert_eq!(parse_decimal(&format!("0.{zeros}15e45"), 12, 2), Ok(150));
        assert_eq!(parse_decimal(&format!("15{zeros}e-45"), 12, 2), Ok(150));
    }

    /// Digits for which there is no room still decide whether a number is whole and how it is rounded.
    #[test]
    fn digits_without_room_are_not_forgotten() {
        let zeros = "0".repeat(44);
        assert_eq!(parse_integer(&format!("1.{zeros}1")), Err(NumberError::Fraction));
        assert_eq!(parse_integer(&format!("1{zeros}1")), Err(NumberError::OutOfRange));
        assert_eq!(parse_integer(&format!("10.{zeros}1e-1")), Err(NumberError::Fraction));
        assert_eq!(parse_scaled(&format!("-1.{zeros}1"), 0), Ok(-2));
        assert_eq!(parse_scaled(&format!("1.{zeros}9"), 0), Ok(1));
        let long = 2 * 10_i128.pow(37);
        assert_eq!(parse_decimal(&format!("{long}.49"), 38, 0), Ok(long));
        assert_eq!(parse_decimal(&format!("{long}.5"), 38, 0), Ok(long + 1));
        assert_eq!(parse_decimal(&format!("-{long}.5"), 38, 0), Ok(-long - 1));
        assert_eq!(parse_decimal(&format!("{long}.05"), 38, 0), Ok(long));
        assert_eq!(
            parse_decimal(&format!("{}.5", "9".repeat(38)), 38, 0),
            Err(NumberError::OutOfRange)
        );
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
