//! Transaction markers: control batches that say how a producer's transaction on a partition ended.
//!
//! A control record's key is a version (i16) and a type (i16); a marker's value is a version (i16) and the coordinator's
//! epoch (i32). Later versions may append fields. A marker batch holds one record and takes one offset.

use super::{Batch, BatchBuilder, BatchStamp, Codec, RecordError};
use crate::{
    codec::{DecodeError, Reader},
    ids::{NO_SEQUENCE, ProducerEpoch, ProducerId, TimestampMs},
};

/// Bytes that a control batch's records may decompress to; a marker takes some twenty.
const MARKER_BYTES_MAX: usize = 64 * 1024;

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum ControlType {
    /// Its records are as if they had never been written.
    Abort = 0,
    /// Its records count.
    Commit = 1,
}

impl ControlType {
    /// The type of a number on the wire; nothing for the types that Kafka's Raft layer uses.
    #[must_use]
    pub const fn from_id(id: i16) -> Option<Self> {
        match id {
            0 => Some(Self::Abort),
            1 => Some(Self::Commit),
            _ => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn id(self) -> i16 {
        self as i16
    }
}

/// What a marker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Whose transaction ended.
    pub producer_id: ProducerId,
    /// Under which epoch.
    pub producer_epoch: ProducerEpoch,
    /// How.
    pub kind: ControlType,
    /// Term of the transaction coordinator that decided it.
    pub coordinator_epoch: i32,
    /// When the marker was made.
    pub timestamp: TimestampMs,
}

/// Why a batch is no marker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarkerError {
    /// A batch of ordinary records.
    #[error("not a control batch")]
    NotControl,
    /// A control batch without a record: what compaction leaves of one.
    #[error("control batch without a record")]
    Empty,
    /// A control record of another kind than abort or commit.
    #[error("control record of type {id}")]
    OtherType {
        /// The number on the wire.
        id: i16,
    },
    /// The record itself cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Key or value of the record cannot be read.
    #[error("control record's {part}: {source}")]
    Malformed {
        /// `key` or `value`.
        part: &'static str,
        /// Why not.
        source: DecodeError,
    },
}

/// Makes a marker batch, with base offset 0.
#[must_use]
pub fn marker_batch(
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    kind: ControlType,
    coordinator_epoch: i32,
    now: TimestampMs,
) -> Batch {
    let mut key = [0; 4];
    key[2..].copy_from_slice(&kind.id().to_be_bytes());
    let mut value = [0; 6];
    value[2..].copy_from_slice(&coordinator_epoch.to_be_bytes());
    let mut builder = BatchBuilder::new(Codec::None, None, now);
    builder.append(now, Some(&key), Some(&value), &[]);
    builder.finish(BatchStamp {
        producer_id,
        producer_epoch,
        base_sequence: NO_SEQUENCE,
        transactional: true,
        control: true,
    })
}

/// Reads a marker batch.
///
/// # Errors
/// [`MarkerError`]; a control batch of another kind is [`MarkerError::OtherType`], which readers skip.
pub fn parse_marker(batch: &Batch) -> Result<Marker, MarkerError> {
    if !batch.header.is_control() {
        return Err(MarkerError::NotControl);
    }
    let records = batch.records(MARKER_BYTES_MAX)?;
    let record = records.iter().next().ok_or(MarkerError::Empty)??;
    let id = read_type(record.key).map_err(|source| MarkerError::Malformed { part: "key", source })?;
    let kind = ControlType::from_id(id).ok_or(MarkerError::OtherType { id })?;
    let coordinator_epoch =
        read_epoch(record.value).map_err(|source| MarkerError::Malformed { part: "value", source })?;
    Ok(Marker {
        producer_id: batch.header.producer_id,
        producer_epoch: batch.header.producer_epoch,
        kind,
        coordinator_epoch,
        timestamp: record.timestamp,
    })
}

fn read_type(key: Option<&[u8]>) -> Result<i16, DecodeError> {
    let mut reader = Reader::new(key.ok_or(DecodeError::UnexpectedNull)?);
    reader.i16()?;
    reader.i16()
}

fn read_epoch(value: Option<&[u8]>) -> Result<i32, DecodeError> {
    let mut reader = Reader::new(value.ok_or(DecodeError::UnexpectedNull)?);
    reader.i16()?;
    reader.i32()
}
