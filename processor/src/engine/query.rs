//! `SELECT` and its kin, and `EXPLAIN` of them.

use datafusion::sql::sqlparser::ast::Query;
use tokio_util::sync::CancellationToken;

use super::{Engine, Execution, Mode, Parameter, SkippedRows, SqlError, StatementResult, plan_error, prepare};
use datafusion::logical_expr::LogicalPlan;

impl Engine {
    /// Runs a query that ends.
    pub(super) async fn select(
        &self,
        sql: &str,
        query: Query,
        params: &[Parameter],
        cancel: CancellationToken,
    ) -> Result<StatementResult, SqlError> {
        let (plan, skipped) = self.plan_bounded(sql, query, params)?;
        let (schema, stream) = self
            .execution()
            .run(plan, cancel)
            .await
            .map_err(|e| plan_error(&e, sql))?;
        Ok(StatementResult::Rows {
            schema,
            stream,
            tag: "SELECT".to_owned(),
            skipped,
        })
    }

    /// The plan, and the count of what its scans will leave out.
    pub(super) fn plan_bounded(
        &self,
        sql: &str,
        mut query: Query,
        params: &[Parameter],
    ) -> Result<(LogicalPlan, SkippedRows), SqlError> {
        let catalog = self.catalog();
        let mentions = prepare(&mut query, &catalog, params)?;
        let scope = self.scope(&catalog);
        let (plan, _) = self
            .planner
            .query(&scope, Mode::Bounded, &query, mentions)
            .map_err(|e| plan_error(&e, sql))?;
        Ok((plan, scope.counts.skipped))
    }

    pub(super) fn execution(&self) -> Execution<'_> {
        Execution {
            planner: &self.planner,
            now: self.ports.clock.now_ms(),
            memory_limit: self.config.query_memory_limit,
        }
    }
}
