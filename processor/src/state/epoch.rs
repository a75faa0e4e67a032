//! The epoch record: what a committed epoch says of the query's sources and time. It stands in the changelog behind the
//! epoch's changes, in the same transaction, and is the truth for recovery.
//!
//! Format, big-endian: version 1 (u8), epoch (i64), committed at (i64 ms), finished (u8), watermark (i64 us), silence
//! (i64 us), number of sources (u32), then per source partition: partition (i32), topic id (16 bytes), leader epoch
//! (i32), last offset (i64), next offset (i64), activity (u8: 0 active, 1 idle, 2 finished), watermark (i64 us).

use std::time::Duration;

use protocol::codec::{DecodeError, Reader};
use protocol::ids::{LeaderEpoch, Offset, PartitionId, TimestampMs, TopicId};

use crate::time::EventTime;
use crate::time::watermark::{Activity, PartitionMark, TimeMarks};

const VERSION: u8 = 1;

/// Where a source partition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePosition {
    /// The partition.
    pub partition: PartitionId,
    /// Identity of the topic; another one means that the topic was deleted and created again.
    pub topic_id: TopicId,
    /// Leader epoch of the last batch that was read, -1 before the first.
    pub leader_epoch: LeaderEpoch,
    /// Offset of the last record of that batch, -1 before the first.
    pub last_offset: Offset,
    /// The next offset to read; what lies between is invisible.
    pub next_offset: Offset,
    /// The partition's time.
    pub mark: PartitionMark,
}

/// One committed epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochRecord {
    /// Number of the epoch, counted from 1 over all runs of the query.
    pub epoch: i64,
    /// Wall clock when the epoch was closed.
    pub committed_at: TimestampMs,
    /// True when the query has read all of a bounded source and emitted everything.
    pub finished: bool,
    /// The stream's watermark.
    pub watermark: EventTime,
    /// How long the query had been running since the last arrival.
    pub silence: Duration,
    /// Source partitions, in order.
    pub sources: Vec<SourcePosition>,
}

/// Why bytes are no epoch record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EpochRecordError {
    /// Written by a version that this one does not know.
    #[error("epoch record of version {0} is not known")]
    UnknownVersion(i8),
    /// Cut off or overlong.
    #[error("epoch record: {0}")]
    Decode(#[from] DecodeError),
    /// A number that stands for nothing.
    #[error("epoch record: {0} names no activity")]
    UnknownActivity(i8),
}

impl EpochRecord {
    /// The tracker's part of the record.
    pub fn time_marks(&self) -> TimeMarks {
        TimeMarks {
            watermark: self.watermark,
            silence: self.silence,
            partitions: self.sources.iter().map(|source| source.mark).collect(),
        }
    }

    /// The record as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + self.sources.len() * 49);
        out.push(VERSION);
        out.extend_from_slice(&self.epoch.to_be_bytes());
        out.extend_from_slice(&self.committed_at.to_be_bytes());
        out.push(u8::from(self.finished));
        out.extend_from_slice(&self.watermark.to_be_bytes());
        let silence = i64::try_from(self.silence.as_micros()).unwrap_or(i64::MAX);
        out.extend_from_slice(&silence.to_be_bytes());
        let count = u32::try_from(self.sources.len()).expect("partitions are counted in 32 bits");
        out.extend_from_slice(&count.to_be_bytes());
        for source in &self.sources {
            source.encode(&mut out);
        }
        out
    }

    /// The record that `bytes` hold.
    pub fn decode(bytes: &[u8]) -> Result<Self, EpochRecordError> {
        let mut input = Reader::new(bytes);
        let record = Self::read(&mut input)?;
        input.expect_end()?;
        Ok(record)
    }

    /// Reads a record from the front of `input`.
    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self, EpochRecordError> {
        let version = input.i8()?;
        if version.cast_unsigned() != VERSION {
            return Err(EpochRecordError::UnknownVersion(version));
        }
        let mut record = Self {
            epoch: input.i64()?,
            committed_at: input.i64()?,
            finished: input.bool()?,
            watermark: input.i64()?,
            silence: Duration::from_micros(input.i64()?.max(0).unsigned_abs()),
            sources: Vec::new(),
        };
        let count = input.i32()?;
        for _ in 0..count {
            record.sources.push(SourcePosition::read(input)?);
        }
        Ok(record)
    }
}

impl SourcePosition {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.partition.to_be_bytes());
        out.extend_from_slice(self.topic_id.0.as_bytes());
        out.extend_from_slice(&self.leader_epoch.to_be_bytes());
        out.extend_from_slice(&self.last_offset.to_be_bytes());
        out.extend_from_slice(&self.next_offset.to_be_bytes());
        out.push(match self.mark.activity {
            Activity::Active => 0,
            Activity::Idle => 1,
            Activity::Finished => 2,
        });
        out.extend_from_slice(&self.mark.watermark.to_be_bytes());
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, EpochRecordError> {
        Ok(Self {
            partition: input.i32()?,
            topic_id: TopicId(input.uuid()?),
            leader_epoch: input.i32()?,
            last_offset: input.i64()?,
            next_offset: input.i64()?,
            mark: PartitionMark {
                activity: match input.i8()? {
                    0 => Activity::Active,
                    1 => Activity::Idle,
                    2 => Activity::Finished,
                    other => return Err(EpochRecordError::UnknownActivity(other)),
                },
                watermark: input.i64()?,
            },
        })
    }
}
