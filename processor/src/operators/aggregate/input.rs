//! What an aggregate reads of a batch: grouping keys as row bytes, arguments, filters. Everything is evaluated before
//! anything is changed, so that a batch on which an expression fails has had no effect.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;

use super::physical::{canonical_floats, counted};
use super::state::Input;
use crate::operators::expression::{conform, evaluate, evaluate_condition};
use crate::plan::graph::AggregateCall;

/// Evaluates keys, arguments and filters.
pub(super) struct Reader {
    keys: Vec<Arc<dyn PhysicalExpr>>,
    key_types: Vec<DataType>,
    key_rows: RowConverter,
    calls: Vec<Call>,
}

struct Call {
    argument: Option<Arc<dyn PhysicalExpr>>,
    argument_type: Option<DataType>,
    filter: Option<Arc<dyn PhysicalExpr>>,
}

/// The evaluated input of one batch.
pub(super) struct Evaluated {
    /// Row bytes of the keys; `None` when there is no key and all rows are one group.
    keys: Option<Rows>,
    arguments: Vec<Argument>,
    rows: usize,
}

struct Argument {
    values: Option<ArrayRef>,
    counted: Option<BooleanBuffer>,
}

impl Reader {
    /// A reader for grouping keys of these types and these calls.
    pub(super) fn new(
        keys: Vec<Arc<dyn PhysicalExpr>>,
        key_types: Vec<DataType>,
        calls: &[AggregateCall],
    ) -> std::result::Result<Self, ArrowError> {
        let fields = key_types.iter().cloned().map(SortField::new).collect();
        Ok(Self {
            keys,
            key_types,
            key_rows: RowConverter::new(fields)?,
            calls: calls
                .iter()
                .map(|call| Call {
                    argument: call.argument.clone(),
                    argument_type: call.input_type.clone(),
                    filter: call.filter.clone(),
                })
                .collect(),
        })
    }

    /// Evaluates everything that the aggregates need of a batch.
    pub(super) fn evaluate(&self, rows: &RecordBatch) -> Result<Evaluated> {
        let keys = match self.keys.is_empty() {
            true => None,
            false => Some(self.key_rows.convert_columns(&self.key_columns(rows)?)?),
        };
        let arguments = self
            .calls
            .iter()
            .map(|call| call.evaluate(rows))
            .collect::<Result<_>>()?;
        Ok(Evaluated {
            keys,
            arguments,
            rows: rows.num_rows(),
        })
    }

    /// The key columns that row bytes stand for.
    pub(super) fn key_values<'a>(
        &self,
        keys: impl Iterator<Item = &'a [u8]>,
    ) -> std::result::Result<Vec<ArrayRef>, ArrowError> {
        if self.keys.is_empty() {
            return Ok(Vec::new());
        }
        let parser = self.key_rows.parser();
        self.key_rows.convert_rows(keys.map(|key| parser.parse(key)))
    }

    fn key_columns(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.keys
            .iter()
            .zip(&self.key_types)
            .map(|(key, data_type)| {
                let values = conform(evaluate(key, rows)?, data_type)?;
                Ok(canonical_floats(values)?)
            })
            .collect()
    }
}

impl Call {
    fn evaluate(&self, rows: &RecordBatch) -> Result<Argument> {
        let values = match (&self.argument, &self.argument_type) {
            (Some(argument), Some(data_type)) => Some(conform(evaluate(argument, rows)?, data_type)?),
            (Some(argument), None) => Some(evaluate(argument, rows)?),
            (None, _) => None,
        };
        let filter = self
            .filter
            .as_ref()
            .map(|filter| evaluate_condition(filter, rows))
            .transpose()?;
        let counted = counted(values.as_ref(), filter.as_ref().map(|filter| filter.values()));
        Ok(Argument { values, counted })
    }
}

impl Evaluated {
    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Row bytes of a row's grouping key.
    #[inline]
    pub(super) fn key(&self, row: usize) -> &[u8] {
        match &self.keys {
            Some(keys) => keys.row(row).data(),
            None => &[],
        }
    }

    /// True when all rows have the same (empty) key.
    pub(super) fn is_keyless(&self) -> bool {
        self.keys.is_none()
    }

    /// The argument of a call.
    pub(super) fn argument(&self, call: usize) -> Input<'_> {
        let argument = &self.arguments[call];
        Input {
            values: argument.values.as_ref(),
            counted: argument.counted.as_ref(),
        }
    }
}
