//! Small results made here: SHOW, DESCRIBE, EXPLAIN.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

use super::StatementResult;
use crate::error::SqlError;
use crate::query::SkippedRows;
use crate::sql::types::{UTC, timestamptz};

/// A column of a result.
pub(super) enum Values {
    /// TEXT.
    Text(Vec<Option<String>>),
    /// BIGINT.
    Number(Vec<Option<i64>>),
    /// BOOLEAN.
    Truth(Vec<bool>),
    /// TIMESTAMPTZ, in microseconds.
    Time(Vec<Option<i64>>),
}

impl Values {
    /// TEXT without NULLs.
    pub(super) fn text<S: Into<String>>(values: impl IntoIterator<Item = S>) -> Self {
        Self::Text(values.into_iter().map(|v| Some(v.into())).collect())
    }

    fn array(self) -> (DataType, ArrayRef) {
        match self {
            Self::Text(values) => (DataType::Utf8, Arc::new(StringArray::from(values))),
            Self::Number(values) => (DataType::Int64, Arc::new(Int64Array::from(values))),
            Self::Truth(values) => (DataType::Boolean, Arc::new(BooleanArray::from(values))),
            Self::Time(values) => (
                timestamptz(),
                Arc::new(TimestampMicrosecondArray::from(values).with_timezone(UTC)),
            ),
        }
    }
}

/// Columns of equal length as the result of a statement.
pub(super) fn result(tag: &str, columns: Vec<(&str, Values)>) -> Result<StatementResult, SqlError> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (name, values) in columns {
        let (data_type, array) = values.array();
        fields.push(Field::new(name, data_type, true));
        arrays.push(array);
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(|e| SqlError::internal(e.to_string()))?;
    let stream = RecordBatchStreamAdapter::new(schema.clone(), futures::stream::iter([Ok(batch)]));
    Ok(StatementResult::Rows {
        schema,
        stream: Box::pin(stream),
        tag: tag.to_owned(),
        skipped: SkippedRows::default(),
    })
}
