//! The end of offsets that nobody uses any more, and of groups that hold nothing (KIP-211).
//!
//! An offset expires `offsets_retention_ms` after
//! - the group became empty, or its commit where that time is not known;
//! - its commit, in a stable group of consumers that do not subscribe to its topic any more;
//! - its commit, where the group never had members.
//!
//! An offset committed with a retention of its own ends at that time instead. While a transaction on the offset is
//! undecided, nothing expires. Source: Kafka's `OffsetMetadataManager.cleanupExpiredOffsets`.

use protocol::ids::TimestampMs;

use super::classic::{ClassicGroup, UnusedSince};
use super::offsets::tombstone;
use super::record::{OffsetCommitKey, OffsetCommitValue};
use super::{GroupId, GroupOutcome, Groups};
use crate::RESERVED_PREFIX;

impl Groups {
    pub(super) fn expire(&self, now: TimestampMs, outcome: &mut GroupOutcome) {
        let mut ended = Vec::new();
        for (id, group) in &self.live {
            if id.starts_with(RESERVED_PREFIX) {
                continue;
            }
            let is_bare = self.expire_offsets(now, id, group, outcome);
            if is_bare && group.is_vacant() {
                ended.push(id.clone());
            }
        }
        for id in &ended {
            self.end_group(id, outcome);
        }
    }

    /// Ends what has expired of one group. Tells whether nothing is left.
    fn expire_offsets(&self, now: TimestampMs, id: &GroupId, group: &ClassicGroup, outcome: &mut GroupOutcome) -> bool {
        let is_undecided = self.hard.pending_keys().any(|key| key.group == *id);
        let Some(topics) = self.hard.offsets_of(id) else {
            return !is_undecided;
        };
        let Some(since) = group.offsets_unused_since() else {
            return false;
        };
        let mut is_bare = !is_undecided;
        for (topic, partitions) in topics {
            let is_subscribed = group.subscribes_to(topic);
            for (partition, committed) in partitions {
                let key = OffsetCommitKey {
                    group: id.clone(),
                    topic: topic.clone(),
                    partition: *partition,
                };
                let is_used = is_subscribed || self.hard.is_pending(&key);
                if is_used || !self.has_expired(now, since, &committed.value) {
                    is_bare = false;
                    continue;
                }
                outcome.records.push(tombstone(id, topic, *partition));
            }
        }
        is_bare
    }

    fn has_expired(&self, now: TimestampMs, since: UnusedSince, offset: &OffsetCommitValue) -> bool {
        match offset.expire_timestamp {
            Some(at) => at <= now,
            None => self.config.offsets_retention_ms <= now.saturating_sub(since.of(offset)),
        }
    }
}
