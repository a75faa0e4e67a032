//! Hard state of the groups: what the records of one `__consumer_offsets` partition say.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::ids::{PartitionId, ProducerId};

use super::GroupId;
use super::record::{GroupMetadataValue, GroupRecord, OffsetCommitKey, OffsetCommitValue};

/// Offsets of one group, by topic and partition.
pub(crate) type OffsetsByTopic = BTreeMap<Arc<str>, BTreeMap<PartitionId, CommittedOffset>>;

/// What survives a restart. Changed by applying records, by nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    groups: BTreeMap<GroupId, GroupMetadataValue>,
    offsets: BTreeMap<GroupId, OffsetsByTopic>,
    /// Offsets of transactions that are not decided yet. An outer map per producer, because a marker names no group.
    pending: BTreeMap<ProducerId, BTreeMap<OffsetCommitKey, CommittedOffset>>,
    /// Records applied so far. Tells which of a plain and a transactional commit came later.
    applied: u64,
}

/// A committed offset and its place in the order of commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// What was committed.
    pub value: OffsetCommitValue,
    /// Grows with every record applied.
    order: u64,
}

impl HardState {
    pub(crate) const fn empty() -> Self {
        Self {
            groups: BTreeMap::new(),
            offsets: BTreeMap::new(),
            pending: BTreeMap::new(),
            applied: 0,
        }
    }

    /// Groups that have a metadata record.
    pub fn groups(&self) -> &BTreeMap<GroupId, GroupMetadataValue> {
        &self.groups
    }

    /// Committed offsets: group, topic, partition.
    pub fn offsets(&self) -> impl Iterator<Item = (&GroupId, &Arc<str>, PartitionId, &OffsetCommitValue)> {
        self.offsets.iter().flat_map(|(group, topics)| {
            topics.iter().flat_map(move |(topic, partitions)| {
                partitions
                    .iter()
                    .map(move |(partition, committed)| (group, topic, *partition, &committed.value))
            })
        })
    }

    pub(crate) fn groups_with_offsets(&self) -> impl Iterator<Item = &GroupId> {
        self.offsets.keys()
    }

    pub(crate) fn offsets_of(&self, group: &str) -> Option<&OffsetsByTopic> {
        self.offsets.get(group)
    }

    pub(crate) fn offset(&self, group: &str, topic: &str, partition: PartitionId) -> Option<&OffsetCommitValue> {
        self.offsets
            .get(group)?
            .get(topic)?
            .get(&partition)
            .map(|committed| &committed.value)
    }

    /// Whether an undecided transaction commits this offset.
    pub(crate) fn is_pending(&self, key: &OffsetCommitKey) -> bool {
        self.pending.values().any(|offsets| offsets.contains_key(key))
    }

    /// Keys of the offsets that undecided transactions commit.
    pub(crate) fn pending_keys(&self) -> impl Iterator<Item = &OffsetCommitKey> {
        self.pending.values().flat_map(BTreeMap::keys)
    }

    /// Applies a record that no transaction holds back.
    pub(crate) fn apply(&mut self, record: &GroupRecord) {
        self.applied += 1;
        match record {
            GroupRecord::OffsetCommit {
                key,
                value: Some(value),
            } => {
                let committed = CommittedOffset {
                    value: value.clone(),
                    order: self.applied,
                };
                self.insert(key, committed);
            }
            GroupRecord::OffsetCommit { key, value: None } => self.remove(key),
            GroupRecord::GroupMetadata {
                group,
                value: Some(value),
            } => {
                self.groups.insert(group.clone(), value.clone());
            }
            GroupRecord::GroupMetadata { group, value: None } => {
                self.groups.remove(group);
            }
            GroupRecord::Unknown { .. } => {}
        }
    }

    /// Applies a record of a transaction: an offset waits for the marker, anything else is as without one.
    pub(crate) fn apply_transactional(&mut self, producer_id: ProducerId, record: &GroupRecord) {
        let GroupRecord::OffsetCommit {
            key,
            value: Some(value),
        } = record
        else {
            return self.apply(record);
        };
        self.applied += 1;
        let committed = CommittedOffset {
            value: value.clone(),
            order: self.applied,
        };
        self.pending
            .entry(producer_id)
            .or_default()
            .insert(key.clone(), committed);
    }

    /// Applies a transaction's end. Against a plain commit the later of the two records wins.
    pub(crate) fn apply_marker(&mut self, producer_id: ProducerId, committed: bool) {
        self.applied += 1;
        let Some(offsets) = self.pending.remove(&producer_id) else {
            return;
        };
        if !committed {
            return;
        }
        for (key, pending) in offsets {
            let current = self
                .offsets
                .get(&key.group)
                .and_then(|topics| topics.get(&key.topic)?.get(&key.partition));
            if current.is_none_or(|current| current.order < pending.order) {
                self.insert(&key, pending);
            }
        }
    }

    fn insert(&mut self, key: &OffsetCommitKey, committed: CommittedOffset) {
        let topics = self.offsets.entry(key.group.clone()).or_default();
        topics
            .entry(key.topic.clone())
            .or_default()
            .insert(key.partition, committed);
    }

    /// A tombstone ends pending offsets as well: they must not rise again with their marker.
    fn remove(&mut self, key: &OffsetCommitKey) {
        self.pending.retain(|_, offsets| {
            offsets.remove(key);
            !offsets.is_empty()
        });
        let Some(topics) = self.offsets.get_mut(&key.group) else {
            return;
        };
        if let Some(partitions) = topics.get_mut(&key.topic) {
            partitions.remove(&key.partition);
            if partitions.is_empty() {
                topics.remove(&key.topic);
            }
        }
        if topics.is_empty() {
            self.offsets.remove(&key.group);
        }
    }
}
