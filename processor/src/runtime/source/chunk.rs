//! What a source hands out at a time.

use arrow::array::RecordBatch;
use protocol::ids::Offset;
use protocol::records::{Record, Records};

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

impl Chunk {
    /// The record at an offset of this chunk.
    pub(in crate::runtime) fn record(&self, offset: Offset) -> Option<Record<'_>> {
        self.records
            .iter()
            .find(|records| {
                let header = records.header();
                header.base_offset <= offset && offset <= header.last_offset()
            })
            .and_then(|records| {
                records
                    .iter()
                    .filter_map(Result::ok)
                    .find(|record| record.offset == offset)
            })
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
