//! Streaming operators: what happens to rows between source and output. One operator per file, one trait.
//!
//! An operator is driven by callbacks: batches, watermarks, ticks of `EMIT ON UPDATE`, barriers. It computes
//! synchronously, keeps what must survive a restart in its declared state tables, does no other IO and sees no clock.
//! What it gives on goes into its [`Context`], from where the pipeline hands it to the next operator.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use crate::state::{StateError, StateStore, TableId};
use crate::time::EventTime;

pub mod aggregate;
pub mod epoch_buffer;
mod expression;
pub mod filter;
pub mod late;
pub mod partitioner;
pub mod project;
pub mod sink;

pub(crate) use expression::evaluate_time;

/// What a row of a change stream means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ChangeKind {
    /// A new row.
    Insert,
    /// The row that was emitted last for this key, about to be replaced.
    UpdateBefore,
    /// The row that takes its place.
    UpdateAfter,
    /// The row that was emitted last for this key is gone.
    Delete,
}

/// A batch of rows with what each of them means.
#[derive(Debug, Clone)]
pub struct ChangeBatch {
    /// The rows.
    pub rows: RecordBatch,
    /// One kind per row; `None` where all are inserts, as in an append-only stream.
    pub kinds: Option<Arc<[ChangeKind]>>,
}

impl ChangeBatch {
    /// A batch of an append-only stream.
    pub fn inserts(rows: RecordBatch) -> Self {
        Self { rows, kinds: None }
    }

    /// Some of its rows.
    pub fn slice(&self, start: usize, rows: usize) -> Self {
        Self {
            rows: self.rows.slice(start, rows),
            kinds: self.kinds.as_ref().map(|kinds| kinds[start..start + rows].into()),
        }
    }

    /// The kind of a row.
    pub fn kind(&self, row: usize) -> ChangeKind {
        self.kinds.as_ref().map_or(ChangeKind::Insert, |kinds| kinds[row])
    }
}

/// Whether an operator is through with a watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Everything that the watermark closes is closed.
    Done,
    /// Call again with the same watermark; a barrier may come in between. Bounds the work between two barriers.
    More,
}

/// Why an operator gave up.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// An expression failed on some row of the batch. Nothing of the batch has had an effect, so it may be tried again
    /// in parts.
    #[error("{0}")]
    Row(DataFusionError),
    /// An expression failed on a result row. Nothing of the batch has had an effect.
    #[error("result: {0}")]
    Result(DataFusionError),
    /// What was made of input rows is more than the query may hold until its next barrier.
    #[error("{0} bytes are held before the next barrier")]
    Crowded(usize),
    /// An aggregate left the range of its type.
    #[error("{0}")]
    Overflow(String),
    /// Arrow refused: a bug of the plan.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// State could not be read.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What an operator works with during a callback.
pub struct Context<'a> {
    /// The query's state.
    pub state: &'a mut StateStore,
    /// Batches for the next operator, in order.
    pub output: &'a mut Vec<ChangeBatch>,
    /// Records for the current epoch.
    pub buffer: &'a mut epoch_buffer::EpochBuffer,
    /// What there is to count.
    pub counts: &'a mut Counts,
    /// Tells expression failures on input rows, which make a record bad, from those on results, which are held back.
    pub on_results: bool,
}

/// What operators count; the runtime adds it to the query's statistics.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Rows that were late for all their windows.
    pub late: u64,
    /// Rows, or changes of rows, that left the query.
    pub rows_out: u64,
}

impl Context<'_> {
    /// Wraps a failed evaluation.
    pub fn evaluation(&self, error: DataFusionError) -> OperatorError {
        match self.on_results {
            true => OperatorError::Result(error),
            false => OperatorError::Row(error),
        }
    }
}

/// One step of a query. Owned by the query's thread.
pub trait Operator: Send {
    /// Name in EXPLAIN, messages and metrics.
    fn name(&self) -> &'static str;

    /// State tables that the operator uses.
    fn tables(&self) -> &'static [TableId] {
        &[]
    }

    /// True when what it gives on is a result, no longer an input row.
    fn makes_results(&self) -> bool {
        false
    }

    /// Reads what it needs from its tables; called once, before anything else.
    fn open(&mut self, _context: &mut Context<'_>) -> Result<(), OperatorError> {
        Ok(())
    }

    /// Takes a batch. After [`OperatorError::Row`] and [`OperatorError::Result`] the batch must have had no effect.
    fn on_batch(&mut self, batch: ChangeBatch, context: &mut Context<'_>) -> Result<(), OperatorError>;

    /// The watermark has reached this time: rows below it are not expected any more.
    fn on_watermark(&mut self, _watermark: EventTime, _context: &mut Context<'_>) -> Result<Progress, OperatorError> {
        Ok(Progress::Done)
    }

    /// Emits the changes that are pending under `EMIT ON UPDATE`.
    fn on_tick(&mut self, _context: &mut Context<'_>) -> Result<(), OperatorError> {
        Ok(())
    }

    /// An epoch ends: everything that must survive goes into the state tables.
    fn on_barrier(&mut self, _context: &mut Context<'_>) -> Result<(), OperatorError> {
        Ok(())
    }

    /// The smallest watermark at which the operator has something to do.
    fn next_timer(&self) -> Option<EventTime> {
        None
    }

    /// True when a tick would emit something.
    fn has_pending(&self) -> bool {
        false
    }

    /// Memory held beside the state store, in bytes, estimated.
    fn memory_bytes(&self) -> usize {
        0
    }

    /// Bytes of changes that the next barrier will bring into the state tables, estimated.
    fn unsaved_bytes(&self) -> usize {
        0
    }

    /// Lets go of memory that can be read back from the state tables, down to about `target` bytes. Called right
    /// after a barrier.
    fn shrink(&mut self, _target: usize) {}
}
