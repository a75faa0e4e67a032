//! What a query that runs on cannot do yet, and what to write instead. Everything that is not named here is either
//! maintained or refused by the physical planner.

use std::sync::Arc;

use datafusion::common::Result as PlanResult;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};

use super::context::external;
use super::windows::as_window;
use crate::error::SqlError;

/// Fails where a node or an expression of the plan cannot be maintained.
pub(super) fn refuse_unmaintainable(plan: &LogicalPlan) -> PlanResult<()> {
    plan.apply(|node| {
        if let Some(error) = refused_node(node) {
            return Err(external(error));
        }
        refuse_expressions(node)?;
        Ok(TreeNodeRecursion::Continue)
    })
    .map(|_| ())
}

/// Fails where an expression of this one node cannot be maintained.
pub(super) fn refuse_expressions(node: &LogicalPlan) -> PlanResult<()> {
    node.apply_expressions(|expr| {
        expr.apply(|expr| match refused_expression(expr) {
            Some(error) => Err(external(error)),
            None => Ok(TreeNodeRecursion::Continue),
        })
    })
    .map(|_| ())
}

fn refused_node(node: &LogicalPlan) -> Option<SqlError> {
    let what = match node {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::Aggregate(_) => return None,
        LogicalPlan::Extension(_) if as_window(node).is_some() => return None,
        LogicalPlan::Join(_) => {
            return Some(
                running("a join").with_hint("keep each side in a materialized view and join them in a SELECT"),
            );
        }
        LogicalPlan::Union(_) => {
            return Some(running("UNION").with_hint("create one sink per part, all with the same topic"));
        }
        LogicalPlan::Distinct(_) => {
            return Some(
                running("DISTINCT").with_hint("GROUP BY the columns and count(*), with a window to bound the state"),
            );
        }
        LogicalPlan::Sort(_) => {
            return Some(
                running("ORDER BY")
                    .with_hint("a stream has no end to sort up to; order the rows in a SELECT from the view"),
            );
        }
        LogicalPlan::Limit(_) => {
            return Some(running("LIMIT").with_hint("give the limit in a SELECT from the view"));
        }
        LogicalPlan::Window(_) => {
            return Some(running("OVER").with_hint("use TUMBLE or HOP with GROUP BY"));
        }
        LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => {
            return Some(SqlError::unsupported(
                "the query reads no topic, so there is nothing to keep running",
            ));
        }
        LogicalPlan::Unnest(_) => "unnest",
        LogicalPlan::Subquery(_) => "a subquery that refers to the query around it",
        LogicalPlan::RecursiveQuery(_) => "WITH RECURSIVE",
        _ => "this form of query",
    };
    Some(running(what))
}

fn refused_expression(expr: &Expr) -> Option<SqlError> {
    match expr {
        Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_) => {
            Some(running("a subquery outside of FROM").with_hint("filter by constants, or in a SELECT from the view"))
        }
        Expr::WindowFunction(_) => Some(running("OVER").with_hint("use TUMBLE or HOP with GROUP BY")),
        Expr::GroupingSet(_) => {
            Some(running("GROUPING SETS, ROLLUP and CUBE").with_hint("create one view per grouping"))
        }
        Expr::Unnest(_) => Some(running("unnest")),
        Expr::ScalarFunction(function) if function.func.signature().volatility != Volatility::Immutable => {
            let name = function.func.name();
            Some(running(&format!("{name}()")).with_hint(
                "its value changes with the clock or by chance, so results could not be computed again after a restart; \
                 use the event time, or _timestamp, the time of the record",
            ))
        }
        _ => None,
    }
}

fn running(what: &str) -> SqlError {
    SqlError::unsupported(format!("{what} is not supported in a query that runs on"))
}

/// The only input of a node that has one.
pub(super) fn input_of(plan: &LogicalPlan) -> PlanResult<Arc<LogicalPlan>> {
    match plan.inputs().as_slice() {
        [input] => Ok(Arc::new((*input).clone())),
        _ => Err(external(running("this form of query"))),
    }
}
