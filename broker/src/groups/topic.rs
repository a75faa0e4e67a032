//! The topic `__consumer_offsets`: made when the first group needs it, and the topics that committed offsets are about.

use std::collections::BTreeMap;
use std::sync::Arc;

use coordinator::group::GroupCommand;
use protocol::ErrorCode;
use protocol::ids::{PartitionId, TopicId};
use tokio::sync::mpsc;

use super::Groups;
use super::shard::Message;
use crate::cluster::change::{ChangeError, Layout, NewTopic, Requester};
use crate::cluster::names::CONSUMER_OFFSETS;
use crate::cluster::{ControllerError, Image};
use crate::partitions::{Partition, Topic};

/// Settings of the topic that are not the defaults; Kafka gives it the same.
const SETTINGS: [(&str, &str); 3] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "104857600"),
    ("tidemill.durability", "fsync"),
];

impl Groups {
    /// The topic, which is created if it does not exist.
    pub async fn ensure_topic(&self) -> Result<Arc<Topic>, ErrorCode> {
        if let Ok(topic) = self.partitions.topic(CONSUMER_OFFSETS) {
            return Ok(topic);
        }
        let topic = NewTopic {
            name: CONSUMER_OFFSETS.to_owned(),
            layout: Layout::Spread {
                partitions: self.topic_partitions,
                replication_factor: -1,
            },
            configs: SETTINGS
                .iter()
                .map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())))
                .collect(),
            internal: true,
            owner: None,
        };
        let created = self
            .controller
            .create_topics(vec![topic], Requester::Broker, false)
            .await;
        for outcome in created {
            match outcome {
                // Another request may have been faster.
                Ok(_) | Err(ControllerError::Refused(ChangeError::TopicExists(_))) => {}
                Err(error) => {
                    tracing::error!(%error, topic = CONSUMER_OFFSETS, "the topic of the groups cannot be created");
                    return Err(ErrorCode::CoordinatorNotAvailable);
                }
            }
        }
        self.partitions
            .topic(CONSUMER_OFFSETS)
            .map_err(|_| ErrorCode::CoordinatorNotAvailable)
    }

    /// The shard of a partition, started if it does not run yet. The log's first use makes its files, on a thread that
    /// may block.
    pub(super) async fn shard(
        &self,
        topic: Arc<Topic>,
        partition: PartitionId,
    ) -> Result<mpsc::Sender<Message>, ErrorCode> {
        if let Some(shard) = self.lock_shards().get(&partition) {
            return Ok(shard.clone());
        }
        if self.stopping.is_cancelled() {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let (partitions, now) = (Arc::clone(&self.partitions), self.env.now_ms());
        let open = move || partitions.partition(&topic, partition, now);
        let opened = self.env.spawn_blocking(open).await;
        // The thread fails only when the broker stops.
        let opened = opened.map_err(|_| ErrorCode::CoordinatorNotAvailable)?;
        let opened = opened.map_err(|error| {
            tracing::error!(partition, %error, "a partition of the groups' topic cannot be opened");
            ErrorCode::NotCoordinator
        })?;
        Ok(self.start_shard(opened))
    }

    /// The shard of an open partition; another request may have started it meanwhile.
    fn start_shard(&self, opened: Arc<Partition>) -> mpsc::Sender<Message> {
        let mut shards = self.lock_shards();
        shards
            .entry(opened.index())
            .or_insert_with(|| self.spawn_shard(opened))
            .clone()
    }

    /// Starts the shards of the partitions that have a log on the disk.
    pub(super) fn open_stored_shards(&self) {
        let Ok(topic) = self.partitions.topic(CONSUMER_OFFSETS) else {
            return;
        };
        // A partition that could not be opened said so in the log, and says it again to whoever asks for its groups.
        for partition in topic.open_partitions() {
            self.start_shard(Arc::clone(partition));
        }
    }

    /// Ends the committed offsets of topics that are deleted.
    pub(super) async fn follow_topics(self: Arc<Self>) {
        let mut images = self.controller.subscribe();
        let mut known = ids(&images.borrow_and_update());
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                changed = images.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
            let newest = ids(&images.borrow_and_update());
            for topic in known
                .iter()
                .filter(|(id, _)| !newest.contains_key(id))
                .map(|(_, name)| name)
            {
                self.tell_all(|| GroupCommand::TopicDeleted { topic: topic.clone() })
                    .await;
            }
            known = newest;
        }
    }
}

fn ids(image: &Image) -> BTreeMap<TopicId, Arc<str>> {
    image.topics_by_id.clone()
}
