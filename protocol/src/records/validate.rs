//! What a broker demands of a batch that a client sends.

use super::{Batch, HEADER_LEN, RecordError, Records, TimestampType};
use crate::ids::{Offset, TimestampMs};
use crate::limits::DECOMPRESSED_BYTES_MAX_DEFAULT;

/// The smallest record: its length, attributes, two deltas, lengths of no key and no value, and no headers, one byte each.
const RECORD_BYTES_MIN: usize = 7;

/// Why a client's batch is refused from its header alone.
///
/// All are `INVALID_RECORD` on the wire, except [`InvalidBatch::LogAppendTime`], which is `INVALID_TIMESTAMP`. Source:
/// Kafka's `LogValidator` and `UnifiedLog`; the last three are stricter than Kafka, whose own clients never send them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBatch {
    /// Clients count from 0; offsets are the broker's to give.
    #[error("base offset is {base_offset} instead of 0")]
    BaseOffset {
        /// As written.
        base_offset: Offset,
    },
    /// A batch without records.
    #[error("record count {record_count} is not above 0")]
    RecordCount {
        /// As written.
        record_count: i32,
    },
    /// More records than the bytes can hold.
    #[error("{record_count} records do not fit into {size_bytes} bytes")]
    TooManyRecords {
        /// As written.
        record_count: i32,
        /// Bytes behind the header, compressed or not.
        size_bytes: usize,
    },
    /// The offsets do not span as many records as there are.
    #[error("last offset delta {last_offset_delta} does not fit {record_count} records")]
    OffsetRange {
        /// As written.
        last_offset_delta: i32,
        /// As written.
        record_count: i32,
    },
    /// Control records are the broker's to write.
    #[error("clients may not write control records")]
    Control,
    /// A producer id without a sequence number.
    #[error("producer {producer_id} sent base sequence {base_sequence}")]
    Sequence {
        /// As written.
        producer_id: i64,
        /// As written.
        base_sequence: i32,
    },
    /// The append time is the broker's to stamp.
    #[error("clients may not set the timestamp type to LogAppendTime")]
    LogAppendTime,
    /// A producer id with a negative epoch.
    #[error("producer {producer_id} sent epoch {producer_epoch}")]
    ProducerEpoch {
        /// As written.
        producer_id: i64,
        /// As written.
        producer_epoch: i16,
    },
    /// A transactional batch without a producer id.
    #[error("transactional batch without a producer id")]
    TransactionWithoutProducer,
    /// Delete horizons are compaction's to set.
    #[error("clients may not set a delete horizon")]
    DeleteHorizon,
}

/// Why a client's batch is refused once its records have been looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecords {
    /// The records cannot be read.
    #[error(transparent)]
    Unreadable(#[from] RecordError),
    /// Offset deltas that leave gaps.
    #[error("record {index}: offset delta {delta} leaves a gap")]
    Gap {
        /// Index of the record.
        index: usize,
        /// Its offset delta.
        delta: i64,
    },
    /// A record later than the batch says its latest is; time bounds are checked against that one alone.
    #[error("record {index}: timestamp {timestamp} is above the batch's largest, {max_timestamp}")]
    TimestampAboveMax {
        /// Index of the record.
        index: usize,
        /// Its timestamp.
        timestamp: TimestampMs,
        /// What the header says.
        max_timestamp: TimestampMs,
    },
}

/// Checks the header of a batch that a client sent (rules of produce v3 and later). Neither checksum nor size nor
/// records are looked at.
///
/// # Errors
/// The first rule that the header breaks.
pub fn validate_produced(batch: &Batch) -> Result<(), InvalidBatch> {
    let header = &batch.header;
    if header.base_offset != 0 {
        return Err(InvalidBatch::BaseOffset {
            base_offset: header.base_offset,
        });
    }
    if header.record_count <= 0 {
        return Err(InvalidBatch::RecordCount {
            record_count: header.record_count,
        });
    }
    if header.last_offset_delta != header.record_count - 1 {
        let (last_offset_delta, record_count) = (header.last_offset_delta, header.record_count);
        return Err(InvalidBatch::OffsetRange {
            last_offset_delta,
            record_count,
        });
    }
    check_record_count(batch)?;
    if header.is_control() {
        return Err(InvalidBatch::Control);
    }
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Err(InvalidBatch::LogAppendTime);
    }
    if header.has_delete_horizon() {
        return Err(InvalidBatch::DeleteHorizon);
    }
    validate_producer(batch)
}

/// Reads every record and checks what the header promises about them: count, contiguous offsets, no record later than
/// the largest timestamp, headers that decode.
///
/// # Errors
/// The first thing wrong.
pub fn validate_records(records: &Records) -> Result<(), InvalidRecords> {
    let header = records.header();
    for (index, record) in records.iter().enumerate() {
        let record = record?;
        let delta = record.offset - header.base_offset;
        if delta != index as i64 {
            return Err(InvalidRecords::Gap { index, delta });
        }
        let (timestamp, max_timestamp) = (record.timestamp, header.max_timestamp);
        if max_timestamp < timestamp {
            return Err(InvalidRecords::TimestampAboveMax {
                index,
                timestamp,
                max_timestamp,
            });
        }
        for header in record.headers.iter() {
            header?;
        }
    }
    Ok(())
}

/// A count takes offsets and, where these run out, a new segment, so it has to be paid for with bytes.
fn check_record_count(batch: &Batch) -> Result<(), InvalidBatch> {
    let record_count = batch.header.record_count;
    let size_bytes = batch.bytes.len() - HEADER_LEN;
    let plain_bytes = batch.header.codec().decompressed_bytes_max(size_bytes);
    let most = plain_bytes.min(DECOMPRESSED_BYTES_MAX_DEFAULT.max(size_bytes)) / RECORD_BYTES_MIN;
    match usize::try_from(record_count).is_ok_and(|count| count <= most) {
        true => Ok(()),
        false => Err(InvalidBatch::TooManyRecords {
            record_count,
            size_bytes,
        }),
    }
}

fn validate_producer(batch: &Batch) -> Result<(), InvalidBatch> {
    let header = &batch.header;
    let (producer_id, producer_epoch) = (header.producer_id, header.producer_epoch);
    if !header.has_producer_id() {
        return if header.is_transactional() {
            Err(InvalidBatch::TransactionWithoutProducer)
        } else {
            Ok(())
        };
    }
    if header.base_sequence < 0 {
        return Err(InvalidBatch::Sequence {
            producer_id,
            base_sequence: header.base_sequence,
        });
    }
    if producer_epoch < 0 {
        return Err(InvalidBatch::ProducerEpoch {
            producer_id,
            producer_epoch,
        });
    }
    Ok(())
}
