//! Evaluation of bound expressions, once per batch.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, prep_null_mask_filter};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;

/// The value of an expression for every row.
pub(crate) fn evaluate(expression: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<ArrayRef> {
    expression.evaluate(rows)?.into_array(rows.num_rows())
}

/// The rows for which a condition is true; NULL counts as false.
pub(crate) fn evaluate_condition(expression: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<BooleanArray> {
    let values = evaluate(expression, rows)?;
    let Some(values) = values.as_boolean_opt() else {
        return Err(DataFusionError::Internal(format!(
            "condition {expression} is {} and not boolean",
            values.data_type()
        )));
    };
    match values.null_count() {
        0 => Ok(values.clone()),
        _ => Ok(prep_null_mask_filter(values)),
    }
}

/// Event times in microseconds of an expression of type TIMESTAMP or TIMESTAMPTZ of any unit.
pub(crate) fn evaluate_time(
    expression: &Arc<dyn PhysicalExpr>,
    rows: &RecordBatch,
) -> Result<arrow::array::Int64Array> {
    let values = evaluate(expression, rows)?;
    let micros = match values.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => values,
        DataType::Timestamp(_, zone) => cast(&values, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?,
        other => {
            return Err(DataFusionError::Internal(format!(
                "{expression} is {other} and not a timestamp"
            )));
        }
    };
    Ok(micros
        .as_primitive::<TimestampMicrosecondType>()
        .reinterpret_cast::<Int64Type>())
}

/// `values` in the declared type, which differs only in what does not change a value (a dictionary, a zone's name).
pub(crate) fn conform(values: ArrayRef, declared: &DataType) -> Result<ArrayRef> {
    match values.data_type() == declared {
        true => Ok(values),
        false => Ok(cast(&values, declared)?),
    }
}
