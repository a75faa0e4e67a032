//! The topic `__consumer_offsets`: made when the first group needs it, and the topics that committed offsets are about.

use std::collections::BTreeMap;
use std::sync::Arc;

use coordinator::group::GroupCommand;
use protocol::ErrorCode;
use protocol::ids::{PartitionId, TopicId};
use tokio::sync::mpsc;

use super::Groups;
use super::shard::Message;
use crate::cluster::Image;
use crate::cluster::names::CONSUMER_OFFSETS;
use crate::coordinator_topic::CoordinatorTopicError;
use crate::partitions::{Partition, Topic};

impl Groups {
    /// The topic, which is created if it does not exist.
    pub async fn ensure_topic(&self) -> Result<Arc<Topic>, ErrorCode> {
        self.topic.ensure().await.map_err(refusal)
    }

    /// The shard of a partition, started if it does not run yet.
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
        let opened = self.topic.open(topic, partition).await.map_err(refusal)?;
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
        let Some(topic) = self.topic.existing() else {
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

/// The code for a client whose group has no log; the reason is for operators.
fn refusal(error: CoordinatorTopicError) -> ErrorCode {
    let code = match &error {
        CoordinatorTopicError::Stopping => return ErrorCode::CoordinatorNotAvailable,
        CoordinatorTopicError::NotCreated(_) => ErrorCode::CoordinatorNotAvailable,
        CoordinatorTopicError::Partition(_) => ErrorCode::NotCoordinator,
    };
    tracing::error!(%error, topic = CONSUMER_OFFSETS, "the groups of a partition cannot be served");
    code
}

fn ids(image: &Image) -> BTreeMap<TopicId, Arc<str>> {
    image.topics_by_id.clone()
}
