//! `EXPLAIN`.

use super::rows::{Values, result};
use super::{Engine, Parameter, SessionSettings, SqlError, StatementResult, plan_error};
use crate::plan::explain::explain;
use crate::sql::statement::Statement;

impl Engine {
    /// Explains a statement without doing anything.
    pub(super) async fn explain(
        &self,
        sql: &str,
        statement: Statement,
        verbose: bool,
        params: &[Parameter],
        session: &SessionSettings,
    ) -> Result<StatementResult, SqlError> {
        let catalog = self.catalog();
        let lines = match statement {
            Statement::Query(query) => {
                let settings = session.values().query_options();
                let (plan, _) = self.plan_bounded(sql, *query, params, &settings)?;
                self.execution(&settings)
                    .explain(plan, verbose)
                    .await
                    .map_err(|e| plan_error(&e, sql))?
            }
            Statement::CreateMaterializedView(view) => {
                let mut draft = self.draft_view(sql, &catalog, &view, session)?;
                self.resolve_bounds(&mut draft).await?;
                explain(&draft.planned, verbose)
            }
            Statement::CreateSink(sink) => {
                let mut draft = self.draft_sink(sql, &catalog, &sink, session)?;
                self.resolve_bounds(&mut draft).await?;
                explain(&draft.planned, verbose)
            }
            _ => {
                return Err(SqlError::unsupported("this statement has no plan to explain")
                    .with_hint("EXPLAIN takes a SELECT, CREATE MATERIALIZED VIEW or CREATE SINK"));
            }
        };
        result("EXPLAIN", vec![("QUERY PLAN", Values::text(lines))])
    }
}
