//! The partitions of this node: from the cluster image to open logs, and from a request's topic to a log.
//!
//! ```text
//! controller -- image --> Partitions::apply: open new logs, delete gone ones, pass on changed settings
//! handlers   -- name, id, number --> Partition --> storage::Log
//! ```
//!
//! *Invariant:* a log is open if and only if the image names its partition, except for the topics of the coordinators
//! (`__consumer_offsets`, `__transaction_state`), whose logs are made when the coordinator first uses them; to readers
//! they are empty until then. A log that cannot be opened takes its own partition offline and no other.

mod apply;
mod budget;
mod directory;
mod partition;
mod topic;
mod upkeep;
mod waiters;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use protocol::ids::{PartitionId, TimestampMs, TopicId, TopicPartition};
use storage::LogManager;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::config::BrokerConfig;
use crate::env::Env;

pub(crate) use budget::Held;
pub use budget::{ConnectionBudget, FetchBudget};
pub use directory::Directory;
pub use partition::{LeaderEpochMismatch, LookupError, Partition};
pub use topic::Topic;
pub use waiters::{Waiters, Woken};

/// All partitions of this node.
///
/// Lookups are cheap and may be made from anywhere; [`Partitions::apply`] touches the disk and blocks, one caller at a
/// time.
pub struct Partitions {
    manager: Arc<LogManager>,
    config: Arc<BrokerConfig>,
    env: Arc<Env>,
    directory: RwLock<Arc<Directory>>,
    /// Held while the directory is rebuilt, so that two images are never mixed.
    applying: Mutex<()>,
    changes: watch::Sender<u64>,
    fetch_budget: FetchBudget,
    lookups: Arc<Semaphore>,
}

impl Partitions {
    /// An empty directory over `manager`; [`Partitions::apply`] fills it from the first image.
    pub fn new(manager: Arc<LogManager>, config: Arc<BrokerConfig>, env: Arc<Env>) -> Self {
        Self {
            fetch_budget: FetchBudget::new(config.kafka.fetch_memory_bytes),
            lookups: Arc::new(Semaphore::new(config.kafka.max_lookups.min(Semaphore::MAX_PERMITS))),
            manager,
            config,
            env,
            directory: RwLock::default(),
            applying: Mutex::new(()),
            changes: watch::Sender::new(0),
        }
    }

    /// The node's logs.
    pub fn manager(&self) -> &Arc<LogManager> {
        &self.manager
    }

    /// The memory that fetch responses may take.
    pub fn fetch_budget(&self) -> &FetchBudget {
        &self.fetch_budget
    }

    /// Waits for the turn of a lookup that may decompress a batch; hold the permit until it is over.
    pub async fn lookup_permit(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.lookups).acquire_owned().await;
        permit.expect("nobody closes it")
    }

    /// The topics as they are now. Hold it for one request, not longer.
    pub fn directory(&self) -> Arc<Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A number that grows with every change of the directory; long polls watch it.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Result<Arc<Topic>, LookupError> {
        self.directory().topic(name).cloned().ok_or(LookupError::UnknownTopic)
    }

    /// The topic with this id.
    pub fn topic_by_id(&self, id: TopicId) -> Result<Arc<Topic>, LookupError> {
        self.directory()
            .topic_by_id(id)
            .cloned()
            .ok_or(LookupError::UnknownTopicId)
    }

    /// The partition by its full name.
    pub fn get(&self, partition: &TopicPartition, now: TimestampMs) -> Result<Arc<Partition>, LookupError> {
        self.partition(&*self.topic(&partition.topic)?, partition.partition, now)
    }

    /// The partition for somebody who only reads: `None` where the log is made at its first use and nobody has used it,
    /// which reads as an empty log. Never waits for the disk on behalf of a topic that is complete.
    pub fn readable(
        &self,
        topic: &Topic,
        partition: PartitionId,
        now: TimestampMs,
    ) -> Result<Option<Arc<Partition>>, LookupError> {
        match topic.opened(partition)? {
            None if !topic.internal => self.open_at_first_use(topic, partition, now).map(Some),
            found => Ok(found),
        }
    }

    /// The partition for whoever owns it. Opens its log where the topic's logs are made at their first use; that is the
    /// one case in which this call blocks on the disk.
    pub fn partition(
        &self,
        topic: &Topic,
        partition: PartitionId,
        now: TimestampMs,
    ) -> Result<Arc<Partition>, LookupError> {
        match topic.opened(partition)? {
            Some(partition) => Ok(partition),
            None => self.open_at_first_use(topic, partition, now),
        }
    }
}

impl std::fmt::Debug for Partitions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partitions")
            .field("directory", &self.directory())
            .finish_non_exhaustive()
    }
}
