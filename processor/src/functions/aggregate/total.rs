//! What a sum of values gives, by one rule for SELECT and for queries that run on: exact, and rounded once, half away
//! from zero.

use arrow::datatypes::{Decimal128Type, DecimalType, i256};

/// Which result a total gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TotalKind {
    /// The sum.
    Sum,
    /// The sum over the count.
    Average,
}

impl TotalKind {
    /// The function's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Average => "avg",
        }
    }

    /// The result for `count` values, at least one, as a NUMERIC of `precision` digits, `digits` more of them behind
    /// the point than the values have. `None` where it does not fit.
    pub(crate) fn decimal(self, sum: i128, count: i64, digits: i8, precision: u8) -> Option<i128> {
        self.exact(sum, count, digits)
            .filter(|value| Decimal128Type::is_valid_decimal_precision(*value, precision))
    }

    /// The result for `count` values, at least one, as a BIGINT. `None` where it does not fit.
    pub(crate) fn integer(self, sum: i128, count: i64, digits: i8) -> Option<i64> {
        self.exact(sum, count, digits)
            .and_then(|value| i64::try_from(value).ok())
    }

    /// The result for `count` values, at least one, that were added as doubles.
    #[expect(clippy::cast_precision_loss, reason = "an average of doubles is a double")]
    pub(crate) fn double(self, sum: f64, count: i64) -> f64 {
        match self {
            Self::Sum => sum,
            Self::Average => sum / count as f64,
        }
    }

    /// 256 bits wide on the way, so that nothing overflows that would fit the result.
    fn exact(self, sum: i128, count: i64, digits: i8) -> Option<i128> {
        let mut dividend = i256::from_i128(sum);
        let mut divisor = i256::from_i128(match self {
            Self::Sum => 1,
            Self::Average => i128::from(count),
        });
        let power = i256::from_i128(10).checked_pow(u32::from(digits.unsigned_abs()))?;
        let scaled = match 0 <= digits {
            true => &mut dividend,
            false => &mut divisor,
        };
        *scaled = scaled.checked_mul(power)?;
        divide_rounding(dividend, divisor)?.to_i128()
    }
}

/// Division rounded half away from zero, as PostgreSQL rounds NUMERIC. `divisor` is above zero.
fn divide_rounding(dividend: i256, divisor: i256) -> Option<i256> {
    let quotient = dividend.checked_div(divisor)?;
    let remainder = dividend.checked_rem(divisor)?;
    let twice = remainder.wrapping_abs().checked_mul(i256::from_i128(2))?;
    if twice < divisor {
        return Some(quotient);
    }
    match dividend.is_negative() {
        true => quotient.checked_sub(i256::ONE),
        false => quotient.checked_add(i256::ONE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_round_half_away_from_zero() {
        let average = |sum, count, digits| TotalKind::Average.decimal(sum, count, digits, 38);
        assert_eq!(average(1, 3, 6), Some(333_333));
        assert_eq!(average(2, 3, 6), Some(666_667));
        assert_eq!(average(-2, 3, 6), Some(-666_667));
        assert_eq!(average(1, 2, 0), Some(1));
        assert_eq!(average(-1, 2, 0), Some(-1));
        assert_eq!(average(5, 1, 0), Some(5));
        assert_eq!(average(1_250, 1, -2), Some(13));
        assert_eq!(average(i128::MAX, 1, 4), None);
    }

    #[test]
    fn what_does_not_fit_is_no_result() {
        let nines = 10_i128.pow(38) - 1;
        assert_eq!(TotalKind::Sum.decimal(nines, 1, 0, 38), Some(nines));
        assert_eq!(TotalKind::Sum.decimal(nines + 1, 1, 0, 38), None);
        assert_eq!(TotalKind::Sum.decimal(i128::MIN, 1, 0, 38), None);
        // More than 128 bits on the way.
        assert_eq!(TotalKind::Average.decimal(nines, 10_000, 4, 38), Some(nines));
        assert_eq!(TotalKind::Sum.integer(i128::from(i64::MAX), 2, 0), Some(i64::MAX));
        assert_eq!(TotalKind::Sum.integer(i128::from(i64::MAX) + 1, 2, 0), None);
    }
}
