//! Reading one partition from an offset to an offset, without holding a thread for a client that takes its time.

mod reader;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;
use protocol::ids::{Offset, TimestampMs};
use storage::{Isolation, Log};
use tokio::sync::Semaphore;

use self::reader::PartitionReader;
use super::batch::BATCH_ROWS;
use crate::error::{SqlError, SqlState};
use crate::plan::external;
use crate::plan::graph::SourcePlan;
use crate::stats::SelectStats;

/// Most bytes of records that go into one batch of the result, and of rows of a view; one record may exceed it alone.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// What that may sink to where many partitions share the memory of a statement.
const BATCH_BYTES_MIN: usize = 64 << 10;
/// Batches for which each partition has room in the statement's memory: what DataFusion's operators pass on between them
/// does not count against it.
const BATCHES_PER_PARTITION: usize = 8;

/// Steps of reading that run at once, of all statements together: each takes a thread of the pool that the broker needs
/// for its own disk work, and more of them than cores would not be faster.
pub(crate) const STEPS_AT_ONCE: usize = 16;

/// Bounds of reading.
#[derive(Debug, Clone)]
pub(crate) struct ScanLimits {
    /// Bytes of batches that are read at once.
    pub(crate) read_bytes: usize,
    /// Largest decompressed size of a batch.
    pub(crate) decompressed_bytes: usize,
    /// Bytes that the statement may hold in memory.
    pub(crate) memory_bytes: usize,
    /// One permit per step of reading that may run now.
    pub(crate) steps: Arc<Semaphore>,
}

impl ScanLimits {
    /// Bytes of one batch of the result, where so many partitions are read at once.
    pub(super) fn batch_bytes(&self, partitions: usize) -> usize {
        let share = self.memory_bytes / (BATCHES_PER_PARTITION * partitions.max(1));
        share.clamp(BATCH_BYTES_MIN, BATCH_BYTES_MAX)
    }
}

/// Records that a statement left out of its result because they are bad.
#[derive(Debug, Default, Clone)]
pub struct SkippedRows(Arc<AtomicU64>);

impl SkippedRows {
    /// What the statement left out so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the scans of one statement count: for its own answer, and among all others.
#[derive(Debug, Clone)]
pub(crate) struct ScanCounts {
    /// Of the statement.
    pub(crate) skipped: SkippedRows,
    of_engine: Arc<SelectStats>,
}

impl ScanCounts {
    /// Those of a new statement.
    pub(crate) fn new(of_engine: &Arc<SelectStats>) -> Self {
        Self {
            skipped: SkippedRows::default(),
            of_engine: of_engine.clone(),
        }
    }

    pub(super) fn add_skipped(&self) {
        self.skipped.0.fetch_add(1, Ordering::Relaxed);
        self.of_engine.add_bad();
    }
}

/// One partition of a scan.
#[derive(Debug, Clone)]
pub(super) struct PartitionScan {
    plan: Arc<SourcePlan>,
    schema: SchemaRef,
    log: Arc<Log>,
    offsets: Range<Offset>,
    since: Option<TimestampMs>,
    limits: ScanLimits,
    batch_bytes: usize,
    batch_rows: usize,
    counts: ScanCounts,
}

/// The rows of a partition as they are asked for. While one batch is out the next one is read.
enum Rows {
    Unopened(PartitionScan, MemoryReservation),
    Reading(SpawnedTask<PlanResult<Step>>),
    Ended,
}

/// What a step of reading ends with: rows and how to go on, or nothing at the end.
type Step = Option<(RecordBatch, Box<PartitionReader>)>;

impl PartitionScan {
    /// Reads the first `width` columns of `plan`; it may decode more than it shows.
    pub(super) fn new(
        plan: Arc<SourcePlan>,
        width: usize,
        log: Arc<Log>,
        offsets: Range<Offset>,
        limits: ScanLimits,
        counts: ScanCounts,
    ) -> Self {
        let fields: Vec<_> = plan.schema.fields().iter().take(width).cloned().collect();
        Self {
            plan,
            schema: Arc::new(arrow::datatypes::Schema::new(fields)),
            log,
            offsets,
            since: None,
            batch_bytes: limits.batch_bytes(1),
            batch_rows: BATCH_ROWS,
            limits,
            counts,
        }
    }

    /// Shares the statement's memory among so many partitions.
    pub(super) fn among(mut self, partitions: usize) -> Self {
        self.batch_bytes = self.limits.batch_bytes(partitions);
        self
    }

    /// Leaves out what is older than this, and reads no batch before the first that is not.
    pub(super) fn since(mut self, time: Option<TimestampMs>) -> Self {
        self.since = time;
        self
    }

    fn isolation(&self) -> Isolation {
        if self.plan.committed_only {
            Isolation::Committed
        } else {
            Isolation::Uncommitted
        }
    }

    /// Bytes of record batches that are read at once.
    fn read_bytes(&self) -> usize {
        self.limits.read_bytes.min(self.batch_bytes)
    }

    /// Where to begin; nothing where no record is late enough.
    fn first_offset(&self) -> PlanResult<Option<Offset>> {
        let Some(since) = self.since else {
            return Ok(Some(self.offsets.start));
        };
        let found = self
            .log
            .batch_for_timestamp(since, self.isolation())
            .map_err(read_error)?;
        Ok(found.map(|offset| offset.max(self.offsets.start)))
    }
}

impl Rows {
    /// The next batch. Dropped while it waits, it loses nothing but the rows.
    async fn next(&mut self) -> Option<PlanResult<RecordBatch>> {
        let step = match std::mem::replace(self, Self::Ended) {
            Self::Unopened(scan, memory) => spawn_step(&scan.limits.steps.clone(), move || {
                let reader = PartitionReader::open(scan, memory)?;
                reader.map_or(Ok(None), |reader| step_of(Box::new(reader)))
            }),
            Self::Reading(step) => step,
            Self::Ended => return None,
        };
        match step.join().await {
            Ok(Ok(Some((rows, reader)))) => {
                let steps = reader.steps().clone();
                *self = Self::Reading(spawn_step(&steps, move || step_of(reader)));
                Some(Ok(rows))
            }
            Ok(Ok(None)) => None,
            Ok(Err(error)) => Some(Err(error)),
            Err(panic) => Some(Err(external(SqlError::internal(panic.to_string())))),
        }
    }
}

/// Runs a step as soon as one may run. The thread is given back with the step's end, whoever waits for the rows.
#[expect(
    clippy::disallowed_methods,
    reason = "reading blocks for the disk; a panic becomes an error of the statement"
)]
fn spawn_step(
    steps: &Arc<Semaphore>,
    step: impl FnOnce() -> PlanResult<Step> + Send + 'static,
) -> SpawnedTask<PlanResult<Step>> {
    let steps = Arc::clone(steps);
    SpawnedTask::spawn(async move {
        let permit = steps
            .acquire_owned()
            .await
            .map_err(|error| external(SqlError::internal(error.to_string())))?;
        let step = move || {
            let _permit = permit;
            step()
        };
        let ended = tokio::task::spawn_blocking(step).await;
        ended.unwrap_or_else(|panic| Err(external(SqlError::internal(panic.to_string()))))
    })
}

/// One step; blocks for the disk.
fn step_of(mut reader: Box<PartitionReader>) -> PlanResult<Step> {
    Ok(reader.next_rows()?.map(|rows| (rows, reader)))
}

fn read_error(error: storage::ReadError) -> DataFusionError {
    external(SqlError::new(SqlState::IO_ERROR, error.to_string()))
}

impl PartitionStream for PartitionScan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let memory = MemoryConsumer::new(format!("scan of {}", self.log.topic_partition()));
        let mut scan = self.clone();
        scan.batch_rows = context.session_config().batch_size();
        let rows = Rows::Unopened(scan, memory.register(context.memory_pool()));
        let stream = stream::unfold(rows, |mut rows| async move { Some((rows.next().await?, rows)) });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream))
    }
}
