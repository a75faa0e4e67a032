//! A materialized view's rows as a table: what its last committed epoch left, read when the table is scanned.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result as PlanResult;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use crate::error::{SqlError, SqlState};
use crate::plan::external;
use crate::runtime::{QueryHandle, ViewError};

/// Pause between two looks at a view whose state is being recovered.
const RECOVERY_PAUSE: Duration = Duration::from_millis(20);
/// Looks before a reader gives up: five seconds.
const RECOVERY_LOOKS: usize = 250;

/// A materialized view that can be read.
#[derive(Clone)]
pub(crate) struct ViewReader {
    name: String,
    handle: Arc<QueryHandle>,
}

impl ViewReader {
    /// Reads the view that `handle` runs.
    pub(crate) fn new(name: &str, handle: Arc<QueryHandle>) -> Self {
        Self {
            name: name.to_owned(),
            handle,
        }
    }

    /// The rows. A view that was created or started just now is waited for.
    #[expect(
        clippy::disallowed_methods,
        reason = "reading blocks for the disk; a panic becomes an error here"
    )]
    async fn rows(&self) -> Result<Vec<RecordBatch>, SqlError> {
        for _ in 0..RECOVERY_LOOKS {
            let handle = self.handle.clone();
            let read = tokio::task::spawn_blocking(move || handle.view_rows()).await;
            match read.map_err(|e| SqlError::internal(e.to_string()))? {
                Err(ViewError::Recovering) => tokio::time::sleep(RECOVERY_PAUSE).await,
                Err(error) => return Err(self.unreadable(&error)),
                Ok(rows) => return Ok(rows),
            }
        }
        Err(self.unreadable(&ViewError::Recovering))
    }

    fn unreadable(&self, error: &ViewError) -> SqlError {
        SqlError::new(
            SqlState::NOT_IN_STATE,
            format!("materialized view \"{}\" cannot be read: {error}", self.name),
        )
        .with_hint("SHOW QUERIES tells whether it runs")
    }
}

impl std::fmt::Debug for ViewReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ViewReader")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct ViewTable {
    schema: SchemaRef,
    reader: ViewReader,
}

impl ViewTable {
    /// The view's rows under `schema`, which is its own.
    pub(crate) fn new(schema: SchemaRef, reader: ViewReader) -> Self {
        Self { schema, reader }
    }
}

#[async_trait]
impl TableProvider for ViewTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let scan: Arc<dyn PartitionStream> = Arc::new(ViewScan {
            schema: self.schema.clone(),
            reader: self.reader.clone(),
        });
        let scan = StreamingTableExec::try_new(self.schema.clone(), vec![scan], projection, None, false, limit)?;
        Ok(Arc::new(scan))
    }
}

#[derive(Debug)]
struct ViewScan {
    schema: SchemaRef,
    reader: ViewReader,
}

impl PartitionStream for ViewScan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStream::builder(self.schema.clone(), 2);
        let sender = builder.tx();
        let (schema, reader) = (self.schema.clone(), self.reader.clone());
        builder.spawn(async move {
            for batch in reader.rows().await.map_err(external)? {
                let batch = RecordBatch::try_new(schema.clone(), batch.columns().to_vec())?;
                if sender.send(Ok(batch)).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        builder.build()
    }
}
