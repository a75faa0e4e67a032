//! Queries that end: topics, sources and views read once, everything else by DataFusion.

use std::collections::HashSet;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use chrono::DateTime;
use datafusion::common::{Result as PlanResult, TableReference};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{displayable, execute_stream};
use futures::StreamExt;
use protocol::ids::TimestampMs;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::error::{SqlError, SqlState};
use crate::plan::{Planner, external, lower_windows};
use crate::sql::types::canonical;

mod batch;
mod pruning;
mod scan;
mod topic_table;
mod view_table;

use batch::{BATCH_ROWS, batch_rows};
pub use scan::SkippedRows;
pub(crate) use scan::{STEPS_AT_ONCE, ScanCounts, ScanLimits};
pub(crate) use topic_table::TopicTable;
pub(crate) use view_table::{ViewReader, ViewTable};

/// How a bounded query runs.
pub(crate) struct Execution<'a> {
    /// DataFusion.
    pub(crate) planner: &'a Planner,
    /// What `now()` answers.
    pub(crate) now: TimestampMs,
    /// Bytes that the query may hold.
    pub(crate) memory_limit: usize,
}

impl Execution<'_> {
    /// Starts the query. Rows come as they are computed; `cancel` or dropping the stream ends it, and gives `permit` back.
    pub(crate) async fn run(
        &self,
        plan: LogicalPlan,
        cancel: CancellationToken,
        permit: OwnedSemaphorePermit,
    ) -> PlanResult<(SchemaRef, SendableRecordBatchStream)> {
        let plan = self
            .session(BATCH_ROWS)?
            .optimize(&presentable(lower_windows(plan)?)?)?;
        // What functions of constants make is a constant by now.
        let state = self.session(batch_rows(&plan)?)?;
        let physical = state.query_planner().create_physical_plan(&plan, &state).await?;
        let stream = execute_stream(physical, state.task_ctx())?;
        let schema = stream.schema();
        let stream = cancellable(stream, cancel, permit);
        Ok((schema.clone(), Box::pin(RecordBatchStreamAdapter::new(schema, stream))))
    }

    /// The optimized logical plan and, where `verbose`, the physical one, line by line.
    pub(crate) async fn explain(&self, plan: LogicalPlan, verbose: bool) -> PlanResult<Vec<String>> {
        let state = self.session(BATCH_ROWS)?;
        let plan = state.optimize(&presentable(lower_windows(plan)?)?)?;
        let mut text = plan.display_indent().to_string();
        if verbose {
            let physical = state.create_physical_plan(&plan).await?;
            text.push('\n');
            text.push_str(&displayable(physical.as_ref()).indent(false).to_string());
        }
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// A session of its own: its clock stands still at the query's start, its memory is its own, and its batches have no
    /// more than so many rows.
    fn session(&self, batch_rows: usize) -> PlanResult<SessionState> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(self.memory_limit, 1.0)
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()?;
        let mut state = datafusion::execution::SessionStateBuilder::new_from_existing(self.planner.state().clone())
            .with_runtime_env(runtime)
            .build();
        *state.config_mut() = state.config().clone().with_batch_size(batch_rows);
        state.execution_props_mut().query_execution_start_time = DateTime::from_timestamp_millis(self.now);
        Ok(state)
    }
}

/// Result columns have one Arrow form per SQL type, and names of their own.
fn presentable(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let mut taken = HashSet::new();
    let mut changed = false;
    let mut exprs = Vec::with_capacity(plan.schema().fields().len());
    for (column, field) in plan.schema().columns().into_iter().zip(plan.schema().fields()) {
        let name = unique(field.name(), &taken);
        let data_type = canonical(field.data_type());
        let is_same = name == *field.name() && data_type == *field.data_type();
        changed |= !is_same;
        let mut expr = Expr::Column(column);
        if data_type != *field.data_type() {
            expr = cast(expr, data_type);
        }
        exprs.push(if is_same {
            expr
        } else {
            expr.alias_qualified(None::<TableReference>, name.clone())
        });
        taken.insert(name);
    }
    if !changed {
        return Ok(plan);
    }
    LogicalPlanBuilder::from(plan).project(exprs)?.build()
}

fn unique(name: &str, taken: &HashSet<String>) -> String {
    if !taken.contains(name) {
        return name.to_owned();
    }
    (1..)
        .map(|n| format!("{name}_{n}"))
        .find(|candidate| !taken.contains(candidate))
        .expect("there are more numbers than columns")
}

fn cancellable(
    stream: SendableRecordBatchStream,
    cancel: CancellationToken,
    permit: OwnedSemaphorePermit,
) -> impl futures::Stream<Item = PlanResult<RecordBatch>> + Send {
    futures::stream::unfold(Some((stream, cancel, permit)), |state| async move {
        let (mut stream, cancel, permit) = state?;
        tokio::select! {
            biased;
            () = cancel.cancelled() => Some((Err(external(canceled())), None)),
            next = stream.next() => next.map(|batch| (batch, Some((stream, cancel, permit)))),
        }
    })
}

fn canceled() -> SqlError {
    SqlError::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")
}
