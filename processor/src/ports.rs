//! What the processor needs of the world. The broker implements these traits; nothing else in this crate reaches
//! sockets, clocks, or Kafka requests. Logs themselves are read through `storage`, in this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use protocol::ids::{Offset, PartitionId, TimestampMs, TopicId, TopicPartition};
use protocol::records::BatchBuilder;
use storage::Log;
use uuid::Uuid;

/// Everything the engine is given at start.
#[derive(Clone)]
pub struct Ports {
    /// Wall and monotonic time.
    pub clock: Arc<dyn Clock>,
    /// Identities of new queries.
    pub ids: Arc<dyn Ids>,
    /// Topics of this broker.
    pub topics: Arc<dyn Topics>,
    /// Transactions over topics: one per epoch of a query.
    pub epochs: Arc<dyn EpochLog>,
    /// Where SQL objects are kept across restarts.
    pub catalog: Arc<dyn CatalogStore>,
}

/// Time as the processor may see it. Operators never see a clock; the runtime does.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> TimestampMs;
    /// Time since an arbitrary fixed point; never goes back.
    fn monotonic(&self) -> Duration;
    /// Returns when this time has passed, perhaps early by the granularity of a timer.
    async fn sleep(&self, time: Duration);
}

/// Where randomness comes in.
pub trait Ids: Send + Sync {
    /// An id unlike any other that there was or will be, over restarts too.
    fn new_id(&self) -> Uuid;
}

/// A topic with the logs of its partitions, in partition order.
#[derive(Clone)]
pub struct TopicHandle {
    /// The topic's name.
    pub name: Arc<str>,
    /// Its identity: a topic deleted and created again has another one.
    pub id: TopicId,
    /// One log per partition, index = partition.
    pub partitions: Vec<Arc<Log>>,
    /// True for Kafka's own topics and the processor's changelogs.
    pub internal: bool,
}

/// A topic that belongs to a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedTopic {
    /// The topic's name.
    pub name: Arc<str>,
    /// What [`TopicSpec::owner`] said.
    pub owner: Arc<str>,
}

/// A topic to create for a query.
#[derive(Debug, Clone)]
pub struct TopicSpec {
    /// The topic's name.
    pub name: String,
    /// Partitions, or the broker's default.
    pub partitions: Option<PartitionId>,
    /// Kafka topic configuration, such as `cleanup.policy=compact`.
    pub configs: Vec<(String, String)>,
    /// The query that alone may write this topic (clients may read it); `None` leaves it an ordinary topic.
    pub owner: Option<String>,
    /// Hidden from `SHOW TOPICS` and marked internal in Metadata: changelogs.
    pub internal: bool,
}

/// Topics of this broker.
#[async_trait]
pub trait Topics: Send + Sync {
    /// The topic of that name with all of its logs open: [`PortError::UnknownTopic`] where there is none,
    /// [`PortError::Storage`] where one of its logs is offline.
    fn open(&self, name: &str) -> Result<TopicHandle, PortError>;
    /// The topic of that name, if it exists and all of its logs are open.
    fn find(&self, name: &str) -> Option<TopicHandle> {
        self.open(name).ok()
    }
    /// Whether there is a topic of that name, offline or not.
    fn exists(&self, name: &str) -> bool {
        !matches!(self.open(name), Err(PortError::UnknownTopic(_)))
    }
    /// The logs of the topic of that name that are open, in partition order, whatever became of the others.
    fn open_logs(&self, name: &str) -> Vec<Arc<Log>> {
        self.find(name).map_or_else(Vec::new, |topic| topic.partitions)
    }
    /// Number of partitions of the topic of that name, offline ones included, or nothing where there is none. Asked
    /// before every step of a query: to be answered from memory.
    fn partition_count(&self, name: &str) -> Option<usize> {
        Some(self.find(name)?.partitions.len())
    }

    /// All topics whose logs are open, sorted by name. It opens none: the topics of the coordinators, whose logs are made
    /// when they are first used, are left out as long as one of them was not.
    fn list(&self) -> Vec<TopicHandle>;
    /// The topics that have an owner, whether or not their logs are open.
    fn owned(&self) -> Vec<OwnedTopic>;
    /// Creates a topic and returns it with its logs open.
    async fn create(&self, spec: TopicSpec) -> Result<TopicHandle, PortError>;
    /// Deletes a topic; one that does not exist is not an error.
    async fn delete(&self, name: &str) -> Result<(), PortError>;
}

/// Opens the transactional writer of a query.
#[async_trait]
pub trait EpochLog: Send + Sync {
    /// Fences the run before (producer epoch bump on the same transactional id), finishes or aborts what it left,
    /// and returns once the last decision's markers are durable everywhere.
    async fn open(&self, transactional_id: &str) -> Result<Box<dyn EpochWriter>, PortError>;
    /// Deletes the group that mirrors the progress of a query which writes no more. One that does not exist is no error.
    async fn delete_progress_group(&self, transactional_id: &str, group: &str) -> Result<(), PortError>;
    /// Ends what the last run left undone and removes the transactional id, which need not be known.
    async fn remove_transactional_id(&self, transactional_id: &str) -> Result<(), PortError>;
}

/// The writer of one run of one query. One epoch is in flight at a time.
#[async_trait]
pub trait EpochWriter: Send {
    /// Has a group tell where a run begins, for lag tools: the run before may have ended before it could.
    fn publish_progress(&self, _group: &str, _sources: Vec<(TopicPartition, Offset)>) {}
    /// Writes one epoch as one transaction and returns when its decision is durable. After an error the writer is
    /// dead: the query restarts from its last committed epoch with a new writer.
    async fn commit(&mut self, epoch: EpochWrite) -> Result<EpochReceipt, PortError>;
}

/// What one epoch writes.
#[derive(Default)]
pub struct EpochWrite {
    /// Output, late, dead-letter and changelog records, in the order in which they are to stand in each log.
    pub writes: Vec<PartitionWrite>,
    /// Per source partition the next offset to read: the decision waits until the source is durable through it.
    pub sources: Vec<(TopicPartition, Offset)>,
    /// The consumer group that mirrors the source offsets for lag tools.
    pub group: Option<String>,
}

/// Records for one partition, already encoded; the writer stamps producer id, epoch and sequence.
pub struct PartitionWrite {
    /// Where to.
    pub partition: TopicPartition,
    /// One batch of records.
    pub records: BatchBuilder,
}

/// Where an epoch's records came to lie.
#[derive(Debug, Clone, Default)]
pub struct EpochReceipt {
    /// Per written partition: the offset behind the last record of this epoch (before the marker).
    pub ends: Vec<(TopicPartition, Offset)>,
}

/// A SQL object as it is kept across restarts. The payload is the processor's own, versioned by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Unique over sources, tables, views and sinks.
    pub name: String,
    /// Versioned payload.
    pub payload: Bytes,
}

/// Durable storage of SQL objects, in the cluster's metadata log.
#[async_trait]
pub trait CatalogStore: Send + Sync {
    /// All objects, sorted by name.
    fn load(&self) -> Vec<StoredObject>;
    /// Adds or replaces an object; returns once durable.
    async fn put(&self, object: StoredObject) -> Result<(), PortError>;
    /// Removes an object; returns once durable.
    async fn remove(&self, name: &str) -> Result<(), PortError>;
}

/// Why the world refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PortError {
    /// The topic exists already.
    #[error("topic {0} already exists")]
    TopicExists(String),
    /// The topic does not exist (any more).
    #[error("topic {0} does not exist")]
    UnknownTopic(String),
    /// The name or a configuration value is not acceptable.
    #[error("{0}")]
    Invalid(String),
    /// Another run of the same query took over.
    #[error("transactional id {0} was fenced by a newer run")]
    Fenced(String),
    /// Storage failed; retrying at once will not help.
    #[error("storage: {0}")]
    Storage(String),
    /// The broker is stopping.
    #[error("the broker is shutting down")]
    ShuttingDown,
}
