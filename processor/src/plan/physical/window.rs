//! The window of a query that runs on, from the table function to its aggregate.

use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::common::Result as PlanResult;
use datafusion::logical_expr::{Expr, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::PhysicalExpr;

use super::{Pipeline, fields};
use crate::error::SqlError;
use crate::functions::window::{WindowShape, start_of_end, tumble_end, tumble_start};
use crate::plan::context::external;
use crate::plan::graph::WindowPlan;
use crate::plan::windows::{WINDOW_END, WINDOW_START, WindowAssign};
use crate::sql::types::timestamptz;

/// A window before its aggregate. Until it is settled, both of its columns hold the event time itself: the aggregate
/// computes the bounds, and a hopping row is in several windows.
#[derive(Debug, Clone)]
pub(super) struct PendingWindow {
    pub(super) shape: WindowShape,
    pub(super) start: Option<usize>,
    pub(super) end: Option<usize>,
    settled: bool,
}

impl PendingWindow {
    pub(super) fn tumbles(&self) -> bool {
        self.shape.slide_us == self.shape.size_us
    }

    pub(super) fn holds(&self, index: usize) -> bool {
        self.start == Some(index) || self.end == Some(index)
    }
}

impl Pipeline {
    pub(super) fn assign_window(&mut self, window: &WindowAssign) -> PlanResult<()> {
        if self.grouping.is_some() || self.window.is_some() {
            return Err(external(
                SqlError::unsupported("a window over the result of another window is not supported in one query")
                    .with_hint(
                        "keep the first result in a materialized view with EMIT ON WINDOW CLOSE and read that view with the \
                         second window, over its window_end",
                    ),
            ));
        }
        let time = self.position(&window.time);
        if time.is_none() || time != self.event_time {
            return Err(external(self.not_event_time(&window.time)));
        }
        let time = self.physical(&window.time)?;
        let width = self.schema.fields().len();
        let mut exprs: Vec<Arc<dyn PhysicalExpr>> = (0..width).map(|index| self.column(index)).collect();
        exprs.extend([time.clone(), time]);
        let schema = UserDefinedLogicalNodeCore::schema(window).clone();
        self.push_projection(exprs, fields(&schema));
        self.schema = schema;
        self.window = Some(PendingWindow {
            shape: window.shape,
            start: Some(width),
            end: Some(width + 1),
            settled: false,
        });
        Ok(())
    }

    /// Where the end of a row's window is now, if the query computes it and nothing was done to it since.
    pub(super) fn window_end(&self) -> Option<usize> {
        match &self.grouping {
            Some(grouping) => grouping.columns.iter().find(|c| c.is_end)?.position,
            None => self.window.as_ref().filter(|w| w.settled)?.end,
        }
    }

    fn not_event_time(&self, time: &Expr) -> SqlError {
        let event_time = &self.relation.columns[self.relation.event_time].name;
        let error = SqlError::unsupported(format!(
            "a window must be over the event time of \"{}\", which is {event_time}, not over {time}",
            self.relation.name
        ));
        match self.relation.watermark {
            None => error.with_hint(format!(
                "declare it: CREATE SOURCE ... (..., WATERMARK FOR {time} AS {time} - INTERVAL '5 seconds')"
            )),
            Some(_) => error.with_hint("windows close by the watermark, which follows the event time alone"),
        }
    }

    /// Makes sure that the window's columns hold its bounds where an expression computes with them.
    pub(super) fn settle_for<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>) -> PlanResult<()> {
        let Some(window) = &self.window else {
            return Ok(());
        };
        let refers = exprs.into_iter().any(|expr| {
            expr.column_refs()
                .iter()
                .any(|c| self.schema.maybe_index_of_column(c).is_some_and(|i| window.holds(i)))
        });
        if refers { self.settle_window() } else { Ok(()) }
    }

    /// Computes the bounds of a tumbling window that has no aggregate yet. A hopping one cannot be: its rows are in
    /// several windows.
    pub(super) fn settle_window(&mut self) -> PlanResult<()> {
        let Some(window) = self.window.clone().filter(|w| !w.settled && self.grouping.is_none()) else {
            return Ok(());
        };
        if window.start.is_none() && window.end.is_none() {
            return Ok(());
        }
        if !window.tumbles() {
            return Err(external(
                SqlError::unsupported(
                    "window_start and window_end of HOP cannot be used before GROUP BY in a query that runs on",
                )
                .with_hint("GROUP BY window_start, window_end and filter with HAVING or around the aggregate"),
            ));
        }
        let mut exprs = Vec::new();
        for (index, column) in self.schema.columns().into_iter().enumerate() {
            let time = Expr::Column(column);
            let bound = match index {
                _ if window.start == Some(index) => tumble_start(time, window.shape),
                _ if window.end == Some(index) => tumble_end(time, window.shape),
                _ => time,
            };
            exprs.push(self.physical(&bound)?);
        }
        self.push_projection(exprs, fields(&self.schema));
        if let Some(window) = &mut self.window {
            window.settled = true;
        }
        Ok(())
    }

    /// The time from which the aggregate computes its window.
    pub(super) fn window_time(&self, window: &PendingWindow) -> PlanResult<Arc<dyn PhysicalExpr>> {
        match (window.start, window.end, window.settled) {
            (Some(start), _, _) => Ok(self.column(start)),
            (None, Some(end), false) => Ok(self.column(end)),
            (None, Some(end), true) => {
                let end = Expr::Column(self.schema.columns()[end].clone());
                self.physical(&start_of_end(end, window.shape))
            }
            (None, None, _) => Err(external(SqlError::internal("a window without columns"))),
        }
    }
}

/// The window of an aggregate plan.
pub(super) fn window_plan(shape: WindowShape, time: Arc<dyn PhysicalExpr>) -> WindowPlan {
    WindowPlan {
        time,
        slide_us: shape.slide_us,
        size_us: shape.size_us,
        offset_us: shape.offset_us,
    }
}

/// Fields of the window's bounds, which come first in an aggregate's output.
pub(super) fn window_fields() -> [Field; 2] {
    [WINDOW_START, WINDOW_END].map(|name| Field::new(name, timestamptz(), true))
}
