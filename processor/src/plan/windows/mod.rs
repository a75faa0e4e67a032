//! Windows in logical plans: `TUMBLE` and `HOP`.
//!
//! A window relation is planned as one node that adds `window_start` and `window_end`. Streams turn it into the window
//! of an aggregate; bounded queries lower it to projections.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, DFSchemaRef, Result as PlanResult, UnnestOptions};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, UserDefinedLogicalNodeCore};

use super::context::external;
use crate::error::{SqlError, SqlState};
use crate::functions::window::{WindowShape, end_of_start, hop_starts, tumble_end, tumble_start};

mod relation;

pub(super) use relation::WindowRelations;

/// Name of the column with a window's start.
pub(super) const WINDOW_START: &str = "window_start";
/// Name of the column with a window's end.
pub(crate) const WINDOW_END: &str = "window_end";

const US_PER_DAY: i64 = 86_400_000_000;

/// Adds the window columns to its input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct WindowAssign {
    /// The relation.
    pub(super) input: Arc<LogicalPlan>,
    /// The time attribute.
    pub(super) time: Expr,
    /// The windows.
    pub(super) shape: WindowShape,
    schema: DFSchemaRef,
}

impl WindowAssign {
    fn try_new(input: Arc<LogicalPlan>, time: Expr, shape: WindowShape) -> PlanResult<Self> {
        let data_type = time.get_type(input.schema())?;
        let mut fields: Vec<_> = input.schema().iter().map(|(q, f)| (q.cloned(), f.clone())).collect();
        for name in [WINDOW_START, WINDOW_END] {
            if input.schema().fields().iter().any(|f| f.name() == name) {
                return Err(external(
                    SqlError::new(
                        SqlState::DUPLICATE_COLUMN,
                        format!("the input of the window has a column \"{name}\" already"),
                    )
                    .with_hint("select it under another name in a subquery"),
                ));
            }
            fields.push((None, Arc::new(Field::new(name, data_type.clone(), true))));
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        Ok(Self {
            input,
            time,
            shape,
            schema,
        })
    }

    /// True for tumbling windows: a row lies in exactly one.
    pub(super) fn tumbles(&self) -> bool {
        self.shape.slide_us == self.shape.size_us
    }
}

impl PartialOrd for WindowAssign {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.input, &self.time, self.shape).partial_cmp(&(&other.input, &other.time, other.shape))
    }
}

impl UserDefinedLogicalNodeCore for WindowAssign {
    fn name(&self) -> &str {
        "WindowAssign"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.time.clone()]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WindowAssign: {} over {}", describe(self.shape), self.time)
    }

    fn with_exprs_and_inputs(&self, mut exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> PlanResult<Self> {
        let (Some(time), Some(input)) = (exprs.pop(), inputs.pop()) else {
            return Err(external(SqlError::internal("a window node without input")));
        };
        Self::try_new(Arc::new(input), time, self.shape)
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.input.schema().fields().len();
        Some(vec![
            output_columns.iter().copied().filter(|index| *index < width).collect(),
        ])
    }
}

/// `TUMBLE 1m`, `HOP 1h every 5m`.
pub(super) fn describe(shape: WindowShape) -> String {
    let mut text = if shape.slide_us == shape.size_us {
        format!("TUMBLE {}", duration(shape.size_us))
    } else {
        format!("HOP {} every {}", duration(shape.size_us), duration(shape.slide_us))
    };
    if shape.offset_us != 0 {
        text.push_str(&format!(" offset {}", duration(shape.offset_us)));
    }
    text
}

fn duration(us: i64) -> String {
    const UNITS: [(i64, &str); 6] = [
        (US_PER_DAY, "d"),
        (3_600_000_000, "h"),
        (60_000_000, "m"),
        (1_000_000, "s"),
        (1000, "ms"),
        (1, "us"),
    ];
    let (unit, name) = UNITS.iter().find(|(unit, _)| us % unit == 0).unwrap_or(&(1, "us"));
    format!("{}{name}", us / unit)
}

/// Lowers the window nodes of a bounded plan to projections.
pub(crate) fn lower_windows(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    plan.transform_up_with_subqueries(|plan| match as_window(&plan) {
        Some(window) => Ok(Transformed::yes(lower(window)?)),
        None => Ok(Transformed::no(plan)),
    })
    .map(|plan| plan.data)
}

/// The window node that `plan` is.
pub(super) fn as_window(plan: &LogicalPlan) -> Option<&WindowAssign> {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
        _ => None,
    }
}

/// A tumbling window as a projection that computes its bounds.
fn lower(window: &WindowAssign) -> PlanResult<LogicalPlan> {
    let columns: Vec<Expr> = window.input.schema().columns().into_iter().map(Expr::Column).collect();
    let builder = LogicalPlanBuilder::from(window.input.clone()).filter(window.time.clone().is_not_null())?;
    if window.tumbles() {
        let bounds = [
            tumble_start(window.time.clone(), window.shape).alias(WINDOW_START),
            tumble_end(window.time.clone(), window.shape).alias(WINDOW_END),
        ];
        return builder.project(columns.into_iter().chain(bounds))?.build();
    }
    let start = Column::from_name(WINDOW_START);
    let starts = hop_starts(window.time.clone(), window.shape).alias(WINDOW_START);
    let end = end_of_start(Expr::Column(start.clone()), window.shape).alias(WINDOW_END);
    builder
        .project(columns.iter().cloned().chain([starts]))?
        .unnest_columns_with_options(vec![start.clone()], UnnestOptions::new().with_preserve_nulls(false))?
        .project(columns.into_iter().chain([Expr::Column(start), end]))?
        .build()
}
