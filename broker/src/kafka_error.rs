//! Every internal error as a Kafka error code, in one place.
//!
//! The matches are exhaustive on purpose: a new way to fail does not compile until somebody decides what a client
//! hears of it.

use protocol::ErrorCode;
use protocol::records::{BatchError, InvalidBatch};
use storage::{AppendError, FlushError, ReadError};

use crate::cluster::ControllerError;
use crate::cluster::change::ChangeError;
use crate::cluster::names::TopicNameError;
use crate::config::keys::KeyError;
use crate::partitions::{LeaderEpochMismatch, LookupError};

/// A batch was not appended.
pub(crate) fn append(error: &AppendError) -> ErrorCode {
    match error {
        // What Produce could not even parse was refused before (see `batch`); what is left is the checksum.
        AppendError::CorruptBatch(_) => ErrorCode::CorruptMessage,
        AppendError::InvalidBatch(error) => invalid_batch(error),
        AppendError::InvalidRecord(_) => ErrorCode::InvalidRecord,
        // Clients split the batch and try again on exactly this code.
        AppendError::TooLarge(_) => ErrorCode::MessageTooLarge,
        AppendError::InvalidTimestamp(_) => ErrorCode::InvalidTimestamp,
        AppendError::OutOfOrderSequence(_) => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::DuplicateSequence(_) => ErrorCode::DuplicateSequenceNumber,
        // Not PRODUCER_FENCED: that code belongs to the coordinator's APIs.
        AppendError::InvalidProducerEpoch(_) => ErrorCode::InvalidProducerEpoch,
        AppendError::CoordinatorFenced(_) => ErrorCode::TransactionCoordinatorFenced,
        AppendError::InvalidTxnState(_) => ErrorCode::InvalidTxnState,
        // Retriable: the same batch succeeds once there is space.
        AppendError::NoSpace(_) | AppendError::Poisoned(_) | AppendError::Io(_) => ErrorCode::KafkaStorageError,
        // The topic is being deleted; the client shall ask for its metadata again.
        AppendError::Closed(_) => ErrorCode::NotLeaderOrFollower,
    }
}

/// Bytes in a Produce request are no batch. One batch of format 2 and nothing else is a rule of Produce 3 and above.
pub(crate) fn batch(error: &BatchError) -> ErrorCode {
    match error {
        BatchError::Truncated { .. } | BatchError::TrailingBytes { .. } | BatchError::UnsupportedMagic { .. } => {
            ErrorCode::InvalidRecord
        }
        BatchError::InvalidLength { .. } => ErrorCode::CorruptMessage,
        BatchError::UnknownCodec { .. } => ErrorCode::UnsupportedCompressionType,
    }
}

/// A header breaks a rule for produced batches.
fn invalid_batch(error: &InvalidBatch) -> ErrorCode {
    match error {
        InvalidBatch::LogAppendTime => ErrorCode::InvalidTimestamp,
        InvalidBatch::BaseOffset { .. }
        | InvalidBatch::RecordCount { .. }
        | InvalidBatch::TooManyRecords { .. }
        | InvalidBatch::OffsetRange { .. }
        | InvalidBatch::Control
        | InvalidBatch::Sequence { .. }
        | InvalidBatch::ProducerEpoch { .. }
        | InvalidBatch::TransactionWithoutProducer
        | InvalidBatch::DeleteHorizon => ErrorCode::InvalidRecord,
    }
}

/// An append will never be durable.
pub(crate) fn flush(error: &FlushError) -> ErrorCode {
    match error {
        FlushError::Poisoned(_) => ErrorCode::KafkaStorageError,
        FlushError::Closed(_) => ErrorCode::NotLeaderOrFollower,
    }
}

/// A read gave nothing.
pub(crate) fn read(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OffsetOutOfRange(_) => ErrorCode::OffsetOutOfRange,
        ReadError::Corrupt(_) => ErrorCode::CorruptMessage,
        ReadError::Io(_) => ErrorCode::KafkaStorageError,
    }
}

/// A partition cannot be used.
pub(crate) fn lookup(error: &LookupError) -> ErrorCode {
    match error {
        LookupError::UnknownTopic | LookupError::UnknownPartition(_) => ErrorCode::UnknownTopicOrPartition,
        LookupError::UnknownTopicId => ErrorCode::UnknownTopicId,
        LookupError::Offline(_) => ErrorCode::KafkaStorageError,
    }
}

/// A client believes in another leader epoch (KIP-320).
pub(crate) fn leader_epoch(mismatch: LeaderEpochMismatch) -> ErrorCode {
    match mismatch {
        LeaderEpochMismatch::Fenced => ErrorCode::FencedLeaderEpoch,
        LeaderEpochMismatch::Unknown => ErrorCode::UnknownLeaderEpoch,
    }
}

/// A metadata command was not carried out.
pub(crate) fn controller(error: &ControllerError) -> ErrorCode {
    match error {
        ControllerError::Refused(error) => change(error),
        ControllerError::Store(_) => ErrorCode::KafkaStorageError,
        ControllerError::Stopping => ErrorCode::NotController,
    }
}

/// A change to the metadata is refused.
fn change(error: &ChangeError) -> ErrorCode {
    match error {
        ChangeError::TopicName(error) => topic_name(error),
        ChangeError::NameCollision { .. } | ChangeError::InternalTopic(_) => ErrorCode::InvalidTopicException,
        ChangeError::TopicExists(_) => ErrorCode::TopicAlreadyExists,
        ChangeError::UnknownTopic(_) => ErrorCode::UnknownTopicOrPartition,
        ChangeError::UnknownTopicId(_) => ErrorCode::UnknownTopicId,
        ChangeError::PartitionCount(_) => ErrorCode::InvalidPartitions,
        ChangeError::ReplicationFactor(_) => ErrorCode::InvalidReplicationFactor,
        ChangeError::ReplicaAssignment(_) => ErrorCode::InvalidReplicaAssignment,
        ChangeError::Contradiction(_) | ChangeError::UnknownBroker(_) => ErrorCode::InvalidRequest,
        ChangeError::Config(error) => config(error),
        ChangeError::OwnedTopic { .. } => ErrorCode::TopicAuthorizationFailed,
        ChangeError::DeletionDisabled => ErrorCode::TopicDeletionDisabled,
        ChangeError::Limit { .. } => ErrorCode::PolicyViolation,
    }
}

/// A topic name is refused.
pub(crate) fn topic_name(error: &TopicNameError) -> ErrorCode {
    match error {
        TopicNameError::Empty
        | TopicNameError::Dots
        | TopicNameError::TooLong(_)
        | TopicNameError::Character(_)
        | TopicNameError::Reserved(_) => ErrorCode::InvalidTopicException,
    }
}

/// A configuration key or value is refused.
fn config(error: &KeyError) -> ErrorCode {
    match error {
        KeyError::Unknown { .. }
        | KeyError::Invalid { .. }
        | KeyError::NotYet { .. }
        | KeyError::NullValue(_)
        | KeyError::NoList(_) => ErrorCode::InvalidConfig,
        // Kafka's answer to a change of a broker key that is not dynamic, and to a key named twice.
        KeyError::ReadOnly(_) | KeyError::Twice(_) => ErrorCode::InvalidRequest,
    }
}
