//! WHERE and HAVING: keeps the rows for which a condition is true.

use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use datafusion::physical_expr::PhysicalExpr;

use super::expression::evaluate_condition;
use super::{ChangeBatch, Context, Operator, OperatorError};

/// Keeps the rows for which `condition` is true. On a change stream each half of an update is judged by itself, so an
/// update may come out as one half only; sinks read that as a deletion or an insertion.
pub struct Filter {
    condition: Arc<dyn PhysicalExpr>,
}

impl Filter {
    /// A filter.
    pub fn new(condition: Arc<dyn PhysicalExpr>) -> Self {
        Self { condition }
    }
}

impl Operator for Filter {
    fn name(&self) -> &'static str {
        "filter"
    }

    fn on_batch(&mut self, batch: ChangeBatch, context: &mut Context<'_>) -> Result<(), OperatorError> {
        let keep = evaluate_condition(&self.condition, &batch.rows).map_err(|error| context.evaluation(error))?;
        let kept = keep.true_count();
        if kept == batch.rows.num_rows() {
            context.output.push(batch);
        } else if 0 < kept {
            context.output.push(select(&batch, &keep)?);
        }
        Ok(())
    }
}

/// The rows of a batch for which `keep` is true, with their kinds.
pub(super) fn select(batch: &ChangeBatch, keep: &BooleanArray) -> Result<ChangeBatch, OperatorError> {
    Ok(ChangeBatch {
        rows: filter_record_batch(&batch.rows, keep)?,
        kinds: batch.kinds.as_ref().map(|kinds| {
            kinds
                .iter()
                .zip(keep.values())
                .filter(|(_, keep)| *keep)
                .map(|(kind, _)| *kind)
                .collect()
        }),
    })
}
