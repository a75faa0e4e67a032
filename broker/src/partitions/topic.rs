//! One topic as the data path sees it: names, id, rules, and its partitions.

use std::sync::{Arc, OnceLock};

use protocol::ids::{LeaderEpoch, PartitionId, TopicId, TopicPartition};
use storage::LogConfig;

use super::partition::{LookupError, Partition};
use crate::cluster::TopicImage;

/// A topic of this node. Immutable: a change of the cluster image makes a new one that shares the open partitions.
#[derive(Debug)]
pub struct Topic {
    /// Name.
    pub name: Arc<str>,
    /// Id; another one after the topic was deleted and created again.
    pub id: TopicId,
    /// Kafka's internal topics and the processor's changelogs: clients may not write them.
    pub internal: bool,
    /// Id of the query that alone writes this topic.
    pub owner: Option<Arc<str>>,
    pub(super) leader_epochs: Vec<LeaderEpoch>,
    pub(super) slots: Vec<Arc<Slot>>,
    pub(super) settings: Arc<LogConfig>,
}

/// The place of one partition. It is filled when the log is opened: for ordinary topics when the image names them, for
/// those of the coordinators at the first use.
pub(super) type Slot = OnceLock<Result<Arc<Partition>, Arc<str>>>;

impl Topic {
    /// Number of partitions.
    pub fn partition_count(&self) -> usize {
        self.slots.len()
    }

    /// Whether the topic has a partition of that number.
    pub fn has_partition(&self, partition: PartitionId) -> bool {
        self.slot(partition).is_ok()
    }

    /// Name and number of every partition.
    pub fn topic_partitions(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        (0..).zip(&self.slots).map(|(partition, _)| self.named(partition))
    }

    pub(super) fn named(&self, partition: PartitionId) -> TopicPartition {
        TopicPartition {
            topic: self.name.clone(),
            partition,
        }
    }

    /// The partitions whose logs are open.
    pub fn open_partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.slots.iter().filter_map(|slot| slot.get()?.as_ref().ok())
    }

    /// Whether all logs are open: none is offline, and none still waits for its first use.
    pub fn is_open(&self) -> bool {
        self.open_partitions().count() == self.partition_count()
    }

    /// Whether a log of this topic could not be opened.
    pub fn is_partly_offline(&self) -> bool {
        self.slots.iter().any(|slot| slot.get().is_some_and(Result::is_err))
    }

    /// The partitions whose logs nobody has tried to open.
    pub(super) fn closed_partitions(&self) -> impl Iterator<Item = PartitionId> + '_ {
        (0..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.get().is_none())
            .map(|(partition, _)| partition)
    }

    /// The partition of that number if its log is open; never opens one.
    pub fn opened(&self, partition: PartitionId) -> Result<Option<Arc<Partition>>, LookupError> {
        match self.slot(partition)?.get() {
            None => Ok(None),
            Some(Ok(partition)) => Ok(Some(partition.clone())),
            Some(Err(reason)) => Err(LookupError::Offline(reason.clone())),
        }
    }

    pub(super) fn leader_epoch(&self, partition: PartitionId) -> LeaderEpoch {
        let epoch = usize::try_from(partition)
            .ok()
            .and_then(|index| self.leader_epochs.get(index));
        *epoch.expect("every partition has an epoch")
    }

    pub(super) fn slot(&self, partition: PartitionId) -> Result<&Arc<Slot>, LookupError> {
        usize::try_from(partition)
            .ok()
            .and_then(|index| self.slots.get(index))
            .ok_or(LookupError::UnknownPartition(partition))
    }

    /// Whether nothing about the topic differs from the image, so that it can stay as it is.
    pub(super) fn is_up_to_date(&self, image: &TopicImage, settings: &LogConfig) -> bool {
        let epochs = image.partitions.iter().map(|partition| &partition.leader_epoch);
        self.leader_epochs.iter().eq(epochs)
            && *self.settings == *settings
            && self.internal == image.internal
            && self.owner == image.owner
            && self.slots.iter().all(|slot| slot.get().is_none_or(Result::is_ok))
    }
}
