//! What can go wrong: small structs for facts, one enum per operation.

use std::{io, path::PathBuf, sync::Arc};

use protocol::{
    Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicPartition,
    records::{BatchError, CrcMismatch, InvalidBatch, InvalidRecords, RecordError},
};

/// An IO error with what was being done. It can be cloned, because one failed flush answers many callers.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation} {}: {source}", path.display())]
pub struct IoFailure {
    /// What was being done, such as `append to`.
    pub operation: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The operating system's answer.
    pub source: Arc<io::Error>,
}

impl IoFailure {
    /// Ties an error to what was being done.
    pub fn new(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self {
            operation,
            path: path.into(),
            source: Arc::new(source),
        }
    }

    /// Whether the device, the quota or a file-size limit is exhausted: a condition that goes away.
    #[must_use]
    pub fn is_out_of_space(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    }

    /// Whether the process or the machine has no file descriptor left. Only opening a file meets this, so nothing was
    /// tried and nothing is lost.
    #[must_use]
    pub fn is_out_of_descriptors(&self) -> bool {
        let errno = rustix::io::Errno::from_io_error(&self.source);
        matches!(errno, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
    }
}

/// A log that met a failed write or fsync and accepts nothing until the process starts again.
///
/// The kernel marks pages clean after a failed fsync, so a retry that succeeds proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("log {log} is stopped after a failed write: {cause}")]
pub struct Poisoned {
    /// The log.
    pub log: TopicPartition,
    /// What failed first.
    pub cause: Arc<str>,
}

/// An offset that the log does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("offset {requested} is outside {log_start}..={log_end}")]
pub struct OffsetOutOfRange {
    /// What was asked for.
    pub requested: Offset,
    /// First offset of the log.
    pub log_start: Offset,
    /// Offset that the next record will get.
    pub log_end: Offset,
}

/// A range of offsets whose bytes are not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("offsets {first_offset}..{next_offset} are corrupt and quarantined")]
pub struct CorruptRange {
    /// First offset that cannot be read.
    pub first_offset: Offset,
    /// First readable offset behind it.
    pub next_offset: Offset,
}

/// A batch that did not arrive as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CorruptBatch {
    /// Its bytes are no batch.
    #[error("corrupt batch: {0}")]
    Malformed(#[from] BatchError),
    /// Its checksum does not fit its bytes.
    #[error("corrupt batch: {0}")]
    Crc(#[from] CrcMismatch),
}

/// A batch above `max.message.bytes` or above the segment size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("batch of {size_bytes} bytes exceeds the limit of {max_bytes}")]
pub struct BatchTooLarge {
    /// Bytes of the batch, log overhead included.
    pub size_bytes: usize,
    /// The limit.
    pub max_bytes: usize,
}

/// A timestamp outside the bounds around the broker's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("timestamp {timestamp} is outside {min}..={max}")]
pub struct InvalidTimestamp {
    /// The batch's timestamp.
    pub timestamp: TimestampMs,
    /// Earliest that is allowed.
    pub min: TimestampMs,
    /// Latest that is allowed.
    pub max: TimestampMs,
}

/// A record that is not what its batch header says, or that the topic does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecord {
    /// A record without a key in a compacted log.
    #[error("record {index}: a compacted topic needs a key")]
    MissingKey {
        /// Position of the record within the batch, from 0.
        index: usize,
    },
    /// The records are not what the header says.
    #[error(transparent)]
    Records(#[from] InvalidRecords),
    /// The records cannot be decompressed for the topic's own codec.
    #[error(transparent)]
    Unreadable(#[from] RecordError),
}

impl InvalidRecord {
    /// Position of the offending record within the batch, from 0; `None` where it is not one record's fault.
    #[must_use]
    pub fn index(&self) -> Option<usize> {
        match self {
            Self::MissingKey { index }
            | Self::Records(InvalidRecords::Gap { index, .. } | InvalidRecords::TimestampAboveMax { index, .. }) => {
                Some(*index)
            }
            Self::Records(InvalidRecords::Unreadable(error)) | Self::Unreadable(error) => Some(error.index),
        }
    }
}

/// A sequence number that is not the next one of its producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("producer {producer_id} epoch {producer_epoch}: sequence {found} where {expected} was expected")]
pub struct OutOfOrderSequence {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// What would have been right.
    pub expected: Sequence,
    /// What came.
    pub found: Sequence,
}

/// A batch that was appended before and has left the window in which its offsets are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("producer {producer_id}: sequence {base_sequence} was appended before and is older than the duplicate window")]
pub struct DuplicateSequence {
    /// The producer.
    pub producer_id: ProducerId,
    /// First sequence of the batch.
    pub base_sequence: Sequence,
}

/// A producer that was replaced by a newer incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("producer {producer_id}: epoch {found} is below the current epoch {current}")]
pub struct InvalidProducerEpoch {
    /// The producer.
    pub producer_id: ProducerId,
    /// The newest epoch that the log has seen.
    pub current: ProducerEpoch,
    /// The epoch of the batch.
    pub found: ProducerEpoch,
}

/// A transaction marker from a coordinator that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("producer {producer_id}: coordinator epoch {found} is below {current}")]
pub struct CoordinatorFenced {
    /// The producer.
    pub producer_id: ProducerId,
    /// The newest coordinator epoch that the log has seen for it.
    pub current: i32,
    /// The epoch of the marker.
    pub found: i32,
}

/// A write outside a transaction while the same producer has one open on this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("producer {producer_id} has an open transaction since offset {first_offset}")]
pub struct InvalidTxnState {
    /// The producer.
    pub producer_id: ProducerId,
    /// Where its transaction begins.
    pub first_offset: Offset,
}

/// Too little space on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no space: {free_bytes} bytes free, {needed_bytes} kept free")]
pub struct NoSpace {
    /// Bytes that the file system has left; 0 where the operating system refused a write.
    pub free_bytes: u64,
    /// Bytes that the configuration keeps free.
    pub needed_bytes: u64,
}

/// Why a batch was not appended. The log is unchanged in every case.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// CRC, length or magic is wrong.
    #[error(transparent)]
    CorruptBatch(#[from] CorruptBatch),
    /// The header breaks a rule for produced batches.
    #[error(transparent)]
    InvalidBatch(#[from] InvalidBatch),
    /// A record breaks a rule.
    #[error(transparent)]
    InvalidRecord(#[from] InvalidRecord),
    /// Above `max.message.bytes` or the segment size.
    #[error(transparent)]
    TooLarge(#[from] BatchTooLarge),
    /// Outside `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms`.
    #[error(transparent)]
    InvalidTimestamp(#[from] InvalidTimestamp),
    /// Not the next sequence.
    #[error(transparent)]
    OutOfOrderSequence(#[from] OutOfOrderSequence),
    /// A duplicate whose original offsets are no longer known.
    #[error(transparent)]
    DuplicateSequence(#[from] DuplicateSequence),
    /// An epoch below the current one.
    #[error(transparent)]
    InvalidProducerEpoch(#[from] InvalidProducerEpoch),
    /// A marker of an old coordinator.
    #[error(transparent)]
    CoordinatorFenced(#[from] CoordinatorFenced),
    /// A plain write inside a transaction.
    #[error(transparent)]
    InvalidTxnState(#[from] InvalidTxnState),
    /// Little or no space left; the same call succeeds once there is space.
    #[error(transparent)]
    NoSpace(#[from] NoSpace),
    /// The log stopped earlier.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// The log was deleted or closed.
    #[error("log {0} is closed")]
    Closed(TopicPartition),
    /// Something failed that left the log as it was, such as opening a new segment.
    #[error(transparent)]
    Io(#[from] IoFailure),
}

/// Why a read gave nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// Below the log start or above the log end.
    #[error(transparent)]
    OffsetOutOfRange(#[from] OffsetOutOfRange),
    /// The batch at the offset is damaged. Other offsets stay readable.
    #[error(transparent)]
    Corrupt(#[from] CorruptRange),
    /// The device answered with an error.
    #[error(transparent)]
    Io(#[from] IoFailure),
}

/// Why a log or a data folder could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the folder.
    #[error("{} is used by another process", .0.display())]
    Locked(PathBuf),
    /// A folder belongs to another incarnation of its topic.
    #[error("{}: topic id {found} where {expected} was expected", path.display())]
    TopicIdMismatch {
        /// The partition's folder.
        path: PathBuf,
        /// What the metadata says.
        expected: protocol::TopicId,
        /// What `partition.metadata` says.
        found: protocol::TopicId,
    },
    /// A file that cannot be what its name says, and that cannot be rebuilt.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A format version from the future.
    #[error("{}: version {found} is newer than this program reads ({supported})", path.display())]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: i64,
        /// The newest that is understood.
        supported: i64,
    },
    /// The log is open already.
    #[error("log {0} is open already")]
    AlreadyOpen(TopicPartition),
    /// The device answered with an error.
    #[error(transparent)]
    Io(#[from] IoFailure),
}

/// Why an append will never be durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlushError {
    /// A flush failed.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// The log was deleted or the node stopped before the flush.
    #[error("log {0} was closed before the flush")]
    Closed(TopicPartition),
}

/// Why records were not deleted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeleteRecordsError {
    /// Above the high watermark or below 0.
    #[error(transparent)]
    OffsetOutOfRange(#[from] OffsetOutOfRange),
    /// The log stopped earlier.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// The new start could not be made durable; the log start is unchanged.
    #[error(transparent)]
    Io(#[from] IoFailure),
}
