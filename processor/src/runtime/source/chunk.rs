//! What a source hands out at a time.

use arrow::array::RecordBatch;
use protocol::ids::Offset;
use protocol::records::{Record, RecordIter, Records};

/// Rows of one turn of one partition.
pub(in crate::runtime) struct Chunk {
    /// The partition's index in the source.
    pub(in crate::runtime) partition: usize,
    /// The rows.
    pub(in crate::runtime) rows: RecordBatch,
    /// Offset of each row.
    pub(in crate::runtime) offsets: Vec<Offset>,
    /// Records that could not become rows, or only in part.
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
