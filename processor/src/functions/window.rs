//! Window bounds as functions, for plans that are not maintained: a SELECT over TUMBLE or HOP, and projections of
//! tumbling windows without aggregates. The arithmetic is that of the streaming operators: windows are `[start, end)`,
//! aligned to 1970 plus an offset, in microseconds.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, TimestampMicrosecondArray, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Shape of a window, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WindowShape {
    /// Distance between starts.
    pub(crate) slide_us: i64,
    /// Length.
    pub(crate) size_us: i64,
    /// Shift of the alignment.
    pub(crate) offset_us: i64,
}

impl WindowShape {
    /// Start of the latest window that holds `time`, if it fits a timestamp.
    fn last_start(self, time: i64) -> Option<i64> {
        let shifted = time.checked_sub(self.offset_us)?;
        shifted
            .checked_sub(shifted.rem_euclid(self.slide_us))?
            .checked_add(self.offset_us)
    }

    /// Starts of all windows that hold `time`, earliest first.
    fn starts(self, time: i64) -> Vec<i64> {
        let mut starts = Vec::new();
        let mut next = self.last_start(time);
        while let Some(start) = next {
            if start.checked_add(self.size_us).is_none_or(|end| end <= time) {
                break;
            }
            starts.push(start);
            next = start.checked_sub(self.slide_us);
        }
        starts.reverse();
        starts
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Bound {
    /// Start of the tumbling window.
    Start,
    /// End of the tumbling window.
    End,
    /// Starts of all hopping windows, as a list.
    Starts,
    /// End of the window that begins at the argument.
    EndOfStart,
    /// Start of the tumbling window that ends at the argument.
    StartOfEnd,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowBound {
    bound: Bound,
    shape: WindowShape,
    signature: Signature,
}

/// `window_start` of a tumbling window.
pub(crate) fn tumble_start(time: Expr, shape: WindowShape) -> Expr {
    call(Bound::Start, time, shape)
}

/// `window_end` of a tumbling window.
pub(crate) fn tumble_end(time: Expr, shape: WindowShape) -> Expr {
    call(Bound::End, time, shape)
}

/// All `window_start`s of a hopping window, as a list.
pub(crate) fn hop_starts(time: Expr, shape: WindowShape) -> Expr {
    call(Bound::Starts, time, shape)
}

/// `window_end` of a `window_start`.
pub(crate) fn end_of_start(start: Expr, shape: WindowShape) -> Expr {
    call(Bound::EndOfStart, start, shape)
}

/// `window_start` of a `window_end`.
pub(crate) fn start_of_end(end: Expr, shape: WindowShape) -> Expr {
    call(Bound::StartOfEnd, end, shape)
}

/// How many windows a function of [`hop_starts`] lists for one row at most; nothing for any other function.
pub(crate) fn windows_per_row(function: &ScalarUDF) -> Option<usize> {
    let window = function.inner().downcast_ref::<WindowBound>()?;
    match window.bound {
        Bound::Starts => usize::try_from(window.shape.size_us / window.shape.slide_us + 1).ok(),
        _ => None,
    }
}

fn call(bound: Bound, time: Expr, shape: WindowShape) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    let function = ScalarUDF::from(WindowBound {
        bound,
        shape,
        signature,
    });
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![time]))
}

impl ScalarUDFImpl for WindowBound {
    fn name(&self) -> &str {
        match self.bound {
            Bound::Start | Bound::StartOfEnd => "window_start",
            Bound::End | Bound::EndOfStart => "window_end",
            Bound::Starts => "window_starts",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        let time = arg_types.first().cloned().unwrap_or(DataType::Null);
        Ok(match self.bound {
            Bound::Starts => DataType::List(Arc::new(Field::new_list_field(time, true))),
            _ => time,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [time] = datafusion::common::utils::take_function_args(self.name(), args.args)?;
        let array = time.into_array(args.number_rows)?;
        let DataType::Timestamp(TimeUnit::Microsecond, zone) = array.data_type() else {
            return Err(DataFusionError::Internal(format!(
                "a window over {}",
                array.data_type()
            )));
        };
        let zone = zone.clone();
        let times = array.as_primitive::<TimestampMicrosecondType>();
        let bounds: ArrayRef = match self.bound {
            Bound::Starts => self.starts(times, zone),
            _ => {
                let bounds: TimestampMicrosecondArray = times.iter().map(|t| t.and_then(|t| self.one(t))).collect();
                Arc::new(bounds.with_timezone_opt(zone))
            }
        };
        Ok(ColumnarValue::Array(bounds))
    }
}

impl WindowBound {
    fn one(&self, time: i64) -> Option<i64> {
        match self.bound {
            Bound::Start | Bound::Starts => self.shape.last_start(time),
            Bound::End => self.shape.last_start(time)?.checked_add(self.shape.size_us),
            Bound::EndOfStart => time.checked_add(self.shape.size_us),
            Bound::StartOfEnd => time.checked_sub(self.shape.size_us),
        }
    }

    fn starts(&self, times: &TimestampMicrosecondArray, zone: Option<Arc<str>>) -> ArrayRef {
        let item = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
        let mut lists = ListBuilder::new(TimestampMicrosecondBuilder::new().with_timezone_opt(zone))
            .with_field(Field::new_list_field(item, true));
        for time in times {
            let Some(time) = time else {
                lists.append_null();
                continue;
            };
            lists.values().append_slice(&self.shape.starts(time));
            lists.append(true);
        }
        Arc::new(lists.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_floor_before_1970_and_hold_their_start() {
        let tumble = WindowShape {
            slide_us: 10,
            size_us: 10,
            offset_us: 0,
        };
        assert_eq!(tumble.last_start(0), Some(0));
        assert_eq!(tumble.last_start(9), Some(0));
        assert_eq!(tumble.last_start(10), Some(10));
        assert_eq!(tumble.last_start(-1), Some(-10));
        let shifted = WindowShape { offset_us: 3, ..tumble };
        assert_eq!(shifted.last_start(2), Some(-7));
        assert_eq!(shifted.last_start(3), Some(3));
    }

    #[test]
    fn hops_of_any_slide_and_size() {
        let hop = WindowShape {
            slide_us: 4,
            size_us: 10,
            offset_us: 0,
        };
        assert_eq!(hop.starts(8), vec![0, 4, 8]);
        assert_eq!(hop.starts(10), vec![4, 8]);
        let sparse = WindowShape {
            slide_us: 10,
            size_us: 4,
            offset_us: 0,
        };
        assert_eq!(sparse.starts(3), vec![0]);
        assert!(sparse.starts(4).is_empty());
    }
}
