//! From a parsed query to a plan: DataFusion's logical plan with our types, functions and window relations, and for
//! queries that run on, the physical form in [`graph`].

use std::sync::Arc;

use datafusion::common::{DFSchema, Result as PlanResult};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::SessionConfig;
use datafusion::sql::planner::PlannerContext;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Query, Statement as SqlStatement};

use crate::functions::arithmetic::CheckArithmetic;
use crate::functions::bounded::bounded;
use crate::functions::{JsonOperators, aggregates, scalars};
use crate::sql::types::{Types, UTC};

mod context;
pub(crate) mod error;
pub(crate) mod explain;
pub mod graph;
mod ignored;
mod logical;
mod names;
mod physical;
mod refuse;
mod replace;
mod windows;

pub(crate) use context::{Mode, Scope, ViewReaders, external};
pub(crate) use names::prepare;
pub(crate) use physical::{Planned, StreamRequest, plan_stream, rename};
pub(crate) use windows::{WINDOW_END, lower_windows};

/// DataFusion, set up for our SQL: functions, types, rules. One per engine; cheap to share.
#[derive(Debug, Clone)]
pub(crate) struct Planner {
    state: SessionState,
}

impl Planner {
    /// Sets DataFusion up.
    pub(crate) fn new() -> PlanResult<Self> {
        let mut state = SessionStateBuilder::new_with_default_features()
            .with_config(session_config())
            .with_type_planner(Arc::new(Types))
            .with_analyzer_rule(Arc::new(CheckArithmetic))
            .build();
        {
            use datafusion::execution::FunctionRegistry;
            for function in scalars() {
                state.register_udf(function)?;
            }
            for function in bounded(&state)? {
                state.register_udf(function)?;
            }
            for function in aggregates() {
                state.register_udaf(function)?;
            }
            state.register_expr_planner(Arc::new(JsonOperators))?;
        }
        Ok(Self { state })
    }

    /// DataFusion's session, to be cloned where it must be changed.
    pub(crate) fn state(&self) -> &SessionState {
        &self.state
    }

    /// Plans a prepared query (see [`prepare`]) and answers with the names of the objects it refers to.
    pub(crate) fn query(
        &self,
        scope: &Scope<'_>,
        mode: Mode,
        query: &Query,
        mentions_metadata: bool,
    ) -> PlanResult<(LogicalPlan, Vec<String>)> {
        let context = context::PlanContext::new(self, scope, mode, mentions_metadata);
        let plan = context
            .planner()
            .sql_statement_to_plan(SqlStatement::Query(Box::new(query.clone())))?;
        Ok((plan, context.used()))
    }
}

/// Plans the expression of `WATERMARK FOR col AS expression` over the columns of its source. It must not change with the
/// clock.
pub(crate) fn watermark_expression(
    planner: &Planner,
    scope: &Scope<'_>,
    expression: &SqlExpr,
    schema: &DFSchema,
) -> PlanResult<Expr> {
    let mut expression = expression.clone();
    replace::replace_all(&mut expression).map_err(external)?;
    let context = context::PlanContext::new(planner, scope, Mode::Streaming, true);
    let expr = context
        .planner()
        .sql_to_expr(expression, schema, &mut PlannerContext::new())?;
    let table = LogicalPlan::EmptyRelation(EmptyRelation {
        produce_one_row: false,
        schema: Arc::new(schema.clone()),
    });
    let plan = LogicalPlanBuilder::from(table).project([expr])?.build()?;
    logical::analyze_expression(planner, plan)
}

fn session_config() -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(false);
    let options = config.options_mut();
    options.execution.time_zone = Some(UTC.to_owned());
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.collect_spans = true;
    config
}
