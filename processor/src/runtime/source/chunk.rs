//! What a source hands out at a time.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use datafusion::error::{DataFusionError, Result as EvaluationResult};
use datafusion::physical_expr::PhysicalExpr;
use protocol::ids::Offset;
use protocol::records::{Record, RecordIter, Records};

use crate::operators::{OperatorError, evaluate_time};
use crate::time::{EventTime, START_OF_TIME};

/// Rows of one turn of one partition.
pub(in crate::runtime) struct Chunk {
    /// The partition's index in the source.
    pub(in crate::runtime) partition: usize,
    /// The rows.
    pub(in crate::runtime) rows: RecordBatch,
    /// Offset of each row.
    pub(in crate::runtime) offsets: Vec<Offset>,
    /// Event time of each row.
    pub(super) event_times: Vec<EventTime>,
    /// The watermark that each row proposes; the start of time where it proposes none.
    pub(super) proposals: Vec<EventTime>,
    /// Records that could not become rows, or only in part, in the order of their offsets.
    pub(in crate::runtime) bad: Vec<BadRecord>,
    /// The records that they came from, where these could be decompressed.
    pub(super) records: Vec<Records>,
}

/// A bad record.
pub(in crate::runtime) struct BadRecord {
    /// Where it lies.
    pub(in crate::runtime) offset: Offset,
    /// What is wrong.
    pub(in crate::runtime) reason: String,
    /// True when a row was made of it all the same (`ON ERROR NULL`).
    pub(in crate::runtime) repaired: bool,
}

/// One walk over the records of a chunk, for those that are asked for in their order.
pub(in crate::runtime) struct RecordWalk<'a> {
    records: &'a [Records],
    /// Where each batch is read on; empty until something is asked for.
    batches: Vec<RecordIter<'a>>,
}

impl Chunk {
    /// Begins a walk over the records.
    pub(in crate::runtime) fn walk(&self) -> RecordWalk<'_> {
        RecordWalk {
            records: &self.records,
            batches: Vec::new(),
        }
    }

    /// Finds out what time the rows make it. Those on which the expression of the watermark fails are left out: their
    /// records are bad.
    pub(super) fn time(&mut self, event_time: usize, watermark: &Arc<dyn PhysicalExpr>) -> Result<(), OperatorError> {
        let mut failed = Vec::new();
        self.proposals.clear();
        propose(watermark, &self.rows, 0, &mut self.proposals, &mut failed);
        if !failed.is_empty() {
            self.leave_out(&failed)?;
        }
        let times = self.rows.column(event_time).as_primitive::<TimestampMicrosecondType>();
        self.event_times = times.values().to_vec();
        Ok(())
    }

    /// Leaves rows out, which come in ascending order.
    fn leave_out(&mut self, failed: &[(usize, DataFusionError)]) -> Result<(), OperatorError> {
        let is_kept = |row: usize| failed.binary_search_by_key(&row, |(row, _)| *row).is_err();
        let kept: BooleanArray = (0..self.rows.num_rows()).map(|row| Some(is_kept(row))).collect();
        let offsets: Vec<Offset> = failed.iter().map(|(row, _)| self.offsets[*row]).collect();
        // What was mended is bad all the same.
        self.bad.retain(|bad| offsets.binary_search(&bad.offset).is_err());
        let reasons = failed.iter().map(|(_, error)| format!("watermark: {error}"));
        let bad = offsets
            .iter()
            .zip(reasons)
            .map(|(offset, reason)| BadRecord::new(*offset, reason));
        self.bad.extend(bad);
        self.bad.sort_by_key(|bad| bad.offset);
        self.rows = filter_record_batch(&self.rows, &kept)?;
        let mut row = 0;
        self.offsets.retain(|_| {
            row += 1;
            is_kept(row - 1)
        });
        Ok(())
    }
}

/// Appends what rows propose. Where the expression fails it halves them until the rows on which it does are alone;
/// `first` is the index of the first row.
fn propose(
    watermark: &Arc<dyn PhysicalExpr>,
    rows: &RecordBatch,
    first: usize,
    proposals: &mut Vec<EventTime>,
    failed: &mut Vec<(usize, DataFusionError)>,
) {
    match watermarks(watermark, rows) {
        Ok(found) => proposals.extend(found),
        Err(error) if rows.num_rows() < 2 => failed.push((first, error)),
        Err(_) => {
            let half = rows.num_rows() / 2;
            propose(watermark, &rows.slice(0, half), first, proposals, failed);
            let rest = rows.slice(half, rows.num_rows() - half);
            propose(watermark, &rest, first + half, proposals, failed);
        }
    }
}

/// The watermark that every row proposes; the start of time where the expression is NULL.
fn watermarks(watermark: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> EvaluationResult<Vec<EventTime>> {
    let values = evaluate_time(watermark, rows)?;
    Ok(match values.null_count() {
        0 => values.values().to_vec(),
        _ => values.iter().map(|value| value.unwrap_or(START_OF_TIME)).collect(),
    })
}

impl<'a> RecordWalk<'a> {
    /// The record at an offset, if it lies behind all that were found in its batch. Nothing is read twice, so that a
    /// chunk of bad records alone costs no more than reading it once.
    pub(in crate::runtime) fn find(&mut self, offset: Offset) -> Option<Record<'a>> {
        if self.batches.is_empty() {
            self.batches = self.records.iter().map(Records::iter).collect();
        }
        let behind = |records: &Records| records.header().base_offset <= offset;
        let index = self.records.partition_point(behind).checked_sub(1)?;
        if self.records[index].header().last_offset() < offset {
            return None;
        }
        self.batches[index]
            .by_ref()
            .filter_map(Result::ok)
            .find(|record| record.offset == offset)
    }
}

impl BadRecord {
    /// A record of which no row could be made.
    pub(super) fn new(offset: Offset, reason: String) -> Self {
        Self {
            offset,
            reason,
            repaired: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Schema;
    use protocol::records::{Batch, BatchBuilder, BatchStamp, Codec};

    use super::*;

    fn batch(base_offset: Offset, values: &[&str]) -> Records {
        let mut builder = BatchBuilder::new(Codec::None, None, 0);
        for value in values {
            builder.append(0, None, Some(value.as_bytes()), &[]);
        }
        let batch = builder.finish(BatchStamp::NONE);
        let head = batch.patched_header(base_offset, 0, None);
        let bytes = [&head[..], &batch.bytes[head.len()..]].concat();
        let batch = Batch::parse(bytes.into()).expect("a batch");
        batch.records(usize::MAX).expect("readable")
    }

    fn chunk() -> Chunk {
        Chunk {
            partition: 0,
            rows: RecordBatch::new_empty(Arc::new(Schema::empty())),
            offsets: Vec::new(),
            event_times: Vec::new(),
            proposals: Vec::new(),
            bad: Vec::new(),
            // Offsets 3 and 4 were not kept.
            records: vec![batch(0, &["a", "b", "c"]), batch(5, &["d", "e"])],
        }
    }

    #[test]
    fn ascending_offsets_are_found_in_one_walk() {
        let chunk = chunk();
        let mut walk = chunk.walk();
        let mut find = |offset| {
            let value = walk.find(offset).and_then(|record| record.value);
            value.map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let found: Vec<_> = [-1, 0, 2, 4, 6, 7].into_iter().map(&mut find).collect();
        let expected = [None, Some("a"), Some("c"), None, Some("e"), None];
        assert_eq!(found, expected.map(|value| value.map(str::to_owned)));
        assert_eq!(find(1), None, "nothing is read twice");
        assert_eq!(chunk.walk().find(1).and_then(|record| record.value), Some(&b"b"[..]));
    }
}
