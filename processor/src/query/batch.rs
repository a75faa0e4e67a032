//! How many rows a SELECT takes at a time. DataFusion counts neither constants, which it lays out for every row, nor the
//! rows that one row becomes in overlapping windows: of those with much of either, fewer are taken at once.

use datafusion::common::Result as PlanResult;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::error::{SqlError, SqlState};
use crate::functions::bounded::{RESULT_BYTES_MAX, constant_bytes};
use crate::functions::window::windows_per_row;
use crate::plan::external;

/// Most rows of a batch.
pub(super) const BATCH_ROWS: usize = 8192;
/// Most rows that the rows of a batch become in overlapping windows, unless a single one has more.
const WINDOW_ROWS_MAX: usize = 8 * BATCH_ROWS;

/// Rows of a batch of an optimized plan.
pub(super) fn batch_rows(plan: &LogicalPlan) -> PlanResult<usize> {
    let weight = Weight::of(plan)?;
    let fitting = RESULT_BYTES_MAX as usize / weight.constant_bytes.max(1);
    let rows = fitting.min(BATCH_ROWS).min(WINDOW_ROWS_MAX / weight.windows).max(1);
    if fitting < weight.values {
        let message = format!(
            "constants of {} bytes for each of {} rows are more than {RESULT_BYTES_MAX} bytes",
            weight.constant_bytes, weight.values
        );
        return Err(external(SqlError::new(SqlState::PROGRAM_LIMIT, message)));
    }
    Ok(rows)
}

/// What a plan makes of a row.
struct Weight {
    /// Bytes of its constants.
    constant_bytes: usize,
    /// Windows that hold a row.
    windows: usize,
    /// Rows of its largest VALUES, which come as one batch.
    values: usize,
}

impl Weight {
    fn of(plan: &LogicalPlan) -> PlanResult<Self> {
        let mut weight = Self {
            constant_bytes: 0,
            windows: 1,
            values: 0,
        };
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::Values(values) = node {
                weight.values = weight.values.max(values.values.len());
                return Ok(TreeNodeRecursion::Continue);
            }
            node.apply_expressions(|expr| {
                expr.apply(|expr| {
                    weight.add(expr);
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        Ok(weight)
    }

    fn add(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal(value, _) => {
                let bytes = constant_bytes(value) as usize;
                self.constant_bytes = self.constant_bytes.saturating_add(bytes);
            }
            Expr::ScalarFunction(function) => {
                let windows = windows_per_row(&function.func).unwrap_or(1);
                self.windows = self.windows.saturating_mul(windows);
            }
            _ => {}
        }
    }
}
