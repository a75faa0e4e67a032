//! A materialized view's rows as a table: what its last committed epoch left, read while the table is scanned.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::datasource::{TableProvider, TableType};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender};

use super::scan::ScanLimits;
use crate::error::{SqlError, SqlState};
use crate::plan::external;
use crate::ports::Clock;
use crate::runtime::{QueryHandle, ViewError, ViewRows};

/// Pause between two looks at a view whose state is being recovered.
const RECOVERY_PAUSE: Duration = Duration::from_millis(20);
/// Looks before a reader gives up: five seconds.
const RECOVERY_LOOKS: usize = 250;
/// Batches that may wait for whoever reads the result.
const BATCHES_AHEAD: usize = 1;

type Batch = PlanResult<RecordBatch>;

/// A materialized view that can be read.
#[derive(Clone)]
pub(crate) struct ViewReader {
    name: String,
    handle: Arc<QueryHandle>,
    clock: Arc<dyn Clock>,
}

impl ViewReader {
    /// Reads the view that `handle` runs.
    pub(crate) fn new(name: &str, handle: Arc<QueryHandle>, clock: Arc<dyn Clock>) -> Self {
        Self {
            name: name.to_owned(),
            handle,
            clock,
        }
    }

    /// The rows. A view that was created or started just now is waited for.
    async fn open(&self) -> Result<ViewRows, SqlError> {
        for _ in 0..RECOVERY_LOOKS {
            match self.handle.view_rows() {
                Err(ViewError::Recovering) => self.clock.sleep(RECOVERY_PAUSE).await,
                Err(error) => return Err(self.unreadable(&error)),
                Ok(rows) => return Ok(rows),
            }
        }
        Err(self.unreadable(&ViewError::Recovering))
    }

    /// Reads on a thread of its own: RocksDB's iterator, which keeps all rows of one epoch, is bound to the thread's
    /// stack for as long as the client takes, and no thread that others need may wait for a client.
    fn spawn(self, rows: ViewRows, batch_bytes: usize, memory: MemoryReservation) -> PlanResult<Receiver<Batch>> {
        let (sender, receiver) = tokio::sync::mpsc::channel(BATCHES_AHEAD);
        let runtime = Handle::current();
        let name = format!("select-{}", self.name);
        let spawned = std::thread::Builder::new().name(name).spawn(move || {
            let read = AssertUnwindSafe(|| self.read(&rows, batch_bytes, &memory, &runtime, &sender));
            let ended =
                catch_unwind(read).unwrap_or_else(|_| Err(external(SqlError::internal("reading a view panicked"))));
            if let Err(error) = ended {
                // Nobody may be waiting any more.
                let _ = runtime.block_on(sender.send(Err(error)));
            }
        });
        spawned.map_err(|error| {
            external(SqlError::new(
                SqlState::IO_ERROR,
                format!("no thread to read with: {error}"),
            ))
        })?;
        Ok(receiver)
    }

    fn read(
        &self,
        rows: &ViewRows,
        batch_bytes: usize,
        memory: &MemoryReservation,
        runtime: &Handle,
        sender: &Sender<Batch>,
    ) -> PlanResult<()> {
        let mut waiting = 0;
        let mut failure = None;
        let take = |batch: RecordBatch| {
            // What was read, these rows, and those before, for which nobody may have come yet.
            let bytes = batch.get_array_memory_size();
            let grown = memory.try_resize(batch_bytes + bytes + waiting);
            waiting = bytes;
            let sent = grown.and_then(|()| self.send(batch, rows, runtime, sender));
            sent.unwrap_or_else(|error| {
                failure = Some(error);
                ControlFlow::Break(())
            })
        };
        rows.read(batch_bytes, take)
            .map_err(|error| external(self.unreadable(&error)))?;
        failure.map_or(Ok(()), Err)
    }

    fn send(
        &self,
        batch: RecordBatch,
        rows: &ViewRows,
        runtime: &Handle,
        sender: &Sender<Batch>,
    ) -> PlanResult<ControlFlow<()>> {
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = rows.closing().cancelled() => Err(external(self.unreadable(&ViewError::Closed))),
                sent = sender.send(Ok(batch)) => Ok(match sent {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }),
            }
        })
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
    limits: ScanLimits,
}

impl ViewTable {
    /// The view's rows under `schema`, which is its own.
    pub(crate) fn new(schema: SchemaRef, reader: ViewReader, limits: ScanLimits) -> Self {
        Self { schema, reader, limits }
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
            batch_bytes: self.limits.batch_bytes(1),
        });
        let scan = StreamingTableExec::try_new(self.schema.clone(), vec![scan], projection, None, false, limit)?;
        Ok(Arc::new(scan))
    }
}

#[derive(Debug)]
struct ViewScan {
    schema: SchemaRef,
    reader: ViewReader,
    batch_bytes: usize,
}

impl PartitionStream for ViewScan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (schema, reader, batch_bytes) = (self.schema.clone(), self.reader.clone(), self.batch_bytes);
        let memory = MemoryConsumer::new(format!("scan of {}", reader.name)).register(context.memory_pool());
        let batch_rows = context.session_config().batch_size();
        let batches = async move {
            let rows = reader.open().await.map_err(external)?;
            let receiver = reader.spawn(rows, batch_bytes, memory)?;
            let received = stream::unfold(receiver, |mut receiver| async {
                Some((receiver.recv().await?, receiver))
            });
            let parts = received.flat_map(move |batch| stream::iter(parts_of(batch, batch_rows)));
            Ok::<_, DataFusionError>(parts.and_then(move |batch| {
                let batch = RecordBatch::try_new(schema.clone(), batch.columns().to_vec());
                std::future::ready(batch.map_err(DataFusionError::from))
            }))
        };
        let stream = stream::once(batches).try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream))
    }
}

/// A batch in parts of so many rows.
fn parts_of(batch: Batch, rows: usize) -> Vec<Batch> {
    let batch = match batch {
        Ok(batch) if rows < batch.num_rows() => batch,
        other => return vec![other],
    };
    let starts = (0..batch.num_rows()).step_by(rows);
    starts
        .map(|start| Ok(batch.slice(start, rows.min(batch.num_rows() - start))))
        .collect()
}
