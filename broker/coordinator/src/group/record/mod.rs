//! The records of `__consumer_offsets` in Kafka's own schemas, so that Kafka's tools read the topic.
//!
//! A record's key begins with an int16 that Kafka first called a version and now calls the record's type; the rest of
//! the key follows in the fixed form. A value begins with an int16 version. A null value is a tombstone.
//!
//! | key type | what | value versions read | written |
//! |---:|---|---|---|
//! | 0, 1 | committed offset of (group, topic, partition) | 0 to 4 | 3, or 1 when it has its own expiry |
//! | 2 | metadata and members of a classic group | 0 to 4 | 3 |
//! | others | new consumer, share and streams groups | none: kept out of the way, see [`GroupRecord::Unknown`] | none |
//!
//! Version 4 of both values is the flexible form; version 3 is written because every Kafka since 2.4 reads it.
//! Source: Kafka's `OffsetCommitKey`, `OffsetCommitValue`, `GroupMetadataKey`, `GroupMetadataValue` message
//! definitions and `GroupCoordinatorRecordHelpers`.

mod group_metadata;
mod offset_commit;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use protocol::codec::DecodeError;
use protocol::ids::PartitionId;

use super::GroupId;
use crate::wire::{Reader, Writer};

pub use group_metadata::{GroupMetadataValue, MemberMetadata};
pub use offset_commit::OffsetCommitValue;

/// Key type of an offset that Kafka wrote before 0.9.
const LEGACY_OFFSET_COMMIT: i16 = 0;
/// Key type of a committed offset.
const OFFSET_COMMIT: i16 = 1;
/// Key type of a classic group.
const GROUP_METADATA: i16 = 2;

/// One record of `__consumer_offsets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRecord {
    /// A committed offset, or its end.
    OffsetCommit {
        /// Whose and where.
        key: OffsetCommitKey,
        /// The offset; nothing deletes it.
        value: Option<OffsetCommitValue>,
    },
    /// The metadata and members of a classic group, or its end.
    GroupMetadata {
        /// The group.
        group: GroupId,
        /// What there is to know; nothing deletes the group.
        value: Option<GroupMetadataValue>,
    },
    /// A key type that this version does not know, for example of a KIP-848 group that a Kafka broker wrote.
    /// Applying it changes nothing; the record stays in the log as it is.
    Unknown {
        /// The number at the front of the key.
        key_type: i16,
    },
}

/// Key of a committed offset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OffsetCommitKey {
    /// The group.
    pub group: GroupId,
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: PartitionId,
}

/// A record as it lies in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRecord {
    /// Never null: the topic is compacted by it.
    pub key: Bytes,
    /// Null for a tombstone.
    pub value: Option<Bytes>,
}

/// Why a record of `__consumer_offsets` cannot be read. The log is then damaged, or younger than this binary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupRecordError {
    /// The key does not follow its schema.
    #[error("key of type {key_type:?} is unreadable: {source}")]
    Key {
        /// The number at the front, when there is one.
        key_type: Option<i16>,
        /// What is wrong.
        source: DecodeError,
    },
    /// The value does not follow its schema.
    #[error("value of {record} in version {version:?} is unreadable: {source}")]
    Value {
        /// Name of the schema.
        record: &'static str,
        /// The version at the front, when there is one.
        version: Option<i16>,
        /// What is wrong.
        source: DecodeError,
    },
    /// The value has a version that did not exist when this was written.
    #[error("value of {record} has the unknown version {version}")]
    ValueVersion {
        /// Name of the schema.
        record: &'static str,
        /// The version.
        version: i16,
    },
}

impl GroupRecord {
    /// Reads a record as it lies in the log.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, GroupRecordError> {
        let mut reader = Reader::new(key);
        let key_type = reader
            .i16()
            .map_err(|source| GroupRecordError::Key { key_type: None, source })?;
        let bad_key = |source| GroupRecordError::Key {
            key_type: Some(key_type),
            source,
        };
        match key_type {
            LEGACY_OFFSET_COMMIT | OFFSET_COMMIT => {
                let key = OffsetCommitKey::read(&mut reader).map_err(bad_key)?;
                let value = value.map(OffsetCommitValue::decode).transpose()?;
                Ok(Self::OffsetCommit { key, value })
            }
            GROUP_METADATA => {
                let group = reader.string().map_err(bad_key)?;
                let value = value.map(GroupMetadataValue::decode).transpose()?;
                Ok(Self::GroupMetadata { group, value })
            }
            _ => Ok(Self::Unknown { key_type }),
        }
    }

    /// Writes the record as it lies in the log.
    ///
    /// Panics on [`GroupRecord::Unknown`]: the machine never emits one.
    pub fn encode(&self) -> EncodedRecord {
        let mut key = Writer::new();
        match self {
            Self::OffsetCommit { key: name, value } => {
                key.i16(OFFSET_COMMIT);
                key.string(&name.group);
                key.string(&name.topic);
                key.i32(name.partition);
                EncodedRecord {
                    key: key.finish(),
                    value: value.as_ref().map(OffsetCommitValue::encode),
                }
            }
            Self::GroupMetadata { group, value } => {
                key.i16(GROUP_METADATA);
                key.string(group);
                EncodedRecord {
                    key: key.finish(),
                    value: value.as_ref().map(GroupMetadataValue::encode),
                }
            }
            Self::Unknown { key_type } => panic!("a record of unknown key type {key_type} is never written"),
        }
    }
}

impl OffsetCommitKey {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            group: reader.string()?,
            topic: reader.string()?,
            partition: reader.i32()?,
        })
    }
}

/// Reads the version at the front of a value and refuses one above `highest`.
fn value_version(reader: &mut Reader<'_>, record: &'static str, highest: i16) -> Result<i16, GroupRecordError> {
    let version = reader.i16().map_err(|source| GroupRecordError::Value {
        record,
        version: None,
        source,
    })?;
    if (0..=highest).contains(&version) {
        return Ok(version);
    }
    Err(GroupRecordError::ValueVersion { record, version })
}
