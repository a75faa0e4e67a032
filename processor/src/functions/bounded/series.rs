//! How many elements `range` and `generate_series` make.

use arrow::array::AsArray;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, IntervalMonthDayNanoType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};

use super::growth::Arguments;

const NANOS_PER_MS: i128 = 1_000_000;
const NANOS_PER_DAY: i128 = 86_400_000 * NANOS_PER_MS;
/// Days of the shortest and of the longest month.
const MONTH_DAYS: (i128, i128) = (28, 31);

/// A step between two bounds: a month has no one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    shortest: i128,
    longest: i128,
}

impl Step {
    fn of(months: i128, days: i128, nanos: i128) -> Self {
        let rest = days * NANOS_PER_DAY + nanos;
        let month = |days: i128| months * days * NANOS_PER_DAY + rest;
        Self {
            shortest: month(MONTH_DAYS.0).min(month(MONTH_DAYS.1)),
            longest: month(MONTH_DAYS.0).max(month(MONTH_DAYS.1)),
        }
    }

    /// Most elements from `start` to `stop`, both of them counted.
    fn elements(self, start: i128, stop: i128) -> u64 {
        let (way, step) = match start <= stop {
            true => (stop - start, self.shortest),
            false => (start - stop, -self.longest),
        };
        let turns_back = self.shortest <= 0 && 0 <= self.longest;
        match step {
            // It may never arrive; a step of nothing at all is refused by the function.
            _ if turns_back && self.shortest != self.longest => u64::MAX,
            step if step <= 0 => 0,
            step => u64::try_from(way / step + 1).unwrap_or(u64::MAX),
        }
    }
}

/// Most elements of `range(start, stop, step)`; `range(stop)` starts at 0.
pub(super) fn series_length(arguments: &Arguments, row: usize) -> u64 {
    if let Some(first) = arguments.integer(0, row) {
        let (start, stop) = match arguments.width() {
            1 => (0, Some(first)),
            _ => (first, arguments.integer(1, row)),
        };
        let step = match arguments.width() {
            3 => arguments.integer(2, row),
            _ => Some(1),
        };
        let (Some(stop), Some(step)) = (stop, step) else {
            return 0;
        };
        let step = i128::from(step);
        return Step {
            shortest: step,
            longest: step,
        }
        .elements(i128::from(start), i128::from(stop));
    }
    match (
        instant(arguments, 0, row),
        instant(arguments, 1, row),
        interval(arguments, row),
    ) {
        (Some(start), Some(stop), Some(step)) => step.elements(start, stop),
        // Something is NULL, and so is the result.
        _ => 0,
    }
}

/// A date or a timestamp in nanoseconds.
fn instant(arguments: &Arguments, index: usize, row: usize) -> Option<i128> {
    let (values, row) = arguments.at(index, row)?;
    let (value, unit) = match values.data_type() {
        DataType::Date32 => (i64::from(values.as_primitive::<Date32Type>().value(row)), NANOS_PER_DAY),
        DataType::Date64 => (values.as_primitive::<Date64Type>().value(row), NANOS_PER_MS),
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => (
                values.as_primitive::<TimestampSecondType>().value(row),
                1_000 * NANOS_PER_MS,
            ),
            TimeUnit::Millisecond => (
                values.as_primitive::<TimestampMillisecondType>().value(row),
                NANOS_PER_MS,
            ),
            TimeUnit::Microsecond => (values.as_primitive::<TimestampMicrosecondType>().value(row), 1_000),
            TimeUnit::Nanosecond => (values.as_primitive::<TimestampNanosecondType>().value(row), 1),
        },
        _ => return None,
    };
    Some(i128::from(value) * unit)
}

/// The third argument.
fn interval(arguments: &Arguments, row: usize) -> Option<Step> {
    let (values, row) = arguments.at(2, row)?;
    let step = values.as_primitive_opt::<IntervalMonthDayNanoType>()?.value(row);
    Some(Step::of(step.months.into(), step.days.into(), step.nanoseconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_never_fewer_than_there_are() {
        let exact = |step| Step {
            shortest: step,
            longest: step,
        };
        assert_eq!(exact(1).elements(0, 10), 11);
        assert_eq!(exact(3).elements(0, 10), 4);
        assert_eq!(exact(-5).elements(10, 0), 3);
        assert_eq!(exact(-1).elements(0, 10), 0, "the wrong way");
        assert_eq!(exact(0).elements(0, 10), 0);
        assert_eq!(
            exact(1).elements(i64::MIN.into(), i64::MAX.into()),
            u64::MAX,
            "2^64 of them are too many to be counted"
        );
        let month = Step::of(1, 0, 0);
        assert_eq!(month.elements(0, 31 * NANOS_PER_DAY), 2);
        assert_eq!(
            month.elements(0, 56 * NANOS_PER_DAY),
            3,
            "as if all months were February"
        );
        let odd = Step::of(1, -29, 0);
        assert_eq!(odd.elements(0, 1), u64::MAX, "it goes forth and back");
    }
}
