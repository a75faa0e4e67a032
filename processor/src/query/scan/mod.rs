//! Reading one partition from an offset to an offset.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use protocol::ids::{Offset, TimestampMs};
use protocol::records::{Batch, Decompressor, Records};
use storage::{Isolation, Log, VisibleReader};

use crate::error::{SqlError, SqlState};
use crate::formats::{BadRecord, RecordOrigin, SourceDecoder};
use crate::plan::external;
use crate::plan::graph::{ErrorPolicy, SourcePlan};
use crate::stats::SelectStats;

/// Rows of one batch of the result.
const BATCH_ROWS: usize = 8192;
/// Batches that may wait for whoever reads the result.
const BATCHES_AHEAD: usize = 2;

/// Bounds of reading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScanLimits {
    /// Bytes of batches that are read at once.
    pub(crate) read_bytes: usize,
    /// Largest decompressed size of a batch.
    pub(crate) decompressed_bytes: usize,
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

    fn add_skipped(&self) {
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
    counts: ScanCounts,
}

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
            limits,
            counts,
        }
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

    /// Blocks for the disk. `send` answers false when nobody waits for more.
    fn read(&self, mut send: impl FnMut(RecordBatch) -> bool) -> PlanResult<()> {
        let Some(from) = self.first_offset()? else {
            return Ok(());
        };
        let mut reader = VisibleReader::new(self.log.clone(), from, Some(self.offsets.end), self.isolation());
        let mut decompressor = Decompressor::new();
        let mut decoder = SourceDecoder::new(&self.plan)?;
        while let Some(batches) = reader.next_batches(self.limits.read_bytes).map_err(read_error)? {
            for batch in &batches {
                let decoded = self.decode(batch, from, &mut decompressor, &mut decoder);
                self.counts.of_engine.add_batches(1, decompressor.take_count());
                decoded?;
                if BATCH_ROWS <= decoder.len() && !send(self.take(&mut decoder)?) {
                    return Ok(());
                }
            }
        }
        if !decoder.is_empty() {
            send(self.take(&mut decoder)?);
        }
        Ok(())
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

    fn decode(
        &self,
        batch: &Batch,
        from: Offset,
        decompressor: &mut Decompressor,
        decoder: &mut SourceDecoder,
    ) -> PlanResult<()> {
        let partition = self.log.topic_partition().partition;
        let origin = RecordOrigin {
            partition,
            batch_max_timestamp: batch.header.max_timestamp,
        };
        let records = match Records::open(batch, self.limits.decompressed_bytes, decompressor) {
            Ok(records) => records,
            Err(error) => return self.bad(batch.header.base_offset, &BadRecord::new(error.to_string())),
        };
        let mut next = batch.header.base_offset;
        for record in &records {
            let record = match record {
                Ok(record) => record,
                // The rest of the batch cannot be told apart: it counts as one bad record.
                Err(error) if from <= next && next < self.offsets.end => {
                    return self.bad(next, &BadRecord::new(error.to_string()));
                }
                Err(_) => return Ok(()),
            };
            next = record.offset + 1;
            let is_older = self.since.is_some_and(|since| record.timestamp < since);
            if record.offset < from || is_older {
                continue;
            }
            if self.offsets.end <= record.offset {
                break;
            }
            if let Err(reason) = decoder.push(origin, &record) {
                self.bad(record.offset, &reason)?;
            }
        }
        Ok(())
    }

    /// A bad record ends the query where the source says FAIL, and is left out and counted otherwise.
    fn bad(&self, offset: Offset, reason: &BadRecord) -> PlanResult<()> {
        if self.plan.on_error != ErrorPolicy::Fail {
            self.counts.add_skipped();
            return Ok(());
        }
        Err(external(
            SqlError::new(
                SqlState::DATA_EXCEPTION,
                format!(
                    "bad record in {} at offset {offset}: {reason}",
                    self.log.topic_partition()
                ),
            )
            .with_hint("ON ERROR SKIP leaves bad records out"),
        ))
    }

    fn take(&self, decoder: &mut SourceDecoder) -> PlanResult<RecordBatch> {
        let batch = decoder.finish()?;
        let columns = batch.columns()[..self.schema.fields().len()].to_vec();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(
            self.schema.clone(),
            columns,
            &options,
        )?)
    }
}

fn read_error(error: storage::ReadError) -> DataFusionError {
    external(SqlError::new(SqlState::IO_ERROR, error.to_string()))
}

impl PartitionStream for PartitionScan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStream::builder(self.schema.clone(), BATCHES_AHEAD);
        let sender = builder.tx();
        let scan = self.clone();
        builder.spawn_blocking(move || scan.read(|batch| sender.blocking_send(Ok(batch)).is_ok()));
        builder.build()
    }
}
