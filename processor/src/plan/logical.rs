//! The logical plan of a query that runs on: types coerced, arithmetic checked, constants folded, unused columns gone.
//! The list of rules is ours: DataFusion's own assumes that inputs end.

use std::sync::Arc;

use datafusion::common::Result as PlanResult;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{Analyzer, Optimizer};

use super::Planner;
use super::context::external;
use super::refuse::{refuse_expressions, refuse_unmaintainable};
use crate::error::SqlError;
use crate::functions::arithmetic::CheckArithmetic;

/// Analyzes and optimizes a plan, after refusing what cannot be maintained.
pub(super) fn analyze(planner: &Planner, plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    refuse_unmaintainable(&plan)?;
    let plan = coerce(planner, plan)?;
    let optimizer = Optimizer::with_rules(vec![
        Arc::new(SimplifyExpressions::new()),
        Arc::new(OptimizeProjections::new()),
    ]);
    optimizer.optimize(plan, planner.state(), |_, _| {})
}

/// The one expression of a projection over nothing, analyzed.
pub(super) fn analyze_expression(planner: &Planner, plan: LogicalPlan) -> PlanResult<Expr> {
    refuse_expressions(&plan)?;
    let plan = coerce(planner, plan)?;
    let plan =
        Optimizer::with_rules(vec![Arc::new(SimplifyExpressions::new())]).optimize(plan, planner.state(), |_, _| {})?;
    match plan.expressions().pop() {
        Some(expr) => Ok(expr.unalias_nested().data),
        None => Err(external(SqlError::internal("an expression that is gone"))),
    }
}

fn coerce(planner: &Planner, plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let analyzer = Analyzer::with_rules(vec![Arc::new(TypeCoercion::new()), Arc::new(CheckArithmetic)]);
    analyzer.execute_and_check(plan, planner.state().config_options(), |_, _| {})
}
