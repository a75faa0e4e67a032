//! Evaluation of bound expressions, once per batch.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, prep_null_mask_filter};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

use crate::functions::bounded::{RESULT_BYTES_MAX, array_bytes, constant_bytes, result_too_large};

/// The value of an expression for every row. Fails where the values are too large for one batch, of which fewer rows may
/// then be tried.
pub(crate) fn evaluate(expression: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<ArrayRef> {
    let laid_out = bytes_of_constants(expression)?.saturating_mul(rows.num_rows() as u64);
    if RESULT_BYTES_MAX < laid_out {
        return Err(result_too_large("an expression"));
    }
    let values = expression.evaluate(rows)?.into_array(rows.num_rows())?;
    match array_bytes(&values) <= RESULT_BYTES_MAX {
        true => Ok(values),
        false => Err(result_too_large("an expression")),
    }
}

/// Bytes of the texts and lists that an expression holds itself, and that it may lay out for every row.
fn bytes_of_constants(expression: &Arc<dyn PhysicalExpr>) -> Result<u64> {
    let mut bytes = 0;
    expression.apply(|node| {
        if let Some(literal) = node.downcast_ref::<Literal>() {
            bytes += constant_bytes(literal.value());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(bytes)
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
