//! What the coordinators share: the internal topic that holds their records, and reading those back ([`load`]).
//!
//! ```text
//! coordinator -- ensure --> topic, created when first needed
//!             -- open ----> partition, whose log is made when first used
//!             -- load ----> machine
//! ```

mod load;

use std::sync::Arc;

use protocol::ids::PartitionId;

use crate::cluster::change::{ChangeError, Layout, NewTopic, Requester};
use crate::cluster::{Controller, ControllerError};
use crate::env::Env;
use crate::partitions::{LookupError, Partition, Partitions, Topic};

pub(crate) use load::{LoadError, for_each_batch, for_each_record};

/// Settings that are not the defaults; Kafka gives the first two to its own.
const SETTINGS: [(&str, &str); 3] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "104857600"),
    ("tidemill.durability", "fsync"),
];

/// The internal topic of one coordinator.
pub(crate) struct CoordinatorTopic {
    name: &'static str,
    partition_count: PartitionId,
    env: Arc<Env>,
    controller: Arc<Controller>,
    partitions: Arc<Partitions>,
}

/// Why a coordinator has no log to work on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CoordinatorTopicError {
    /// The topic does not exist and cannot be created.
    #[error("the topic cannot be created: {0}")]
    NotCreated(#[from] ControllerError),
    /// The topic or its partition is not there, or its log cannot be opened.
    #[error(transparent)]
    Partition(#[from] LookupError),
    /// The broker stops.
    #[error("the broker stops")]
    Stopping,
}

impl CoordinatorTopic {
    /// The topic `name`, which gets `partition_count` partitions when it is created.
    pub(crate) fn new(
        name: &'static str,
        partition_count: PartitionId,
        env: Arc<Env>,
        controller: Arc<Controller>,
        partitions: Arc<Partitions>,
    ) -> Self {
        Self {
            name,
            partition_count,
            env,
            controller,
            partitions,
        }
    }

    /// The topic if it exists.
    pub(crate) fn existing(&self) -> Option<Arc<Topic>> {
        self.partitions.topic(self.name).ok()
    }

    /// The topic, which is created if it does not exist.
    pub(crate) async fn ensure(&self) -> Result<Arc<Topic>, CoordinatorTopicError> {
        if let Some(topic) = self.existing() {
            return Ok(topic);
        }
        let created = self
            .controller
            .create_topics(vec![self.definition()], Requester::Broker, false)
            .await;
        for outcome in created {
            match outcome {
                // Another request may have been faster.
                Ok(_) | Err(ControllerError::Refused(ChangeError::TopicExists(_))) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.partitions.topic(self.name)?)
    }

    /// A partition of the topic. The first use of a log makes its files, on a thread that may block.
    pub(crate) async fn open(
        &self,
        topic: Arc<Topic>,
        index: PartitionId,
    ) -> Result<Arc<Partition>, CoordinatorTopicError> {
        if let Some(open) = topic.opened(index)? {
            return Ok(open);
        }
        let (partitions, now) = (Arc::clone(&self.partitions), self.env.now_ms());
        let opened = self
            .env
            .spawn_blocking(move || partitions.partition(&topic, index, now));
        // The thread fails only when the broker stops.
        let opened = opened.await.map_err(|_| CoordinatorTopicError::Stopping)?;
        Ok(opened?)
    }

    fn definition(&self) -> NewTopic {
        NewTopic {
            name: self.name.to_owned(),
            layout: Layout::Spread {
                partitions: self.partition_count,
                replication_factor: -1,
            },
            configs: SETTINGS
                .iter()
                .map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())))
                .collect(),
            internal: true,
            owner: None,
        }
    }
}
