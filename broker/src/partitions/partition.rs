//! One partition of this node: a log, and what clients may do with it.

use std::sync::Arc;

use protocol::ids::{LeaderEpoch, PartitionId, TopicId, TopicPartition};
use storage::Log;
use thiserror::Error;

/// A partition that this node leads, with its open log.
///
/// Shared freely: the log has its own short critical section, everything else here never changes. A handle outlives
/// the deletion of its topic; storage then answers with errors, and [`super::Partitions::changes`] wakes who waits.
#[derive(Debug)]
pub struct Partition {
    /// Topic and number.
    pub topic_partition: TopicPartition,
    /// Id of the topic this partition belongs to.
    pub topic_id: TopicId,
    /// The records.
    pub log: Arc<Log>,
    leader_epoch: LeaderEpoch,
}

impl Partition {
    pub(super) fn new(topic_partition: TopicPartition, log: Arc<Log>, leader_epoch: LeaderEpoch) -> Self {
        Self {
            topic_partition,
            topic_id: log.topic_id(),
            log,
            leader_epoch,
        }
    }

    /// Number of the partition within its topic.
    pub fn index(&self) -> PartitionId {
        self.topic_partition.partition
    }

    /// The epoch of the present leadership, the one Metadata tells clients: that of the cluster image. The log's own epoch
    /// is never above it, and is below it where the log was not open in every run of the broker.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// Compares the epoch a client believes in with ours (KIP-320, Kafka's `Partition.checkCurrentLeaderEpoch`).
    ///
    /// A negative epoch means that the client does not know one and is not checked.
    pub fn check_leader_epoch(&self, claimed: LeaderEpoch) -> Result<(), LeaderEpochMismatch> {
        let current = self.leader_epoch;
        match claimed {
            claimed if claimed < 0 => Ok(()),
            claimed if claimed < current => Err(LeaderEpochMismatch::Fenced),
            claimed if current < claimed => Err(LeaderEpochMismatch::Unknown),
            _ => Ok(()),
        }
    }
}

/// A client believes in another leader epoch than ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LeaderEpochMismatch {
    /// The client's metadata is older than ours.
    #[error("the leader epoch in the request is older than the current one")]
    Fenced,
    /// The client's metadata is newer than ours; it retries.
    #[error("the leader epoch in the request is newer than the current one")]
    Unknown,
}

/// Why a partition cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LookupError {
    /// No topic of that name.
    #[error("unknown topic")]
    UnknownTopic,
    /// No topic with that id.
    #[error("unknown topic id")]
    UnknownTopicId,
    /// The topic has no partition of that number.
    #[error("unknown partition {0}")]
    UnknownPartition(PartitionId),
    /// The log could not be opened; the reason is for operators.
    #[error("the log is offline: {0}")]
    Offline(Arc<str>),
}
