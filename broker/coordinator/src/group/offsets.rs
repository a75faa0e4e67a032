//! Committed offsets: OffsetCommit, OffsetFetch, and the end of a topic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::error_code::ErrorCode;
use protocol::ids::{NO_LEADER_EPOCH, PartitionId, TimestampMs, TopicId};

use super::classic::Turn;
use super::record::{GroupRecord, OffsetCommitKey, OffsetCommitValue};
use super::{
    CommitOffsets, FetchOffsets, FetchOffsetsReply, FetchedOffset, GroupId, GroupOutcome, GroupReply, Groups,
    NAME_BYTES_MAX, OffsetToCommit, PartitionError,
};

/// "None committed" in an answer to OffsetFetch.
const NO_OFFSET: i64 = -1;

/// What the record of a commit takes beside its texts, at most.
const FIXED_RECORD_BYTES: usize = 96;

impl Groups {
    pub(super) fn commit_offsets(&mut self, now: TimestampMs, request: CommitOffsets, outcome: &mut GroupOutcome) {
        if let Err(error) = self.check_commit(now, &request, outcome) {
            let errors = request
                .offsets
                .iter()
                .map(|offset| fate(&offset.topic, offset.partition, error))
                .collect();
            return outcome.reply(request.to, GroupReply::CommitOffsets(errors));
        }
        let expire_timestamp = (0 <= request.retention_time_ms).then(|| now.saturating_add(request.retention_time_ms));
        let mut fates = Vec::with_capacity(request.offsets.len());
        // A partition that is named again takes the last of its offsets, and one record.
        let mut last = BTreeMap::new();
        for offset in request.offsets {
            let error = if self.is_note_too_long(&offset) {
                ErrorCode::OffsetMetadataTooLarge
            } else {
                ErrorCode::None
            };
            fates.push(fate(&offset.topic, offset.partition, error));
            if error == ErrorCode::None {
                last.insert((offset.topic.clone(), offset.partition), offset);
            }
        }
        let bytes: usize = last.values().map(|offset| record_bytes(&request.group, offset)).sum();
        if self.config.commit_bytes_max < bytes {
            for fate in &mut fates {
                fate.error = ErrorCode::InvalidCommitOffsetSize;
            }
            return outcome.reply(request.to, GroupReply::CommitOffsets(fates));
        }
        let records = last
            .into_values()
            .map(|offset| commit_record(&request.group, offset, now, expire_timestamp));
        outcome.records.extend(records);
        outcome.reply_when_durable(request.to, GroupReply::CommitOffsets(fates));
    }

    /// A commit without membership brings a group into being; one that claims membership of an unknown group does not.
    fn check_commit(
        &mut self,
        now: TimestampMs,
        request: &CommitOffsets,
        outcome: &mut GroupOutcome,
    ) -> Result<(), ErrorCode> {
        if NAME_BYTES_MAX < request.group.len() {
            return Err(ErrorCode::InvalidGroupId);
        }
        if let Some(group) = self.live.get_mut(&request.group) {
            return group.check_commit(
                &mut Turn {
                    now,
                    config: &self.config,
                    invited_bytes: &mut self.invited_bytes,
                    outcome,
                },
                request,
            );
        }
        if 0 <= request.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        if self.config.groups_max <= self.live.len() {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        Ok(())
    }

    fn is_note_too_long(&self, offset: &OffsetToCommit) -> bool {
        // Fewer bytes than allowed units are never too many units, so that counting is rare.
        let bytes = offset.metadata.len();
        NAME_BYTES_MAX < bytes
            || self.config.offset_metadata_max < bytes
                && self.config.offset_metadata_max < offset.metadata.encode_utf16().count()
    }

    pub(super) fn fetch_offsets(&self, request: FetchOffsets, outcome: &mut GroupOutcome) {
        let offsets = match request.topics {
            Some(topics) => {
                let wanted = topics
                    .iter()
                    .flat_map(|(topic, partitions)| partitions.iter().map(move |p| (topic, *p)));
                // Once each: what is told of a partition may be a thousand times as long as its number.
                let mut told = BTreeSet::new();
                wanted
                    .filter(|wanted| told.insert(*wanted))
                    .map(|(topic, p)| self.fetch_one(&request.group, topic, p, request.require_stable))
                    .collect()
            }
            None => self.fetch_all(&request.group, request.require_stable),
        };
        let reply = FetchOffsetsReply {
            error: ErrorCode::None,
            offsets,
        };
        outcome.reply_when_durable(request.to, GroupReply::FetchOffsets(reply));
    }

    fn fetch_all(&self, group: &GroupId, require_stable: bool) -> Vec<FetchedOffset> {
        let topics = self.hard.offsets_of(group).into_iter().flatten();
        let partitions = topics.flat_map(|(topic, partitions)| partitions.keys().map(move |p| (topic, *p)));
        partitions
            .map(|(topic, p)| self.fetch_one(group, topic, p, require_stable))
            .collect()
    }

    fn fetch_one(&self, group: &GroupId, topic: &Arc<str>, partition: PartitionId, stable: bool) -> FetchedOffset {
        let key = OffsetCommitKey {
            group: group.clone(),
            topic: topic.clone(),
            partition,
        };
        let is_unstable = stable && self.hard.is_pending(&key);
        let committed = self.hard.offset(group, topic, partition).filter(|_| !is_unstable);
        FetchedOffset {
            topic: key.topic,
            partition,
            offset: committed.map_or(NO_OFFSET, |committed| committed.offset),
            leader_epoch: committed.map_or(NO_LEADER_EPOCH, |committed| committed.leader_epoch),
            metadata: committed
                .map(|committed| committed.metadata.clone())
                .unwrap_or_default(),
            error: if is_unstable {
                ErrorCode::UnstableOffsetCommit
            } else {
                ErrorCode::None
            },
        }
    }

    /// A topic that is gone takes the offsets on it along, decided or not.
    pub(super) fn topic_deleted(&self, topic: &Arc<str>, outcome: &mut GroupOutcome) {
        for group in self.live.keys() {
            self.end_offsets(group, outcome, |deleted| deleted == topic);
        }
    }

    /// Tombstones for the offsets of a group on the topics that `ends` picks, undecided ones included.
    pub(super) fn end_offsets(&self, group: &GroupId, outcome: &mut GroupOutcome, ends: impl Fn(&Arc<str>) -> bool) {
        let committed = self.hard.offsets_of(group).into_iter().flatten();
        let committed = committed.flat_map(|(topic, partitions)| partitions.keys().map(move |p| (topic, *p)));
        let pending = self.hard.pending_keys().filter(|key| key.group == *group);
        let pending = pending.filter(|key| self.hard.offset(group, &key.topic, key.partition).is_none());
        let pending = pending.map(|key| (&key.topic, key.partition));
        for (topic, partition) in committed.chain(pending).filter(|(topic, _)| ends(topic)) {
            outcome.records.push(tombstone(group, topic, partition));
        }
    }
}

/// About what the record of a commit takes in the log.
fn record_bytes(group: &GroupId, offset: &OffsetToCommit) -> usize {
    FIXED_RECORD_BYTES + group.len() + offset.topic.len() + offset.metadata.len()
}

fn commit_record(
    group: &GroupId,
    offset: OffsetToCommit,
    now: TimestampMs,
    expire_timestamp: Option<TimestampMs>,
) -> GroupRecord {
    let key = OffsetCommitKey {
        group: group.clone(),
        topic: offset.topic,
        partition: offset.partition,
    };
    let value = OffsetCommitValue {
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: offset.metadata,
        commit_timestamp: now,
        expire_timestamp,
        topic_id: TopicId::NIL,
    };
    GroupRecord::OffsetCommit {
        key,
        value: Some(value.into_written()),
    }
}

/// The record that ends a committed offset.
pub(super) fn tombstone(group: &GroupId, topic: &Arc<str>, partition: PartitionId) -> GroupRecord {
    let key = OffsetCommitKey {
        group: group.clone(),
        topic: topic.clone(),
        partition,
    };
    GroupRecord::OffsetCommit { key, value: None }
}

fn fate(topic: &Arc<str>, partition: PartitionId, error: ErrorCode) -> PartitionError {
    PartitionError {
        topic: topic.clone(),
        partition,
        error,
    }
}
