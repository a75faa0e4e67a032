//! SELECT: computes new columns, row by row.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;

use super::expression::{conform, evaluate};
use super::{ChangeBatch, Context, Operator, OperatorError};

/// Computes one column per expression.
pub struct Project {
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
}

impl Project {
    /// A projection to `schema`, one expression per column.
    pub fn new(expressions: Vec<Arc<dyn PhysicalExpr>>, schema: SchemaRef) -> Self {
        assert_eq!(expressions.len(), schema.fields().len(), "one expression per column");
        Self { expressions, schema }
    }

    fn project(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let columns = self
            .expressions
            .iter()
            .zip(self.schema.fields())
            .map(|(expression, field)| conform(evaluate(expression, rows)?, field.data_type()))
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let projected = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        Ok(projected)
    }
}

impl Operator for Project {
    fn name(&self) -> &'static str {
        "project"
    }

    fn on_batch(&mut self, batch: ChangeBatch, context: &mut Context<'_>) -> Result<(), OperatorError> {
        let rows = self.project(&batch.rows).map_err(|error| context.evaluation(error))?;
        context.output.push(ChangeBatch {
            rows,
            kinds: batch.kinds,
        });
        Ok(())
    }
}
