//! Record batches of message format 2, the only one there is since Kafka 4.0: on the wire and on disk the same bytes.
//!
//! A batch is a header of 61 bytes, big-endian, and its records, which may be compressed as one run:
//!
//! | at byte | field | type |
//! |--:|---|---|
//! | 0 | base offset | i64 |
//! | 8 | batch length: bytes after this field | i32 |
//! | 12 | partition leader epoch | i32 |
//! | 16 | magic, always 2 | i8 |
//! | 17 | CRC-32C of everything from the attributes to the end | u32 |
//! | 21 | attributes | i16 |
//! | 23 | last offset delta | i32 |
//! | 27 | base timestamp | i64 |
//! | 35 | largest timestamp | i64 |
//! | 43 | producer id | i64 |
//! | 51 | producer epoch | i16 |
//! | 53 | base sequence | i32 |
//! | 57 | number of records | i32 |
//! | 61 | records | |
//!
//! Attributes: bits 0 to 2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon (the base timestamp is
//! then the horizon). The CRC leaves out base offset and leader epoch, so a broker may set both without touching it.
//!
//! - [`BatchHeader`] is the parsed header, [`Batch`] a header with the bytes it came from, [`BatchIter`] walks a run of
//!   batches.
//! - [`Records`] holds the decompressed records; [`RecordIter`] and [`SpanIter`] walk them lazily.
//! - [`BatchBuilder`] writes batches, [`marker_batch`] transaction markers.

mod attributes;
mod batch;
mod builder;
pub mod compression;
mod control;
mod crc;
mod header;
mod iter;
mod record;
mod span;
mod validate;

#[cfg(test)]
mod tests;

pub use attributes::{Attributes, TimestampType};
pub use batch::{Batch, BatchError};
pub use builder::{BatchBuilder, BatchStamp};
pub use compression::{Codec, DecompressError, Decompressor, compress, decompress, decompress_into};
pub use control::{ControlType, Marker, MarkerError, marker_batch, parse_marker};
pub use crc::{CrcMismatch, batch_crc};
pub use header::{BatchHeader, HEADER_LEN, LOG_OVERHEAD, MAGIC, MAGIC_OFFSET};
pub use iter::{BatchIter, HeaderIter};
pub use record::{Header, Headers, Record, RecordIter, Records};
pub use span::{RecordError, RecordFault, RecordPlace, RecordSpan, SpanIter};
pub use validate::{InvalidBatch, InvalidRecords, validate_produced, validate_records};
