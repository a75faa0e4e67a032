//! The operators of a query, in a row over one state store. Synchronous and without a clock: the same calls give the
//! same state and output.

use arrow::array::RecordBatch;
use datafusion::error::DataFusionError;

use crate::operators::epoch_buffer::EpochBuffer;
use crate::operators::{ChangeBatch, ChangeKind, Context, Counts, Operator, OperatorError, Progress};
use crate::state::StateStore;
use crate::time::EventTime;

/// Most rows that operators are given at once.
const PUSH_ROWS: usize = 8_192;

/// Operators in order, the sink last, with what they share.
pub(super) struct Pipeline {
    operators: Vec<Box<dyn Operator>>,
    /// Operators from this index on work on results.
    results_from: usize,
    pub(super) state: StateStore,
    pub(super) buffer: EpochBuffer,
    pub(super) counts: Counts,
    failed_results: FailedResults,
    /// Bytes that operators may hold, and an epoch.
    limit: usize,
}

/// Result rows that are held back because an expression failed on them.
#[derive(Default)]
pub(super) struct FailedResults {
    /// How many.
    pub(super) count: u64,
    /// What failed on the last one.
    pub(super) last: Option<DataFusionError>,
}

/// A row of a batch on which an expression failed.
pub(super) struct BadRow {
    /// Its index in the batch.
    pub(super) row: usize,
    /// What failed.
    pub(super) reason: String,
}

impl Pipeline {
    pub(super) fn new(operators: Vec<Box<dyn Operator>>, state: StateStore, buffer: EpochBuffer) -> Self {
        let aggregate = operators.iter().position(|operator| operator.makes_results());
        Self {
            results_from: aggregate.map_or(operators.len(), |index| index + 1),
            operators,
            state,
            buffer,
            counts: Counts::default(),
            failed_results: FailedResults::default(),
            limit: usize::MAX,
        }
    }

    /// Bounds what operators may hold, and an epoch, while rows are pushed: either of them so many bytes.
    pub(super) fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// The result rows that were held back since the last call.
    pub(super) fn take_failed_results(&mut self) -> FailedResults {
        std::mem::take(&mut self.failed_results)
    }

    /// Lets every operator read its state; once, before anything else.
    pub(super) fn open(&mut self) -> Result<(), OperatorError> {
        self.each(|operator, context| operator.open(context))
    }

    /// Takes input rows. Rows on which an expression fails are left out and returned; all others count. After
    /// [`OperatorError::Crowded`] the epoch cannot be committed.
    pub(super) fn push(&mut self, rows: &RecordBatch) -> Result<Vec<BadRow>, OperatorError> {
        let mut bad = Vec::new();
        for start in (0..rows.num_rows()).step_by(PUSH_ROWS) {
            let count = PUSH_ROWS.min(rows.num_rows() - start);
            self.push_part(&rows.slice(start, count), start, &mut bad)?;
        }
        Ok(bad)
    }

    /// Moves the watermark. [`Progress::More`] asks for another call, before which a barrier may come.
    pub(super) fn advance(&mut self, watermark: EventTime) -> Result<Progress, OperatorError> {
        let mut progress = Progress::Done;
        self.each(|operator, context| {
            if operator.on_watermark(watermark, context)? == Progress::More {
                progress = Progress::More;
            }
            Ok(())
        })?;
        Ok(progress)
    }

    /// Emits what is pending under `EMIT ON UPDATE`.
    pub(super) fn tick(&mut self) -> Result<(), OperatorError> {
        self.each(|operator, context| operator.on_tick(context))
    }

    /// Brings all state into the tables.
    pub(super) fn barrier(&mut self) -> Result<(), OperatorError> {
        self.each(|operator, context| operator.on_barrier(context))
    }

    /// The smallest watermark at which something happens.
    pub(super) fn next_timer(&self) -> Option<EventTime> {
        self.operators.iter().filter_map(|operator| operator.next_timer()).min()
    }

    /// True when a tick would emit something.
    pub(super) fn has_pending(&self) -> bool {
        self.operators.iter().any(|operator| operator.has_pending())
    }

    /// Memory that operators hold, in bytes.
    pub(super) fn operator_bytes(&self) -> usize {
        self.operators.iter().map(|operator| operator.memory_bytes()).sum()
    }

    /// Bytes that the current epoch holds until it is committed, or will hold after its barrier.
    pub(super) fn epoch_bytes(&self) -> usize {
        let unsaved: usize = self.operators.iter().map(|operator| operator.unsaved_bytes()).sum();
        self.state.current_bytes() + self.buffer.bytes() + unsaved
    }

    /// Input rows may become many, or large: looks as soon as each part of them is processed.
    fn check_room(&self) -> Result<(), OperatorError> {
        let held = self.epoch_bytes().max(self.operator_bytes());
        match held <= self.limit {
            true => Ok(()),
            false => Err(OperatorError::Crowded(held)),
        }
    }

    /// Lets operators go of what can be read back, right after a barrier.
    pub(super) fn shrink(&mut self, target: usize) {
        for operator in &mut self.operators {
            operator.shrink(target);
        }
    }

    /// Tries rows as a whole; where an expression fails, halves them until the rows that fail are alone. A batch that
    /// fails has had no effect, so nothing counts twice.
    fn push_part(&mut self, rows: &RecordBatch, first: usize, bad: &mut Vec<BadRow>) -> Result<(), OperatorError> {
        match self.run_from(0, ChangeBatch::inserts(rows.clone())) {
            Err(OperatorError::Row(error)) if rows.num_rows() < 2 => {
                bad.push(BadRow {
                    row: first,
                    reason: error.to_string(),
                });
                Ok(())
            }
            Err(OperatorError::Row(_)) => {
                let half = rows.num_rows() / 2;
                self.push_part(&rows.slice(0, half), first, bad)?;
                self.push_part(&rows.slice(half, rows.num_rows() - half), first + half, bad)
            }
            Ok(()) => self.check_room(),
            other => other,
        }
    }

    /// Gives a batch to the operator at `index`, and what comes out to the next one. Results on which an expression fails
    /// are held back.
    fn run_from(&mut self, index: usize, batch: ChangeBatch) -> Result<(), OperatorError> {
        if self.operators.len() <= index {
            return Ok(());
        }
        let on_results = self.results_from <= index;
        let whole = on_results.then(|| batch.clone());
        let mut output = Vec::new();
        let mut context = Context {
            state: &mut self.state,
            output: &mut output,
            buffer: &mut self.buffer,
            counts: &mut self.counts,
            on_results: self.results_from <= index,
        };
        match (self.operators[index].on_batch(batch, &mut context), whole) {
            (Err(OperatorError::Result(error)), Some(whole)) => return self.run_results(index, &whole, error),
            (done, _) => done?,
        }
        output.into_iter().try_for_each(|batch| self.run_from(index + 1, batch))
    }

    /// Tries results on which `error` came in halves, down to the row that fails. The halves of an update stay together,
    /// so that it does not become a row that goes and one that comes.
    fn run_results(&mut self, index: usize, batch: &ChangeBatch, error: DataFusionError) -> Result<(), OperatorError> {
        let rows = batch.rows.num_rows();
        if rows < 2 {
            self.failed_results.count += 1;
            self.failed_results.last = Some(error);
            return Ok(());
        }
        let mut half = rows / 2;
        if 2 < rows && batch.kind(half) == ChangeKind::UpdateAfter {
            half = if half + 1 < rows { half + 1 } else { half - 1 };
        }
        self.run_from(index, batch.slice(0, half))?;
        self.run_from(index, batch.slice(half, rows - half))
    }

    /// Calls every operator in order; what one gives on reaches the next ones before they are called.
    fn each(
        &mut self,
        mut call: impl FnMut(&mut dyn Operator, &mut Context<'_>) -> Result<(), OperatorError>,
    ) -> Result<(), OperatorError> {
        for index in 0..self.operators.len() {
            let mut output = Vec::new();
            let mut context = Context {
                state: &mut self.state,
                output: &mut output,
                buffer: &mut self.buffer,
                counts: &mut self.counts,
                on_results: self.results_from <= index,
            };
            call(self.operators[index].as_mut(), &mut context)?;
            for batch in output {
                self.run_from(index + 1, batch)?;
            }
        }
        Ok(())
    }
}
