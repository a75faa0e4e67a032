//! `OffsetCommitValue`: one committed offset.
//!
//! | field | type | versions |
//! |---|---|---|
//! | offset | int64 | 0 to 4 |
//! | leader epoch | int32 | 3, 4 |
//! | metadata | string | 0 to 4 |
//! | commit timestamp | int64 | 0 to 4 |
//! | expire timestamp | int64 | 1 |
//! | topic id | uuid, tag 0 | 4 |

use std::sync::Arc;

use bytes::Bytes;
use protocol::codec::DecodeError;
use protocol::ids::{LeaderEpoch, NO_LEADER_EPOCH, Offset, TimestampMs, TopicId};

use super::{GroupRecordError, value_version};
use crate::wire::{Reader, Writer};

const NAME: &str = "OffsetCommitValue";
const HIGHEST_VERSION: i16 = 4;
const TOPIC_ID_TAG: u32 = 0;

/// A committed offset as `__consumer_offsets` keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitValue {
    /// Next offset to read.
    pub offset: Offset,
    /// Leader epoch of the last record read, -1 when unknown.
    pub leader_epoch: LeaderEpoch,
    /// The client's note.
    pub metadata: Arc<str>,
    /// When it was committed.
    pub commit_timestamp: TimestampMs,
    /// When it expires, if the client said so (OffsetCommit versions 2 to 4).
    pub expire_timestamp: Option<TimestampMs>,
    /// Id of the topic, where the writer knew it. Kafka 4.3 writes it; we read it and go by the name.
    pub topic_id: TopicId,
}

impl OffsetCommitValue {
    /// Reads any version.
    pub fn decode(bytes: &[u8]) -> Result<Self, GroupRecordError> {
        let mut reader = Reader::new(bytes);
        let version = value_version(&mut reader, NAME, HIGHEST_VERSION)?;
        Self::read(&mut reader, version).map_err(|source| GroupRecordError::Value {
            record: NAME,
            version: Some(version),
            source,
        })
    }

    /// Writes version 3, or version 1 when there is an expiry, which no other version can hold. Version 1 has no
    /// place for the leader epoch: Kafka loses it there as well.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        let version = if self.expire_timestamp.is_some() { 1 } else { 3 };
        writer.i16(version);
        writer.i64(self.offset);
        if version == 3 {
            writer.i32(self.leader_epoch);
        }
        writer.string(&self.metadata);
        writer.i64(self.commit_timestamp);
        if let Some(expire_timestamp) = self.expire_timestamp {
            writer.i64(expire_timestamp);
        }
        writer.finish()
    }

    /// The value as it will be read back: what the version that holds it has no place for is gone. The machine emits
    /// this form, so that applying a record and replaying it give the same state.
    pub(crate) fn into_written(mut self) -> Self {
        self.topic_id = TopicId::NIL;
        if self.expire_timestamp.is_some() {
            self.leader_epoch = NO_LEADER_EPOCH;
        }
        self
    }

    fn read(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        reader.set_flexible(4 <= version);
        let offset = reader.i64()?;
        let leader_epoch = if 3 <= version { reader.i32()? } else { NO_LEADER_EPOCH };
        let metadata = reader.string()?;
        let commit_timestamp = reader.i64()?;
        let expire_timestamp = if version == 1 {
            Some(reader.i64()?).filter(|at| *at != -1)
        } else {
            None
        };
        let mut topic_id = TopicId::NIL;
        reader.tagged_fields(|tag, content| {
            if tag == TOPIC_ID_TAG {
                topic_id = TopicId(content.uuid()?);
            }
            Ok(())
        })?;
        Ok(Self {
            offset,
            leader_epoch,
            metadata,
            commit_timestamp,
            expire_timestamp,
            topic_id,
        })
    }
}
