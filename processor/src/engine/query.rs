//! `SELECT` and its kin, and `EXPLAIN` of them.

use datafusion::sql::sqlparser::ast::Query;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::{
    Engine, Execution, Mode, Parameter, QueryOptions, SessionSettings, SkippedRows, SqlError, SqlState,
    StatementResult, plan_error, prepare,
};
use datafusion::logical_expr::LogicalPlan;

impl Engine {
    /// Runs a query that ends.
    pub(super) async fn select(
        &self,
        sql: &str,
        query: Query,
        params: &[Parameter],
        session: &SessionSettings,
        cancel: CancellationToken,
    ) -> Result<StatementResult, SqlError> {
        let permit = self.permit()?;
        let settings = session.values().query_options();
        let (plan, skipped) = self.plan_bounded(sql, query, params, &settings)?;
        let (schema, stream) = self
            .execution(&settings)
            .run(plan, cancel, permit)
            .await
            .map_err(|e| plan_error(&e, sql))?;
        Ok(StatementResult::Rows {
            schema,
            stream,
            tag: "SELECT".to_owned(),
            skipped,
        })
    }

    /// The right to run one of the SELECTs that may run at once.
    fn permit(&self) -> Result<OwnedSemaphorePermit, SqlError> {
        self.selecting.clone().try_acquire_owned().map_err(|_| {
            let message = format!("{} SELECTs run already", self.config.max_selects);
            SqlError::new(SqlState::CONFIGURATION_LIMIT, message)
                .with_hint("read the results of those that run, or raise sql.max_selects")
        })
    }

    /// The plan, and the count of what its scans will leave out.
    pub(super) fn plan_bounded(
        &self,
        sql: &str,
        mut query: Query,
        params: &[Parameter],
        settings: &QueryOptions,
    ) -> Result<(LogicalPlan, SkippedRows), SqlError> {
        let catalog = self.catalog();
        let mentions = prepare(&mut query, &catalog, params)?;
        let scope = self.scope_under(&catalog, settings);
        let (plan, _) = self
            .planner
            .query(&scope, Mode::Bounded, &query, mentions)
            .map_err(|e| plan_error(&e, sql))?;
        Ok((plan, scope.counts.skipped))
    }

    pub(super) fn execution(&self, settings: &QueryOptions) -> Execution<'_> {
        Execution {
            planner: &self.planner,
            now: self.ports.clock.now_ms(),
            memory_limit: self.select_memory(settings),
        }
    }

    /// The session may have less memory than the configuration gives, not more.
    pub(super) fn select_memory(&self, settings: &QueryOptions) -> usize {
        let most = self.config.select_memory_bytes_max;
        let wanted = settings.memory_limit.map(usize::try_from);
        wanted.and_then(Result::ok).map_or(most, |wanted| wanted.min(most))
    }
}
