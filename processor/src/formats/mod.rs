//! Bytes of records to Arrow columns and back.
//!
//! Decoding is the hot path of every source: [`SourceDecoder`] takes records one by one as they leave the decompressed
//! batch, decodes only the columns that the query needs, and appends straight into typed Arrow builders. A record that
//! cannot be a row is reported and leaves no trace; it never stops the batch. Encoding turns result rows into JSON
//! values and keys by the rules of docs/sql.md.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use protocol::ids::{PartitionId, TimestampMs};
use protocol::records::Record;

use crate::plan::graph::SourcePlan;

mod columns;
mod event_time;
pub mod json;
mod raw;

/// Where a record lies and what its batch says of it.
#[derive(Debug, Clone, Copy)]
pub struct RecordOrigin {
    /// The partition.
    pub partition: PartitionId,
    /// The largest timestamp that the batch's header declares; a record above it lies, and is a bad record.
    pub batch_max_timestamp: TimestampMs,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded {
    /// A row was appended.
    Row,
    /// A row was appended in which bad fields became NULL (`ON ERROR NULL`); it counts as a bad record, too.
    Repaired,
}

/// Why a record cannot be a row. The text goes to dead letters, `SHOW QUERIES` and the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadRecord {
    /// What is wrong, naming the column where there is one.
    pub reason: String,
}

impl BadRecord {
    /// A bad record with this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// Decodes the records of one source into batches of `SourcePlan::schema`.
///
/// One decoder per source task; not shared. Call [`push`](Self::push) per record in offset order and
/// [`finish`](Self::finish) when the batch is large enough; the decoder is then empty and ready for the next one.
pub struct SourceDecoder {
    rows: json::JsonDecoder,
}

impl SourceDecoder {
    /// A decoder for the columns, format and error policy of `plan`. Fails where the plan names a column type that
    /// its format cannot hold, which is a bug of the planner.
    pub fn new(plan: &SourcePlan) -> Result<Self, ArrowError> {
        Ok(Self {
            rows: json::JsonDecoder::new(plan)?,
        })
    }

    /// Decodes one record. After an error nothing of the record is in the batch; the policy that says what to do with
    /// it (fail, skip, dead letter) is the caller's. `ON ERROR NULL` is applied here.
    pub fn push(&mut self, origin: RecordOrigin, record: &Record<'_>) -> Result<Decoded, BadRecord> {
        self.rows.push(origin, record)
    }

    /// Rows appended since the last [`finish`](Self::finish).
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True when no row was appended since the last [`finish`](Self::finish).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The columns of the batches.
    pub fn schema(&self) -> &SchemaRef {
        self.rows.schema()
    }

    /// Takes the rows as a batch, possibly of no rows.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        self.rows.finish()
    }
}
