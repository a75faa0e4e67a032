//! The metadata columns: what every record has, whatever its format.

use protocol::ids::TimestampMs;
use protocol::records::Record;

use super::RecordOrigin;
use super::columns::{Cell, ColumnBuilder};
use crate::plan::graph::SourceColumn;

/// Appends the metadata column `column` of a record. Fields of the value are not its business.
pub(super) fn append(builder: &mut ColumnBuilder, column: &SourceColumn, origin: RecordOrigin, record: &Record<'_>) {
    match column {
        SourceColumn::Key => append_optional(builder, record.key),
        SourceColumn::Value => append_optional(builder, record.value),
        SourceColumn::Partition => {
            builder.append(Cell::Integer(i64::from(origin.partition)), &[], &[]);
        }
        SourceColumn::Offset => builder.append(Cell::Integer(record.offset), &[], &[]),
        SourceColumn::Timestamp => builder.append(timestamp_cell(record.timestamp), &[], &[]),
        SourceColumn::Headers => builder.append_headers(&record.headers),
        SourceColumn::Field { .. } => builder.append_null(),
    }
}

/// A record's timestamp as TIMESTAMPTZ; -1 means that the record has none.
pub(super) fn timestamp_cell(timestamp: TimestampMs) -> Cell {
    match timestamp_us(timestamp) {
        Some(us) => Cell::Integer(us),
        None => Cell::Null,
    }
}

/// A record's timestamp in microseconds; `None` where it has none or it does not fit.
pub(super) fn timestamp_us(timestamp: TimestampMs) -> Option<i64> {
    if timestamp < 0 {
        return None;
    }
    timestamp.checked_mul(1000)
}

fn append_optional(builder: &mut ColumnBuilder, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => builder.append_bytes(bytes),
        None => builder.append_null(),
    }
}
